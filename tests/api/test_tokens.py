"""Tokens are made once, shown once, and revoked at once."""

import re
from datetime import UTC, datetime

import pytest
import time_machine
from django.urls import reverse
from knox.models import AuthToken
from rest_framework.test import APIClient

from apps.accounts.models import AuditEvent, Role
from tests.people import Member, member

TOKEN = re.compile(r"sfk_[0-9a-f]{64}")


def opens_the_api(token: str) -> bool:
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    return bool(api.get(reverse("api:order-list")).status_code == 200)


def create(owner: Member, days: str = "7") -> str:
    answer = owner.client.post(reverse("accounts:tokens"), {"days": days})
    assert answer.status_code == 200
    [token] = set(TOKEN.findall(answer.content.decode()))
    return str(token)


def test_a_new_token_is_shown_once_and_opens_the_api(owner: Member) -> None:
    owner.confirm()

    with time_machine.travel(datetime(2026, 7, 1, 12, tzinfo=UTC), tick=False):
        token = create(owner, days="7")
        works = opens_the_api(token)
    again = owner.client.get(reverse("accounts:tokens")).content.decode()

    row = AuthToken.objects.get(user=owner.user, token_key=token[:15])
    event = AuditEvent.objects.for_workspace(owner.workspace).get()
    assert works
    assert token not in again
    assert token not in str(event.facts)
    assert row.expiry == datetime(2026, 7, 8, 12, tzinfo=UTC)
    assert (event.action, event.facts["key"]) == ("token.created", token[:15])


def test_a_page_with_a_token_is_stored_nowhere(owner: Member) -> None:
    owner.confirm()

    answer = owner.client.post(reverse("accounts:tokens"), {"days": "7"})

    assert answer.headers["Cache-Control"] == "no-store"


def test_without_a_fresh_password_no_token_is_made(owner: Member) -> None:
    before = AuthToken.objects.count()

    answer = owner.client.post(reverse("accounts:tokens"), {"days": "7"})

    assert answer.headers["Location"].startswith(reverse("account_reauthenticate"))
    assert AuthToken.objects.count() == before


def test_a_lifetime_that_is_not_offered_is_refused(owner: Member) -> None:
    owner.confirm()
    before = AuthToken.objects.count()

    answer = owner.client.post(reverse("accounts:tokens"), {"days": "36500"})

    assert (answer.status_code, AuthToken.objects.count()) == (422, before)


def test_the_eleventh_token_is_refused(owner: Member) -> None:
    owner.confirm()
    for _ in range(9):
        create(owner)

    answer = owner.client.post(reverse("accounts:tokens"), {"days": "7"})

    assert answer.status_code == 422
    assert "Revoke one first." in answer.content.decode()
    assert AuthToken.objects.filter(user=owner.user).count() == 10


def test_a_revoked_token_opens_nothing(owner: Member) -> None:
    owner.confirm()
    token = create(owner)

    owner.client.post(reverse("accounts:revoke_token"), {"key": token[:15]})

    assert not opens_the_api(token)
    assert AuditEvent.objects.for_workspace(owner.workspace).filter(action="token.revoked").count() == 1


def test_a_stranger_revokes_nothing(owner: Member, stranger: Member) -> None:
    owner.confirm()
    token = create(owner)

    stranger.client.post(reverse("accounts:revoke_token"), {"key": token[:15]})

    assert opens_the_api(token)


@pytest.mark.django_db
def test_a_viewer_may_have_a_token() -> None:
    viewer = member(role=Role.VIEWER)
    viewer.confirm()

    assert opens_the_api(create(viewer))


def test_without_a_token_the_page_says_what_one_is_for(owner: Member) -> None:
    AuthToken.objects.all().delete()

    page = owner.client.get(reverse("accounts:tokens")).content.decode()

    assert "No token yet" in page
    assert "http://testserver/api/v1/positions/" in page
