"""What an alert asks for, in our words. Made by `alerts.payload`, read by `trading.planner`."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from apps.connectors.exchange import MarginMode, OrderType, Side


class SignalKind(StrEnum):
    """CANCEL takes back our own open orders of the symbol and trades nothing."""

    ORDER = "order"
    CLOSE_ALL = "close_all"
    CANCEL = "cancel"


class QuantityType(StrEnum):
    """What a message's `quantity` counts. A percentage is 10 for ten per cent.

    QUOTE is the position's value, MARGIN the money put up for it (value = margin × leverage): two names, so that the
    meaning of a number never depends on the leverage by surprise. RISK_PERCENT of equity is lost when the stop-loss is
    hit, so it needs one.
    """

    BASE = "base"
    CONTRACTS = "contracts"
    QUOTE = "quote"
    MARGIN = "margin"
    PERCENT_EQUITY = "percent_equity"
    PERCENT_BALANCE = "percent_balance"
    PERCENT_POSITION = "percent_position"
    RISK_PERCENT = "risk_percent"


class PrevPosition(StrEnum):
    """What the sender's strategy held before this order."""

    FLAT = "flat"
    LONG = "long"
    SHORT = "short"


@dataclass(frozen=True, slots=True)
class ExitTarget:
    """Where a position is to be left: exactly one of `price` (quote currency) and `percent` (distance from the entry's
    average price, above 0) is set. `weight` is its share of the position: the weights of a list add up to 1."""

    price: Decimal | None = None
    percent: Decimal | None = None
    weight: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class TrailingStop:
    """A stop that follows the best price at `percent` distance once `activation` is reached; None = at once."""

    percent: Decimal
    activation: ExitTarget | None = None


@dataclass(frozen=True, slots=True)
class Signal:
    """One request. `action`, `prev_position` and `quantity` are None only for CLOSE_ALL and CANCEL.

    `quantity` is the sender's unsigned size in base units, on futures too (one TradingView contract of a USDT pair is
    one base coin); the planner converts to contracts. `market_position_size` is the unsigned size after this order,
    `prev_market_position_size` before it, same unit. `sent_at` is the sender's own clock, whole seconds. `max_lag_s`
    in seconds. `signal_price` in quote currency.

    `leverage`, `margin_mode`, `take_profits`, `stop_loss` and `trailing_stop` are for the position that the order
    opens. A message without them changes nothing; an exit carries them for the other side of a reversal, and closes
    without them.
    """

    kind: SignalKind
    ticker: str
    action: Side | None = None
    prev_position: PrevPosition | None = None
    quantity: Decimal | None = None
    hedge: bool = False
    market_position: PrevPosition | None = None
    market_position_size: Decimal | None = None
    prev_market_position_size: Decimal | None = None
    sent_at: datetime | None = None
    signal_price: Decimal | None = None
    max_lag_s: int | None = None
    external_id: str = ""
    is_test: bool = False
    order_type: OrderType = OrderType.MARKET
    limit_price: Decimal | None = None
    quantity_type: QuantityType = QuantityType.BASE
    leverage: Decimal | None = None
    margin_mode: MarginMode | None = None
    take_profits: tuple[ExitTarget, ...] = ()
    stop_loss: ExitTarget | None = None
    trailing_stop: TrailingStop | None = None
    reduce_only: bool = False
    cancel_first: bool = False

    @property
    def is_exit(self) -> bool:
        """True when the message can only reduce: close-all, cancel, reduce-only, or against the previous position."""
        if self.kind is not SignalKind.ORDER or self.reduce_only:
            return True
        return (self.action, self.prev_position) in {
            (Side.SELL, PrevPosition.LONG),
            (Side.BUY, PrevPosition.SHORT),
        }
