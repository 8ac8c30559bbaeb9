"""What staff should look at first, over all workspaces."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import Manager
from django.urls import reverse

from apps.alerts.models import WAITING, Alert, AlertStatus
from apps.connectors.models import Connector, Outage
from apps.dashboard import health
from apps.lib import world
from apps.trading.models import Incident, Order, OrderState

# Shown as "more than this many": a count over a table that grows is not paid for on every visit.
MOST = 99
OVERDUE = timedelta(seconds=30)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Look:
    """`count` as text; `is_calm` when there is nothing to do; `url` of the list that shows the rows, "" without one."""

    what: str
    count: str
    is_calm: bool
    url: str = ""


def looks() -> list[Look]:
    """Return each thing that may need staff, in the order of urgency. One bounded query each."""
    now = world.now()
    waiting = {"status__in": sorted(WAITING), "next_at__lt": now - OVERDUE}
    failed = {"status": AlertStatus.FAILED, "received_at__gt": now - DAY}
    held_up = {"staff_state__in": ["halted", "reduce_only"], "deleted_at__isnull": True}
    return [
        _look("Exchanges where new positions are off", Outage.objects, {"closed_at__isnull": True}),
        _look("Open incidents", Incident.unscoped, {"resolved_at__isnull": True}),
        _look("Orders in doubt", Order.unscoped, {"state": OrderState.UNKNOWN}),
        _look("Alerts that wait for more than 30 s", Alert.unscoped, waiting),
        _look("Alerts that failed in a day", Alert.unscoped, failed),
        _look("Connectors that are halted or exits only by staff", Connector.unscoped, held_up),
        *_processes(now),
    ]


def _look(what: str, rows: Manager[Any], asked: dict[str, Any]) -> Look:
    """Count the rows, and link to the list that the same conditions give."""
    count = rows.filter(**asked).order_by()[: MOST + 1].count()
    url = reverse(f"admin:{rows.model._meta.app_label}_{rows.model._meta.model_name}_changelist")
    query = urlencode({name: _in_url(value) for name, value in asked.items()})
    return Look(what, f"more than {MOST}" if count > MOST else str(count), count == 0, f"{url}?{query}")


def _in_url(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)


def _processes(now: datetime) -> list[Look]:
    """Return for each kind of process how long ago one was heard of."""
    newest = health.last_heard_of()
    return [_process(kind, newest.get(kind), now) for kind in sorted({*health.KINDS, *newest})]


def _process(kind: str, at: datetime | None, now: datetime) -> Look:
    ago = "never" if at is None else f"{max(0, int((now - at).total_seconds()))} s ago"
    return Look(f"{kind.capitalize()} last heard of", ago, at is not None and now - at <= health.FRESH)
