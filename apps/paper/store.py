"""The exchange's own file: SQLite, one writer, every acknowledged change on disk before its answer leaves."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import Field, fields
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from apps.paper.amounts import plain
from apps.paper.records import (
    Account,
    Balance,
    Fill,
    LeverageSetting,
    Order,
    Position,
    PricePin,
    Transaction,
    Transfer,
)


class Record(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


R = TypeVar("R", bound=Record)
Value = str | int | Decimal

_TABLES: dict[type[Any], tuple[str, tuple[str, ...]]] = {
    Account: ("accounts", ("id",)),
    Balance: ("balances", ("account_id", "wallet", "currency")),
    Order: ("orders", ("id",)),
    Fill: ("fills", ("id",)),
    Position: ("positions", ("account_id", "symbol", "side")),
    Transaction: ("transactions", ("id",)),
    Transfer: ("transfers", ("id",)),
    LeverageSetting: ("leverages", ("account_id", "symbol")),
    PricePin: ("pins", ("symbol",)),
}
# Order and trade ids start above 2**53 on purpose: a client that reads them as floats gets them wrong.
_FIRST_ID = {
    Account: 10_001,
    Order: 118_100_034_543_076_010,
    Fill: 122_177_405_911_172_002,
    Transaction: 1_141_853_921,
    Transfer: 664_651_258_694_168_576,
}
_INDEXES = (
    "CREATE UNIQUE INDEX IF NOT EXISTS accounts_key ON accounts (access_key)",
    "CREATE INDEX IF NOT EXISTS orders_account ON orders (account_id, market, id)",
    "CREATE INDEX IF NOT EXISTS orders_client ON orders (account_id, client_order_id) WHERE client_order_id != ''",
    "CREATE INDEX IF NOT EXISTS orders_live ON orders (market, symbol) WHERE state IN ('new', 'partially_filled')",
    "CREATE INDEX IF NOT EXISTS fills_account ON fills (account_id, market, id)",
    "CREATE INDEX IF NOT EXISTS fills_order ON fills (order_id)",
    "CREATE INDEX IF NOT EXISTS transactions_account ON transactions (account_id, id)",
)
_NAMES = {kind: tuple(field.name for field in fields(kind)) for kind in _TABLES}
_READERS: dict[type[Any], tuple[Any, ...]] = {kind: tuple(field.type for field in fields(kind)) for kind in _TABLES}


def _schema() -> Iterator[str]:
    for kind, (table, key) in _TABLES.items():
        columns = []
        for field in fields(kind):
            column = f"{field.name} {'INTEGER' if field.type is int else 'TEXT'} NOT NULL"
            columns.append(f"{column} PRIMARY KEY" if key == (field.name,) else column)
        if len(key) > 1:
            columns.append(f"PRIMARY KEY ({', '.join(key)})")
        yield f"CREATE TABLE IF NOT EXISTS {table} ({', '.join(columns)})"
    yield "CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL)"
    yield from _INDEXES


class Store:
    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        for statement in _schema():
            self._database.execute(statement)
        self._next_ids = {kind: self._last_id(kind) + 1 for kind in _FIRST_ID}

    def close(self) -> None:
        self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit on leaving, roll everything back on any error. Inside another one: part of it."""
        if self._database.in_transaction:
            yield
            return
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        finally:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")

    def new_id(self, kind: type[Any]) -> int:
        """Return the next id. A rolled-back transaction leaves a gap, never a repeat."""
        value = self._next_ids[kind]
        self._next_ids[kind] = value + 1
        return value

    def save(self, record: Record) -> None:
        kind = type(record)
        names = _NAMES[kind]
        values = [_to_column(getattr(record, name)) for name in names]
        marks = ", ".join("?" * len(names))
        statement = f"INSERT OR REPLACE INTO {_TABLES[kind][0]} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608
        self._database.execute(statement, values)

    def delete(self, record: Record) -> None:
        kind = type(record)
        table, key = _TABLES[kind]
        where = " AND ".join(f"{name} = ?" for name in key)
        values = [_to_column(getattr(record, name)) for name in key]
        self._database.execute(f"DELETE FROM {table} WHERE {where}", values)  # noqa: S608

    def find(self, kind: type[R], where: str = "1", *values: Value, order: str = "", limit: int = -1) -> list[R]:
        """Return rows; `where` and `order` are SQL of ours, never of a caller's."""
        names = ", ".join(_NAMES[kind])
        statement = f"SELECT {names} FROM {_TABLES[kind][0]} WHERE {where}"  # noqa: S608
        if order:
            statement += f" ORDER BY {order}"
        rows = self._database.execute(f"{statement} LIMIT {limit}", [_to_column(value) for value in values])
        return [_to_record(kind, row) for row in rows]

    def one(self, kind: type[R], where: str, *values: Value) -> R | None:
        found = self.find(kind, where, *values, limit=1)
        return found[0] if found else None

    def live_symbols(self) -> list[tuple[str, str]]:
        statement = "SELECT DISTINCT market, symbol FROM orders WHERE state IN ('new', 'partially_filled')"
        return [(market, symbol) for market, symbol in self._database.execute(statement)]

    def setting(self, name: str) -> str | None:
        row = self._database.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_setting(self, name: str, value: str) -> None:
        self._database.execute("INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)", (name, value))

    def _last_id(self, kind: type[Any]) -> int:
        row = self._database.execute(f"SELECT max(id) FROM {_TABLES[kind][0]}").fetchone()  # noqa: S608
        return int(row[0]) if row[0] is not None else _FIRST_ID[kind] - 1


def _to_column(value: Value) -> str | int:
    return plain(value) if isinstance(value, Decimal) else value


def _to_record(kind: type[R], row: tuple[Any, ...]) -> R:
    return kind(*(reader(value) for reader, value in zip(_READERS[kind], row, strict=True)))
