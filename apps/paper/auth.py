"""Who is calling: X-BM-KEY alone on KEYED routes, timestamp and signature over the raw body too on SIGNED ones."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass

from apps.paper.records import Account
from apps.paper.refusals import Refusal
from apps.paper.store import Store

WINDOW_MS = 60_000
DEFAULT_RECV_WINDOW_MS = 5_000
_AHEAD_MS = 1_000
_MOST_SEEN = 50_000
_TIMESTAMP = re.compile(r"\d{1,16}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Signed:
    """The three headers as sent, and the exact bytes they sign."""

    headers: Mapping[str, str]
    body: bytes


def sign(secret_key: str, *, timestamp: str, memo: str, body: bytes) -> str:
    """Return lower-case hex of HMAC-SHA256 over `<timestamp>#<memo>#<body>`."""
    message = f"{timestamp}#{memo}#".encode() + body
    return hmac.new(secret_key.encode(), message, hashlib.sha256).hexdigest()


def find_account(store: Store, headers: Mapping[str, str]) -> Account:
    key = headers.get("x-bm-key", "")
    if not key:
        raise Refusal(30001)
    found = store.hot(Account).group("access_key", (key,))
    if not found:
        raise Refusal(30002)
    return found[0]


def check_key(account: Account, now_ms: int) -> None:
    if account.state == "frozen":
        raise Refusal(30003)
    if account.expires_ms and account.expires_ms <= now_ms:
        raise Refusal(30011)


def check_address(account: Account, address: str) -> None:
    if account.addresses and address not in account.addresses.split(","):
        raise Refusal(30010)


class SeenSignatures:
    """The signatures of the last minute, each of which may come once."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def check(self, call: Signed, now_ms: int) -> None:
        if len(self._seen) > _MOST_SEEN:
            self._seen = {sign: at_ms for sign, at_ms in self._seen.items() if now_ms - at_ms <= WINDOW_MS}
        sign = call.headers.get("x-bm-sign", "")
        if now_ms - self._seen.get(sign, -WINDOW_MS - 1) <= WINDOW_MS:
            raise Refusal(30005)
        self._seen[sign] = now_ms


def check_signature(account: Account, call: Signed, *, now_ms: int, recv_window_ms: int | None) -> None:
    """Refuse a stale timestamp or a wrong signature. `recv_window_ms` is given on the routes that take recvWindow."""
    timestamp = call.headers.get("x-bm-timestamp", "")
    if not timestamp:
        raise Refusal(30006)
    if not _TIMESTAMP.fullmatch(timestamp):
        raise Refusal(30008)
    _check_window(int(timestamp), now_ms, recv_window_ms)
    given = call.headers.get("x-bm-sign", "")
    if not given:
        raise Refusal(30004)
    wanted = sign(account.secret_key, timestamp=timestamp, memo=account.memo, body=call.body)
    if not hmac.compare_digest(wanted.encode(), given.encode()):
        raise Refusal(30005)


def recv_window(values: Mapping[str, object] | None) -> int:
    """Return the body's recvWindow in ms, the default when absent or unusable (the parameter check refuses it)."""
    value = None if values is None else values.get("recvWindow")
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if re.fullmatch(r"\d{1,5}", text, re.ASCII) and 0 < int(text) <= WINDOW_MS:
        return int(text)
    return DEFAULT_RECV_WINDOW_MS


def _check_window(sent_ms: int, now_ms: int, recv_window_ms: int | None) -> None:
    if recv_window_ms is None:
        if abs(now_ms - sent_ms) > WINDOW_MS:
            raise Refusal(30007)
    elif sent_ms >= now_ms + _AHEAD_MS or now_ms - sent_ms > recv_window_ms:
        raise Refusal(30007)
