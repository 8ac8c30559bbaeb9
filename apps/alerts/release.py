"""A person's decision about an alert that was held."""

from apps.alerts.models import Alert, AlertStatus
from apps.alerts.receiving import EXECUTE
from apps.lib import wakeups, world


class NotHeldError(Exception):
    """The alert is not, or no longer, held."""


def run(alert: Alert) -> None:
    """Put a held alert in the queue; its age counts from now. NotHeldError when somebody decided before."""
    now = world.now()
    held = Alert.unscoped.filter(pk=alert.pk, status=AlertStatus.HELD)
    if not held.update(status=AlertStatus.QUEUED, released_at=now, next_at=now, reason_code="", reason="", facts={}):
        raise NotHeldError
    wakeups.publish(EXECUTE)


def dismiss(alert: Alert) -> None:
    """Close a held alert without trading. NotHeldError when somebody decided before."""
    held = Alert.unscoped.filter(pk=alert.pk, status=AlertStatus.HELD)
    closed = {
        "status": AlertStatus.IGNORED,
        "reason_code": "DISMISSED",
        "reason": "Held as a suspected duplicate and dismissed.",
    }
    if not held.update(**closed, finished_at=world.now()):
        raise NotHeldError
