"""Every allauth page that is offered is drawn in our frame."""

import pytest
from allauth.account.models import EmailAddress
from django.core import mail

from tests.factories import PASSWORD
from tests.people import Member

ENTRANCE = ["/accounts/login/", "/accounts/signup/", "/accounts/password/reset/", "/accounts/password/reset/done/"]
MANAGE = ["/accounts/email/", "/accounts/password/change/", "/accounts/2fa/", "/accounts/sessions/", "/app/settings/"]
CONFIRMED = ["/accounts/2fa/totp/activate/"]


@pytest.mark.django_db
@pytest.mark.parametrize("path", ENTRANCE)
def test_entrance_page_is_ours(client, path):
    answer = client.get(path)

    assert answer.status_code == 200
    assert answer.content.count(b"<h1") == 1
    assert b"css/app.css" in answer.content
    assert b"Menu:" not in answer.content


@pytest.mark.parametrize("path", MANAGE)
def test_manage_page_is_ours(owner: Member, path: str):
    answer = owner.client.get(path)

    assert answer.status_code == 200
    assert answer.content.count(b"<h1") == 1
    assert b'aria-label="Settings"' in answer.content


@pytest.mark.parametrize("path", CONFIRMED)
def test_page_behind_the_step_up_is_ours(owner: Member, path: str):
    assert owner.client.get(path).status_code == 302

    owner.client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    answer = owner.client.get(path)

    assert answer.status_code == 200
    assert answer.content.count(b"<h1") == 1
    assert b'src="data:image/svg+xml' in answer.content


def test_step_up_page_is_ours(owner: Member):
    answer = owner.client.get("/accounts/reauthenticate/?next=/app/")

    assert answer.status_code == 200
    assert b"Confirm that it is you" in answer.content


def test_trial_with_its_end_date_is_on_every_app_page(owner: Member):
    subscription = owner.workspace.subscription

    answer = owner.client.get("/app/settings/")

    assert b"14 days left" in answer.content
    assert f"ends {subscription.trial_ends_at:%-d %b %Y}".encode() in answer.content


def test_theme_comes_from_the_cookie(owner: Member):
    pages = []
    for theme in ("", "dark", '"><script>'):
        owner.client.cookies["theme"] = theme
        pages.append(owner.client.get("/app/settings/").content)

    assert [b'data-theme="' in page.partition(b"<head>")[0] for page in pages] == [False, True, False]
    assert b'data-theme="dark"' in pages[1]


def test_an_address_is_added_only_by_a_person_who_has_just_confirmed(owner: Member):
    form = {"action_add": "", "email": "second@example.com"}

    asked = owner.client.post("/accounts/email/", form)

    assert (asked.status_code, asked.url.partition("?")[0]) == (302, "/accounts/reauthenticate/")
    assert not EmailAddress.objects.filter(email="second@example.com").exists()
    assert mail.outbox == []

    owner.confirm()
    added = owner.client.post("/accounts/email/", form)

    assert added.status_code == 302
    assert [message.to for message in mail.outbox] == [["second@example.com"]]
