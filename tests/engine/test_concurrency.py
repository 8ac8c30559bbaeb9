"""Two workers, or a worker and the sweeper, at one row in the same moment."""

import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.db.models import Q

from apps.alerts import execution, reading
from apps.alerts.execution import execute, execute_due
from apps.alerts.models import Alert, AlertStatus
from apps.connectors.bitmart.futures import FuturesExchange
from apps.connectors.bitmart.transport import Transport
from apps.trading import leases, protection
from apps.trading.executor import drive, step
from apps.trading.following import look
from apps.trading.models import Fill, LedgerEntry, Order, OrderState, PlanRecord, Protection
from apps.trading.protection_rows import rows_with
from apps.trading.sweeper import sweep
from tests.engine.conftest import Bench, bench
from tests.shared_paper import SharedPaper

S = OrderState


@pytest.fixture
def futures(committed: None, paper: SharedPaper) -> Bench:
    return bench(paper, "futures")


def at_once(*works: Callable[[], object]) -> None:
    """Run each in a thread of its own, with its own database connection; none may raise."""
    gate = threading.Barrier(len(works))
    raised: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        try:
            gate.wait(10)
            work()
        except BaseException as error:  # noqa: BLE001 - told below
            raised.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert raised == []


def meet(monkeypatch: pytest.MonkeyPatch, name: str, parties: int) -> None:
    """Let the first `parties` calls of an exchange method start together."""
    original, gate = getattr(FuturesExchange, name), threading.Barrier(parties)
    left = [parties]

    def together(*args: Any, **kwargs: Any) -> Any:
        if left[0] > 0:
            left[0] -= 1
            gate.wait(10)
        return original(*args, **kwargs)

    monkeypatch.setattr(FuturesExchange, name, together)


def test_two_workers_at_one_alert_without_a_lease_place_one_order(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    alert = futures.post("buy", "flat", "0.01")
    reading.read_received()
    meet(monkeypatch, "positions", 2)

    at_once(*[lambda: execute(Alert.unscoped.get(pk=alert.pk))] * 2)
    futures.wait(2)

    assert [(order.state, order.attempt) for order in futures.orders()] == [(S.FILLED, 1)]
    assert futures.book() == [(futures.order().client_order_id, "10")]
    assert futures.held() == 10
    assert futures.status(alert) == (AlertStatus.EXECUTED, "")


def test_two_workers_at_one_planned_order_send_it_once(futures: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    futures.post("buy", "flat", "0.01")
    with monkeypatch.context() as patch:
        patch.setattr("apps.alerts.execution._drive", lambda alert, orders: None)
        execute_due()
    order = futures.order()
    assert order.state == S.PLANNED
    copies = [Order.unscoped.select_related("connector", "instrument").get(pk=order.pk) for _ in range(4)]

    at_once(*[lambda copy=copy: drive(copy) for copy in copies])  # type: ignore[misc]
    futures.wait(2)

    assert (futures.order().state, futures.order().attempt) == (S.FILLED, 1)
    assert futures.book() == [(order.client_order_id, "10")]


def test_two_processes_that_hear_of_the_same_fill_record_it_once(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    futures.fault("drop_answer")
    futures.send("buy", "flat", "0.01")
    order = futures.order()
    assert order.state == S.UNKNOWN
    copies = [Order.unscoped.select_related("connector", "instrument").get(pk=order.pk) for _ in range(3)]
    meet(monkeypatch, "fills", 3)

    at_once(*[lambda copy=copy: look(copy) for copy in copies])  # type: ignore[misc]

    order = futures.order()
    assert (order.state, order.filled_quantity, order.next_at) == (S.FILLED, Decimal(10), None)
    assert (Fill.unscoped.count(), LedgerEntry.unscoped.count(), futures.held()) == (1, 1, 10)


def test_sweeper_and_worker_that_both_see_the_close_filled_open_once(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    futures.send("buy", "flat", "0.01")
    futures.fault("drop_answer")
    futures.send("sell", "long", "0.025")
    close = Order.unscoped.get(leg="c")
    copies = [Order.unscoped.select_related("connector", "instrument").get(pk=close.pk) for _ in range(2)]

    at_once(*[lambda copy=copy: step(copy) for copy in copies], sweep)  # type: ignore[misc]
    futures.wait(2)

    assert [(order.leg, order.state, order.attempt) for order in futures.orders()] == [
        *(("o", S.FILLED, 1), ("c", S.FILLED, 1), ("o", S.FILLED, 1))
    ]
    assert [size for _, size in futures.book()] == ["10", "10", "15"]
    assert futures.held() == -15


def test_many_workers_and_alerts_of_one_symbol_run_each_once_and_in_order(futures: Bench) -> None:
    alerts = [
        futures.post("buy", "flat" if number == 0 else "long", f"0.00{number + 1}", market_position="long")
        for number in range(5)
    ]

    at_once(execute_due, execute_due, sweep, execute_due)
    futures.wait(2)

    assert [futures.status(alert)[0] for alert in alerts] == [AlertStatus.EXECUTED] * 5
    assert [size for _, size in futures.book()] == ["1", "2", "3", "4", "5"]
    assert futures.held() == 15


@pytest.mark.parametrize(
    ("guards", "price", "closed"),
    [
        # Cut to what is held; moved to its distance from what was paid.
        ({"stop_loss": {"price": 58000}}, "60000", "0.004"),
        ({"stop_loss": {"percent": 5}}, "60600", ""),
    ],
)
def test_two_workers_at_one_guard_put_one_other_in_its_place(
    futures: Bench, monkeypatch: pytest.MonkeyPatch, guards: dict[str, Any], price: str, closed: str
) -> None:
    with monkeypatch.context() as dead:
        dead.setattr("apps.trading.executor.protect", lambda order: None)
        futures.paper.set_price("BTCUSDT", price)
        futures.send("buy", "flat", "0.01", **guards)
    if closed:
        futures.wait(2)
        futures.send("sell", "long", closed, market_position="long")
    [row] = rows_with(Q())
    add = protection._add

    def second(*args: Any, **kwargs: Any) -> None:
        # The claim of this worker ran out here, and another one takes the same step.
        monkeypatch.setattr(protection, "_add", add)
        at_once(lambda: protection.step(rows_with(Q(pk=row.pk)).get()))
        assert Protection.unscoped.filter(replaces=row).count() == 1
        add(*args, **kwargs)

    monkeypatch.setattr(protection, "_add", second)
    protection.step(row)

    assert protection._add is add
    assert [one.number for one in Protection.unscoped.filter(replaces=row)] == [1]


def test_no_transaction_is_open_while_the_exchange_is_asked(futures: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    send, asked = Transport.send, []

    def watched(self: Transport, request: Any) -> Any:
        asked.append((request.url.partition("?")[0].rpartition("/")[2], connection.in_atomic_block))
        return send(self, request)

    monkeypatch.setattr(Transport, "send", watched)
    futures.send("buy", "flat", "0.01")
    futures.fault("drop_request")
    futures.send("sell", "long", "0.025")
    futures.pass_fence()

    futures.wait(5)

    assert futures.held() == 0
    assert {"submit-order", "position-v2", "order-history", "trades"} <= {name for name, _ in asked}
    assert [name for name, in_transaction in asked if in_transaction] == []


def test_lease_is_given_back_although_the_database_dropped_the_connection(futures: Bench) -> None:
    with leases.held(futures.connector.pk, "BTCUSDT") as lease:
        assert lease is not None
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            [pid] = cursor.fetchone()
        other = connection.copy()
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
            assert cursor.fetchone() == (True,)
        other.close()

    assert not leases.is_taken(futures.connector.pk, "BTCUSDT")


def test_alert_that_was_put_aside_while_it_was_planned_gets_no_order(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    alert = futures.post("buy", "flat", "0.01")
    prepare = execution.prepare

    def slowly(*args: Any, **kwargs: Any) -> Any:
        prepared = prepare(*args, **kwargs)
        Alert.unscoped.filter(pk=alert.pk).update(status=AlertStatus.FAILED, next_at=None)
        return prepared

    monkeypatch.setattr(execution, "prepare", slowly)
    execute_due()

    assert (futures.status(alert)[0], futures.orders(), futures.book()) == (AlertStatus.FAILED, [], [])
    assert not PlanRecord.unscoped.exists()
