"""Who gets in, and what the API says to those who do not."""

from base64 import b64encode
from datetime import timedelta
from unittest.mock import patch

import pytest
import redis
from django.core.cache.backends.redis import RedisCache
from django.urls import reverse
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.test import APIClient
from rest_framework.throttling import UserRateThrottle

from apps.lib.cache import FailOpenRedisCache
from tests.people import Member

LISTS = ["connector", "alert", "order", "fill", "position", "equity-point"]


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.django_db
def test_without_a_token_a_list_is_refused(name: str) -> None:
    answer = APIClient().get(reverse(f"api:{name}-list"))

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Token"
    assert answer.json()["errors"][0]["code"] == "not_authenticated"


@pytest.mark.parametrize(
    "header", ["Token", "Token a b", "Token nonsense", "Token \xff\xfe" + "x" * 30, "Token " + "x" * 70]
)
@pytest.mark.django_db
def test_a_token_that_is_none_is_refused(header: str) -> None:
    answer = APIClient().get(reverse("api:order-list"), HTTP_AUTHORIZATION=header)

    assert answer.status_code == 401
    assert answer.json()["errors"][0]["code"] == "authentication_failed"


@pytest.mark.django_db
def test_an_expired_token_is_refused(owner: Member) -> None:
    AuthToken.objects.filter(user=owner.user).update(expiry=timezone.now() - timedelta(seconds=1))

    assert owner.api.get(reverse("api:order-list")).status_code == 401


@pytest.mark.django_db
def test_a_login_without_a_token_does_not_open_the_api(owner: Member) -> None:
    assert owner.client.get(reverse("api:order-list")).status_code == 401


@pytest.mark.django_db
def test_a_person_without_a_workspace_gets_403(owner: Member) -> None:
    owner.membership.delete()

    assert owner.api.get(reverse("api:order-list")).status_code == 403


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
@pytest.mark.parametrize("name", LISTS)
def test_nothing_can_be_changed(owner: Member, name: str, method: str) -> None:
    answer = getattr(owner.api, method)(reverse(f"api:{name}-list"), {}, format="json")

    assert answer.status_code == 405


def test_the_schema_needs_a_token_and_names_every_list(owner: Member) -> None:
    url = reverse("api:schema")

    schema = owner.api.get(url)

    assert APIClient().get(url).status_code == 401
    assert schema.status_code == 200
    assert {f"/api/v1/{name}s/" for name in LISTS} <= set(schema.json()["paths"])


def test_more_requests_than_the_rate_are_told_when_to_come_again(
    owner: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UserRateThrottle, "THROTTLE_RATES", {"user": "2/min"})
    url = reverse("api:order-list")

    answers = [owner.api.get(url) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 60


def test_the_api_answers_while_the_cache_is_away(owner: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FailOpenRedisCache, "_closed_until", 0.0)
    url = reverse("api:order-list")

    with patch.object(RedisCache, "get", side_effect=redis.ConnectionError("refused")) as asked:
        answers = [owner.api.get(url).status_code for _ in range(3)]

    assert answers == [200, 200, 200]
    assert asked.call_count == 1


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    "query", [{"created_after": "2026-11-22T08:41:03+20:00"}, {"cursor": b64encode(b"p=2026-11-22 08:41:03-20:00")}]
)
def test_a_moment_in_no_zone_of_this_world_is_refused(owner: Member, name: str, query: dict[str, str]) -> None:
    answer = owner.api.get(reverse(f"api:{name}-list"), query)

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "OUT_OF_RANGE")
