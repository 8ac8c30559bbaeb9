"""How the calls of this process ended, venue by venue, over the last minute. In memory: next to no cost for a call.

A venue is one exchange at one base address. A call is one try that left us: what never left (refused connections, names
that are not found, our own limiter) is none, and neither good nor bad is learned from it. Its end is ambiguous when
what became of it is not known (UnreachableError); refusals and "too often" are answers.
"""

import os
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from apps.lib import world

WINDOW_S = 60.0
BUCKET_S = 1.0
# While half of this process's calls are ambiguous others are told at once, else so often.
TELL_EVERY_S = 10.0


@dataclass(slots=True)
class _Bucket:
    at: float
    calls: int = 0
    ambiguous: int = 0


@dataclass(frozen=True, slots=True)
class Count:
    """Calls that were made `age_s` seconds ago, up to a second less."""

    age_s: float
    calls: int
    ambiguous: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why entries are off at a venue: so many of its calls were ambiguous."""

    venue: str
    since: datetime
    calls: int
    ambiguous: int


class Outcomes:
    """One venue's calls. Safe to use from several threads."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self._buckets: deque[_Bucket] = deque()
        self._calls = self._ambiguous = 0
        self._lock = threading.Lock()
        self._told_at = float("-inf")
        self._is_new = False

    def count(self, is_ambiguous: bool) -> None:
        now = world.monotonic()
        with self._lock:
            if not self._buckets or now - self._buckets[-1].at >= BUCKET_S:
                self._drop_old(now)
                self._buckets.append(_Bucket(now))
            newest = self._buckets[-1]
            newest.calls += 1
            newest.ambiguous += is_ambiguous
            self._calls += 1
            self._ambiguous += is_ambiguous
            self._is_new = True

    def is_due(self, *, is_watched: bool) -> bool:
        """True when others should hear of this process now. `is_watched`: every call matters at the moment.

        Where half of all calls are ambiguous, half of some process's are: that one tells at once.
        """
        if not self._is_new:
            return False
        now = world.monotonic()
        if is_watched or now - self._told_at >= TELL_EVERY_S:
            return True
        with self._lock:
            self._drop_old(now)
            return 0 < self._calls <= 2 * self._ambiguous

    def tell(self) -> list[Count]:
        """Return the last minute, oldest first, and take it as told."""
        now = world.monotonic()
        with self._lock:
            self._drop_old(now)
            self._told_at, self._is_new = now, False
            return [Count(now - bucket.at, bucket.calls, bucket.ambiguous) for bucket in self._buckets]

    def _drop_old(self, now: float) -> None:
        while self._buckets and now - self._buckets[0].at > WINDOW_S:
            old = self._buckets.popleft()
            self._calls -= old.calls
            self._ambiguous -= old.ambiguous


def total(counts: Sequence[Count], *, within_s: float = WINDOW_S) -> tuple[int, int]:
    """Return calls and ambiguous ones that are no older than that."""
    young = [count for count in counts if count.age_s <= within_s]
    return sum(count.calls for count in young), sum(count.ambiguous for count in young)


_outcomes: dict[str, Outcomes] = {}


def outcomes_of(venue: str) -> Outcomes:
    found = _outcomes.get(venue)
    return found if found is not None else _outcomes.setdefault(venue, Outcomes())


def venues_called() -> list[str]:
    return list(_outcomes)


def forget() -> None:
    """For a process that was forked, and for a test: what was counted is not its own."""
    for found in _outcomes.values():
        found.forget()


os.register_at_fork(after_in_child=forget)
