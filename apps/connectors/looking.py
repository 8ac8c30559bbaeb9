"""An exchange account with its eyes only: for whoever must be unable to trade, not just asked not to."""

from collections.abc import Sequence
from typing import Protocol

from apps.connectors.exchange import Balance, Exchange, FeeRates, PositionMode, PositionReport
from apps.connectors.models import Connector
from apps.connectors.opening import open_connector


class AccountReader(Protocol):
    """What a decision asks of an account."""

    def balances(self) -> Sequence[Balance]: ...
    def positions(self, symbol: str | None = None) -> Sequence[PositionReport]: ...
    def position_mode(self) -> PositionMode: ...
    def fee_rates(self, symbol: str) -> FeeRates: ...


class Look:
    """Has no method that places, changes or cancels anything."""

    __slots__ = ("balances", "fee_rates", "position_mode", "positions")

    def __init__(self, exchange: Exchange) -> None:
        self.balances = exchange.balances
        self.positions = exchange.positions
        self.position_mode = exchange.position_mode
        self.fee_rates = exchange.fee_rates


def look_at(connector: Connector) -> Look:
    """SealError when this process may not open credentials."""
    return Look(open_connector(connector))
