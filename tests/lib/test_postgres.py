"""A kept connection is asked nothing before it is used, and one that the server ended is never used again."""

import time

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from apps.lib.statements import run

pytestmark = pytest.mark.django_db(transaction=True)


def begin_task() -> None:
    connection.close_if_unusable_or_obsolete()


def backend() -> int:
    return int(run("SELECT pg_backend_pid()", []).rows[0][0])


def test_kept_connection_is_asked_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.DATABASES["default"]["CONN_HEALTH_CHECKS"]
    before = backend()
    begin_task()
    monkeypatch.setattr("django.db.backends.utils.CursorWrapper.execute", lambda *_: pytest.fail("a question"))

    assert backend() == before


def test_connection_that_was_torn_away_from_its_answers_is_not_used() -> None:
    before = backend()
    connection.connection.pgconn.enter_pipeline_mode()
    assert not connection.is_usable()
    begin_task()
    assert backend() != before

    before = backend()
    connection.connection.pgconn.send_query_params(b"SELECT pg_sleep(1)", None)
    assert not connection.is_usable()
    begin_task()
    assert backend() != before


def test_connection_that_the_server_ended_meanwhile_is_not_used() -> None:
    before = backend()
    with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": psycopg.Cursor}) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [before])
    # What the server says as it goes is on its way.
    deadline = time.monotonic() + 5
    while connection.is_usable():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    begin_task()

    assert backend() != before
    connection.close()
    assert not connection.is_usable()
