"""An alert on which our own code fails: tried again, and the third time put aside, so that it holds up no other."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

from django.db import InterfaceError, OperationalError

from apps.alerts.models import WAITING, Alert, AlertStatus
from apps.lib import world

logger = logging.getLogger(__name__)

MOST_FAILURES = 3
RETRY = timedelta(seconds=2)
CODE = "INTERNAL_ERROR"


@contextmanager
def watched(alert_id: UUID) -> Iterator[None]:
    """Count what the block raises against the alert. What the database raises because it is away passes through."""
    try:
        yield
    except (OperationalError, InterfaceError):
        raise
    except Exception:  # whatever it is, it must not stop the alerts behind this one
        logger.exception("alert %s failed", alert_id)
        _count(alert_id)


def _count(alert_id: UUID) -> None:
    alert = Alert.unscoped.filter(pk=alert_id, status__in=WAITING).only("reason_code", "facts", "order_id").first()
    if alert is None:
        return
    failures = 1 + (int(alert.facts.get("failures", 0)) if alert.reason_code == CODE else 0)
    sent = "Nothing was sent." if alert.order_id is None else "Its orders are followed by themselves."
    columns: dict[str, object] = {"reason_code": CODE, "facts": {"failures": str(failures)}}
    now = world.now()
    if failures < MOST_FAILURES:
        columns |= {"reason": f"Something went wrong on our side. {sent} Trying again.", "next_at": now + RETRY}
    else:
        logger.error("alert %s put aside after %d failures", alert_id, failures)
        reason = f"Something went wrong on our side, {failures} times. {sent} Please tell support."
        columns |= {"reason": reason, "next_at": None, "finished_at": now, "status": AlertStatus.FAILED}
    Alert.unscoped.filter(pk=alert_id, status__in=WAITING).update(**columns)
