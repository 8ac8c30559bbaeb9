from django.urls import reverse

from tests.factories import PASSWORD
from tests.people import Member


def confirm(person: Member) -> None:
    """Do what the step-up asks for, on its own page."""
    answer = person.client.post(reverse("account_reauthenticate"), {"password": PASSWORD, "next": "/app/"})
    assert answer.status_code == 302, answer.content
