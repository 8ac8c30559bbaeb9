"""Due work that nobody did: orders whose sender is gone, whose outcome is unknown, or whose fills are awaited."""

from datetime import datetime, timedelta
from uuid import UUID

from apps.lib import world
from apps.lib.compiled import Compiled, update
from apps.lib.pool import FRESH, run_all
from apps.lib.statements import together
from apps.trading import leases, protection_due
from apps.trading.executor import settle_legs, step
from apps.trading.models import FINAL_STATES, Order, OrderState

CLAIM = timedelta(seconds=15)
LOT = 200
SENT_FROM = frozenset({OrderState.PLANNED, OrderState.NOT_PLACED})


def sweep() -> int:
    """Take one step with every due order and guard; return how many were due."""
    now = world.now()
    orders, parents, *guards = together(
        _due.asked(now=now), _dead_parents.asked(before=now - timedelta(seconds=5)), *protection_due.asked(now)
    )
    if not orders and not parents:
        return protection_due.sweep(now, *guards)
    run_all(_take_step, [(order, now) for order in orders])
    run_all(_settle, parents)
    # What they did moved guards too.
    now = world.now()
    return len(orders) + protection_due.sweep(now, *together(*protection_due.asked(now)))


_due: Compiled[Order] = Compiled(
    lambda now: (
        Order.unscoped.filter(next_at__lte=now)
        .select_related("connector", "instrument")
        .order_by("next_at", "created_at", "leg")[:LOT]
    )
)
_order: Compiled[Order] = Compiled(lambda pk: Order.unscoped.select_related("connector", "instrument").filter(pk=pk))


def _take_step(due: tuple[Order, datetime]) -> None:
    order, read_at = due
    # What is sent asks its connector whether it may, which is read for that alone.
    if order.state in SENT_FROM or abs(world.now() - read_at) > FRESH:
        (again,) = _order(pk=order.pk)
        if again.next_at != order.next_at:
            # Somebody else has it.
            return
        order = again
    if order.is_of_a_later_release:
        return
    if order.state in SENT_FROM:
        with leases.held(order.connector_id, order.symbol) as lease:
            if lease is not None and _claim(order):
                step(order)
        return
    if _claim(order):
        step(order)


def _claim(order: Order) -> bool:
    """Push the due time on; False when another process did."""
    if order.state == OrderState.SUBMITTING:
        return Order.unscoped.filter(pk=order.pk, version=order.version, next_at=order.next_at).exists()
    until = world.now() + CLAIM
    if not update(Order, {"next_at": until}, id=order.pk, version=order.version, next_at=order.next_at):
        return False
    order.next_at = until
    return True


# Closing orders that are final while the leg behind them still waits: a worker died between the two.
_dead_parents: Compiled[UUID] = Compiled(
    lambda before: (
        Order.unscoped.filter(waits_for_parent=True, state=OrderState.PLANNED, next_at=None)
        .filter(parent__state__in=FINAL_STATES, parent__finished_at__lt=before)
        .values_list("parent_id", flat=True)[:LOT]
    )
)


def _settle(parent_id: UUID) -> None:
    (parent,) = _order(pk=parent_id)
    with leases.held(parent.connector_id, parent.symbol) as lease:
        if lease is not None:
            settle_legs(parent)
