"""The front door: route, rate limit, key, timestamp, signature, permission, JSON, parameters, rules, in this order."""

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.datastructures import QueryParams
from starlette.responses import Response

from apps.paper.auth import SeenSignatures, Signed, check_address, check_key, check_signature, find_account, recv_window
from apps.paper.exchange import Exchange
from apps.paper.limits import DEFAULT_LIMIT, Limit, RateLimiter
from apps.paper.params import Params, parse_body
from apps.paper.records import Account
from apps.paper.refusals import Refusal
from apps.paper.wire import Bare, Call, Encoded, JsonAnswer, Route, encoded_answer, envelope, message_for
from apps.paper.wire_account import ROUTES as ACCOUNT_ROUTES
from apps.paper.wire_algo import ROUTES as ALGO_ROUTES
from apps.paper.wire_futures_account import ROUTES as FUTURES_ACCOUNT_ROUTES
from apps.paper.wire_futures_orders import ROUTES as FUTURES_ORDER_ROUTES
from apps.paper.wire_futures_public import ROUTES as FUTURES_PUBLIC_ROUTES
from apps.paper.wire_futures_triggers import ROUTES as FUTURES_TRIGGER_ROUTES
from apps.paper.wire_public import ROUTES as PUBLIC_ROUTES
from apps.paper.wire_spot import ROUTES as SPOT_ROUTES

ROUTES: tuple[Route, ...] = (
    *PUBLIC_ROUTES,
    *ACCOUNT_ROUTES,
    *SPOT_ROUTES,
    *ALGO_ROUTES,
    *FUTURES_PUBLIC_ROUTES,
    *FUTURES_ACCOUNT_ROUTES,
    *FUTURES_ORDER_ROUTES,
    *FUTURES_TRIGGER_ROUTES,
)
_BY_PATH = {route.path: route for route in ROUTES}
LONGEST_BODY = 65_536


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request as read from the socket. Header names are lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    address: str


class Wire:
    def __init__(self, exchange: Exchange, limiter: RateLimiter) -> None:
        self._exchange = exchange
        self._limiter = limiter
        self._seen = SeenSignatures()

    def answer(self, request: Request) -> Response:
        """Return the answer. What it reports is committed before this returns."""
        route = _BY_PATH.get(request.path)
        limit = route.limit if route else DEFAULT_LIMIT
        caller = request.address if limit.mode == "IP" else request.headers.get("x-bm-key") or request.address
        used = self._limiter.use(request.path if route else "", caller, limit)
        headers = _limit_headers(limit, used)
        try:
            content = self._content(route, request, caller=caller, used=used)
        except Refusal as refusal:
            failed = envelope(code=refusal.code, message=refusal.text, data={})
            return JsonAnswer(failed, refusal.status, headers)
        data = content.get("data")
        if isinstance(data, Encoded):
            return encoded_answer(content, data, headers)
        return JsonAnswer(content, headers=headers)

    def _content(self, route: Route | None, request: Request, *, caller: str, used: int) -> dict[str, object]:
        if route is None:
            raise Refusal(30000)
        if route.method != request.method:
            raise Refusal(57001)
        self._limiter.check(caller, used, route.limit)
        now_ms = self._exchange.clock()
        values = parse_body(request.body) if route.method == "POST" else _query_values(request.query)
        account = self._authenticate(route, request, values=values, now_ms=now_ms)
        _check_json(route, request, values)
        params = Params(values or {}, route.codes)
        if route.recv_window:
            params.whole_between("recvWindow", 1, 60_000, default=5_000)
        self._exchange.advance(now_ms)
        call = Call(exchange=self._exchange, params=params, now_ms=now_ms, caller=account)
        with self._exchange.store.transaction():
            data = route.handler(call)
        if isinstance(data, Bare):
            return data.content
        return envelope(code=1000, message=message_for(route.path), data=data)

    def _authenticate(
        self, route: Route, request: Request, *, values: Mapping[str, object] | None, now_ms: int
    ) -> Account | None:
        if route.level == "none":
            return None
        account = find_account(self._exchange.store, request.headers)
        check_key(account, now_ms)
        if route.level == "signed":
            window = recv_window(values) if route.recv_window else None
            signed = Signed(headers=request.headers, body=request.body)
            check_signature(account, signed, now_ms=now_ms, recv_window_ms=window)
            if self._exchange.policies.of(account, "replay") == "refuse":
                self._seen.check(signed, now_ms)
        check_address(account, request.address)
        if not account.may(route.permission):
            raise Refusal(int(self._exchange.policies.of(account, "permission_code")))
        return account


def _check_json(route: Route, request: Request, values: Mapping[str, object] | None) -> None:
    if route.method != "POST":
        return
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise Refusal(58001)
    if values is None or len(request.body) > LONGEST_BODY:
        raise Refusal(route.codes.missing, "Bad Request [the body is not a JSON object]")


def _query_values(query: str) -> dict[str, object]:
    return dict(QueryParams(query))


def _limit_headers(limit: Limit, used: int) -> dict[str, str]:
    """Return the four headers. `Remaining` holds what is used, whatever its name says."""
    return {
        "X-BM-RateLimit-Limit": str(limit.count),
        "X-BM-RateLimit-Remaining": str(used),
        "X-BM-RateLimit-Reset": str(limit.seconds),
        "X-BM-RateLimit-Mode": limit.mode,
    }
