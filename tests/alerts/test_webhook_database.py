"""The webhook while its database goes away and comes back."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.db import connection

from apps.alerts.models import Alert
from apps.connectors import pointers
from tests.alerts.doors import DOORS, Reply, deliver
from tests.factories import PointerFactory

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    monkeypatch.setattr("apps.lib.wakeups.publish", names.append)
    return names


@pytest.fixture
def body() -> bytes:
    return b'{"action":"buy","pointer":"%s"}' % pointers.reveal(PointerFactory()).encode()


@pytest.fixture
def outside(body: bytes) -> Iterator[psycopg.Connection]:
    """A connection of somebody else to the same database."""
    parameters = connection.get_connection_params()
    names = ("dbname", "user", "password", "host", "port")
    with psycopg.connect(**{name: parameters[name] for name in names if name in parameters}) as other:
        yield other
        other.rollback()


def backend_of_this_thread() -> int:
    connection.ensure_connection()
    return int(connection.connection.info.backend_pid)


def end_backend(other: psycopg.Connection, pid: int) -> None:
    """End it and wait until it is gone."""
    assert other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid]).fetchone() == (True,)


@pytest.mark.parametrize("door", sorted(DOORS))
def test_delivery_after_the_database_dropped_the_connection_is_stored(
    door: str, body: bytes, outside: psycopg.Connection
) -> None:
    deliver(door, body)
    end_backend(outside, backend_of_this_thread())

    reply = deliver(door, body)

    assert reply.status == 200
    assert Alert.unscoped.count() == 2


@pytest.mark.parametrize("door", sorted(DOORS))
def test_connection_lost_while_storing_is_503_and_the_next_delivery_is_stored(
    door: str, body: bytes, outside: psycopg.Connection, woken: list[str]
) -> None:
    opened = threading.Event()
    backends: list[int] = []

    def deliver_there() -> Reply:
        backends.append(backend_of_this_thread())
        opened.set()
        return deliver(door, body)

    def deliver_again_there() -> Reply:
        try:
            return deliver(door, body)
        finally:
            connection.close()

    outside.execute("SELECT id FROM connectors_pointer FOR UPDATE")  # the delivery waits for this at its commit
    with ThreadPoolExecutor(1) as sender:
        first = sender.submit(deliver_there)
        assert opened.wait(10)
        wait_until_blocked(outside, backends[0])
        end_backend(outside, backends[0])
        lost = first.result(10)
        outside.rollback()
        stored = sender.submit(deliver_again_there).result(10)

    assert (lost.status, lost.json()["reason"], lost.headers["Retry-After"]) == (503, "NOT_STORED", "5")
    assert stored.status == 200
    assert [str(key) for key in Alert.unscoped.values_list("pk", flat=True)] == stored.json()["ids"]
    assert woken == ["apps.alerts.tasks.execute_due"]


def wait_until_blocked(other: psycopg.Connection, pid: int) -> None:
    for _ in range(2000):
        if other.execute("SELECT pg_blocking_pids(%s)", [pid]).fetchone() != ([],):
            return
        other.execute("SELECT pg_sleep(0.005)")
    pytest.fail("the delivery does not wait for the lock")


@pytest.mark.parametrize("door", sorted(DOORS))
def test_refused_connection_is_503_until_the_database_is_back(
    door: str, body: bytes, monkeypatch: pytest.MonkeyPatch, woken: list[str]
) -> None:
    connection.close()
    with monkeypatch.context() as away:
        away.setitem(connection.settings_dict, "HOST", "127.0.0.1")
        away.setitem(connection.settings_dict, "PORT", "1")
        lost = deliver(door, body)

    stored = deliver(door, body)

    assert (lost.status, lost.json()["reason"], lost.headers["Retry-After"]) == (503, "NOT_STORED", "5")
    assert stored.status == 200
    assert [str(key) for key in Alert.unscoped.values_list("pk", flat=True)] == stored.json()["ids"]
    assert woken == ["apps.alerts.tasks.execute_due"]


def test_statement_is_prepared_once_and_planned_once(body: bytes) -> None:
    for _ in range(12):
        deliver("entry", body)

    with connection.cursor() as cursor:
        cursor.execute("SELECT name, custom_plans, generic_plans FROM pg_prepared_statements WHERE name LIKE 'store_%'")
        found = cursor.fetchall()

    # PostgreSQL plans five times with the values in hand before it takes a plan for good.
    assert found == [("store_1", 5, 7)]
