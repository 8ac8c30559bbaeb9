"""What a process counts of its calls: a minute of them, and when others are told."""

from collections.abc import Iterator

import pytest

from apps.connectors.outcomes import Count, Outcomes, total
from apps.lib import world
from tests.torture.clock import VirtualWorld


@pytest.fixture
def clock() -> Iterator[VirtualWorld]:
    clock = VirtualWorld(1)
    with world.replaced(clock):
        yield clock


def _counted(outcomes: Outcomes, certain: int, ambiguous: int) -> None:
    for number in range(certain + ambiguous):
        outcomes.count(number >= certain)


def test_calls_are_counted_for_a_minute(clock: VirtualWorld) -> None:
    outcomes = Outcomes()
    _counted(outcomes, 3, 2)
    clock.sleep(20)
    _counted(outcomes, 1, 1)

    assert outcomes.tell() == [Count(20, 5, 2), Count(0, 2, 1)]
    clock.sleep(40)
    assert total(outcomes.tell()) == (7, 3)
    clock.sleep(0.001)
    assert total(outcomes.tell()) == (2, 1)
    clock.sleep(20)
    assert outcomes.tell() == []


def test_only_what_is_young_enough_is_added_up() -> None:
    counts = [Count(61, 100, 100), Count(60, 10, 1), Count(4, 5, 2), Count(0.5, 2, 1)]

    assert total(counts) == (17, 4)
    assert total(counts, within_s=4) == (7, 3)
    assert total(counts, within_s=-1) == (0, 0)


def test_others_are_told_at_once_while_half_is_ambiguous_and_else_every_ten_seconds(clock: VirtualWorld) -> None:
    outcomes = Outcomes()
    assert not outcomes.is_due(is_watched=False)
    _counted(outcomes, 2, 0)
    assert outcomes.is_due(is_watched=False)
    outcomes.tell()

    assert not outcomes.is_due(is_watched=True)
    _counted(outcomes, 0, 1)
    assert not outcomes.is_due(is_watched=False)
    assert outcomes.is_due(is_watched=True)
    _counted(outcomes, 0, 1)
    assert outcomes.is_due(is_watched=False)
    outcomes.tell()
    assert not outcomes.is_due(is_watched=False)

    _counted(outcomes, 1, 0)
    clock.sleep(9.9)
    assert not outcomes.is_due(is_watched=False)
    clock.sleep(0.1)
    assert outcomes.is_due(is_watched=False)
