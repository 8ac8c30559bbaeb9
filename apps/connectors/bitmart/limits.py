"""BitMart's request limits: which one a route falls under, whose it is, and what an answer says about it.

Each route has its own count. Limits by address are shared by all our users behind it; those by account are shared by
all keys of one account, which is known once `account/info` was read for a key, and until then counted by key.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import urlsplit

from apps.connectors.budget import Budget
from apps.connectors.budget_windows import Bucket, Told
from apps.connectors.exchange import RateLimitError

BAN_MS = 60_000
_LONGEST_RESET_MS = 3_600_000


class Scope(StrEnum):
    ADDRESS = "address"
    KEY = "key"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class RouteLimit:
    count: int
    window_ms: int
    scope: Scope


def _each(count: int, scope: Scope, *paths: str, window_ms: int = 2000) -> dict[str, RouteLimit]:
    return {path: RouteLimit(count, window_ms, scope) for path in paths}


def _under(prefix: str, *names: str) -> list[str]:
    return [prefix + name for name in names]


_QUOTATION = "/spot/quotation/v3/"
_QUERY = "/spot/v4/query/"
_ALGO = "/spot/v4/algo/"
_PRIVATE = "/contract/private/"
UNLISTED = RouteLimit(600, 60_000, Scope.ADDRESS)
PUBLIC_FUTURES = RouteLimit(12, 2000, Scope.ADDRESS)
_PUBLIC_FUTURES_PREFIX = "/contract/public/"

LIMITS: Mapping[str, RouteLimit] = {
    **_each(10, Scope.ADDRESS, "/system/time", "/system/service", window_ms=1000),
    **_each(12, Scope.ADDRESS, "/spot/v1/symbols/details"),
    **_each(8, Scope.ADDRESS, "/spot/v1/currencies", "/spot/v1/symbols"),
    **_each(10, Scope.ADDRESS, *_under(_QUOTATION, "tickers", "klines")),
    **_each(15, Scope.ADDRESS, *_under(_QUOTATION, "ticker", "lite-klines", "books", "trades")),
    **_each(12, Scope.KEY, "/spot/v1/wallet", "/account/v1/wallet"),
    **_each(2, Scope.KEY, "/spot/v1/trade_fee", "/spot/v1/user_fee", "/account/v1/withdraw/charge"),
    **_each(40, Scope.ACCOUNT, "/spot/v2/submit_order", "/spot/v4/batch_orders"),
    **_each(40, Scope.ACCOUNT, "/spot/v3/cancel_order", "/spot/v4/cancel_orders"),
    **_each(1, Scope.ACCOUNT, "/spot/v4/cancel_all", window_ms=3000),
    **_each(50, Scope.KEY, *_under(_QUERY, "order", "client-order")),
    **_each(12, Scope.KEY, *_under(_QUERY, "open-orders", "history-orders", "trades", "order-trades")),
    **_each(10, Scope.ACCOUNT, *_under(_ALGO, "submit_order", "cancel_order")),
    **_each(5, Scope.ACCOUNT, *_under(_ALGO, "cancel_all")),
    **_each(2, Scope.ADDRESS, "/account/v1/currencies", "/contract/public/open-interest"),
    **_each(12, Scope.KEY, *_under(_PRIVATE, "assets-detail")),
    **_each(6, Scope.KEY, *_under(_PRIVATE, "position", "position-v2")),
    **_each(24, Scope.KEY, *_under(_PRIVATE, "position-risk", "submit-order", "submit-leverage")),
    **_each(40, Scope.KEY, *_under(_PRIVATE, "cancel-order")),
    **_each(2, Scope.KEY, *_under(_PRIVATE, "cancel-orders", "get-position-mode", "set-position-mode")),
    **_each(2, Scope.KEY, *_under(_PRIVATE, "trade-fee-rate")),
    **_each(50, Scope.KEY, *_under(_PRIVATE, "order", "get-open-orders", "current-plan-order")),
    **_each(6, Scope.KEY, *_under(_PRIVATE, "order-history", "trades", "transaction-history")),
    **_each(24, Scope.ACCOUNT, *_under(_PRIVATE, "submit-plan-order", "submit-tp-sl-order", "submit-trail-order")),
    **_each(24, Scope.ACCOUNT, *_under(_PRIVATE, "modify-limit-order", "modify-plan-order", "modify-tp-sl-order")),
    **_each(24, Scope.ACCOUNT, *_under(_PRIVATE, "modify-preset-plan-order", "cancel-trail-order")),
    **_each(40, Scope.ACCOUNT, *_under(_PRIVATE, "cancel-plan-order")),
    **_each(4, Scope.ACCOUNT, *_under(_PRIVATE, "cancel-all-after")),
    **_each(1, Scope.KEY, "/account/v1/transfer-contract", "/account/v1/transfer-contract-list"),
}


def limit_of(path: str) -> RouteLimit:
    listed = LIMITS.get(path)
    if listed is not None:
        return listed
    return PUBLIC_FUTURES if path.startswith(_PUBLIC_FUTURES_PREFIX) else UNLISTED


class Meter:
    """The buckets of one client: which of them a path takes from."""

    def __init__(self, budget: Budget, *, base_url: str, access_key: str, outgoing_address: str) -> None:
        address = urlsplit(base_url)
        self.budget = budget
        self.address = f"{_venue(address.hostname or '', address.netloc)}:{outgoing_address}"
        self._host = address.netloc.lower()
        # What limits are counted under stands in Redis; the key itself does not.
        self._key = hashlib.sha256(access_key.encode("utf-8", "replace")).hexdigest()[:24]

    def bucket(self, path: str) -> Bucket:
        limit = limit_of(path)
        return Bucket(f"{self._host}{path}:{self._whose(limit.scope)}", limit.count, limit.window_ms)

    def learn_account(self, account_id: str) -> None:
        self.budget.remember_account(self._owner, account_id)

    @property
    def _owner(self) -> str:
        return f"{self._host}:{self._key}"

    def _whose(self, scope: Scope) -> str:
        if scope is Scope.ADDRESS:
            return self.address
        if scope is Scope.ACCOUNT and (account := self.budget.account_of(self._owner)) is not None:
            return f"account:{account}"
        return f"key:{self._key}"


def told_by(headers: Mapping[str, str], *, http_status: int, code: int | None, error: Exception | None) -> Told:
    """Return what an answer says about its limit. "Remaining" holds what is used, despite its name."""
    reset_ms = min(_figure(headers, "X-BM-RateLimit-Reset") * 1000, _LONGEST_RESET_MS)
    used, count = _figure(headers, "X-BM-RateLimit-Remaining"), _figure(headers, "X-BM-RateLimit-Limit")
    blocked_ms = banned_ms = 0
    if isinstance(error, RateLimitError):
        pause_ms = int(error.retry_after * 1000)
        banned_ms, blocked_ms = (max(pause_ms, BAN_MS), 0) if error.banned else (0, pause_ms)
    elif http_status == 418 or (http_status == 403 and code is None):
        # A 403 without a code of BitMart's is the gateway in front of it turning our address away.
        banned_ms = BAN_MS
    return Told(used=used, count=count, reset_ms=reset_ms, blocked_ms=blocked_ms, banned_ms=banned_ms)


def _figure(headers: Mapping[str, str], name: str) -> int:
    value = headers.get(name, "").strip()
    return int(value) if value.isascii() and value.isdigit() and len(value) < 7 else 0


def _venue(host: str, netloc: str) -> str:
    """Return what is banned together: all hosts of one registered name, or one numbered address and port."""
    try:
        ip_address(host)
    except ValueError:
        return ".".join(host.lower().split(".")[-2:])
    return netloc
