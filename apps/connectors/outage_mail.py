"""The one mail about a venue that fails, to staff. Members see it on their pages: a mail a connector were a storm."""

import logging
from datetime import timedelta
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.urls import reverse

from apps.accounts.models import User
from apps.connectors import outages
from apps.connectors.models import Outage
from apps.lib import world

logger = logging.getLogger(__name__)

CLAIM = timedelta(minutes=1)


def send_due() -> int:
    """Mail every outage that staff were not told of; return how many all of them have. Whom it did not reach is tried
    again a minute later, and nobody else. Opening again is no news.
    """
    sent = 0
    for outage in Outage.objects.filter(mailed_at=None, mail_next_at__lte=world.now()).order_by("mail_next_at"):
        claim = Outage.objects.filter(pk=outage.pk, mailed_at=None, mail_next_at=outage.mail_next_at)
        if claim.update(mail_next_at=world.now() + CLAIM):
            outage.refresh_from_db(fields=["mailed_to"])
            sent += _send(outage)
    return sent


def _send(outage: Outage) -> int:
    context = {
        "outage": outage,
        "venue": outages.label_of(outage.venue),
        "SITE_NAME": settings.SITE_NAME,
        "link": f"{settings.SITE_URL}{reverse('admin:connectors_outage_change', args=[outage.pk])}",
    }
    subject = " ".join(render_to_string("emails/outage-subject.txt", context).split())
    text = render_to_string("emails/outage-text.txt", context)
    told: list[str] = outage.mailed_to or []
    staff = User.objects.filter(is_staff=True, is_active=True).exclude(pk__in=told).order_by("pk")
    failures = 0
    for person in staff:
        try:
            EmailMessage(subject, text, to=[person.email]).send()
        except (SMTPException, OSError) as error:
            logger.warning("outage %s not mailed to one, trying again: %s", outage.pk, type(error).__name__)
            failures += 1
        else:
            told = [*told, str(person.pk)]
            Outage.objects.filter(pk=outage.pk).update(mailed_to=told)
    if failures:
        return 0
    Outage.objects.filter(pk=outage.pk).update(mailed_at=world.now())
    return 1
