"""The words every venue is spoken to in. No HTTP, no Django.

Errors, and what each proves about an order that was being sent:

    ExchangeError
    ├── NotSentError            no byte of the request can have been acted on (DNS, refused, TLS)
    │   └── BudgetError         our own limiter kept it back: the venue's request limit is used up
    ├── RateLimitError          refused before it was looked at; may be sent again after `retry_after` seconds
    ├── ClockError              refused for its timestamp; measure the clock, then sign anew
    ├── CredentialsError        key, signature, permission, address or account refused: nothing was placed
    ├── OrderRejectedError      looked at and refused with a listed code: nothing was placed
    ├── DuplicateOrderError     the client order id is known to the venue: the order exists, query it
    ├── NotSupportedError       this venue or market has no such call: nothing was sent
    └── UnreachableError        anything else (time-out, 5xx, HTML, unlisted code): the outcome is unknown

Only UnreachableError and DuplicateOrderError leave an order in doubt. A query that raises is "no news", never "none".
"""

from collections.abc import Mapping, Sequence
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
class TriggerReport:
    """One order that waits for its price. `quantity` is None where it covers the whole position."""

    exchange_order_id: str
    client_order_id: str
    symbol: str
    kind: TriggerKind
    side: Side
    quantity: Decimal | None
    trigger_price: Decimal
    source: PriceSource
    price: Decimal | None
    crossing: Crossing | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What a batch answered. Which id belongs to which order is not said: look each up by its client order id.

    `is_complete` is False when fewer ids came back than orders went out: the others are in doubt.
    """

    exchange_order_ids: tuple[str, ...]
    is_complete: bool


@dataclass(frozen=True, slots=True)
class CancelReport:
    """Ids whose cancellation was accepted (not: cancelled) and refused; an id in neither has no proven answer."""

    accepted: tuple[str, ...]
    refused: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """`cancel_at` is None when the timer was switched off."""

    set_at: datetime
    cancel_at: datetime | None


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
class PositionRisk:
    """How near a futures position is to liquidation. `notional` and `max_notional` in quote currency."""

    symbol: str
    book: Book
    signed_quantity: Decimal
    mark_price: Decimal | None
    unrealized_pnl: Decimal | None
    liquidation_price: Decimal | None
    leverage: Decimal | None
    margin_mode: MarginMode | None
    notional: Decimal | None
    max_notional: Decimal | None


@dataclass(frozen=True, slots=True)
class TransferReport:
    transfer_id: str
    direction: TransferDirection
    currency: str
    amount: Decimal
    state: TransferState
    at: datetime


@dataclass(frozen=True, slots=True)
class TransactionReport:
    """One booking on the futures account; `amount` negative = paid. `symbol` is "" where none is concerned.

    The venue's `transaction_id` may stand on several bookings: `key` is what is unique.
    """

    transaction_id: str
    kind: TransactionKind
    symbol: str
    amount: Decimal
    currency: str
    at: datetime

    @property
    def key(self) -> str:
        return f"{self.transaction_id}|{self.kind}|{self.symbol}|{self.amount.normalize():f}"


@dataclass(frozen=True, slots=True)
class FeeSchedule:
    """The account's fee level and its rates for each class of symbol; which class a symbol has is not listed."""

    level: str
    by_class: Mapping[str, FeeRates]


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


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """What the venue says about the key in use; None = the venue did not say, which is not the same as no."""

    can_withdraw: bool | None
    permissions: tuple[str, ...] = ()
    ip_bound: bool | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """The account behind the key. None = the venue did not say."""

    account_id: str
    is_sub_account: bool | None
    is_active: bool | None
    kyc_level: str
    registered_at: datetime | None
    current_key: KeyInfo | None


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


class BudgetError(NotSentError):
    """`retry_after` seconds from now there is room again, if nobody more important takes it."""

    def __init__(self, sentence: str, *, retry_after: float, banned: bool = False) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after
        self.banned = banned


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

    def set_position_mode(self, mode: PositionMode) -> None:
        """Switch the whole account and read the mode back; UnreachableError when the venue kept the old one."""

    def submit_batch(self, requests: Sequence[OrderRequest], *, signed_at_ms: int) -> BatchReport:
        """Send up to ten orders of one symbol in one call, once. ValueError unless they are of one symbol."""

    def cancel_batch(
        self,
        symbol: str,
        *,
        exchange_order_ids: Sequence[str] = (),
        client_order_ids: Sequence[str] = (),
        signed_at_ms: int,
    ) -> CancelReport:
        """Cancel up to ten orders of a symbol, named by one kind of id. ValueError: none, or an empty one."""

    def cancel_all(self, symbol: str, *, side: Side | None = None, signed_at_ms: int) -> None:
        """Ask for the cancellation of every order of one symbol. ValueError when `symbol` is empty."""

    def cancel_all_after(self, symbol: str, *, seconds: int, signed_at_ms: int) -> CancelTimer:
        """Have the symbol's orders cancelled unless called again in time: 5 seconds or more, 0 switches it off."""

    def modify_order(
        self,
        symbol: str,
        *,
        exchange_order_id: str = "",
        client_order_id: str = "",
        price: Decimal | None = None,
        quantity: Decimal | None = None,
        signed_at_ms: int,
    ) -> str:
        """Change an open limit order's price, quantity (contracts) or both, once; return its exchange id."""

    def order_history(
        self, symbol: str, *, since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[OrderReport]:
        """Return finished orders of a symbol, oldest first; seven days when `since` is not given."""

    def submit_trigger(self, request: TriggerRequest, *, signed_at_ms: int) -> str:
        """Send one trigger order once; return its exchange id."""

    def modify_trigger(self, change: TriggerChange, *, signed_at_ms: int) -> str: ...

    def cancel_trigger(
        self, symbol: str, *, exchange_order_id: str = "", client_order_id: str = "", signed_at_ms: int
    ) -> None:
        """Cancel a trigger, take-profit or stop-loss order. ValueError when both ids are empty."""

    def trigger_orders(self, symbol: str | None = None) -> Sequence[TriggerReport]:
        """Return waiting trigger, take-profit and stop-loss orders."""

    def submit_protection(self, request: ProtectionRequest, *, signed_at_ms: int) -> str: ...

    def modify_protection(self, change: ProtectionChange, *, signed_at_ms: int) -> str: ...

    def modify_presets(
        self,
        symbol: str,
        *,
        exchange_order_id: str,
        take_profit: PresetPrice | None = None,
        stop_loss: PresetPrice | None = None,
        signed_at_ms: int,
    ) -> str:
        """Change the prices attached to an open entry order."""

    def submit_trailing(self, request: TrailingRequest, *, signed_at_ms: int) -> str: ...

    def cancel_trailing(self, symbol: str, *, exchange_order_id: str, signed_at_ms: int) -> None: ...

    def transfer(self, direction: TransferDirection, *, currency: str, amount: Decimal, signed_at_ms: int) -> None:
        """Move money between spot and futures wallet, once. It has no id: look at `transfers` when in doubt."""

    def transfers(
        self, *, currency: str = "", since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[TransferReport]:
        """Return transfers, oldest first."""

    def transactions(
        self,
        *,
        symbol: str = "",
        kind: TransactionKind | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Sequence[TransactionReport]:
        """Return bookings, oldest first, each once by its `key`; seven days when `since` is not given."""

    def position_risks(self, symbol: str | None = None) -> Sequence[PositionRisk]: ...

    def fee_schedule(self) -> FeeSchedule: ...

    def candles(
        self,
        symbol: str,
        *,
        minutes: int,
        since: datetime | None = None,
        until: datetime | None = None,
        source: PriceSource = PriceSource.LAST,
    ) -> Sequence[Candle]:
        """Return candles of `minutes` each, oldest first, at most one answer's worth."""

    def order_book(self, symbol: str) -> OrderBook: ...

    def recent_matches(self, symbol: str) -> Sequence[PublicMatch]: ...

    def funding_rate(self, symbol: str) -> FundingRate: ...

    def funding_history(self, symbol: str) -> Sequence[FundingRate]: ...

    def open_interest(self, symbol: str) -> OpenInterest: ...

    def leverage_brackets(self, symbol: str) -> Sequence[LeverageBracket]:
        """Return the symbol's brackets, smallest notional first."""

    def service_notices(self) -> Sequence[ServiceNotice]: ...

    def account_info(self) -> AccountInfo: ...

    def verify_signature(self) -> None:
        """Make one signed call that moves nothing, so that a wrong secret or memo shows (CredentialsError)."""

    def key_info(self) -> KeyInfo: ...

    def close(self) -> None:
        """Give the connections back."""
