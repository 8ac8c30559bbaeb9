"""An order that is not to be seen for a while."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.alerts.models import AlertStatus
from apps.connectors.bitmart.futures import FuturesExchange
from apps.connectors.exchange import FillReport, OrderReport, PositionReport
from apps.connectors.streams import OrderPushed
from apps.trading.following import look
from apps.trading.models import Order, OrderState
from apps.trading.pushes import Push, mark_due
from tests.engine.conftest import Bench

S = OrderState


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The exchange shows no order, and no fills, for as many questions as stand in the list."""
    left = [0]
    find, fills = FuturesExchange.find_order, FuturesExchange.fills

    def found(exchange: FuturesExchange, *args: Any, **kwargs: Any) -> OrderReport | None:
        if left[0]:
            left[0] -= 1
            return None
        return find(exchange, *args, **kwargs)

    def told(exchange: FuturesExchange, *args: Any, **kwargs: Any) -> Sequence[FillReport]:
        return [] if left[0] else fills(exchange, *args, **kwargs)

    monkeypatch.setattr(FuturesExchange, "find_order", found)
    monkeypatch.setattr(FuturesExchange, "fills", told)
    return left


def test_order_not_shown_for_a_while_is_found_in_the_end(futures: Bench, blind: list[int]) -> None:
    blind[0] = 4
    futures.fault("drop_answer")
    futures.send("buy", "flat", "0.01")

    futures.wait(4)
    assert futures.order().state == S.UNKNOWN
    futures.wait()

    order = futures.order()
    assert (order.state, order.filled_quantity, order.attempt) == (S.FILLED, Decimal(10), 1)
    assert futures.book() == [(order.client_order_id, "10")]


def test_order_shown_only_after_the_fence_is_not_taken_for_absent(futures: Bench, blind: list[int]) -> None:
    blind[0] = 5
    futures.fault("drop_answer")
    futures.send("buy", "flat", "0.01")
    futures.pass_fence()

    # The position changed: not shown is no proof then.
    futures.wait(5)
    assert futures.order().state == S.UNKNOWN
    futures.wait()

    order = futures.order()
    assert (order.state, order.attempt) == (S.FILLED, 1)
    assert futures.book() == [(order.client_order_id, "10")]


def test_accepted_order_not_shown_at_once_stays_accepted(
    futures: Bench, blind: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.trading.executor.FOLLOW_PAUSES_S", (0, 0))
    blind[0] = 3
    futures.send("buy", "flat", "0.01")
    assert futures.order().state == S.ACCEPTED

    futures.wait(2)

    order = futures.order()
    assert (order.state, order.attempt, order.filled_quantity) == (S.FILLED, 1, Decimal(10))
    assert futures.book() == [(order.client_order_id, "10")]


def test_order_that_a_stream_tells_of_while_it_is_looked_for_is_not_taken_for_absent(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    futures.fault("drop_request")
    futures.send("buy", "flat", "0.01")
    futures.pass_fence()
    futures.wait()
    order = futures.order()
    assert (order.state, order.not_found_count) == (S.UNKNOWN, 1)
    told = OrderPushed(order.symbol, "", order.client_order_id, Decimal(0), is_final=False)
    positions = FuturesExchange.positions

    def positions_and_push(exchange: FuturesExchange, *args: Any) -> Sequence[PositionReport]:
        mark_due([Push(frozenset({order.connector_id}), told)])
        return positions(exchange, *args)

    with monkeypatch.context() as patched:
        patched.setattr(FuturesExchange, "positions", positions_and_push)
        futures.wait()

    assert_absences_are_counted_anew(futures)


def assert_absences_are_counted_anew(bench: Bench) -> None:
    order = bench.order()
    assert (order.state, order.not_found_count) == (S.UNKNOWN, 0)
    assert order.next_at is not None
    assert order.next_at <= timezone.now()
    bench.wait()
    assert (bench.order().state, bench.order().not_found_count) == (S.UNKNOWN, 1)


@pytest.mark.parametrize("state", [S.UNKNOWN, S.SUBMITTING])
def test_absence_read_before_a_stream_told_of_the_order_is_not_the_first_one_after(
    futures: Bench, monkeypatch: pytest.MonkeyPatch, state: OrderState
) -> None:
    futures.fault("drop_request")
    futures.send("buy", "flat", "0.01")
    futures.pass_fence()
    Order.unscoped.update(state=state)
    order = futures.order()
    told = OrderPushed(order.symbol, "", order.client_order_id, Decimal(0), is_final=False)
    find = FuturesExchange.find_order

    def find_and_push(exchange: FuturesExchange, *args: Any, **named: Any) -> OrderReport | None:
        found = find(exchange, *args, **named)
        mark_due([Push(frozenset({order.connector_id}), told)])
        return found

    with monkeypatch.context() as patched:
        patched.setattr(FuturesExchange, "find_order", find_and_push)
        futures.wait()

    assert_absences_are_counted_anew(futures)
    futures.wait()
    assert futures.order().state == S.NOT_PLACED


def test_order_proved_absent_that_turns_up_after_all_is_recorded(
    futures: Bench, blind: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    futures.fault("drop_answer")
    futures.send("buy", "flat", "0.01")
    order = futures.order()
    order.state, order.next_at, order.finished_at = S.NOT_PLACED, None, timezone.now()
    order.save()

    look(order)

    assert (futures.order().state, futures.held()) == (S.FILLED, 10)
    assert "alive at the exchange after not_placed" in caplog.text


def test_nothing_new_is_sent_while_an_order_is_in_doubt_and_the_next_entry_expires(futures: Bench) -> None:
    futures.fault("drop_answer")
    futures.send("buy", "flat", "0.01")
    second = futures.send("buy", "long", "0.005")
    assert (second.status, second.order_id) == (AlertStatus.QUEUED, None)
    assert len(futures.book()) == 1

    # Nobody hears from the exchange, and time passes.
    futures.fault("status", "/contract/private/get-open-orders", status=502, accepted=False, times=1000)
    futures.fault("status", "/contract/private/order-history", status=502, accepted=False, times=1000)
    futures.fault("status", "/contract/private/trades", status=502, accepted=False, times=1000)
    second.received_at = timezone.now() - timedelta(seconds=121)
    second.save()
    futures.wait()

    assert futures.status(second) == (AlertStatus.EXPIRED, "ENTRY_EXPIRED")
    assert len(futures.book()) == 1
    assert futures.order().state == S.UNKNOWN


def test_exit_waits_behind_an_order_in_doubt_and_then_runs(futures: Bench) -> None:
    futures.fault("drop_answer")
    futures.send("buy", "flat", "0.01")
    leaving = futures.send("sell", "long", "0.01")
    assert leaving.status == AlertStatus.QUEUED

    futures.wait(2)

    assert futures.status(leaving) == (AlertStatus.EXECUTED, "")
    assert [order.state for order in futures.orders()] == [S.FILLED, S.FILLED]
    assert futures.held() == 0
    assert [size for _, size in futures.book()] == ["10", "10"]


@pytest.mark.parametrize(("looked_at_in", "waits"), [(0.5, 1), (4, 4), (60, 5)])
def test_alert_behind_an_order_in_doubt_is_looked_at_with_its_next_look(
    futures: Bench, looked_at_in: float, waits: float
) -> None:
    futures.fault("drop_request")
    futures.send("buy", "flat", "0.01")
    Order.unscoped.update(next_at=timezone.now() + timedelta(seconds=looked_at_in))
    before = timezone.now()

    alert = futures.send("sell", "long", "0.01")

    assert alert.status == AlertStatus.QUEUED
    assert timedelta(seconds=waits - 0.4) < alert.next_at - before < timedelta(seconds=waits + 0.4)


def test_alert_behind_an_open_order_is_looked_at_each_second(
    futures: Bench, blind: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.trading.executor.FOLLOW_PAUSES_S", (0,))
    blind[0] = 3
    futures.send("buy", "flat", "0.01")
    Order.unscoped.update(next_at=timezone.now() + timedelta(seconds=60))
    before = timezone.now()

    alert = futures.send("sell", "long", "0.01")

    assert (alert.status, futures.order().state) == (AlertStatus.QUEUED, S.ACCEPTED)
    assert timedelta(seconds=0.6) < alert.next_at - before < timedelta(seconds=1.4)


def test_next_alert_waits_for_an_exit_that_is_to_be_sent_anew(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    futures.fault("drop_request")
    futures.send("sell", "long", "0.01")
    order = futures.orders()[1]
    order.state, order.finished_at = S.NOT_PLACED, timezone.now()
    order.next_at = timezone.now() + timedelta(minutes=1)
    order.save()

    entry = futures.send("buy", "flat", "0.005")
    assert (entry.status, len(futures.book())) == (AlertStatus.QUEUED, 1)
    futures.wait(2)

    assert futures.status(entry) == (AlertStatus.EXECUTED, "")
    assert [size for _, size in futures.book()] == ["10", "10", "5"]
    assert futures.held() == 5
