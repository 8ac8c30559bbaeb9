"""A cancellation is sent after a query, once, and believed only on proof."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.connectors.bitmart.futures import FuturesExchange
from apps.connectors.exchange import OrderReport, OrderStatus
from apps.trading import cancelling
from apps.trading.models import Fill, Order, OrderState
from tests.engine.conftest import Bench
from tests.engine.resting import planned, resting

S = OrderState
CANCEL = {"futures": "/contract/private/cancel-order", "spot": "/spot/v3/cancel_order"}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelling, "_LOOK_PAUSES_S", (0,))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the client was told to do, in order: queries of an order and cancellations."""
    calls: list[str] = []
    find, cancel = FuturesExchange.find_order, FuturesExchange.cancel

    def found(exchange: FuturesExchange, *args: Any, **kwargs: Any) -> Any:
        calls.append("query")
        return find(exchange, *args, **kwargs)

    def cancelled(exchange: FuturesExchange, *args: Any, **kwargs: Any) -> Any:
        calls.append("cancel")
        return cancel(exchange, *args, **kwargs)

    monkeypatch.setattr(FuturesExchange, "find_order", found)
    monkeypatch.setattr(FuturesExchange, "cancel", cancelled)
    return calls


def reach_partly(bench: Bench) -> None:
    """Let the price touch 59,920 with 4 contracts on offer there, and go back. No other test's order rests above."""
    bench.paper.control("POST", "prices", {"symbol": "BTCUSDT", "price": "59920", "depth": "4"})
    bench.paper.set_price("BTCUSDT", "60000")


def current(order: Order) -> Order:
    return Order.unscoped.get(pk=order.pk)


def settle(order: Order) -> None:
    """Let the time pass in which an open order may still be on its way out."""
    Order.unscoped.filter(pk=order.pk).update(cancel_sent_at=order.created_at - timedelta(minutes=1))


@pytest.mark.parametrize("market", ["futures", "spot"])
def test_resting_order_is_cancelled_on_request(request: pytest.FixtureRequest, market: str) -> None:
    bench: Bench = request.getfixturevalue(market)
    order = resting(bench, "buy", "flat", "0.01", "50000")
    assert order.state == S.ACCEPTED

    assert cancelling.request(order, by="user 1")
    bench.wait()

    order = current(order)
    assert (order.state, order.reason_code) == (S.CANCELED, "CANCELED_ON_REQUEST")
    assert order.reason.startswith("Cancelled as asked; 0 of ")
    assert bench.path(order) == [S.PLANNED, S.SUBMITTING, S.ACCEPTED, S.CANCELLING, S.CANCELED]
    assert [row["state"] for row in bench.paper.orders(bench.account.access_key)] == ["canceled"]


def test_query_comes_before_the_cancellation_and_after_it(futures: Bench, asked: list[str]) -> None:
    order = resting(futures, "buy", "flat", "0.01", "50000")
    cancelling.request(order, by="user 1")
    asked.clear()

    futures.wait()

    assert asked == ["query", "cancel", "query"]


def test_without_an_answer_to_the_query_nothing_is_cancelled(futures: Bench, asked: list[str]) -> None:
    order = resting(futures, "buy", "flat", "0.01", "50000")
    cancelling.request(order, by="user 1")
    asked.clear()
    futures.fault("drop_request", "/contract/private/order", times=9)
    futures.fault("drop_request", "/contract/private/get-open-orders", times=9)

    futures.wait()

    assert (current(order).state, asked) == (S.ACCEPTED, ["query"])


def test_lost_answer_of_a_cancellation_is_looked_up_and_not_sent_again(futures: Bench, asked: list[str]) -> None:
    order = resting(futures, "buy", "flat", "0.01", "50000")
    cancelling.request(order, by="user 1")
    asked.clear()
    futures.fault("drop_answer", CANCEL["futures"])

    futures.wait(2)

    order = current(order)
    assert (order.state, order.cancel_attempt, asked.count("cancel")) == (S.CANCELED, 1, 1)


def test_cancellation_that_never_arrived_is_sent_again_only_once_the_order_is_seen_open(
    futures: Bench, asked: list[str]
) -> None:
    order = resting(futures, "buy", "flat", "0.01", "50000")
    cancelling.request(order, by="user 1")
    asked.clear()
    futures.fault("drop_request", CANCEL["futures"])

    futures.wait(3)
    assert (current(order).state, asked.count("cancel")) == (S.CANCELLING, 1)
    settle(order)
    futures.wait(2)

    order = current(order)
    assert (order.state, order.cancel_attempt, asked.count("cancel")) == (S.CANCELED, 2, 2)
    assert futures.path(order)[2:] == [S.ACCEPTED, S.CANCELLING, S.ACCEPTED, S.CANCELLING, S.CANCELED]


def test_fill_during_the_cancellation_is_recorded(futures: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    order = resting(futures, "buy", "flat", "0.01", "59000")
    cancel = FuturesExchange.cancel

    def too_late(exchange: FuturesExchange, *args: Any, **kwargs: Any) -> bool:
        futures.paper.set_price("BTCUSDT", "58000")
        return cancel(exchange, *args, **kwargs)

    monkeypatch.setattr(FuturesExchange, "cancel", too_late)
    cancelling.request(order, by="user 1")

    futures.wait(2)

    order = current(order)
    assert (order.state, order.filled_quantity, futures.held()) == (S.FILLED, Decimal(10), 10)
    assert futures.path(order)[-2:] == [S.CANCELLING, S.FILLED]
    assert (order.reason_code, Fill.unscoped.filter(order=order).count()) == ("", 1)


def test_fill_that_is_told_after_the_cancellation_is_recorded(futures: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    order = resting(futures, "buy", "flat", "0.01", "59000")
    find = FuturesExchange.find_order
    hidden = True

    def found(exchange: FuturesExchange, *args: Any, **kwargs: Any) -> OrderReport | None:
        report = find(exchange, *args, **kwargs)
        if report is None or not hidden:
            return report
        status = OrderStatus.CANCELED if report.status is OrderStatus.FILLED else report.status
        return replace(report, status=status, filled_quantity=Decimal(0))

    monkeypatch.setattr(FuturesExchange, "find_order", found)
    futures.paper.set_price("BTCUSDT", "58000")
    futures.wait()
    assert (current(order).state, current(order).filled_quantity) == (S.CANCELED, 0)
    assert current(order).next_at is not None

    hidden = False
    futures.wait(2)

    order = current(order)
    assert (order.state, order.filled_quantity, futures.held(), order.next_at) == (S.FILLED, Decimal(10), 10, None)
    assert futures.path(order)[-2:] == [S.CANCELED, S.FILLED]


def test_cancelled_order_is_looked_at_once_more_and_then_left(futures: Bench, asked: list[str]) -> None:
    order = resting(futures, "buy", "flat", "0.01", "50000")
    cancelling.request(order, by="user 1")
    futures.wait()
    asked.clear()

    futures.wait(3)

    assert (asked, current(order).next_at) == (["query"], None)


def test_partly_filled_order_keeps_its_fills(futures: Bench) -> None:
    order = resting(futures, "buy", "flat", "0.01", "59920")
    reach_partly(futures)
    cancelling.request(order, by="user 1")

    futures.wait()

    order = current(order)
    assert (order.state, order.filled_quantity, futures.held()) == (S.CANCELED, Decimal(4), 4)
    assert order.reason == "Cancelled as asked; 4 of 10 were filled before."
    assert futures.path(order)[2:] == [S.ACCEPTED, S.PARTIAL, S.CANCELLING, S.CANCELED]


def test_unsent_order_is_dropped_and_nothing_is_sent(futures: Bench) -> None:
    order = planned(futures, "buy", "flat", "0.01", "50000")

    cancelling.request(order, by="user 1")
    futures.wait()

    order = current(order)
    assert (order.state, order.reason_code) == (S.DENIED, "TAKEN_BACK")
    assert futures.book() == []


def test_order_in_doubt_is_cancelled_once_it_is_found(futures: Bench, asked: list[str]) -> None:
    order = planned(futures, "buy", "flat", "0.01", "50000")
    futures.fault("drop_answer")
    futures.wait()
    order = current(order)
    assert order.state == S.UNKNOWN

    cancelling.request(order, by="user 1")
    futures.wait(2)

    assert current(order).state == S.CANCELED
    assert futures.path(order) == [
        *(S.PLANNED, S.SUBMITTING, S.UNKNOWN, S.ACCEPTED, S.CANCELLING, S.CANCELED),
    ]


def test_second_request_and_one_for_an_ended_order_change_nothing(futures: Bench) -> None:
    order = resting(futures, "buy", "flat", "0.01", "50000")
    assert cancelling.request(order, by="user 1")
    assert not cancelling.request(order, by="user 2")
    futures.wait()

    version = current(order).version
    assert not cancelling.request(current(order), by="user 2")
    assert current(order).version == version


def test_request_that_lost_a_race_reads_again(futures: Bench) -> None:
    order = resting(futures, "buy", "flat", "0.01", "50000")
    stale = current(order)
    cancelling.request(order, by="user 1")

    assert not cancelling.request(stale, by="user 2")
