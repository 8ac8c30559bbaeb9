from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core.cache import caches
from django.test import Client

from apps.lib.cache import FailOpenRedisCache
from tests.factories import PASSWORD, UserFactory


@pytest.fixture
def no_redis(settings: Any) -> Any:
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}
    FailOpenRedisCache._closed_until = 0.0
    yield
    FailOpenRedisCache._closed_until = 0.0


def test_a_cache_without_redis_is_empty(no_redis: Any) -> None:
    cache = caches["default"]

    cache.set("name", "value")

    assert (cache.get("name", "none"), cache.add("name", "value"), cache.delete("name")) == ("none", True, False)


@pytest.mark.django_db
def test_people_log_in_while_redis_is_away(no_redis: Any) -> None:
    user = UserFactory()
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)

    answer = Client().post("/accounts/login/", {"login": user.email, "password": PASSWORD})

    assert (answer.status_code, answer["Location"]) == (302, "/app/")
