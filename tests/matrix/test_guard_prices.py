"""A guard of a percentage that travels in its entry, where the market jumped since its price was read."""

from collections.abc import Iterator
from decimal import Decimal

import pytest

from apps.alerts.models import AlertStatus
from apps.connectors.models import MarketPrice
from apps.trading import market
from apps.trading.models import Protection
from tests.engine.conftest import _rows_of_migrations, committed
from tests.matrix.virtual import Desk, desks

__all__ = ["_rows_of_migrations", "committed"]

DETAILS, MARK = "/contract/public/details", "/contract/public/markprice-kline"
STOP = {"percent": 1}


@pytest.fixture
def desk(committed: None) -> Iterator[Desk]:
    with desks(1) as (only,):
        market._not_told.clear()
        only.send("buy", "flat", "0.004")
        only.send("sell", "long", "0.004")
        # The market falls by twice the stop's distance, a second after it was read.
        MarketPrice.objects.update(at=only.scene.clock.now())
        only.scene.clock.sleep(1)
        only.scene.venue.set_price("BTCUSDT", Decimal(58_800))
        yield only


def entered(desk: Desk, **more: object) -> tuple[float, list[Decimal]]:
    """Enter with a stop of a percentage; return how long that took, and where the stop was at first."""
    began = desk.scene.clock.monotonic()
    alert = desk.send("buy", "flat", "0.004", id="second", stop_loss=STOP, **more)
    assert alert.status == AlertStatus.EXECUTED
    first = Protection.unscoped.filter(in_entry=True).order_by("number")
    return desk.scene.clock.monotonic() - began, [row.price for row in first]


def test_stop_counts_from_the_price_of_now(desk: Desk) -> None:
    _, stops = entered(desk)

    assert stops == [Decimal(58_212)]
    desk.wait(30)
    assert desk.held() == 4


def test_stop_of_a_reversal_counts_from_the_price_of_now(desk: Desk) -> None:
    desk.send("buy", "flat", "0.004", id="in")
    price, at = Decimal(58_000), desk.scene.clock.now()
    MarketPrice.objects.update(last=price, bid=price, ask=price, at=at)
    desk.scene.clock.sleep(1)

    desk.send("sell", "long", "0.008", id="turn", stop_loss=STOP)

    desk.wait(30)
    assert (desk.orders()[-1].facts["guards"][0]["price"], desk.held()) == ("59388", -4)


@pytest.mark.parametrize("silent", [DETAILS, MARK])
def test_price_that_nobody_tells_holds_an_entry_up_for_a_second_only(desk: Desk, silent: str) -> None:
    usual, _ = entered(desk)
    desk.send("sell", "long", "0.004", id="out")
    desk.scene.clock.sleep(1)
    desk.scene.venue.fault("", silent, "delay", code=30_000, times=100)
    began = desk.scene.clock.monotonic()

    alert = desk.send("buy", "flat", "0.004", id="third", stop_loss=STOP)

    assert alert.status == AlertStatus.EXECUTED
    assert desk.scene.clock.monotonic() - began < usual + 1.1
    assert desk.held() == 4
