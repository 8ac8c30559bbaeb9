"""The webhook's answers, at both doors: before Django's handler and through it."""

import json
from collections.abc import Callable, Iterator
from unittest.mock import patch

import pytest
import pytest_django
from django.db import connection
from django.db.utils import OperationalError
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from apps.alerts import receiving
from apps.alerts.models import Alert
from apps.alerts.redaction import mark_of
from apps.connectors import pointers
from apps.connectors.models import Pointer
from tests.alerts.doors import DOORS, Reply, deliver
from tests.factories import PointerFactory

pytestmark = pytest.mark.django_db

UNKNOWN = "sf_" + "a" * 32
NO_POINTER = {
    "status": "refused",
    "reason": "NO_POINTER",
    "detail": "No valid pointer in the message: copy the message from your connector's page.",
}
Post = Callable[..., Reply]


@pytest.fixture(params=sorted(DOORS))
def post(request: pytest.FixtureRequest) -> Post:
    def send(body: bytes, **options: object) -> Reply:
        return deliver(request.param, body, **options)

    return send


@pytest.fixture(autouse=True)
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    monkeypatch.setattr("apps.lib.wakeups.publish", names.append)
    return names


@pytest.fixture(autouse=True)
def _nobody_counted() -> Iterator[None]:
    receiving.unknown_pointers.__init__()
    yield
    receiving.unknown_pointers.__init__()


@pytest.fixture
def pointer() -> Pointer:
    return PointerFactory()


def message(*texts: str, **more: str) -> bytes:
    return "\n".join(
        json.dumps({"ticker": "BTCUSDT.P", "action": "buy", "pointer": text, **more}) for text in texts
    ).encode()


# --- Stored ---------------------------------------------------------------------------------------------------------
def test_delivery_is_stored_and_answered_with_its_id(post: Post, pointer: Pointer, woken: list[str]) -> None:
    reply = post(
        message(pointers.reveal(pointer)),
        CONTENT_TYPE="text/plain; charset=utf-8",
        HTTP_USER_AGENT="Go-http-client/1.1",
    )

    alert = Alert.unscoped.get()
    assert reply.status == 200
    assert reply.json() == {"id": str(alert.pk), "ids": [str(alert.pk)], "status": "received", "reason": ""}
    assert reply.headers == {"Content-Type": "application/json", "Content-Length": str(len(reply.body))}
    assert (alert.workspace_id, alert.connector_id, alert.pointer_id) == (
        pointer.workspace_id,
        pointer.connector_id,
        pointer.pk,
    )
    assert (alert.status, alert.next_at, alert.attempts) == ("received", alert.received_at, 0)
    assert (alert.content_type, alert.sender, alert.source_ip) == (
        "text/plain; charset=utf-8",
        "Go-http-client/1.1",
        "192.0.2.7",
    )
    assert (alert.facts, alert.understood, alert.repairs, alert.notes) == ({}, {}, [], [])
    assert woken == ["apps.alerts.tasks.execute_due"]


def test_body_is_stored_with_its_pointer_cut(post: Post, pointer: Pointer) -> None:
    text = pointers.reveal(pointer)

    post(message(text))

    assert bytes(Alert.unscoped.get().body) == message(text).replace(text.encode(), mark_of(text).encode())


def test_body_that_is_no_message_is_stored_and_not_judged(post: Post, pointer: Pointer) -> None:
    assert post(b"{{{ nonsense " + pointers.reveal(pointer).upper().encode()).status == 200

    assert Alert.unscoped.get().status == "received"


def test_equal_deliveries_are_both_stored(post: Post, pointer: Pointer) -> None:
    body = message(pointers.reveal(pointer))

    assert [post(body).status, post(body).status] == [200, 200]

    assert Alert.unscoped.count() == 2


def test_one_statement_stores_a_delivery(post: Post, pointer: Pointer, monkeypatch: pytest.MonkeyPatch) -> None:
    body = message(pointers.reveal(pointer))
    post(body)

    with connection.execute_wrapper(lambda *_: pytest.fail("a query of the ORM")):
        reply = post(body)

    assert reply.status == 200


@pytest.mark.parametrize("path", ["/webhook", "/webhook/", "/"])
def test_every_address_takes_deliveries_without_redirect_or_cookie(post: Post, pointer: Pointer, path: str) -> None:
    reply = post(message(pointers.reveal(pointer)), path=path)

    assert reply.status == 200
    assert set(reply.headers) == {"Content-Type", "Content-Length"}
    assert Alert.unscoped.count() == 1


def test_https_is_not_forced_on_a_delivery(post: Post, pointer: Pointer, settings: pytest_django.Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True

    assert post(message(pointers.reveal(pointer))).status == 200


def test_chunked_body_is_stored_whole(post: Post, pointer: Pointer) -> None:
    text = pointers.reveal(pointer)

    assert post(message(text), chunked=True).status == 200

    assert json.loads(bytes(Alert.unscoped.get().body))["action"] == "buy"


def test_every_live_pointer_of_a_body_gets_its_alert(post: Post, pointer: Pointer) -> None:
    other = PointerFactory()

    reply = post(message(pointers.reveal(pointer), UNKNOWN, pointers.reveal(other), pointers.reveal(pointer)))

    assert reply.status == 200
    assert sorted(reply.json()["ids"]) == sorted(str(key) for key in Alert.unscoped.values_list("pk", flat=True))
    assert set(Alert.unscoped.values_list("pointer_id", flat=True)) == {pointer.pk, other.pk}


def test_eleventh_pointer_of_a_body_is_not_looked_up(post: Post, pointer: Pointer) -> None:
    strangers = [f"sf_{letter * 32}" for letter in "bcdefghijk"]

    assert post(message(*strangers, pointers.reveal(pointer))).status == 404

    assert Alert.unscoped.count() == 0


def test_header_is_stored_without_nul_and_pointer_and_cut_at_100(post: Post, pointer: Pointer) -> None:
    text = pointers.reveal(pointer)

    post(message(text), HTTP_USER_AGENT=f"a\x00b {text} " + "é" * 200, CONTENT_TYPE="text/\x00plain")

    alert = Alert.unscoped.get()
    assert alert.sender == f"ab {mark_of(text)} {'é' * 88}"
    assert alert.content_type == "text/plain"


def test_requester_header_goes_before_user_agent(post: Post, pointer: Pointer) -> None:
    post(message(pointers.reveal(pointer)), HTTP_X_REQUESTER="trendspider", HTTP_USER_AGENT="axios")

    assert Alert.unscoped.get().sender == "trendspider"


@pytest.mark.parametrize(("proxies", "expected"), [(0, "192.0.2.7"), (1, "198.51.100.2"), (2, None)])
def test_forwarded_address_is_believed_from_trusted_proxies_only(
    post: Post, pointer: Pointer, settings: pytest_django.Settings, proxies: int, expected: str | None
) -> None:
    settings.TRUSTED_PROXIES = proxies

    post(message(pointers.reveal(pointer)), HTTP_X_FORWARDED_FOR="not an address, 198.51.100.2")

    assert Alert.unscoped.get().source_ip == expected


# --- Refused --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("body", [b"", b" \r\n\t"])
def test_empty_body_is_400(post: Post, body: bytes) -> None:
    reply = post(body)

    assert (reply.status, reply.json()["reason"]) == (400, "EMPTY")


def test_a_body_that_breaks_off_is_400_and_not_stored(post: Post, pointer: Pointer) -> None:
    body = message(pointers.reveal(pointer))

    reply = post(body, CONTENT_LENGTH=str(len(body) + 1))

    assert (reply.status, reply.json()["reason"]) == (400, "INCOMPLETE")
    assert Alert.unscoped.count() == 0


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_methods_are_405_and_say_what_is_allowed(post: Post, pointer: Pointer, method: str) -> None:
    reply = post(message(pointers.reveal(pointer)), method=method)

    assert (reply.status, reply.headers["Allow"]) == (405, "POST")
    assert Alert.unscoped.count() == 0


def test_body_of_64_kib_is_stored(post: Post, pointer: Pointer) -> None:
    assert post(message(pointers.reveal(pointer)).ljust(65536)).status == 200


def test_body_over_64_kib_is_413_and_not_read(post: Post, pointer: Pointer, woken: list[str]) -> None:
    reply = post(message(pointers.reveal(pointer)).ljust(65537))

    assert (reply.status, reply.json()["reason"], reply.asked) == (413, "TOO_LARGE", 0)
    assert (Alert.unscoped.count(), woken) == (0, [])


def test_chunked_body_is_read_to_its_limit_only(post: Post, pointer: Pointer) -> None:
    reply = post(message(pointers.reveal(pointer)).ljust(10_000_000), chunked=True)

    assert (reply.status, reply.asked) == (413, 65537)
    assert Alert.unscoped.count() == 0


@pytest.mark.parametrize("body", [b"hello", message(UNKNOWN)])
def test_delivery_without_live_pointer_is_one_constant_404(post: Post, body: bytes, woken: list[str]) -> None:
    reply = post(body)

    assert (reply.status, reply.json()) == (404, NO_POINTER)
    assert (Alert.unscoped.count(), woken) == (0, [])


@pytest.mark.parametrize("field", ["revoked_at", "expires_at"])
def test_ended_pointer_is_answered_like_an_unknown_one(post: Post, pointer: Pointer, field: str) -> None:
    Pointer.unscoped.filter(pk=pointer.pk).update(**{field: pointer.created_at})

    reply = post(message(pointers.reveal(pointer)))

    assert (reply.status, reply.json()) == (404, NO_POINTER)
    assert Alert.unscoped.count() == 0


def test_unknown_pointers_are_counted_by_address(
    post: Post, pointer: Pointer, settings: pytest_django.Settings
) -> None:
    settings.UNKNOWN_POINTERS_PER_MINUTE = 2
    known = message(pointers.reveal(pointer))

    statuses = [post(message(UNKNOWN)).status for _ in range(3)]

    assert statuses == [404, 404, 429]
    assert post(message(UNKNOWN), REMOTE_ADDR="192.0.2.8").status == 404
    assert post(known).status == 200, "a live pointer is never refused for what its address sent before"


def test_pointer_over_its_rate_is_429_and_counted(
    post: Post, pointer: Pointer, settings: pytest_django.Settings, woken: list[str]
) -> None:
    settings.WEBHOOK_RATE_PER_MINUTE = 2
    body = message(pointers.reveal(pointer))

    replies = [post(body) for _ in range(4)]

    assert [reply.status for reply in replies] == [200, 200, 429, 429]
    assert (replies[2].json()["reason"], replies[2].headers["Retry-After"]) == ("RATE_LIMITED", "60")
    pointer.refresh_from_db()
    assert (Alert.unscoped.count(), pointer.limited_count, len(woken)) == (2, 2, 2)


def test_rate_is_counted_over_the_last_minute(post: Post, pointer: Pointer, settings: pytest_django.Settings) -> None:
    settings.WEBHOOK_RATE_PER_MINUTE = 1
    body = message(pointers.reveal(pointer))
    post(body)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE alerts_alert SET received_at = received_at - interval '61 seconds'")

    assert post(body).status == 200


def test_limited_pointer_does_not_hold_back_another(
    post: Post, pointer: Pointer, settings: pytest_django.Settings
) -> None:
    settings.WEBHOOK_RATE_PER_MINUTE = 1
    other = PointerFactory()
    post(message(pointers.reveal(pointer)))

    reply = post(message(pointers.reveal(pointer), pointers.reveal(other)))

    assert (reply.status, len(reply.json()["ids"])) == (200, 1)
    assert list(Alert.unscoped.order_by("received_at").values_list("pointer_id", flat=True)) == [pointer.pk, other.pk]


def test_delivery_that_cannot_be_stored_is_503_and_asks_to_send_again(
    post: Post, pointer: Pointer, monkeypatch: pytest.MonkeyPatch, woken: list[str]
) -> None:
    text = pointers.reveal(pointer)

    with patch("apps.alerts.receiving.store", side_effect=OperationalError), patch.object(connection, "close"):
        reply = post(message(text))

    assert (reply.status, reply.json()["reason"], reply.headers["Retry-After"]) == (503, "NOT_STORED", "5")
    assert (Alert.unscoped.count(), woken) == (0, [])


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    noise=st.binary(max_size=300),
    tail=st.binary(max_size=50),
    header=st.text(max_size=150),
    names_pointer=st.booleans(),
    chunked=st.booleans(),
)
@example(noise=b"[" * 20_000, tail=b"", header="", names_pointer=True, chunked=False)
@example(noise=b"\xff\xfe\x00\xd8", tail=b"\x00", header="\x00\ud800", names_pointer=True, chunked=False)
def test_no_bytes_are_answered_with_a_server_error(
    post: Post,
    pointer: Pointer,
    settings: pytest_django.Settings,
    noise: bytes,
    tail: bytes,
    header: str,
    names_pointer: bool,
    chunked: bool,
) -> None:
    settings.WEBHOOK_RATE_PER_MINUTE = settings.UNKNOWN_POINTERS_PER_MINUTE = 1_000_000
    body = noise + (pointers.reveal(pointer).encode() if names_pointer else b"") + tail

    reply = post(body, chunked=chunked, HTTP_USER_AGENT=header, CONTENT_TYPE=header, HTTP_X_FORWARDED_FOR=header)

    assert reply.status == 200 if names_pointer else reply.status in {400, 404}


# --- Beside the webhook -----------------------------------------------------------------------------------------------
def test_front_page_stays_where_it_is(post: Post) -> None:
    reply = post(b"", method="GET", path="/")

    assert reply.status == 200
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"


def test_post_to_a_path_below_is_no_delivery(post: Post, pointer: Pointer) -> None:
    assert post(message(pointers.reveal(pointer)), path="/webhook/x").status == 404

    assert Alert.unscoped.count() == 0


def test_webhook_alone_is_exempt_from_csrf() -> None:
    def views(patterns: list[URLPattern | URLResolver]) -> Iterator[object]:
        for pattern in patterns:
            if isinstance(pattern, URLResolver):
                yield from views(pattern.url_patterns)
            elif getattr(pattern.callback, "csrf_exempt", False):
                yield pattern.callback

    exempt = {f"{view.__module__}.{view.__qualname__}" for view in views(get_resolver().url_patterns)}

    assert {name for name in exempt if name.startswith("apps.") and ".api." not in name} == {
        "apps.alerts.views.webhook"
    }


def test_test_client_reaches_the_webhook_without_a_token(pointer: Pointer) -> None:
    body = message(pointers.reveal(pointer))

    answer = Client(enforce_csrf_checks=True).post("/webhook", data=body, content_type="text/plain")

    assert (answer.status_code, dict(answer.cookies)) == (200, {})
