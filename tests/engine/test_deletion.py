"""A connector that is deleted while an alert of it is on its way: it opens nothing more, and loses no exit unsaid."""

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection, transaction

from apps.alerts.execution import execute_due
from apps.alerts.models import Alert
from apps.connectors import lifecycle
from apps.connectors.models import Connector
from apps.lib import world
from apps.trading.executor import step
from apps.trading.models import Order, OrderState
from tests.engine.conftest import Bench, bench
from tests.shared_paper import SharedPaper

S = OrderState


@pytest.fixture
def futures(committed: None, paper: SharedPaper) -> Bench:
    return bench(paper, "futures")


def run_while_deleted(futures: Bench, action: str, prev: str) -> Alert:
    """Have a worker decide an alert while a deletion holds the connector's row, until the worker waits for it."""
    alert = futures.post(action, prev, "0.01")

    def work() -> None:
        try:
            execute_due()
        finally:
            connection.close()

    worker = threading.Thread(target=work)
    with transaction.atomic():
        assert lifecycle.delete(Connector.unscoped.get(), leaves_open=True)
        worker.start()
        until = time.monotonic() + 10
        while not waiting_for_rows():
            assert time.monotonic() < until, "nobody waits for the connector's row"
            time.sleep(0.02)
    worker.join(30)
    alert.refresh_from_db()
    return alert


def waiting_for_rows() -> int:
    with connection.cursor() as cursor:
        # Unlike what is told of sessions this is of now, also within a transaction.
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        waiting: int = cursor.fetchone()[0]
    return waiting


def test_entry_whose_row_waits_for_a_deletion_is_not_sent(futures: Bench) -> None:
    first = futures.send("buy", "flat", "0.01").order

    alert = run_while_deleted(futures, "buy", "long")

    order = Order.unscoped.exclude(pk=first.pk).get()
    assert (order.state, order.reason_code, order.attempt) == (S.DENIED, "CONNECTOR_DELETED", 0)
    assert order.reason.startswith(f"Not sent: connector '{futures.connector.label}' was deleted")
    assert futures.path(order) == [S.PLANNED, S.DENIED]
    assert (futures.book(), alert.order_id) == ([(first.client_order_id, "10")], order.pk)


def test_exit_whose_row_waits_for_a_deletion_still_closes(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")

    run_while_deleted(futures, "sell", "long")

    exit_ = Order.unscoped.get(intent="exit")
    assert (exit_.state, futures.held()) == (S.FILLED, 0)
    assert (exit_.client_order_id, "10") in futures.book()


@pytest.mark.parametrize(
    ("action", "prev", "code"), [("buy", "flat", "CONNECTOR_DELETED"), ("sell", "long", "KEY_UNREADABLE")]
)
def test_alert_that_runs_after_the_deletion_says_so(futures: Bench, action: str, prev: str, code: str) -> None:
    futures.send("buy", "flat", "0.01")
    alert = futures.post(action, prev, "0.01")
    lifecycle.delete(Connector.unscoped.get(), leaves_open=True)

    execute_due()

    assert futures.status(alert) == ("rejected", code)
    assert len(futures.book()) == 1


def test_entry_that_waits_to_be_sent_again_is_not_after_the_deletion(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by a process that holds the key open still."""
    futures.fault("too_many")
    futures.send("buy", "flat", "0.01")
    order = Order.unscoped.select_related("connector", "instrument").get()
    lifecycle.delete(Connector.unscoped.get(), leaves_open=True)
    now = world.now
    monkeypatch.setattr(world, "now", lambda: now() + timedelta(seconds=30))

    step(order)

    assert (order.state, order.reason_code, futures.book()) == (S.DENIED, "CONNECTOR_DELETED", [])
