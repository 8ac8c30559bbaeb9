"""Reads for the connector pages. What the rooms to the left hang on a connector is reached through its relations."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Count, DateTimeField, DecimalField, OuterRef, Q, QuerySet, Subquery

from apps.accounts.models import Workspace
from apps.accounts.trading_state import TradingState, strictest
from apps.connectors.models import Connector
from apps.lib import world

DAY = timedelta(hours=24)
CROWD = 12
CROWD_WINDOW = timedelta(minutes=3)
_CROWD_LOOKED_AT = 2000


def in_use(workspace: Workspace) -> QuerySet[Connector]:
    return Connector.objects.for_workspace(workspace).filter(deleted_at=None).order_by("created_at", "id")


def with_figures(connectors: QuerySet[Connector]) -> QuerySet[Connector]:
    """Add `equity`, `equity_available`, `equity_currency`, `equity_at` (newest point, None when there is none),
    `pointer_last4` (the current pointer) and `alerts_24h`."""
    return connectors.annotate(
        equity=_newest_point("equity", DecimalField(max_digits=38, decimal_places=18)),
        equity_available=_newest_point("available", DecimalField(max_digits=38, decimal_places=18)),
        equity_currency=_newest_point("currency", None),
        equity_at=_newest_point("at", DateTimeField()),
        pointer_last4=_current_pointer("last4"),
        alerts_24h=Count("alerts", filter=Q(alerts__received_at__gte=world.now() - DAY), distinct=True),
    )


def state_of(connector: Connector) -> str:
    """Return the status (a key of statuses.LOOKS) that says what stands in the way of trading, or that nothing does."""
    state = strictest(connector.trading_state, connector.staff_state)
    if state is TradingState.HALTED:
        return state.value
    if connector.paused_at is not None:
        return "paused"
    if state is TradingState.REDUCE_ONLY:
        return state.value
    return str(connector.check_status)


def open_positions(connector: Connector) -> list[Any]:
    return list(connector.positions.exclude(signed_quantity=Decimal(0)).select_related("instrument").order_by("symbol"))


def live_orders(connector: Connector) -> list[Any]:
    rows = connector.orders.filter(finished_at=None).order_by("created_at")
    return [order for order in rows if not order.is_final]


def last_alert_at(connector: Connector) -> Any:
    return connector.alerts.order_by("-received_at").values_list("received_at", flat=True).first()


def crowded_at(connector: Connector) -> datetime | None:
    """Return when, in the last day, one pointer last had CROWD alerts within CROWD_WINDOW; None when it never had.

    TradingView stops an alert that fires more than 15 times in 3 minutes, and tells nobody but its own list.
    """
    rows = connector.alerts.filter(received_at__gte=world.now() - DAY, parent=None)
    times: dict[UUID, list[datetime]] = {}
    for pointer_id, at in rows.order_by("-received_at").values_list("pointer_id", "received_at")[:_CROWD_LOOKED_AT]:
        times.setdefault(pointer_id, []).append(at)
    crowded = [
        newest
        for newest_first in times.values()
        for newest, oldest in zip(newest_first, newest_first[CROWD - 1 :], strict=False)
        if newest - oldest <= CROWD_WINDOW
    ]
    return max(crowded, default=None)


def _newest_point(column: str, output: Any) -> Subquery:
    points = Connector.unscoped.filter(pk=OuterRef("pk"), equity_points__isnull=False).order_by("-equity_points__at")
    newest = points.values(f"equity_points__{column}")[:1]
    return Subquery(newest, output_field=output) if output is not None else Subquery(newest)


def _current_pointer(column: str) -> Subquery:
    rows = Connector.unscoped.filter(pk=OuterRef("pk"), pointers__revoked_at=None, pointers__expires_at=None)
    return Subquery(
        rows.filter(pointers__isnull=False).order_by("-pointers__created_at").values(f"pointers__{column}")[:1]
    )
