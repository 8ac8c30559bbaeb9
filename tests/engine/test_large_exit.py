"""An exit above the largest order is several orders: exits are always allowed, all of them."""

from decimal import Decimal
from typing import Any

import pytest

from apps.alerts.models import AlertStatus
from apps.alerts.notes import sentence_of
from apps.connectors.models import Instrument
from apps.trading.models import OrderState
from tests.engine.conftest import Bench

S = OrderState


@pytest.fixture
def small(futures: Bench) -> Bench:
    """Ten contracts are held; one order may carry four."""
    futures.send("buy", "flat", "0.01")
    Instrument.objects.update(max_quantity=4)
    return futures


def sizes(bench: Bench) -> list[Any]:
    return [(order.leg, order.filled_quantity, order.state) for order in bench.orders()[1:]]


def test_the_rest_is_sent_too(small: Bench) -> None:
    alert = small.send("sell", "long", "0.01")

    assert sizes(small) == [("c", 4, S.FILLED), ("1", 4, S.FILLED), ("2", 2, S.FILLED)]
    assert (small.held(), small.status(alert)) == (0, (AlertStatus.EXECUTED, ""))


def test_close_all_closes_all(small: Bench) -> None:
    small.send("", "", "", closeall="true")

    assert [size for _, size, _ in sizes(small)] == [4, 4, 2]
    assert small.held() == 0


def test_no_part_is_smaller_than_the_smallest_order(small: Bench) -> None:
    Instrument.objects.update(max_quantity=9, min_quantity=2)

    small.send("sell", "long", "0.01")

    assert [size for _, size, _ in sizes(small)] == [8, 2]
    assert small.held() == 0


def test_rest_that_five_orders_leave_is_told(small: Bench) -> None:
    Instrument.objects.update(max_quantity=1)

    alert = small.send("sell", "long", "0.01")
    again = small.send("sell", "long", "0.005")

    assert [size for _, size, _ in sizes(small)] == [1] * 10
    assert small.held() == 0
    [note] = [note for note in alert.notes if note["code"] == "EXIT_REST_LEFT"]
    assert sentence_of(note).startswith(
        "The exit is larger than five of the exchange's largest orders: 5 contracts stay open."
    )
    assert [note["code"] for note in again.notes if note["code"] == "EXIT_REST_LEFT"] == []


def test_reversal_opens_once_all_parts_have_closed(small: Bench) -> None:
    small.send("sell", "long", "0.014")
    small.wait(2)

    assert sizes(small) == [("c", 4, S.FILLED), ("1", 4, S.FILLED), ("2", 2, S.FILLED), ("o", 4, S.FILLED)]
    assert small.held() == -4


def test_lost_part_is_proved_absent_and_sent_again(small: Bench) -> None:
    small.fault("drop_request", nth=2)

    small.send("sell", "long", "0.01")
    assert [state for _, _, state in sizes(small)] == [S.FILLED, S.UNKNOWN, S.FILLED]
    small.pass_fence()
    small.wait(4)

    assert sizes(small) == [("c", 4, S.FILLED), ("1", 4, S.FILLED), ("2", 2, S.FILLED)]
    assert small.held() == Decimal(0)
