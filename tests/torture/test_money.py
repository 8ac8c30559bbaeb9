"""The rows that random fills leave are those of an oracle in fractions: invariants 3 to 9."""

import os

import pytest

from tests.torture import money

RUNS = int(os.environ.get("MONEY_RUNS", "60"))
SEED = int(os.environ.get("TORTURE_SEED", "4"))


@pytest.mark.django_db
def test_rows_say_what_the_fills_come_to() -> None:
    tally = money.run(RUNS, SEED)

    assert tally.violations == []
    assert (tally.histories, tally.faults > RUNS / 2) == (RUNS, True)
