"""Entries that still rest when the strategy leaves are taken back: they would open what nobody wants any more."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.alerts.execution import execute_due
from apps.alerts.models import Alert, AlertStatus
from apps.connectors.models import Connector
from apps.trading import cancelling
from apps.trading.models import Order, OrderState
from tests.engine.conftest import Bench
from tests.engine.resting import resting

S = OrderState


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelling, "_LOOK_PAUSES_S", (0,))


def state_of(order: Order) -> str:
    return Order.unscoped.get(pk=order.pk).state


def told(alert: Alert) -> list[dict[str, Any]]:
    return [note["facts"] for note in alert.notes if note["code"] == "TAKEN_BACK_FOR_IT"]


@pytest.mark.parametrize("market", ["futures", "spot"])
@pytest.mark.parametrize("more", [{}, {"market_position": "flat", "market_position_size": "0"}])
def test_an_exit_that_finds_nothing_takes_the_entry_back_that_still_waits(
    request: pytest.FixtureRequest, market: str, more: dict[str, str]
) -> None:
    bench: Bench = request.getfixturevalue(market)
    entry = resting(bench, "buy", "flat", "0.01", "59000")

    alert = bench.send("sell", "long", "0.01", **more)
    bench.wait(2)

    alert.refresh_from_db()
    assert bench.status(alert) == (AlertStatus.IGNORED, "NOTHING_TO_CLOSE")
    assert told(alert) == [{"number": "1"}]
    assert state_of(entry) == S.CANCELED
    bench.paper.set_price(entry.symbol, "58000")
    bench.wait()
    assert not Order.unscoped.filter(filled_quantity__gt=0).exists()


def test_what_filled_before_it_could_be_taken_back_is_closed(futures: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = resting(futures, "buy", "flat", "0.01", "59000")
    taken_back = cancelling.take_back

    def late(order: Order) -> None:
        futures.paper.set_price("BTCUSDT", "58900")
        taken_back(order)

    monkeypatch.setattr("apps.trading.executor.take_back", late)

    alert = futures.send("sell", "long", "0.01")
    futures.wait(3)

    alert.refresh_from_db()
    assert (state_of(entry), futures.status(alert)[0]) == (S.FILLED, AlertStatus.EXECUTED)
    assert futures.held() == 0


def test_an_exit_of_the_whole_goes_at_once_and_the_add_that_rests_is_taken_back(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    add = resting(futures, "buy", "long", "0.005", "59000")

    alert = futures.send("sell", "long", "0.01")

    assert futures.status(alert) == (AlertStatus.EXECUTED, "")
    assert (futures.held(), told(alert)) == (0, [{"number": "1"}])
    futures.wait(2)
    assert state_of(add) == S.CANCELED
    futures.paper.set_price("BTCUSDT", "58000")
    futures.wait()
    assert futures.held() == 0


def test_an_exit_that_says_that_the_strategy_goes_on_holding_takes_nothing_back(futures: Bench) -> None:
    entry = resting(futures, "buy", "flat", "0.01", "59000")

    alert = futures.send("sell", "long", "0.004", market_position="long", market_position_size="0.006")
    futures.wait(2)

    alert.refresh_from_db()
    assert (alert.status, state_of(entry), told(alert)) == (AlertStatus.IGNORED, S.ACCEPTED, [])


def test_an_entry_that_came_after_the_exit_stays(futures: Bench) -> None:
    alert = futures.post("sell", "long", "0.01")
    Alert.unscoped.filter(pk=alert.pk).update(next_at=timezone.now() + timedelta(hours=1))
    before = Alert.unscoped.get(pk=alert.pk).received_at
    Alert.unscoped.filter(pk=alert.pk).update(received_at=timezone.now() + timedelta(hours=1))
    entry = resting(futures, "buy", "flat", "0.01", "59000")
    Alert.unscoped.filter(pk=alert.pk).update(received_at=before, next_at=timezone.now())

    execute_due()
    futures.wait(2)

    alert.refresh_from_db()
    assert futures.status(alert) == (AlertStatus.IGNORED, "NOTHING_TO_CLOSE")
    assert (state_of(entry), told(alert)) == (S.ACCEPTED, [])


def test_an_exit_of_a_part_leaves_the_add_where_it_rests(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    add = resting(futures, "buy", "long", "0.005", "59000")

    alert = futures.send("sell", "long", "0.004")
    futures.wait(2)

    assert (state_of(add), futures.held(), told(alert)) == (S.ACCEPTED, 6, [])


def test_an_entry_of_the_other_side_stays(futures: Bench) -> None:
    entry = resting(futures, "sell", "flat", "0.01", "61000")

    alert = futures.send("sell", "long", "0.01")
    futures.wait(2)

    alert.refresh_from_db()
    assert futures.status(alert) == (AlertStatus.IGNORED, "NOTHING_TO_CLOSE")
    assert (state_of(entry), told(alert)) == (S.ACCEPTED, [])


def test_an_exit_that_a_halt_stops_takes_nothing_back(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    add = resting(futures, "buy", "long", "0.005", "59000")
    type(futures.connector).unscoped.filter(pk=futures.connector.pk).update(trading_state="halted")

    alert = futures.send("sell", "long", "0.01")

    assert alert.status == AlertStatus.REJECTED
    assert Order.unscoped.get(pk=add.pk).cancel_requested_at is None
    assert futures.held() == Decimal(10)


@pytest.mark.parametrize(
    ("action", "price", "more"),
    [
        ("buy", "59000", {}),
        # A reversal takes back all that is open, and an exit what closes the same side.
        ("sell", "61000", {}),
        ("sell", "61000", {"market_position": "short", "market_position_size": "0.01"}),
    ],
)
def test_an_exit_that_is_refused_takes_nothing_back(
    futures: Bench, action: str, price: str, more: dict[str, str]
) -> None:
    """It came half a day late: what it would close was opened after it."""
    futures.send("buy", "flat", "0.01")
    order = resting(futures, action, "long", "0.005", price)
    earlier = timezone.now() - timedelta(hours=13)
    Order.unscoped.filter(pk=order.pk).update(created_at=earlier - timedelta(minutes=1))
    alert = futures.post("sell", "long", "0.02" if more else "0.01", **more)
    Alert.unscoped.filter(pk=alert.pk).update(received_at=earlier)

    execute_due()
    futures.wait(2)

    alert.refresh_from_db()
    assert futures.status(alert) == (AlertStatus.EXPIRED, "EXIT_TOO_OLD")
    assert (state_of(order), futures.held(), told(alert)) == (S.ACCEPTED, 10, [])


def all_in_a_resting_exit(spot: Bench, *, bought: str = "0.01") -> Order:
    """Buy, and offer 0.01 of it above the market."""
    spot.send("buy", "flat", bought)
    return resting(spot, "sell", "long", "0.01", "66000")


@pytest.mark.parametrize(
    ("exit_of", "more", "left"),
    [
        ("0.01", {}, "0"),
        ("100", {"quantity_type": "percent_position"}, "0"),
        ("0.004", {"market_position": "long", "market_position_size": "0.006"}, "0.006"),
        ("0.01", {"order_type": "limit", "limit_price": "59000"}, "0"),
    ],
)
@pytest.mark.parametrize("mismatch", ["close_only", "reject"])
def test_a_sale_on_spot_takes_the_exit_back_that_holds_every_coin(
    spot: Bench, exit_of: str, more: dict[str, str], left: str, mismatch: str
) -> None:
    Connector.unscoped.update(mismatch=mismatch)
    earlier = all_in_a_resting_exit(spot)

    alert = spot.send("sell", "long", exit_of, **more)
    spot.wait(3)

    assert spot.status(alert) == (AlertStatus.EXECUTED, "")
    assert (state_of(earlier), spot.held()) == (S.CANCELED, Decimal(left))
    assert told(alert) == [{"number": "1"}]


def test_half_of_what_a_resting_exit_holds_is_not_half_of_the_crumbs_beside_it(spot: Bench) -> None:
    earlier = all_in_a_resting_exit(spot, bought="0.01001")

    alert = spot.send("sell", "long", "50", quantity_type="percent_position")
    spot.wait(3)

    assert spot.status(alert) == (AlertStatus.EXECUTED, "")
    assert (state_of(earlier), spot.held()) == (S.CANCELED, Decimal("0.00501"))


def test_a_sale_on_spot_that_is_refused_for_what_it_says_takes_nothing_back(spot: Bench) -> None:
    earlier = all_in_a_resting_exit(spot)

    alert = spot.send("sell", "long", "30", quantity_type="percent_equity")
    spot.wait(2)

    assert spot.status(alert) == (AlertStatus.REJECTED, "EXIT_SIZE_AMBIGUOUS")
    assert (state_of(earlier), told(alert)) == (S.ACCEPTED, [])
