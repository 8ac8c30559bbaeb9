"""What we ask of a venue for one account."""

from dataclasses import dataclass, field
from decimal import Decimal

from apps.connectors.exchange.kinds import (
    Book,
    Crossing,
    MarginMode,
    OrderType,
    PriceSource,
    Protection,
    Side,
    TimeInForce,
)


@dataclass(frozen=True, slots=True)
class PresetPrice:
    """A take-profit or stop-loss price that is attached to an entry and guards the whole position it opens."""

    price: Decimal
    source: PriceSource = PriceSource.LAST


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """One order. Exactly one of `quantity` and `notional` is set; `notional` (quote) only for a spot market buy.

    `price` is set for limit orders only. `leverage`, `margin_mode` and the presets are sent with futures entries.
    """

    client_order_id: str
    symbol: str
    side: Side
    order_type: OrderType
    quantity: Decimal | None = None
    notional: Decimal | None = None
    price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False
    book: Book = Book.NET
    leverage: Decimal | None = None
    margin_mode: MarginMode | None = None
    take_profit: PresetPrice | None = None
    stop_loss: PresetPrice | None = None


@dataclass(frozen=True, slots=True)
class TriggerRequest:
    """An order that the venue places once a price is reached; market when `price` is None. Quantity in contracts.

    The venue takes no client order id for it: when the outcome is unknown, `trigger_orders` is the only evidence.
    """

    symbol: str
    side: Side
    quantity: Decimal
    trigger_price: Decimal
    crossing: Crossing
    source: PriceSource = PriceSource.LAST
    price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False
    book: Book = Book.NET
    leverage: Decimal | None = None
    margin_mode: MarginMode | None = None
    take_profit: PresetPrice | None = None
    stop_loss: PresetPrice | None = None


@dataclass(frozen=True, slots=True)
class TriggerChange:
    """The new terms of a trigger order, all of them: a market order when `price` is None."""

    symbol: str
    exchange_order_id: str
    trigger_price: Decimal
    source: PriceSource = PriceSource.LAST
    price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ProtectionRequest:
    """A take-profit or stop-loss for an open position: `side` SELL guards a long one, BUY a short one.

    `quantity` in contracts, None = whatever is held when it fires. Market when `price` is None.
    """

    client_order_id: str
    symbol: str
    kind: Protection
    side: Side
    trigger_price: Decimal
    quantity: Decimal | None = None
    source: PriceSource = PriceSource.LAST
    price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ProtectionChange:
    """The new terms of a take-profit or stop-loss, named by one of its ids; `whole_position` as it was made."""

    symbol: str
    trigger_price: Decimal
    whole_position: bool
    exchange_order_id: str = ""
    client_order_id: str = ""
    source: PriceSource = PriceSource.LAST
    price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class TrailingRequest:
    """An order that follows the price from `activation_price` on and fires when it turns by `callback_rate`.

    `callback_rate` is a fraction from 0.001 to 0.05. The venue takes no client order id for it.
    """

    symbol: str
    side: Side
    quantity: Decimal
    activation_price: Decimal
    callback_rate: Decimal
    source: PriceSource = PriceSource.LAST
    reduce_only: bool = False
    book: Book = Book.NET
    leverage: Decimal | None = None
    margin_mode: MarginMode | None = None


@dataclass(frozen=True, slots=True)
class Credentials:
    """All three parts are secret; none of them appears in repr."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    memo: str = field(repr=False)
