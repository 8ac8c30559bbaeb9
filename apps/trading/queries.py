"""Reads for pages and API. Every one starts at the workspace."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import Count, DateTimeField, F, Func, Q, QuerySet, Sum, Value

from apps.accounts.models import Workspace
from apps.connectors import instruments
from apps.connectors.models import MarketPrice
from apps.lib import world
from apps.trading import accounting, drift
from apps.trading.models import (
    ZERO,
    EquityPoint,
    Fill,
    LedgerEntry,
    Order,
    OrderState,
    Position,
    Protection,
    ProtectionState,
)
from apps.trading.recording import state_of

STALE_AFTER = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class OpenPosition:
    """A position at its mark price. `unrealized_pnl` and `notional` (unsigned) in quote, None without a price.

    `protections`: those at the exchange, on their way or not to be placed, in the order they were asked for. Of a
    deleted connector there is neither price nor protection: what became of the position is not known here.
    """

    position: Position
    mark_price: Decimal | None = None
    mark_at: datetime | None = None
    is_stale: bool = False
    protections: tuple[Protection, ...] = ()

    @property
    def unrealized_pnl(self) -> Decimal | None:
        return None if self.mark_price is None else unrealized_pnl(self.position, self.mark_price)

    @property
    def notional(self) -> Decimal | None:
        if self.mark_price is None:
            return None
        return abs(self.position.signed_quantity) * self.position.instrument.contract_size * self.mark_price

    @property
    def realized_net(self) -> Decimal:
        """Realized PnL of this position's whole history after fees and funding, in quote currency."""
        return self.position.realized_pnl - self.position.fees + self.position.funding

    @property
    def exchange_differs(self) -> bool:
        """True when the exchange's last word on the size is not what our fills add up to.

        A word from before our own last change says nothing: the position was opened, grew or shrank since.
        """
        told, read_at = self.position.exchange_quantity, self.position.reconciled_at
        if told is None or (read_at is not None and read_at < self.position.updated_at):
            return False
        words = instruments.in_words(self.position.instrument)
        return drift.differs(self.position.signed_quantity, told, instrument=words)


def unrealized_pnl(position: Position, mark_price: Decimal) -> Decimal:
    """Return open PnL at mark, in quote currency, before closing fees; 0 when flat."""
    return accounting.unrealized_pnl(state_of(position), mark_price, contract_size=position.instrument.contract_size)


def open_positions(workspace: Workspace, *, environment: str | None = None, in_use: bool = False) -> list[OpenPosition]:
    """Return what is open, oldest first, with what protects it; all environments unless one is named.

    `in_use` leaves out what was open when its connector was deleted.
    """
    rows = positions(workspace).exclude(signed_quantity=ZERO)
    if in_use:
        rows = rows.filter(connector__deleted_at=None)
    if environment is not None:
        rows = rows.filter(connector__environment=environment)
    at_mark = at_market(rows.order_by("opened_at", "symbol", "book"), world.now())
    if not at_mark:
        return []
    found: dict[tuple[UUID, str, str], list[Protection]] = {}
    for one in _standing(workspace, since=min((row.position.opened_at or world.now()) for row in at_mark)):
        found.setdefault((one.connector_id, one.symbol, one.book), []).append(one)
    return [replace(row, protections=_protecting(row.position, found)) for row in at_mark]


def _standing(workspace: Workspace, *, since: datetime) -> QuerySet[Protection]:
    """Return what is at the exchange or on its way, and what could not be placed for an entry filled since then."""
    ended = [ProtectionState.FIRED, ProtectionState.CANCELED, ProtectionState.GONE, ProtectionState.FAILED]
    failed = Q(state=ProtectionState.FAILED, entry__last_fill_at__gte=since)
    return protections(workspace).filter(~Q(state__in=ended) | failed).order_by("created_at", "number")


def _protecting(position: Position, found: Mapping[tuple[UUID, str, str], list[Protection]]) -> tuple[Protection, ...]:
    """Leave out what could not be placed for an earlier position."""
    if position.connector.deleted_at is not None:
        return ()
    rows = found.get((position.connector_id, position.symbol, position.book), [])
    opened_at, failed = position.opened_at, ProtectionState.FAILED
    return tuple(
        row
        for row in rows
        if row.state != failed or (opened_at and row.entry.last_fill_at and row.entry.last_fill_at >= opened_at)
    )


def protections(workspace: Workspace) -> QuerySet[Protection]:
    rows: QuerySet[Protection] = Protection.objects.for_workspace(workspace)
    return rows.select_related("entry", "entry__instrument")


def positions(workspace: Workspace) -> QuerySet[Position]:
    rows: QuerySet[Position] = Position.objects.for_workspace(workspace)
    return rows.select_related("connector", "instrument", "instrument__price")


def at_market(rows: Iterable[Position], now: datetime) -> list[OpenPosition]:
    """Put each position (its instrument's price selected along) at its mark."""
    return [_at_market(row, now) for row in rows]


def unrealized_total(open_now: Iterable[OpenPosition]) -> Decimal | None:
    """Return the sum; None when any position has no price: a part of a sum is not the sum."""
    return _total([row.unrealized_pnl for row in open_now])


def exposure_total(open_now: Iterable[OpenPosition]) -> Decimal | None:
    return _total([row.notional for row in open_now])


def realized_by_currency(
    workspace: Workspace, since: datetime, *, environment: str | None = None
) -> dict[str, Decimal]:
    """Return what was earned since, fees and funding included, positive = received, by currency.

    Deposits and withdrawals (EXTERNAL) are no earnings and left out.
    """
    rows = LedgerEntry.objects.for_workspace(workspace).filter(at__gte=since).exclude(kind=LedgerEntry.Kind.EXTERNAL)
    if environment is not None:
        rows = rows.filter(connector__environment=environment)
    return dict(rows.values_list("currency").annotate(total=Sum("amount")).order_by("currency"))


def lost_since(
    workspace: Workspace, since: datetime, *, currency: str, connectors: Collection[UUID]
) -> dict[UUID, Decimal]:
    """Return what each of the connectors lost since, as its limit of a day counts it: positive for a loss."""
    counted = ("realized_pnl", "fee", "funding", "correction")
    rows = LedgerEntry.objects.for_workspace(workspace).filter(
        at__gte=since, currency=currency, connector_id__in=connectors, kind__in=counted
    )
    return {pk: -total for pk, total in rows.values_list("connector_id").annotate(total=Sum("amount")).order_by()}


def newest_equity(workspace: Workspace, *, environment: str | None = None) -> list[EquityPoint]:
    """Return the last point of each connector in use."""
    points = _points_in_use(workspace, environment)
    return list(points.order_by("connector_id", "-at").distinct("connector_id"))


def equity_series(
    workspace: Workspace, *, since: datetime, bucket: timedelta, environment: str | None = None
) -> list[tuple[datetime, Decimal]]:
    """Return (start of bucket, sum over connectors of the last equity known by its end), oldest first.

    A connector counts from its first point on; a bucket without a point of it repeats the last one.
    """
    binned = Func(Value(bucket), F("at"), Value(since), function="date_bin", output_field=DateTimeField())
    rows = (
        _points_in_use(workspace, environment)
        .filter(at__gte=since)
        .annotate(bucket=binned)
        .order_by("connector_id", "bucket", "-at")
        .distinct("connector_id", "bucket")
        .values_list("bucket", "connector_id", "equity")
    )
    held: dict[UUID, Decimal] = {}
    series: dict[datetime, Decimal] = {}
    for start, connector_id, equity in sorted(rows, key=lambda row: row[0]):
        held[connector_id] = equity
        series[start] = sum(held.values(), ZERO)
    return list(series.items())


def orders(workspace: Workspace) -> QuerySet[Order]:
    rows: QuerySet[Order] = Order.objects.for_workspace(workspace)
    return rows.select_related("connector", "instrument")


def orders_by_state(workspace: Workspace, since: datetime, *, environment: str | None = None) -> dict[str, int]:
    rows = Order.objects.for_workspace(workspace).filter(created_at__gte=since)
    if environment is not None:
        rows = rows.filter(connector__environment=environment)
    return dict(rows.values_list("state").annotate(count=Count("pk")).order_by("state"))


def orders_in_doubt(workspace: Workspace) -> QuerySet[Order]:
    return orders(workspace).filter(state=OrderState.UNKNOWN).order_by("created_at")


def by_origin(workspace: Workspace, origins: Iterable[UUID]) -> Mapping[UUID, list[Order]]:
    """Return what asked -> its orders, in the order they were made; one query for all."""
    found: dict[UUID, list[Order]] = {origin: [] for origin in origins}
    if found:
        for order in orders(workspace).filter(origin_id__in=found).order_by("created_at", "leg"):
            found[order.origin_id].append(order)
    return found


def fills(workspace: Workspace) -> QuerySet[Fill]:
    rows: QuerySet[Fill] = Fill.objects.for_workspace(workspace)
    return rows.select_related("connector", "order", "order__instrument")


def _points_in_use(workspace: Workspace, environment: str | None) -> QuerySet[EquityPoint]:
    rows: QuerySet[EquityPoint] = EquityPoint.objects.for_workspace(workspace).filter(connector__deleted_at=None)
    return rows if environment is None else rows.filter(connector__environment=environment)


def _at_market(position: Position, now: datetime) -> OpenPosition:
    if position.connector.deleted_at is not None:
        return OpenPosition(position)
    try:
        price = position.instrument.price
    except MarketPrice.DoesNotExist:
        return OpenPosition(position)
    return OpenPosition(position, price.mark, price.at, is_stale=now - price.at > STALE_AFTER)


def _total(parts: list[Decimal | None]) -> Decimal | None:
    known = [part for part in parts if part is not None]
    return None if len(known) < len(parts) else sum(known, ZERO)
