"""When a topic speaks: at every beat, when something changed, trade by trade, or change by change with a version."""

from collections.abc import Callable, Mapping
from typing import Protocol

Make = Callable[[int], object]
Stamp = Callable[[object, int], object]


class Publisher(Protocol):
    def first(self, now_ms: int) -> list[object]:
        """Return what a new subscriber is sent at once."""
        ...

    def due(self, now_ms: int) -> list[object]:
        """Return what all subscribers are sent now. Called at every step of the price."""
        ...


class Regular:
    """The whole state, once in every period."""

    def __init__(self, make: Make, *, every_ms: int) -> None:
        self._make = make
        self._every_ms = every_ms
        self._beat = -1

    def first(self, now_ms: int) -> list[object]:
        if self._beat < 0:
            self._beat = now_ms // self._every_ms
        return [self._make(now_ms)]

    def due(self, now_ms: int) -> list[object]:
        beat = now_ms // self._every_ms
        if beat == self._beat:
            return []
        self._beat = beat
        return [self._make(now_ms)]


class OnChange:
    """The whole state when it differs from what was last told; `stamp` adds the time, which is no difference."""

    def __init__(self, make: Make, stamp: Stamp) -> None:
        self._make = make
        self._stamp = stamp
        self._told: object = None

    def first(self, now_ms: int) -> list[object]:
        state = self._make(now_ms)
        if self._told is None:
            self._told = state
        return [self._stamp(state, now_ms)]

    def due(self, now_ms: int) -> list[object]:
        state = self._make(now_ms)
        if state == self._told:
            return []
        self._told = state
        return [self._stamp(state, now_ms)]


class InTurn:
    """Both sides of a book, one a push."""

    def __init__(self, *publishers: Publisher) -> None:
        self._publishers = publishers

    def first(self, now_ms: int) -> list[object]:
        return [push for publisher in self._publishers for push in publisher.first(now_ms)]

    def due(self, now_ms: int) -> list[object]:
        return [push for publisher in self._publishers for push in publisher.due(now_ms)]


class Tape:
    """Every trade since the last push. `since` returns the rows after one time and up to another, oldest first."""

    def __init__(self, since: Callable[[int, int], object]) -> None:
        self._since = since
        self._told_ms = -1

    def first(self, now_ms: int) -> list[object]:
        if self._told_ms < 0:
            self._told_ms = now_ms
        return []

    def due(self, now_ms: int) -> list[object]:
        told_ms, self._told_ms = self._told_ms, now_ms
        rows = self._since(told_ms, now_ms)
        return [rows] if rows else []


Side = Mapping[str, str]
Sides = tuple[Side, Side]
Show = Callable[[Sides, str, int, int], object]
_KEEPALIVE_MS = 10_000


class Increments:
    """A book as a snapshot and then its changes, each one version further.

    `read` returns (asks, bids) as price -> size in order; `show` shapes (sides, "snapshot" or "update", version, now).
    A level that has gone is told with size "0". Without changes an empty update repeats the version.
    """

    def __init__(self, read: Callable[[int], Sides], show: Show) -> None:
        self._read = read
        self._show = show
        self._sides: Sides | None = None
        self._version = 0
        self._told_ms = 0

    def first(self, now_ms: int) -> list[object]:
        return [self._show(self._current(now_ms), "snapshot", self._version, now_ms)]

    def due(self, now_ms: int) -> list[object]:
        before = self._current(now_ms)
        after = self._read(now_ms)
        if after != before:
            self._sides = after
            self._version += 1
        elif now_ms - self._told_ms < _KEEPALIVE_MS:
            return []
        self._told_ms = now_ms
        changes = (_changes(before[0], after[0]), _changes(before[1], after[1]))
        return [self._show(changes, "update", self._version, now_ms)]

    def _current(self, now_ms: int) -> Sides:
        if self._sides is None:
            self._sides = self._read(now_ms)
            self._version = 1
            self._told_ms = now_ms
        return self._sides


def _changes(before: Side, after: Side) -> Side:
    gone = {price: "0" for price in before if price not in after}
    return gone | {price: size for price, size in after.items() if before.get(price) != size}
