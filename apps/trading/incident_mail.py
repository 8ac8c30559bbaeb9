"""The mail that tells of an incident. The row is the outbox: sent at least once, tried again until it went out."""

import logging
from datetime import timedelta
from smtplib import SMTPException
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.urls import reverse

from apps.accounts.models import Membership, Role, User
from apps.lib import world
from apps.trading.models import Incident

logger = logging.getLogger(__name__)

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


def _send(incident_id: UUID) -> int:
    incident = Incident.unscoped.select_related("connector", "workspace").get(pk=incident_id)
    context = {
        "incident": incident,
        "connector": incident.connector,
        "SITE_NAME": settings.SITE_NAME,
        "link": f"{settings.SITE_URL}{reverse('trading:incident', args=[incident.pk])}",
    }
    subject = " ".join(render_to_string("emails/incident-subject.txt", context).split())
    text = render_to_string("emails/incident-text.txt", context)
    told: list[str] = incident.mailed_to or []
    failures = 0
    for owner in (one for one in _owners(incident) if str(one.pk) not in told):
        try:
            EmailMessage(subject, text, to=[owner.email]).send()
        except (SMTPException, OSError) as error:
            logger.warning("incident %s not mailed to one, trying again: %s", incident_id, type(error).__name__)
            failures += 1
        else:
            told = [*told, str(owner.pk)]
            Incident.unscoped.filter(pk=incident_id).update(mailed_to=told)
    if failures:
        return 0
    Incident.unscoped.filter(pk=incident_id).update(mailed_at=world.now())
    return 1


def _owners(incident: Incident) -> list[User]:
    owners = Membership.objects.filter(workspace_id=incident.workspace_id, role=Role.OWNER, user__is_active=True)
    return [membership.user for membership in owners.select_related("user").order_by("created_at")]
