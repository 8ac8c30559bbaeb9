"""Alerts of one second: TradingView sends one per filled order, and they arrive in any order."""

from datetime import timedelta
from decimal import Decimal

import pytest

from apps.alerts.execution import execute_due
from apps.alerts.models import Alert
from apps.lib import world
from apps.trading.models import OrderState
from tests.engine.conftest import Bench


def burst(futures: Bench, *messages: tuple[str, str, str]) -> None:
    """Deliver messages a few milliseconds apart, then let the worker's code run once."""
    alerts = [futures.post(*message) for message in messages]
    start = world.now() - timedelta(milliseconds=500)
    for number, alert in enumerate(alerts):
        Alert.unscoped.filter(pk=alert.pk).update(received_at=start + timedelta(milliseconds=5 * number))
    execute_due()


def net(futures: Bench) -> Decimal:
    sides = {"buy": 1, "sell": -1}
    return sum(
        (sides[order.side] * order.filled_quantity for order in futures.orders() if order.state == OrderState.FILLED),
        Decimal(0),
    )


def test_entry_and_its_exit_in_one_second_end_flat(futures: Bench) -> None:
    burst(futures, ("buy", "flat", "0.01"), ("sell", "long", "0.01"))

    assert [(order.side, order.quantity) for order in futures.orders()] == [("buy", 10), ("sell", 10)]
    assert futures.held() == 0


@pytest.mark.parametrize("is_swapped", [False, True])
def test_close_and_opposite_entry_end_short_in_both_arrival_orders(futures: Bench, is_swapped: bool) -> None:
    futures.send("buy", "flat", "0.005")
    pair = [("sell", "long", "0.005"), ("sell", "flat", "0.01")]

    burst(futures, *(reversed(pair) if is_swapped else pair))

    assert [(order.side, order.quantity) for order in futures.orders()] == [("buy", 5), ("sell", 5), ("sell", 10)]
    assert futures.held() == -10


@pytest.mark.parametrize("last", ["0.007", "0.01"])
def test_an_exit_stays_behind_the_add_that_it_closes_too(futures: Bench, last: str) -> None:
    """In front of it it would close what is held, open the other side by the rest, and the add would turn that."""
    futures.send("buy", "flat", "0.005")

    burst(futures, ("sell", "long", "0.001"), ("buy", "long", "0.003"), ("sell", "long", last))

    assert [order.side for order in futures.orders()][:4] == ["buy", "sell", "buy", "sell"]
    assert futures.held() == {"0.007": 0, "0.01": -3}[last]


def test_an_exit_stays_behind_an_add_that_came_between_an_entry_and_it(futures: Bench) -> None:
    futures.send("buy", "flat", "0.005")

    burst(futures, ("sell", "flat", "0.002"), ("buy", "long", "0.003"), ("sell", "long", "0.008"))

    assert futures.held() == -5


def test_a_close_all_stays_behind_the_add_before_it(futures: Bench) -> None:
    futures.send("buy", "flat", "0.005")
    futures.post("buy", "long", "0.003")
    futures.post("", "", "", closeall="true")
    execute_due()

    assert [(order.side, order.quantity) for order in futures.orders()] == [("buy", 5), ("buy", 3), ("sell", 8)]
    assert futures.held() == 0


@pytest.mark.parametrize("is_swapped", [False, True])
def test_two_partial_exits_end_flat_in_both_arrival_orders(futures: Bench, is_swapped: bool) -> None:
    futures.send("buy", "flat", "0.01")
    pair = [("sell", "long", "0.004"), ("sell", "long", "0.006")]

    burst(futures, *(reversed(pair) if is_swapped else pair))

    assert net(futures) == 0
    assert futures.held() == 0


def test_pyramided_reversal_ends_long_by_what_was_asked(futures: Bench) -> None:
    """UD-28: short 3, then buys of 4, 1 and 1 in one bar; only the first carries the close."""
    futures.send("sell", "flat", "0.003")

    burst(futures, ("buy", "short", "0.004"), ("buy", "long", "0.001"), ("buy", "long", "0.001"))

    assert futures.held() == 3
