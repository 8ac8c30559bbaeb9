"""What a venue tells everybody: listings, prices, books, funding."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from apps.connectors.exchange.kinds import Market, Side


@dataclass(frozen=True, slots=True)
class Instrument:
    """One tradable symbol. Quantities are base units on spot and contracts on futures; `contract_size` is base units
    in one contract (1 on spot). `min_notional` is in quote currency, 0 when the venue states none."""

    market: Market
    symbol: str
    base: str
    quote: str
    contract_size: Decimal
    quantity_step: Decimal
    price_tick: Decimal
    min_quantity: Decimal
    max_quantity: Decimal | None
    min_notional: Decimal
    max_leverage: Decimal | None
    is_trading: bool
    delist_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ticker:
    """Prices in quote currency. `mark` is None where the venue's answer carries none."""

    symbol: str
    last: Decimal
    bid: Decimal | None
    ask: Decimal | None
    mark: Decimal | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Candle:
    """`volume` is base units on spot, contracts on futures, None for mark prices."""

    at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal | None = None


@dataclass(frozen=True, slots=True)
class PriceLevel:
    price: Decimal
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class OrderBook:
    """Best price first on both sides. Quantities are base units on spot, contracts on futures."""

    symbol: str
    bids: tuple[PriceLevel, ...]
    asks: tuple[PriceLevel, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class PublicMatch:
    """A match between strangers. `quantity` is base units on both markets; `side` is the taker's."""

    symbol: str
    price: Decimal
    quantity: Decimal
    side: Side
    at: datetime


@dataclass(frozen=True, slots=True)
class FundingRate:
    """A fraction of notional; longs pay when it is above zero. `at` is when it is, or was, booked."""

    symbol: str
    rate: Decimal
    at: datetime
    expected_rate: Decimal | None = None


@dataclass(frozen=True, slots=True)
class OpenInterest:
    """`value` in quote currency."""

    symbol: str
    contracts: Decimal
    value: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class LeverageBracket:
    """Applies from `notional_floor` up to `notional_cap`, in quote currency.

    Maintenance margin = notional x `maintenance_rate` - `deduction`.
    """

    max_leverage: Decimal
    notional_floor: Decimal
    notional_cap: Decimal
    maintenance_rate: Decimal
    deduction: Decimal


@dataclass(frozen=True, slots=True)
class ServiceNotice:
    """A planned or running stop of a part of the venue."""

    title: str
    service: str
    is_running: bool
    starts_at: datetime | None
    ends_at: datetime | None
