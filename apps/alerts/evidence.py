"""What an alert's page proves its story with: the inputs of the decision, every step of every order, and its cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from apps.accounts.models import Workspace
from apps.alerts.models import Alert
from apps.connectors.exchange import Side
from apps.lib.frozen import ThawError
from apps.trading.inputs import Inputs
from apps.trading.models import Order, OrderEvent, OrderState, PlanRecord
from apps.trading.records import inputs_in
from apps.trading.slippage import Slippage, Snapshot, split


@dataclass(frozen=True, slots=True)
class Step:
    """One state change or note of an order. `facts` are plain names and texts."""

    event: OrderEvent
    order: Order
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class OrderCost:
    order: Order
    slippage: Slippage


@dataclass(frozen=True)
class Evidence:
    """`inputs` is None where nothing was planned, and for alerts planned by a release that kept none."""

    inputs: Inputs | None
    steps: tuple[Step, ...]
    orders: tuple[Order, ...]

    @property
    def source_at(self) -> datetime | None:
        return self.inputs.signal.sent_at if self.inputs else None

    @property
    def seen_at(self) -> datetime | None:
        """When account and prices had been read; None when the decision needed neither."""
        return self.inputs.now if self.inputs and self.inputs.account else None

    @property
    def price_age_ms(self) -> int | None:
        """How old the prices were when it was planned."""
        if self.inputs is None or self.inputs.ticker is None:
            return None
        return round((self.inputs.now - self.inputs.ticker.at).total_seconds() * 1000)

    def times_of(self, order: Order) -> tuple[datetime | None, datetime | None]:
        """Return when it was written down and when its first sending was committed, by our clock."""
        own = [step.event for step in self.steps if step.order.pk == order.pk]
        sent = (event.at for event in own if event.to_state == OrderState.SUBMITTING)
        return (own[0].at if own else None), next(sent, None)

    @cached_property
    def costs(self) -> tuple[OrderCost, ...]:
        """Slippage of every planned order that filled; the market is that of the plan, also for a leg that waited.

        A stop or profit that fired at the exchange was not planned: how far the market went until then is no slippage.
        """
        planned = (order for order in self.orders if order.filled_quantity and self._was_planned(order))
        return tuple(OrderCost(order, self._cost(order)) for order in planned)

    def _was_planned(self, order: Order) -> bool:
        first = next((step.event for step in self.steps if step.order.pk == order.pk), None)
        return first is None or first.to_state == OrderState.PLANNED

    def _cost(self, order: Order) -> Slippage:
        ticker = self.inputs.ticker if self.inputs else None
        return split(
            Side(order.side),
            signal_price=self.inputs.signal.signal_price if self.inputs else None,
            market=Snapshot(ticker.bid, ticker.ask, ticker.last) if ticker else Snapshot(None, None, None),
            avg_fill_price=order.avg_fill_price,
            filled_quantity=order.filled_quantity,
            contract_size=order.instrument.contract_size,
        )


def evidence_of(workspace: Workspace, alert: Alert, orders: Sequence[Order]) -> Evidence:
    """Read it, in two queries."""
    by_id = {order.pk: order for order in orders}
    events = OrderEvent.objects.for_workspace(workspace).filter(order_id__in=by_id).order_by("at", "version")
    record = PlanRecord.objects.for_workspace(workspace).filter(origin_id=alert.pk).first()
    steps = tuple(Step(event, by_id[event.order_id], facts_of(event)) for event in events) if by_id else ()
    return Evidence(_inputs(record), steps, tuple(orders))


def _inputs(record: PlanRecord | None) -> Inputs | None:
    if record is None:
        return None
    try:
        return inputs_in(record)
    except ThawError:
        return None


def facts_of(event: OrderEvent) -> tuple[tuple[str, str], ...]:
    """Return what the step rests on as plain names and texts."""
    return tuple(
        (name.replace("_", " "), ", ".join(map(str, value)) if isinstance(value, list) else str(value))
        for name, value in event.evidence.items()
        if value not in (None, "", [])
    )
