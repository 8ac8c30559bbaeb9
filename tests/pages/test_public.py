import pytest
from django.test import Client
from django.urls import path
from django.views.generic import View

from apps.strategies.seeds import seed
from config.urls import urlpatterns as own_urls

PAGES = ["/", "/strategies/", "/strategies/btc-trend/", "/accounts/login/", "/accounts/signup/"]
CSP = {
    "default-src 'self'",
    "img-src 'self' data:",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
}


class Broken(View):
    def get(self, request):
        raise RuntimeError("broken on purpose")


urlpatterns = [path("broken/", Broken.as_view()), *own_urls]


@pytest.fixture
def catalogue(db):
    seed()


@pytest.mark.parametrize("address", PAGES)
def test_public_page_answers_a_visitor(client, catalogue, address):
    answer = client.get(address)

    assert answer.status_code == 200
    assert answer.content.count(b"<h1") == 1
    assert b"<c-" not in answer.content


@pytest.mark.parametrize("address", [*PAGES, "/no-such-page/"])
def test_headers_are_strict(client, catalogue, address):
    answer = client.get(address)

    assert set(answer["Content-Security-Policy"].split("; ")) == CSP
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in answer["Permissions-Policy"]


@pytest.mark.parametrize("address", PAGES)
def test_nothing_stands_inline(client, catalogue, address):
    page = client.get(address).content.decode()

    assert "<style" not in page
    assert " style=" not in page
    assert " onclick=" not in page
    assert [tag for tag in page.split("<script")[1:] if " src=" not in tag.partition(">")[0]] == []


def test_front_page_says_what_it_can_and_cannot_do(client, catalogue):
    page = client.get("/").content.decode()

    assert "We cannot withdraw." in page
    assert "stopped trading on 26 August 2026" in page
    assert 'href="/accounts/signup/"' in page
    assert 'href="/strategies/btc-trend/"' in page


def test_member_is_led_to_the_dashboard(owner):
    page = owner.client.get("/").content.decode()

    assert 'href="/app/"' in page
    assert "Start 14-day trial" not in page


@pytest.mark.django_db
def test_missing_page_leads_on(client):
    answer = client.get("/no-such-page/")

    assert answer.status_code == 404
    assert b"There is no such page" in answer.content


@pytest.mark.django_db
def test_form_without_its_token_is_refused_in_our_words():
    answer = Client(enforce_csrf_checks=True).post("/accounts/login/", {"login": "a@example.com", "password": "x"})

    assert answer.status_code == 403
    assert b"open for too long" in answer.content


@pytest.mark.urls("tests.pages.test_public")
@pytest.mark.django_db
def test_broken_page_says_that_trading_goes_on():
    answer = Client(raise_request_exception=False).get("/broken/")

    assert answer.status_code == 500
    assert b"Trading does not depend on the pages" in answer.content
