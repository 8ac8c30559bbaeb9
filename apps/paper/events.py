"""What happened, told once it is in the file: the streams' source. Records in events are copies and may be kept."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from apps.paper.records import Fill, Order, Position, Trigger

# Liquidation marks the exchange's own closing order; liquidation_cancel the orders it sweeps away before.
Action = Literal["submit", "match", "cancel", "liquidation_cancel", "liquidation"]
Cause = Literal["trade", "order", "transfer", "funding", "deposit"]


@dataclass(frozen=True, slots=True)
class OrderChanged:
    """`order` as it stood after this step: an order that fills on arrival is told as submit, then a match a fill."""

    account_id: int
    order: Order
    action: Action
    fill: Fill | None = None


@dataclass(frozen=True, slots=True)
class TriggerChanged:
    """A plan, TP/SL or trailing order; its `state` says waiting, fired, failed or canceled."""

    account_id: int
    trigger: Trigger
    action: Action


@dataclass(frozen=True, slots=True)
class Traded:
    account_id: int
    fill: Fill


@dataclass(frozen=True, slots=True)
class BalanceChanged:
    account_id: int
    wallet: str
    currency: str
    available: Decimal
    frozen: Decimal
    cause: Cause


@dataclass(frozen=True, slots=True)
class PositionChanged:
    """`position.amount` is 0 when it was closed."""

    account_id: int
    position: Position


@dataclass(frozen=True, slots=True)
class Ticked:
    """The book stands at `at_ms`. At most once a price step; quotes are read from `Prices` for what is watched."""

    at_ms: int


Event = OrderChanged | TriggerChanged | Traded | BalanceChanged | PositionChanged | Ticked
Listener = Callable[[Event], None]


class Feed:
    """Holds events back until the change they tell of is committed. Listeners run in the exchange's own thread."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._open: list[Event] = []
        self._kept: list[Event] = []

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every later event, in order; return what ends that. It must not raise or block."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    @property
    def is_heard(self) -> bool:
        return bool(self._listeners)

    @property
    def has_kept(self) -> bool:
        return bool(self._kept)

    def add(self, event: Event) -> None:
        if self._listeners:
            self._open.append(event)

    def keep(self) -> None:
        """The transaction that added these has ended; its commit is still to come."""
        self._kept += self._open
        self._open.clear()

    def release(self) -> None:
        """Tell what was kept: it is in the file."""
        told, self._kept = self._kept, []
        for event in told:
            for listener in tuple(self._listeners):
                listener(event)

    def forget_open(self) -> None:
        self._open.clear()

    def forget(self) -> None:
        """Drop everything: the commit failed."""
        self._open.clear()
        self._kept.clear()
