"""The exchange's truth beside our rows. Trades nothing: it tells, and takes over what the trader lets it take over.

Each connector in use has a watch that says when its account is read next: every 30 s while something is open, every 5
minutes when flat, at once when a process starts. A query that failed is no news, never "flat". A difference counts only
while no order of the symbol is under way, and only when it was there in three readings in a row.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import Q

from apps.connectors import instruments, lifecycle
from apps.connectors.exchange import (
    Book,
    CredentialsError,
    Exchange,
    ExchangeError,
    Market,
    OrderType,
    PositionReport,
)
from apps.connectors.models import Connector, Instrument, MarketPrice
from apps.connectors.opening import open_connector
from apps.connectors.policies import ExternalTrades
from apps.connectors.sealing import SealError
from apps.lib import world
from apps.lib.pool import run_all
from apps.trading import bookings, breakers, drift, incidents, orphans
from apps.trading.adjusting import adjust
from apps.trading.following import look
from apps.trading.incident_kinds import IncidentKind
from apps.trading.models import (
    FINAL_STATES,
    AccountWatch,
    Adjustment,
    EquityPoint,
    Fill,
    Order,
    OrderState,
    Position,
    Protection,
    ProtectionState,
)

logger = logging.getLogger(__name__)

VALUED_IN = "USDT"
WHILE_OPEN = timedelta(seconds=30)
WHILE_FLAT = timedelta(minutes=5)
WHILE_DIFFERING = timedelta(seconds=10)
CLAIM = timedelta(minutes=1)
IN_A_ROW = 3
# With an order of ours in the book the exchange may move the position first and tell of the fill much later.
IN_A_ROW_WHILE_RESTING = 12
# An order that ended so shortly before a reading may not be in it yet.
SETTLING = timedelta(seconds=5)
LOT = 200

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Reading:
    """What the account holds, by (symbol, book), signed; on spot the whole balance of the coin of each position."""

    started_at: datetime
    held: Mapping[Key, Decimal]
    reports: Mapping[Key, PositionReport]


def poll_due(*, overdue_by: timedelta = timedelta(0)) -> int:
    """Read every account whose reading is due; return how many were."""
    _watch_all()
    breakers.review_keys()
    now = world.now()
    due = AccountWatch.unscoped.filter(next_at__lte=now - overdue_by, connector__deleted_at=None)
    due = due.exclude(connector__sealed_access_key="").order_by("next_at")
    claimed = []
    for watch_id, next_at in list(due.values_list("pk", "next_at")[:LOT]):
        if AccountWatch.unscoped.filter(pk=watch_id, next_at=next_at).update(next_at=now + CLAIM):
            claimed.append(watch_id)
    run_all(_poll, claimed)
    return len(claimed)


def make_all_due() -> None:
    """A process that starts does not know what happened while it was away."""
    AccountWatch.unscoped.filter(next_at__gt=world.now()).update(next_at=world.now())


def _watch_all() -> None:
    unwatched = Connector.unscoped.filter(deleted_at=None, watch=None).exclude(sealed_access_key="")
    AccountWatch.unscoped.bulk_create(
        [AccountWatch(workspace_id=row.workspace_id, connector=row) for row in unwatched[:LOT]], ignore_conflicts=True
    )


def _poll(watch_id: UUID) -> None:
    watch = AccountWatch.unscoped.select_related("connector", "connector__workspace").get(pk=watch_id)
    connector: Connector = watch.connector
    differing: dict[str, int] = dict(watch.differing)
    try:
        exchange = open_connector(connector)
        if watch.refused_count:
            # Reading needs the access key alone: only a signed call tells that secret and memo are right again.
            exchange.verify_signature()
        reading = read(connector, exchange)
        breakers.accepted(connector, watch)
        orphans.sweep_account(connector, watch, exchange)
        differing = compare(connector, exchange, reading, differing)
        if connector.market == Market.FUTURES:
            bookings.take_over(connector, watch, exchange)
    except CredentialsError as error:
        breakers.refused(connector, watch, error)
        pause = WHILE_OPEN
    except (ExchangeError, SealError) as error:
        logger.warning("account of connector %s not read: %s", connector.pk, error)
        pause = WHILE_OPEN
    else:
        AccountWatch.unscoped.filter(pk=watch_id).update(read_at=reading.started_at)
        pause = WHILE_DIFFERING if differing else WHILE_OPEN if _is_in_use(connector, reading) else WHILE_FLAT
    AccountWatch.unscoped.filter(pk=watch_id).update(next_at=world.now() + pause, differing=differing)


def read(connector: Connector, exchange: Exchange) -> Reading:
    """Ask what the account holds. ExchangeError is no news."""
    started = world.now()
    if connector.market == Market.FUTURES:
        reports = {(report.symbol, report.book.value): report for report in exchange.positions()}
        return Reading(started, {key: report.signed_quantity for key, report in reports.items()}, reports)
    total = {balance.currency: balance.total for balance in exchange.balances()}
    rows = Position.unscoped.filter(connector=connector).exclude(signed_quantity=0).select_related("instrument")
    held = {(row.symbol, row.book): total.get(row.instrument.base, Decimal(0)) for row in rows}
    return Reading(started, held, {})


def compare(connector: Connector, exchange: Exchange, reading: Reading, differing: Mapping[str, int]) -> dict[str, int]:
    """Note what the exchange holds beside each position and deal with what differs; return the new counts."""
    rows = {
        (row.symbol, row.book): row
        for row in Position.unscoped.filter(connector=connector).select_related("instrument")
        if row.signed_quantity or (row.symbol, row.book) in reading.held or row.exchange_quantity
    }
    mixed = _symbols_of_another_mode(connector, rows, reading)
    counts: dict[str, int] = {}
    for key in {*rows, *reading.held}:
        symbol, book = key
        position, theirs = rows.get(key), reading.held.get(key, Decimal(0))
        instrument = position.instrument if position else _instrument(connector, symbol)
        if instrument is None:
            logger.warning("connector %s holds %s, which is not listed", connector.pk, symbol)
            continue
        ours = position.signed_quantity if position else Decimal(0)
        if position is not None:
            Position.unscoped.filter(pk=position.pk).update(exchange_quantity=theirs, reconciled_at=reading.started_at)
        name = f"{symbol}|{book}"
        if symbol in mixed:
            continue
        if not drift.differs(ours, theirs, instrument=instruments.in_words(instrument)):
            incidents.resolve(connector, IncidentKind.POSITION_DIFFERS, symbol=symbol, how="Both say the same again.")
            continue
        if not is_quiet(connector, symbol, since=reading.started_at - SETTLING):
            continue
        counts[name] = differing.get(name, 0) + 1
        if counts[name] == 1:
            _look_at_guards(connector, symbol)
        if counts[name] < IN_A_ROW or not _is_ours_read(connector, exchange, symbol, readings=counts[name]):
            continue
        report = reading.reports.get(key)
        if _settle(connector, exchange, instrument, Book(book), ours=ours, theirs=theirs, report=report):
            del counts[name]
    return counts


def _settle(
    connector: Connector,
    exchange: Exchange,
    instrument: Instrument,
    book: Book,
    *,
    ours: Decimal,
    theirs: Decimal,
    report: PositionReport | None,
) -> bool:
    """Do what the trader chose about a difference that stands; True when both say the same afterwards."""
    symbol, words = instrument.symbol, instruments.in_words(instrument)
    facts = {"ours": drift.described(ours, words), "theirs": drift.described(theirs, words)}
    is_futures = connector.market == Market.FUTURES
    since = world.now() - WHILE_FLAT * 2
    if is_futures and not theirs and any(row.signed_quantity for row in exchange.positions(symbol)):
        # Missing in the list and there when asked for: the list was not whole.
        return False
    is_less = is_futures and abs(theirs) < abs(ours)
    liquidated = is_less and bookings.was_liquidated(exchange, symbol, since=since)
    policy = ExternalTrades(connector.external_trades)
    if policy is not ExternalTrades.ADOPT and not liquidated:
        _show_beside(connector, instrument, book, theirs)
        did = "Entries and exits go on."
        if policy is ExternalTrades.PAUSE:
            lifecycle.pause(connector)
            did = "The connector is paused: no new positions, exits still work."
        incidents.open_incident(
            connector, IncidentKind.POSITION_DIFFERS, symbol=symbol, facts={**facts, "did": did, "book": book.value}
        )
        return False
    done = adjust(
        connector,
        instrument,
        book,
        expected=ours,
        # On spot what the owner has beyond our position stays his own.
        target=theirs,
        price=report.avg_entry_price if report else None,
        cause=Adjustment.Cause.LIQUIDATED if liquidated else Adjustment.Cause.EXTERNAL,
    )
    if done is None:
        return False
    facts["difference"] = drift.described(done.change, words)
    kind = IncidentKind.POSITION_LIQUIDATED if liquidated else IncidentKind.POSITION_EXTERNAL
    incidents.open_incident(connector, kind, symbol=symbol, facts=facts)
    how = "The exchange's figure was taken over."
    incidents.resolve(connector, IncidentKind.POSITION_DIFFERS, symbol=symbol, how=how)
    return True


def _show_beside(connector: Connector, instrument: Instrument, book: Book, theirs: Decimal) -> None:
    """Have a row that can show the exchange's figure, also where we never had a position."""
    Position.unscoped.get_or_create(
        connector=connector,
        symbol=instrument.symbol,
        book=book.value,
        defaults={
            "workspace_id": connector.workspace_id,
            "instrument": instrument,
            "exchange_quantity": theirs,
            "reconciled_at": world.now(),
        },
    )


def is_quiet(connector: Connector, symbol: str, *, since: datetime) -> bool:
    """True when nothing of ours may have moved the position around the reading."""
    orders = Order.unscoped.filter(connector=connector, symbol=symbol)
    resting = Q(state__in=[OrderState.ACCEPTED, OrderState.PARTIAL], order_type=OrderType.LIMIT)
    under_way = orders.exclude(state__in=FINAL_STATES).exclude(resting)
    # A closing order that is planned anew, or a cancelled one whose last fills are asked for once more.
    unsettled = orders.filter(state__in=[OrderState.NOT_PLACED, OrderState.CANCELED], next_at__isnull=False)
    if under_way.exists() or unsettled.exists() or orders.filter(finished_at__gte=since).exists():
        return False
    if _has_guard_to_follow(connector, symbol):
        return False
    return not Fill.unscoped.filter(connector=connector, symbol=symbol, recorded_at__gte=since).exists()


def _is_ours_read(connector: Connector, exchange: Exchange, symbol: str, *, readings: int) -> bool:
    """Look for what of our own may explain a difference: fills of resting orders, orders that nobody remembers.

    False when there is any, or may be: then the difference is not settled by this reading.
    """
    resting = Order.unscoped.filter(connector=connector, symbol=symbol).exclude(state__in=FINAL_STATES)
    orders = list(resting.select_related("connector", "instrument"))
    for order in orders:
        before = order.filled_quantity
        if not look(order) or order.filled_quantity != before:
            return False
    settled_at = IN_A_ROW_WHILE_RESTING if orders else IN_A_ROW
    if readings in {IN_A_ROW, settled_at} and orphans.sweep_symbol(connector, exchange, symbol):
        return False
    return readings >= settled_at


def _look_at_guards(connector: Connector, symbol: str) -> None:
    """Make them due: the position counts as not quiet until each was seen where it was, or followed."""
    live = Protection.unscoped.filter(connector=connector, symbol=symbol, state=ProtectionState.LIVE)
    live.filter(next_at__gt=world.now()).update(next_at=world.now())


def _has_guard_to_follow(connector: Connector, symbol: str) -> bool:
    """True while a stop or profit may have fired that nobody has looked for yet: what it traded is ours."""
    guards = Protection.unscoped.filter(connector=connector, symbol=symbol)
    in_doubt = Q(state__in=[ProtectionState.SUBMITTING, ProtectionState.UNKNOWN, ProtectionState.CANCELLING])
    not_seen = Q(state=ProtectionState.LIVE) & (Q(missing_count__gt=0) | Q(next_at__lte=world.now()))
    return guards.filter(in_doubt | not_seen).exists()


def _symbols_of_another_mode(connector: Connector, rows: Mapping[Key, Position], reading: Reading) -> frozenset[str]:
    """Return the symbols whose rows are of one position mode while the exchange tells of the other one."""
    found: set[str] = set()
    for symbol, book in reading.held:
        other = [row for (name, own), row in rows.items() if name == symbol and row.signed_quantity and own != book]
        if not any((row.book == Book.NET) != (book == Book.NET.value) for row in other):
            continue
        found.add(symbol)
        words = {True: "one-way", False: "hedge"}
        facts = {"before": words[book != Book.NET.value], "found": words[book == Book.NET.value]}
        incidents.open_incident(connector, IncidentKind.POSITION_MODE, symbol=symbol, facts=facts)
    return frozenset(found)


def _instrument(connector: Connector, symbol: str) -> Instrument | None:
    rows = Instrument.objects.filter(environment=connector.environment, market=connector.market, symbol=symbol)
    return rows.first()


def _is_in_use(connector: Connector, reading: Reading) -> bool:
    if any(reading.held.values()):
        return True
    return Order.unscoped.filter(connector=connector).exclude(state__in=FINAL_STATES).exists()


def record_equity(*, at_least_apart: timedelta = timedelta(seconds=0)) -> None:
    """Write one equity point for every connector that is in use and has none that young."""
    connectors = Connector.unscoped.filter(deleted_at=None).exclude(sealed_access_key="")
    recent = EquityPoint.unscoped.filter(at__gt=world.now() - at_least_apart).values("connector_id")
    run_all(_record_equity, list(connectors.exclude(pk__in=recent).values_list("pk", flat=True)))


def _record_equity(connector_id: UUID) -> None:
    connector = Connector.unscoped.get(pk=connector_id)
    try:
        balances = open_connector(connector).balances()
    except (ExchangeError, SealError) as error:
        logger.info("equity of connector %s not read: %s", connector_id, error)
        return
    equity, unvalued = Decimal(0), []
    for balance in balances:
        price = Decimal(1) if balance.currency == VALUED_IN else _price(connector, balance.currency)
        if price is not None:
            equity += balance.equity * price
        elif balance.equity:
            unvalued.append(balance.currency)
    available = next((balance.available for balance in balances if balance.currency == VALUED_IN), Decimal(0))
    EquityPoint.unscoped.create(
        workspace_id=connector.workspace_id,
        connector=connector,
        at=world.now(),
        equity=equity,
        available=available,
        currency=VALUED_IN,
        unvalued=unvalued,
    )


def _price(connector: Connector, currency: str) -> Decimal | None:
    prices = MarketPrice.objects.filter(
        instrument__environment=connector.environment,
        instrument__base=currency,
        instrument__quote=VALUED_IN,
        instrument__market=connector.market,
    )
    return prices.values_list("last", flat=True).first()
