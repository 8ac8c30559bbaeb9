"""The person of a simulated world says what is not there, once it cannot come any more, and nothing else."""

from datetime import timedelta
from typing import Any

import pytest

from apps.lib import world
from apps.trading.models import Incident, Order
from tests.factories import IncidentFactory, OrderFactory
from tests.torture import person

pytestmark = pytest.mark.django_db


def _in_doubt(**changes: Any) -> Order:
    long_ago = world.now() - timedelta(minutes=10)
    columns = {"state": "unknown", "signed_at": long_ago, "fence_at": long_ago, **changes}
    order: Order = OrderFactory(**columns)
    IncidentFactory(connector=order.connector, order=order, kind="order_in_doubt")
    return order


def test_what_is_not_in_the_book_ends_by_a_word() -> None:
    person.introduce()
    order = _in_doubt()

    assert person.settle(set()) == 1

    order.refresh_from_db()
    assert (order.state, order.reason_code) == ("not_placed", "SETTLED_BY_PERSON")
    assert Incident.unscoped.get().resolved_at is not None


def test_nothing_is_said_of_what_is_there_or_may_still_come() -> None:
    person.introduce()
    there = _in_doubt()
    coming = _in_doubt(fence_at=world.now() + timedelta(seconds=30))

    assert person.settle({there.client_order_id}) == 0

    assert set(Order.unscoped.values_list("state", flat=True)) == {"unknown"}
    assert coming.version == Order.unscoped.get(pk=coming.pk).version
