"""BitMart is under maintenance: it answers, and does not say whether it took the order."""

import pytest

from apps.trading.models import OrderState
from tests.engine.conftest import Bench

pytestmark = pytest.mark.django_db
S = OrderState


def test_order_met_by_maintenance_is_in_doubt_and_proved_absent_once_it_is_over(futures: Bench) -> None:
    futures.fault("maintenance")
    futures.send("buy", "flat", "0.01")
    order = futures.order()
    assert (order.state, order.attempt) == (S.UNKNOWN, 1)
    futures.fault("maintenance", "/contract/private/order", times=1)
    futures.wait()
    assert futures.order().state == S.UNKNOWN
    assert futures.book() == []

    futures.pass_fence()
    futures.wait(3)

    assert (futures.order().state, futures.order().attempt) == (S.NOT_PLACED, 1)
    assert futures.book() == []


def test_exit_met_by_maintenance_goes_out_once_it_is_over(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    futures.fault("maintenance")
    futures.send("sell", "long", "0.01")

    futures.wait()
    futures.pass_fence()
    futures.wait(4)

    assert futures.held() == 0
    assert [size for _, size in futures.book()] == ["10", "10"]
    assert [order.state for order in futures.orders()] == [S.FILLED, S.FILLED]
