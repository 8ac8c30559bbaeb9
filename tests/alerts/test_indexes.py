"""What a worker asks again and again reads only what waits, however many alerts ever came."""

from uuid import uuid4

import pytest
from django.db import connection

from apps.alerts import queue
from apps.lib.statements import Asked

pytestmark = pytest.mark.django_db


def _plan_of(asked: Asked) -> str:
    with connection.cursor() as cursor:
        # An empty table is read whole, whatever index there is.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {asked.sql}", asked.parameters)
        return "\n".join(row for (row,) in cursor.fetchall())


def test_what_waits_for_a_key_is_found_by_the_index_of_what_is_due() -> None:
    key = {"connector": uuid4(), "symbol": "BTCUSDT"}

    assert "alert_due" in _plan_of(queue._oldest.asked(**key))
    assert "alert_due" in _plan_of(queue._second.asked(**key))
    assert "alert_due" in _plan_of(queue._oldest_unread.asked(connector=key["connector"]))
