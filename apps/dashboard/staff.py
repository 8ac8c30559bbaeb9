"""What staff should look at first, over all workspaces."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import Model, QuerySet
from django.urls import reverse

from apps.alerts.models import WAITING, Alert, AlertStatus
from apps.connectors.models import Connector
from apps.lib import world
from apps.trading.models import Incident, Order, OrderState, WorkerHeartbeat

# Shown as "more than this many": a count over a table that grows is not paid for on every visit.
MOST = 99
OVERDUE = timedelta(seconds=30)


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
    return [
        _look("Open incidents", Incident.unscoped.filter(resolved_at=None), resolved_at__isempty=1),
        _look("Orders in doubt", Order.unscoped.filter(state=OrderState.UNKNOWN), state__exact="unknown"),
        _look("Alerts that wait for more than 30 s", _waiting(now), status__exact="queued"),
        _look("Alerts that failed in a day", _failed(now), status__exact="failed"),
        _look(
            "Connectors that are halted or exits only by staff",
            Connector.unscoped.filter(deleted_at=None).exclude(staff_state="active"),
            deleted_at__isempty=1,
        ),
        *_processes(now),
    ]


def _waiting(now: datetime) -> QuerySet[Alert]:
    rows: QuerySet[Alert] = Alert.unscoped.filter(status__in=WAITING, next_at__lt=now - OVERDUE)
    return rows


def _failed(now: datetime) -> QuerySet[Alert]:
    rows: QuerySet[Alert] = Alert.unscoped.filter(status=AlertStatus.FAILED, received_at__gt=now - timedelta(days=1))
    return rows


def _look(what: str, rows: QuerySet[Any], **asked: object) -> Look:
    count = rows.order_by()[: MOST + 1].count()
    model: type[Model] = rows.model
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return Look(what, f"more than {MOST}" if count > MOST else str(count), count == 0, f"{url}?{urlencode(asked)}")


def _processes(now: datetime) -> list[Look]:
    """Return for each kind of process how long ago one was heard of."""
    newest: dict[str, datetime] = {}
    for kind, at in WorkerHeartbeat.objects.values_list("kind", "at"):
        newest[kind] = max(at, newest.get(kind, at))
    return [
        Look(f"{kind.capitalize()} last heard of", _ago(now, newest.get(kind)), _is_fresh(now, newest.get(kind)))
        for kind in sorted({"worker", "sweeper"} | newest.keys())
    ]


def _ago(now: datetime, at: datetime | None) -> str:
    return "never" if at is None else f"{max(0, int((now - at).total_seconds()))} s ago"


def _is_fresh(now: datetime, at: datetime | None) -> bool:
    return at is not None and now - at <= OVERDUE
