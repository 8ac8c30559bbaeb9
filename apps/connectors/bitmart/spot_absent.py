"""What spot does not have, or BitMart offers on the futures host only: refused before anything is sent."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NoReturn

from apps.connectors.exchange import (
    CancelTimer,
    FundingRate,
    LeverageBracket,
    MarginMode,
    NotSupportedError,
    OpenInterest,
    PositionMode,
    PositionRisk,
    PresetPrice,
    ProtectionChange,
    ProtectionRequest,
    TrailingRequest,
    TransactionKind,
    TransactionReport,
    TransferDirection,
    TransferReport,
    TriggerChange,
    TriggerReport,
    TriggerRequest,
)


def absent(what: str) -> NoReturn:
    raise NotSupportedError(f"{what} Nothing was sent.")


class FuturesOnly:
    def position_mode(self) -> PositionMode:
        absent("Spot has no positions, so it has no position mode.")

    def set_position_mode(self, mode: PositionMode) -> None:
        absent("Spot has no positions, so it has no position mode.")

    def set_leverage(self, symbol: str, *, leverage: Decimal, margin_mode: MarginMode) -> None:
        absent("Spot has no leverage.")

    def cancel_all_after(self, symbol: str, *, seconds: int, signed_at_ms: int) -> CancelTimer:
        absent("BitMart spot has no timed cancellation.")

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
        absent("A BitMart spot order cannot be changed: cancel it and send a new one.")

    def submit_trigger(self, request: TriggerRequest, *, signed_at_ms: int) -> str:
        absent("Trigger orders are not offered on BitMart spot.")

    def modify_trigger(self, change: TriggerChange, *, signed_at_ms: int) -> str:
        absent("Trigger orders are not offered on BitMart spot.")

    def cancel_trigger(
        self, symbol: str, *, exchange_order_id: str = "", client_order_id: str = "", signed_at_ms: int
    ) -> None:
        absent("Trigger orders are not offered on BitMart spot.")

    def trigger_orders(self, symbol: str | None = None) -> Sequence[TriggerReport]:
        absent("Trigger orders are not offered on BitMart spot.")

    def submit_protection(self, request: ProtectionRequest, *, signed_at_ms: int) -> str:
        absent("Take-profit and stop-loss orders need a futures position.")

    def modify_protection(self, change: ProtectionChange, *, signed_at_ms: int) -> str:
        absent("Take-profit and stop-loss orders need a futures position.")

    def modify_presets(
        self,
        symbol: str,
        *,
        exchange_order_id: str,
        take_profit: PresetPrice | None = None,
        stop_loss: PresetPrice | None = None,
        signed_at_ms: int,
    ) -> str:
        absent("Take-profit and stop-loss orders need a futures position.")

    def submit_trailing(self, request: TrailingRequest, *, signed_at_ms: int) -> str:
        absent("Trailing orders are not offered on BitMart spot.")

    def cancel_trailing(self, symbol: str, *, exchange_order_id: str, signed_at_ms: int) -> None:
        absent("Trailing orders are not offered on BitMart spot.")

    def transfer(self, direction: TransferDirection, *, currency: str, amount: Decimal, signed_at_ms: int) -> None:
        absent("BitMart moves money between spot and futures with a futures key: use a futures connector.")

    def transfers(
        self, *, currency: str = "", since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[TransferReport]:
        absent("BitMart lists transfers with a futures key: use a futures connector.")

    def transactions(
        self,
        *,
        symbol: str = "",
        kind: TransactionKind | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Sequence[TransactionReport]:
        absent("BitMart spot lists no bookings.")

    def position_risks(self, symbol: str | None = None) -> Sequence[PositionRisk]:
        absent("Spot has no positions.")

    def funding_rate(self, symbol: str) -> FundingRate:
        absent("Spot has no funding.")

    def funding_history(self, symbol: str) -> Sequence[FundingRate]:
        absent("Spot has no funding.")

    def open_interest(self, symbol: str) -> OpenInterest:
        absent("Spot has no open interest.")

    def leverage_brackets(self, symbol: str) -> Sequence[LeverageBracket]:
        absent("Spot has no leverage.")
