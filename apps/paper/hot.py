"""Rows that are asked for on every order, kept in memory: accounts, money, positions and what is still live."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from decimal import Decimal
from operator import attrgetter
from typing import Any, Generic, TypeVar

from apps.paper.records import Order

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
        groups: Mapping[str, tuple[str, ...]],
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

    def untouched(self, name: str, key: Key) -> tuple[R, ...]:
        """Return the group's own rows, for a look only: a later change puts another row in the place."""
        return tuple(self._grouped[name].get(key, {}).values())

    def untouched_row(self, key: Key) -> R | None:
        return self._rows.get(key)

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


class OrderTable(HotTable[Order]):
    """The live orders, and those with a limit once more by price and then by age: the book that they make."""

    def __init__(self) -> None:
        by_owner = {"owner": ("market", "account_id"), "symbol": ("market", "symbol")}
        super().__init__(Order, ("id",), groups=by_owner, keeps=lambda order: order.is_live)
        self._books: dict[Key, list[tuple[Decimal, int]]] = {}

    def put(self, key: Key, row: Order | None) -> Order | None:
        before = super().put(key, row)
        if before is not None:
            book = self._books[before.market, before.symbol, before.side]
            del book[bisect_left(book, _rank(before))]
        if row is not None and row.is_live:
            insort(self._books.setdefault((row.market, row.symbol, row.side), []), _rank(row))
        return before

    def best_first(self, market: str, symbol: str, side: str) -> Iterator[Order]:
        """Yield copies from the best price on, the oldest first at one price. Orders may change meanwhile."""
        place: tuple[Decimal, int] | None = None
        book = self._books.get((market, symbol, side), [])
        while (at := 0 if place is None else bisect_right(book, place)) < len(book):
            place = book[at]
            row = self.get((place[1],))
            if row is not None:
                yield row

    def is_empty(self, market: str, symbol: str, side: str) -> bool:
        return not self._books.get((market, symbol, side))


def _rank(order: Order) -> tuple[Decimal, int]:
    return (-order.price if order.side == "buy" else order.price, order.id)
