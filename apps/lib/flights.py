"""One question for all threads that ask it at the same time."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import CancelledError, Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Flights(Generic[T]):
    """Who asks while the same is being asked gets that answer, or the error that was the answer."""

    def __init__(self, *answers: type[Exception]) -> None:
        """`answers` are the errors that say something of what was asked; all others are troubles of who asked."""
        self._answers = answers
        self._lock = threading.Lock()
        self._under_way: dict[Hashable, tuple[int, Future[T]]] = {}

    def join(self, key: Hashable, ask: Callable[[], T]) -> T:
        """Return what `ask` returns, called by one thread; later callers ask anew."""
        me = threading.get_ident()
        mine: Future[T] = Future()
        with self._lock:
            asking, answer = self._under_way.setdefault(key, (me, mine))
        if answer is not mine:
            # Whoever asks in the middle of asking, as a simulation of many workers in one thread does, cannot wait.
            return ask() if asking == me else _told(answer, ask)
        try:
            mine.set_result(ask())
        except self._answers as error:
            mine.set_exception(error)
            raise
        finally:
            mine.cancel()
            with self._lock:
                del self._under_way[key]
        return mine.result()


def _told(answer: "Future[T]", ask: Callable[[], T]) -> T:
    try:
        return answer.result()
    except CancelledError:
        return ask()
