"""Alerts that fail, overtake, run twice or belong to somebody else by now."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from apps.alerts import execution, reading
from apps.alerts.execution import execute, execute_due, run_key
from apps.alerts.models import Alert, AlertStatus
from apps.alerts.queue import look
from apps.connectors.bitmart.futures import FuturesExchange
from apps.connectors.models import Connector, Instrument, Pointer
from apps.trading import executor, leases
from apps.trading.inputs import Inputs
from apps.trading.models import Lease, Order, OrderState
from tests.engine.conftest import Bench, bench
from tests.shared_paper import SharedPaper

S = OrderState


def test_delivery_that_cannot_be_read_stops_no_other_and_is_put_aside(
    futures: Bench, monkeypatch: pytest.MonkeyPatch, failing: None
) -> None:
    take = reading._take
    poison = futures.post("buy", "flat", "0.007")
    good = futures.post("buy", "flat", "0.01")

    def fail(alert: Alert, item: Any, names: Any) -> None:
        if alert.pk == poison.pk:
            raise ValueError("no")
        take(alert, item, names)

    monkeypatch.setattr("apps.alerts.reading._take", fail)

    execute_due()
    assert futures.status(poison) == (AlertStatus.RECEIVED, "INTERNAL_ERROR")
    futures.wait(3)

    assert futures.status(poison) == (AlertStatus.FAILED, "INTERNAL_ERROR")
    assert (poison.next_at, poison.facts) == (None, {"failures": "3"})
    assert poison.reason == "Something went wrong on our side, 3 times. Nothing was sent. Please tell support."
    assert futures.status(good) == (AlertStatus.EXECUTED, "")
    assert [size for _, size in futures.book()] == ["10"]


def test_delivery_that_cannot_be_read_does_not_hold_up_another_connector(
    futures: Bench, paper: SharedPaper, monkeypatch: pytest.MonkeyPatch, failing: None
) -> None:
    other = bench(paper, "futures")
    take = reading._take
    poison = futures.post("buy", "flat", "0.007")
    good = other.post("buy", "flat", "0.01")

    def fail(alert: Alert, item: Any, names: Any) -> None:
        if alert.pk == poison.pk:
            raise ValueError("no")
        take(alert, item, names)

    monkeypatch.setattr("apps.alerts.reading._take", fail)

    execute_due()

    assert other.status(good) == (AlertStatus.EXECUTED, "")


def test_alert_that_raises_blocks_its_symbol_for_three_tries_only(
    futures: Bench, monkeypatch: pytest.MonkeyPatch, failing: None
) -> None:
    prepare = execution.prepare
    poison = futures.post("buy", "flat", "0.007")
    good = futures.post("buy", "flat", "0.01")
    tries = []

    def fail(inputs: Inputs, **rest: Any) -> Any:
        if inputs.origin.id == poison.pk:
            tries.append(1)
            raise KeyError("no")
        return prepare(inputs, **rest)

    monkeypatch.setattr("apps.alerts.execution.prepare", fail)

    execute_due()
    assert (len(tries), futures.status(good)[0]) == (1, AlertStatus.QUEUED)
    futures.wait(2)

    assert len(tries) == 3
    assert futures.status(poison) == (AlertStatus.FAILED, "INTERNAL_ERROR")
    assert futures.status(good) == (AlertStatus.EXECUTED, "")
    assert [size for _, size in futures.book()] == ["10"]


def test_database_that_is_away_is_not_held_against_the_alert(futures: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    alert = futures.post("buy", "flat", "0.01")
    reading.read_received()

    def away(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("away")

    with monkeypatch.context() as patch:
        patch.setattr("apps.alerts.execution.prepare", away)
        with pytest.raises(OperationalError):
            run_key((futures.connector.pk, "BTCUSDT"))
    assert futures.status(alert) == (AlertStatus.QUEUED, "")

    execute_due()
    assert futures.status(alert) == (AlertStatus.EXECUTED, "")


def test_alert_run_twice_places_one_order(futures: Bench) -> None:
    alert = futures.post("buy", "flat", "0.01")
    reading.read_received()
    first, again = Alert.unscoped.get(pk=alert.pk), Alert.unscoped.get(pk=alert.pk)

    execute(first)
    execute(again)
    execute(Alert.unscoped.get(pk=alert.pk))

    assert len(futures.orders()) == 1
    assert [size for _, size in futures.book()] == ["10"]
    assert futures.status(alert) == (AlertStatus.EXECUTED, "")
    assert alert.order_id == futures.order().pk


def test_worker_whose_lease_ran_out_while_it_read_the_account_plans_nothing_more(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second worker sees what the first one has already done and would trade on top of it."""
    futures.send("buy", "flat", "0.01")
    Connector.unscoped.update(mismatch="follow")
    alert = futures.post("sell", "long", "0.01")
    reading.read_received()
    slow, prepare = Alert.unscoped.get(pk=alert.pk), execution.prepare
    calls = []

    def taken_over_meanwhile(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            execute(Alert.unscoped.get(pk=alert.pk))
        return prepare(*args, **kwargs)

    monkeypatch.setattr("apps.alerts.execution.prepare", taken_over_meanwhile)

    execute(slow)

    assert len(calls) == 2
    assert [(order.leg, order.state) for order in futures.orders()] == [("o", S.FILLED), ("c", S.FILLED)]
    assert [size for _, size in futures.book()] == ["10", "10"]
    assert futures.held() == 0
    assert futures.status(alert) == (AlertStatus.EXECUTED, "")


def test_taken_over_lease_sends_nothing_again(futures: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first worker hangs with its order out; the second one takes the lease and may only ask."""
    alert = futures.post("buy", "flat", "0.01")
    submit, sent = FuturesExchange.submit, []

    def hang(self: FuturesExchange, *args: Any, **kwargs: Any) -> Any:
        sent.append(1)
        report = submit(self, *args, **kwargs)
        Lease.objects.update(until=timezone.now())
        futures.wait(2)
        return report

    monkeypatch.setattr(FuturesExchange, "submit", hang)

    execute_due()

    order = futures.order()
    assert len(sent) == 1
    assert (order.state, order.attempt, order.filled_quantity) == (S.FILLED, 1, Decimal(10))
    assert futures.path(order) == [S.PLANNED, S.SUBMITTING, S.UNKNOWN, S.FILLED]
    assert futures.book() == [(order.client_order_id, "10")]
    assert futures.status(alert) == (AlertStatus.EXECUTED, "")


def test_lost_lease_cannot_be_renewed(futures: Bench) -> None:
    mine = leases.take(futures.connector.pk, "BTCUSDT")
    assert mine is not None
    assert leases.take(futures.connector.pk, "BTCUSDT") is None
    Lease.objects.update(until=timezone.now())
    theirs = leases.take(futures.connector.pk, "BTCUSDT")
    assert theirs is not None

    with pytest.raises(leases.LeaseLostError):
        mine.renew()
    mine.release()

    assert leases.is_taken(futures.connector.pk, "BTCUSDT")


def test_alert_does_not_overtake_one_that_is_still_being_read(futures: Bench) -> None:
    first = futures.post("buy", "flat", "0.01")
    second = futures.post("sell", "long", "0.01")
    # Another process holds the first one.
    now = timezone.now()
    Alert.unscoped.filter(pk=first.pk).update(
        received_at=now - timedelta(seconds=5), next_at=now + timedelta(seconds=30)
    )

    execute_due()
    assert [futures.status(alert)[0] for alert in (first, second)] == [AlertStatus.RECEIVED, AlertStatus.QUEUED]
    assert look()[1] == []
    run_key((futures.connector.pk, "BTCUSDT"))
    assert futures.book() == []
    futures.wait()

    assert [futures.status(alert)[0] for alert in (first, second)] == [AlertStatus.EXECUTED, AlertStatus.EXECUTED]
    assert futures.held() == 0


def test_woken_worker_reads_what_came_and_runs_what_waited(futures: Bench, paper: SharedPaper) -> None:
    other = bench(paper, "futures")
    waited = other.post("buy", "flat", "0.01")
    reading.read_received()
    came = futures.post("buy", "flat", "0.01")

    assert execute_due(is_woken=True) == 1 + 1 + 1

    assert (futures.status(came), other.status(waited)) == ((AlertStatus.EXECUTED, ""), (AlertStatus.EXECUTED, ""))
    again = other.post("sell", "long", "0.01")
    reading.read_received()
    assert execute_due(is_woken=True) == 1
    assert (other.status(again), execute_due(is_woken=True)) == ((AlertStatus.EXECUTED, ""), 0)


def test_first_delivery_of_a_market_waits_for_its_listing(futures: Bench) -> None:
    Instrument.objects.all().delete()
    alert = futures.post("buy", "flat", "0.01")

    execute_due(is_woken=True)

    assert futures.status(alert) == (AlertStatus.EXECUTED, "")


def test_alert_that_waits_for_its_time_keeps_no_worker_busy(futures: Bench) -> None:
    first = futures.post("buy", "flat", "0.01")
    futures.post("sell", "long", "0.01")
    reading.read_received()
    Alert.unscoped.filter(pk=first.pk).update(next_at=timezone.now() + timedelta(seconds=30))

    assert look()[1] == []
    assert execute_due() == 0


def test_running_alert_whose_worker_died_ends_although_its_order_is_in_doubt(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    futures.fault("drop_request")
    alert = futures.send("buy", "flat", "0.01")
    Alert.unscoped.filter(pk=alert.pk).update(
        status=AlertStatus.EXECUTING, finished_at=None, next_at=timezone.now() - timedelta(seconds=1)
    )
    find, asked = FuturesExchange.find_order, []

    def count(self: FuturesExchange, *args: Any, **kwargs: Any) -> Any:
        asked.append(1)
        return find(self, *args, **kwargs)

    monkeypatch.setattr(FuturesExchange, "find_order", count)

    handled = execute_due()

    assert (handled, len(asked)) == (1, 0)
    assert futures.status(alert) == (AlertStatus.EXECUTED, "")
    assert futures.order().state == S.UNKNOWN


def test_account_that_cannot_be_read_is_no_flat_account(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    futures.fault("status", "/contract/private/position-v2", status=502, accepted=False, times=3)

    alert = futures.send("sell", "long", "0.01")
    assert (alert.status, alert.reason_code, alert.attempts) == (AlertStatus.QUEUED, "WAITING_FOR_EXCHANGE", 1)
    assert alert.next_at > timezone.now()
    assert len(futures.book()) == 1
    futures.wait()

    assert futures.status(alert)[0] == AlertStatus.EXECUTED
    assert futures.held() == 0


def test_orders_planned_by_a_worker_that_died_are_sent_once_by_the_sweeper(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    alert = futures.post("buy", "flat", "0.01")
    reading.read_received()
    with monkeypatch.context() as patch:
        patch.setattr("apps.alerts.execution._drive", lambda alert, orders: None)
        execute(Alert.unscoped.get(pk=alert.pk))
    assert (futures.order().state, futures.status(alert)[0]) == (S.PLANNED, AlertStatus.EXECUTING)

    futures.wait(2)

    assert futures.order().state == S.FILLED
    assert futures.book() == [(futures.order().client_order_id, "10")]
    assert futures.status(alert) == (AlertStatus.EXECUTED, "")


@pytest.mark.parametrize("at", ["apps.trading.executor._acknowledge", "apps.trading.recording.move"])
def test_database_that_goes_away_after_the_order_is_out_leaves_a_row_to_go_on_from(
    futures: Bench, monkeypatch: pytest.MonkeyPatch, failing: None, at: str
) -> None:
    def away(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("away")

    with monkeypatch.context() as patch:
        patch.setattr(at, away)
        patch.setattr(executor, "RECORD_WITHIN_S", 0.3)
        patch.setattr(executor, "RECORD_PAUSE_S", 0.1)
        patch.setattr(execution, "MOST_ROUNDS", 1)
        alert = futures.send("buy", "flat", "0.01")
    assert futures.status(alert)[0] == AlertStatus.EXECUTING
    assert len(futures.book()) == 1

    futures.wait(3)

    order = futures.order()
    assert (order.state, order.attempt, futures.held()) == (S.FILLED, 1, 10)
    assert futures.book() == [(order.client_order_id, "10")]
    assert futures.status(alert) == (AlertStatus.EXECUTED, "")


def test_message_of_any_size_is_decided(futures: Bench) -> None:
    for quantity in ("99999999999999999999", "0.000000000000000001", "999999999", "1e15"):
        alert = futures.send("buy", "flat", quantity)
        assert alert.status == AlertStatus.REJECTED, (quantity, alert.status, alert.reason_code, alert.reason)

    assert futures.book() == []


def test_connector_for_strict_json_runs_no_message_that_needs_repair(futures: Bench) -> None:
    """The very same bytes, before and after its owner turns that off."""
    damaged = f"""{{'ticker': 'BTCUSDT', 'action': 'buy', 'prev_position': 'flat', 'quantity': '0.01',
        'pointer': '{futures.pointer}'}}"""

    def deliver(*, strict: bool) -> Alert:
        Connector.unscoped.filter(pk=futures.connector.pk).update(strict_json=strict, suspected_duplicate="run")
        answer = Client().post("/webhook", data=damaged, content_type="text/plain")
        execute_due()
        return Alert.unscoped.get(pk=answer.json()["id"])

    refused = deliver(strict=True)
    assert (refused.status, refused.reason_code) == (AlertStatus.REJECTED, "STRICT_JSON")
    assert (futures.book(), Order.unscoped.count()) == ([], 0)

    assert deliver(strict=False).status == AlertStatus.EXECUTED
    assert [size for _, size in futures.book()] == ["10"]


def test_parts_of_one_delivery_survive_one_of_them(
    futures: Bench, monkeypatch: pytest.MonkeyPatch, failing: None
) -> None:

    base = {"ticker": "BTCUSDT", "pointer": futures.pointer}
    messages = [
        base | {"action": "buy", "prev_position": "flat", "quantity": "0.01"},
        base | {"action": "buy", "prev_position": "long", "quantity": "0.002"},
        base | {"action": "sell", "prev_position": "long", "quantity": "0.004"},
    ]
    prepare = execution.prepare

    def fail(inputs: Inputs, **rest: Any) -> Any:
        if inputs.signal.quantity == Decimal("0.002"):
            raise ValueError("no")
        return prepare(inputs, **rest)

    monkeypatch.setattr("apps.alerts.execution.prepare", fail)

    Client().post("/webhook", data=json.dumps(messages), content_type="application/json")
    execute_due()
    futures.wait(3)

    parts = Alert.unscoped.filter(parent__isnull=False).order_by("part")
    assert [part.status for part in parts] == ["executed", "failed", "executed"]
    assert [size for _, size in futures.book()] == ["10", "4"]
    assert Pointer.unscoped.count() == 1
    assert Order.unscoped.count() == 2
