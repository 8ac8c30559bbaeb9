"""A futures order as asked for, and the checks that need only the contract and the price."""

from dataclasses import dataclass
from decimal import Decimal

from apps.paper.amounts import ZERO, is_multiple, nearest_to
from apps.paper.instruments import FuturesInstrument
from apps.paper.prices import Quote
from apps.paper.records import Order, Trigger
from apps.paper.refusals import Refusal

_PROTECTION = Decimal("0.0005")


@dataclass(frozen=True, slots=True)
class Presets:
    """Take-profit and stop-loss attached to an entry; a price of 0 is none, types are 1 last and 2 mark."""

    take_profit_price: Decimal = ZERO
    take_profit_type: int = 0
    stop_loss_price: Decimal = ZERO
    stop_loss_type: int = 0

    def put_on(self, target: Order | Trigger) -> None:
        target.take_profit_price = self.take_profit_price
        target.take_profit_type = self.take_profit_type
        target.stop_loss_price = self.stop_loss_price
        target.stop_loss_type = self.stop_loss_type


def changed_presets(order: Order, change: Presets) -> Presets:
    """Return the order's presets with what the change names: a price of 0, or a type of 0, leaves what is there."""
    return Presets(
        change.take_profit_price or order.take_profit_price,
        change.take_profit_type or order.take_profit_type or int(bool(change.take_profit_price)),
        change.stop_loss_price or order.stop_loss_price,
        change.stop_loss_type or order.stop_loss_type or int(bool(change.stop_loss_price)),
    )


NO_PRESETS = Presets()


@dataclass(frozen=True, slots=True)
class FuturesRequest:
    symbol: str
    way: int
    type: str
    mode: int
    size: Decimal
    price: Decimal | None
    leverage: Decimal | None
    open_type: str | None
    client_order_id: str
    stp_mode: str
    presets: Presets = NO_PRESETS
    trigger_id: int = 0


def check_leverage(leverage: Decimal, instrument: FuturesInstrument) -> None:
    if leverage > instrument.max_leverage:
        raise Refusal(40029)
    if leverage < 1:
        raise Refusal(40030)


def check_size(order: Order, instrument: FuturesInstrument) -> None:
    if not is_multiple(order.size, Decimal(1)):
        raise Refusal(40043)
    largest = instrument.market_max_volume if order.type == "market" else instrument.max_volume
    if not 1 <= order.size <= largest:
        raise Refusal(40044)


def check_tick(price: Decimal, instrument: FuturesInstrument) -> None:
    if price <= 0 or price > instrument.base.level * 1000:
        raise Refusal(40044)
    if not is_multiple(price, instrument.tick):
        raise Refusal(40043)


def checked_price(request: FuturesRequest, instrument: FuturesInstrument, *, quote: Quote) -> Decimal:
    """Return the limit, or for a market order the protection price that BitMart shows in its place."""
    if request.type != "limit":
        direction = 1 if request.way in {1, 2} else -1
        price = quote.ask if direction > 0 else quote.bid
        return nearest_to(price * (1 + direction * _PROTECTION), instrument.tick)
    if request.price is None:
        raise Refusal(40011, "Invalid request [price is empty]")
    check_tick(request.price, instrument)
    return request.price
