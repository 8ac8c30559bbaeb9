"""Slots counted in Redis, for all workers together. One script a step, dated by Redis's own clock."""

from collections.abc import Callable, Sequence
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from apps.connectors.budget_windows import (
    MARGIN_MS,
    MOST_TOLD,
    RETAINED_MS,
    TOLD_LIMIT_MS,
    Bucket,
    Refused,
    Settling,
    Taken,
    Told,
    WindowsError,
    refused,
)

# Connecting and then waiting for one answer together stay within a quarter second.
TIMEOUT_S = 0.12
PREFIX = "sferica:budget"
ACCOUNT_KEPT_S = 30 * 86400

# Of each slot KEYS are: slots, blocked until, told limit, address banned until. Slots: token -> counts until, in
# milliseconds.
_NOW = """
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
"""
_SETTLING = """
local function settle(k, a)
  local slots, token, told = KEYS[k], ARGV[a], tonumber(ARGV[a + 4])
  if redis.call('ZSCORE', slots, token) then
    redis.call('ZADD', slots, now + tonumber(ARGV[a + 1]), token)
  end
  local others = tonumber(ARGV[a + 3]) - redis.call('ZCOUNT', slots, '(' .. ARGV[a + 2], '+inf')
  for i = 1, math.min(others, tonumber(ARGV[a + 10])) do
    redis.call('ZADD', slots, now + tonumber(ARGV[a + 5]), 'others-' .. token .. '-' .. i)
  end
  redis.call('PEXPIRE', slots, tonumber(ARGV[a + 9]) + tonumber(ARGV[a + 5]))
  if told > 0 then redis.call('SET', KEYS[k + 2], told, 'PX', ARGV[a + 8]) end
  local blocked, banned = tonumber(ARGV[a + 6]), tonumber(ARGV[a + 7])
  if blocked > 0 and now + blocked > tonumber(redis.call('GET', KEYS[k + 1]) or '0') then
    redis.call('SET', KEYS[k + 1], now + blocked, 'PX', blocked)
  end
  if banned > 0 then
    local until_ = now + banned
    if until_ > tonumber(redis.call('GET', KEYS[k + 3]) or '0') then
      redis.call('SET', KEYS[k + 3], until_, 'PX', banned)
    end
  end
end
"""
_SETTLE = f"{_NOW}{_SETTLING}settle(1, 2)"
# What is to be settled comes behind what is to be taken.
_TAKE = f"""{_NOW}{_SETTLING}
for i = 0, (#KEYS - 4) / 4 - 1 do settle(5 + 4 * i, 8 + 11 * i) end
local banned = tonumber(redis.call('GET', KEYS[4]) or '0')
if banned > now then return {{2, banned - now}} end
local blocked = tonumber(redis.call('GET', KEYS[2]) or '0')
if blocked > now then return {{1, blocked - now}} end
local count = tonumber(ARGV[2])
local told = tonumber(redis.call('GET', KEYS[3]) or '0')
if told > 0 and told < count then count = told end
local most = math.max(1, math.floor(count * tonumber(ARGV[3]) / 100))
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[6]))
local running = redis.call('ZCOUNT', KEYS[1], '(' .. now, '+inf')
if running >= most then
  local free = redis.call('ZREVRANGE', KEYS[1], most - 1, most - 1, 'WITHSCORES')
  return {{1, tonumber(free[2]) - now}}
end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[4]), ARGV[5])
redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[7]))
return {{0, now, running + 1}}
"""
_FREE, _FULL, _BANNED = 0, 1, 2


class RedisWindows:
    """Opens no connection before the first call. Every method raises WindowsError when Redis does not do its part."""

    def __init__(self, url: str, *, clock_ms: Callable[[], int] | None = None) -> None:
        """`clock_ms` stands in for Redis's clock in tests."""
        self._clock_ms = clock_ms
        self._redis: Any = redis.Redis.from_url(
            url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            driver_info=None,
            decode_responses=True,
        )
        self._take = self._redis.register_script(_TAKE)
        self._settle = self._redis.register_script(_SETTLE)

    def take(
        self, bucket: Bucket, address: str, *, share_pct: int, token: str = "", settling: Sequence[Settling] = ()
    ) -> Taken | Refused:
        keys = _keys(bucket, address)
        arguments = [
            self._now(),
            bucket.count,
            share_pct,
            bucket.hold_ms,
            token,
            RETAINED_MS,
            bucket.retained_ms,
        ]
        for one in settling:
            keys += _keys(one.bucket, one.address)
            arguments += _settled(one)
        verdict, figure, *running = self._run(self._take, keys, arguments)
        if verdict == _FREE:
            return Taken(token, figure, *running)
        return refused(figure, banned=verdict == _BANNED)

    def settle(self, bucket: Bucket, address: str, token: str, *, taken_at_ms: float, told: Told) -> None:
        one = Settling(bucket, address, token, taken_at_ms, told)
        self._run(self._settle, _keys(bucket, address), [self._now(), *_settled(one)])

    def give_back(self, bucket: Bucket, token: str) -> None:
        self._command("zrem", f"{PREFIX}:slots:{bucket.name}", token)

    def remember_account(self, key: str, account: str) -> None:
        self._command("set", f"{PREFIX}:account:{key}", account, ex=ACCOUNT_KEPT_S)

    def account_of(self, key: str) -> str | None:
        account = self._command("get", f"{PREFIX}:account:{key}")
        return account if isinstance(account, str) and account else None

    def close(self) -> None:
        self._redis.close()

    def _now(self) -> int | str:
        return "" if self._clock_ms is None else self._clock_ms()

    def _run(self, script: Any, keys: list[str], arguments: list[Any]) -> Any:
        try:
            return script(keys=keys, args=arguments)
        except (redis.RedisError, OSError) as error:
            raise WindowsError(type(error).__name__) from error

    def _command(self, name: str, *arguments: Any, **options: Any) -> Any:
        try:
            return getattr(self._redis, name)(*arguments, **options)
        except (redis.RedisError, OSError) as error:
            raise WindowsError(type(error).__name__) from error


def _settled(one: Settling) -> list[Any]:
    return [
        one.token,
        one.bucket.keep_ms,
        int(one.taken_at_ms),
        one.told.used,
        one.told.count,
        one.told.reset_ms + MARGIN_MS,
        one.told.blocked_ms,
        one.told.banned_ms,
        TOLD_LIMIT_MS,
        one.bucket.retained_ms,
        MOST_TOLD,
    ]


def _keys(bucket: Bucket, address: str) -> list[str]:
    return [
        f"{PREFIX}:slots:{bucket.name}",
        f"{PREFIX}:blocked:{bucket.name}",
        f"{PREFIX}:limit:{bucket.name}",
        f"{PREFIX}:banned:{address}",
    ]
