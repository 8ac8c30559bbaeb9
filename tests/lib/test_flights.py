import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from apps.lib.flights import Flights

OTHERS = 7


class Gate:
    """A question that is answered when all others have asked it too."""

    def __init__(self, answer: object) -> None:
        self.asked = 0
        self.let = threading.Event()
        self._answer = answer

    def __call__(self) -> object:
        self.asked += 1
        assert self.let.wait(10)
        if isinstance(self._answer, Exception) and (self.asked == 1 or isinstance(self._answer, LookupError)):
            raise self._answer
        return self._answer


def crowd(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> list[Future[Any]]:
    """Have eight threads ask one question, seven of them while the first is being answered."""
    flights: Flights[object] = Flights(LookupError)
    waiting = threading.Semaphore(0)
    wait = Future.result

    def result(self: Future[Any], timeout: float | None = None) -> Any:
        waiting.release()
        return wait(self, timeout)

    with ThreadPoolExecutor(1 + OTHERS) as threads:
        first = threads.submit(flights.join, "BTC", gate)
        while not gate.asked:
            threading.Event().wait(0.001)
        with monkeypatch.context() as patched:
            patched.setattr(Future, "result", result)
            others = [threads.submit(flights.join, "BTC", gate) for _ in range(OTHERS)]
            for _ in range(OTHERS):
                assert waiting.acquire(timeout=10)
        gate.let.set()
    return [first, *others]


def test_one_asks_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate("61000")

    answers = crowd(gate, monkeypatch)

    assert [answer.result() for answer in answers] == ["61000"] * 8
    assert gate.asked == 1


def test_all_are_told_of_the_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(LookupError("no answer"))

    answers = crowd(gate, monkeypatch)

    assert [str(answer.exception()) for answer in answers] == ["no answer"] * 8
    assert gate.asked == 1


def test_what_is_wrong_with_who_asks_is_nobody_elses_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(ConnectionError("mine"))

    first, *others = crowd(gate, monkeypatch)

    assert str(first.exception()) == "mine"
    assert [other.exception() for other in others] == [None] * OTHERS
    assert gate.asked == 1 + OTHERS


def test_who_comes_later_asks_anew() -> None:
    flights: Flights[str] = Flights()
    answers = iter(("one", "two", "other"))

    assert [flights.join(key, lambda: next(answers)) for key in ("BTC", "BTC", "ETH")] == ["one", "two", "other"]


def test_a_failure_is_not_kept() -> None:
    flights: Flights[str] = Flights()

    with pytest.raises(ZeroDivisionError):
        flights.join("BTC", lambda: str(1 // 0))

    assert flights.join("BTC", lambda: "61000") == "61000"


def test_a_thread_does_not_wait_for_itself() -> None:
    flights: Flights[str] = Flights()

    assert flights.join("BTC", lambda: flights.join("BTC", lambda: "61000")) == "61000"
