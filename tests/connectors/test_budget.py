"""The request budget with its clock in our hands: who goes first, and never more than the limit in any window."""

import heapq
from collections.abc import Iterator, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apps.connectors.budget import Budget, Priority, Slot, Standing, at_least, in_a_row, priority, standing
from apps.connectors.budget_windows import (
    ARRIVES_WITHIN_MS,
    MARGIN_MS,
    NOTHING,
    Bucket,
    LocalWindows,
    Refused,
    Settling,
    Taken,
    Told,
    Windows,
    WindowsError,
    ceiling,
)
from apps.connectors.exchange import BudgetError, NotSentError

HERE = "venue:here"
SUBMIT = Bucket("submit", 24, 2000)
HISTORY = Bucket("history", 6, 2000)


class Clock:
    def __init__(self) -> None:
        self.ms = 1_000_000.0

    def __call__(self) -> float:
        return self.ms

    def seconds(self) -> float:
        return self.ms / 1000

    def sleep(self, seconds: float) -> None:
        self.ms += seconds * 1000


class Redis(LocalWindows):
    """Shared windows that can be taken away."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.is_gone = False
        self.calls = 0
        self.accounts: dict[str, str] = {}

    def _answer(self) -> None:
        self.calls += 1
        if self.is_gone:
            raise WindowsError

    def take(self, *args: Any, settling: Sequence[Settling] = (), **kwargs: Any) -> Taken | Refused:
        self._answer()
        for one in settling:
            super().settle(one.bucket, one.address, one.token, taken_at_ms=one.taken_at_ms, told=one.told)
        return super().take(*args, **kwargs)

    def settle(self, *args: Any, **kwargs: Any) -> None:
        self._answer()
        super().settle(*args, **kwargs)

    def give_back(self, bucket: Bucket, token: str) -> None:
        self._answer()
        super().give_back(bucket, token)

    def remember_account(self, key: str, account: str) -> None:
        self._answer()
        self.accounts[key] = account

    def account_of(self, key: str) -> str | None:
        self._answer()
        return self.accounts.get(key)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def redis(clock: Clock) -> Redis:
    return Redis(clock)


@pytest.fixture
def budget(clock: Clock, redis: Redis) -> Budget:
    return worker(clock, redis)


def worker(clock: Clock, redis: Redis | None) -> Budget:
    return Budget(LocalWindows(clock), redis, clock=clock.seconds, sleep=clock.sleep)


def fill(budget: Budget, bucket: Bucket, *, address: str = HERE) -> list[Slot]:
    """Take slots without waiting until there are none."""
    slots = []
    while True:
        try:
            slots.append(budget.admit(bucket, address=address))
        except BudgetError:
            return slots


@pytest.mark.parametrize(
    ("count", "left_by_class"),
    [(50, [50, 45, 35, 30, 25]), (24, [24, 21, 16, 14, 12]), (6, [6, 5, 4, 3, 3]), (2, [2, 1, 1, 1, 1]), (1, [1] * 5)],
)
def test_each_class_may_use_its_share_and_a_third_is_kept_for_the_first_two(
    count: int, left_by_class: list[int], clock: Clock, redis: Redis
) -> None:
    for place, least in zip(Priority, left_by_class, strict=True):
        with priority(place, max_wait_s=0):
            assert len(fill(worker(clock, Redis(clock)), Bucket("b", count, 2000))) == least


def test_screens_that_used_their_share_leave_room_for_entries_and_those_for_exits(budget: Budget) -> None:
    taken = []
    for place in reversed(Priority):
        with priority(place, max_wait_s=0):
            taken.append(len(fill(budget, SUBMIT)))

    assert taken == [12, 2, 2, 5, 3]


def test_a_full_budget_is_a_refusal_that_proves_nothing_was_sent(budget: Budget) -> None:
    with priority(Priority.EXIT, max_wait_s=0):
        fill(budget, HISTORY)

        with pytest.raises(NotSentError) as caught:
            budget.admit(HISTORY, address=HERE)

    assert isinstance(caught.value, BudgetError)
    assert (caught.value.code, caught.value.retry_after, caught.value.banned) == ("", 5.01, False)
    assert caught.value.sentence == (
        "The exchange's request limit is used up for about 5.0 s. Nothing was sent; it can be sent again then."
    )


def test_a_request_waits_for_its_turn_as_long_as_its_caller_allows(budget: Budget, clock: Clock) -> None:
    with priority(Priority.EXIT, max_wait_s=0):
        slots = fill(budget, HISTORY)
    for slot in slots:
        budget.settle(slot, NOTHING)
    started = clock.ms

    with priority(Priority.EXIT, max_wait_s=1.9), pytest.raises(BudgetError):
        budget.admit(HISTORY, address=HERE)
    gave_up = clock.ms
    with priority(Priority.EXIT, max_wait_s=3):
        budget.admit(HISTORY, address=HERE)

    assert round(gave_up - started) == 1900
    assert round(clock.ms - started) == 2000 + MARGIN_MS


def test_what_surely_comes_too_late_is_refused_at_once(budget: Budget, clock: Clock) -> None:
    minute = Bucket("minute", 1, 60_000)
    budget.settle(budget.admit(minute, address=HERE), NOTHING)
    started = clock.ms

    with priority(Priority.EXIT), pytest.raises(BudgetError):
        budget.admit(minute, address=HERE)

    assert clock.ms == started


def test_a_request_that_never_left_costs_nothing(budget: Budget) -> None:
    with priority(Priority.EXIT, max_wait_s=0):
        for slot in fill(budget, HISTORY):
            budget.give_back(slot)

        assert len(fill(budget, HISTORY)) == 6


def test_an_answer_that_never_came_counts_until_it_must_have_arrived(budget: Budget, clock: Clock) -> None:
    with priority(Priority.EXIT, max_wait_s=0):
        fill(budget, HISTORY)
        clock.ms += ARRIVES_WITHIN_MS + 2000
        none_yet = fill(budget, HISTORY)
        clock.ms += MARGIN_MS
        all_again = fill(budget, HISTORY)

    assert (len(none_yet), len(all_again)) == (0, 6)


def test_requests_of_others_that_an_answer_reports_are_counted(budget: Budget, clock: Clock) -> None:
    with priority(Priority.EXIT, max_wait_s=0):
        slot = budget.admit(HISTORY, address=HERE)
        budget.settle(slot, Told(used=4, count=6, reset_ms=2000))
        now = len(fill(budget, HISTORY))
        clock.ms += 10_000
        later = len(fill(budget, HISTORY))

    assert (now, later) == (2, 6)


def test_our_own_requests_in_the_answers_count_are_not_counted_twice(clock: Clock, redis: Redis) -> None:
    one, other = worker(clock, redis), worker(clock, redis)
    with priority(Priority.EXIT, max_wait_s=0):
        slots = [(budget, budget.admit(HISTORY, address=HERE)) for budget in (one, other, one)]
        for used, (budget, slot) in enumerate(slots, start=1):
            budget.settle(slot, Told(used=used, count=6, reset_ms=2000))

        assert len(fill(other, HISTORY)) == 3


def test_a_smaller_limit_than_documented_is_believed(budget: Budget, clock: Clock) -> None:
    with priority(Priority.EXIT, max_wait_s=0):
        budget.settle(budget.admit(SUBMIT, address=HERE), Told(used=1, count=10, reset_ms=2000))
        now = len(fill(budget, SUBMIT))
        clock.ms += 61_000
        later = len(fill(budget, SUBMIT))

    assert (now, later) == (9, 24)


def test_a_refused_request_closes_its_bucket_and_no_other(budget: Budget, clock: Clock) -> None:
    with priority(Priority.EXIT, max_wait_s=0):
        budget.settle(budget.admit(SUBMIT, address=HERE), Told(blocked_ms=2000))
        closed = fill(budget, SUBMIT)
        open_ = fill(budget, HISTORY)
        clock.ms += 2020
        again = fill(budget, SUBMIT)

    assert (len(closed), len(open_), len(again)) == (0, 6, 24)


def test_a_ban_stops_everything_of_the_address_for_exits_too(clock: Clock, redis: Redis) -> None:
    one, other = worker(clock, redis), worker(clock, redis)
    with priority(Priority.EXIT, max_wait_s=0):
        one.settle(one.admit(SUBMIT, address=HERE), Told(banned_ms=60_000))
        with pytest.raises(BudgetError) as caught:
            other.admit(HISTORY, address=HERE)
        elsewhere = fill(other, HISTORY, address="venue:there")
        clock.ms += 60_000
        over = fill(other, SUBMIT)

    assert (caught.value.banned, caught.value.retry_after) == (True, 60)
    assert (len(elsewhere), len(over)) == (6, 24)


def test_workers_share_one_limit(clock: Clock, redis: Redis) -> None:
    with priority(Priority.EXIT, max_wait_s=0):
        taken = [len(fill(worker(clock, redis), HISTORY)) for _ in range(3)]

    assert taken == [6, 0, 0]


def test_no_two_workers_name_a_slot_alike(clock: Clock, redis: Redis) -> None:
    slots = [worker(clock, redis).admit(SUBMIT, address=HERE) for _ in range(2)]

    assert slots[0].token != slots[1].token


def test_without_redis_a_quarter_is_left_and_redis_is_let_alone_for_ten_seconds(
    budget: Budget, clock: Clock, redis: Redis
) -> None:
    redis.is_gone = True
    with priority(Priority.EXIT, max_wait_s=0):
        first = fill(budget, SUBMIT)
        for slot in first:
            budget.settle(slot, NOTHING)
        calls_while_gone = redis.calls
        redis.is_gone = False
        clock.ms += 9_990
        still_alone = fill(budget, SUBMIT)
        clock.ms += 10_000
        together = fill(budget, SUBMIT)

    assert (len(first), len(still_alone), len(together)) == (6, 6, 24)
    assert (calls_while_gone, redis.calls) == (1, 1 + 24)


def test_answers_in_a_row_are_noted_with_the_next_request_and_at_the_end(clock: Clock, redis: Redis) -> None:
    budget = worker(clock, redis)
    with in_a_row():
        first, second = (budget.admit(bucket, address=HERE) for bucket in (SUBMIT, HISTORY))
        clock.ms += 1000
        budget.settle(first, NOTHING)
        budget.settle(second, NOTHING)
        assert redis.calls == 2
        third = budget.admit(SUBMIT, address=HERE)
        budget.settle(third, NOTHING)
        assert redis.calls == 3
    assert redis.calls == 4

    until = {name: sorted(counted.counts_until.values()) for name, counted in redis._counts.items()}
    assert until == {"submit": [clock.ms + 2010, clock.ms + 2010], "history": [clock.ms + 2010]}


def test_what_closes_a_limit_is_noted_at_once(clock: Clock, redis: Redis) -> None:
    ours, theirs = worker(clock, redis), worker(clock, redis)
    with in_a_row():
        ours.settle(ours.admit(SUBMIT, address=HERE), Told(blocked_ms=5000))
        ours.settle(ours.admit(HISTORY, address="venue:there"), Told(banned_ms=5000))

        for bucket, address in ((SUBMIT, HERE), (HISTORY, "venue:there")):
            with priority(Priority.EXIT, max_wait_s=0), pytest.raises(BudgetError):
                theirs.admit(bucket, address=address)


def test_requests_of_others_are_counted_before_other_workers_take_more(clock: Clock, redis: Redis) -> None:
    bucket = Bucket("both", 100, 2000)
    ours, theirs = worker(clock, redis), worker(clock, redis)

    def of_another_worker() -> int:
        with priority(Priority.EXIT, max_wait_s=0):
            return len(fill(theirs, bucket))

    with in_a_row():
        ours.settle(ours.admit(bucket, address=HERE), Told(used=61, reset_ms=2000))

        assert Context().run(of_another_worker) == 39


def test_answers_of_another_budget_are_not_lost(clock: Clock) -> None:
    first, second = Redis(clock), Redis(clock)
    one, two = worker(clock, first), worker(clock, second)
    with in_a_row():
        one.settle(one.admit(SUBMIT, address=HERE), NOTHING)
        two.admit(SUBMIT, address=HERE)

    assert [*first._counts["submit"].counts_until.values()] == [clock.ms + 2010]


def test_answer_that_redis_was_not_told_of_costs_no_order(clock: Clock, redis: Redis) -> None:
    budget = worker(clock, redis)
    with in_a_row():
        budget.settle(budget.admit(SUBMIT, address=HERE), NOTHING)
        redis.is_gone = True
        slot = budget.admit(SUBMIT, address=HERE)
        budget.settle(slot, NOTHING)

    assert (slot.is_shared, redis.calls) == (False, 2)


def test_redis_that_lost_its_count_does_not_make_a_worker_overdraw(clock: Clock, redis: Redis) -> None:
    budget = worker(clock, redis)
    with priority(Priority.EXIT, max_wait_s=0):
        fill(budget, HISTORY)
        redis._counts.clear()

        assert fill(budget, HISTORY) == []


def test_no_redis_at_all_is_a_quarter(clock: Clock) -> None:
    with priority(Priority.EXIT, max_wait_s=0):
        assert len(fill(worker(clock, None), SUBMIT)) == 6
        assert len(fill(worker(clock, None), Bucket("one", 1, 2000))) == 1


def test_the_account_of_a_key_is_known_to_all_workers(clock: Clock, redis: Redis) -> None:
    one, other = worker(clock, redis), worker(clock, redis)
    before = other.account_of("key")

    one.remember_account("key", "10001")
    clock.ms += 300_000

    assert (before, one.account_of("key"), other.account_of("key")) == (None, "10001", "10001")


def test_account_that_is_read_again_is_told_to_a_redis_that_lost_it(clock: Clock, redis: Redis) -> None:
    """Each check of a key reads it; Redis was flushed since, or kept it for its thirty days."""
    one = worker(clock, redis)
    one.remember_account("key", "10001")
    redis.accounts.clear()

    one.remember_account("key", "10001")

    assert worker(clock, redis).account_of("key") == "10001"


def test_the_account_is_asked_for_rarely_and_its_absence_is_no_fault(clock: Clock, redis: Redis) -> None:
    budget = worker(clock, redis)

    asked = [budget.account_of("key") for _ in range(5)]
    calls = redis.calls
    redis.is_gone = True
    clock.ms += 300_000
    gone = budget.account_of("key")

    assert (asked, calls, gone) == ([None] * 5, 1, None)


def test_calls_say_what_they_are_for() -> None:
    seen = [standing()]
    with at_least(Priority.EXIT):
        seen.append(standing())
    with priority(Priority.SCREEN, max_wait_s=1):
        seen.append(standing())
        with at_least(Priority.QUERY):
            seen.append(standing())
    with priority(Priority.EXIT), at_least(Priority.ENTRY):
        seen.append(standing())

    assert seen == [
        Standing(Priority.RECONCILE),
        Standing(Priority.EXIT),
        Standing(Priority.SCREEN, 1),
        Standing(Priority.QUERY, 1),
        Standing(Priority.EXIT),
    ]


@dataclass(frozen=True)
class Call:
    """Milliseconds: since the call before, on the way there, on the way back; None = the answer is lost."""

    gap: int
    there: int
    back: int | None
    place: Priority


CALLS = st.lists(
    st.builds(
        Call,
        st.one_of(st.just(0), st.integers(0, 50), st.integers(0, 4000), st.sampled_from([990, 1990, 2010])),
        st.one_of(st.just(0), st.integers(0, 50), st.integers(0, ARRIVES_WITHIN_MS)),
        st.one_of(st.none(), st.just(0), st.integers(0, 50), st.integers(0, 9000)),
        st.sampled_from(Priority),
    ),
    max_size=120,
)


# The answer is there at once, and the next call comes just before the venue's window has passed.
JUST_TOO_SOON = [Call(0, 0, 0, Priority.EXIT), Call(1990, 0, 0, Priority.EXIT)]


def arrivals(windows: Windows, clock: Clock, bucket: Bucket, calls: list[Call], *, late: bool) -> list[float]:
    """Make the calls that get a slot; return when each of them reaches the venue. `late`: an answer is noted with the
    next call."""
    reached: list[float] = []
    answers: list[tuple[float, str, float]] = []
    at = clock.ms
    for number, call in enumerate(calls):
        at += call.gap
        settling = []
        for settled_at, token, taken_at in iter(lambda at=at: _due(answers, at), None):  # type: ignore[misc]
            clock.ms = settled_at
            if late:
                settling.append(Settling(bucket, HERE, token, taken_at, NOTHING))
            else:
                windows.settle(bucket, HERE, token, taken_at_ms=taken_at, told=NOTHING)
        clock.ms = at
        share = {Priority.EXIT: 100, Priority.SCREEN: 50}.get(call.place, 80)
        taken = windows.take(bucket, HERE, share_pct=share, token=f"t{number}", settling=settling)
        if isinstance(taken, Refused):
            continue
        reached.append(at + call.there)
        if call.back is not None:
            heapq.heappush(answers, (at + call.there + call.back, taken.token, taken.at_ms))
    return sorted(reached)


def _due(answers: list[tuple[float, str, float]], at: float) -> tuple[float, str, float] | None:
    return heapq.heappop(answers) if answers and answers[0][0] <= at else None


@settings(max_examples=300, deadline=None, print_blob=True)
@given(calls=CALLS, count=st.integers(1, 8), window=st.sampled_from([1000, 2000, 3000]), late=st.booleans())
@example(calls=JUST_TOO_SOON, count=1, window=2000, late=False)
@example(calls=JUST_TOO_SOON, count=1, window=2000, late=True)
def test_no_window_ever_sees_more_than_the_limit(calls: list[Call], count: int, window: int, late: bool) -> None:
    clock = Clock()
    reached = arrivals(LocalWindows(clock), clock, Bucket("b", count, window), calls, late=late)

    for first, beyond in zip(reached, reached[count:], strict=False):
        assert beyond - first >= window


@given(count=st.integers(1, 1000))
def test_every_class_has_at_least_one_and_entries_leave_thirty_percent(count: int) -> None:
    assert ceiling(count, 100) == count
    assert 1 <= ceiling(count, 50) <= ceiling(count, 60) <= ceiling(count, 70) <= ceiling(count, 90) <= count
    assert count == 1 or count - ceiling(count, 70) >= count * 0.3


def test_many_buckets_are_forgotten_when_idle(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.connectors.budget_windows.MOST_BUCKETS", 10)
    windows = LocalWindows(clock)
    for number in range(100):
        clock.ms += 10_000
        windows.take(Bucket(f"b{number}", 1, 2000), HERE, share_pct=100)

    assert len(windows._counts) <= 10


@pytest.fixture(autouse=True)
def _no_standing_left() -> Iterator[None]:
    yield
    assert standing() == Standing(Priority.RECONCILE)
