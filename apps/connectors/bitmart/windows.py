"""Lists that BitMart cuts at a fixed length: read whole by halving the time asked for."""

from collections.abc import Callable

from apps.connectors.bitmart.wire import Row
from apps.connectors.exchange import UnreachableError

LARGEST_CALLS = 40


def read_whole(fetch: Callable[[int, int], list[Row]], *, start: int, end: int, longest: int) -> list[Row]:
    """Return every row between two times, some of them twice; times in whatever unit `fetch` takes.

    Which end of a long list BitMart drops is not documented, so a full page is asked for again as two halves that
    share their border. Raises UnreachableError when the list stays full, as it does when the times are ignored.
    """
    waiting = [(start, end)]
    found: list[Row] = []
    for _ in range(LARGEST_CALLS):
        first, last = waiting.pop()
        page = fetch(first, last)
        if len(page) < longest:
            found += page
        elif last - first > 2:
            middle = (first + last) // 2
            waiting += [(middle, last), (first, middle + 1)]
        else:
            break
        if not waiting:
            return found
    raise UnreachableError("BitMart's list is longer than one answer holds and could not be read whole.")
