"""Close everything: entries off, our open orders back, every position closed reduce-only, a report at the end.

A page only writes the request; a worker or the sweeper carries it out, as long as it takes, and whoever dies leaves
the step in the row: the closing orders are named by the request, the position and the round, so that doing a step
again makes no second one. What is closed is what the exchange holds; on spot what our fills add up to, never the
owner's other coins.
"""

import logging
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.accounts.models import User, Workspace
from apps.accounts.trading_state import TradingState
from apps.connectors import instruments
from apps.connectors.budget import Priority, priority
from apps.connectors.exchange import Book, Exchange, ExchangeError, Market, PositionReport, Side
from apps.connectors.exchange import Instrument as InstrumentWords
from apps.connectors.models import Connector, Instrument
from apps.connectors.opening import open_connector
from apps.connectors.sealing import SealError
from apps.lib import wakeups, world
from apps.lib.decimals import floor_to_step, normalize_text
from apps.lib.pool import as_done, start
from apps.trading import cancelling, drift, incidents, leases, readings
from apps.trading.executor import send
from apps.trading.flatten_report import CLOSED, CLOSING, FAILED, Key, Report, Row
from apps.trading.halting import halted
from apps.trading.ids import client_order_id, order_id
from apps.trading.incident_kinds import IncidentKind
from apps.trading.legs import Intent
from apps.trading.models import FINAL_STATES, Fill, Flatten, Lease, Order, OrderState, Position
from apps.trading.recording import INFERRED, inferred_of
from apps.trading.sizing import largest_part
from apps.trading.transitions import born

logger = logging.getLogger(__name__)

RUN = "apps.trading.tasks.run_flattens"
CLAIM = timedelta(seconds=20)
AGAIN = timedelta(seconds=1)
GIVE_UP = timedelta(seconds=60)
# What the exchange refused or filled in part is tried so often, each time for what is held then.
MOST_ROUNDS = 3
# So many orders of a round carry a position that is larger than the exchange's largest order.
MOST_PARTS = 20
LEG = "c"

S = OrderState
# A cancelled order whose last fills are asked for once more; an inferred fill has put all of them on record.
_UNSETTLED = Q(state=S.CANCELED, next_at__isnull=False) & ~Q(
    Exists(Fill.unscoped.filter(order_id=OuterRef("pk"), trade_id__startswith=INFERRED))
)
# Pressed again within this it is the same one, as by a double click or from two tabs.
SAME_WITHIN = timedelta(seconds=15)
# So far may the clocks of two machines stand apart, and so long may a commit take.
APART = timedelta(seconds=5)


def request(workspace: Workspace, *, by: User, connector: Connector | None = None) -> Flatten:
    """Turn entries off and ask for everything to be closed, on one connector or on all of the workspace's.

    Asked again in the next seconds it is the same one: each reads every account, and others wait for their turn. Not
    where entries were turned on in between, for what that may have opened is no part of it, nor where it has given a
    position up, for that is tried anew.
    """
    with transaction.atomic():
        if connector is None:
            Connector.objects.for_workspace(workspace).filter(trading_state=TradingState.HALTED).update(
                trading_state=TradingState.REDUCE_ONLY
            )
            # Locked from here on: of two who ask at once the second sees what the first one asked for.
            Workspace.objects.filter(pk=workspace.pk).update(lift_needs_word=True)
            rows: QuerySet[Any] = Workspace.objects.filter(pk=workspace.pk)
        else:
            rows = Connector.objects.for_workspace(workspace).filter(pk=connector.pk)
            rows.select_for_update(of=("self",)).get()
        turned_off = rows.exclude(trading_state=TradingState.REDUCE_ONLY).update(trading_state=TradingState.REDUCE_ONLY)
        going_on = Flatten.objects.for_workspace(workspace).filter(connector=connector, finished_at=None)
        recent = going_on.filter(requested_at__gt=world.now() - SAME_WITHIN).order_by("-requested_at")
        flatten: Flatten | None = None if turned_off else recent.first()
        if flatten is None or flatten.failed_count:
            flatten = Flatten.objects.create(workspace=workspace, connector=connector, requested_by=by)
        transaction.on_commit(lambda: wakeups.publish(RUN))
    return flatten


def run_due() -> int:
    """Carry every flatten that is due one step on; return how many were."""
    now = world.now()
    due = Flatten.unscoped.filter(finished_at=None, next_at__lte=now).order_by("next_at")
    done = 0
    for flatten_id, next_at in list(due.values_list("pk", "next_at")[:50]):
        claimed_until = now + CLAIM
        if Flatten.unscoped.filter(pk=flatten_id, next_at=next_at, finished_at=None).update(next_at=claimed_until):
            _carry_on(Flatten.unscoped.select_related("workspace").get(pk=flatten_id), claimed_until)
            done += 1
    return done


def _carry_on(flatten: Flatten, claimed_until: datetime) -> None:
    """Take one step and write what came of it, unless the claim ran out and another worker goes on with it."""
    connectors = list(_connectors(flatten))
    report = Report(flatten.report)
    # Asked before anything is read: what is planned or fills after a reading is not in it.
    may_open = _may_still_open(flatten, connectors)
    _close(flatten, connectors, report)
    is_over = world.now() - flatten.requested_at > GIVE_UP
    is_done = not report.is_closing and not may_open
    flatten.next_at = world.now() + AGAIN
    if is_done or is_over:
        flatten.finished_at = world.now()
        report.give_up("it was not closed within a minute")
        for order in [] if is_done else _entries(connectors).select_related("connector"):
            report.say(order.connector, f"entry|{order.pk}", _why_open(order), state=FAILED, symbol=order.symbol)
    flatten.report = report.rows
    own = Flatten.unscoped.filter(pk=flatten.pk, finished_at=None)
    if not is_over:
        # Where an exchange is slow every claim may run out, so that whoever finds the minute over ends it.
        own = own.filter(next_at=claimed_until)
    with transaction.atomic():
        if not own.update(report=report.rows, next_at=flatten.next_at, finished_at=flatten.finished_at):
            logger.warning("flatten %s: another worker goes on with it", flatten.pk)
            return
        if flatten.finished_at is not None:
            _tell(flatten, report)


def _may_still_open(flatten: Flatten, connectors: list[Connector]) -> bool:
    """True while an entry may still open a position after the last one was closed.

    A worker that has a symbol since before entries were off may have read that they are on, and plan one yet.
    """
    until = flatten.requested_at + leases.length() + APART
    taken = Lease.objects.filter(connector__in=connectors, until__gt=world.now(), until__lte=until)
    return bool(taken.exists() or _entries(connectors).exists())


def _entries(connectors: list[Connector]) -> QuerySet[Order]:
    entries = Order.unscoped.filter(connector__in=connectors, intent=Intent.ENTRY)
    return entries.filter(~Q(state__in=FINAL_STATES) | _UNSETTLED)


def _why_open(order: Order) -> str:
    size = normalize_text(order.quantity) if order.notional is None else f"for {normalize_text(order.notional)}"
    return f"the order to {order.side} {size} is {order.get_state_display()} and may still open a position"


def _connectors(flatten: Flatten) -> list[Connector]:
    rows = Connector.objects.for_workspace(flatten.workspace).filter(deleted_at=None).select_related("workspace")
    if flatten.connector_id is not None:
        rows = rows.filter(pk=flatten.connector_id)
    return list(rows.exclude(sealed_access_key="").order_by("created_at"))


def _close(flatten: Flatten, connectors: list[Connector], report: Report) -> None:
    """Take entries back, read what is held, and send what closes it. An account that hangs holds no other one up."""
    for connector in connectors:
        _take_entries_back(flatten, connector)
    to_read = [connector for connector in connectors if not _is_halted(connector, report)]
    sending: list[Future[object]] = []
    try:
        for connector, found in as_done(_read, to_read):
            if isinstance(found, _Found):
                report.unsay(connector, "key")
                sending += start(_send, _to_send(flatten, connector, found, report))
            else:
                silent = found or _Silent("it could not be read", CLOSING)
                report.say(connector, "key", silent.why, state=silent.state)
    finally:
        wait(sending)


def _is_halted(connector: Connector, report: Report) -> bool:
    halt = halted(connector)
    if halt is None:
        report.unsay(connector, "halt")
    else:
        report.say(connector, "halt", halt.sentence, state=FAILED)
    return halt is not None


def _to_send(flatten: Flatten, connector: Connector, found: "_Found", report: Report) -> list[list[UUID]]:
    """Write the orders that close what was found; return those that may go now, by position."""
    # Reading takes its time: the account may be halted by now, or all of this ended by another worker and entries on.
    if _is_halted(connector, report) or not Flatten.unscoped.filter(pk=flatten.pk, finished_at=None).exists():
        return []
    try:
        return [names for names in _written(flatten, connector, found, report) if names]
    except Exception:
        # The others are closed all the same.
        logger.exception("flatten %s: connector %s", flatten.pk, connector.pk)
        report.say(connector, "key", "what closes it could not be written", state=CLOSING)
        return []


def _take_entries_back(flatten: Flatten, connector: Connector) -> None:
    open_orders = Order.unscoped.filter(connector=connector).exclude(state__in=FINAL_STATES)
    for order in open_orders.select_related("connector", "instrument"):
        if order.intent == Intent.ENTRY or order.is_resting:
            cancelling.request(order, by=f"close everything {flatten.pk}")


def _written(flatten: Flatten, connector: Connector, found: "_Found", report: Report) -> list[list[UUID]]:
    """Write the orders that close what is held; return those that may go now, by position."""
    for told in found.unlisted:
        side = "long" if told.signed_quantity > 0 else "short"
        size = f"{side} {normalize_text(abs(told.signed_quantity))} contracts"
        why = "it is not in the listing that orders are made by: close it at BitMart by hand"
        report.position(connector, (told.symbol, told.book), found=size).update(state=FAILED, why=why)
    for key, (instrument, quantity, why) in found.unsettled.items():
        row = report.position(connector, key, found=drift.described(quantity, instruments.in_words(instrument)))
        if row["state"] != FAILED:
            row |= {"state": CLOSING, "why": why}
    to_send = []
    for key, (instrument, quantity) in found.held.items():
        row = report.position(connector, key, found=drift.described(quantity, instruments.in_words(instrument)))
        if row["state"] != FAILED:
            to_send.append(_closed_by(flatten, connector, (instrument, key[1]), quantity, row))
    report.close_others(connector, found.held.keys() | found.unsettled.keys())
    return to_send


def _closed_by(
    flatten: Flatten, connector: Connector, place: tuple[Instrument, Book], quantity: Decimal, row: Row
) -> list[UUID]:
    """Write what closes one position; return the orders of it that may go now. `row` tells why there are none."""
    instrument, book = place
    symbol = instrument.symbol
    if row["state"] == CLOSED:
        row |= {"state": CLOSING, "left": ""}
    with leases.held(connector.pk, symbol) as lease:
        if connector.market == Market.SPOT:
            if lease is None or _is_sold_by_others(flatten, connector, symbol, book):
                row["why"] = "another exit of it is under way"
                return []
            # Nothing is on its way now, so our row is whole; what was read before may have been sold since.
            quantity = min(quantity, _ours(connector, symbol, book))
            if quantity < instrument.quantity_step:
                return []
        orders = _closing_orders(flatten, connector, instrument, book, quantity, row)
    if orders is None:
        row["state"] = FAILED
        return []
    return [order.pk for order in orders if _may_go(order)]


@dataclass(frozen=True, slots=True)
class _Found:
    """What an account holds, signed, with its instrument.

    `held` is to be closed. `unsettled` is ours by our fills and not shown, and why that is not believed: an order of
    ours may be the reason, for the reading may be older than a fill, or nobody answers for the symbol. For `unlisted`
    no order can be made here.
    """

    held: dict[Key, tuple[Instrument, Decimal]]
    unsettled: dict[Key, tuple[Instrument, Decimal, str]] = field(default_factory=dict)
    unlisted: tuple[PositionReport, ...] = ()


@dataclass(frozen=True, slots=True)
class _Silent:
    """An account of which nothing was heard: why, and what its row in the report says."""

    why: str
    state: str


def _read(connector: Connector) -> _Found | _Silent:
    """Return what is to be closed, or why nothing was heard."""
    try:
        with priority(Priority.EXIT):
            return _held(connector, open_connector(connector))
    except SealError:
        return _Silent("the stored key cannot be opened", FAILED)
    except ExchangeError as error:
        return _Silent(error.sentence, CLOSING)


def _held(connector: Connector, exchange: Exchange) -> _Found:
    """Return what is to be closed. ExchangeError is no news."""
    if connector.market == Market.FUTURES:
        return _held_on_futures(connector, exchange)
    balances = {balance.currency: balance.total for balance in exchange.balances()}
    rows = Position.unscoped.filter(connector=connector, signed_quantity__gt=0).select_related("instrument")
    held = {}
    for position in rows:
        step = position.instrument.quantity_step
        quantity = floor_to_step(
            min(position.signed_quantity, balances.get(position.instrument.base, Decimal(0))), step
        )
        if quantity >= max(position.instrument.min_quantity, step):
            held[position.symbol, Book(position.book)] = (position.instrument, quantity)
    return _Found(held)


def _held_on_futures(connector: Connector, exchange: Exchange) -> _Found:
    since = world.now() - readings.SETTLING
    told = {(report.symbol, report.book): report for report in exchange.positions() if report.signed_quantity}
    unsettled: dict[Key, tuple[Instrument, Decimal, str]] = {}
    ours = Position.unscoped.filter(connector=connector).exclude(signed_quantity=0).select_related("instrument")
    for position in ours:
        key = (position.symbol, Book(position.book))
        if key in told:
            continue
        if not readings.is_quiet(connector, position.symbol, since=since):
            why = "the exchange does not show it, and our orders in it are not settled"
            unsettled[key] = (position.instrument, position.signed_quantity, why)
            continue
        try:
            # Missing in the list and there when asked for: the list was not whole.
            found = exchange.positions(position.symbol)
        except ExchangeError as error:
            # It keeps nothing else open.
            unsettled[key] = (position.instrument, position.signed_quantity, error.sentence)
            continue
        told |= {(report.symbol, report.book): report for report in found if report.signed_quantity}
    listed = Instrument.objects.filter(environment=connector.environment, market=connector.market)
    by_symbol = {row.symbol: row for row in listed.filter(symbol__in=[symbol for symbol, _ in told])}
    return _Found(
        {key: (by_symbol[key[0]], row.signed_quantity) for key, row in told.items() if key[0] in by_symbol},
        unsettled,
        tuple(row for (symbol, _), row in told.items() if symbol not in by_symbol),
    )


def _is_sold_by_others(flatten: Flatten, connector: Connector, symbol: str, book: Book) -> bool:
    """On spot nothing is reduce-only: what another exit may have sold already would be sold twice."""
    own = _names(flatten, connector, symbol, book)
    exits = Order.unscoped.filter(connector=connector, symbol=symbol, intent=Intent.EXIT).exclude(pk__in=own)
    under_way = ~Q(state__in=FINAL_STATES) | Q(state=S.NOT_PLACED, next_at__isnull=False) | _UNSETTLED
    return bool(exits.filter(under_way).exists())


def _ours(connector: Connector, symbol: str, book: Book) -> Decimal:
    position = Position.unscoped.select_related("instrument").get(connector=connector, symbol=symbol, book=book.value)
    return floor_to_step(position.signed_quantity, position.instrument.quantity_step)


def _origin(flatten: Flatten, symbol: str, book: Book, number: int, part: int) -> UUID:
    return uuid5(flatten.pk, f"{symbol}|{book.value}|{number}{f'.{part}' if part else ''}")


def _names(flatten: Flatten, connector: Connector, symbol: str, book: Book) -> dict[UUID, int]:
    """Return the ids that closing orders of the position may have, with their round."""
    return {
        order_id(_origin(flatten, symbol, book, number, part), connector_id=connector.pk, leg=LEG): number
        for number in range(1, MOST_ROUNDS + 1)
        for part in range(MOST_PARTS)
    }


def _closing_orders(
    flatten: Flatten, connector: Connector, instrument: Instrument, book: Book, quantity: Decimal, row: Row
) -> list[Order] | None:
    """Return the orders that close the position: those under way, or new ones; None when the rounds are used up.

    A worker that dies between two parts leaves a round that closes less; the next one closes the rest.
    """
    names = _names(flatten, connector, instrument.symbol, book)
    known = list(Order.unscoped.filter(pk__in=names).select_related("connector", "instrument").order_by("created_at"))
    under_way = [order for order in known if _is_under_way(order)]
    if under_way:
        return under_way
    words = instruments.in_words(instrument)
    made = {names[order.pk] for order in known}
    for number in range(1, MOST_ROUNDS + 1):
        if number in made:
            continue
        parts = _parts(abs(quantity), words)
        return [
            close(
                connector,
                instrument,
                book,
                size.copy_sign(quantity),
                origin_id=_origin(flatten, instrument.symbol, book, number, part),
                cause="close everything",
            )
            for part, size in enumerate(parts)
        ]
    bad = [order for order in known if order.state != S.FILLED]
    row["why"] = f"{drift.described(quantity, words)} are still held after {len(known)} closing orders"
    if bad:
        row["why"] = bad[-1].reason or f"the closing order ended {bad[-1].get_state_display()}"
    return None


def _is_under_way(order: Order) -> bool:
    if not order.is_final or (order.state == S.NOT_PLACED and order.next_at is not None):
        return True
    if order.state == S.CANCELED and order.next_at is not None and not order.reduce_only and not inferred_of(order):
        # On spot nothing but our row says how much is ours, and its last fills may not be told yet.
        return True
    # The reading may be older than the fill.
    return order.state == S.FILLED and order.finished_at is not None and world.now() - order.finished_at < AGAIN * 3


def _parts(quantity: Decimal, words: InstrumentWords) -> list[Decimal]:
    """Return what one round of orders carries of it, no order above the exchange's largest."""
    parts: list[Decimal] = []
    while quantity and len(parts) < MOST_PARTS:
        parts.append(largest_part(quantity, words))
        quantity -= parts[-1]
    return parts


def close(
    connector: Connector, instrument: Instrument, book: Book, quantity: Decimal, *, origin_id: UUID, cause: str
) -> Order:
    """Write the order that closes `quantity`, signed as it is held. Whoever looks next sends it."""
    now = world.now()
    name = order_id(origin_id, connector_id=connector.pk, leg=LEG)
    words = instruments.in_words(instrument)
    order = Order(
        id=name,
        workspace_id=connector.workspace_id,
        connector=connector,
        instrument=instrument,
        origin_id=origin_id,
        leg=LEG,
        intent=Intent.EXIT.value,
        symbol=instrument.symbol,
        side=(Side.SELL if quantity > 0 else Side.BUY).value,
        book=book.value,
        quantity=abs(quantity),
        reduce_only=connector.market == Market.FUTURES,
        client_order_id=client_order_id(name, leg=LEG),
        created_at=now,
        next_at=now,
        facts={"sentence": f"Close {drift.described(quantity, words)} of {instrument.symbol}: {cause}."},
    )
    try:
        with transaction.atomic():
            born(order, cause=cause, evidence={"held": normalize_text(quantity)})
    except IntegrityError:
        found: Order = Order.unscoped.select_related("connector", "instrument").get(pk=name)
        return found
    return order


def _may_go(order: Order) -> bool:
    """What the exchange has put off, for its rate or for the key, has its own time and goes by itself then."""
    return order.state == S.PLANNED and (order.next_at is None or order.next_at <= world.now())


def _send(names: list[UUID]) -> None:
    """Send closing orders of one symbol, one after another."""
    orders = list(Order.unscoped.filter(pk__in=names).select_related("connector", "instrument").order_by("created_at"))
    with leases.held(orders[0].connector_id, orders[0].symbol) as lease:
        # While somebody works on the symbol the orders wait a second: they are due, and ours to send then.
        if lease is None:
            return
        for order in orders:
            order.refresh_from_db()
            if not _may_go(order):
                continue
            try:
                lease.renew()
            except leases.LeaseLostError:
                return
            with priority(Priority.EXIT):
                send(order)


def _tell(flatten: Flatten, report: Report) -> None:
    failed = report.failed()
    logger.info("flatten %s: %s of %s closed", flatten.pk, len(report.rows) - len(failed), len(report.rows))
    for connector in _connectors(flatten) if failed else ():
        found = report.of(connector)
        number = len(found.failed())
        if number:
            facts = {"failed": str(number), "found": str(len(found.rows)), "report": str(flatten.pk)}
            incidents.open_incident(connector, IncidentKind.FLATTEN_INCOMPLETE, facts=facts)
