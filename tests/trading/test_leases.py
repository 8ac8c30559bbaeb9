"""What is left of a lease after a database server died and lost it."""

from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from apps.lib.statements import Asked
from apps.trading import leases
from apps.trading.models import Lease
from tests.factories import ConnectorFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def key() -> tuple[UUID, str]:
    return ConnectorFactory().pk, "BTCUSDT"


def lost(lease: leases.HeldLease) -> None:
    """Forget the lease as a server does that dies before it was written: its row, and that its id was given."""
    number = lease._row_id
    with connection.cursor() as cursor:
        Lease.objects.all().delete()
        cursor.execute(f"ALTER SEQUENCE trading_lease_id_seq RESTART WITH {number}")


def taken(key: tuple[UUID, str]) -> leases.HeldLease:
    lease = leases.take(*key)
    assert lease is not None
    return lease


def test_a_lost_lease_gives_back_nobody_elses(key: tuple[UUID, str]) -> None:
    before = taken(key)
    lost(before)
    after = taken((key[0], "ETHUSDT"))

    before.release()

    assert after._row_id == before._row_id
    assert leases.is_taken(key[0], "ETHUSDT")


def test_a_lost_lease_is_not_renewed(key: tuple[UUID, str]) -> None:
    before = taken(key)
    lost(before)
    taken(key)

    with pytest.raises(leases.LeaseLostError):
        before.renew()


def test_a_lease_that_ran_out_is_somebody_elses(key: tuple[UUID, str], settings: Any) -> None:
    settings.LEASE_S = 0
    first = taken(key)
    settings.LEASE_S = 30
    taken(key)

    first.release()

    assert leases.is_taken(*key)
    assert leases.take(*key) is None


def until_of(key: tuple[UUID, str]) -> Asked:
    sql = "SELECT until > now(), owner <> '' FROM trading_lease WHERE connector_id = %s AND symbol = %s"
    return Asked(sql, key, lambda found: found.rows)


def test_what_is_asked_with_a_lease_is_answered_once_it_is_taken(key: tuple[UUID, str]) -> None:
    lease, answers = leases.take_and_ask(*key, until_of(key))

    assert (lease is not None, answers) == (True, [[(True, True)]])
    assert leases.take_and_ask(*key, until_of(key))[0] is None
    with lease or pytest.fail("not taken"):
        assert lease.renew(until_of(key)) == [[(True, True)]]
    assert not leases.is_taken(*key)


def test_nothing_is_answered_to_who_lost_the_lease(key: tuple[UUID, str]) -> None:
    before = taken(key)
    lost(before)
    taken(key)

    with pytest.raises(leases.LeaseLostError):
        before.renew(until_of(key))


def test_answer_that_cannot_be_read_gives_the_lease_back(key: tuple[UUID, str]) -> None:
    unreadable = Asked("SELECT 'one'", (), lambda found: int(found.rows[0][0]))

    with pytest.raises(ValueError, match="one"):
        leases.take_and_ask(*key, unreadable)

    assert not leases.is_taken(*key)
