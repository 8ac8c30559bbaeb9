"""Many waits at once inside one task: the network is waited for in threads, each with its own database connection."""

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import lru_cache
from typing import Any, TypeVar, overload

from django.conf import settings
from django.db import close_old_connections

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")

logger = logging.getLogger(__name__)


def run_all(work: Callable[[T], object], items: Iterable[T]) -> None:
    """Run `work` for every item and wait for all. One that raises is logged and stops no other."""
    listed = list(items)
    if len(listed) == 1 or not settings.INNER_THREADS:
        for item in listed:
            _guarded(work, item)
        return
    for future in [_threads().submit(_in_thread, work, item) for item in listed]:
        future.result()


@overload
def at_once(first: Callable[[], A], second: Callable[[], B], /) -> tuple[A, B]: ...
@overload
def at_once(first: Callable[[], A], second: Callable[[], B], third: Callable[[], C], /) -> tuple[A, B, C]: ...
def at_once(first: Callable[[], Any], *others: Callable[[], Any]) -> tuple[Any, ...]:
    """Wait for several answers of the network at the same time; return them once all are there.

    None of the calls may use the database, nor call this again. All have ended when the error of the first that failed,
    as they are written, is raised. One after the other, and no further than an error, where INNER_THREADS is 0.
    """
    if not settings.INNER_THREADS:
        return (first(), *(other() for other in others))
    # Threads of their own: those above may all be waiting here. The context says what the calls are for.
    under_way: list[Future[Any]] = []
    try:
        for other in others:
            under_way.append(_waiters().submit(copy_context().run, other))
    except RuntimeError:
        logger.info("no more threads, this process is ending: asking in turn")
    try:
        answer = first()
    finally:
        failures = [one.exception() for one in under_way]
    for failure in failures:
        if failure is not None:
            raise failure
    return (answer, *(one.result() for one in under_way), *(other() for other in others[len(under_way) :]))


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


def _in_thread(work: Callable[[T], object], item: T) -> None:
    close_old_connections()
    _guarded(work, item)


def _guarded(work: Callable[[T], object], item: T) -> None:
    try:
        work(item)
    except Exception:
        logger.exception("%s failed", work.__qualname__)
