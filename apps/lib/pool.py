"""Many waits at once inside one task: the network is waited for in threads, each with its own database connection."""

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextvars import copy_context
from datetime import timedelta
from functools import lru_cache
from typing import TypeVar

from django.conf import settings
from django.db import close_old_connections

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")

logger = logging.getLogger(__name__)

# Rows that were read for a whole lot are read anew by whoever came to them later than this: keys, clocks and choices
# change meanwhile.
FRESH = timedelta(milliseconds=50)


def run_all(work: Callable[[T], object], items: Iterable[T]) -> None:
    """Run `work` for every item and wait for all. One that raises is logged and stops no other."""
    listed = list(items)
    if len(listed) == 1 or not settings.INNER_THREADS:
        for item in listed:
            _guarded(work, item)
        return
    for future in [_threads().submit(_in_thread, work, item) for item in listed]:
        future.result()


def start(work: Callable[[T], object], items: Iterable[T]) -> list[Future[object]]:
    """Run `work` for every item beside the caller, who waits for what is returned. One that raises is logged.

    Where INNER_THREADS is 0 all have run by then. Not to be called from a thread of `run_all`.
    """
    if not settings.INNER_THREADS:
        run_all(work, items)
        return []
    return [_threads().submit(_in_thread, work, item) for item in items]


def as_done(work: Callable[[T], A], items: Iterable[T]) -> Iterator[tuple[T, A | None]]:
    """Run `work` for every item at the same time; give each with its result once it is there, None where it raised.

    Nothing runs before the first is asked for. What raised is logged. Not to be called from a thread of `run_all`.
    """
    listed = list(items)
    if len(listed) == 1 or not settings.INNER_THREADS:
        for item in listed:
            yield item, _guarded(work, item)
        return
    waiting = {_threads().submit(_in_thread, work, item): item for item in listed}
    for future in as_completed(waiting):
        yield waiting[future], future.result()


def at_once(first: Callable[[], A], second: Callable[[], B]) -> tuple[A, B]:
    """Wait for two answers of the network at the same time; return them once both are there.

    Neither call may use the database, nor call this again. Both have ended when an error is raised, that of the first
    before that of the second. One after the other, and no further than an error, where INNER_THREADS is 0.
    """
    if not settings.INNER_THREADS:
        return first(), second()
    try:
        # Threads of their own: those above may all be waiting here. The context says what the calls are for.
        other = _waiters().submit(copy_context().run, second)
    except RuntimeError:
        logger.info("no more threads, this process is ending: asking in turn")
        return first(), second()
    try:
        answer = first()
    finally:
        failure = other.exception()
    if failure is not None:
        raise failure
    return answer, other.result()


@lru_cache(maxsize=1)
def _waiters() -> ThreadPoolExecutor:
    # More than the threads above: tasks, pages and the sweeper ask by themselves as well.
    return ThreadPoolExecutor(2 * settings.INNER_THREADS, thread_name_prefix="wait")


def forget_threads() -> None:
    """For a process that was forked: it has none of its parent's threads."""
    _threads.cache_clear()
    _waiters.cache_clear()


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(settings.INNER_THREADS, thread_name_prefix="work")


def _in_thread(work: Callable[[T], A], item: T) -> A | None:
    close_old_connections()
    return _guarded(work, item)


def _guarded(work: Callable[[T], A], item: T) -> A | None:
    try:
        return work(item)
    except Exception:
        logger.exception("%s failed", work.__qualname__)
        return None
