"""What switches entries off by itself: a key that is refused, a key that can withdraw. An open incident is the switch.

It closes by itself once the reason is gone; exits are tried all the while.
"""

import logging
from datetime import timedelta
from uuid import UUID

from django.db.models import F

from apps.connectors.exchange import CredentialsError
from apps.connectors.models import CheckStatus, Connector
from apps.lib import world
from apps.trading import incidents
from apps.trading.incident_kinds import IncidentKind
from apps.trading.models import AccountWatch, Incident

logger = logging.getLogger(__name__)

REFUSED_AT_LEAST = 3
REFUSED_FOR = timedelta(seconds=60)

_WITHDRAWS = [{"what": "Withdrawal", "ok": False}]


def suspect(connector_id: UUID) -> None:
    """A call of ours was refused for its key: have the account read now, which tells whether that stands."""
    AccountWatch.unscoped.filter(connector_id=connector_id, next_at__gt=world.now()).update(next_at=world.now())


def refused(connector: Connector, watch: AccountWatch, error: CredentialsError) -> None:
    """Count a refusal of the key; after three over more than a minute entries are off."""
    now = world.now()
    since = watch.refused_since or now
    AccountWatch.unscoped.filter(pk=watch.pk).update(refused_count=F("refused_count") + 1, refused_since=since)
    if watch.refused_count + 1 < REFUSED_AT_LEAST or now - since <= REFUSED_FOR:
        return
    why = f"{error.sentence} ({error.reason})"
    incidents.open_incident(connector, IncidentKind.KEY_REFUSED, facts={"why": why})


def accepted(connector: Connector, watch: AccountWatch) -> None:
    """The key was accepted: what was refused before is over."""
    if not watch.refused_count:
        return
    AccountWatch.unscoped.filter(pk=watch.pk).update(refused_count=0, refused_since=None)
    incidents.resolve(connector, IncidentKind.KEY_REFUSED, how="The exchange accepts the key again.")


def review_keys() -> None:
    """Act on what the newest checks found about the permission to withdraw."""
    can = Connector.unscoped.filter(deleted_at=None, check_lines__contains=_WITHDRAWS)
    open_now = Incident.unscoped.filter(kind=IncidentKind.WITHDRAWAL_ALLOWED, resolved_at=None)
    for connector in can.exclude(pk__in=open_now.values("connector_id")):
        incidents.open_incident(connector, IncidentKind.WITHDRAWAL_ALLOWED)
    over = open_now.filter(connector__check_status=CheckStatus.OK).exclude(connector__check_lines__contains=_WITHDRAWS)
    for incident in over.select_related("connector"):
        incidents.resolve(
            incident.connector, IncidentKind.WITHDRAWAL_ALLOWED, how="The newest check found no such permission."
        )
