"""How many requests may leave, and whose go first: one budget for every limit a venue sets, shared by all workers.

A request takes a slot of its route's limit before it is sent and settles it with the answer. A slot counts against the
limit from the moment it is taken until one window after its answer came, so however the request travelled, the venue
cannot have counted more of them in any window than the limit. The shares below keep the rest of a limit for what is
more important: at least 30 % of each is left to exits and to the questions about orders in doubt.
"""

import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Protocol

from apps.connectors.budget_windows import Bucket, Refused, Settling, Told, Windows, WindowsError
from apps.connectors.exchange import BudgetError
from apps.lib import world

BREAKER_S = 10.0
POLL_S = 0.05
ALONE_DIVISOR = 4
ACCOUNT_AGAIN_S = 300.0


class Priority(IntEnum):
    """What a request is for, most important first."""

    EXIT = 0
    QUERY = 1
    ENTRY = 2
    RECONCILE = 3
    SCREEN = 4


SHARES_PCT = {
    Priority.EXIT: 100,
    Priority.QUERY: 90,
    Priority.ENTRY: 70,
    Priority.RECONCILE: 60,
    Priority.SCREEN: 50,
}
WAITS_S = {
    Priority.EXIT: 5.0,
    Priority.QUERY: 5.0,
    Priority.ENTRY: 5.0,
    Priority.RECONCILE: 3.0,
    Priority.SCREEN: 0.25,
}


@dataclass(frozen=True, slots=True)
class Standing:
    """`max_wait_s` is how long the caller's request may wait for its turn; None = as long as its class may.

    `until`, by the monotonic clock, is how long the caller waits for answers, tried once each; None = as long as it
    takes. That one was not waited for says nothing of the exchange.
    """

    priority: Priority
    max_wait_s: float | None = None
    until: float | None = None

    @property
    def wait_s(self) -> float:
        return WAITS_S[self.priority] if self.max_wait_s is None else self.max_wait_s


_standing: ContextVar[Standing | None] = ContextVar("budget_standing", default=None)


def standing() -> Standing:
    return _standing.get() or Standing(Priority.RECONCILE)


@contextmanager
def priority(value: Priority, *, max_wait_s: float | None = None, until: float | None = None) -> Generator[None]:
    """Say what the exchange calls inside are for. Calls that are more important by nature stay so."""
    token = _standing.set(Standing(value, max_wait_s, until))
    try:
        yield
    finally:
        _standing.reset(token)


@contextmanager
def at_least(value: Priority) -> Generator[None]:
    """Raise what is inside to `value` unless the caller already said something more important."""
    outer = _standing.get()
    inner = Standing(value) if outer is None else replace(outer, priority=min(outer.priority, value))
    token = _standing.set(inner)
    try:
        yield
    finally:
        _standing.reset(token)


_settled_late: ContextVar[deque[tuple["Budget", Settling]] | None] = ContextVar("budget_settled_late", default=None)


@contextmanager
def in_a_row() -> Generator[None]:
    """Let the answers inside be noted for all workers with the request that comes next, or at the end: a round trip
    less for each. A slot counts the longer for it. What closes a limit, or tells of others, is noted at once."""
    late: deque[tuple[Budget, Settling]] = deque()
    token = _settled_late.set(late)
    try:
        yield
    finally:
        _settled_late.reset(token)
        for budget, one in late:
            budget.settle_shared(one)


class SharedWindows(Windows, Protocol):
    """Windows that all workers see. Every method may raise WindowsError, at once or after a quarter second."""

    def remember_account(self, key: str, account: str) -> None: ...

    def account_of(self, key: str) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Slot:
    bucket: Bucket
    address: str
    token: str
    taken_at_ms: float
    is_shared: bool
    shared_taken_at_ms: float = 0
    shared_count: int = 0


class Budget:
    """One for a process and all its threads. Without shared windows, or while they fail, a quarter of each limit."""

    def __init__(
        self,
        local: Windows,
        shared: SharedWindows | None,
        *,
        clock: Callable[[], float] = world.monotonic,
        sleep: Callable[[float], None] = world.sleep,
    ) -> None:
        self._local = local
        self._shared = shared
        self._clock = clock
        self._sleep = sleep
        self._alone_until = float("-inf")
        self._accounts: dict[str, tuple[float, str | None]] = {}
        self._lock = threading.Lock()

    def admit(self, bucket: Bucket, *, address: str) -> Slot:
        """Return a slot, waiting for it as long as the caller's standing allows. BudgetError: nothing was sent.

        `address` is where the request leaves from; a ban stops every bucket of it.
        """
        asked = standing()
        give_up_at = self._clock() + asked.wait_s
        while True:
            found = self._take(bucket, address, SHARES_PCT[asked.priority])
            if isinstance(found, Slot):
                return found
            left = give_up_at - self._clock()
            if found.banned or left <= 0 or found.surely_s > left:
                raise _refusal(found)
            self._sleep(min(max(found.wait_s, 0.001), POLL_S, left))

    def settle(self, slot: Slot, told: Told) -> None:
        """Note that the answer came, and what it said about the limit."""
        self._local.settle(slot.bucket, slot.address, slot.token, taken_at_ms=slot.taken_at_ms, told=told)
        if not slot.is_shared:
            return
        one = Settling(slot.bucket, slot.address, slot.token, slot.shared_taken_at_ms, told)
        late = _settled_late.get()
        # More than were ours: how many the others made is told apart by what was taken until now.
        has_others = told.used > slot.shared_count
        if late is None or has_others or told.blocked_ms or told.banned_ms:
            self.settle_shared(one)
        else:
            late.append((self, one))

    def settle_shared(self, one: Settling) -> None:
        shared = self._shared_now()
        if shared is None:
            return
        try:
            shared.settle(one.bucket, one.address, one.token, taken_at_ms=one.taken_at_ms, told=one.told)
        except WindowsError:
            self._trip()

    def give_back(self, slot: Slot) -> None:
        """Return a slot whose request never left."""
        self._local.give_back(slot.bucket, slot.token)
        shared = self._shared_now()
        if shared is None or not slot.is_shared:
            return
        try:
            shared.give_back(slot.bucket, slot.token)
        except WindowsError:
            self._trip()

    def remember_account(self, key: str, account: str) -> None:
        """Note to which account a key belongs: the keys of one account share the limits that are set per account.

        It is read with each check of a key, and told to all workers each time: Redis may have lost it since.
        """
        with self._lock:
            self._accounts[key] = (float("inf"), account)
        shared = self._shared_now()
        if shared is None:
            return
        try:
            shared.remember_account(key, account)
        except WindowsError:
            self._trip()

    def account_of(self, key: str) -> str | None:
        """Return the account of a key; None until some worker has read it from the venue."""
        with self._lock:
            known = self._accounts.get(key)
        if known is not None and known[0] > self._clock():
            return known[1]
        shared = self._shared_now()
        if shared is None:
            return known[1] if known else None
        try:
            account = shared.account_of(key)
        except WindowsError:
            self._trip()
            return known[1] if known else None
        with self._lock:
            self._accounts[key] = (self._clock() + ACCOUNT_AGAIN_S if account is None else float("inf"), account)
        return account

    def _take(self, bucket: Bucket, address: str, share_pct: int) -> Slot | Refused:
        shared = self._shared_now()
        allowed = bucket if shared is not None else bucket.divided(ALONE_DIVISOR)
        # This process counts for itself all the time, so that it cannot overdraw when the shared count is lost.
        mine = self._local.take(allowed, address, share_pct=share_pct)
        if isinstance(mine, Refused):
            return mine
        if shared is None:
            return Slot(bucket, address, mine.token, mine.at_ms, is_shared=False)
        try:
            theirs = shared.take(bucket, address, share_pct=share_pct, token=mine.token, settling=self._late())
        except WindowsError:
            self._trip()
            self._local.give_back(bucket, mine.token)
            return self._take(bucket, address, share_pct)
        if isinstance(theirs, Refused):
            self._local.give_back(bucket, mine.token)
            return theirs
        return Slot(
            bucket,
            address,
            mine.token,
            mine.at_ms,
            is_shared=True,
            shared_taken_at_ms=theirs.at_ms,
            shared_count=theirs.count,
        )

    def _late(self) -> list[Settling]:
        """Return what was left for the next request to note; each is taken once, whichever thread comes first."""
        late, found = _settled_late.get(), []
        while late:
            try:
                budget, one = late.popleft()
            except IndexError:
                break
            if budget is self:
                found.append(one)
            else:
                budget.settle_shared(one)
        return found

    def _shared_now(self) -> SharedWindows | None:
        return self._shared if self._clock() >= self._alone_until else None

    def _trip(self) -> None:
        self._alone_until = self._clock() + BREAKER_S


def _refusal(found: Refused) -> BudgetError:
    seconds = f"{max(found.wait_s, 0.1):.1f} s"
    if found.banned:
        return BudgetError(
            f"The exchange has shut our address out for too many requests; we stay away for {seconds}. "
            "Nothing was sent.",
            retry_after=found.wait_s,
            banned=True,
        )
    return BudgetError(
        f"The exchange's request limit is used up for about {seconds}. Nothing was sent; it can be sent again then.",
        retry_after=found.wait_s,
    )
