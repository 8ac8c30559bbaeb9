"""The rows of the store. Money and sizes are Decimal here and TEXT in the file; times are Unix milliseconds."""

from dataclasses import dataclass
from decimal import Decimal

LIVE_STATES = ("new", "partially_filled")


@dataclass(slots=True)
class Account:
    id: int
    access_key: str
    secret_key: str
    memo: str
    label: str
    position_mode: str
    permissions: str
    created_ms: int

    def may(self, permission: str) -> bool:
        return permission in self.permissions.split(",")


@dataclass(slots=True)
class Balance:
    account_id: int
    wallet: str
    currency: str
    available: Decimal
    frozen: Decimal


@dataclass(slots=True)
class Order:
    """`way` is the futures side 1-4 and 0 on spot; `mode` the futures mode 1-4 and 0 on spot.

    `reserved` is what the order still holds in the wallet's frozen column, in the currency it pays with.
    """

    id: int
    market: str
    account_id: int
    symbol: str
    client_order_id: str
    side: str
    way: int
    type: str
    mode: int
    price: Decimal
    size: Decimal
    notional: Decimal
    leverage: Decimal
    open_type: str
    position_mode: str
    stp_mode: str
    state: str
    cancel_source: str
    filled_size: Decimal
    filled_notional: Decimal
    reserved: Decimal
    created_ms: int
    updated_ms: int

    @property
    def is_live(self) -> bool:
        return self.state in LIVE_STATES

    @property
    def left(self) -> Decimal:
        return self.size - self.filled_size


@dataclass(slots=True)
class Fill:
    id: int
    order_id: int
    account_id: int
    market: str
    symbol: str
    client_order_id: str
    side: str
    way: int
    order_type: str
    stp_mode: str
    price: Decimal
    size: Decimal
    notional: Decimal
    fee: Decimal
    fee_currency: str
    role: str
    realised: Decimal
    created_ms: int


@dataclass(slots=True)
class Position:
    """`cost` is the value at entry of what is held, `margin` its deposit with the closing fee's reserve.

    `realised` counts since the position was opened: closed PnL, fees paid (negative) and funding.
    """

    account_id: int
    symbol: str
    side: str
    amount: Decimal
    leverage: Decimal
    open_type: str
    cost: Decimal
    margin: Decimal
    realised: Decimal
    funding: Decimal
    opened_volume: Decimal
    opened_value: Decimal
    closed_volume: Decimal
    closed_value: Decimal
    opened_ms: int
    updated_ms: int

    @property
    def direction(self) -> int:
        return 1 if self.side == "long" else -1


@dataclass(slots=True)
class Transaction:
    id: int
    account_id: int
    symbol: str
    type: str
    flow_type: int
    amount: Decimal
    asset: str
    created_ms: int


@dataclass(slots=True)
class Transfer:
    id: int
    account_id: int
    currency: str
    amount: Decimal
    type: str
    created_ms: int


@dataclass(slots=True)
class LeverageSetting:
    account_id: int
    symbol: str
    leverage: Decimal
    open_type: str


@dataclass(slots=True)
class PricePin:
    """A symbol held at `price`, or, with price empty, its path multiplied by `factor`. Empty text = not set."""

    symbol: str
    price: str
    bid: str
    ask: str
    mark: str
    factor: Decimal
