"""What a worker sees that looks at a key while another one reads what came for it."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from apps.alerts import queue
from apps.alerts.models import AlertStatus
from apps.alerts.reading import read_received
from apps.alerts.redaction import mark_of
from apps.lib import world
from apps.lib.statements import Asked, together
from tests.factories import AlertFactory, InstrumentFactory, PointerFactory

pytestmark = pytest.mark.django_db(transaction=True)

ENTRY = '{"ticker":"BTCUSDT","action":"buy","prev_position":"flat","quantity":"1","pointer":"%s"}'


@pytest.mark.parametrize("place", [1, 2, 3])
def test_delivery_that_is_read_during_the_look_is_not_overtaken(place: int) -> None:
    InstrumentFactory()
    pointer, now = PointerFactory(), world.now()
    entry = (ENTRY % mark_of(pointer.last4)).encode()
    older = AlertFactory(pointer=pointer, body=entry, received_at=now - timedelta(seconds=3))
    due = {"status": AlertStatus.QUEUED, "symbol": "BTCUSDT", "next_at": now - timedelta(seconds=1)}
    AlertFactory(pointer=pointer, received_at=now - timedelta(seconds=2), is_exit=True, **due)
    asked: list[Asked] = queue.asked(pointer.connector_id, "BTCUSDT")
    # The other one begins once the first question was answered, and has ended when the pause is over.
    asked.insert(place, Asked("SELECT pg_sleep(0.6)", (), lambda _: None))
    read: list[int] = []

    def reads() -> None:
        read.append(len(read_received()))
        connection.close()

    other = threading.Timer(0.2, reads)
    other.start()
    answers: list[Any] = together(*asked)
    other.join()

    del answers[place]
    older.refresh_from_db()
    chosen = queue.next_alert(pointer.connector_id, "BTCUSDT", queue.Queue(*answers))
    assert (read, older.status, older.symbol) == ([1], AlertStatus.QUEUED, "BTCUSDT")
    assert chosen in {None, older}
