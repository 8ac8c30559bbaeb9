"""All that a decision is made from, read once and frozen. `deciding.decide` needs nothing else."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from apps.accounts.trading_state import TradingState
from apps.connectors.exchange import FeeRates, Instrument, MarginMode, PositionMode, Ticker
from apps.connectors.outcomes import Trouble
from apps.connectors.policies import LowBalance
from apps.trading.guards import GuardLimits
from apps.trading.legs import NOTHING, Holding, PlanSettings, ShadowPosition
from apps.trading.signal import Signal


@dataclass(frozen=True, slots=True)
class Origin:
    """What asked: the id orders derive from, and when it reached us."""

    id: UUID
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Account:
    """`available_quote` is the free quote balance (spot) or the available margin (futures).

    `leverage` and `margin_mode` are those of the open position, None when flat or on spot. `equity` is what the whole
    account is worth in the quote currency, open PnL included; None when the decision did not depend on it.
    """

    holding: Holding
    available_quote: Decimal
    position_mode: PositionMode
    leverage: Decimal | None
    margin_mode: MarginMode | None
    equity: Decimal | None = None

    def as_facts(self) -> dict[str, str]:
        equity = {} if self.equity is None else {"equity": f"{self.equity:f}"}
        return {
            **equity,
            "held_long": f"{self.holding.long:f}",
            "held_short": f"{self.holding.short:f}",
            "available_quote": f"{self.available_quote:f}",
            "position_mode": self.position_mode.value,
        }


@dataclass(frozen=True, slots=True)
class Terms:
    """What the trader has set on the connector, or the plan where nothing is set.

    `most_leverage` is the most that a message may ask for; None = no more than `leverage`.
    """

    plan: PlanSettings
    limits: GuardLimits
    leverage: Decimal
    margin_mode: MarginMode
    most_leverage: Decimal | None = None
    low_balance: LowBalance = LowBalance.REFUSE


@dataclass(frozen=True, slots=True)
class Standing:
    """May this connector trade at all: the states of site, staff, workspace and connector, deletion, pause, trial, what
    is open as an incident, and whether its exchange answers."""

    site: TradingState
    workspace: TradingState
    connector: TradingState
    connector_label: str
    staff: TradingState = TradingState.ACTIVE
    staff_reason: str = ""
    incident: str = ""
    trouble: Trouble | None = None
    deleted_label: str = ""
    paused_label: str = ""
    trial_ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """What the connector has done lately and has open. Notionals in quote currency, orders in doubt counted in.

    `open_notional_elsewhere` leaves positions in the symbol out: behind a closing leg they are on their way out.
    `oldest_opened_at` is when the oldest open position in the symbol was opened, None when none is open;
    `opened_long_at` and `opened_short_at` are of one side each, which only a hedge account has both of.

    `open_elsewhere` is how many other symbols have a position, or an entry that may become one. `spot_quantity` is what
    our fills on spot add up to: other coins in the account are no position. `adds_long` and `adds_short` are the
    entries that followed the first into the open position. `lost_today` is since midnight UTC, positive for a loss.

    `unheard` is what the strategy's position is larger by than ours, for all it knows, in exchange units: what guards
    and others closed of the open one, on record or not yet, and what was refused, cut or taken back of its entries.
    """

    orders_last_minute: int = 0
    open_notional: Decimal = Decimal(0)
    open_notional_elsewhere: Decimal = Decimal(0)
    oldest_opened_at: datetime | None = None
    open_elsewhere: int = 0
    spot_quantity: Decimal = Decimal(0)
    adds_long: int = 0
    adds_short: int = 0
    lost_today: Decimal = Decimal(0)
    unheard: Holding = NOTHING
    opened_long_at: datetime | None = None
    opened_short_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Inputs:
    """`reserved` is what entries planned or in doubt may still take of the account's free quote balance.

    `account` and what follows it are None when the decision needed no look at the exchange or the market.

    `now` is when the reading was complete. `clock_fault` says why the exchange's clock is not to be trusted, "" when
    it is or when no leg depended on it.
    """

    signal: Signal
    origin: Origin
    connector_id: UUID
    now: datetime
    terms: Terms
    standing: Standing
    instrument: Instrument | None = None
    account: Account | None = None
    shadow: ShadowPosition | None = None
    ticker: Ticker | None = None
    fee_rates: FeeRates | None = None
    counts: Counts = Counts()
    reserved: Decimal = Decimal(0)
    clock_fault: str = ""
