"""The guard that watches every test finds what it is there for, in each channel."""

import logging
from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.core.mail import EmailMultiAlternatives
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.test import Client
from django.urls import path
from kombu import Connection

from apps.connectors import pointers
from apps.connectors.opening import credentials_of
from tests.canary.guard import Guard, Leak
from tests.factories import ConnectorFactory, PointerFactory

SECRET = "canary-secret-key-0123456789abcdef"
POINTER = "sf_" + "a2" * 16


def _page(_: HttpRequest) -> HttpResponse:
    return HttpResponse(f"<p>{SECRET} {POINTER}</p>")


def _stream(_: HttpRequest) -> HttpResponseBase:
    return StreamingHttpResponse(iter([POINTER[:9].encode(), POINTER[9:].encode()]))


urlpatterns = [path("page", _page, name="page"), path("stream", _stream, name="stream")]


def test_a_logged_credential_is_found() -> None:
    with Guard() as inner:
        logging.getLogger("apps.connectors").warning("sending %s", SECRET)

    assert inner.leaks == [Leak("log", "apps.connectors", "canary-secret-…")]


def test_a_pointer_logged_by_our_code_is_found_before_the_filter_cuts_it() -> None:
    with Guard() as inner:
        logging.getLogger("apps.alerts").warning("received %s", POINTER)

    assert inner.leaks == [Leak("log", "apps.alerts", "sf_a2a2a2a2a2a…")]


def test_a_traceback_with_a_credential_is_found() -> None:
    with Guard() as inner:
        try:
            raise ValueError(SECRET)
        except ValueError:
            logging.getLogger("anyone").exception("failed")

    assert inner.leaks == [Leak("log", "anyone", "canary-secret-…")]


@pytest.mark.urls("tests.canary.test_guard")
@pytest.mark.django_db
def test_a_page_with_a_credential_and_a_pointer_is_found() -> None:
    with Guard() as inner:
        Client().get("/page")

    assert inner.leaks == [Leak("response", "page", "canary-secret-…"), Leak("response", "page", "sf_a2a2a2a2a2a…")]


@pytest.mark.urls("tests.canary.test_guard")
@pytest.mark.django_db
def test_a_pointer_split_over_two_chunks_is_found() -> None:
    with Guard() as inner:
        body = b"".join(Client().get("/stream").streaming_content)

    assert body.decode() == POINTER
    assert inner.leaks == [Leak("response", "stream", "sf_a2a2a2a2a2a…")]


def test_a_mail_with_a_pointer_in_its_html_part_is_found() -> None:
    mail = EmailMultiAlternatives("Your alert", "plain", to=["trader@example.com"])
    mail.attach_alternative(f"<p>{POINTER}</p>", "text/html")

    with Guard() as inner:
        mail.send()

    assert inner.leaks == [Leak("e-mail", "Your alert", "sf_a2a2a2a2a2a…")]


@pytest.mark.django_db
def test_a_cached_credential_is_found() -> None:
    with Guard() as inner:
        cache.set("connector", {"secret": SECRET}, 1)

    assert inner.leaks == [Leak("cache", "connector", "canary-secret-…")]


@pytest.mark.django_db
def test_a_credential_kept_in_a_session_is_found() -> None:
    with Guard() as inner:
        session = Client().session
        session["form"] = {"secret_key": SECRET}
        session.save()

    assert inner.leaks == [Leak("session", "session", "canary-secret-…")]


@pytest.fixture
def memory_broker() -> Iterator[Connection]:
    with Connection("memory://") as connection:
        yield connection


def test_a_task_message_with_a_credential_is_found(memory_broker: Connection) -> None:
    with Guard() as inner:
        memory_broker.Producer().publish({"secret": SECRET}, routing_key="celery")

    assert inner.leaks == [Leak("task", "celery", "canary-secret-…")]


@pytest.mark.django_db
def test_factories_seal_what_the_guard_looks_for() -> None:
    connector = ConnectorFactory()
    pointer = PointerFactory(connector=connector)
    credentials = credentials_of(connector)

    with Guard() as inner:
        for value in (credentials.access_key, credentials.secret_key, credentials.memo, pointers.reveal(pointer)):
            logging.getLogger("apps.any").warning("%s", value)

    assert len(inner.leaks) == 4


def test_an_inner_guard_hides_nothing_from_the_outer_one_afterwards() -> None:
    with Guard() as outer:
        with Guard():
            pass
        logging.getLogger("apps.any").warning(SECRET)

    assert outer.leaks == [Leak("log", "apps.any", "canary-secret-…")]
