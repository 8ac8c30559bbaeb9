"""The rows of the store. Money and sizes are Decimal here and TEXT in the file; times are Unix milliseconds."""

from dataclasses import dataclass
from decimal import Decimal

from apps.paper.amounts import ZERO

LIVE_STATES = ("new", "partially_filled")


@dataclass(slots=True)
class Account:
    """`state` is active or frozen, `expires_ms` 0 for never, `addresses` empty for everywhere.

    `policies` holds what this account has instead of the exchange's own choices, as name=choice pairs.
    """

    id: int
    access_key: str
    secret_key: str
    memo: str
    label: str
    position_mode: str
    permissions: str
    created_ms: int
    state: str = "active"
    expires_ms: int = 0
    addresses: str = ""
    policies: str = ""
    pays_in_bmx: int = 0

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

    `trigger_id` names the waiting order it came from; the preset prices are 0 when none was attached. `reserved` is
    what the order still holds in the wallet's frozen column, in the currency it pays with.
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
    take_profit_price: Decimal = ZERO
    take_profit_type: int = 0
    stop_loss_price: Decimal = ZERO
    stop_loss_type: int = 0
    trigger_id: int = 0

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
class Trigger:
    """An order that waits for a price.

    `kind` is plan, take_profit, stop_loss or trailing on futures, trigger or tp/sl on spot. `order_type` is what it
    becomes. A `size` of 0 is the whole position. `price_way` 1 fires when the price rises to the trigger, 2 when it
    falls to it; `price_type` 1 looks at the last price, 2 at mark. `extreme` is the best price a trailing order has
    seen, 0 before it is active. `parent_id` names the order whose preset made it, `order_id` the order it became.
    """

    id: int
    market: str
    account_id: int
    symbol: str
    client_order_id: str
    kind: str
    side: str
    way: int
    order_type: str
    mode: int
    size: Decimal
    notional: Decimal
    trigger_price: Decimal
    executive_price: Decimal
    price_way: int
    price_type: int
    plan_category: int
    leverage: Decimal
    open_type: str
    position_mode: str
    callback_rate: Decimal
    extreme: Decimal
    take_profit_price: Decimal
    take_profit_type: int
    stop_loss_price: Decimal
    stop_loss_type: int
    parent_id: int
    order_id: int
    state: str
    created_ms: int
    updated_ms: int

    @property
    def is_live(self) -> bool:
        return self.state == "waiting"


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
class Countdown:
    """Every futures order of the symbol is cancelled at `cancel_ms` unless the caller calls again."""

    account_id: int
    symbol: str
    cancel_ms: int


@dataclass(slots=True)
class Setting:
    """What the exchange itself remembers: its seed, when its prices began, which funding is paid."""

    name: str
    value: str


@dataclass(slots=True)
class PricePin:
    """A symbol held at `price`, or, with price empty, its path multiplied by `factor`. Empty text = not set.

    `depth` is the size at every level of its book; empty, the best price takes any size.
    """

    symbol: str
    price: str
    bid: str
    ask: str
    mark: str
    factor: Decimal
    depth: str = ""
