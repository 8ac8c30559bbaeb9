"""Slots counted in sliding windows, inside one process."""

import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from apps.lib import world

# A request that is going to arrive has arrived by then: as long as a connection may take to come about.
ARRIVES_WITHIN_MS = 3000
# Clocks are read in whole milliseconds on one side and not at the same moment on the other.
MARGIN_MS = 10
# Ended slots are kept so long, to tell our own requests from those of others in what an answer reports.
RETAINED_MS = 20_000
# What an answer said about the size of the limit is believed so long.
TOLD_LIMIT_MS = 60_000
MOST_BUCKETS = 20_000
MOST_TOLD = 1000


class WindowsError(Exception):
    """The count could not be read or written."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """`count` requests in any `window_ms`, counted under `name`."""

    name: str
    count: int
    window_ms: int

    def divided(self, by: int) -> "Bucket":
        return replace(self, count=max(1, self.count // by))

    @property
    def hold_ms(self) -> int:
        """How long a slot counts whose answer never comes."""
        return ARRIVES_WITHIN_MS + self.window_ms + MARGIN_MS

    @property
    def keep_ms(self) -> int:
        """How long a slot counts after its answer came."""
        return self.window_ms + MARGIN_MS

    @property
    def retained_ms(self) -> int:
        return self.hold_ms + RETAINED_MS


@dataclass(frozen=True, slots=True)
class Told:
    """What an answer said. `used` is the venue's own count in its window, this request included; 0 = not said.

    `blocked_ms` closes the bucket, `banned_ms` everything that leaves from the address.
    """

    used: int = 0
    count: int = 0
    reset_ms: int = 0
    blocked_ms: int = 0
    banned_ms: int = 0


NOTHING = Told()


@dataclass(frozen=True, slots=True)
class Taken:
    """`count` of the slots that count now, this one included."""

    token: str
    at_ms: float
    count: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """`surely_s` is how long it takes at least; `wait_s` how long if the answers on their way never come."""

    wait_s: float
    surely_s: float
    banned: bool = False


@dataclass(frozen=True, slots=True)
class Settling:
    """What `settle` takes of one slot."""

    bucket: Bucket
    address: str
    token: str
    taken_at_ms: float
    told: Told


class Windows(Protocol):
    def take(
        self, bucket: Bucket, address: str, *, share_pct: int, token: str = "", settling: Sequence[Settling] = ()
    ) -> Taken | Refused:
        """Settle what is `settling`, then take a slot or none."""
        ...

    def settle(self, bucket: Bucket, address: str, token: str, *, taken_at_ms: float, told: Told) -> None: ...

    def give_back(self, bucket: Bucket, token: str) -> None: ...


def ceiling(count: int, share_pct: int) -> int:
    """Return how many of `count` a class may use; one at least, or nothing could ever be asked."""
    return max(1, count * share_pct // 100)


@dataclass(slots=True)
class _Count:
    counts_until: dict[str, float] = field(default_factory=dict)
    blocked_until: float = 0
    told_count: int = 0
    told_until: float = 0
    used_at: float = 0


class LocalWindows:
    def __init__(self, clock_ms: Callable[[], float] = lambda: world.monotonic() * 1000) -> None:
        self._clock_ms = clock_ms
        self._counts: dict[str, _Count] = {}
        self._banned_until: dict[str, float] = {}
        # Two workers must never name a slot alike: process numbers repeat from container to container.
        self._name = world.new_id().hex
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def take(
        self, bucket: Bucket, address: str, *, share_pct: int, token: str = "", settling: Sequence[Settling] = ()
    ) -> Taken | Refused:
        for one in settling:
            self.settle(one.bucket, one.address, one.token, taken_at_ms=one.taken_at_ms, told=one.told)
        now = self._clock_ms()
        with self._lock:
            if (banned_until := self._banned_until.get(address, 0)) > now:
                return refused(banned_until - now, banned=True)
            counted = self._counted(bucket, now)
            if counted.blocked_until > now:
                return refused(counted.blocked_until - now)
            allowed = min(bucket.count, counted.told_count) if counted.told_until > now else bucket.count
            most = ceiling(allowed, share_pct)
            running = sorted((until for until in counted.counts_until.values() if until > now), reverse=True)
            if len(running) >= most:
                return refused(running[most - 1] - now)
            token = token or f"{self._name}-{next(self._numbers)}"
            counted.counts_until[token] = now + bucket.hold_ms
            return Taken(token, now, len(running) + 1)

    def settle(self, bucket: Bucket, address: str, token: str, *, taken_at_ms: float, told: Told) -> None:
        now = self._clock_ms()
        with self._lock:
            counted = self._counted(bucket, now)
            if token in counted.counts_until:
                counted.counts_until[token] = now + bucket.keep_ms
            ours = sum(until > taken_at_ms for until in counted.counts_until.values())
            for _ in range(min(told.used - ours, MOST_TOLD)):
                counted.counts_until[f"others-{next(self._numbers)}"] = now + told.reset_ms + MARGIN_MS
            if told.count:
                counted.told_count, counted.told_until = told.count, now + TOLD_LIMIT_MS
            if told.blocked_ms:
                counted.blocked_until = max(counted.blocked_until, now + told.blocked_ms)
            if told.banned_ms:
                self._banned_until[address] = max(self._banned_until.get(address, 0), now + told.banned_ms)

    def give_back(self, bucket: Bucket, token: str) -> None:
        with self._lock:
            if (counted := self._counts.get(bucket.name)) is not None:
                counted.counts_until.pop(token, None)

    def _counted(self, bucket: Bucket, now: float) -> _Count:
        if bucket.name not in self._counts and len(self._counts) >= MOST_BUCKETS:
            self._forget_idle(now)
        counted = self._counts.setdefault(bucket.name, _Count())
        counted.used_at = now
        for token in [token for token, until in counted.counts_until.items() if until <= now - RETAINED_MS]:
            del counted.counts_until[token]
        return counted

    def _forget_idle(self, now: float) -> None:
        idle = [
            name
            for name, counted in self._counts.items()
            if max(counted.blocked_until, *counted.counts_until.values(), counted.used_at + RETAINED_MS) <= now
        ]
        for name in idle:
            del self._counts[name]


def refused(wait_ms: float, *, banned: bool = False) -> Refused:
    return Refused(
        wait_s=wait_ms / 1000,
        surely_s=wait_ms / 1000 if banned else (wait_ms - ARRIVES_WITHIN_MS) / 1000,
        banned=banned,
    )
