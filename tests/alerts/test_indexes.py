"""What a worker asks again and again reads only what waits, however many alerts ever came."""

from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from apps.alerts import queue
from apps.lib.statements import Asked

pytestmark = pytest.mark.django_db


def _plan_of(asked: Asked) -> str:
    with connection.cursor() as cursor:
        # An empty table is read whole, whatever index there is.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {asked.sql}", asked.parameters)
        return "\n".join(row for (row,) in cursor.fetchall())


def test_what_waits_for_a_key_is_found_among_what_waits_for_others() -> None:
    key, now = {"connector": uuid4(), "symbol": "BTCUSDT"}, timezone.now()

    assert _plan_of(queue._oldest.asked(**key)).count("alert_queue") == 1
    assert _plan_of(queue._second.asked(**key)).count("alert_queue") == 1
    assert _plan_of(queue._oldest_unread.asked(connector=key["connector"])).count("alert_queue") == 1
    assert _plan_of(queue._exits_until.asked(**key, until=now, now=now)).count("alert_queue") == 1
    # For each that is due: whether something is before it, read or not.
    assert _plan_of(queue._due_keys.asked(now=now)).count("alert_queue") >= 1
