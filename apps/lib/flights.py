"""One question for all threads that ask it at the same time."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Flights(Generic[T]):
    """Who asks while the same is being asked gets that answer, or the exception that came instead of one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[Hashable, Future[T]] = {}

    def join(self, key: Hashable, ask: Callable[[], T]) -> T:
        """Return what `ask` returns, called by one thread; later callers ask anew. `ask` must not join the same key."""
        with self._lock:
            under_way = self._under_way.get(key)
            mine: Future[T] = Future()
            if under_way is None:
                self._under_way[key] = mine
        if under_way is not None:
            return under_way.result()
        try:
            mine.set_result(ask())
        except BaseException as error:
            mine.set_exception(error)
            raise
        finally:
            with self._lock:
                del self._under_way[key]
        return mine.result()
