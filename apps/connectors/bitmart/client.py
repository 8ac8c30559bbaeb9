"""One account's calls to BitMart: build, sign, send once, read one envelope. No order words here."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from apps.connectors.bitmart.errors import OK_CODE, refusal
from apps.connectors.bitmart.limits import Meter, told_by
from apps.connectors.bitmart.signing import signature
from apps.connectors.bitmart.transport import RawAnswer, open_transport, prepared
from apps.connectors.budget import Budget, Slot, standing
from apps.connectors.budget_windows import NOTHING
from apps.connectors.exchange import (
    BudgetError,
    Credentials,
    CredentialsError,
    ExchangeError,
    NotSentError,
    RequestTrace,
    UnreachableError,
)
from apps.lib import world

RETRY_PAUSES_S = (0.2, 0.6)
_LONGEST_MESSAGE = 200
_LONGEST_TRACE = 80
# Anything else cannot stand in a header, and the library's complaint about it would quote the key.
_ACCESS_KEY = re.compile(r"[!-~]{1,128}", re.ASCII)
_DAMAGED = re.compile("[\ud800-\udfff]")

Trace = Callable[[RequestTrace], None]
Outcome = Callable[[bool], None]


def system_clock_ms() -> int:
    return world.now_ms()


@dataclass(frozen=True, slots=True)
class Envelope:
    """One answer. `code` is None when there was none to read; `body` is {} then. `midway_ms` is our clock halfway
    between its request leaving and its coming."""

    code: int | None
    body: Mapping[str, Any]
    http_status: int
    midway_ms: int

    @property
    def data(self) -> Any:
        return self.body.get("data")


class Client:
    """Every call raises ExchangeError unless the venue's code says success. Safe to use from several threads."""

    def __init__(
        self,
        *,
        base_url: str,
        credentials: Credentials | None,
        user_agent: str,
        on_trace: Trace | None = None,
        clock_ms: Callable[[], int] = system_clock_ms,
        clock_offset_ms: int = 0,
        sleep: Callable[[float], None] = world.sleep,
        budget: Budget | None = None,
        outgoing_address: str = "",
        on_outcome: Outcome | None = None,
    ) -> None:
        """`clock_offset_ms` is venue clock minus ours; it may be set again at any time.

        Each try takes from `budget` before it leaves, None = nobody counts. `outgoing_address` names what the venue
        sees us come from: workers of one address share its limits. `on_outcome` is told of each try that left, True
        when what became of it is not known; it must not raise.
        """
        address = urlsplit(base_url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError("base_url must be an http or https address")
        if not user_agent.isascii() or not user_agent.isprintable() or not user_agent.strip():
            raise ValueError("user_agent must be printable ASCII: BitMart turns library defaults away")
        self._base_url = base_url.rstrip("/")
        self._credentials = credentials
        self._user_agent = user_agent.strip()
        self._on_trace = on_trace
        self._clock_ms = clock_ms
        self.clock_offset_ms = clock_offset_ms
        self._sleep = sleep
        self._on_outcome = on_outcome
        self._transport = open_transport()
        access_key = credentials.access_key if credentials else ""
        self._meter = (
            Meter(budget, base_url=base_url, access_key=access_key, outgoing_address=outgoing_address)
            if budget is not None
            else None
        )

    def now_ms(self) -> int:
        """Return the venue's clock as far as we know it."""
        return self._clock_ms() + self.clock_offset_ms

    def public(self, path: str, params: Mapping[str, str | int] | None = None) -> Envelope:
        return self._repeated(lambda: self._call("GET", path, params=params))

    def keyed(self, path: str, params: Mapping[str, str | int] | None = None) -> Envelope:
        """GET with the access key and no signature: BitMart checks none on a private GET."""
        headers = self._key_header()
        return self._repeated(lambda: self._call("GET", path, params=params, headers=lambda: headers))

    def signed_query(self, path: str, body: Mapping[str, Any]) -> Envelope:
        """POST that only reads; each try is signed anew, after it has waited for its turn."""
        content, key = _compact(body), self._key()
        return self._repeated(
            lambda: self._call(
                "POST", path, content=content, headers=lambda: _signed_headers(key, content, self.now_ms())
            )
        )

    def signed_once(self, path: str, body: Mapping[str, Any], *, signed_at_ms: int) -> Envelope:
        """POST that may change something: one try, whatever happens."""
        content = _compact(body)
        headers = _signed_headers(self._key(), content, signed_at_ms)
        return self._call("POST", path, content=content, headers=lambda: headers)

    def learn_account(self, account_id: str) -> None:
        """Count from now on what is limited per account together with the account's other keys."""
        if self._meter is not None and self._credentials is not None:
            self._meter.learn_account(account_id)

    def close(self) -> None:
        self._transport.close()

    def _repeated(self, call: Callable[[], Envelope]) -> Envelope:
        for pause_s in RETRY_PAUSES_S if standing().until is None else ():
            try:
                return call()
            except BudgetError:
                # It has waited already.
                raise
            except (UnreachableError, NotSentError):
                self._sleep(pause_s)
        return call()

    def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        content: bytes | None = None,
        headers: Callable[[], Mapping[str, str]] = dict,
    ) -> Envelope:
        slot = self._admit(path)
        request = prepared(
            method,
            self._base_url + path,
            params=params or {},
            headers={"User-Agent": self._user_agent, "Accept": "application/json", "Accept-Encoding": "gzip"}
            | dict(headers()),
            content=content,
        )
        started, left_ms = world.monotonic(), self._clock_ms()
        try:
            raw = self._transport.send(request)
        except ExchangeError as error:
            self._unanswered(slot, error)
            self._count(error)
            self._trace(method, path, started, None)
            raise
        envelope = read_envelope(raw, midway_ms=(left_ms + self._clock_ms()) // 2)
        refused = self._refusal_in(envelope, raw)
        self._settle(slot, raw, envelope, refused)
        self._count(refused)
        self._trace(method, path, started, envelope)
        if refused is not None:
            raise refused
        return envelope

    def _refusal_in(self, envelope: Envelope, raw: RawAnswer) -> ExchangeError | None:
        if envelope.code == OK_CODE and raw.status < 400:
            return None
        return refusal(
            envelope.code, message=self._spoken(envelope.body), http_status=raw.status, pause_s=_pause(raw.headers)
        )

    def _admit(self, path: str) -> Slot | None:
        """Wait for the request's turn. BudgetError: it has none in time, and nothing was sent."""
        if self._meter is None:
            return None
        return self._meter.budget.admit(self._meter.bucket(path), address=self._meter.address)

    def _unanswered(self, slot: Slot | None, error: ExchangeError) -> None:
        if self._meter is None or slot is None:
            return
        if isinstance(error, NotSentError):
            self._meter.budget.give_back(slot)
        else:
            self._meter.budget.settle(slot, NOTHING)

    def _settle(self, slot: Slot | None, raw: RawAnswer, envelope: Envelope, error: ExchangeError | None) -> None:
        if self._meter is not None and slot is not None:
            told = told_by(raw.headers, http_status=raw.status, code=envelope.code, error=error)
            self._meter.budget.settle(slot, told)

    def _count(self, error: ExchangeError | None) -> None:
        is_lost = isinstance(error, UnreachableError)
        if isinstance(error, NotSentError) or (is_lost and standing().until is not None):
            return
        if self._on_outcome is not None:
            self._on_outcome(is_lost)

    def _trace(self, method: str, path: str, started: float, envelope: Envelope | None) -> None:
        if self._on_trace is None:
            return
        server_trace = envelope.body.get("trace") if envelope else None
        self._on_trace(
            RequestTrace(
                method=method,
                path=path,
                status=envelope.http_status if envelope else None,
                code=str(envelope.code) if envelope and envelope.code is not None else "",
                elapsed_ms=(world.monotonic() - started) * 1000,
                server_trace=self._harmless(server_trace, _LONGEST_TRACE),
            )
        )

    def _spoken(self, body: Mapping[str, Any]) -> str:
        return self._harmless(body.get("message") or body.get("msg"), _LONGEST_MESSAGE)

    def _harmless(self, value: object, longest: int) -> str:
        """Return the venue's text, or "" when it could carry one of our secrets back to us."""
        if not isinstance(value, str) or not value.isprintable():
            return ""
        if self._credentials is not None:
            secrets = (self._credentials.access_key, self._credentials.secret_key, self._credentials.memo)
            if any(secret and secret in value for secret in secrets):
                return ""
        return value[:longest]

    def _key(self) -> Credentials:
        if self._credentials is None:
            raise CredentialsError("This connector has no key, so nothing was sent.", reason="KEY_UNKNOWN")
        key = self._credentials
        if not _ACCESS_KEY.fullmatch(key.access_key):
            raise CredentialsError(
                "The access key holds characters that no BitMart key has. Paste it again. Nothing was sent.",
                reason="KEY_UNKNOWN",
            )
        if not key.secret_key or _DAMAGED.search(key.secret_key) or _DAMAGED.search(key.memo):
            raise CredentialsError(
                "The secret or the memo is empty or damaged. Paste both again. Nothing was sent.", reason="SIGNATURE"
            )
        return key

    def _key_header(self) -> dict[str, str]:
        return {"X-BM-KEY": self._key().access_key}


def _signed_headers(key: Credentials, content: bytes, signed_at_ms: int) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "X-BM-KEY": key.access_key,
        "X-BM-TIMESTAMP": str(signed_at_ms),
        "X-BM-SIGN": signature(secret_key=key.secret_key, memo=key.memo, timestamp_ms=signed_at_ms, body=content),
    }


def _compact(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def read_envelope(raw: RawAnswer, *, midway_ms: int) -> Envelope:
    body = _json_object(raw.content)
    return Envelope(code=_code(body.get("code")), body=body, http_status=raw.status, midway_ms=midway_ms)


def _json_object(content: bytes) -> Mapping[str, Any]:
    """Return the JSON object, {} when the bytes are anything else. Floats become Decimal, ints stay ints."""
    try:
        value = json.loads(content.decode(), parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, ArithmeticError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _code(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9:
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return None


def _pause(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds the venue asks us to stay away; None when it does not say."""
    for name in ("Retry-After", "X-BM-RateLimit-Reset"):
        value = headers.get(name, "").strip()
        if value.isascii() and value.isdigit() and len(value) < 5:
            return float(value)
    return None
