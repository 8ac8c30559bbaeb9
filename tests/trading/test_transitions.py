"""A move is one statement: the row and its event, or neither."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import DataError, IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.trading import transitions
from apps.trading.models import Order, OrderEvent, OrderState
from apps.trading.transitions import StaleOrderError
from tests.factories import OrderFactory

pytestmark = pytest.mark.django_db(transaction=True)

AT = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)
MOVED = {
    "exchange_order_id": "50 % 'x'",
    "avg_fill_price": Decimal("60000.000000000000000001"),
    "fees": {"USDT": "0.36"},
    "query_count": 3,
    "next_at": AT,
    "expires_at": None,
}


@pytest.fixture
def order() -> Order:
    return OrderFactory(state="submitting", version=1, signed_at=AT, fence_at=AT, expires_at=AT)


def test_row_and_event_come_in_one_statement(order: Order) -> None:
    with CaptureQueriesContext(connection) as queries:
        transitions.move(order, OrderState.ACCEPTED, cause="acknowledged", evidence={"is": ["50 %", None, 1]}, **MOVED)

    row, event = Order.unscoped.get(), OrderEvent.unscoped.get()
    assert len(queries) == 1
    assert {name: getattr(row, name) for name in MOVED} == MOVED
    assert {name: getattr(order, name) for name in MOVED} == MOVED
    assert (row.state, row.version, row.worker) == ("accepted", 2, event.worker)
    assert (order.state, order.version) == ("accepted", 2)
    assert (event.order_id, event.workspace_id) == (order.pk, order.workspace_id)
    assert (event.from_state, event.to_state, event.version) == ("submitting", "accepted", 2)
    assert (event.cause, event.evidence) == ("acknowledged", {"is": ["50 %", None, 1]})
    assert abs(event.at - datetime.now(UTC)).total_seconds() < 60


def test_a_plan_made_anew_is_not_sent_as_the_one_that_was_lost(order: Order) -> None:
    Order.unscoped.update(created_at=AT)

    with pytest.raises(StaleOrderError):
        transitions.move(order, OrderState.ACCEPTED, cause="acknowledged")

    assert (OrderEvent.unscoped.count(), Order.unscoped.get().version) == (0, 1)


@pytest.mark.parametrize("moved_by_another", [{"state": "unknown"}, {"version": 2}])
def test_stale_order_writes_nothing(order: Order, moved_by_another: dict[str, object]) -> None:
    Order.unscoped.update(**moved_by_another)

    with pytest.raises(StaleOrderError):
        transitions.move(order, OrderState.ACCEPTED, cause="acknowledged", exchange_order_id="x")
    with pytest.raises(StaleOrderError):
        transitions.note(order, cause="seen", exchange_order_id="x")
    transitions.postpone(order, cause="no news", exchange_order_id="x")

    assert (OrderEvent.unscoped.count(), Order.unscoped.get().exchange_order_id) == (0, "")
    assert (order.state, order.version, order.exchange_order_id, order.query_count) == ("submitting", 1, "", 0)


def test_what_the_event_refuses_leaves_the_row_as_it_was(order: Order) -> None:
    with pytest.raises(DataError):
        transitions.move(order, OrderState.ACCEPTED, cause="c" * 61)
    with pytest.raises(DataError):
        transitions.note(order, cause="seen", exchange_order_id="x" * 41)
    with pytest.raises(IntegrityError):
        transitions.note(order, cause="seen", fence_at=None)

    assert (Order.unscoped.get().version, OrderEvent.unscoped.count()) == (1, 0)
    assert (order.state, order.version) == ("submitting", 1)


def test_postponing_without_news_writes_the_row_alone(order: Order) -> None:
    transitions.postpone(order, cause="still open", exchange_order_id="7")

    row = Order.unscoped.get()
    assert (row.query_count, row.exchange_order_id, row.version) == (1, "7", 1)
    assert row.next_at == order.next_at
    assert OrderEvent.unscoped.count() == 0


def test_order_is_born_once_with_its_event() -> None:
    order = OrderFactory.build(connector=OrderFactory().connector, instrument=Order.unscoped.get().instrument)
    order.workspace_id = order.connector.workspace_id
    with transaction.atomic():
        transitions.born(order, cause="planned", evidence={"why": "x"})

    with pytest.raises(IntegrityError), transaction.atomic():
        transitions.born(order, cause="planned")

    event = OrderEvent.unscoped.get(order=order)
    assert (event.from_state, event.to_state, event.version, event.evidence) == ("", "planned", 0, {"why": "x"})
    assert Order.unscoped.get(pk=order.pk).quantity == order.quantity
