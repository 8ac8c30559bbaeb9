"""What every venue can be asked to do."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from apps.connectors.exchange.kinds import (
    MarginMode,
    Market,
    PositionMode,
    PriceSource,
    Side,
    TransactionKind,
    TransferDirection,
)
from apps.connectors.exchange.market import (
    Candle,
    FundingRate,
    Instrument,
    LeverageBracket,
    OpenInterest,
    OrderBook,
    PublicMatch,
    ServiceNotice,
    Ticker,
)
from apps.connectors.exchange.reports import (
    AccountInfo,
    Balance,
    BatchReport,
    CancelReport,
    CancelTimer,
    FeeRates,
    FeeSchedule,
    FillReport,
    KeyInfo,
    OrderReport,
    PositionReport,
    PositionRisk,
    TransactionReport,
    TransferReport,
    TriggerReport,
)
from apps.connectors.exchange.requests import (
    OrderRequest,
    PresetPrice,
    ProtectionChange,
    ProtectionRequest,
    TrailingRequest,
    TriggerChange,
    TriggerRequest,
)


class Exchange(Protocol):
    """One account at one market of one venue. Every method may raise ExchangeError; reads retry a bounded number of
    times, submit and cancel never do. Instances are safe to use from several threads."""

    market: Market
    clock_offset_ms: int
    """The venue's clock minus ours, milliseconds; added to our clock in signatures made by the exchange itself."""

    def server_time_ms(self) -> int:
        """Return the venue's clock, Unix milliseconds."""

    def offset_sample_ms(self) -> int:
        """Ask for the venue's clock and return it minus ours, half the round trip of that one answer allowed for.

        Waiting for its turn, and tries that came to nothing, are no part of that.
        """

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
