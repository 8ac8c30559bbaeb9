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

from apps.connectors import lifecycle
from apps.connectors.exchange import (
    Book,
    CredentialsError,
    Exchange,
    ExchangeError,
    Market,
    OrderRejectedError,
    PositionReport,
    RejectReason,
)
from apps.connectors.instruments import in_words
from apps.connectors.models import Connector, Instrument, MarketPrice
from apps.connectors.opening import open_connector
from apps.connectors.policies import ExternalTrades
from apps.connectors.sealing import SealError
from apps.lib import world
from apps.lib.compiled import Compiled, Each, update_asked
from apps.lib.pool import FRESH, run_all
from apps.lib.statements import Asked, ask, run
from apps.trading import bookings, breakers, drift, incidents, orphans
from apps.trading.adjusting import adjust
from apps.trading.firing import sweep_unseen
from apps.trading.following import look
from apps.trading.incident_kinds import IncidentKind
from apps.trading.models import (
    FINAL_STATES,
    AccountWatch,
    Adjustment,
    EquityPoint,
    Order,
    Position,
    ProtectionState,
)
from apps.trading.readings import SETTLING, Key, Reading, beside, is_quiet, noting, read

logger = logging.getLogger(__name__)

VALUED_IN = "USDT"
WHILE_OPEN = timedelta(seconds=30)
WHILE_FLAT = timedelta(minutes=5)
# As long as an account could not be read, it may have been liquidated unseen.
LIQUIDATED_WITHIN = timedelta(days=7)
WHILE_DIFFERING = timedelta(seconds=10)
CLAIM = timedelta(minutes=1)
IN_A_ROW = 3
# With an order of ours in the book the exchange may move the position first and tell of the fill much later.
IN_A_ROW_WHILE_RESTING = 12
LOT = 200
# The longest overdue first. Two processes that claim at once get different accounts, and neither waits. One that was
# flat when it was read is due once something is open for as long as it is read then: a claim is never so far ahead.
_CLAIM_DUE = f"""
WITH due AS MATERIALIZED (
    SELECT watch.id, watch.next_at FROM trading_accountwatch AS watch
    JOIN connectors_connector AS connector ON connector.id = watch.connector_id
    WHERE connector.deleted_at IS NULL AND connector.sealed_access_key <> '' AND (
        watch.next_at <= %s OR watch.next_at > %s AND watch.connector_id IN (
            SELECT connector_id FROM trading_position WHERE signed_quantity <> 0 AND opened_at < %s
        )
    )
    ORDER BY watch.next_at, watch.id LIMIT {LOT} FOR UPDATE OF watch SKIP LOCKED
), claimed AS (
    UPDATE trading_accountwatch AS watch SET next_at = %s FROM due WHERE watch.id = due.id RETURNING watch.id
)
SELECT due.id FROM due JOIN claimed ON claimed.id = due.id ORDER BY due.next_at, due.id
"""  # noqa: S608 - a number of ours

_LOOK_AT_GUARDS = """
UPDATE trading_protection SET next_at = %s WHERE connector_id = %s AND symbol = %s AND state = %s AND next_at > %s
"""


def poll_due(*, overdue_by: timedelta = timedelta(0)) -> int:
    """Read every account whose reading is due; return how many were."""
    _watch_all()
    breakers.review_keys()
    now = world.now()
    due, claimed_until = now - overdue_by, now + CLAIM
    claimed = [row[0] for row in run(_CLAIM_DUE, (due, claimed_until, due - WHILE_OPEN, claimed_until)).rows]
    if claimed:
        found = {watch.pk: watch for watch in _watches(keys=Each(claimed))}
        run_all(_poll, [found[key] for key in claimed if key in found])
    return len(claimed)


def make_all_due() -> None:
    """A process that starts does not know what happened while it was away."""
    AccountWatch.unscoped.filter(next_at__gt=world.now()).update(next_at=world.now())


def _watch_all() -> None:
    unwatched = _unwatched()
    if unwatched:
        rows = [AccountWatch(workspace_id=row.workspace_id, connector=row) for row in unwatched]
        AccountWatch.unscoped.bulk_create(rows, ignore_conflicts=True)


_unwatched: Compiled[Connector] = Compiled(
    lambda: Connector.unscoped.filter(deleted_at=None, watch=None).exclude(sealed_access_key="").order_by("pk")[:LOT]
)
_watches: Compiled[AccountWatch] = Compiled(
    lambda keys: AccountWatch.unscoped.filter(pk__among=keys).select_related("connector")
)


def _poll(watch: AccountWatch) -> None:
    if abs(world.now() + CLAIM - watch.next_at) > FRESH:
        (watch,) = _watches(keys=Each([watch.pk]))
    connector: Connector = watch.connector
    differing: dict[str, int] = dict(watch.differing)
    noted: Reading | None = None
    try:
        exchange = open_connector(connector)
        if watch.refused_count:
            # Reading needs the access key alone: only a signed call tells that secret and memo are right again.
            exchange.verify_signature()
        sweeps = orphans.is_due(watch)
        reading = read(connector, exchange, traded_since=world.now() - orphans.FIRST_LOOK if sweeps else None)
        breakers.accepted(connector, watch)
        if sweeps and orphans.sweep_account(connector, watch, exchange, symbols=reading.symbols):
            # What was found there is ours too.
            reading = beside(connector, reading.started_at, reading.held, reading.reports)
        if _is_as_recorded(reading):
            noted, differing = reading, {}
        else:
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
        watch.read_at = reading.started_at
        holds = any(reading.held.values()) or any(row.signed_quantity for row in reading.rows.values())
        is_in_use = reading.has_open_orders or holds
        pause = WHILE_DIFFERING if differing else WHILE_OPEN if is_in_use else WHILE_FLAT
    # What else the row holds is counted by others too.
    columns = {
        "read_at": watch.read_at,
        "swept_at": watch.swept_at,
        "refused_symbols": watch.refused_symbols,
        "booked_until": watch.booked_until,
    }
    kept = update_asked(AccountWatch, {"next_at": world.now() + pause, "differing": differing, **columns}, id=watch.pk)
    if noted is not None and noted.rows:
        note = noting(noted)
        kept = Asked(f"WITH noted AS ({note.sql}) {kept.sql}", [*note.parameters, *kept.parameters], kept.read)
    ask(kept)


def _is_as_recorded(reading: Reading) -> bool:
    """True when there is nothing to do about any position: both say the same, and no incident says otherwise."""
    rows = reading.rows
    if reading.told or reading.held.keys() - rows.keys() or len({book == Book.NET.value for _, book in rows}) > 1:
        return False
    return not any(
        drift.differs(row.signed_quantity, reading.held.get(key, Decimal(0)), instrument=in_words(row.instrument))
        for key, row in rows.items()
    )


def compare(connector: Connector, exchange: Exchange, reading: Reading, differing: Mapping[str, int]) -> dict[str, int]:
    """Note what the exchange holds beside each position and deal with what differs; return the new counts."""
    rows = reading.rows
    if rows:
        ask(noting(reading))
    how = "Both say the same again."
    for symbol in reading.told - {symbol for symbol, _ in {*rows, *reading.held}}:
        incidents.resolve(connector, IncidentKind.POSITION_DIFFERS, symbol=symbol, how=how)
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
        name = f"{symbol}|{book}"
        if symbol in mixed:
            continue
        if not drift.differs(ours, theirs, instrument=in_words(instrument)):
            if symbol in reading.told:
                incidents.resolve(connector, IncidentKind.POSITION_DIFFERS, symbol=symbol, how=how)
            continue
        if not is_quiet(connector, symbol, since=reading.started_at - SETTLING):
            continue
        counts[name] = differing.get(name, 0) + 1
        if counts[name] == 1:
            _look_at_guards(connector, symbol)
        if counts[name] < IN_A_ROW:
            continue
        report = reading.reports.get(key)
        try:
            missing, number = ours - theirs, counts[name]
            if not _is_ours_read(connector, exchange, instrument, book=book, missing=missing, readings=number):
                continue
            seen = _Difference(ours, theirs, readings=number, report=report)
            if _settle(connector, exchange, instrument, Book(book), seen):
                del counts[name]
        except OrderRejectedError as error:
            # It is about this symbol, which stays as it is; the others are compared all the same. Not counted:
            # only some readings ask for orders that nobody remembers, and the next one would take over unasked.
            counts[name] -= 1
            logger.warning("connector %s: %s not asked about: %s", connector.pk, symbol, error.sentence)
    return counts


@dataclass(frozen=True, slots=True)
class _Difference:
    """Signed quantities that were not the same in so many `readings` in a row; what the exchange says of its own."""

    ours: Decimal
    theirs: Decimal
    readings: int
    report: PositionReport | None


def _settle(
    connector: Connector, exchange: Exchange, instrument: Instrument, book: Book, difference: _Difference
) -> bool:
    """Do what the trader chose about a difference that stands; True when both say the same afterwards."""
    ours, theirs, report = difference.ours, difference.theirs, difference.report
    symbol, words = instrument.symbol, in_words(instrument)
    facts = {"ours": drift.described(ours, words), "theirs": drift.described(theirs, words)}
    is_futures = connector.market == Market.FUTURES
    if is_futures and not theirs and _is_held_when_asked(exchange, instrument, book):
        # Missing in the list and there when asked for: the list was not whole.
        return False
    liquidated = None
    if is_futures and abs(theirs) < abs(ours) and ours * theirs >= 0:
        since = _held_since(connector, symbol, book, readings=difference.readings)
        liquidated = bookings.liquidated(exchange, words, held=ours, since=since)
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
        price=liquidated.price if liquidated else report.avg_entry_price if report else None,
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


def _is_held_when_asked(exchange: Exchange, instrument: Instrument, book: Book) -> bool:
    """Ask for one position by its symbol, one that is no longer listed too: the list of all may not be whole.

    OrderRejectedError when that is refused, which says nothing of the position. Of a symbol that our listing lost as
    well it does: an exchange that names it in neither list, and by name does not know it, holds nothing of it. One
    without the other may be a broken answer, and then nothing is booked.
    """
    try:
        told = exchange.positions(instrument.symbol)
    except OrderRejectedError as error:
        if instrument.is_listed or error.reason is not RejectReason.UNKNOWN_SYMBOL:
            raise
        return False
    return any(row.signed_quantity for row in told if row.book is book)


def _held_since(connector: Connector, symbol: str, book: Book, *, readings: int) -> datetime:
    """Return since when the exchange may have closed of a position what we do not know of.

    That is since it was opened, however long the account could not be read, or since its figure was last taken over:
    by the exchange's clock, which dates its orders. A difference that its owner lets stand is read every few seconds:
    what made it was sought by then.
    """
    longest = LIQUIDATED_WITHIN if readings <= IN_A_ROW_WHILE_RESTING else WHILE_FLAT * 2
    named = Q(connector=connector, symbol=symbol, book=book.value)
    opened = Position.unscoped.filter(named, opened_at__isnull=False).values_list("opened_at", flat=True)
    adjusted = Adjustment.unscoped.filter(named).order_by("-at").values_list("at", flat=True)[:1]
    ahead = timedelta(milliseconds=connector.clock_offset_ms or 0)
    moments: list[datetime] = [world.now() - longest, *opened, *(at + ahead for at in adjusted)]
    return max(moments)


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


def _is_ours_read(
    connector: Connector, exchange: Exchange, instrument: Instrument, *, book: str, missing: Decimal, readings: int
) -> bool:
    """Look for what of our own may explain a difference: fills of resting orders, orders that nobody remembers, guards
    that fired unseen.

    False when there is any, or may be: then the difference is not settled by this reading.
    """
    symbol = instrument.symbol
    orders = _unfinished(connector=connector.pk, symbol=symbol)
    for order in orders:
        before = order.filled_quantity
        if not look(order) or order.filled_quantity != before:
            return False
    settled_at = IN_A_ROW_WHILE_RESTING if orders else IN_A_ROW
    if readings in {IN_A_ROW, settled_at}:
        if orphans.sweep_symbol(connector, exchange, symbol, is_listed=instrument.is_listed):
            return False
        if sweep_unseen(connector.pk, symbol, exchange, book=book, missing=missing):
            return False
    return readings >= settled_at


_unfinished: Compiled[Order] = Compiled(
    lambda connector, symbol: (
        Order.unscoped.filter(connector_id=connector, symbol=symbol)
        .exclude(state__in=sorted(FINAL_STATES))
        .select_related("connector", "instrument")
    )
)


def _look_at_guards(connector: Connector, symbol: str) -> None:
    """Make them due: the position counts as not quiet until each was seen where it was, or followed."""
    now = world.now()
    run(_LOOK_AT_GUARDS, (now, connector.pk, symbol, ProtectionState.LIVE.value, now))


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
