"""Orders that wait for a price, as BitMart's routes want them. ValueError: our own mistake, nothing is sent."""

from decimal import Decimal
from typing import Any

from apps.connectors.bitmart.futures_requests import (
    CLOSES_LONG,
    CLOSES_SHORT,
    ENTRIES,
    MODES,
    PRICE_TYPES,
    contracts,
    margin,
    presets,
    side_of,
)
from apps.connectors.bitmart.wire import outgoing_client_order_id, plain, without_padding
from apps.connectors.exchange import (
    Crossing,
    ProtectionChange,
    ProtectionRequest,
    Side,
    TrailingRequest,
    TriggerChange,
    TriggerRequest,
)

_WAYS = {Crossing.RISES_TO: 1, Crossing.FALLS_TO: 2}
_THIS_SIZE, _WHOLE_POSITION = 1, 2
_LEAST_CALLBACK, _MOST_CALLBACK = Decimal("0.001"), Decimal("0.05")


def trigger_body(request: TriggerRequest) -> dict[str, Any]:
    """Return the body of submit-plan-order: side, mode, size and the enums are JSON ints, prices text."""
    side = side_of(request.book, request.side, reduce_only=request.reduce_only)
    body: dict[str, Any] = {"symbol": _symbol(request.symbol), "side": side, "type": _order_type(request.price)}
    if request.price is not None:
        body["mode"] = MODES[request.time_in_force]
    if side in ENTRIES:
        body |= margin(request.leverage, request.margin_mode)
    body |= {
        "size": contracts(request.quantity),
        "trigger_price": plain(request.trigger_price, "trigger price"),
        "price_way": _WAYS[request.crossing],
        "price_type": PRICE_TYPES[request.source],
    }
    if request.price is not None:
        body["executive_price"] = plain(request.price, "price")
    return body | presets(request.take_profit, request.stop_loss, side=side)


def trigger_change_body(change: TriggerChange) -> dict[str, Any]:
    body: dict[str, Any] = {
        "symbol": _symbol(change.symbol),
        "order_id": _needed(change.exchange_order_id),
        "type": _order_type(change.price),
        "trigger_price": plain(change.trigger_price, "trigger price"),
        "price_type": PRICE_TYPES[change.source],
    }
    return body if change.price is None else body | {"executive_price": plain(change.price, "price")}


def protection_body(request: ProtectionRequest) -> dict[str, Any]:
    body: dict[str, Any] = {
        "symbol": _symbol(request.symbol),
        "type": request.kind.value,
        "side": CLOSES_LONG if request.side is Side.SELL else CLOSES_SHORT,
    }
    if request.quantity is not None:
        body["size"] = contracts(request.quantity)
    body |= {
        "trigger_price": plain(request.trigger_price, "trigger price"),
        "executive_price": _executive_price(request.trigger_price, request.price),
        "price_type": PRICE_TYPES[request.source],
        "plan_category": _WHOLE_POSITION if request.quantity is None else _THIS_SIZE,
        "client_order_id": outgoing_client_order_id(request.client_order_id),
        "category": _order_type(request.price),
    }
    return body


def protection_change_body(change: ProtectionChange) -> dict[str, Any]:
    body: dict[str, Any] = {"symbol": _symbol(change.symbol)}
    body |= one_id(exchange_order_id=change.exchange_order_id, client_order_id=change.client_order_id)
    return body | {
        "trigger_price": plain(change.trigger_price, "trigger price"),
        "executive_price": _executive_price(change.trigger_price, change.price),
        "price_type": PRICE_TYPES[change.source],
        "plan_category": _WHOLE_POSITION if change.whole_position else _THIS_SIZE,
        "category": _order_type(change.price),
    }


def trailing_body(request: TrailingRequest) -> dict[str, Any]:
    side = side_of(request.book, request.side, reduce_only=request.reduce_only)
    if not _LEAST_CALLBACK <= request.callback_rate <= _MOST_CALLBACK:
        raise ValueError(f"a callback rate is a fraction from 0.001 to 0.05, got {request.callback_rate}")
    body: dict[str, Any] = {"symbol": _symbol(request.symbol), "side": side}
    if side in ENTRIES:
        body |= margin(request.leverage, request.margin_mode)
    return body | {
        "size": contracts(request.quantity),
        "activation_price": plain(request.activation_price, "activation price"),
        # Percent on the wire: "0.1" to "5".
        "callback_rate": plain(without_padding(request.callback_rate * 100), "callback rate"),
        "activation_price_type": PRICE_TYPES[request.source],
    }


def one_id(*, exchange_order_id: str, client_order_id: str) -> dict[str, str]:
    """Return the one id to name an order by. With neither, some BitMart routes act on every order of the symbol."""
    if exchange_order_id.strip():
        return {"order_id": exchange_order_id}
    if client_order_id.strip():
        return {"client_order_id": client_order_id}
    raise ValueError("an order is named by one of its ids")


def _needed(exchange_order_id: str) -> str:
    if not exchange_order_id.strip():
        raise ValueError("this call needs the exchange's order id")
    return exchange_order_id


def _symbol(symbol: str) -> str:
    if not symbol.strip():
        raise ValueError("this call needs a symbol")
    return symbol


def _order_type(price: Decimal | None) -> str:
    return "market" if price is None else "limit"


def _executive_price(trigger_price: Decimal, price: Decimal | None) -> str:
    # BitMart wants the field filled for category 1 also where a market order has no use for it.
    return plain(trigger_price if price is None else price, "price")
