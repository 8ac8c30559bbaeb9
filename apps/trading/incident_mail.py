"""The mail that tells of an incident. The row is the outbox: sent at least once, tried again until it went out."""

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.urls import reverse

from apps.accounts import mailing
from apps.accounts.models import Membership, Role, User
from apps.lib import world
from apps.trading.models import Incident

CLAIM = timedelta(minutes=1)
LOT = 50


def send_due() -> int:
    """Mail every incident that not all were told of; return how many all of them have by now.

    Whom it did not reach is tried again a minute later, and nobody else.
    """
    due = Incident.unscoped.filter(mailed_at=None, mail_next_at__lte=world.now()).order_by("mail_next_at")
    sent = 0
    for incident_id, next_at in list(due.values_list("pk", "mail_next_at")[:LOT]):
        claim = Incident.unscoped.filter(pk=incident_id, mailed_at=None, mail_next_at=next_at)
        if claim.update(mail_next_at=world.now() + CLAIM):
            sent += _send(incident_id)
    return sent


def _send(incident_id: UUID) -> bool:
    incident = Incident.unscoped.select_related("connector", "workspace").get(pk=incident_id)
    context = {
        "incident": incident,
        "connector": incident.connector,
        "link": f"{settings.SITE_URL}{reverse('trading:incident', args=[incident.pk])}",
    }
    return mailing.tell(incident, _owners(incident), about="incident", context=context)


def _owners(incident: Incident) -> list[User]:
    owners = Membership.objects.filter(workspace_id=incident.workspace_id, role=Role.OWNER, user__is_active=True)
    return [membership.user for membership in owners.select_related("user").order_by("created_at")]
