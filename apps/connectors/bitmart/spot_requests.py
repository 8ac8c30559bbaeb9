"""A spot order as the submit route wants it. ValueError: our own mistake; NotSupportedError: spot has no such thing."""

from typing import Any

from apps.connectors.bitmart.wire import outgoing_client_order_id, plain
from apps.connectors.exchange import Book, NotSupportedError, OrderRequest, OrderType, Side, TimeInForce

_LIMIT_TYPES = {TimeInForce.GTC: "limit", TimeInForce.IOC: "ioc", TimeInForce.POST_ONLY: "limit_maker"}


def order_body(request: OrderRequest) -> dict[str, Any]:
    """Return the body of POST /spot/v2/submit_order: snake_case here, other routes differ and misnamed fields are
    ignored silently."""
    _refuse_futures_words(request)
    body: dict[str, Any] = {
        "symbol": request.symbol,
        "side": request.side.value,
        "type": _order_type(request),
        "client_order_id": outgoing_client_order_id(request.client_order_id),
    }
    return body | _size(request) | _price(request)


def _refuse_futures_words(request: OrderRequest) -> None:
    if request.book is not Book.NET or request.leverage is not None or request.margin_mode is not None:
        raise NotSupportedError("Spot orders have no leverage, margin mode or hedge side. Nothing was sent.")
    if request.take_profit is not None or request.stop_loss is not None:
        raise NotSupportedError("BitMart spot orders carry no take-profit or stop-loss. Nothing was sent.")
    if request.reduce_only and request.side is Side.BUY:
        raise NotSupportedError("A spot buy cannot reduce anything. Nothing was sent.")


def _order_type(request: OrderRequest) -> str:
    if request.order_type is OrderType.MARKET:
        if request.time_in_force is TimeInForce.POST_ONLY:
            raise ValueError("a market order cannot be post-only")
        return "market"
    if request.time_in_force not in _LIMIT_TYPES:
        raise NotSupportedError("BitMart spot has no fill-or-kill order. Nothing was sent.")
    return _LIMIT_TYPES[request.time_in_force]


def _size(request: OrderRequest) -> dict[str, str]:
    if request.order_type is OrderType.MARKET and request.side is Side.BUY:
        if request.notional is None or request.quantity is not None:
            raise ValueError("a spot market buy is sized by notional, in quote currency")
        return {"notional": plain(request.notional, "notional")}
    if request.quantity is None or request.notional is not None:
        raise ValueError("this order is sized by quantity, in base units")
    return {"size": plain(request.quantity, "quantity")}


def _price(request: OrderRequest) -> dict[str, str]:
    if request.order_type is OrderType.MARKET:
        if request.price is not None:
            raise ValueError("a market order has no price")
        return {}
    if request.price is None:
        raise ValueError("a limit order needs a price")
    return {"price": plain(request.price, "price")}
