"""The rows that random fills leave are those of an oracle in fractions: invariants 3 to 9."""

import os
from decimal import Decimal
from random import Random

import pytest
from django.db import DataError, connection, transaction

from tests.torture import money

RUNS = int(os.environ.get("MONEY_RUNS", "60"))
SEED = int(os.environ.get("TORTURE_SEED", "4"))


@pytest.mark.django_db
def test_rows_say_what_the_fills_come_to() -> None:
    tally = money.run(RUNS, SEED)

    assert tally.violations == []
    assert (tally.histories, tally.faults > RUNS / 2) == (RUNS, True)


def test_account_does_not_depend_on_the_order_in_which_matches_are_told() -> None:
    """It is played while the run is drawn: what comes then has to be what is later, by its time or its id."""
    dice, size = Random(SEED), Decimal("0.001")
    for number in range(RUNS):
        run = money.make_run(dice, number, next_id=2**62, size=size)
        again = money.new_account(run.market, run.side, size)

        again.play(dice.sample(run.matches, k=len(run.matches)) + run.matches[:1])

        assert again == run.account


@pytest.mark.django_db
def test_batch_with_a_record_that_fails_is_not_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")

    monkeypatch.setattr("apps.trading.recording.record", refused)

    with pytest.raises(DataError):
        money.run(RUNS, SEED)

    assert connection.features.uses_savepoints
