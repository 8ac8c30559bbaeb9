"""A limit order rests at the exchange as long as it likes, and holds up nothing while it does."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.alerts.execution import execute_due
from apps.alerts.models import Alert, AlertStatus
from apps.connectors import instruments
from apps.connectors.bitmart.futures import FuturesExchange
from apps.connectors.bitmart.spot import SpotExchange
from apps.connectors.exchange import Side
from apps.connectors.models import Connector
from apps.trading import cancelling, protection
from apps.trading.executor import drive
from apps.trading.limits import passive_price
from apps.trading.models import Order, OrderState
from apps.trading.placing import Rows, open_notional
from tests.engine.conftest import Bench, forget_limits
from tests.engine.resting import planned, resting

S = OrderState


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelling, "_LOOK_PAUSES_S", (0,))


def current(order: Order) -> Order:
    return Order.unscoped.get(pk=order.pk)


@pytest.mark.parametrize(
    ("price", "side", "rounded"),
    [
        ("50000.07", Side.BUY, "50000"),
        ("50000.07", Side.SELL, "50000.1"),
        ("50000.1", Side.BUY, "50000.1"),
        ("50000.1", Side.SELL, "50000.1"),
    ],
)
def test_price_is_rounded_to_the_passive_side(price: str, side: Side, rounded: str) -> None:
    assert passive_price(Decimal(price), side, tick=Decimal("0.1")) == Decimal(rounded)


@pytest.mark.parametrize(("market", "quantity", "size"), [("futures", 10, "10"), ("spot", "0.01", "0.01")])
def test_limit_entry_is_sent_with_its_price_and_rests(
    request: pytest.FixtureRequest, market: str, quantity: str, size: str
) -> None:
    bench: Bench = request.getfixturevalue(market)

    order = resting(bench, "buy", "flat", "0.01", "50000.07")

    tick = instruments.in_words(order.instrument).price_tick
    price = passive_price(Decimal("50000.07"), Side.BUY, tick=tick)
    assert (order.state, order.order_type, order.price) == (S.ACCEPTED, "limit", price)
    assert (order.quantity, order.notional) == (Decimal(quantity), None)
    [row] = bench.paper.orders(bench.account.access_key)
    assert (row["type"], Decimal(row["price"]), Decimal(row["size"])) == ("limit", price, Decimal(size))


@pytest.mark.parametrize("market", ["futures", "spot"])
def test_resting_order_is_filled_when_the_price_comes(request: pytest.FixtureRequest, market: str) -> None:
    bench: Bench = request.getfixturevalue(market)
    order = resting(bench, "buy", "flat", "0.01", "59000")

    bench.paper.set_price(order.symbol, "58500")
    bench.wait()

    order = current(order)
    assert (order.state, order.filled_quantity, order.avg_fill_price) == (S.FILLED, order.quantity, Decimal(59000))
    assert bench.held() == order.quantity


def test_resting_order_is_looked_at_every_ten_seconds(futures: Bench) -> None:
    order = resting(futures, "buy", "flat", "0.01", "50000")
    futures.wait(5)

    order = current(order)
    assert order.next_at is not None
    assert 9 < (order.next_at - timezone.now()).total_seconds() <= 10


def test_resting_order_holds_up_no_other_alert(futures: Bench) -> None:
    resting(futures, "buy", "flat", "0.01", "50000")

    alert = futures.send("buy", "flat", "0.015")

    assert futures.status(alert) == (AlertStatus.EXECUTED, "")
    assert futures.held() == 15


def test_limit_order_in_doubt_holds_up_the_symbol(futures: Bench) -> None:
    order = planned(futures, "buy", "flat", "0.01", "50000")
    futures.fault("drop_request")
    drive(order)
    assert current(order).state == S.UNKNOWN

    alert = futures.send("buy", "flat", "0.02")

    assert (futures.status(alert)[0], len(futures.book())) == (AlertStatus.QUEUED, 0)


def test_resting_entry_counts_as_open(futures: Bench) -> None:
    order = resting(futures, "buy", "flat", "0.01", "50000")
    assert open_notional(futures.connector) == Decimal(500)

    Order.unscoped.filter(pk=order.pk).update(filled_quantity=4, state=S.PARTIAL)
    assert open_notional(futures.connector) == Decimal(300)

    Order.unscoped.filter(pk=order.pk).update(state=S.CANCELLING)
    assert open_notional(futures.connector) == Decimal(300)


def test_limit_exit_rests_and_reduces(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    order = resting(futures, "sell", "long", "0.004", "61000.03")
    assert (order.state, order.reduce_only, order.price) == (S.ACCEPTED, True, Decimal("61000.1"))

    futures.paper.set_price("BTCUSDT", "61500")
    futures.wait()

    assert (current(order).state, futures.held()) == (S.FILLED, 6)


def test_market_exit_takes_a_resting_exit_back_first(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    resting_exit = resting(futures, "sell", "long", "0.01", "61000")

    alert = futures.send("sell", "long", "0.01")
    futures.wait(2)

    assert current(resting_exit).state == S.CANCELED
    assert futures.status(alert) == (AlertStatus.EXECUTED, "")
    assert futures.held() == 0


def test_order_whose_cancellation_is_not_told_is_asked_for_at_its_own_pace(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    futures.send("buy", "flat", "0.01")
    stuck = resting(futures, "sell", "long", "0.01", "61000")
    queries: list[str] = []
    find = FuturesExchange.find_order

    def found(exchange: FuturesExchange, *more: Any, **named: Any) -> Any:
        queries.append("query")
        return find(exchange, *more, **named)

    monkeypatch.setattr(FuturesExchange, "cancel", lambda *_, **__: True)
    monkeypatch.setattr(FuturesExchange, "find_order", found)
    alert = futures.send("sell", "long", "0.01")
    assert alert.reason_code == "CANCELLING_OPEN_ORDERS"
    assert current(stuck).next_at > timezone.now()
    asked = len(queries)

    for _ in range(3):
        Alert.unscoped.filter(pk=alert.pk).update(next_at=timezone.now())
        Order.unscoped.filter(pk=stuck.pk).update(next_at=timezone.now() + timedelta(seconds=5))
        execute_due()

    assert len(queries) == asked
    assert futures.status(alert)[1] == "CANCELLING_OPEN_ORDERS"


def never_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exchange that answers every question and takes nothing back."""
    monkeypatch.setattr(FuturesExchange, "cancel", lambda *_, **__: True)
    monkeypatch.setattr(SpotExchange, "cancel", lambda *_, **__: True)


def run_again(alert: Alert, *, asked_ago: int) -> None:
    asked_at = timezone.now() - timedelta(seconds=asked_ago)
    Order.unscoped.exclude(cancel_requested_at=None).update(cancel_requested_at=asked_at)
    Alert.unscoped.filter(pk=alert.pk).update(next_at=timezone.now())
    forget_limits()
    execute_due()
    alert.refresh_from_db()


def leave(bench: Bench, way: str) -> Alert:
    if way == "close all":
        return bench.send("", "", "", closeall="true")
    return bench.send("sell", "long", "0.02" if way == "reversal" else "0.01")


@pytest.mark.parametrize("way", ["sell", "close all", "reversal"])
def test_exit_goes_reduce_only_beside_an_order_whose_cancellation_is_not_told(
    futures: Bench, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    futures.send("buy", "flat", "0.01")
    side = "buy" if way == "reversal" else "sell"
    stuck = resting(futures, side, "long", "0.01", "50000" if side == "buy" else "61000")
    find = FuturesExchange.find_order
    before = protection.open_connector(futures.connector).find_order(
        "BTCUSDT", client_order_id=stuck.client_order_id, exchange_order_id=stuck.exchange_order_id
    )

    def late(exchange: FuturesExchange, symbol: str, **named: str) -> Any:
        is_stuck = named["client_order_id"] == stuck.client_order_id
        return before if is_stuck else find(exchange, symbol, **named)

    # It is taken back, and the exchange goes on telling of it as open.
    monkeypatch.setattr(FuturesExchange, "find_order", late)
    alert = leave(futures, way)
    run_again(alert, asked_ago=55)
    assert futures.status(alert)[1] == "CANCELLING_OPEN_ORDERS"
    assert len(futures.book()) == 2

    run_again(alert, asked_ago=61)

    assert futures.status(alert) == (AlertStatus.EXECUTED, "")
    assert "CANCELLATION_NOT_TOLD" in [note["code"] for note in alert.notes]
    assert alert.order is not None
    assert (alert.order.leg, alert.order.reduce_only, alert.order.state) == ("c", True, S.FILLED)
    futures.wait()
    assert (futures.held(), [size for _, size in futures.book()]) == (0, ["10", "10", "10"])
    assert current(stuck).state in {S.ACCEPTED, S.CANCELLING}


def test_exit_refused_beside_an_order_that_holds_its_position_is_tried_until_that_is_gone(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    futures.send("buy", "flat", "0.01")
    stuck = resting(futures, "sell", "long", "0.01", "61000")
    with monkeypatch.context() as stubborn:
        never_cancelled(stubborn)
        alert = leave(futures, "sell")
        run_again(alert, asked_ago=61)
        assert alert.order is not None
        assert (alert.order.state, alert.order.attempt) == (S.PLANNED, 1)
        futures.wait()
        assert current(alert.order).state == S.PLANNED
        assert (futures.held(), len(futures.book())) == (10, 2)

    Order.unscoped.exclude(cancel_sent_at=None).update(cancel_sent_at=timezone.now() - timedelta(seconds=6))
    futures.wait(4)

    assert (current(stuck).state, current(alert.order).state) == (S.CANCELED, S.FILLED)
    assert (futures.held(), [size for _, size in futures.book()]) == (0, ["10", "10", "10"])


def test_sale_on_spot_waits_beside_an_order_that_may_still_sell(spot: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    spot.paper.control("POST", f"accounts/{spot.account.access_key}", {"balances": {"spot": {"BTC": "3"}}})
    spot.send("buy", "flat", "0.01")
    resting(spot, "sell", "long", "0.01", "61000")
    never_cancelled(monkeypatch)

    alert = spot.send("sell", "long", "0.01")
    run_again(alert, asked_ago=600)

    assert spot.status(alert)[1] == "CANCELLING_OPEN_ORDERS"
    assert len(spot.book()) == 2


def test_entry_waits_for_the_cancellation_until_it_is_too_old(futures: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    resting(futures, "buy", "flat", "0.01", "50000")
    never_cancelled(monkeypatch)

    alert = futures.send("buy", "flat", "0.01", cancel=True)
    assert futures.status(alert)[1] == "CANCELLING_OPEN_ORDERS"
    run_again(alert, asked_ago=90)
    assert futures.status(alert)[1] == "CANCELLING_OPEN_ORDERS"
    Alert.unscoped.filter(pk=alert.pk).update(received_at=timezone.now() - timedelta(seconds=121))
    run_again(alert, asked_ago=121)

    assert futures.status(alert) == (AlertStatus.EXPIRED, "ENTRY_EXPIRED")
    assert len(futures.book()) == 1


def test_what_an_entry_takes_back_counts_no_more_for_it(futures: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    Connector.unscoped.filter(pk=futures.connector.pk).update(max_open_notional=1000)
    order = resting(futures, "buy", "flat", "0.01", "50000")
    monkeypatch.setattr(Rows, "HOLDS_S", 3600)

    alert = futures.send("buy", "flat", "0.01", cancel=True)

    assert (futures.status(alert), current(order).state) == ((AlertStatus.EXECUTED, ""), S.CANCELED)
    assert futures.held() == 10


def test_close_all_takes_every_open_order_back_first(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    add, out = resting(futures, "buy", "long", "0.01", "50000"), resting(futures, "sell", "long", "0.01", "61000")

    alert = futures.send("", "", "", closeall="true")
    futures.wait(2)

    assert [current(order).state for order in (add, out)] == [S.CANCELED, S.CANCELED]
    assert futures.status(alert) == (AlertStatus.EXECUTED, "")
    assert futures.held() == 0


def test_reversal_takes_open_orders_back_then_closes_then_opens(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    add = resting(futures, "buy", "long", "0.01", "50000")

    # Without the size before it this could be the exit of all, the add counted: see test_exit_of_more.
    alert = futures.send("sell", "long", "0.02", prev_market_position_size="0.01")
    futures.wait(2)

    assert current(add).state == S.CANCELED
    assert futures.status(alert) == (AlertStatus.EXECUTED, "")
    assert futures.held() == -10
    assert [size for _, size in futures.book()] == ["10", "10", "10", "10"]


def test_entry_leaves_other_entries_alone(futures: Bench) -> None:
    first = resting(futures, "buy", "flat", "0.01", "50000")

    futures.send("buy", "flat", "0.01")

    assert current(first).state == S.ACCEPTED


def test_fill_of_a_resting_order_does_not_keep_another_one_in_doubt(futures: Bench) -> None:
    other = resting(futures, "buy", "flat", "0.01", "59000")
    futures.fault("drop_request")
    lost = planned(futures, "buy", "flat", "0.02", "40000")
    drive(lost)
    futures.paper.set_price("BTCUSDT", "58500")
    futures.pass_fence()

    futures.wait(5)

    assert (current(other).state, current(lost).state) == (S.FILLED, S.NOT_PLACED)


def test_change_of_the_account_that_no_fill_of_ours_explains_keeps_the_doubt(futures: Bench) -> None:
    other = resting(futures, "buy", "flat", "0.01", "59000")
    futures.fault("drop_request")
    lost = planned(futures, "buy", "flat", "0.02", "40000")
    drive(lost)
    futures.paper.set_price("BTCUSDT", "58500")
    futures.pass_fence()
    futures.wait()
    Order.unscoped.filter(pk=lost.pk).update(facts={**lost.facts, "account": {"held_long": "3", "held_short": "0"}})

    futures.wait(5)

    assert (current(other).state, current(lost).state) == (S.FILLED, S.UNKNOWN)
