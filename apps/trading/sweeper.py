"""Due work that nobody did: orders whose sender is gone, whose outcome is unknown, or whose fills are awaited."""

from datetime import timedelta
from uuid import UUID

from django.db.models import Q

from apps.lib import world
from apps.lib.pool import run_all
from apps.trading import leases, protection
from apps.trading.executor import settle_legs, step
from apps.trading.models import FINAL_STATES, Order, OrderState

CLAIM = timedelta(seconds=15)
LOT = 200


def sweep() -> int:
    """Take one step with every due order and guard; return how many were due."""
    due = Order.unscoped.filter(next_at__lte=world.now()).order_by("next_at").values_list("pk", flat=True)
    work = list(due[:LOT])
    run_all(_take_step, work)
    run_all(_settle, _orphaned_parents())
    return len(work) + protection.sweep()


def _take_step(order_id: UUID) -> None:
    order = Order.unscoped.select_related("connector", "instrument").get(pk=order_id)
    if order.state in {OrderState.PLANNED, OrderState.NOT_PLACED}:
        with leases.held(order.connector_id, order.symbol) as lease:
            if lease is not None and _claim(order):
                step(order)
        return
    if _claim(order):
        step(order)


def _claim(order: Order) -> bool:
    """Push the due time on; False when another process did."""
    row = Order.unscoped.filter(pk=order.pk, version=order.version, next_at=order.next_at)
    if order.state == OrderState.SUBMITTING:
        return row.exists()
    return bool(row.update(next_at=world.now() + CLAIM))


def _orphaned_parents() -> list[UUID]:
    """Return closing orders that are final while the leg behind them still waits: a worker died between the two."""
    waiting = Order.unscoped.filter(waits_for_parent=True, state=OrderState.PLANNED, next_at=None)
    dead = waiting.filter(Q(parent__state__in=FINAL_STATES), parent__finished_at__lt=world.now() - timedelta(seconds=5))
    return list(dead.values_list("parent_id", flat=True)[:LOT])


def _settle(parent_id: UUID) -> None:
    parent = Order.unscoped.select_related("connector", "instrument").get(pk=parent_id)
    with leases.held(parent.connector_id, parent.symbol) as lease:
        if lease is not None:
            settle_legs(parent)
