"""Orders at the exchange that carry one of our names and are not on record, and ends that we know wrongly.

What a guard fired has the exchange's name for it, and counts as one of ours.

A database that came back from a backup, or a failover that lost its last commits, leaves orders at the exchange that
nobody here remembers. Their names lead back to the ids of their rows.
"""

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import IntegrityError, transaction

from apps.connectors.exchange import (
    Book,
    Exchange,
    OrderRejectedError,
    OrderReport,
    OrderStatus,
    OrderType,
    PositionMode,
    Side,
)
from apps.connectors.models import Connector, Instrument
from apps.lib import world
from apps.lib.decimals import normalize_text
from apps.lib.statements import run
from apps.trading import incidents
from apps.trading.firing import take_told_late
from apps.trading.following import look
from apps.trading.ids import order_of
from apps.trading.incident_kinds import IncidentKind
from apps.trading.legs import Intent
from apps.trading.models import FINAL_STATES, AccountWatch, Order, OrderState, Protection
from apps.trading.readings import history_of, open_orders_of
from apps.trading.transitions import born

logger = logging.getLogger(__name__)

EVERY = timedelta(minutes=5)
OVERLAP = timedelta(minutes=10)
FIRST_LOOK = timedelta(days=1)
MOST_SYMBOLS = 50
_OPENING_LEGS = frozenset("o")
_OPEN = frozenset({OrderStatus.ACCEPTED, OrderStatus.PARTIAL})


def is_due(watch: AccountWatch) -> bool:
    """True when the orders of some symbol are to be compared: of all, or of those that were refused."""
    return bool(watch.refused_symbols) or _is_due_whole(watch)


def _is_due_whole(watch: AccountWatch) -> bool:
    # Also after our clock was turned back.
    return watch.swept_at is None or abs(world.now() - watch.swept_at) >= EVERY


def sweep_account(connector: Connector, watch: AccountWatch, exchange: Exchange, *, symbols: Iterable[str]) -> int:
    """Compare the exchange's orders with ours, where it is due; return how many were not as we know them.

    `symbols`: those we hold or had an order of since FIRST_LOOK. Sets on `watch`, which the caller keeps, when it was
    done, and since when it was not for symbols whose orders were refused: they alone are asked for at the next reading.
    ExchangeError: not all were read, and all are tried again soon.
    """
    started = world.now()
    refused = {name: datetime.fromisoformat(at) for name, at in (watch.refused_symbols or {}).items()}
    if is_whole := _is_due_whole(watch):
        reports = list(exchange.open_orders())
        named = sorted({*symbols, *(report.symbol for report in reports)})
        # What nobody trades any more is nobody's question.
        refused = {name: at for name, at in refused.items() if name in named}
        asked = _in_turn(named, watch.swept_at, started)
    else:
        reports, asked = [], dict(refused)
    for symbol, last in asked.items():
        last = min(last, refused.pop(symbol, last))
        try:
            reports += history_of(exchange, symbol, since=max(connector.created_at, last) - OVERLAP)
        except OrderRejectedError as error:
            # It is about this symbol: the others are compared all the same.
            logger.warning("connector %s: orders of %s not read: %s", connector.pk, symbol, error.sentence)
            refused[symbol] = last
    found = _compare(connector, reports)
    watch.refused_symbols = {name: at.isoformat() for name, at in sorted(refused.items())}
    if is_whole:
        watch.swept_at = started
    return found


def _in_turn(named: Sequence[str], swept_at: datetime | None, now: datetime) -> dict[str, datetime]:
    """Return the symbols that are asked for now, each with since when it was not."""
    first = now - FIRST_LOOK
    if len(named) > MOST_SYMBOLS:
        # By turns, and each from the day before on: its last turn may be hours ago.
        start = int(now.timestamp() // EVERY.total_seconds()) * MOST_SYMBOLS % len(named)
        return dict.fromkeys([*named, *named][start : start + MOST_SYMBOLS], first)
    return dict.fromkeys(named, first if swept_at is None or swept_at > now else swept_at)


def sweep_symbol(connector: Connector, exchange: Exchange, symbol: str, *, is_listed: bool) -> int:
    """Compare the last day's orders of one symbol now; return how many were not on record or not as we know them.

    ExchangeError: not all were read. That a symbol which is listed is not known there is a broken answer, too.
    """
    since = max(connector.created_at, world.now() - FIRST_LOOK) - OVERLAP
    if is_listed:
        return _compare(connector, [*exchange.open_orders(symbol), *exchange.order_history(symbol, since=since)])
    return _compare(connector, [*open_orders_of(exchange, symbol), *history_of(exchange, symbol, since=since)])


def is_ours(client_order_id: str) -> UUID | None:
    """Return the id that a name of ours stands for; None for a name that somebody else gave."""
    named = order_of(client_order_id) if client_order_id else None
    # Ours derive from what asked for the order: others that happen to look like it are of another version.
    return named if named is not None and named.version == 5 else None


# By their ids, which the names stand for. Known anywhere is known: another connector of the same account sees the same
# orders.
_KNOWN = "SELECT client_order_id, id, connector_id, state, filled_quantity FROM trading_order WHERE id = ANY(%s)"


def _compare(connector: Connector, reports: list[OrderReport]) -> int:
    """Return how many were news."""
    found = take_told_late(connector.pk, reports)
    ours = {report.client_order_id: (is_ours(report.client_order_id), report) for report in reports}
    named = {name: (order_id, report) for name, (order_id, report) in ours.items() if order_id is not None}
    if not named:
        return found
    rows = run(_KNOWN, ([order_id for order_id, _ in named.values()],)).rows
    known = {row[0]: row[1:] for row in rows}
    lost = named.keys() - known.keys()
    guards: set[str] = set()
    if lost:
        guards = set(Protection.unscoped.filter(client_order_id__in=lost).values_list("client_order_id", flat=True))
    for name, (_, report) in named.items():
        if name in guards:
            continue
        if name not in known:
            _adopt(connector, report)
            found += 1
            continue
        order_id, connector_id, state, filled = known[name]
        if connector_id == connector.pk and state in FINAL_STATES and _is_news(filled, report):
            look(Order.unscoped.select_related("connector", "instrument").get(pk=order_id))
            found += 1
    return found


def _is_news(filled: Decimal, report: OrderReport) -> bool:
    return report.status in _OPEN or report.filled_quantity > filled


def _adopt(connector: Connector, report: OrderReport) -> None:
    """Take an order onto record as it lives at the exchange, so that it is followed and its fills count."""
    listed = Instrument.objects.filter(environment=connector.environment, market=connector.market)
    instrument = listed.filter(symbol=report.symbol).first()
    named = is_ours(report.client_order_id)
    if instrument is None or named is None or report.side is None:
        logger.error("connector %s has an order of ours that cannot be read: %s", connector.pk, report.client_order_id)
        return
    leg, now = report.client_order_id[1], world.now()
    # Only these open a position: everything else of ours reduces one.
    is_exit = leg not in _OPENING_LEGS
    order = Order(
        id=named,
        workspace_id=connector.workspace_id,
        connector=connector,
        instrument=instrument,
        # Nobody knows what asked for it.
        origin_id=named,
        leg=leg,
        intent=(Intent.EXIT if is_exit else Intent.ENTRY).value,
        symbol=report.symbol,
        side=report.side.value,
        # What lies at the exchange may wait for its price for days: as a market order it would hold up the exits of its
        # symbol for as long. One that is told to be a market order is filled in a moment, and they wait for that.
        order_type=(OrderType.LIMIT if report.status in _OPEN and not report.is_market else OrderType.MARKET).value,
        book=_book(connector, report.side, is_exit=is_exit).value,
        quantity=report.quantity or report.filled_quantity,
        client_order_id=report.client_order_id,
        exchange_order_id=report.exchange_order_id,
        state=OrderState.ACCEPTED,
        created_at=report.created_at or now,
        acknowledged_at=report.created_at or now,
        next_at=now,
        facts={"sentence": "Found at the exchange: one of our names, and no row of it here."},
    )
    try:
        with transaction.atomic():
            born(order, cause="found at the exchange", evidence={"exchange_order_id": report.exchange_order_id})
    except IntegrityError:
        logger.error("order %s found at the exchange cannot be taken onto record", report.client_order_id)
        return
    facts = {
        "client_order_id": report.client_order_id,
        "side": report.side.value,
        "quantity": normalize_text(order.quantity),
    }
    incidents.open_incident(connector, IncidentKind.ORPHAN_ORDER, symbol=report.symbol, order=order, facts=facts)


def _book(connector: Connector, side: Side, *, is_exit: bool) -> Book:
    if connector.position_mode != PositionMode.HEDGE:
        return Book.NET
    return Book.LONG if (side is Side.BUY) is not is_exit else Book.SHORT
