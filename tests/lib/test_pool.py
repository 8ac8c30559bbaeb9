import threading
from collections.abc import Iterator
from typing import Any

import pytest

from apps.connectors.budget import Priority, priority, standing
from apps.lib.pool import _threads, _waiters, as_done, at_once, forget_threads


@pytest.fixture(autouse=True)
def _two_threads(settings: Any) -> Iterator[None]:
    settings.INNER_THREADS = 2
    forget_threads()
    yield
    if _waiters.cache_info().currsize:
        _waiters().shutdown()
    forget_threads()


def failing(error: Exception) -> None:
    raise error


def test_both_are_waited_for_at_the_same_time() -> None:
    meeting = threading.Barrier(2, timeout=5)

    def answer(text: str) -> str:
        meeting.wait()
        return text

    assert at_once(lambda: answer("a"), lambda: answer("b")) == ("a", "b")


def test_each_call_is_for_what_the_caller_said() -> None:
    with priority(Priority.EXIT):
        urgencies = at_once(lambda: standing().priority, lambda: standing().priority)

    assert urgencies == (Priority.EXIT, Priority.EXIT)


def test_without_threads_one_follows_the_other(settings: Any) -> None:
    settings.INNER_THREADS = 0

    assert at_once(threading.get_ident, threading.get_ident) == (threading.get_ident(),) * 2


@pytest.mark.parametrize("threads", [0, 2])
def test_the_first_error_as_they_are_written_is_raised(settings: Any, threads: int) -> None:
    settings.INNER_THREADS = threads
    slow, quick = threading.Event(), ValueError("quick")

    def late() -> None:
        slow.wait(0.2 if threads else 0)
        raise ValueError("late")

    with pytest.raises(ValueError, match="late"):
        at_once(late, lambda: failing(quick))


def test_the_error_of_the_second_is_raised() -> None:
    with pytest.raises(ValueError, match="second"):
        at_once(lambda: 1, lambda: failing(ValueError("second")))


def test_an_error_is_raised_once_both_have_ended() -> None:
    ended = threading.Event()

    def late() -> None:
        threading.Event().wait(0.2)
        ended.set()

    with pytest.raises(ValueError, match="first"):
        at_once(lambda: failing(ValueError("first")), late)

    assert ended.is_set()


def test_where_no_thread_can_be_had_any_more_the_rest_is_asked_in_turn() -> None:
    _waiters().shutdown()

    assert at_once(lambda: 1, threading.get_ident) == (1, threading.get_ident())


def test_what_is_there_first_is_given_first() -> None:
    answered = threading.Event()

    def answer(name: str) -> str:
        if name == "slow":
            answered.wait(5)
        return name.upper()

    found = as_done(answer, ["slow", "quick"])

    assert next(found) == ("quick", "QUICK")
    answered.set()
    assert list(found) == [("slow", "SLOW")]
    _threads().shutdown()


@pytest.mark.parametrize("threads", [0, 2])
def test_one_that_raises_is_logged_and_gives_nothing(
    settings: Any, threads: int, caplog: pytest.LogCaptureFixture
) -> None:
    settings.INNER_THREADS = threads

    found = dict(as_done(lambda number: 6 // number, [0, 3]))

    assert found == {0: None, 3: 2}
    assert "ZeroDivisionError" in caplog.text
    if threads:
        _threads().shutdown()
