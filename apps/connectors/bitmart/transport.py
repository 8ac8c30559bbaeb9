"""Bytes to BitMart and back: one try, and the truth about whether anything was sent."""

import ssl
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError
from urllib3.util import Timeout

from apps.connectors.budget import standing
from apps.connectors.exchange import ExchangeError, NotSentError, UnreachableError
from apps.lib import world

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 8.0
WHOLE_BODY_S = 15.0
LARGEST_ANSWER = 8 * 1024 * 1024
_CHUNK = 64 * 1024


class DialError(Exception):
    """No connection came about, so no byte of the request left."""


@contextmanager
def _dialing() -> Generator[None]:
    # requests reports a failed handshake and a connection cut while the answer is read as the same SSLError. Only
    # here, before the connection exists, is it certain that nothing was sent.
    try:
        yield
    except (OSError, HTTPError) as error:
        raise DialError(_cause(error)) from None


def _cause(error: Exception) -> str:
    if isinstance(error, NameResolutionError):
        return "its address could not be found"
    if isinstance(error, ssl.SSLError):
        return "no trusted encrypted connection"
    if isinstance(error, TimeoutError) or (
        isinstance(error, ConnectTimeoutError) and not isinstance(error, NewConnectionError)
    ):
        return "no connection in time"
    return "connection refused"


class _PlainConnection(HTTPConnection):
    def connect(self) -> None:
        with _dialing():
            super().connect()


class _EncryptedConnection(HTTPSConnection):
    def connect(self) -> None:
        with _dialing():
            super().connect()


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _EncryptedPool(HTTPSConnectionPool):
    ConnectionCls = _EncryptedConnection


class _Adapter(HTTPAdapter):
    """Works out once a host what `requests` works out at each call, and keeps no cookies. No proxies, no client
    certificates; `verify` is the same at every call."""

    def __init__(self, **settings: Any) -> None:
        self._pools: dict[str, Any] = {}
        super().__init__(**settings)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _EncryptedPool}

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        host, _ = _parted(request.url)
        pool = self._pools.get(host)
        if pool is None:
            pool = super().get_connection_with_tls_context(request, verify, proxies, cert)
            super().cert_verify(pool, request.url or "", verify, cert)
            self._pools[host] = pool
        return pool

    def close(self) -> None:
        # A pool closes its connections once nobody holds it: whoever is sending just now still does.
        self._pools.clear()
        super().close()

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Nothing: it was told when the pool was made."""

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        return _parted(request.url)[1]

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        response = requests.Response()
        response.status_code = resp.status
        response.headers = CaseInsensitiveDict(resp.headers)
        response.raw = resp
        response.request = req
        return response


def _parted(url: str | None) -> tuple[str, str]:
    """Return scheme and host of an address as `prepared` makes it, and what stands behind them."""
    scheme, _, host, *path = (url or "").split("/", 3)
    return f"{scheme}//{host}", f"/{path[0] if path else ''}"


@dataclass(frozen=True, slots=True)
class RawAnswer:
    status: int
    headers: Mapping[str, str]
    content: bytes


def prepared(
    method: str, url: str, *, params: Mapping[str, str | int], headers: Mapping[str, str], content: bytes | None
) -> requests.PreparedRequest:
    """Make the bytes that `requests.Request(...).prepare()` makes, in a tenth of its time.

    It takes every part for foreign and looks it over again at each call; `url` was looked over when the client was
    made, and names and figures in `params` are encoded here.
    """
    request = requests.PreparedRequest()
    request.method = method
    request.url = f"{url}?{urlencode(params)}" if params else url
    request.headers = CaseInsensitiveDict(headers)
    request.body = content
    if content is not None:
        request.headers["Content-Length"] = str(len(content))
    return request


class Transport:
    """Keep-alive connections of one client, safe to share between threads.

    The adapter is used without a requests.Session: what a Session adds (cookies, redirects, environment proxies,
    netrc) is what must not happen here, and its cookie jar is the part that threads would share. What is left is
    urllib3's pool manager, which locks for itself.
    """

    def __init__(self) -> None:
        self._adapter = _Adapter(max_retries=0, pool_connections=2, pool_maxsize=32)

    def send(self, request: requests.PreparedRequest) -> RawAnswer:
        """Send once. NotSentError: no byte left. UnreachableError: it may have arrived."""
        failure: ExchangeError
        within_s = patience_s()
        if within_s <= 0:
            raise _not_sent("no time left to ask")
        # The stubs do not know that the adapter takes urllib3's own.
        timeout: Any = Timeout(within_s, connect=CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S)
        try:
            response = self._adapter.send(request, stream=True, timeout=timeout, verify=True, proxies={})
            with closing(response):
                return RawAnswer(response.status_code, response.headers, _content(response, within_s))
        except DialError as error:
            failure = _not_sent(str(error))
        except requests.ConnectTimeout:
            failure = _not_sent("no connection in time")
        except requests.Timeout:
            failure = _lost("no answer in time")
        except (requests.RequestException, HTTPError, OSError):
            failure = _lost("the connection broke")
        # Raised out here so that it carries no requests exception, which holds the signed headers, as its context.
        raise failure

    def close(self) -> None:
        self._adapter.close()


class Sender(Protocol):
    """What a client sends through: one try for each call, with the errors of `Transport.send`."""

    def send(self, request: requests.PreparedRequest) -> RawAnswer: ...

    def close(self) -> None: ...


_make: Callable[[], Sender] = Transport


def open_transport() -> Sender:
    return _make()


@contextmanager
def replaced(make: Callable[[], Sender]) -> Generator[None]:
    """Let clients opened inside the block send their bytes another way: a simulator has no network."""
    global _make
    before, _make = _make, make
    try:
        yield
    finally:
        _make = before


def patience_s() -> float:
    """Return how long the caller waits for an answer to begin: for ever, where it has not said."""
    until = standing().until
    return float("inf") if until is None else until - world.monotonic()


def _content(response: requests.Response, within_s: float) -> bytes:
    deadline = time.monotonic() + min(WHOLE_BODY_S, within_s)
    content = bytearray()
    while chunk := response.raw.read1(_CHUNK, decode_content=True):
        content += chunk
        if len(content) > LARGEST_ANSWER:
            raise requests.exceptions.ContentDecodingError("answer too large")
        if time.monotonic() > deadline:
            raise requests.ReadTimeout("answer too slow")
    return bytes(content)


def _not_sent(cause: str) -> NotSentError:
    return NotSentError(f"BitMart could not be reached ({cause}). Nothing was sent.")


def _lost(cause: str) -> UnreachableError:
    return UnreachableError(
        f"BitMart did not answer ({cause}). Whether the request was carried out is being checked; do not repeat it by "
        "hand."
    )
