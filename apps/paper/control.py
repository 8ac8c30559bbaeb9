"""The exchange's own desk, beside the wire: make accounts, read what the exchange has, hold prices, order faults."""

import hmac
import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TypeVar

from starlette.responses import Response

from apps.paper.amounts import ZERO, plain
from apps.paper.control_accounts import account_view, change_account, create_account, policies_of
from apps.paper.exchange import Exchange
from apps.paper.faults import FaultRoom
from apps.paper.faults_script import order, report
from apps.paper.limits import RateLimiter
from apps.paper.params import Codes, Params, parse_body
from apps.paper.records import Account, Fill, Order, PricePin
from apps.paper.refusals import Refusal
from apps.paper.rest import Request
from apps.paper.streams_manners import Manners
from apps.paper.wire import JsonAnswer, envelope

PREFIX = "/_paper/"
_CODES = Codes(missing=50000, invalid=50021)
_MOST_ROWS = 5_000
_TEN_THOUSAND = Decimal(10_000)


Row = TypeVar("Row", Order, Fill)


@dataclass(frozen=True, slots=True)
class ControlCall:
    parts: tuple[str, ...]
    params: Params


class ControlDesk:
    def __init__(self, exchange: Exchange, faults: FaultRoom, limiter: RateLimiter, *, token: str) -> None:
        self._exchange = exchange
        self._faults = faults
        self._limiter = limiter
        self._token = token
        self.manners = Manners()

    def answer(self, request: Request) -> Response:
        """Answer a control request. Strangers get the same 404 as an unknown path."""
        try:
            if not self._admits(request):
                raise Refusal(30000)
            values = parse_body(request.body)
            if values is None:
                raise Refusal(50000, "Bad Request [the body is not a JSON object]")
            parts = tuple(request.path.removeprefix(PREFIX).split("/"))
            handler = self._handler(request.method, parts)
            return JsonAnswer(handler(ControlCall(parts, Params(values, _CODES))))
        except Refusal as refusal:
            return JsonAnswer(envelope(code=refusal.code, message=refusal.text, data={}), refusal.status)

    def _admits(self, request: Request) -> bool:
        if not self._token:
            return _is_loopback(request.address)
        given = request.headers.get("authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode())

    def _handler(self, method: str, parts: tuple[str, ...]) -> Callable[[ControlCall], object]:
        if method == "POST" and parts == ("accounts",):
            return self._create_account
        if method == "POST" and len(parts) == 2 and parts[0] == "accounts":
            return self._change_account
        if method == "POST" and parts == ("policies",):
            return self._change_policies
        if method == "POST" and parts == ("prices",):
            return self._set_price
        if parts == ("faults",) and self._faults.allowed and method in {"POST", "DELETE", "GET"}:
            return {"POST": self._order_faults, "DELETE": self._clear_faults, "GET": self._show_faults}[method]
        if parts == ("limits",) and self._faults.allowed and method == "DELETE":
            return self._end_windows
        if method == "POST" and parts == ("streams",):
            return self._change_manners
        if method == "GET" and len(parts) == 3 and parts[0] == "accounts" and parts[2] in {"orders", "fills"}:
            return self._orders if parts[2] == "orders" else self._fills
        raise Refusal(30000)

    def _create_account(self, call: ControlCall) -> object:
        account = create_account(self._exchange, call.params)
        return {"access_key": account.access_key, "secret_key": account.secret_key, "memo": account.memo}

    def _change_account(self, call: ControlCall) -> object:
        account = self._account(call)
        return account_view(change_account(self._exchange, account, call.params))

    def _change_policies(self, call: ControlCall) -> object:
        """Choose for every account that has not its own choice. Held by the process, not by the store."""
        self._exchange.policies.choose(policies_of(call.params) or {})
        return {"policies": self._exchange.policies.all()}

    def _orders(self, call: ControlCall) -> object:
        return {"orders": [_view(row) for row in self._rows(Order, call)]}

    def _fills(self, call: ControlCall) -> object:
        return {"fills": [_view(row) for row in self._rows(Fill, call)]}

    def _rows(self, kind: type[Row], call: ControlCall) -> list[Row]:
        """Return everything the exchange has for the account, oldest first."""
        account = self._account(call)
        self._exchange.advance(self._exchange.clock())
        return self._exchange.store.find(kind, "account_id = ?", account.id, order="id", limit=_MOST_ROWS)

    def _account(self, call: ControlCall) -> Account:
        found = self._exchange.store.hot(Account).group("access_key", (call.parts[1],))
        if not found:
            raise Refusal(30000)
        return found[0]

    def _set_price(self, call: ControlCall) -> object:
        """Hold or release a price and fill what that reaches before answering.

        With `price` alone both sides trade at exactly that price, whatever their size; `bid`, `ask` and `mark` part
        them, `depth` is the size at each level of a book then. `move_bps` shifts the moving price for good. Neither
        (or `price: null`) lets the symbol move again.
        """
        params, exchange = call.params, self._exchange
        symbol = params.need("symbol")
        instrument = exchange.catalogue.spot.get(symbol) or exchange.catalogue.futures.get(symbol)
        if instrument is None:
            raise Refusal(50001)
        figures = {name: _positive(params, name) for name in ("price", "bid", "ask", "mark", "depth")}
        move = params.number("move_bps")
        if move is not None and not -_TEN_THOUSAND < move <= _TEN_THOUSAND * 10:
            raise params.invalid("move_bps")
        before = exchange.prices.pinned(symbol)
        with exchange.store.transaction():
            if figures["price"]:
                exchange.prices.pin(PricePin(symbol, **figures, factor=Decimal(1)))
            elif move is not None:
                factor = (before.factor if before else Decimal(1)) * (1 + move / _TEN_THOUSAND)
                exchange.prices.pin(
                    PricePin(symbol, price="", bid="", ask="", mark="", factor=factor, depth=figures["depth"])
                )
            else:
                exchange.prices.release(symbol)
            exchange.settle(exchange.clock())
        quote = exchange.prices.quote(symbol, exchange.clock())
        return {"symbol": symbol} | {name: plain(value) for name, value in asdict(quote).items()}

    def _order_faults(self, call: ControlCall) -> object:
        return order(call.params, self._faults)

    def _show_faults(self, call: ControlCall) -> object:
        return report(self._faults)

    def _change_manners(self, call: ControlCall) -> object:
        self.manners.change(call.params)
        return asdict(self.manners)

    def _clear_faults(self, call: ControlCall) -> object:
        self._faults.clear()
        return {}

    def _end_windows(self, call: ControlCall) -> object:
        self._limiter.end_windows()
        return {}


def _is_loopback(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return parsed.is_loopback or bool(mapped and mapped.is_loopback)


def _positive(params: Params, name: str) -> str:
    value = params.number(name)
    if value is None:
        return ""
    if value <= ZERO:
        raise params.invalid(name)
    return plain(value)


def _view(row: Order | Fill) -> dict[str, object]:
    """Return the row with ids and amounts as text."""
    content: Mapping[str, object] = asdict(row)
    shown = {name: plain(value) if isinstance(value, Decimal) else value for name, value in content.items()}
    shown.pop("account_id")
    return {name: str(value) if name in {"id", "order_id"} else value for name, value in shown.items()}
