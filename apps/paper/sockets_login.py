"""Logging in on a socket: the key, and a signature over a fixed word in place of a body."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from hmac import compare_digest

from apps.paper.auth import WINDOW_MS, sign
from apps.paper.records import Account
from apps.paper.store import Store

_WORD = b"bitmart.WebSocket"
_TIMESTAMP = re.compile(r"\d{1,16}", re.ASCII)


class Wrong(Enum):
    KEY_EMPTY = "key empty"
    KEY_UNKNOWN = "key unknown"
    SIGN_EMPTY = "sign empty"
    SIGN = "sign wrong"
    TIME_EMPTY = "timestamp empty"
    TIME_RANGE = "timestamp range"
    TIME_FORMAT = "timestamp format"


@dataclass(frozen=True, slots=True)
class Credentials:
    key: str
    timestamp: str
    signature: str


def credentials(args: Sequence[object]) -> Credentials:
    """Return the first three arguments; a missing one is empty."""
    texts = [str(value) for value in args[:3]] + ["", "", ""]
    return Credentials(texts[0], texts[1], texts[2])


def log_in(store: Store, given: Credentials, now_ms: int) -> Account | Wrong:
    if not given.key:
        return Wrong.KEY_EMPTY
    account = store.one(Account, "access_key = ?", given.key) if given.key.isascii() else None
    if account is None:
        return Wrong.KEY_UNKNOWN
    if not given.timestamp:
        return Wrong.TIME_EMPTY
    if not _TIMESTAMP.fullmatch(given.timestamp):
        return Wrong.TIME_FORMAT
    if abs(now_ms - int(given.timestamp)) > WINDOW_MS:
        return Wrong.TIME_RANGE
    if not given.signature:
        return Wrong.SIGN_EMPTY
    wanted = sign(account.secret_key, timestamp=given.timestamp, memo=account.memo, body=_WORD)
    return account if compare_digest(wanted.encode(), given.signature.encode("utf-8", "replace")) else Wrong.SIGN
