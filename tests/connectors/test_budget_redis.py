"""The shared count in a real Redis: the same promises as in one process, and a short time-out when it is gone."""

import os
import socket
import time
import uuid
from collections.abc import Iterator

import pytest
from django.conf import settings as django_settings
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apps.connectors.budget import Budget, Priority, priority
from apps.connectors.budget_redis import RedisWindows
from apps.connectors.budget_windows import NOTHING, Bucket, LocalWindows, Refused, Settling, Taken, Told, WindowsError
from apps.connectors.exchange import BudgetError
from tests.connectors.test_budget import CALLS, HERE, JUST_TOO_SOON, Call, Clock, arrivals


def bucket(count: int = 6, window_ms: int = 2000) -> Bucket:
    return Bucket(f"test-{uuid.uuid4().hex}", count, window_ms)


@pytest.fixture
def windows() -> Iterator[RedisWindows]:
    opened = RedisWindows(django_settings.REDIS_URL)
    yield opened
    opened.close()


@pytest.fixture
def dated() -> Iterator[tuple[RedisWindows, Clock]]:
    clock = Clock()
    opened = RedisWindows(django_settings.REDIS_URL, clock_ms=lambda: int(clock()))
    yield opened, clock
    opened.close()


def take_all(windows: RedisWindows, bucket: Bucket, *, share_pct: int = 100, address: str = HERE) -> list[Taken]:
    taken = []
    while isinstance(found := windows.take(bucket, address, share_pct=share_pct, token=uuid.uuid4().hex), Taken):
        taken.append(found)
    return taken


def test_two_workers_take_from_one_limit(windows: RedisWindows) -> None:
    shared = bucket()
    other = RedisWindows(django_settings.REDIS_URL)

    taken = [len(take_all(windows, shared, share_pct=50)), len(take_all(other, shared)), len(take_all(windows, shared))]
    other.close()

    assert taken == [3, 3, 0]


def test_slots_count_until_one_window_after_the_answer(dated: tuple[RedisWindows, Clock]) -> None:
    windows, clock = dated
    shared = bucket(count=1)
    (taken,) = take_all(windows, shared)
    clock.ms += 1000
    windows.settle(shared, HERE, taken.token, taken_at_ms=taken.at_ms, told=NOTHING)

    clock.ms += 2009
    still = windows.take(shared, HERE, share_pct=100, token="a")
    clock.ms += 1
    again = windows.take(shared, HERE, share_pct=100, token="b")

    assert still == Refused(wait_s=0.001, surely_s=-2.999)
    assert again == Taken("b", clock.ms)


def test_what_an_answer_says_is_believed(dated: tuple[RedisWindows, Clock]) -> None:
    windows, clock = dated
    others, smaller, closed, banned = bucket(), bucket(24), bucket(), bucket()
    address = f"venue:{uuid.uuid4().hex}"
    for each, told in (
        (others, Told(used=4, count=6, reset_ms=2000)),
        (smaller, Told(used=1, count=10, reset_ms=2000)),
        (closed, Told(blocked_ms=2000)),
    ):
        found = windows.take(each, HERE, share_pct=100, token="first")
        assert isinstance(found, Taken)
        windows.settle(each, HERE, found.token, taken_at_ms=found.at_ms, told=told)

    left = [len(take_all(windows, each)) for each in (others, smaller, closed)]
    windows.settle(banned, address, "none", taken_at_ms=clock.ms, told=Told(banned_ms=60_000))
    windows.settle(banned, address, "none", taken_at_ms=clock.ms, told=Told(banned_ms=10))
    refused = windows.take(banned, address, share_pct=100, token="x")

    assert left == [2, 9, 0]
    assert refused == Refused(wait_s=60, surely_s=60, banned=True)
    assert len(take_all(windows, banned)) == 6


@pytest.mark.parametrize("is_local", [False, True])
def test_a_shorter_pause_does_not_open_a_limit_that_is_closed_for_longer(
    dated: tuple[RedisWindows, Clock], is_local: bool
) -> None:
    windows: RedisWindows | LocalWindows = LocalWindows(dated[1]) if is_local else dated[0]
    shared = bucket()
    for token, blocked_ms in (("a", 60_000), ("b", 2_000)):
        dated[1].ms += 1
        windows.settle(shared, HERE, token, taken_at_ms=dated[1].ms, told=Told(blocked_ms=blocked_ms))

    found = windows.take(shared, HERE, share_pct=100, token="c")

    assert isinstance(found, Refused)
    assert found.wait_s == 59.999


def test_slot_tells_how_many_count_with_it(windows: RedisWindows) -> None:
    shared = bucket(count=3)

    assert [taken.count for taken in take_all(windows, shared)] == [1, 2, 3]


def test_what_is_settled_with_the_next_request_is_as_if_settled_before_it(
    dated: tuple[RedisWindows, Clock],
) -> None:
    windows, clock = dated
    told = [Told(used=3, count=5, reset_ms=900), Told(used=1, blocked_ms=400), Told(banned_ms=300)]
    kept = []
    for is_late in (False, True):
        buckets, address = [bucket() for _ in told], f"venue:{uuid.uuid4().hex}"
        taken = [windows.take(one, HERE, share_pct=100, token=f"t{n}") for n, one in enumerate(buckets)]
        clock.ms += 50
        settling = [
            Settling(one, address, slot.token, slot.at_ms, said)
            for one, slot, said in zip(buckets, taken, told, strict=True)
            if isinstance(slot, Taken)
        ]
        if not is_late:
            for one in settling:
                windows.settle(one.bucket, one.address, one.token, taken_at_ms=one.taken_at_ms, told=one.told)
        found = windows.take(buckets[0], "venue:else", share_pct=100, token="new", settling=settling if is_late else ())
        values = [windows._redis.zrange(f"sferica:budget:slots:{one.name}", 0, -1, withscores=True) for one in buckets]
        since = [[(name, score - clock.ms) for name, score in slots] for slots in values]
        refusals = [windows.take(one, address, share_pct=100, token="no") for one in buckets]
        kept.append((isinstance(found, Taken), since, refusals))

    assert kept[0] == kept[1]
    assert kept[0][1] == [
        [("others-t0-1", 910.0), ("others-t0-2", 910.0), ("t0", 2010.0), ("new", 5010.0)],
        [("t1", 2010.0)],
        [("t2", 2010.0)],
    ]
    assert kept[0][2] == [Refused(wait_s=0.3, surely_s=0.3, banned=True)] * 3


def test_a_slot_given_back_is_free(windows: RedisWindows) -> None:
    shared = bucket(count=1)
    windows.take(shared, HERE, share_pct=100, token="a")

    windows.give_back(shared, "a")

    assert isinstance(windows.take(shared, HERE, share_pct=100, token="b"), Taken)


def test_accounts_are_remembered(windows: RedisWindows) -> None:
    key = uuid.uuid4().hex
    before = windows.account_of(key)

    windows.remember_account(key, "10001")

    assert (before, windows.account_of(key)) == (None, "10001")


def test_nothing_stays_in_redis_for_ever(windows: RedisWindows) -> None:
    shared, address, key = bucket(), f"venue:{uuid.uuid4().hex}", uuid.uuid4().hex
    found = windows.take(shared, address, share_pct=100, token="a")
    assert isinstance(found, Taken)
    told = Told(used=3, count=5, reset_ms=2000, blocked_ms=100_000, banned_ms=100_000)
    windows.settle(shared, address, "a", taken_at_ms=found.at_ms, told=told)
    windows.remember_account(key, "1")

    names = [
        name
        for name in windows._redis.scan_iter("sferica:budget:*")
        if any(x in name for x in (shared.name, address, key))
    ]

    assert len(names) == 5
    assert all(0 < windows._redis.ttl(name) <= 30 * 86400 for name in names)


@settings(max_examples=25, deadline=None, print_blob=True)
@given(calls=CALLS, count=st.integers(1, 8), window=st.sampled_from([1000, 2000, 3000]), late=st.booleans())
@example(calls=JUST_TOO_SOON, count=1, window=2000, late=False)
@example(calls=JUST_TOO_SOON, count=1, window=2000, late=True)
def test_no_window_ever_sees_more_than_the_limit(calls: list[Call], count: int, window: int, late: bool) -> None:
    clock = Clock()
    windows = RedisWindows(django_settings.REDIS_URL, clock_ms=lambda: int(clock()))

    reached = arrivals(windows, clock, bucket(count, window), calls, late=late)
    windows.close()

    for first, beyond in zip(reached, reached[count:], strict=False):
        assert beyond - first >= window


def test_redis_that_refuses_is_an_error_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    windows = RedisWindows(f"redis://127.0.0.1:{port}/0")

    with pytest.raises(WindowsError):
        windows.take(bucket(), HERE, share_pct=100, token="a")


def test_redis_that_hangs_costs_one_quarter_second_and_then_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        port = listener.getsockname()[1]
        budget = Budget(LocalWindows(), RedisWindows(f"redis://127.0.0.1:{port}/0"))
        shared = bucket(24)

        with priority(Priority.EXIT, max_wait_s=0):
            started = time.monotonic()
            slots = [budget.admit(shared, address=HERE) for _ in range(6)]
            with pytest.raises(BudgetError):
                budget.admit(shared, address=HERE)
            for slot in slots:
                budget.settle(slot, NOTHING)
        elapsed = time.monotonic() - started

    # Twice the promise: the machine may be busy.
    assert elapsed < 0.5, f"pid {os.getpid()} was held up for {elapsed:.3f} s"
