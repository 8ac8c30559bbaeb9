"""Stops and profits of a percentage lie that far from what was paid, also where the market moved since it was read."""

from decimal import Decimal
from typing import Any

import pytest

from apps.trading import cancelling
from apps.trading.models import ProtectionState
from tests.engine.conftest import Bench
from tests.engine.test_protection import at_exchange, told, wait

P = ProtectionState
TWO_PERCENTS = [{"percent": "0.5", "weight": "0.5"}, {"percent": 2, "weight": "0.5"}]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelling, "_LOOK_PAUSES_S", (0,))


def bought_at(bench: Bench, price: str, action: str = "buy", **more: Any) -> None:
    """Enter at a price that nobody has read: the bench's stored one is 60000."""
    bench.paper.set_price("BTCUSDT", price)
    bench.send(action, "flat", "0.01", **more)
    assert bench.order().avg_fill_price == Decimal(price)


@pytest.mark.parametrize(
    ("action", "price", "near", "far"),
    [("buy", "60600", "60903", "61812"), ("sell", "59400", "59103", "58212"), ("buy", "59400", "59697", "60588")],
)
def test_profits_sent_after_the_fill_count_from_what_was_paid(
    futures: Bench, action: str, price: str, near: str, far: str
) -> None:
    bought_at(futures, price, action, take_profit=TWO_PERCENTS)

    wait(futures, 2)

    assert sorted(at_exchange(futures)) == sorted([("take_profit", near, "5"), ("take_profit", far, "5")])
    assert sorted(price for _, _, price in told(futures)) == sorted([near, far])
    assert abs(futures.held()) == 10


def test_profits_at_a_price_stay_where_they_were_asked(futures: Bench) -> None:
    profits = [{"price": 61000, "weight": 0.5}, {"price": 62000, "weight": 0.5}]
    bought_at(futures, "60600", take_profit=profits)

    assert at_exchange(futures) == [("take_profit", "61000", "5"), ("take_profit", "62000", "5")]


def test_trailing_stop_of_a_percentage_starts_from_what_was_paid(futures: Bench) -> None:
    bought_at(futures, "60600", trailing_stop={"percent": 1, "activation": {"percent": "0.5"}})

    assert told(futures) == [("trailing_stop", P.LIVE, "60903")]
