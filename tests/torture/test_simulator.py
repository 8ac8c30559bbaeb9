"""The simulator itself, in a small size: its histories end well, and a seed shows them again."""

from collections.abc import Iterator

import pytest
from django.db import connection

from tests.engine.conftest import _rows_of_migrations, committed
from tests.torture import database, simulated, tenants
from tests.torture.tally import Tally
from tests.torture.tenants import Tenant

__all__ = ["_rows_of_migrations", "committed"]


@pytest.fixture
def people(committed: None) -> Iterator[list[Tenant]]:
    database.add_names()
    yield tenants.found(4)
    # The ids of the seed are this connection's.
    connection.close()


def test_books_agree_in_the_end_and_a_seed_tells_the_same_histories(people: list[Tenant]) -> None:
    tally = Tally("engine", 0)

    once = simulated.run(people, "19.0", tally)
    again = simulated.run(people, "19.0", tally)

    assert tally.violations == []
    assert (tally.histories, tally.is_clean) == (8, True)
    assert once == again
