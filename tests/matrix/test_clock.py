"""Our clock is off by 3, 30 and 120 s, either way, and jumps at the worst moment."""

from collections.abc import Iterator
from decimal import Decimal

import pytest

from apps.connectors.tasks import measure_clocks
from apps.trading.models import Order, OrderState
from tests.engine.conftest import _rows_of_migrations, committed
from tests.matrix.virtual import Desk, desks
from tests.torture.venue import SUBMIT

__all__ = ["_rows_of_migrations", "committed"]

S = OrderState


@pytest.fixture
def desk(committed: None) -> Iterator[Desk]:
    with desks(1) as (only,):
        yield only


@pytest.mark.parametrize("seconds", [3, -3, 30, -30, 120, -120])
def test_clock_that_is_off_and_measured_stops_entries_only_when_it_is_far_off(desk: Desk, seconds: int) -> None:
    desk.send("buy", "flat", "0.004")
    desk.scene.clock.jump(seconds)
    measure_clocks()

    entry = desk.send("buy", "long", "0.001")
    desk.wait(10)
    desk.send("sell", "long", "0.004")

    second = Order.unscoped.get(origin_id=entry.pk)
    if abs(seconds) > 5:
        assert (second.state, second.reason_code, second.attempt) == (S.DENIED, "CLOCK_UNTRUSTED", 0)
        assert ([size for _, size in desk.book()], desk.held()) == ([4, 4], 0)
    else:
        assert (second.state, desk.held()) == (S.FILLED, 1)
        assert [size for _, size in desk.book()] == [4, 1, 4]
    assert desk.violations() == []


@pytest.mark.parametrize("seconds", [30, -30, 120, -120])
def test_exit_goes_out_although_the_clock_has_just_jumped(desk: Desk, seconds: int) -> None:
    """Nobody has measured it yet: a refused timestamp does, and the exit is signed anew by the right time."""
    desk.send("buy", "flat", "0.004")
    desk.scene.clock.jump(seconds)

    desk.send("sell", "long", "0.004")
    desk.wait(20)

    assert desk.held() == 0
    assert [size for _, size in desk.book()] == [4, 4]
    assert desk.violations() == []


@pytest.mark.parametrize("seconds", [30, 120])
def test_clock_that_jumps_while_an_exit_is_under_way_brings_no_fence_forward(desk: Desk, seconds: int) -> None:
    """The exit is held up in the network for 50 s; by our clock it could not be accepted any more long before."""
    desk.send("buy", "flat", "0.004")
    desk.scene.venue.held_back[desk.history.key] = 50
    alert = desk.send("sell", "long", "0.002")
    desk.scene.clock.jump(seconds)

    desk.wait(40, every=4)
    desk.wait(240, every=12)

    exit_order = Order.unscoped.get(origin_id=alert.pk)
    assert (exit_order.state, exit_order.filled_quantity, exit_order.attempt) == (S.FILLED, Decimal(2), 1)
    assert [size for _, size in desk.book()] == [4, 2]
    assert desk.violations() == []


def test_clock_that_jumps_back_while_an_order_is_in_doubt_only_makes_it_wait(desk: Desk) -> None:
    desk.send("buy", "flat", "0.004")
    desk.scene.venue.fault(desk.history.key, SUBMIT["futures"], "drop_request")
    alert = desk.send("sell", "long", "0.002")
    desk.scene.clock.jump(-120)

    desk.wait(300, every=15)

    exit_order = Order.unscoped.get(origin_id=alert.pk)
    # Its second attempt is signed by the wrong clock and refused; that measures it.
    assert (exit_order.state, exit_order.attempt) == (S.FILLED, 3)
    assert [size for _, size in desk.book()] == [4, 2]
    assert desk.violations() == []
