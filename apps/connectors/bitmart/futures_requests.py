"""A futures order as BitMart's submit route wants it. ValueError: our own mistake, nothing is sent."""

from decimal import Decimal
from typing import Any

from apps.connectors.bitmart.wire import outgoing_client_order_id, plain, without_padding
from apps.connectors.exchange import Book, OrderRequest, OrderType, Side, TimeInForce

_MODES = {TimeInForce.GTC: 1, TimeInForce.FOK: 2, TimeInForce.IOC: 3, TimeInForce.POST_ONLY: 4}

# (book, side, reduces) -> BitMart's side. In a hedge account the book says by itself whether the order closes.
_SIDES = {
    (Book.NET, Side.BUY, False): 1,
    (Book.NET, Side.BUY, True): 2,
    (Book.NET, Side.SELL, True): 3,
    (Book.NET, Side.SELL, False): 4,
    (Book.LONG, Side.BUY, False): 1,
    (Book.SHORT, Side.BUY, True): 2,
    (Book.LONG, Side.SELL, True): 3,
    (Book.SHORT, Side.SELL, False): 4,
}
ENTRIES = (1, 4)


def order_body(request: OrderRequest) -> dict[str, Any]:
    """Return the body of POST /contract/private/submit-order: side, mode and size are JSON ints, the rest text."""
    side = wire_side(request)
    body: dict[str, Any] = {
        "symbol": request.symbol,
        "client_order_id": outgoing_client_order_id(request.client_order_id),
        "side": side,
    }
    body |= {"type": request.order_type.value} if _is_market(request) else {"mode": _mode(request), "type": "limit"}
    if side in ENTRIES:
        body |= _margin(request)
    body["size"] = _contracts(request)
    return body | _price(request)


def wire_side(request: OrderRequest) -> int:
    closes = (request.book, request.side) in ((Book.LONG, Side.SELL), (Book.SHORT, Side.BUY))
    side = _SIDES.get((request.book, request.side, request.reduce_only or closes))
    if side is None:
        raise ValueError(f"a {request.side} order cannot reduce the {request.book} book")
    return side


def leverage_text(leverage: Decimal) -> str:
    return plain(without_padding(leverage), "leverage")


def _is_market(request: OrderRequest) -> bool:
    return request.order_type is OrderType.MARKET


def _mode(request: OrderRequest) -> int:
    return _MODES[request.time_in_force]


def _margin(request: OrderRequest) -> dict[str, str]:
    margin = {}
    if request.leverage is not None:
        margin["leverage"] = leverage_text(request.leverage)
    if request.margin_mode is not None:
        margin["open_type"] = request.margin_mode.value
    return margin


def _contracts(request: OrderRequest) -> int:
    quantity = request.quantity
    if quantity is None or request.notional is not None:
        raise ValueError("a futures order is sized by quantity, in contracts")
    if not quantity.is_finite() or quantity <= 0 or quantity >= 10**18 or quantity != quantity.to_integral_value():
        raise ValueError(f"contracts are whole numbers above zero, got {quantity}")
    return int(quantity)


def _price(request: OrderRequest) -> dict[str, str]:
    if _is_market(request):
        if request.price is not None:
            raise ValueError("a market order has no price")
        if request.time_in_force in (TimeInForce.POST_ONLY, TimeInForce.FOK):
            raise ValueError(f"a market order cannot be {request.time_in_force}")
        return {}
    if request.price is None:
        raise ValueError("a limit order needs a price")
    return {"price": plain(request.price, "price")}
