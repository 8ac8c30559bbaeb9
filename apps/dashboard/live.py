"""What moves on the dashboard, taken together in a bounded handful of queries."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from apps.accounts.models import Workspace
from apps.alerts import queries as alerts
from apps.alerts.models import AlertStatus
from apps.alerts.queries import AlertRow
from apps.connectors.models import Connector, Environment
from apps.dashboard.queries import Attention, attention
from apps.trading import queries as trading
from apps.trading.models import ZERO, OrderState
from apps.trading.queries import OpenPosition

CURRENCY = "USDT"
LAST_ALERTS = 10
_IN_THIS_ORDER = (Environment.LIVE.value, Environment.PAPER.value)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One environment's figures, in USDT; None = not known (no equity point yet, or a position without a price).

    `other_earnings` is what was earned or paid today in other coins, by currency.
    """

    environment: str
    environments: tuple[str, ...]
    has_connectors: bool
    equity: Decimal | None
    equity_at: datetime | None
    unvalued: tuple[str, ...]
    unrealized: Decimal | None
    realized_today: Decimal
    other_earnings: tuple[tuple[str, Decimal], ...]
    exposure: Decimal | None
    positions: tuple[OpenPosition, ...]
    alerts_today: int
    alerts_refused_today: int
    orders_today: int
    orders_filled_today: int
    last_alerts: tuple[AlertRow, ...]
    attention: tuple[Attention, ...]

    @property
    def is_active(self) -> bool:
        """True while numbers move by themselves or an alert is being worked on."""
        return bool(self.positions) or any(row.alert.is_waiting for row in self.last_alerts)


def snapshot(workspace: Workspace, *, today: datetime, environment: str = "") -> Snapshot:
    """Return the figures of `environment`; empty or not in use: live when there is a live connector, else paper.

    `today` is when the reader's day began.
    """
    connectors = list(Connector.objects.for_workspace(workspace).filter(deleted_at=None).order_by("created_at", "id"))
    environments = tuple(
        value for value in (Environment.LIVE.value, Environment.PAPER.value) if _uses(connectors, value)
    )
    shown = environment if environment in environments else next(iter(environments), Environment.PAPER.value)
    points = trading.newest_equity(workspace, environment=shown)
    open_now = trading.open_positions(workspace, environment=shown, in_use=True)
    earned = trading.realized_by_currency(workspace, today, environment=shown)
    heard = alerts.alerts_by_status(workspace, today, environment=shown)
    ordered = trading.orders_by_state(workspace, today, environment=shown)
    last = alerts.listing(workspace).filter(connector__environment=shown, parent=None).order_by("-received_at", "-id")
    return Snapshot(
        environment=shown,
        environments=environments,
        has_connectors=bool(connectors),
        equity=sum((point.equity for point in points), ZERO) if points else None,
        equity_at=min((point.at for point in points), default=None),
        unvalued=tuple(sorted({currency for point in points for currency in point.unvalued})),
        unrealized=trading.unrealized_total(open_now),
        realized_today=earned.pop(CURRENCY, ZERO),
        other_earnings=tuple(earned.items()),
        exposure=trading.exposure_total(open_now),
        positions=tuple(open_now),
        alerts_today=sum(heard.values()),
        alerts_refused_today=heard.get(AlertStatus.REJECTED, 0) + heard.get(AlertStatus.FAILED, 0),
        orders_today=sum(ordered.values()),
        orders_filled_today=ordered.get(OrderState.FILLED, 0),
        last_alerts=tuple(alerts.rows_of(workspace, last[:LAST_ALERTS])),
        attention=attention(workspace, connectors, has_doubts=OrderState.UNKNOWN in ordered),
    )


def _uses(connectors: list[Connector], environment: str) -> bool:
    return any(connector.environment == environment for connector in connectors)
