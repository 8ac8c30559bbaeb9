"""The words every venue is spoken to in. No HTTP, no Django.

Errors, and what each proves about an order that was being sent:

    ExchangeError
    ├── NotSentError            no byte of the request can have been acted on (DNS, refused, TLS, our own limiter)
    ├── RateLimitError          refused before it was looked at; may be sent again after `retry_after` seconds
    ├── ClockError              refused for its timestamp; measure the clock, then sign anew
    ├── CredentialsError        key, signature, permission, address or account refused: nothing was placed
    ├── OrderRejectedError      looked at and refused with a listed code: nothing was placed
    ├── DuplicateOrderError     the client order id is known to the venue: the order exists, query it
    ├── NotSupportedError       this venue or market has no such call: nothing was sent
    └── UnreachableError        anything else (time-out, 5xx, HTML, unlisted code): the outcome is unknown

Only UnreachableError and DuplicateOrderError leave an order in doubt. A query that raises is "no news", never "none".
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol


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
class Balance:
    """`total` = available + frozen + margin held by positions, without unrealized PnL; `equity` includes it."""

    currency: str
    available: Decimal
    frozen: Decimal
    total: Decimal
    equity: Decimal


@dataclass(frozen=True, slots=True)
class FeeRates:
    """Fractions of notional (0.0006 = 0.06 %)."""

    maker: Decimal
    taker: Decimal


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """One order. Exactly one of `quantity` and `notional` is set; `notional` (quote) only for a spot market buy.

    `price` is set for limit orders only. `leverage` and `margin_mode` are sent with futures entries.
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


@dataclass(frozen=True, slots=True)
class OrderReport:
    """The venue's view of one order. `quantity` is None for a market order sized in quote; ids are strings always.

    `client_order_id` is "" when the venue did not echo it. `status` after a submit is ACCEPTED: fills are queried.
    """

    exchange_order_id: str
    client_order_id: str
    symbol: str
    status: OrderStatus
    side: Side | None = None
    quantity: Decimal | None = None
    filled_quantity: Decimal = Decimal(0)
    avg_fill_price: Decimal | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class FillReport:
    """One match. `quantity` is base units on spot, contracts on futures; `fee` is positive when it costs the trader."""

    trade_id: str
    exchange_order_id: str
    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_currency: str
    role: LiquidityRole
    filled_at: datetime
    client_order_id: str = ""


@dataclass(frozen=True, slots=True)
class PositionReport:
    """One open futures position. `signed_quantity` in contracts, negative for short."""

    symbol: str
    book: Book
    signed_quantity: Decimal
    avg_entry_price: Decimal
    mark_price: Decimal | None
    unrealized_pnl: Decimal | None
    leverage: Decimal | None
    margin_mode: MarginMode | None
    liquidation_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """What the venue says about the key in use; None = the venue did not say, which is not the same as no."""

    can_withdraw: bool | None
    permissions: tuple[str, ...] = ()
    ip_bound: bool | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RequestTrace:
    """One finished call, for latency and evidence: no header, no secret, no body."""

    method: str
    path: str
    status: int | None
    code: str
    elapsed_ms: float
    server_trace: str = ""


class ExchangeError(Exception):
    """Base. `sentence` is for the trader; `code` is the venue's own code ("" when it gave none)."""

    def __init__(self, sentence: str, *, code: str = "", http_status: int | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.code = code
        self.http_status = http_status


class NotSentError(ExchangeError):
    pass


class RateLimitError(ExchangeError):
    def __init__(
        self,
        sentence: str,
        *,
        code: str = "",
        http_status: int | None = None,
        retry_after: float = 2.0,
        banned: bool = False,
    ) -> None:
        super().__init__(sentence, code=code, http_status=http_status)
        self.retry_after = retry_after
        self.banned = banned


class ClockError(ExchangeError):
    pass


class CredentialsError(ExchangeError):
    """`reason` is one of KEY_UNKNOWN, KEY_FROZEN, KEY_EXPIRED, SIGNATURE, PERMISSION, ADDRESS, ACCOUNT, REGION."""

    def __init__(self, sentence: str, *, reason: str, code: str = "", http_status: int | None = None) -> None:
        super().__init__(sentence, code=code, http_status=http_status)
        self.reason = reason


class OrderRejectedError(ExchangeError):
    def __init__(self, sentence: str, *, reason: RejectReason, code: str = "", http_status: int | None = None) -> None:
        super().__init__(sentence, code=code, http_status=http_status)
        self.reason = reason


class DuplicateOrderError(ExchangeError):
    pass


class NotSupportedError(ExchangeError):
    pass


class UnreachableError(ExchangeError):
    pass


@dataclass(frozen=True, slots=True)
class Credentials:
    """All three parts are secret; none of them appears in repr."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    memo: str = field(repr=False)


class Exchange(Protocol):
    """One account at one market of one venue. Every method may raise ExchangeError; reads retry a bounded number of
    times, submit and cancel never do. Instances are safe to use from several threads."""

    market: Market
    clock_offset_ms: int
    """The venue's clock minus ours, milliseconds; added to our clock in signatures made by the exchange itself."""

    def server_time_ms(self) -> int:
        """Return the venue's clock, Unix milliseconds."""

    def instruments(self) -> Sequence[Instrument]:
        """Return every listed symbol of this market, those not trading included."""

    def tickers(self, symbols: Sequence[str] | None = None) -> Sequence[Ticker]:
        """Return prices of `symbols`, or of the whole market; an unknown symbol is left out."""

    def balances(self) -> Sequence[Balance]:
        """Return the currencies that have a balance; absent means zero."""

    def fee_rates(self, symbol: str) -> FeeRates: ...

    def submit(self, request: OrderRequest, *, signed_at_ms: int) -> OrderReport:
        """Send one order once, signed with `signed_at_ms` (venue clock). Never repeats the POST."""

    def cancel(self, symbol: str, *, exchange_order_id: str = "", client_order_id: str = "", signed_at_ms: int) -> bool:
        """Ask for one order's cancellation; True = accepted (not: cancelled). ValueError when both ids are empty."""

    def find_order(self, symbol: str, *, client_order_id: str, exchange_order_id: str = "") -> OrderReport | None:
        """Return the order with our id, compared here; None only when every place it could be in answered cleanly."""

    def open_orders(self, symbol: str | None = None) -> Sequence[OrderReport]: ...

    def fills(self, symbol: str, *, exchange_order_id: str = "", since: datetime | None = None) -> Sequence[FillReport]:
        """Return fills, oldest first, of one order or of the symbol since a time."""

    def positions(self, symbol: str | None = None) -> Sequence[PositionReport]:
        """Return open positions (futures); always empty on spot."""

    def position_mode(self) -> PositionMode: ...

    def set_leverage(self, symbol: str, *, leverage: Decimal, margin_mode: MarginMode) -> None: ...

    def verify_signature(self) -> None:
        """Make one signed call that moves nothing, so that a wrong secret or memo shows (CredentialsError)."""

    def key_info(self) -> KeyInfo: ...

    def close(self) -> None:
        """Give the connections back."""
