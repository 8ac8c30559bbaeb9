"""Mail to several people about one row, which is its own outbox: it names who was told, and when all were."""

import logging
from collections.abc import Iterable, Mapping
from smtplib import SMTPException
from typing import Any, Protocol

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string

from apps.accounts.models import User
from apps.lib import world

logger = logging.getLogger(__name__)


class Outbox(Protocol):
    """`mailed_to`: the ids of who was told until now, None for nobody."""

    pk: Any
    mailed_to: Any
    mailed_at: Any

    def save(self, *, update_fields: Iterable[str]) -> None: ...


def tell(row: Outbox, people: Iterable[User], *, about: str, context: Mapping[str, Any]) -> bool:
    """Mail whom the row does not name yet; True when all were told. One who was not reached holds up nobody.

    `about` names the templates, emails/<about>-subject.txt and -text.txt. Each who was told is noted at once: whoever
    dies between two mails, and whoever tries again, repeats none but the last. The caller has the row for itself.
    """
    told: list[str] = row.mailed_to or []
    context = {**context, "SITE_NAME": settings.SITE_NAME}
    subject = " ".join(render_to_string(f"emails/{about}-subject.txt", context).split())
    text = render_to_string(f"emails/{about}-text.txt", context)
    failures = 0
    for person in (one for one in people if str(one.pk) not in told):
        try:
            EmailMessage(subject, text, to=[person.email]).send()
        except (SMTPException, OSError) as error:
            logger.warning("%s %s not mailed to one, trying again: %s", about, row.pk, type(error).__name__)
            failures += 1
        else:
            told = row.mailed_to = [*told, str(person.pk)]
            row.save(update_fields=["mailed_to"])
    if failures:
        return False
    row.mailed_at = world.now()
    row.save(update_fields=["mailed_at"])
    return True
