"""What an alert asks for, in our words. Made by `alerts.payload`, read by `trading.planner`."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from apps.connectors.exchange import Side


class SignalKind(StrEnum):
    ORDER = "order"
    CLOSE_ALL = "close_all"


class PrevPosition(StrEnum):
    """What the sender's strategy held before this order."""

    FLAT = "flat"
    LONG = "long"
    SHORT = "short"


@dataclass(frozen=True, slots=True)
class Signal:
    """One request. `action`, `prev_position` and `quantity` are None only for CLOSE_ALL.

    `quantity` is the sender's unsigned size in base units, on futures too (one TradingView contract of a USDT pair is
    one base coin); the planner converts to contracts. `market_position_size` is the unsigned size after this order,
    `prev_market_position_size` before it, same unit. `sent_at` is the sender's own clock, whole seconds. `max_lag_s`
    in seconds. `signal_price` in quote currency.
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

    @property
    def is_exit(self) -> bool:
        """True when the message says it reduces: close-all, or an action against the previous position."""
        if self.kind is SignalKind.CLOSE_ALL:
            return True
        return (self.action, self.prev_position) in {
            (Side.SELL, PrevPosition.LONG),
            (Side.BUY, PrevPosition.SHORT),
        }
