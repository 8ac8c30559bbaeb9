"""Several statements in one round trip: their order, their transaction, and what is left when one fails."""

import contextlib
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.db import DataError, IntegrityError, OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext

from apps.connectors.models import Connector
from apps.lib import statements
from apps.lib.compiled import Compiled
from apps.lib.statements import UNHURRIED, Asked, Result, committed, ending, run, together
from tests.factories import ConnectorFactory

pytestmark = pytest.mark.django_db(transaction=True)

PUT = "INSERT INTO told (id, word) VALUES (%s, %s)"
ALL = "SELECT id, word FROM told ORDER BY id"


@pytest.fixture(autouse=True)
def _table(request: pytest.FixtureRequest) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS told; CREATE TEMPORARY TABLE told (id int PRIMARY KEY, word text)")


def _rows(found: Result) -> list[tuple[Any, ...]]:
    return found.rows


def _put(number: int, word: str) -> Asked:
    return Asked(PUT, [number, word], lambda found: found.count)


def _all() -> Asked:
    return Asked(ALL, [], _rows)


def _value(sql: str, parameters: Sequence[Any] = ()) -> Asked:
    return Asked(sql, parameters, lambda found: found.rows[0][0])


@pytest.mark.parametrize("is_first", [True, False])
def test_each_sees_what_those_before_it_did(is_first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with transaction.atomic():
        monkeypatch.setattr(CursorWrapper, "execute", lambda *_: pytest.fail("through a cursor"))
        if not is_first:
            run("SELECT 1", [])
        told = together(_put(1, "one"), _all(), _put(2, "two"), _put(3, "three"), _all())

    assert told == [1, [(1, "one")], 1, 1, [(1, "one"), (2, "two"), (3, "three")]]
    assert run(ALL, []).rows == [(1, "one"), (2, "two"), (3, "three")]


def test_it_is_a_part_of_the_transaction_from_its_first_statement() -> None:
    with contextlib.suppress(ZeroDivisionError), transaction.atomic():
        together(_put(1, "one"), _put(2, "two"))
        raise ZeroDivisionError

    assert run(ALL, []).rows == []


def test_first_one_that_fails_is_told_and_nothing_stays() -> None:
    with pytest.raises(IntegrityError, match="told_pkey"), transaction.atomic():
        together(_put(1, "one"), _put(1, "again"), _value("SELECT 1 / %s", [0]))

    assert together(_all(), _value("SELECT 5")) == [[], 5]


def test_error_that_is_caught_inside_a_transaction_commits_nothing() -> None:
    with transaction.atomic():
        with pytest.raises(IntegrityError):
            together(_put(1, "one"), _put(1, "again"))
        with pytest.raises(TransactionManagementError):
            together(_all())

    assert run(ALL, []).rows == []


def test_outside_a_transaction_nothing_is_written() -> None:
    with pytest.raises(TransactionManagementError):
        together(_value("SELECT 1"), _put(1, "one"))

    assert run(ALL, []).rows == []


def test_committed_together_is_kept_or_nothing_of_it() -> None:
    assert committed(_put(1, "one"), _all(), _put(2, "two")) == [1, [(1, "one")], 1]

    with pytest.raises(IntegrityError, match="told_pkey"):
        committed(_put(3, "three"), _put(1, "again"), _put(4, "four"))
    with pytest.raises(DataError, match="zero"):
        committed(_put(5, "five"), _value("SELECT 1 / (SELECT count(*) FROM told WHERE id = %s)", [9]), _put(6, "six"))

    assert committed(_put(7, "seven"), _all()) == [1, [(1, "one"), (2, "two"), (7, "seven")]]


def test_constraint_at_the_end_of_what_is_committed_is_told() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE told ADD UNIQUE (word) DEFERRABLE INITIALLY DEFERRED")

    with pytest.raises(IntegrityError, match="told_word_key"):
        committed(_put(1, "one"), _put(2, "one"), _all())

    assert committed(_put(1, "one"), _all()) == [1, [(1, "one")]]


def test_committed_inside_a_transaction_is_a_part_of_it_that_fails_by_itself() -> None:
    with contextlib.suppress(ZeroDivisionError), transaction.atomic():
        assert committed(_put(1, "one")) == [1]
        with pytest.raises(IntegrityError):
            committed(_put(2, "two"), _put(1, "again"))
        assert together(_all()) == [[(1, "one")]]
        raise ZeroDivisionError

    assert run(ALL, []).rows == []


def test_what_is_committed_needs_no_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_commit", lambda: pytest.fail("a round trip more"))
    monkeypatch.setattr(statements, "_BEGIN", b"no such statement")

    assert committed(UNHURRIED, _put(1, "one"), _value("SELECT current_setting('synchronous_commit')")) == [
        None,
        1,
        "off",
    ]


def test_last_of_a_transaction_commits_it_in_the_same_round_trip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psycopg.Connection, "_exec_command", lambda *_: pytest.fail("a round trip more"))
    told: list[str] = []

    with transaction.atomic():
        together(_put(1, "one"))
        transaction.on_commit(lambda: told.append("committed"))
        assert ending(_put(2, "two"), _all()) == [1, [(1, "one"), (2, "two")]]
        assert told == []

    assert told == ["committed"]
    connection.close()
    connection.ensure_connection()


def test_transaction_whose_last_one_fails_keeps_nothing() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE told ADD UNIQUE (word) DEFERRABLE INITIALLY DEFERRED")
    told: list[str] = []

    @transaction.atomic
    def put_and(last: Asked) -> None:
        transaction.on_commit(lambda: told.append("committed"))
        together(_put(1, "one"))
        ending(_all(), last)

    for last in (_put(1, "again"), _value("SELECT 1 / (SELECT count(*) FROM told WHERE id = %s)", [9]), _put(2, "one")):
        with pytest.raises((IntegrityError, DataError)):
            put_and(last)

    assert (run(ALL, []).rows, told) == ([], [])


def test_last_one_inside_of_another_transaction_commits_nothing() -> None:
    with pytest.raises(TransactionManagementError):
        ending(_all())
    with contextlib.suppress(ZeroDivisionError), transaction.atomic():
        with transaction.atomic():
            ending(_put(1, "one"))
        raise ZeroDivisionError

    assert run(ALL, []).rows == []


def test_test_that_captures_queries_sees_what_is_committed() -> None:
    with CaptureQueriesContext(connection) as captured, pytest.raises(IntegrityError):
        committed(_put(1, "one"), _put(1, "again"))

    assert [query["sql"].split()[0] for query in captured.captured_queries] == ["BEGIN", "INSERT", "INSERT", "ROLLBACK"]
    assert run(ALL, []).rows == []


def test_same_text_twice_reads_each_its_own() -> None:
    assert together(_value("SELECT %s::text", ["one"]), _value("SELECT %s::text", ["two"])) == ["one", "two"]


def test_it_is_one_round_trip(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, Any]] = []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append((sql, [one.parameters for one in params]))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        found = together(_value("SELECT %s::int", [1]), _value("SELECT 2"))

    assert (found, seen) == ([1, 2], [("SELECT %s::int; SELECT 2", [[1], ()])])


def test_test_that_captures_queries_sees_every_one() -> None:
    with CaptureQueriesContext(connection) as captured:
        assert together(_value("SELECT %s::int", [1]), _value("SELECT 2")) == [1, 2]

    assert [query["sql"] for query in captured.captured_queries] == ["SELECT 1::int", "SELECT 2"]


def test_connection_that_the_server_ends_is_an_operational_error_and_another_one_serves() -> None:
    pid = run("SELECT pg_backend_pid()", []).rows[0][0]
    with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": psycopg.Cursor}) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [pid])

    with pytest.raises(OperationalError):
        together(_value("SELECT 1"), _value("SELECT 2"))
    connection.close()

    assert together(_value("SELECT 1"), _value("SELECT 2")) == [1, 2]


def test_connection_that_breaks_in_the_middle_is_an_operational_error() -> None:
    with pytest.raises(OperationalError):
        together(_value("SELECT 1"), _value("SELECT pg_terminate_backend(pg_backend_pid())::text"), _value("SELECT 2"))
    connection.close()

    assert together(_value("SELECT 1"), _value("SELECT 2")) == [1, 2]


def test_query_sets_answer_with_their_rows() -> None:
    one, two = ConnectorFactory(), ConnectorFactory()
    by_id = Compiled(lambda pk: Connector.unscoped.select_related("workspace").filter(pk=pk))
    labels = Compiled(lambda pk: Connector.unscoped.filter(pk=pk).values_list("label", flat=True))

    found, label, nothing = together(by_id.asked(pk=one.pk), labels.asked(pk=two.pk), labels.asked(pk=one.workspace_id))

    assert ([row.workspace for row in found], label, nothing) == ([one.workspace], [two.label], [])


def test_locking_question_needs_a_transaction() -> None:
    locked = Compiled(lambda pk: Connector.unscoped.select_for_update().filter(pk=pk))

    with pytest.raises(TransactionManagementError):
        together(locked.asked(pk=ConnectorFactory().pk))


@pytest.mark.parametrize("number", [40, 400])
def test_more_than_the_wire_holds_at_once_comes_through(number: int) -> None:
    word = "w" * 50_000

    told = together(*(_value("SELECT %s::text || %s::text", [word, str(each)]) for each in range(number)))

    assert told == [f"{word}{each}" for each in range(number)]


def test_who_waits_for_a_lock_lets_the_threads_of_its_process_go_on() -> None:
    connector = ConnectorFactory()
    locked = Compiled(lambda pk: Connector.unscoped.select_for_update().filter(pk=pk))
    is_waiting = threading.Event()

    def wait() -> list[Connector]:
        try:
            with transaction.atomic():
                is_waiting.set()
                return together(locked.asked(pk=connector.pk))[0]
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as threads:
        with transaction.atomic():
            together(locked.asked(pk=connector.pk))
            waiter = threads.submit(wait)
            is_waiting.wait()
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            while not run(waiting, []).rows[0][0]:
                pass
        assert waiter.result(30) == [connector]
