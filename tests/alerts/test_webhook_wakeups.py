"""The webhook and the broker: a wake-up is a hint, and nobody waits for it."""

import json
import socket
import threading
from collections.abc import Iterator

import pytest
from celery import current_app

from apps.alerts.models import Alert
from apps.connectors import pointers
from apps.lib import wakeups
from tests.alerts.doors import deliver
from tests.factories import PointerFactory

EXECUTE = "apps.alerts.tasks.execute_due"


@pytest.fixture
def waker(monkeypatch: pytest.MonkeyPatch) -> wakeups.Waker:
    """The process's waker, fresh, and patient with its broker."""
    waker = wakeups.Waker()
    monkeypatch.setattr(wakeups, "_waker", waker)
    monkeypatch.setattr(wakeups, "_TIMEOUT_S", 30)
    return waker


@pytest.fixture
def hung_broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """It takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        monkeypatch.setenv("CELERY_BROKER_URL", f"redis://127.0.0.1:{listener.getsockname()[1]}/0")
        yield listener


@pytest.mark.django_db
@pytest.mark.process
def test_delivery_is_answered_while_the_broker_hangs(waker: wakeups.Waker, hung_broker: socket.socket) -> None:
    pointer = PointerFactory()

    replies = [deliver("entry", pointers.reveal(pointer).encode()) for _ in range(3)]

    publisher, _ = hung_broker.accept()
    with publisher:
        publisher.settimeout(10)
        assert publisher.recv(1) == b"*", "the wake-up is on its way, and nothing was answered yet"
        assert [reply.status for reply in replies] == [200, 200, 200]
        assert Alert.unscoped.count() == 3


def test_wakeups_that_wait_count_as_one(waker: wakeups.Waker, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[list[str]] = []
    at_broker, go_on = threading.Semaphore(0), threading.Semaphore(0)

    def send(names: list[str]) -> bool:
        sent.append(names)
        at_broker.release()
        return go_on.acquire(timeout=10)

    monkeypatch.setattr(waker, "_send", send)
    waker.publish(EXECUTE)
    assert at_broker.acquire(timeout=10)

    for _ in range(100):
        waker.publish(EXECUTE)
    go_on.release()
    assert at_broker.acquire(timeout=10)

    assert sent == [[EXECUTE], [EXECUTE]]
    go_on.release()


def test_the_message_is_the_one_that_celery_sends(waker: wakeups.Waker) -> None:
    with current_app.connection_for_write() as connection:
        client = connection.default_channel.client
        client.delete("celery")
        # Without the limit of the task, which Celery adds where it is registered: the worker knows it.
        current_app.send_task(EXECUTE, connection=connection, ignore_result=True, time_limit=None)
        assert waker._send([EXECUTE])
        assert waker._send([EXECUTE])
        second, ours, celerys = (json.loads(raw) for raw in client.lrange("celery", 0, -1))
        client.delete("celery")

    own_to_each = ("id", "root_id")
    assert {name: value for name, value in ours["headers"].items() if name not in own_to_each} == {
        name: value for name, value in celerys["headers"].items() if name not in own_to_each
    }
    for name in ("body", "content-type", "content-encoding"):
        assert ours[name] == celerys[name]
    assert ours["properties"].keys() == celerys["properties"].keys()
    assert ours["properties"]["delivery_info"]["routing_key"] == celerys["properties"]["delivery_info"]["routing_key"]
    assert ours["headers"]["id"] == ours["headers"]["root_id"] == ours["properties"]["correlation_id"]
    assert len({message["headers"]["id"] for message in (ours, second, celerys)}) == 3
    assert len({message["properties"]["delivery_tag"] for message in (ours, second, celerys)}) == 3
