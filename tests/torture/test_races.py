"""Two workers at one row in the same moment: one wins, nothing is raised, no event is lost."""

import os
from collections.abc import Iterator

import pytest

from apps.connectors import opening
from tests.engine.conftest import _rows_of_migrations, committed
from tests.torture import contests, races
from tests.torture.contests import CONTESTS, Stage
from tests.torture.races import Pair

__all__ = ["_rows_of_migrations", "committed"]

RACES = int(os.environ.get("RACES", "2"))
SEED = int(os.environ.get("TORTURE_SEED", "4"))


@pytest.fixture
def ground(committed: None) -> Iterator[Stage]:
    opening.close_all()
    yield contests.stage(SEED)
    opening._open.clear()


def test_one_wins_and_the_other_takes_it_well(ground: Stage) -> None:
    with Pair() as pair, races.quiet():
        scores = {contest.__name__: races.run(contest, ground, pair, races=RACES) for contest in CONTESTS}

    assert [text for score in scores.values() for text in score.violations] == []
    # Nearly all came to the contested statement at the same time; in a few one side had no need to.
    assert [name for name, score in scores.items() if score.met < score.races * 0.8] == []
