"""A futures order as BitMart's submit route wants it. ValueError: our own mistake, nothing is sent."""

from decimal import Decimal
from typing import Any

from apps.connectors.bitmart.wire import outgoing_client_order_id, plain, without_padding
from apps.connectors.exchange import (
    Book,
    MarginMode,
    OrderRequest,
    OrderType,
    PresetPrice,
    PriceSource,
    Side,
    TimeInForce,
)

MODES = {TimeInForce.GTC: 1, TimeInForce.FOK: 2, TimeInForce.IOC: 3, TimeInForce.POST_ONLY: 4}

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
CLOSES_SHORT, CLOSES_LONG = 2, 3
ENTRIES = (1, 4)
PRICE_TYPES = {PriceSource.LAST: 1, PriceSource.MARK: 2}


def order_body(request: OrderRequest) -> dict[str, Any]:
    """Return the body of POST /contract/private/submit-order: side, mode and size are JSON ints, the rest text."""
    side = wire_side(request)
    body: dict[str, Any] = {
        "symbol": request.symbol,
        "client_order_id": outgoing_client_order_id(request.client_order_id),
        "side": side,
    }
    body |= (
        {"type": request.order_type.value}
        if _is_market(request)
        else {"mode": MODES[request.time_in_force], "type": "limit"}
    )
    if side in ENTRIES:
        body |= margin(request.leverage, request.margin_mode)
    if request.quantity is None or request.notional is not None:
        raise ValueError("a futures order is sized by quantity, in contracts")
    body["size"] = contracts(request.quantity)
    return body | _price(request) | presets(request.take_profit, request.stop_loss, side=side)


def wire_side(request: OrderRequest) -> int:
    return side_of(request.book, request.side, reduce_only=request.reduce_only)


def side_of(book: Book, side: Side, *, reduce_only: bool) -> int:
    closes = (book, side) in ((Book.LONG, Side.SELL), (Book.SHORT, Side.BUY))
    number = _SIDES.get((book, side, reduce_only or closes))
    if number is None:
        raise ValueError(f"a {side} order cannot reduce the {book} book")
    return number


def leverage_text(leverage: Decimal) -> str:
    return plain(without_padding(leverage), "leverage")


def margin(leverage: Decimal | None, margin_mode: MarginMode | None) -> dict[str, str]:
    fields = {}
    if leverage is not None:
        fields["leverage"] = leverage_text(leverage)
    if margin_mode is not None:
        fields["open_type"] = margin_mode.value
    return fields


def presets(take_profit: PresetPrice | None, stop_loss: PresetPrice | None, *, side: int) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, preset in (("take_profit", take_profit), ("stop_loss", stop_loss)):
        if preset is None:
            continue
        if side not in ENTRIES:
            raise ValueError("an order that closes carries no take-profit or stop-loss")
        fields[f"preset_{name}_price"] = plain(preset.price, f"{name} price")
        fields[f"preset_{name}_price_type"] = PRICE_TYPES[preset.source]
    return fields


def contracts(quantity: Decimal) -> int:
    if not quantity.is_finite() or quantity <= 0 or quantity >= 10**18 or quantity != quantity.to_integral_value():
        raise ValueError(f"contracts are whole numbers above zero, got {quantity}")
    return int(quantity)


def _is_market(request: OrderRequest) -> bool:
    return request.order_type is OrderType.MARKET


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
