"""Run one SQL statement prepared: the server keeps its plan, and libpq is called once. A cursor takes several times
the CPU of this and gives up the GIL several times.

A statement is prepared under a name of ours on each connection that runs it. Execute wrappers are called around it,
without a cursor. Where a test captures what is run, it goes through Django's cursor, to the same effect; what DEBUG
logs leaves it out.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import mark_for_rollback_on_error
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, Format, TransactionStatus

_PLACES = re.compile(r"%s|%%")
# By SQLSTATE. A table that was changed since makes its old plans useless; DISCARD ALL leaves nothing prepared.
_CHANGED, _NOT_PREPARED = (b"0A", b"42"), b"26000"


@dataclass(frozen=True, slots=True)
class Result:
    """`rows` as the driver loads them, before Django's converters; `count` of the rows found or changed."""

    rows: list[tuple[Any, ...]]
    count: int


class _Line:
    """What is prepared on one connection; only the thread that owns the connection comes here."""

    def __init__(self) -> None:
        self.names: dict[str, bytes] = {}
        self._made = 0

    def new_name(self, text: bytes) -> bytes:
        """Behind a pooler that changes the server under us, a name of ours may be another worker's: never its text."""
        self._made += 1
        return f"sferica_{hashlib.sha256(text).hexdigest()[:16]}_{self._made}".encode()

    def failed(self, sql: str, code: bytes | None) -> None:
        """Forget what has to be prepared anew. Not for a value that was refused: the old one would stay, each time."""
        if code == _NOT_PREPARED:
            self.names.clear()
        elif code is None or code.startswith(_CHANGED):
            self.names.pop(sql, None)


_lines: WeakKeyDictionary[psycopg.Connection[Any], _Line] = WeakKeyDictionary()


def run(sql: str, parameters: Sequence[Any]) -> Result:
    """Run `sql` with `%s` places; `django.db.Error` as from a cursor. Its types follow from where the places stand."""
    database = connections[DEFAULT_DB_ALIAS]
    if database.force_debug_cursor:
        return _logged(database, sql, parameters)
    database.close_if_health_check_failed()
    database.ensure_connection()
    if not database.execute_wrappers:
        return _checked(database, sql, parameters)

    def execute(sql: str, params: Sequence[Any], many: bool, context: Any) -> Result:
        return _checked(database, sql, params)

    for wrapper in reversed(database.execute_wrappers):
        execute = partial(wrapper, execute)
    return execute(sql, parameters, False, {"connection": database, "cursor": None})


def _checked(database: BaseDatabaseWrapper, sql: str, parameters: Sequence[Any]) -> Result:
    database.validate_no_broken_transaction()
    with mark_for_rollback_on_error(DEFAULT_DB_ALIAS), database.wrap_database_errors:
        return _run(database.connection, sql, parameters)


def _logged(database: BaseDatabaseWrapper, sql: str, parameters: Sequence[Any]) -> Result:
    with mark_for_rollback_on_error(DEFAULT_DB_ALIAS), database.cursor() as cursor:
        cursor.execute(sql, parameters)
        return Result(cursor.fetchall() if cursor.description else [], cursor.rowcount)


def _run(raw: "psycopg.Connection[Any]", sql: str, parameters: Sequence[Any]) -> Result:
    line = _lines.get(raw)
    if line is None:
        line = _lines[raw] = _Line()
    if not raw.autocommit and raw.pgconn.transaction_status == TransactionStatus.IDLE:
        # Inside `atomic`, and the first to speak: a cursor begins the transaction too.
        _expect(raw, raw.pgconn.exec_(b"BEGIN"), ExecStatus.COMMAND_OK)
    name = line.names.get(sql)
    if name is None:
        text = _numbered(sql)
        name = line.new_name(text)
        _expect(raw, raw.pgconn.prepare(name, text), ExecStatus.COMMAND_OK)
        line.names[sql] = name
    transformer = Transformer(raw)
    values = transformer.dump_sequence(parameters, [PyFormat.TEXT] * len(parameters))
    # The types do not know that it takes None for NULL.
    result = raw.pgconn.exec_prepared(name, values)  # type: ignore[arg-type]
    if result.status == ExecStatus.COMMAND_OK:
        return Result([], result.command_tuples or 0)
    if result.status != ExecStatus.TUPLES_OK:
        line.failed(sql, result.error_field(DiagnosticField.SQLSTATE))
    _expect(raw, result, ExecStatus.TUPLES_OK)
    transformer.set_pgresult(result, format=Format.TEXT)
    return Result(transformer.load_rows(0, result.ntuples, tuple), result.ntuples)


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
    if result.status != status:
        raise psycopg.errors.error_from_result(result, encoding=raw.info.encoding)
