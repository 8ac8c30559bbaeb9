"""Real workers and a real sweeper: killed, frozen, asked to stop, and without Redis."""

import json
import signal
import socket
import threading
from collections.abc import Iterator
from decimal import Decimal

import pytest
import requests
from celery import current_app
from django.db import connection

from apps.alerts.models import Alert, AlertStatus
from apps.lib import wakeups
from apps.trading.models import Fill, Order, OrderState
from tests.crash.processes import running, running_web, until
from tests.engine.conftest import Bench, bench
from tests.shared_paper import SharedPaper

pytestmark = pytest.mark.process

S = OrderState


def is_executed(alert: Alert) -> bool:
    return Alert.unscoped.filter(pk=alert.pk, status=AlertStatus.EXECUTED).exists()


def is_filled(futures: Bench) -> bool:
    return Order.unscoped.filter(connector=futures.connector, state=S.FILLED).exists()


def test_worker_killed_before_it_reads_the_answer(futures: Bench) -> None:
    futures.fault("delay", delay_ms=20_000)
    with running("worker") as worker:
        alert = futures.post("buy", "flat", "0.01")
        until(futures.book, "the exchange has the order")
        assert [order.state for order in futures.orders()] == [S.SUBMITTING]
        worker.kill()

    with running("sweeper"):
        until(lambda: is_filled(futures) and is_executed(alert), "the sweeper finishes order and alert")

    order = futures.order()
    assert (order.state, order.filled_quantity, order.attempt) == (S.FILLED, Decimal(10), 1)
    assert futures.path(order) == [S.PLANNED, S.SUBMITTING, S.UNKNOWN, S.FILLED]
    assert futures.book() == [(order.client_order_id, "10")]
    assert (futures.held(), Fill.unscoped.count()) == (10, 1)


def test_worker_frozen_while_it_sends_wakes_up_to_a_finished_order(futures: Bench) -> None:
    futures.fault("delay", delay_ms=1000)
    with running("worker") as worker, running("sweeper"):
        alert = futures.post("buy", "flat", "0.01")
        until(futures.book, "the exchange has the order")
        worker.send(signal.SIGSTOP)
        until(lambda: is_filled(futures), "the sweeper finds the order")

        worker.send(signal.SIGCONT)
        until(lambda: is_executed(alert), "the alert is finished")
        later = futures.post("sell", "long", "0.01")
        until(lambda: is_executed(later), "the worker or the sweeper runs the next alert")

    assert [(order.state, order.attempt) for order in futures.orders()] == [(S.FILLED, 1), (S.FILLED, 1)]
    assert futures.path(futures.orders()[0]) == [S.PLANNED, S.SUBMITTING, S.UNKNOWN, S.FILLED]
    assert [size for _, size in futures.book()] == ["10", "10"]
    assert (futures.held(), Fill.unscoped.count()) == (0, 2)


def test_worker_asked_to_stop_finishes_what_it_is_sending(futures: Bench, paper: SharedPaper) -> None:
    benches = [futures, bench(paper, "futures"), bench(paper, "futures")]
    futures.fault("delay", delay_ms=1000, times=3)
    with running("worker", SEND_LIMIT_S="20", LEASE_S="60") as worker:
        alerts = [one.post("buy", "flat", "0.01") for one in benches]
        until(lambda: Order.unscoped.filter(state=S.SUBMITTING).exists(), "an order is being sent")
        worker.send(signal.SIGTERM)
        assert worker.join() == 0

    sent = list(Order.unscoped.exclude(signed_at=None))
    assert [(order.state, order.filled_quantity) for order in sent] == [(S.FILLED, Decimal(10))] * len(sent)
    assert sum(len(one.book()) for one in benches) == len(sent)
    assert sent != []

    with running("sweeper"):
        until(lambda: all(is_executed(alert) for alert in alerts), "the sweeper runs what was left")
    assert [[size for _, size in one.book()] for one in benches] == [["10"]] * 3


def test_worker_goes_on_after_the_database_dropped_its_connections(futures: Bench) -> None:
    with running("worker"):
        first = futures.post("buy", "flat", "0.01")
        until(lambda: is_executed(first), "the worker runs the first alert")
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            assert cursor.fetchone()[0] > 0
        for number in range(1, 6):
            alert = futures.post("buy", "long", f"0.00{number}")
            until(lambda alert=alert: is_executed(alert), "the worker runs an alert after that")  # type: ignore[misc]

    assert [size for _, size in futures.book()] == ["10", "1", "2", "3", "4", "5"]
    assert futures.held() == 25


def test_worker_goes_on_after_a_wake_up_of_another_release(futures: Bench) -> None:
    later = "apps.alerts.tasks.of_a_later_release"
    with running("worker"):
        current_app.send_task(later)
        current_app.send_task("apps.alerts.tasks.execute_due", args=["what a later release says more"])

        alert = futures.post("buy", "flat", "0.01")
        wakeups.publish("apps.alerts.tasks.execute_due")
        until(lambda: is_executed(alert), "the worker runs the alert")

    assert (futures.held(), len(futures.book())) == (10, 1)


def test_sweeper_alone_runs_an_alert_that_woke_nobody(futures: Bench) -> None:
    alert = futures.post("buy", "flat", "0.01")

    with running("sweeper"):
        until(lambda: is_executed(alert), "the sweeper runs the alert")

    order = futures.order()
    assert (order.state, order.attempt, futures.held()) == (S.FILLED, 1, 10)
    assert futures.book() == [(order.client_order_id, "10")]


def test_alerts_are_taken_and_run_while_redis_hangs(futures: Bench, hung_redis: str) -> None:
    with running_web(REDIS_URL=hung_redis) as address, running("sweeper", REDIS_URL=hung_redis):
        answers = []
        for number in range(3):
            message = {"ticker": "BTCUSDT", "action": "buy", "prev_position": "flat", "quantity": f"0.00{number + 1}"}
            body = json.dumps(message | {"pointer": futures.pointer})
            # The sender hangs up after three seconds.
            answers.append(requests.post(f"{address}/webhook", data=body, timeout=3).status_code)
        assert answers == [200, 200, 200]
        alerts = list(Alert.unscoped.all())
        until(lambda: all(is_executed(alert) for alert in alerts), "the sweeper runs the alerts")

    assert [size for _, size in futures.book()] == ["1", "2", "3"]
    assert futures.held() == 6


@pytest.fixture
def hung_redis() -> Iterator[str]:
    """An address that takes every connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken: list[socket.socket] = []

        def take() -> None:
            while True:
                try:
                    taken.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        for one in taken:
            one.close()
