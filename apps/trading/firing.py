"""A guard that fires becomes an order of the exchange's own making, named PLAN_<id of the guard>.

It gets an Order row here, so that its fills are ours and the position follows. A guard that fired before the exchange
ever listed it has no id to ask by. What it fired is then looked for among the finished orders, and only when the
exchange holds less than our fills say. It counts as ours on proof alone:

    it closes the guard's side, waited for the guard's price, and was made after the entry's first fill
    nobody's row has its id, and it was not seen waiting as an order that somebody else had placed
    it traded no more than the entry filled, and no more than what the exchange holds less than our fills say; what
        fired on both sides of a one-way position proves itself only as a whole, by coming to that difference exactly
    no more orders are like that than guards of ours that are sought; the newest is the newest entry's

Otherwise nothing is taken onto record, and the position follows as after a trade by hand.
"""

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q

from apps.connectors.exchange import Exchange, OrderReport, OrderStatus, Side
from apps.lib import world
from apps.lib.compiled import Compiled
from apps.lib.decimals import normalize_text
from apps.trading import incidents
from apps.trading.absence import CLOCKS_APART
from apps.trading.following import look
from apps.trading.incident_kinds import IncidentKind
from apps.trading.models import Order, OrderEvent, OrderState, Protection, ProtectionState
from apps.trading.protecting import ProtectionKind, guard_of
from apps.trading.protection_lists import Listed, is_late_preset, known_ids
from apps.trading.protection_rows import LEGS, OPEN, exit_row, insert, one_more, put, rows_with, watch_again
from apps.trading.readings import history_of
from apps.trading.transitions import StaleOrderError, born, note

logger = logging.getLogger(__name__)

P = ProtectionState
NAME = "PLAN_"
SOUGHT_FOR = timedelta(days=1)
OF_ANOTHER = "another's order waits at the price of a guard"
_ENDED = frozenset({OrderStatus.FILLED, OrderStatus.CANCELED})


def has_fired(row: Protection, exchange: Exchange) -> bool:
    """Find the order that the exchange made of a guard, and take it onto record."""
    report = exchange.find_order(row.symbol, client_order_id=f"{NAME}{row.exchange_order_id}")
    if report is None:
        return False
    entry = _entry_of(row)
    quantity = report.quantity or row.quantity or entry.filled_quantity
    _take(row, entry, report, quantity, evidence={"guard": row.exchange_order_id})
    return True


def has_fired_unseen(row: Protection, exchange: Exchange, *, missing: Decimal) -> bool:
    """Find what a guard fired that was never listed; `missing` is what the exchange holds less than our fills say.

    True when it is on record now; the guard's own row has not ended where it filled in part: the rest is to be guarded.
    """
    if missing <= 0 or not _is_sought(row):
        return False
    entry = _entry_of(row)
    if entry.first_fill_at is None:
        return False
    reports = exchange.order_history(row.symbol, since=entry.first_fill_at)
    return bool(_take_unseen(row, entry, reports, missing))


def sweep_unseen(connector_id: UUID, symbol: str, exchange: Exchange, *, book: str, missing: Decimal) -> int:
    """Do the same for all guards of a position, ended ones too; return how many had fired.

    `missing` is signed: our position less the exchange's. It is only known once `take_told_late` found nothing.
    """
    placed = _placed(connector=connector_id, symbol=symbol, book=book, since=world.now() - SOUGHT_FOR)
    sought = [row for row in placed if _is_sought(row)]
    if not sought:
        return 0
    reports = history_of(exchange, symbol, since=min(at for row in sought if (at := row.entry.first_fill_at)))
    found, left = 0, _explained(sought, reports, missing)
    for row in sought:
        taken = _take_unseen(row, _entry_of(row), reports, left[row.side])
        left[row.side] -= taken
        found += taken > 0
    return found


def _explained(sought: Iterable[Protection], reports: Sequence[OrderReport], missing: Decimal) -> dict[str, Decimal]:
    """Return how much guards of each side may have closed, by side, given what both together have to come to."""
    closed = {Side.SELL.value: Decimal(0), Side.BUY.value: Decimal(0)}
    found = {(row.side, one.client_order_id): one for row in sought if (one := _fired_by(row, _entry_of(row), reports))}
    for (side, _), report in found.items():
        closed[side] += report.filled_quantity
    if all(closed.values()) and closed[Side.SELL] - closed[Side.BUY] == missing:
        return closed
    return {Side.SELL.value: max(missing, Decimal(0)), Side.BUY.value: max(-missing, Decimal(0))}


_placed: Compiled[Protection] = Compiled(
    lambda connector, symbol, book, since: rows_with(
        Q(connector_id=connector, symbol=symbol, book=book)
        & Q(created_at__gt=since, entry__first_fill_at__isnull=False)
    )
)


def take_told_late(connector_id: UUID, reports: Iterable[OrderReport]) -> int:
    """Take what guards fired that were taken for gone before that was told onto record; return how many had.

    A guard whose id we know needs no proof but that id, whatever the position says meanwhile.
    """
    fired = {_guard_id(one): one for one in reports if one.client_order_id.startswith(NAME) and one.filled_quantity}
    if not fired:
        return 0
    named = Q(connector_id=connector_id, exchange_order_id__in=sorted(fired), fired=None)
    gone = rows_with(named & ~Q(state__in=sorted(OPEN)) & Q(entry__first_fill_at__isnull=False))
    for row in gone:
        report = fired[row.exchange_order_id]
        logger.warning("guard %s: fired, and was taken for gone before that was told", row.pk)
        quantity = report.quantity or report.filled_quantity
        _take(row, _entry_of(row), report, quantity, evidence={"guard": row.exchange_order_id, "told": "late"})
    return len(gone)


def note_others(row: Protection, listed: Iterable[Listed]) -> None:
    """Keep which orders at the price of a guard that is not listed are not ours: once fired they look like its own."""
    alike = {
        one.exchange_order_id
        for one in listed
        if (one.side, one.price) == (Side(row.side), row.price)
        and one.exchange_order_id != row.exchange_order_id
        and not is_late_preset(row, one)
    }
    if not alike or not _is_sought(row):
        return
    entry = _entry_of(row)
    others = alike - known_ids(row.connector_id, row.symbol) - _of_others(entry)
    if others:
        try:
            note(entry, cause=OF_ANOTHER, evidence={"exchange_order_ids": sorted(others)})
        except StaleOrderError:
            logger.info("order %s moved on; who else waits at the price of its guard is seen next time", entry.pk)


def _is_sought(row: Protection) -> bool:
    """True for a guard that may be at the exchange under an id that we were never told."""
    if row.kind == ProtectionKind.TRAILING_STOP:
        # What a trailing stop fires names no price that we know.
        return False
    if not row.exchange_order_id and not row.in_entry and row.signed_at is not None:
        return True
    if not guard_of(row.guard).in_entry:
        return False
    seen = Protection.unscoped.filter(entry_id=row.entry_id, guard=row.guard, in_entry=True)
    return not seen.exclude(exchange_order_id="").exists()


def _take_unseen(row: Protection, entry: Order, reports: Sequence[OrderReport], missing: Decimal) -> Decimal:
    """Take what a guard fired onto record; return how much that traded, 0 where there is no proof."""
    report = _fired_by(row, entry, reports)
    if report is None or not 0 < report.filled_quantity <= min(missing, entry.filled_quantity):
        return Decimal(0)
    quantity = report.quantity or report.filled_quantity
    is_whole = not row.exchange_order_id and report.status is OrderStatus.FILLED
    fired = row if is_whole else _beside(row, report, quantity)
    if fired is None:
        return Decimal(0)
    evidence = {
        "guard": _guard_id(report),
        "matched_by": "the only order that waited for this price on this side: its guard was never listed",
        "trigger_price": normalize_text(row.price),
        "exchange_order_id": report.exchange_order_id,
        "filled_quantity": normalize_text(report.filled_quantity),
        "missing": normalize_text(missing),
        "made_at": report.created_at.isoformat() if report.created_at else "",
    }
    logger.warning("guard %s: fired as %s before it was ever listed", fired.pk, report.client_order_id)
    _take(fired, entry, report, quantity, evidence=evidence)
    return report.filled_quantity


def _beside(row: Protection, report: OrderReport, quantity: Decimal) -> Protection | None:
    """Return a row for a firing whose guard's own row stands for another order, or goes on for what was left open."""
    extra = one_more(row)
    if extra is None:
        return None
    extra.in_entry, extra.replaces, extra.quantity = True, row, quantity
    extra.state, extra.exchange_order_id = P.LIVE, _guard_id(report)
    return extra if insert(extra, beside=row) else None


def _fired_by(row: Protection, entry: Order, reports: Sequence[OrderReport]) -> OrderReport | None:
    """Return the order that can only have come from this guard, or as well from another one of ours of its price.

    Two guards of one price fire together, or one of them was not there any more: sooner that of the older entry, whose
    position may have been closed in between. So the newest order goes to the newest entry. Taken for the wrong one's it
    is ours all the same, and the other guard is still missed. More orders than guards prove nothing.
    """
    since, side = entry.first_fill_at, Side(row.side)
    if since is None:
        return None
    alike = [
        report
        for report in reports
        if report.client_order_id.startswith(NAME)
        and (report.side, report.trigger_price) == (side, row.price)
        and report.only_closes
        and not report.is_forced
        and report.created_at is not None
        and report.created_at >= since
    ]
    found = _unknown(entry, alike)
    if not found:
        return None
    guards = [row, *_rivals(row, until=max(report.created_at for report in found if report.created_at is not None))]
    if len(found) > len({one.entry_id for one in guards}):
        return None
    newer = {one.entry_id for one in guards if one.entry_id != entry.pk and (one.entry.first_fill_at or since) >= since}
    if len(newer) >= len(found):
        return None
    report = sorted(found, key=lambda one: (one.created_at, _guard_id(one)), reverse=True)[len(newer)]
    if report.status not in _ENDED or (report.quantity or 0) > entry.filled_quantity:
        return None
    return report if _is_in_time(row, report) else None


def _unknown(entry: Order, reports: Sequence[OrderReport]) -> list[OrderReport]:
    """Leave out what is on record, of any connector of the same account, and what another had placed."""
    names = [report.client_order_id for report in reports]
    ids = [_guard_id(report) for report in reports]
    fired = set(Order.unscoped.filter(client_order_id__in=names).values_list("client_order_id", flat=True))
    known = set(Protection.unscoped.filter(exchange_order_id__in=ids).values_list("exchange_order_id", flat=True))
    known |= _of_others(entry) if reports else set()
    return [one for one in reports if one.client_order_id not in fired and _guard_id(one) not in known]


def _is_in_time(row: Protection, report: OrderReport) -> bool:
    """False for what was made when the guard can no longer have been there unlisted."""
    if report.created_at is None:
        return False
    if row.signed_at is not None and (row.fence_at is None or report.created_at > row.fence_at):
        # Its stand-in was sent, or it was sent itself: whatever is not listed by the fence is not there.
        return False
    return row.finished_at is None or report.created_at <= row.finished_at + CLOCKS_APART


def _rivals(row: Protection, *, until: datetime) -> list[Protection]:
    """Return the guards of other entries, sought like this one, that may have fired something alike by then."""
    alike = Q(connector_id=row.connector_id, symbol=row.symbol, side=row.side, price=row.price)
    others = rows_with(alike & (Q(state__in=OPEN) | Q(finished_at__gt=until))).exclude(entry_id=row.entry_id)
    return [one for one in others.filter(entry__first_fill_at__lte=until) if _is_sought(one)]


def _of_others(entry: Order) -> set[str]:
    seen = OrderEvent.unscoped.filter(order=entry, cause=OF_ANOTHER).values_list("evidence", flat=True)
    return {one for evidence in seen for one in evidence["exchange_order_ids"]}


def _guard_id(report: OrderReport) -> str:
    return report.client_order_id.removeprefix(NAME)


def _entry_of(row: Protection) -> Order:
    found: Order = Order.unscoped.select_related("connector", "instrument").get(pk=row.entry_id)
    return found


def _take(row: Protection, entry: Order, report: OrderReport, quantity: Decimal, *, evidence: dict[str, Any]) -> None:
    """Give what a guard fired its Order row and end the guard with it, then read its fills."""
    what = str(row.kind).replace("_", " ")
    order = exit_row(
        entry,
        leg=LEGS[row.number],
        client_order_id=report.client_order_id,
        quantity=quantity,
        sentence=f"The {what} at {normalize_text(row.price)} fired",
    )
    order.state, order.exchange_order_id = OrderState.ACCEPTED, report.exchange_order_id
    order.acknowledged_at = order.next_at = world.now()
    was_alarmed = row.alarmed_at is not None
    # What it has left open is looked at then. One that had ended guards nothing any more.
    is_followed = row.kind != ProtectionKind.TAKE_PROFIT and row.next_at is not None
    columns: dict[str, Any] = {
        "state": P.FIRED,
        "finished_at": world.now(),
        "next_at": world.now() if is_followed else None,
        "reason": "",
        "alarmed_at": None,
    }
    if not row.exchange_order_id:
        columns["exchange_order_id"] = _guard_id(report)
    with transaction.atomic():
        if not put(row, **columns):
            return
        try:
            with transaction.atomic():
                born(order, cause="fired at the exchange", evidence=evidence)
        except IntegrityError:
            named = {"connector_id": order.connector_id, "client_order_id": order.client_order_id}
            order = Order.unscoped.select_related("connector", "instrument").get(**named)
        put(row, fired_id=order.pk)
    if was_alarmed:
        how = "It had fired before it was seen at the exchange."
        incidents.resolve(row.connector, IncidentKind.PROTECTION_MISSING, order=row.entry, symbol=row.symbol, how=how)
    look(order)
    if order.state == OrderState.FILLED:
        watch_again(order)
