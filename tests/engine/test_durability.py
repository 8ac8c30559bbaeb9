"""Which commits wait for the disk: before a byte of an order leaves, all that says so is there to stay."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from django.db import connection, transaction
from psycopg.pq import TransactionStatus

from apps.alerts.execution import execute_due
from apps.alerts.models import Alert
from apps.connectors.bitmart import client
from apps.lib import statements
from apps.lib.statements import Asked
from apps.trading import executor, leases
from apps.trading.models import Order, OrderState
from tests.engine.conftest import Bench, bench
from tests.shared_paper import SharedPaper


def told(sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


@pytest.fixture
def futures(committed: None, paper: SharedPaper) -> Iterator[Bench]:
    """As in production; the servers of the tests wait for no disk at all."""
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit TO on")
    yield bench(paper, "futures")
    with connection.cursor() as cursor:
        cursor.execute("RESET synchronous_commit")


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what each transaction says, as it is committed, of its waiting for the disk."""
    seen: list[str] = []
    commit, at_once = connection._commit, statements._at_once
    how = Asked("SELECT current_setting('synchronous_commit')", (), lambda found: seen.append(found.rows[0][0]))

    def _commit() -> None:
        if connection.connection.info.transaction_status != TransactionStatus.IDLE:
            seen.append(told("SHOW synchronous_commit"))
        commit()

    def _at_once(database: Any, asked: Sequence[Asked], work: Any = None) -> list[Any]:
        writes = not database.in_atomic_block and not all(one.sql.startswith("SELECT") for one in asked)
        ends = work is not None
        return at_once(database, (*asked, how), work=work)[:-1] if writes or ends else at_once(database, asked)

    monkeypatch.setattr(connection, "_commit", _commit)
    monkeypatch.setattr(statements, "_at_once", _at_once)
    return seen


def test_an_order_is_on_the_disk_before_it_is_sent(futures: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    sent: list[tuple[str, bool, str]] = []
    request_of, signed_once = executor.request_of, client.Client.signed_once

    def planned(order: Order) -> Any:
        assert Order.unscoped.get(pk=order.pk).state == OrderState.PLANNED
        written.append(told("SELECT pg_current_wal_insert_lsn()"))
        return request_of(order)

    def sending(self: client.Client, *args: Any, **options: Any) -> Any:
        is_on_disk = told(f"SELECT pg_current_wal_flush_lsn() >= '{written[-1]}'::pg_lsn")
        sent.append((Order.unscoped.get().state, is_on_disk, told("SHOW synchronous_commit")))
        return signed_once(self, *args, **options)

    monkeypatch.setattr(executor, "request_of", planned)
    monkeypatch.setattr(client.Client, "signed_once", sending)

    alert = futures.send("buy", "flat", "0.01")

    assert futures.status(alert) == ("executed", "")
    assert sent == [(OrderState.SUBMITTING, True, "on")]


def test_what_can_be_made_anew_does_not_wait(futures: Bench, waits: list[str]) -> None:
    alert = futures.post("buy", "flat", "0.01")
    waits.clear()

    execute_due()

    # Read; the lease taken; planned; filled.
    assert waits == ["off", "off", "off", "on"]
    assert futures.status(alert) == ("executed", "")


def test_a_plan_of_which_nothing_is_sent_waits(futures: Bench, waits: list[str]) -> None:
    alert = futures.post("buy", "flat", "0.0000001")
    waits.clear()

    execute_due()

    # Read; the lease taken; refused.
    assert waits == ["off", "off", "on"]
    assert Alert.unscoped.get(pk=alert.pk).status == "rejected"
    assert futures.book() == []


def test_a_lease_has_no_say_in_a_transaction_it_is_a_part_of(futures: Bench) -> None:
    key = (futures.connector.pk, "BTCUSDT")

    with transaction.atomic():
        lease = leases.take(*key)
        assert told("SHOW synchronous_commit") == "on"
        assert lease is not None
        lease.renew()
        assert told("SHOW synchronous_commit") == "on"
        lease.release()
        assert told("SHOW synchronous_commit") == "on"

    with leases.held(*key):
        assert told("SHOW synchronous_commit") == "on"
    assert told("SHOW synchronous_commit") == "on"
