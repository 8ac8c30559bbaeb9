"""The exchange's own file: SQLite, one writer, every acknowledged change in it before its answer leaves.

A process that is killed loses nothing. A machine that loses its power may lose the last moments, which is why no commit
waits for the disk: a book of play money need not.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import Field, fields
from decimal import Decimal
from operator import attrgetter
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from apps.paper.amounts import plain
from apps.paper.events import Feed
from apps.paper.hot import HotTable, Key, OrderTable, key_of
from apps.paper.records import (
    Account,
    Balance,
    Countdown,
    Fill,
    LeverageSetting,
    Order,
    Position,
    PricePin,
    Setting,
    Transaction,
    Transfer,
    Trigger,
)


class Record(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


R = TypeVar("R", bound=Record)
Value = str | int | Decimal

_TABLES: dict[type[Any], tuple[str, tuple[str, ...]]] = {
    Account: ("accounts", ("id",)),
    Balance: ("balances", ("account_id", "wallet", "currency")),
    Order: ("orders", ("id",)),
    Trigger: ("triggers", ("id",)),
    Fill: ("fills", ("id",)),
    Position: ("positions", ("account_id", "symbol", "side")),
    Transaction: ("transactions", ("id",)),
    Transfer: ("transfers", ("id",)),
    LeverageSetting: ("leverages", ("account_id", "symbol")),
    PricePin: ("pins", ("symbol",)),
    Countdown: ("countdowns", ("account_id", "symbol")),
    Setting: ("settings", ("name",)),
}
# Order and trade ids start above 2**53 on purpose: a client that reads them as floats gets them wrong.
_FIRST_ID = {
    Account: 10_001,
    Order: 118_100_034_543_076_010,
    Trigger: 230_930_336_848_609_000,
    Fill: 122_177_405_911_172_002,
    Transaction: 1_141_853_921,
    Transfer: 664_651_258_694_168_576,
}
_INDEXES = (
    "CREATE UNIQUE INDEX IF NOT EXISTS accounts_key ON accounts (access_key)",
    "CREATE INDEX IF NOT EXISTS orders_account ON orders (account_id, market, id)",
    "CREATE INDEX IF NOT EXISTS orders_client ON orders (account_id, client_order_id) WHERE client_order_id != ''",
    "CREATE INDEX IF NOT EXISTS orders_live ON orders (market, symbol) WHERE state IN ('new', 'partially_filled')",
    "CREATE INDEX IF NOT EXISTS triggers_client ON triggers (account_id, client_order_id) WHERE client_order_id != ''",
    "CREATE INDEX IF NOT EXISTS triggers_account ON triggers (account_id, market, id)",
    "CREATE INDEX IF NOT EXISTS triggers_live ON triggers (market, symbol) WHERE state = 'waiting'",
    "CREATE INDEX IF NOT EXISTS fills_account ON fills (account_id, market, id)",
    "CREATE INDEX IF NOT EXISTS fills_order ON fills (order_id)",
    "CREATE INDEX IF NOT EXISTS transactions_account ON transactions (account_id, id)",
    "CREATE INDEX IF NOT EXISTS transfers_account ON transfers (account_id, id)",
)
_NAMES = {kind: tuple(field.name for field in fields(kind)) for kind in _TABLES}
_READERS: dict[type[Any], tuple[Any, ...]] = {kind: tuple(field.type for field in fields(kind)) for kind in _TABLES}
_KEY_OF = {kind: key_of(key) for kind, (_, key) in _TABLES.items()}
_SAVE = {
    kind: f"INSERT OR REPLACE INTO {table} ({', '.join(_NAMES[kind])}) VALUES ({', '.join('?' * len(_NAMES[kind]))})"  # noqa: S608
    for kind, (table, _) in _TABLES.items()
}
_DELETE = {
    kind: f"DELETE FROM {table} WHERE {' AND '.join(f'{name} = ?' for name in key)}"  # noqa: S608
    for kind, (table, key) in _TABLES.items()
}
_LIVE = {Order: "state IN ('new', 'partially_filled')", Trigger: "state = 'waiting'"}


def _hot_tables() -> dict[type[Any], HotTable[Any]]:
    by_owner = {"owner": ("market", "account_id"), "symbol": ("market", "symbol")}
    return {
        Account: HotTable(Account, ("id",), groups={"access_key": ("access_key",)}),
        Balance: HotTable(Balance, ("account_id", "wallet", "currency"), groups={"wallet": ("account_id", "wallet")}),
        Position: HotTable(
            Position, ("account_id", "symbol", "side"), groups={"owner": ("account_id",), "symbol": ("symbol",)}
        ),
        LeverageSetting: HotTable(LeverageSetting, ("account_id", "symbol"), groups={}),
        Countdown: HotTable(Countdown, ("account_id", "symbol"), groups={}),
        Setting: HotTable(Setting, ("name",), groups={}),
        Trigger: HotTable(Trigger, ("id",), groups=by_owner, keeps=lambda trigger: trigger.is_live),
    }


class Store:
    """A change is in memory at once and in the file when its transaction ends; `feed` tells of it after that.

    With `on_ended` set, ended transactions wait in memory, after a call of it, for the `commit()` that writes them
    together: nobody may be told of them before.
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._make_tables()
        self.feed = Feed()
        self.on_ended: Callable[[], None] | None = None
        self._open = False
        self._has_savepoint = False
        self._ended: dict[type[Any], dict[Key, Any]] = {}
        self._dirty: dict[type[Any], dict[Key, Any]] = {}
        self._undo: list[tuple[HotTable[Any], Key, Any]] = []
        self._ended_undo: list[tuple[HotTable[Any], Key, Any]] = []
        self.orders = OrderTable()
        self._hot = _hot_tables() | {Order: self.orders}
        for kind, hot in self._hot.items():
            for row in self.find(kind, _LIVE.get(kind, "1"), order="rowid"):
                hot.put(hot.key(row), row)
        self._next_ids = {kind: self._last_id(kind) + 1 for kind in _FIRST_ID}

    def close(self) -> None:
        self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep what is changed on leaving, undo all of it on any error. Inside another one: part of it."""
        if self._open:
            yield
            return
        self._open = True
        ended = False
        try:
            yield
            ended = True
        finally:
            self._open = False
            if ended:
                self._end()
            else:
                self._undo_open()
        if self.on_ended is None:
            self.commit()
        elif self._ended or self._database.in_transaction or self.feed.has_kept:
            self.on_ended()

    def commit(self) -> None:
        """Write every ended transaction, then tell the feed. On an error all of them are undone."""
        try:
            for kind in tuple(self._ended):
                self._write(kind, self._ended.pop(kind))
            if self._database.in_transaction:
                self._database.execute("COMMIT")
        except BaseException:
            self._ended.clear()
            self._put_back(self._ended_undo)
            self.feed.forget()
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise
        self._ended_undo.clear()
        self.feed.release()

    def new_id(self, kind: type[Any]) -> int:
        """Return the next id. A rolled-back transaction leaves a gap, never a repeat."""
        value = self._next_ids[kind]
        self._next_ids[kind] = value + 1
        return value

    def save(self, record: Record) -> None:
        self._change(type(record), _KEY_OF[type(record)](record), record)

    def delete(self, record: Record) -> None:
        self._change(type(record), _KEY_OF[type(record)](record), None)

    def hot(self, kind: type[R]) -> HotTable[R]:
        return self._hot[kind]

    def get(self, kind: type[R], *key: Value) -> R | None:
        """Return a copy of one row of a kind that is kept in memory whole."""
        return self._hot[kind].get(key)

    def find(self, kind: type[R], where: str = "1", *values: Value, order: str = "", limit: int = -1) -> list[R]:
        """Return rows; `where` and `order` are SQL of ours, never of a caller's."""
        self._flush(kind)
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
        """Return (market, symbol) of everything that waits for a price."""
        keys = {*self.orders.group_keys("symbol"), *self._hot[Trigger].group_keys("symbol")}
        return sorted((str(market), str(symbol)) for market, symbol in keys)

    def setting(self, name: str) -> str | None:
        found = self.get(Setting, name)
        return None if found is None else found.value

    def set_setting(self, name: str, value: str) -> None:
        self.save(Setting(name, value))

    def _change(self, kind: type[Any], key: Key, record: Any) -> None:
        if not self._open:
            with self.transaction():
                self._change(kind, key, record)
            return
        hot = self._hot.get(kind)
        if hot is not None:
            record = None if record is None else hot.copy(record)
            self._undo.append((hot, key, hot.put(key, record)))
        self._dirty.setdefault(kind, {})[key] = record

    def _end(self) -> None:
        if self._has_savepoint:
            self._database.execute("RELEASE open")
            self._has_savepoint = False
        for kind, rows in self._dirty.items():
            self._ended.setdefault(kind, {}).update(rows)
        self._dirty.clear()
        self._ended_undo += self._undo
        self._undo.clear()
        self.feed.keep()

    def _undo_open(self) -> None:
        if self._has_savepoint:
            self._database.execute("ROLLBACK TO open")
            self._database.execute("RELEASE open")
            self._has_savepoint = False
        self._dirty.clear()
        self._put_back(self._undo)
        self.feed.forget_open()

    def _put_back(self, undo: list[tuple[HotTable[Any], Key, Any]]) -> None:
        for hot, key, before in reversed(undo):
            hot.put(key, before)
        undo.clear()

    def _flush(self, kind: type[Any]) -> None:
        """Bring the changed rows of a kind before the eyes of a query, without committing them."""
        if kind in self._ended:
            self._write(kind, self._ended.pop(kind))
        if kind in self._dirty:
            if not self._has_savepoint:
                # What ended before must not go with what is open.
                for earlier in tuple(self._ended):
                    self._write(earlier, self._ended.pop(earlier))
                if not self._database.in_transaction:
                    self._database.execute("BEGIN IMMEDIATE")
                self._database.execute("SAVEPOINT open")
                self._has_savepoint = True
            self._write(kind, self._dirty.pop(kind))

    def _write(self, kind: type[Any], rows: dict[Key, Any]) -> None:
        if not self._database.in_transaction:
            self._database.execute("BEGIN IMMEDIATE")
        values_of = attrgetter(*_NAMES[kind])
        gone = [key for key, record in rows.items() if record is None]
        kept = [
            [plain(value) if type(value) is Decimal else value for value in values_of(record)]
            for record in rows.values()
            if record is not None
        ]
        if gone:
            self._database.executemany(_DELETE[kind], [[_to_column(value) for value in key] for key in gone])
        if kept:
            self._database.executemany(_SAVE[kind], kept)

    def _last_id(self, kind: type[Any]) -> int:
        row = self._database.execute(f"SELECT max(id) FROM {_TABLES[kind][0]}").fetchone()  # noqa: S608
        return int(row[0]) if row[0] is not None else _FIRST_ID[kind] - 1

    def _make_tables(self) -> None:
        for kind, (table, key) in _TABLES.items():
            columns = [_column(field, is_key=key == (field.name,)) for field in fields(kind)]
            if len(key) > 1:
                columns.append(f"PRIMARY KEY ({', '.join(key)})")
            self._database.execute(f"CREATE TABLE IF NOT EXISTS {table} ({', '.join(columns)})")
            # A file of an earlier version lacks the columns that came later.
            known = {row[1] for row in self._database.execute(f"PRAGMA table_info({table})")}
            for field in fields(kind):
                if field.name not in known:
                    self._database.execute(f"ALTER TABLE {table} ADD COLUMN {_column(field, is_key=False)}")
        for statement in _INDEXES:
            self._database.execute(statement)


def _column(field: Field[Any], *, is_key: bool) -> str:
    kind, empty = ("INTEGER", "0") if field.type is int else ("TEXT", "'0'" if field.type is Decimal else "''")
    return f"{field.name} {kind} NOT NULL {'PRIMARY KEY' if is_key else f'DEFAULT {empty}'}"


def _to_column(value: Value) -> str | int:
    return plain(value) if isinstance(value, Decimal) else value


def _to_record(kind: type[R], row: tuple[Any, ...]) -> R:
    return kind(*(reader(value) for reader, value in zip(_READERS[kind], row, strict=True)))
