import re

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.urls import reverse

from tests.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db

MISMATCH = b"This e-mail address and password do not go together."


@pytest.fixture
def ada():
    user = UserFactory(email="ada@example.com")
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


def log_in(client, password=PASSWORD, email="ada@example.com"):
    return client.post("/accounts/login/", {"login": email, "password": password})


def test_log_in_and_out(client, ada):
    assert log_in(client)["Location"] == "/app/"
    assert client.session["_auth_user_id"] == str(ada.pk)

    assert client.post("/accounts/logout/")["Location"] == "/"
    assert "_auth_user_id" not in client.session


def test_logging_out_needs_a_post(client, ada):
    log_in(client)

    assert client.get("/accounts/logout/").status_code == 200
    assert client.session["_auth_user_id"] == str(ada.pk)


def test_letter_case_of_the_address_does_not_matter(client, ada):
    assert log_in(client, email="ADA@example.com")["Location"] == "/app/"


def test_wrong_password_and_unknown_address_look_the_same(client, ada):
    wrong = log_in(client, password="not the password at all")
    unknown = log_in(client, password="not the password at all", email="nobody@example.com")

    assert MISMATCH in wrong.content
    assert MISMATCH in unknown.content
    assert "_auth_user_id" not in client.session


def test_sixth_wrong_password_says_how_long_to_wait(client, ada):
    for _ in range(5):
        log_in(client, password="not the password at all")

    answer = log_in(client)

    assert b"Try again in 5 minutes" in answer.content
    assert "_auth_user_id" not in client.session


def test_limit_page_says_what_to_do(client, ada, settings):
    settings.ACCOUNT_RATE_LIMITS = {"login": "1/m/ip"}
    log_in(client, password="not the password at all")

    answer = log_in(client)

    assert answer.status_code == 429
    assert b"Wait a minute, then try again" in answer.content


def test_reset_sets_the_new_password_and_ends_other_sessions(client, ada):
    log_in(client)
    client.post("/accounts/password/reset/", {"email": "ada@example.com"})
    address = re.search(r"http://testserver(/\S+)", mail.outbox[0].body)[1]
    form = client.get(address)
    new = "another correct horse battery"

    client.post(form["Location"], {"password1": new, "password2": new})

    assert client.get("/app/").status_code == 302
    ada.refresh_from_db()
    assert ada.check_password(new) is True
    assert [message.subject for message in mail.outbox] == ["Set a new Sferica password", "Your password was reset"]


def test_reset_of_an_unknown_address_looks_the_same(client, ada):
    known = client.post("/accounts/password/reset/", {"email": "ada@example.com"})
    unknown = client.post("/accounts/password/reset/", {"email": "nobody@example.com"})

    assert (known.status_code, known["Location"]) == (unknown.status_code, unknown["Location"])
    assert mail.outbox[1].subject == "No Sferica account has this address"


def test_changing_the_password_keeps_this_session_and_mails(client, ada):
    log_in(client)
    new = "another correct horse battery"

    answer = client.post("/accounts/password/change/", {"oldpassword": PASSWORD, "password1": new, "password2": new})

    assert answer.status_code == 302
    assert client.session["_auth_user_id"] == str(ada.pk)
    assert [message.subject for message in mail.outbox] == ["Your password was changed"]
    assert "  Browser:" in mail.outbox[0].body


def test_logging_in_says_nothing_and_logging_out_that_trading_goes_on(client, ada):
    log_in(client)
    inside = client.get("/strategies/").content
    client.post("/accounts/logout/")
    outside = client.get("/").content

    assert b"Successfully signed in" not in inside
    assert b"You are logged out. Trading goes on." in outside


def test_staff_without_a_workspace_land_in_the_admin(client, settings):
    staff = UserFactory(is_staff=True, is_superuser=True)
    EmailAddress.objects.create(user=staff, email=staff.email, verified=True, primary=True)

    answer = client.post(reverse("account_login"), {"login": staff.email, "password": PASSWORD})

    assert answer["Location"] == reverse("admin:index")
    assert client.get(reverse("accounts:settings")).status_code == 403
