"""Many waits at once inside one task: the network is waited for in threads, each with its own database connection."""

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

from django.conf import settings
from django.db import close_old_connections

T = TypeVar("T")

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
