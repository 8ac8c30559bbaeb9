"""The one mail about a venue that fails, to staff. Members see it on their pages: a mail a connector were a storm."""

from datetime import timedelta

from django.conf import settings
from django.urls import reverse

from apps.accounts import mailing
from apps.accounts.models import User
from apps.connectors import outages
from apps.connectors.models import Outage
from apps.lib import world

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


def _send(outage: Outage) -> bool:
    context = {
        "outage": outage,
        "venue": outages.label_of(outage.venue),
        "link": f"{settings.SITE_URL}{reverse('admin:connectors_outage_change', args=[outage.pk])}",
    }
    staff = User.objects.filter(is_staff=True, is_active=True).order_by("pk")
    return mailing.tell(outage, staff, about="outage", context=context)
