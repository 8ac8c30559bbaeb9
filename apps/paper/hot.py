"""Rows that are asked for on every order, kept in memory: accounts, money, positions and what is still live."""

from collections.abc import Callable
from dataclasses import fields
from operator import attrgetter
from typing import Any, Generic, TypeVar

R = TypeVar("R", bound=Any)
Key = tuple[Any, ...]


class HotTable(Generic[R]):
    """Committed and pending rows by key and by group. Rows in here are never handed out, only copies of them.

    A row's groups must never change. `keeps` tells which rows stay: the others live in the file alone.
    """

    def __init__(
        self,
        kind: type[R],
        key: tuple[str, ...],
        *,
        groups: dict[str, tuple[str, ...]],
        keeps: Callable[[R], bool] = lambda row: True,
    ) -> None:
        self._kind = kind
        self._values = attrgetter(*(field.name for field in fields(kind)))
        self.key = key_of(key)
        self._keeps = keeps
        self._rows: dict[Key, R] = {}
        self._group_of = {name: key_of(columns) for name, columns in groups.items()}
        self._grouped: dict[str, dict[Key, dict[Key, R]]] = {name: {} for name in groups}

    def copy(self, row: R) -> R:
        copied: R = self._kind(*self._values(row))
        return copied

    def get(self, key: Key) -> R | None:
        row = self._rows.get(key)
        return None if row is None else self.copy(row)

    def group(self, name: str, key: Key) -> list[R]:
        """Return copies of the group's rows, the oldest first."""
        return [self.copy(row) for row in self._grouped[name].get(key, {}).values()]

    def group_keys(self, name: str) -> list[Key]:
        return list(self._grouped[name])

    def rows(self) -> list[R]:
        return [self.copy(row) for row in self._rows.values()]

    def put(self, key: Key, row: R | None) -> R | None:
        """Set the row, or take it out with None, and return the one that was there."""
        before = self._rows.get(key)
        if row is not None and self._keeps(row):
            self._rows[key] = row
            for name, group_of in self._group_of.items():
                self._grouped[name].setdefault(group_of(row), {})[key] = row
        elif before is not None:
            del self._rows[key]
            for name, group_of in self._group_of.items():
                group = group_of(before)
                members = self._grouped[name][group]
                del members[key]
                if not members:
                    del self._grouped[name][group]
        return before


def key_of(columns: tuple[str, ...]) -> Callable[[Any], Key]:
    if len(columns) > 1:
        return attrgetter(*columns)
    if not columns:
        return lambda row: ()
    read = attrgetter(columns[0])
    return lambda row: (read(row),)
