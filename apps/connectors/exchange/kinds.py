"""What a thing is, of a few: sides, states, reasons."""

from enum import StrEnum


class Market(StrEnum):
    SPOT = "spot"
    FUTURES = "futures"


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"


class OrderType(StrEnum):
    MARKET = "market"
    LIMIT = "limit"


class TimeInForce(StrEnum):
    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"
    POST_ONLY = "post_only"


class MarginMode(StrEnum):
    ISOLATED = "isolated"
    CROSS = "cross"


class PositionMode(StrEnum):
    ONE_WAY = "one_way"
    HEDGE = "hedge"


class Book(StrEnum):
    """Which position an order acts on: the one net position, or one of the two of a hedge account."""

    NET = "net"
    LONG = "long"
    SHORT = "short"


class OrderStatus(StrEnum):
    """What the venue says of an order, judged by filled quantity where its own word misleads."""

    ACCEPTED = "accepted"
    PARTIAL = "partial"
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"
    UNRECOGNIZED = "unrecognized"


class LiquidityRole(StrEnum):
    MAKER = "maker"
    TAKER = "taker"


class RejectReason(StrEnum):
    """Why a venue refused an order, in our words; `OrderRejectedError.code` keeps the venue's own."""

    INSUFFICIENT_BALANCE = "INSUFFICIENT_BALANCE"
    BELOW_MINIMUM = "BELOW_MINIMUM"
    ABOVE_MAXIMUM = "ABOVE_MAXIMUM"
    PRICE_OUT_OF_RANGE = "PRICE_OUT_OF_RANGE"
    PRECISION = "PRECISION"
    UNKNOWN_SYMBOL = "UNKNOWN_SYMBOL"
    SYMBOL_NOT_TRADING = "SYMBOL_NOT_TRADING"
    NO_POSITION = "NO_POSITION"
    POSITION_CONFLICT = "POSITION_CONFLICT"
    LEVERAGE = "LEVERAGE"
    WOULD_NOT_MATCH = "WOULD_NOT_MATCH"
    ORDER_UNKNOWN = "ORDER_UNKNOWN"
    ORDER_FINISHED = "ORDER_FINISHED"
    INVALID_REQUEST = "INVALID_REQUEST"


class PriceSource(StrEnum):
    """Which price a trigger watches."""

    LAST = "last"
    MARK = "mark"


class Crossing(StrEnum):
    """From which side the watched price has to reach the trigger price."""

    RISES_TO = "rises_to"
    FALLS_TO = "falls_to"


class Protection(StrEnum):
    TAKE_PROFIT = "take_profit"
    STOP_LOSS = "stop_loss"


class TriggerKind(StrEnum):
    PLAN = "plan"
    TAKE_PROFIT = "take_profit"
    STOP_LOSS = "stop_loss"


class TransferDirection(StrEnum):
    TO_FUTURES = "to_futures"
    TO_SPOT = "to_spot"


class TransferState(StrEnum):
    PROCESSING = "processing"
    FINISHED = "finished"
    FAILED = "failed"
    UNRECOGNIZED = "unrecognized"


class TransactionKind(StrEnum):
    TRANSFER = "transfer"
    REALIZED_PNL = "realized_pnl"
    FUNDING_FEE = "funding_fee"
    COMMISSION = "commission"
    LIQUIDATION = "liquidation"
    UNRECOGNIZED = "unrecognized"
