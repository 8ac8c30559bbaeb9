"""A worker is killed between any two of its commits; what it left is finished by others, and nothing twice."""

from decimal import Decimal

import pytest
from django.utils import timezone

from apps.alerts.models import AlertStatus
from apps.trading.models import Fill, Lease, LedgerEntry, Order, OrderState
from tests.crash.launch import POINTS
from tests.crash.processes import Process
from tests.engine.conftest import Bench

pytestmark = pytest.mark.process

S = OrderState
NOT_SENT = "claimed, bytes not sent"
SIGKILLED = "-9"
# What the dead worker left: the alert, the state of the order, how many orders the exchange has.
LEFT = {
    "alert read, nothing planned": (AlertStatus.QUEUED, None, 0),
    "orders committed, none sent": (AlertStatus.EXECUTING, S.PLANNED, 0),
    NOT_SENT: (AlertStatus.EXECUTING, S.SUBMITTING, 0),
    "answer read, not recorded": (AlertStatus.EXECUTING, S.SUBMITTING, 1),
    "acknowledged, fills not read": (AlertStatus.EXECUTING, S.ACCEPTED, 1),
    "last fill recorded, nobody told": (AlertStatus.EXECUTING, S.FILLED, 1),
    "filled, alert not finished": (AlertStatus.EXECUTING, S.FILLED, 1),
}


def test_every_point_is_tried() -> None:
    assert LEFT.keys() == POINTS.keys()


@pytest.mark.parametrize("point", LEFT)
def test_entry_of_a_killed_worker_is_finished_once(futures: Bench, grave: Process, point: str) -> None:
    alert = futures.post("buy", "flat", "0.01")

    grave.write(point)

    assert grave.read() == SIGKILLED
    status, state, placed = LEFT[point]
    assert futures.status(alert)[0] == status
    assert [order.state for order in futures.orders()] == ([state] if state else [])
    assert len(futures.book()) == placed

    recover(futures)

    order = futures.order()
    assert futures.status(alert) == (AlertStatus.EXECUTED, "")
    if point == NOT_SENT:
        assert (order.state, order.attempt, futures.book()) == (S.NOT_PLACED, 1, [])
        return
    assert (order.state, order.filled_quantity, order.attempt) == (S.FILLED, Decimal(10), 1)
    assert futures.book() == [(order.client_order_id, "10")]
    assert (futures.held(), Fill.unscoped.count(), LedgerEntry.unscoped.count()) == (10, 1, 1)


@pytest.mark.parametrize("point", LEFT)
def test_exit_of_a_killed_worker_is_finished_once(futures: Bench, grave: Process, point: str) -> None:
    futures.send("buy", "flat", "0.01")
    alert = futures.post("sell", "long", "0.01")

    grave.write(point)
    assert grave.read() == SIGKILLED
    recover(futures)

    order = futures.orders()[1]
    assert (order.state, order.filled_quantity, order.attempt) == (S.FILLED, Decimal(10), 2 if point == NOT_SENT else 1)
    assert [size for _, size in futures.book()] == ["10", "10"]
    assert (futures.held(), Fill.unscoped.count()) == (0, 2)
    assert futures.status(alert) == (AlertStatus.EXECUTED, "")


def recover(futures: Bench) -> None:
    """The dead worker's lease runs out, the fence passes, and whoever is left does what is due."""
    Lease.objects.update(until=timezone.now())
    Order.unscoped.filter(state=S.SUBMITTING).update(next_at=timezone.now())
    futures.wait()
    futures.pass_fence()
    futures.wait(5)
