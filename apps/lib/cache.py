"""Django's Redis cache that answers "not there" when Redis does not answer: nothing that matters lives in it."""

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

T = TypeVar("T")

logger = logging.getLogger(__name__)

# So long nobody asks a Redis that failed: a hung one would cost every request its time-out.
BREAKER_S = 10.0


class FailOpenRedisCache(RedisCache):
    """Rate limits kept here count nothing while Redis is away; log-ins and pages go on."""

    _closed_until = 0.0  # on the monotonic clock, for the whole process

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        return self._ask(lambda: super(FailOpenRedisCache, self).get(key, default, version), otherwise=default)

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        self._ask(lambda: super(FailOpenRedisCache, self).set(key, value, timeout, version), otherwise=None)

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return self._ask(lambda: super(FailOpenRedisCache, self).add(key, value, timeout, version), otherwise=True)

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return self._ask(lambda: super(FailOpenRedisCache, self).touch(key, timeout, version), otherwise=False)

    def delete(self, key: Any, version: int | None = None) -> bool:
        return self._ask(lambda: super(FailOpenRedisCache, self).delete(key, version), otherwise=False)

    def _ask(self, call: Callable[[], T], *, otherwise: T) -> T:
        if time.monotonic() < FailOpenRedisCache._closed_until:
            return otherwise
        try:
            return call()
        except (RedisError, OSError) as error:
            logger.warning("cache does not answer, going on without it: %s", type(error).__name__)
            FailOpenRedisCache._closed_until = time.monotonic() + BREAKER_S
            return otherwise
