"""What a venue tells of one account: balances, orders, fills, positions, bookings."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from apps.connectors.exchange.kinds import (
    Book,
    Crossing,
    LiquidityRole,
    MarginMode,
    OrderStatus,
    PriceSource,
    Side,
    TransactionKind,
    TransferDirection,
    TransferState,
    TriggerKind,
)


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
    `is_market`: told that it waits for no price. `is_forced`: the venue's own order, a liquidation or what comes of
    somebody's. `only_closes`: told that it never opens. `trigger_price` is what it had waited for, where that is told.
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
    is_market: bool = False
    is_forced: bool = False
    only_closes: bool = False
    trigger_price: Decimal | None = None


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
