from typing import Any

import pytest

from apps.connectors.bitmart.windows import LARGEST_CALLS, read_whole
from apps.connectors.exchange import UnreachableError


@pytest.mark.parametrize("keeps_newest", [True, False])
@pytest.mark.parametrize("first_counts", [True, False])
@pytest.mark.parametrize("last_counts", [True, False])
def test_nothing_is_lost_whichever_end_is_cut_and_whichever_border_counts(
    keeps_newest: bool, first_counts: bool, last_counts: bool
) -> None:
    moments = list(range(1, 100))

    def fetch(start: int, end: int) -> list[Any]:
        inside = [
            {"at": at}
            for at in moments
            if (start < at or (first_counts and at == start)) and (at < end or (last_counts and at == end))
        ]
        return inside[-20:] if keeps_newest else inside[:20]

    found = read_whole(fetch, start=0, end=100, longest=20)

    assert sorted({row["at"] for row in found}) == moments


def test_a_short_page_costs_one_call() -> None:
    asked = []

    def fetch(start: int, end: int) -> list[Any]:
        asked.append((start, end))
        return [{}]

    assert read_whole(fetch, start=5, end=9, longest=20) == [{}]
    assert asked == [(5, 9)]


def test_a_page_that_is_full_in_a_single_moment_is_no_answer() -> None:
    with pytest.raises(UnreachableError):
        read_whole(lambda *_: [{}] * 20, start=0, end=2, longest=20)


def test_the_number_of_calls_is_bounded() -> None:
    asked = []

    def fetch(start: int, end: int) -> list[Any]:
        asked.append(start)
        return [{}] * (20 if end - start > 3 else 0)

    with pytest.raises(UnreachableError):
        read_whole(fetch, start=0, end=10**6, longest=20)

    assert len(asked) == LARGEST_CALLS
