"""Run SQL statements prepared: the server keeps their plans, and libpq is called once. A cursor takes several times
the CPU of this and gives up the GIL several times. `run` takes one; `together` sends several that do not need each
other's results in one round trip; `committed` makes them a transaction.

A statement is prepared under a name of ours on each connection that runs it. Execute wrappers are called around it,
without a cursor. Where a test captures what is run, it goes through Django's cursor, to the same effect; what DEBUG
logs leaves it out.
"""

import hashlib
import re
import select
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import TransactionManagementError, atomic, mark_for_rollback_on_error
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, Format, TransactionStatus

_PLACES = re.compile(r"%s|%%")
# By SQLSTATE. A table that was changed since makes its old plans useless; DISCARD ALL leaves nothing prepared.
_CHANGED, _NOT_PREPARED = (b"0A", b"42"), b"26000"
_BEGIN, _COMMIT = b"BEGIN", b"COMMIT"
_TIMESTAMPTZ = psycopg.adapters.types["timestamptz"].oid


@dataclass(frozen=True, slots=True)
class Result:
    """`rows` as the driver loads them, before Django's converters; `count` of the rows found or changed."""

    rows: list[tuple[Any, ...]]
    count: int


@dataclass(slots=True)
class _Prepared:
    """`transformer` keeps the dumpers and, once rows were seen, the loaders of every column."""

    name: bytes
    transformer: Any
    has_loaders: bool = False


class _Line:
    """What is prepared on one connection; only the thread that owns the connection comes here."""

    def __init__(self) -> None:
        self.known: dict[str, _Prepared] = {}
        self._made = 0

    def new_name(self, text: bytes) -> bytes:
        """Behind a pooler that changes the server under us, a name of ours may be another worker's: never its text."""
        self._made += 1
        return f"sferica_{hashlib.sha256(text).hexdigest()[:16]}_{self._made}".encode()

    def failed(self, sql: str, code: bytes | None) -> None:
        """Forget what has to be prepared anew. Not for a value that was refused: the old one would stay, each time."""
        if code == _NOT_PREPARED:
            self.known.clear()
        elif code is None or code.startswith(_CHANGED):
            self.known.pop(sql, None)


@dataclass(frozen=True, slots=True)
class Asked:
    """A statement that is to be run, and how its result is read."""

    sql: str
    parameters: Sequence[Any]
    read: Callable[[Result], Any]


# As a part of a transaction: its commit does not wait for the disk. Only for what is made anew, the same, from what is
# left, should the database server die within the next half second. Commits become durable in their order: the next one
# that waits for the disk waits for these too, and whatever was seen by others is not lost before what they made of it.
UNHURRIED_SQL = "set_config('synchronous_commit', 'off', true)"
UNHURRIED = Asked(f"SELECT {UNHURRIED_SQL}", (), lambda _: None)
_NOTHING = Asked("SELECT 1", (), lambda _: None)


def run(sql: str, parameters: Sequence[Any]) -> Result:
    """Run `sql` with `%s` places; `django.db.Error` as from a cursor. Its types follow from where the places stand."""
    database = connections[DEFAULT_DB_ALIAS]
    if database.force_debug_cursor:
        return _logged(database, sql, parameters)
    return _wrapped(database, sql, parameters, _run)  # type: ignore[no-any-return]


def ask(asked: Asked) -> Any:
    """Run one question and return what it reads."""
    return asked.read(run(asked.sql, asked.parameters))


def together(*asked: Asked) -> list[Any]:
    """Run all in one round trip, in their order, and return what each of them reads; the error of the first that fails.

    Inside a transaction they are a part of it. Outside of one only SELECT is taken: each sees what is committed when
    its turn comes.
    """
    database = connections[DEFAULT_DB_ALIAS]
    if not database.in_atomic_block and not all(one.sql.startswith("SELECT") for one in asked):
        raise TransactionManagementError("statements that write together have to be inside of a transaction")
    if database.force_debug_cursor:
        return [one.read(_logged(database, one.sql, one.parameters)) for one in asked]
    return _at_once(database, asked)


def ending(*asked: Asked) -> list[Any]:
    """As `together`, as the last thing of an `atomic` block: what commits it goes in the same round trip.

    Nothing may be run after it in the block. In a block inside of another it is `together`: that one commits nothing.
    """
    database = connections[DEFAULT_DB_ALIAS]
    if not database.in_atomic_block:
        raise TransactionManagementError("there is no transaction to end")
    if database.force_debug_cursor or len(database.atomic_blocks) > 1:
        return together(*asked)
    # Django's own COMMIT finds no transaction any more, and runs what waits for it.
    return _at_once(database, asked, work=_run_to_end)


def committed(*asked: Asked) -> list[Any]:
    """Run all in one round trip, as a transaction of their own, and return what each of them reads.

    All is kept or nothing: the error of the first that fails, or of a constraint that stands at the end. Inside of a
    transaction they are a part of it, that fails by itself and has no say in how that one ends.
    """
    database = connections[DEFAULT_DB_ALIAS]
    if database.in_atomic_block:
        with atomic():
            return together(*(_NOTHING if one is UNHURRIED else one for one in asked))
    if database.force_debug_cursor:
        with atomic():
            return together(*asked)
    # What one sync ends is one transaction to the server; it needs neither BEGIN nor COMMIT.
    return _at_once(database, asked)


def _at_once(
    database: BaseDatabaseWrapper, asked: Sequence[Asked], *, work: "Callable[..., Any] | None" = None
) -> list[Any]:
    text = "; ".join(one.sql for one in asked) if database.execute_wrappers else ""
    results = _wrapped(database, text, asked, work or _run_together)
    return [one.read(result) for one, result in zip(asked, results, strict=True)]


def _wrapped(database: BaseDatabaseWrapper, sql: str, parameters: Any, work: Callable[..., Any]) -> Any:
    database.close_if_health_check_failed()
    if database.connection is None:
        database.ensure_connection()
    if not database.execute_wrappers:
        return _checked(database, work, sql, parameters)

    def execute(sql: str, params: Any, many: bool, context: Any) -> Any:
        return _checked(database, work, sql, params)

    for wrapper in reversed(database.execute_wrappers):
        execute = partial(wrapper, execute)
    return execute(sql, parameters, False, {"connection": database, "cursor": None})


def _checked(database: BaseDatabaseWrapper, work: Callable[..., Any], sql: str, parameters: Any) -> Any:
    database.validate_no_broken_transaction()
    try:
        with database.wrap_database_errors:
            return work(database.connection, sql, parameters)
    except Exception as error:
        # As `mark_for_rollback_on_error` does, without its detour for each statement that goes well.
        if database.in_atomic_block:
            database.needs_rollback = True
            database.rollback_exc = error  # type: ignore[attr-defined]
        raise


def _logged(database: BaseDatabaseWrapper, sql: str, parameters: Sequence[Any]) -> Result:
    with mark_for_rollback_on_error(DEFAULT_DB_ALIAS), database.cursor() as cursor:
        cursor.execute(sql, parameters)
        return Result(cursor.fetchall() if cursor.description else [], cursor.rowcount)


def _run(raw: "psycopg.Connection[Any]", sql: str, parameters: Sequence[Any]) -> Result:
    if _has_to_begin(raw):
        return _run_together(raw, "", [Asked(sql, parameters, _as_it_is)])[0]
    line = _line_of(raw)
    prepared = line.known.get(sql) or _prepare(raw, line, sql)
    result = raw.pgconn.exec_prepared(prepared.name, _dumped(prepared, parameters))
    return _read(raw, line, sql, prepared, result)


def _as_it_is(found: Result) -> Result:
    return found


def _run_to_end(raw: "psycopg.Connection[Any]", text: str, asked: Sequence[Asked]) -> list[Result]:
    return _run_together(raw, text, asked, ends=True)


def _run_together(
    raw: "psycopg.Connection[Any]", _: str, asked: Sequence[Asked], *, ends: bool = False
) -> list[Result]:
    line = _line_of(raw)
    known = [line.known.get(one.sql) or _prepare(raw, line, one.sql) for one in asked]
    values = [_dumped(prepared, one.parameters) for prepared, one in zip(known, asked, strict=True)]
    begins = _has_to_begin(raw)
    raw.pgconn.enter_pipeline_mode()
    try:
        if begins:
            raw.pgconn.send_query_params(_BEGIN, None)
        for prepared, value in zip(known, values, strict=True):
            raw.pgconn.send_query_prepared(prepared.name, value)
        if ends:
            raw.pgconn.send_query_params(_COMMIT, None)
        raw.pgconn.pipeline_sync()
        results = _results(raw)
    finally:
        if raw.pgconn.status == ConnStatus.OK:
            raw.pgconn.exit_pipeline_mode()
    if begins:
        _expect(raw, results.pop(0), ExecStatus.COMMAND_OK)
    end = results.pop() if ends else None
    if len(results) > len(asked):
        # A constraint that is looked at when the transaction ends: one result more than there are statements.
        _expect(raw, results.pop(), ExecStatus.COMMAND_OK)
    found = [
        _read(raw, line, one.sql, prepared, result) for one, prepared, result in zip(asked, known, results, strict=True)
    ]
    if end is not None:
        _expect(raw, end, ExecStatus.COMMAND_OK)
    return found


def _results(raw: "psycopg.Connection[Any]") -> list[Any]:
    """Return one result a statement; what follows one that failed says that it was not run.

    Unlike `exec_prepared`, `get_result` keeps the GIL while it waits, and whoever holds the lock that the server waits
    for may be a thread of this process: it is called once the answer is here.
    """
    found: list[Any] = []
    wire = select.poll()
    # What does not fit into the socket's buffer goes out while answers come in: the server waits for neither of us.
    wire.register(raw.pgconn.socket, select.POLLIN | select.POLLOUT)
    while raw.pgconn.flush():
        wire.poll()
        raw.pgconn.consume_input()
    wire.modify(raw.pgconn.socket, select.POLLIN)
    while True:
        while raw.pgconn.is_busy():
            wire.poll()
            raw.pgconn.consume_input()
        result = raw.pgconn.get_result()
        if result is not None:
            if result.status == ExecStatus.PIPELINE_SYNC:
                return found
            found.append(result)
        elif raw.pgconn.status != ConnStatus.OK:
            raise psycopg.OperationalError(raw.pgconn.get_error_message())


def _line_of(raw: "psycopg.Connection[Any]") -> _Line:
    # On the connection itself: what is kept refers to it, so that a table of ours would keep every connection for ever.
    line: _Line | None = vars(raw).get("_sferica_line")
    if line is None:
        line = vars(raw)["_sferica_line"] = _Line()
        raw.adapters.register_loader("timestamptz", _quicker(raw.adapters.get_loader(_TIMESTAMPTZ, Format.TEXT)))
    return line


@lru_cache(maxsize=8)
def _quicker(known: type[Any]) -> type[Any]:
    """Return a loader of instants that leaves to `known` what is not plainly in UTC, where Django keeps its sessions.

    The driver takes an instant apart with a pattern in Python, and Django puts its own zone into each: an alert reads
    some eighty.
    """

    class QuickLoader(known):
        def load(self, data: Any) -> Any:
            text = bytes(data)
            # A year of four digits, in UTC.
            is_plain = text[4:5] == b"-" and text[-3:] == b"+00"
            return datetime.fromisoformat(text.decode()) if is_plain else super().load(data)

    return QuickLoader


def _has_to_begin(raw: "psycopg.Connection[Any]") -> bool:
    """Inside `atomic`, and the first to speak: a cursor begins the transaction too."""
    return not raw.autocommit and raw.pgconn.transaction_status == TransactionStatus.IDLE


def _prepare(raw: "psycopg.Connection[Any]", line: _Line, sql: str) -> _Prepared:
    text = _numbered(sql)
    name = line.new_name(text)
    _expect(raw, raw.pgconn.prepare(name, text), ExecStatus.COMMAND_OK)
    prepared = line.known[sql] = _Prepared(name, Transformer(raw))
    return prepared


def _dumped(prepared: _Prepared, parameters: Sequence[Any]) -> Any:
    return prepared.transformer.dump_sequence(parameters, [PyFormat.TEXT] * len(parameters))


def _read(raw: "psycopg.Connection[Any]", line: _Line, sql: str, prepared: _Prepared, result: Any) -> Result:
    if result.status == ExecStatus.COMMAND_OK:
        return Result([], result.command_tuples or 0)
    if result.status != ExecStatus.TUPLES_OK:
        line.failed(sql, result.error_field(DiagnosticField.SQLSTATE))
    _expect(raw, result, ExecStatus.TUPLES_OK)
    if not result.ntuples:
        return Result([], 0)
    transformer = prepared.transformer
    transformer.set_pgresult(result, set_loaders=not prepared.has_loaders, format=Format.TEXT)
    prepared.has_loaders = True
    rows = transformer.load_rows(0, result.ntuples, tuple)
    transformer.set_pgresult(None, set_loaders=False)
    return Result(rows, result.ntuples)


@lru_cache(maxsize=4096)
def _numbered(sql: str) -> bytes:
    """`%s` → `$1`, `$2`, …"""
    number = 0

    def place(found: re.Match[str]) -> str:
        nonlocal number
        if found[0] == "%%":
            return "%"
        number += 1
        return f"${number}"

    return _PLACES.sub(place, sql).encode()


def _expect(raw: "psycopg.Connection[Any]", result: Any, status: ExecStatus) -> None:
    if raw.pgconn.status != ConnStatus.OK:
        raise psycopg.OperationalError(result.get_error_message())
    if result.status != status and not result.error_field(DiagnosticField.SQLSTATE):
        # Nobody but libpq itself says nothing more than that: the server is gone, and it has not noticed yet.
        raise psycopg.OperationalError(result.get_error_message())
    if result.status != status:
        raise psycopg.errors.error_from_result(result, encoding=raw.info.encoding)
