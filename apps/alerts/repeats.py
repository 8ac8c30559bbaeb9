"""A delivery that equals an earlier one: sent again, or meant twice."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import QuerySet

from apps.alerts.models import Alert, AlertStatus
from apps.alerts.reading import mark_duplicate, set_reason
from apps.connectors.exchange import Market, Side
from apps.connectors.policies import SuspectedDuplicate
from apps.lib.compiled import Compiled
from apps.lib.statements import Asked

SAME_FIRING = timedelta(seconds=4)
REDELIVERY = timedelta(seconds=60)


def cannot_be(alert: Alert) -> bool:
    """True for what its sender or a person says is new."""
    return bool(alert.external_id) or alert.released_at is not None


def is_repeat(alert: Alert, original: Alert | None) -> bool:
    """Decide about a delivery that equals an earlier one; True when it must not run now.

    `original` is what `asked` found. With an id of its own the sender has said that it is new. Identical bodies 4 to
    60 s apart are re-deliveries. Closer together they may be two firings: an exit runs (it cannot close more than is
    held, see `only_closes`), a test too, an entry does what is set.
    """
    if original is None or cannot_be(alert):
        return False
    apart = alert.received_at - original.received_at
    choice = alert.connector.suspected_duplicate
    opens = not alert.is_exit and alert.understood.get("test") != "true"
    if apart >= SAME_FIRING or (choice == SuspectedDuplicate.DROP and opens):
        mark_duplicate(alert, original)
        return True
    if not opens or choice == SuspectedDuplicate.RUN:
        return False
    sentence = (
        f"Held: the same entry arrived {apart.total_seconds():.3f} s earlier. If both were meant, press Run it; "
        "put {{timenow}} or an id into the message to tell them apart."
    )
    set_reason(alert, "SUSPECTED_DUPLICATE", sentence, {"original": str(original.pk)})
    alert.status = AlertStatus.HELD
    alert.next_at = None
    return True


def only_closes(alert: Alert, original: Alert | None) -> bool:
    """Whether this alert, which is to run, may open nothing: an exit that equals one of a moment ago.

    An order that closes and opens the other side is an exit too, and run as a second one it would open that side again.
    """
    if original is None or not alert.is_exit or alert.connector.suspected_duplicate == SuspectedDuplicate.RUN:
        return False
    # On spot a sell opens nothing, and what it says of the strategy's short still counts.
    return alert.connector.market != Market.SPOT or alert.understood.get("action") == Side.BUY


def asked(alert: Alert) -> Asked:
    """Ask for the delivery within a minute before this one that says the same: the oldest, of exits the newest.

    Where the two disagree an entry is held to be sent again and does nothing, and an exit to be meant: it closes.
    """
    at = alert.received_at
    return (_newest if alert.is_exit else _oldest).asked(
        connector=alert.connector_id,
        fingerprint=bytes(alert.fingerprint or b""),
        pk=alert.pk,
        at=at,
        since=at - REDELIVERY,
    )


def _earlier(connector: UUID, fingerprint: bytes, pk: UUID, at: datetime, since: datetime) -> QuerySet[Alert]:
    rows: QuerySet[Alert] = Alert.unscoped.filter(connector_id=connector, fingerprint=fingerprint, duplicate_of=None)
    rows = rows.filter(received_at__lte=at, received_at__gt=since).exclude(status=AlertStatus.HELD)
    # Two deliveries of one microsecond are told apart by their ids.
    return rows.exclude(pk=pk).exclude(received_at=at, id__gt=pk)


_oldest = Compiled(lambda **values: _earlier(**values).order_by("received_at", "id")[:1])
_newest = Compiled(lambda **values: _earlier(**values).order_by("-received_at", "-id")[:1])
