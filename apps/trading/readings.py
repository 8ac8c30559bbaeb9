"""What an account holds beside what we have on record of it, and whether both were still as it was read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from uuid import UUID

from django.db.models import Q, QuerySet

from apps.connectors.exchange import (
    Exchange,
    Market,
    OrderRejectedError,
    OrderReport,
    OrderType,
    PositionReport,
    RejectReason,
)
from apps.connectors.models import Connector
from apps.lib import world
from apps.lib.compiled import Compiled
from apps.lib.statements import Asked, together
from apps.trading.incident_kinds import IncidentKind
from apps.trading.models import (
    OPEN_STATES,
    Fill,
    Incident,
    Order,
    OrderState,
    Position,
    Protection,
    ProtectionState,
)

# An order that ended so shortly before a reading may not be in it yet.
SETTLING = timedelta(seconds=5)

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Reading:
    """What the account holds, by (symbol, book), signed; on spot the whole balance of the coin of each position.

    `rows` are our positions beside it, read right after, `told` the symbols with an open incident about a difference,
    `traded` those with an order of ours, where that was asked for.
    """

    started_at: datetime
    held: Mapping[Key, Decimal]
    reports: Mapping[Key, PositionReport]
    rows: Mapping[Key, Position]
    told: frozenset[str]
    has_open_orders: bool
    traded: frozenset[str] = frozenset()

    @property
    def symbols(self) -> frozenset[str]:
        """What was traded or is held by us."""
        return self.traded.union(row.symbol for row in self.rows.values() if row.signed_quantity)


def read(connector: Connector, exchange: Exchange, *, traded_since: datetime | None = None) -> Reading:
    """Ask what the account holds, and which symbols had an order since. ExchangeError is no news."""
    started = world.now()
    if connector.market == Market.FUTURES:
        reports = {(report.symbol, report.book.value): report for report in exchange.positions()}
        held = {key: report.signed_quantity for key, report in reports.items()}
        return beside(connector, started, held, reports, traded_since=traded_since)
    total = {balance.currency: balance.total for balance in exchange.balances()}
    found = beside(connector, started, {}, {}, traded_since=traded_since)
    ours = {key: row for key, row in found.rows.items() if row.signed_quantity}
    return replace(found, held={key: total.get(row.instrument.base, Decimal(0)) for key, row in ours.items()})


def history_of(exchange: Exchange, symbol: str, *, since: datetime) -> Sequence[OrderReport]:
    """Return a symbol's finished orders since then; none of a symbol that the exchange does not know any more."""
    try:
        return exchange.order_history(symbol, since=since)
    except OrderRejectedError as error:
        if error.reason is not RejectReason.UNKNOWN_SYMBOL:
            raise
        return ()


def open_orders_of(exchange: Exchange, symbol: str) -> Sequence[OrderReport]:
    """Return a symbol's open orders; none of a symbol that the exchange does not know any more."""
    try:
        return exchange.open_orders(symbol)
    except OrderRejectedError as error:
        if error.reason is not RejectReason.UNKNOWN_SYMBOL:
            raise
        return ()


def beside(
    connector: Connector,
    started: datetime,
    held: Mapping[Key, Decimal],
    reports: Mapping[Key, PositionReport],
    *,
    traded_since: datetime | None = None,
) -> Reading:
    """Read what we have on record beside it, in one round trip."""
    positions, told, open_orders, *traded = together(
        _positions.asked(connector=connector.pk),
        _told.asked(connector=connector.pk),
        _open.asked(connector=connector.pk),
        *([] if traded_since is None else [_traded.asked(connector=connector.pk, since=traded_since)]),
    )
    rows = {(row.symbol, row.book): row for row in positions}
    for symbol, book in held.keys() - rows.keys():
        # Flat with us, and so it was at the exchange when it was last read.
        for row in _position(connector=connector.pk, symbol=symbol, book=book):
            rows[symbol, book] = row
    return Reading(started, held, reports, rows, frozenset(told), bool(open_orders), frozenset(*traded))


def _held_by(connector: UUID) -> "QuerySet[Position]":
    return Position.unscoped.filter(connector_id=connector).select_related("instrument")


_positions: Compiled[Position] = Compiled(
    lambda connector: _held_by(connector).filter(
        ~Q(signed_quantity=0) | Q(exchange_quantity__isnull=False) & ~Q(exchange_quantity=0)
    )
)
_position: Compiled[Position] = Compiled(
    lambda connector, symbol, book: _held_by(connector).filter(symbol=symbol, book=book)
)
_told: Compiled[str] = Compiled(
    lambda connector: Incident.unscoped.filter(
        connector_id=connector, kind=IncidentKind.POSITION_DIFFERS, resolved_at=None
    ).values_list("symbol", flat=True)
)
_open: Compiled[UUID] = Compiled(
    lambda connector: Order.unscoped.filter(connector_id=connector, state__in=sorted(OPEN_STATES)).values_list(
        "pk", flat=True
    )[:1]
)


_traded: Compiled[str] = Compiled(
    lambda connector, since: (
        Order.unscoped.filter(connector_id=connector, created_at__gt=since).values_list("symbol", flat=True).distinct()
    )
)


def noting(reading: Reading) -> Asked:
    """Return the statement that notes beside each position what the exchange holds, and when that was read."""
    told = [(row.pk, reading.held.get(key, Decimal(0))) for key, row in reading.rows.items()]
    # The last one again up to a power of two: few texts, and each needs no plan of its own for its number of rows.
    size = 1 << (len(told) - 1).bit_length()
    told += told[-1:] * (size - len(told))
    return Asked(_noting(size), [reading.started_at, *(value for pair in told for value in pair)], lambda _: None)


@lru_cache(maxsize=16)
def _noting(size: int) -> str:
    told = ", ".join(["(%s::uuid, %s::numeric)"] * size)
    return (
        "UPDATE trading_position AS position SET exchange_quantity = told.quantity, reconciled_at = %s "  # noqa: S608
        f"FROM (VALUES {told}) AS told (id, quantity) WHERE position.id = told.id"
    )


def is_quiet(connector: Connector, symbol: str, *, since: datetime) -> bool:
    """True when nothing of ours may have moved the position around the reading."""
    of = {"connector": connector.pk, "symbol": symbol}
    found = together(
        _under_way.asked(**of),
        _ended.asked(**of, since=since),
        _recorded.asked(**of, since=since),
        _guards_to_follow.asked(**of, now=world.now()),
    )
    return not any(found)


def _orders_of(connector: UUID, symbol: str) -> "QuerySet[Order]":
    return Order.unscoped.filter(connector_id=connector, symbol=symbol)


_RESTING = Q(state__in=[OrderState.ACCEPTED, OrderState.PARTIAL], order_type=OrderType.LIMIT)
# A closing order that is planned anew, or a cancelled one whose last fills are asked for once more.
_UNSETTLED = Q(state__in=[OrderState.NOT_PLACED, OrderState.CANCELED], next_at__isnull=False)
_under_way: Compiled[UUID] = Compiled(
    lambda connector, symbol: (
        _orders_of(connector, symbol)
        .filter(Q(state__in=sorted(OPEN_STATES)) & ~_RESTING | _UNSETTLED)
        .values_list("pk", flat=True)[:1]
    )
)
_ended: Compiled[UUID] = Compiled(
    lambda connector, symbol, since: (
        _orders_of(connector, symbol).filter(finished_at__gte=since).values_list("pk", flat=True)[:1]
    )
)
_recorded: Compiled[UUID] = Compiled(
    lambda connector, symbol, since: Fill.unscoped.filter(
        connector_id=connector, symbol=symbol, recorded_at__gte=since
    ).values_list("pk", flat=True)[:1]
)
# A stop or profit may have fired that nobody has looked for yet: what it traded is ours.
_IN_DOUBT = Q(state__in=[ProtectionState.SUBMITTING, ProtectionState.UNKNOWN, ProtectionState.CANCELLING])
_guards_to_follow: Compiled[UUID] = Compiled(
    lambda connector, symbol, now: (
        Protection.unscoped.filter(connector_id=connector, symbol=symbol)
        .filter(_IN_DOUBT | Q(state=ProtectionState.LIVE) & (Q(missing_count__gt=0) | Q(next_at__lte=now)))
        .values_list("pk", flat=True)[:1]
    )
)
