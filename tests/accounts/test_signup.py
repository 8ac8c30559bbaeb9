import re
from datetime import UTC, datetime

import pytest
import time_machine
from allauth.account.models import EmailAddress
from django.core import mail
from django.test import Client

from apps.accounts.models import AuditEvent, Membership, Role, Subscription, User, Workspace
from apps.accounts.plans import default_plan
from apps.accounts.signup import open_workspace
from tests.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def sign_up(client: Client, email: str = "ada@example.com", password: str = PASSWORD):
    return client.post("/accounts/signup/", {"email": email, "password1": password})


def code_in(text: str) -> str:
    found = re.search(r"Your code is:\s+(\S+)", text)
    assert found
    return found[1]


def test_sign_up_code_and_dashboard(client):
    answer = sign_up(client)

    assert answer.status_code == 302
    assert answer["Location"] == "/accounts/confirm-email/"
    assert [message.to for message in mail.outbox] == [["ada@example.com"]]

    confirmed = client.post("/accounts/confirm-email/", {"code": code_in(mail.outbox[0].body)})

    assert confirmed.status_code == 302
    assert confirmed["Location"] == "/app/"
    assert EmailAddress.objects.get(email="ada@example.com").verified is True


def test_trial_ends_fourteen_days_after_sign_up(client):
    with time_machine.travel(NOON, tick=False):
        sign_up(client)

        subscription = Subscription.objects.get()
        assert subscription.trial_started_at == NOON
        assert subscription.trial_ends_at == datetime(2026, 12, 6, 12, 0, tzinfo=UTC)
        assert subscription.trial_days_left == 14
        assert subscription.status == Subscription.Status.TRIAL
        assert subscription.plan == default_plan()
        assert subscription.allows_entries is True


def test_sign_up_opens_one_workspace_with_its_owner(client):
    sign_up(client)

    membership = Membership.objects.get()
    assert membership.user.email == "ada@example.com"
    assert membership.role == Role.OWNER
    assert membership.workspace.name == "ada's workspace"
    assert [event.action for event in AuditEvent.objects.for_workspace(membership.workspace)] == ["workspace.opened"]


def test_user_is_not_kept_when_the_workspace_cannot_be_opened(client, monkeypatch):
    def refuse(user: User) -> Workspace:
        raise RuntimeError("no workspace")

    monkeypatch.setattr("apps.accounts.adapter.open_workspace", refuse)

    with pytest.raises(RuntimeError, match="no workspace"):
        sign_up(client)

    assert User.objects.count() == 0


def test_opening_twice_gives_the_same_workspace():
    user = UserFactory()

    first = open_workspace(user)
    second = open_workspace(user)

    assert first == second
    assert Workspace.objects.count() == 1


def test_nothing_is_open_before_the_code(client):
    sign_up(client)

    answer = client.get("/app/")

    assert answer.status_code == 302
    assert answer["Location"] == "/accounts/login/?next=/app/"


def test_wrong_code_verifies_nothing(client):
    sign_up(client)

    answer = client.post("/accounts/confirm-email/", {"code": "WRONG1"})

    assert b"This code is not the one we sent." in answer.content
    assert EmailAddress.objects.get(email="ada@example.com").verified is False
    assert client.get("/app/").status_code == 302


def test_log_in_without_the_code_asks_for_it(client):
    with time_machine.travel(NOON, tick=False) as clock:
        sign_up(client)
        other = Client()
        clock.shift(11)  # a code is sent at most every 10 s

        answer = other.post("/accounts/login/", {"login": "ada@example.com", "password": PASSWORD})

    assert answer["Location"] == "/accounts/confirm-email/"
    assert other.get("/app/").status_code == 302


def test_known_address_gets_the_same_answer_and_another_mail(client):
    UserFactory(email="ada@example.com")
    known = sign_up(client, "ada@example.com")
    unknown = sign_up(Client(), "grace@example.com")

    assert (known.status_code, known["Location"]) == (unknown.status_code, unknown["Location"])
    assert mail.outbox[0].to == ["ada@example.com"]
    assert mail.outbox[0].subject == "You already have a Sferica account"
    assert mail.outbox[1].to == ["grace@example.com"]
    assert "Your code is:" in mail.outbox[1].body
    assert User.objects.filter(email="ada@example.com").count() == 1


def test_letter_case_makes_no_second_account(client):
    UserFactory(email="ada@example.com")

    sign_up(client, "Ada@Example.com")

    assert User.objects.count() == 1


@pytest.mark.parametrize(
    ("password", "sentence"),
    [
        ("short", b"It must contain at least 12 characters."),
        ("123456789012345", b"This password is entirely numeric."),
        ("qwerty123456", b"This password is too common."),
    ],
)
def test_weak_password_is_refused_in_words(client, password, sentence):
    answer = sign_up(client, password=password)

    assert answer.status_code == 200
    assert sentence in answer.content
    assert User.objects.count() == 0
    assert mail.outbox == []


def test_mail_with_the_code_says_it_in_the_subject(client):
    sign_up(client)

    message = mail.outbox[0]
    assert message.subject == f"{code_in(message.body)} is your Sferica code"
    assert "Hello from" not in message.body
    assert "example.com" not in message.body


@pytest.mark.parametrize(
    "email", ["İİ" * 60 + "@example.com", "İ@example.com", "ada@" + "ü" * 60 + ".com", "ada@" + "İ.İ" * 60 + ".com"]
)
def test_address_that_no_mail_can_carry_is_refused_in_words(client, email):
    answer = sign_up(client, email)

    assert answer.status_code == 200
    assert b"We cannot send mail to this address." in answer.content
    assert User.objects.count() == 0
    assert mail.outbox == []
