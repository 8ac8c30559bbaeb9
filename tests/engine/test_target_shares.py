"""Several take profits after a part of the position was closed: what is left is shared by their weights."""

import pytest

from apps.trading import cancelling, protection
from apps.trading.models import Incident
from tests.engine.conftest import Bench
from tests.engine.test_protection import TP_SL, at_exchange, guards
from tests.engine.test_protection import wait as wait_once


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelling, "_LOOK_PAUSES_S", (0,))


def wait(bench: Bench, rounds: int) -> None:
    for _ in range(rounds):
        bench.end_windows()
        wait_once(bench)


def profits(bench: Bench) -> list[tuple[str, str]]:
    return [(price, size) for kind, price, size in at_exchange(bench) if kind == "take_profit"]


def laddered(bench: Bench, quantity: str, *weights: float, **more: object) -> None:
    targets = [{"price": 61000 + 1000 * number, "weight": weight} for number, weight in enumerate(weights)]
    bench.send("buy", "flat", quantity, take_profit=targets, **more)


def test_what_a_partial_exit_leaves_is_shared_by_the_weights(futures: Bench) -> None:
    laddered(futures, "0.01", 0.5, 0.5, stop_loss={"price": 57000})

    futures.send("sell", "long", "0.004")
    wait(futures, 6)

    assert profits(futures) == [("61000", "3"), ("62000", "3")]
    futures.paper.set_price("BTCUSDT", "61100")
    wait(futures, 3)
    assert (futures.held(), profits(futures)) == (3, [("62000", "3")])
    futures.paper.set_price("BTCUSDT", "62100")
    wait(futures, 3)
    assert (futures.held(), Incident.unscoped.count()) == (0, 0)


def test_half_of_a_position_that_is_left_is_not_closed_by_the_first_target(futures: Bench) -> None:
    laddered(futures, "0.01", 0.5, 0.5)

    futures.send("sell", "long", "0.005")
    wait(futures, 6)
    assert profits(futures) == [("61000", "2"), ("62000", "3")]
    futures.paper.set_price("BTCUSDT", "61100")
    wait(futures, 3)

    assert (futures.held(), profits(futures)) == (3, [("62000", "3")])


def test_targets_that_are_still_open_share_what_is_left(futures: Bench) -> None:
    laddered(futures, "0.01", 0.4, 0.4, 0.2)
    futures.paper.set_price("BTCUSDT", "61100")
    wait(futures, 3)
    assert (futures.held(), profits(futures)) == (6, [("62000", "4"), ("63000", "2")])

    futures.send("sell", "long", "0.003")
    wait(futures, 6)

    assert profits(futures) == [("62000", "2"), ("63000", "1")]


def test_second_partial_exit_shares_again(futures: Bench) -> None:
    laddered(futures, "0.01", 0.3, 0.3, 0.4)

    futures.send("sell", "long", "0.001")
    wait(futures, 6)
    # One of the first two has what rounding left.
    assert sorted(size for _, size in profits(futures)) == ["2", "3", "4"]
    futures.send("sell", "long", "0.002")
    wait(futures, 8)

    assert profits(futures) == [("61000", "2"), ("62000", "2"), ("63000", "3")]


def test_target_whose_share_is_below_the_smallest_order_is_taken_back(futures: Bench) -> None:
    laddered(futures, "0.01", 0.5, 0.5)

    futures.send("sell", "long", "0.009")
    wait(futures, 8)

    assert profits(futures) == [("62000", "1")]
    assert futures.held() == 1


def test_target_that_fires_has_the_others_stay_as_they_are(futures: Bench) -> None:
    laddered(futures, "0.01", 0.5, 0.5)
    futures.paper.set_price("BTCUSDT", "61100")
    # The second target is looked at before it is known that the first has fired.
    second = guards(futures)[1]
    protection.step(second)
    assert len(guards(futures)) == 2

    wait(futures, 6)

    assert (futures.held(), profits(futures), len(guards(futures))) == (5, [("62000", "5")], 2)


def test_entries_on_top_of_each_other_share_by_what_they_opened(futures: Bench) -> None:
    laddered(futures, "0.01", 0.5, 0.5)
    futures.send("buy", "long", "0.006", take_profit=[{"price": 64000, "weight": 0.5}, {"price": 65000, "weight": 0.5}])
    assert futures.held() == 16

    futures.send("sell", "long", "0.008")
    wait(futures, 8)

    assert profits(futures) == [("61000", "2"), ("62000", "3"), ("64000", "1"), ("65000", "2")]


def test_target_that_cannot_be_cut_stays(futures: Bench) -> None:
    laddered(futures, "0.01", 0.5, 0.5)
    futures.fault("code", TP_SL, code=40031, status=400, times=9)

    futures.send("sell", "long", "0.005")
    wait(futures, 12)

    assert profits(futures) == [("61000", "5"), ("62000", "5")]
    assert futures.held() == 5
    assert not Incident.unscoped.exists()
