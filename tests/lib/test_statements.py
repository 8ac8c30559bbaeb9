"""A prepared statement does what a cursor does: transactions, errors, types, a table that changes."""

import contextlib
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import DatabaseError, DataError, IntegrityError, OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.transaction import TransactionManagementError
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus

from apps.lib.statements import _expect, run
from tests.factories import ConnectorFactory

pytestmark = pytest.mark.django_db(transaction=True)

AT = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)
ID = UUID("12345678-1234-5678-1234-567812345678")


@pytest.fixture
def table() -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "DROP TABLE IF EXISTS held; CREATE TEMPORARY TABLE held (id uuid PRIMARY KEY, "
            "amount numeric(40, 18), at timestamptz, words text, number integer CHECK (number > 0), flag boolean)"
        )
    return "held"


@pytest.fixture
def _no_cursor(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CursorWrapper, "execute", lambda *_: pytest.fail("through a cursor"))


PUT = "INSERT INTO held (id, amount, at, words, number, flag) VALUES (%s, %s, %s, %s, %s, %s)"
GET = "SELECT id, amount, at, words, number, flag FROM held WHERE id = %s AND words LIKE '%%o%%'"
ROW = (ID, Decimal("0.000000000000000001"), AT, "50 % off 'quoted' \\", 7, True)


@pytest.mark.usefixtures("_no_cursor")
def test_values_go_and_come_back_as_they_are() -> None:
    assert (run(PUT, ROW).count, run(PUT, (uuid4(), None, None, None, None, None)).count) == (1, 1)

    found = run(GET, [ID])

    assert (found.rows, found.count) == ([ROW], 1)
    assert [type(value) for value in found.rows[0]] == [UUID, Decimal, datetime, str, int, bool]
    assert run("UPDATE held SET number = %s", [9]).count == 2
    assert run("SELECT id FROM held WHERE number = %s AND amount IS NULL AND id = %s", [9, ID]).rows == []


@pytest.mark.usefixtures("table")
def test_a_transaction_holds_it_from_its_first_statement() -> None:
    with contextlib.suppress(ZeroDivisionError), transaction.atomic():
        run(PUT, ROW)
        raise ZeroDivisionError
    assert run(GET, [ID]).rows == []

    with transaction.atomic():
        run(PUT, ROW)
        with contextlib.suppress(ZeroDivisionError), transaction.atomic():
            run("UPDATE held SET number = %s", [9])
            raise ZeroDivisionError
    assert run(GET, [ID]).rows == [ROW]


@pytest.mark.usefixtures("table")
def test_errors_are_those_of_a_cursor() -> None:
    run(PUT, ROW)

    with pytest.raises(IntegrityError):
        run(PUT, ROW)
    with pytest.raises(IntegrityError):
        run("UPDATE held SET number = %s", [-1])
    with pytest.raises(DataError):
        run("UPDATE held SET number = %s", ["seven"])

    assert run("UPDATE held SET number = %s", [8]).count == 1


@pytest.mark.usefixtures("table")
def test_a_transaction_that_failed_runs_nothing_more() -> None:
    with transaction.atomic():
        run(PUT, ROW)
        with pytest.raises(IntegrityError), transaction.atomic():
            run(PUT, ROW)
        assert run("UPDATE held SET number = %s", [8]).count == 1

    assert run("SELECT number FROM held", []).rows == [(8,)]


@pytest.mark.usefixtures("table")
def test_a_changed_table_costs_one_error_and_no_more() -> None:
    run(PUT, ROW)
    every = "SELECT * FROM held WHERE id = %s"
    assert len(run(every, [ID]).rows[0]) == 6
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE held ADD COLUMN more text DEFAULT 'm'")

    with pytest.raises(Exception, match="cached plan must not change result type"):
        run(every, [ID])

    assert run(every, [ID]).rows == [(*ROW, "m")]


def test_a_lost_connection_is_told_and_another_one_serves() -> None:
    assert run("SELECT %s::int", [1]).rows == [(1,)]
    connection.connection.close()

    with pytest.raises(OperationalError):
        run("SELECT %s::int", [2])
    connection.close()

    assert run("SELECT %s::int", [3]).rows == [(3,)]


def test_a_connection_that_the_server_ends_is_an_operational_error() -> None:
    pid = run("SELECT pg_backend_pid()", []).rows[0][0]
    with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": psycopg.Cursor}) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [pid])

    with pytest.raises(OperationalError):
        run("SELECT %s::int", [2])
    connection.close()


@pytest.mark.usefixtures("table")
def test_who_watches_sees_it() -> None:
    seen: list[str] = []

    def watch(execute, sql, params, many, context):  # type: ignore[no-untyped-def]
        seen.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        run(PUT, ROW)
        found = run(GET, [ID])

    assert (seen, found.rows, found.count) == ([PUT, GET], [ROW], 1)


def test_a_row_of_a_model_goes_the_same_way() -> None:
    connector = ConnectorFactory()

    assert run("SELECT id FROM connectors_connector WHERE id = %s", [connector.pk]).rows == [(connector.pk,)]


def _prepared_here() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements WHERE statement LIKE 'INSERT INTO held%'")
        return [text for (text,) in cursor.fetchall()]


@pytest.mark.usefixtures("table")
def test_a_refused_value_prepares_nothing_anew() -> None:
    run(PUT, ROW)

    for _ in range(3):
        with pytest.raises(IntegrityError):
            run(PUT, ROW)
        with pytest.raises(DataError):
            run(PUT, (ID, "seven", None, None, None, None))

    assert len(_prepared_here()) == 1


@pytest.mark.usefixtures("table")
def test_a_server_that_forgot_costs_one_error_for_all() -> None:
    run("SELECT 1", [])
    run("SELECT 2", [])
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")

    with pytest.raises(DatabaseError, match="does not exist"):
        run("SELECT 1", [])

    assert (run("SELECT 2", []).rows, run("SELECT 1", []).rows) == ([(2,)], [(1,)])


def test_a_name_is_never_that_of_another_text() -> None:
    names = []
    for number in (1, 2):
        connection.close()
        run(f"SELECT {number}", [])
        with connection.cursor() as cursor:
            cursor.execute("SELECT name FROM pg_prepared_statements")
            names += [name for (name,) in cursor.fetchall()]

    assert len(set(names)) == 2


@pytest.mark.usefixtures("table")
def test_an_error_that_is_caught_inside_a_transaction_commits_nothing() -> None:
    run(PUT, ROW)
    told: list[str] = []

    with transaction.atomic():
        transaction.on_commit(lambda: told.append("committed"))
        run("UPDATE held SET number = %s", [9])
        with pytest.raises(IntegrityError):
            run(PUT, ROW)
        with pytest.raises(TransactionManagementError):
            run(GET, [ID])

    assert (told, run(GET, [ID]).rows) == ([], [ROW])


@pytest.mark.usefixtures("table")
def test_a_text_is_refused_as_a_whole_rather_than_cut() -> None:
    with pytest.raises((DataError, ValueError)):
        run(PUT, (ID, None, None, "before\x00after", None, None))


def test_a_server_that_is_gone_is_told_as_that_before_the_connection_knows() -> None:
    class Gone:
        """As libpq makes it when the other end is closed: no answer of a server, so no code of one."""

        status = ExecStatus.FATAL_ERROR

        def error_field(self, field: DiagnosticField) -> None:
            return None

        def get_error_message(self) -> str:
            return "server closed the connection unexpectedly"

    connection.ensure_connection()
    raw = connection.connection
    assert raw is not None
    assert raw.pgconn.status == ConnStatus.OK

    with pytest.raises(psycopg.OperationalError, match="closed the connection"):
        _expect(raw, Gone(), ExecStatus.TUPLES_OK)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-11-29 03:18:30.197936+00", datetime(2026, 11, 29, 3, 18, 30, 197936, UTC)),
        ("2026-11-29 03:18:30.1+00", datetime(2026, 11, 29, 3, 18, 30, 100000, UTC)),
        ("2026-11-29 03:18:30+00", datetime(2026, 11, 29, 3, 18, 30, tzinfo=UTC)),
        ("2026-11-29 05:18:30+02", datetime(2026, 11, 29, 3, 18, 30, tzinfo=UTC)),
        ("0001-01-01 00:00:00+00", datetime(1, 1, 1, tzinfo=UTC)),
        (None, None),
    ],
)
def test_instants_are_read_as_a_cursor_reads_them(text: str | None, value: datetime | None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::timestamptz", [text])
        by_cursor = cursor.fetchone()[0]

    assert run("SELECT %s::timestamptz", [text]).rows == [(value,)]
    assert by_cursor == value
    assert value is None or by_cursor.tzinfo is run("SELECT now()", []).rows[0][0].tzinfo is UTC


@pytest.mark.parametrize("text", ["infinity", "10000-01-01 00:00:00+00", "0044-03-15 00:00:00+00 BC"])
def test_instant_that_python_does_not_know_is_an_error(text: str) -> None:
    with pytest.raises(DataError):
        run("SELECT %s::timestamptz", [text])
