"""When a settled world stops: not while time still brings something, nor for an order nobody was told of."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction

from apps.lib import world
from apps.trading.models import AccountWatch, Order, Position, Protection
from tests.factories import AlertFactory, IncidentFactory, OrderFactory, PositionFactory
from tests.torture import rest

pytestmark = pytest.mark.django_db


def read(in_book: dict[str, Decimal]) -> rest.Rest:
    return rest.read(in_book, since=world.now() - timedelta(minutes=1))


def _in_doubt(**changes: Any) -> Order:
    long_ago = world.now() - timedelta(minutes=10)
    order: Order = OrderFactory(state="unknown", signed_at=long_ago, fence_at=long_ago, next_at=long_ago, **changes)
    return order


def _told(order: Order) -> None:
    IncidentFactory(connector=order.connector, order=order, kind="order_in_doubt")


def _asked_again(order: Order, **changes: Any) -> None:
    Order.unscoped.filter(pk=order.pk).update(query_count=order.query_count + 1, **changes)


def test_nothing_left() -> None:
    OrderFactory(state="filled")

    left = read({})

    assert left.is_empty
    assert not left.stands_still_since(rest.Rest())


def test_a_limit_order_may_rest_once_it_was_looked_at() -> None:
    soon = world.now() + timedelta(seconds=9)
    order = OrderFactory(state="accepted", order_type="limit", next_at=soon)
    in_book = {order.client_order_id: Decimal(0)}
    assert read(in_book).is_empty

    for changes in ({"next_at": soon + timedelta(minutes=2)}, {"cancel_requested_at": soon}, {"order_type": "market"}):
        with transaction.atomic():
            Order.unscoped.filter(pk=order.pk).update(**changes)
            assert not read(in_book).is_empty
            transaction.set_rollback(True)


def test_a_limit_order_rests_only_where_the_book_has_it_as_we_do() -> None:
    """Queries that fail make it due as often as queries that tell of it: whether it is there is yet to be found out."""
    order = OrderFactory(state="accepted", order_type="limit", next_at=world.now() + timedelta(seconds=9))

    assert not read({}).is_empty
    assert not read({order.client_order_id: Decimal(1)}).is_empty


def test_a_person_was_told_and_asking_again_moved_nothing() -> None:
    order = _in_doubt()
    _told(order)
    OrderFactory(state="planned", connector=order.connector, instrument=order.instrument, waits_for_parent=True)
    before = read({})
    _asked_again(order)

    assert read({}).stands_still_since(before)


def test_an_order_that_was_not_asked_for_again_may_still_be_settled() -> None:
    order = _in_doubt()
    _told(order)

    assert not read({}).stands_still_since(read({}))


def test_an_order_that_moved_goes_on() -> None:
    order = _in_doubt()
    _told(order)
    before = read({})
    _asked_again(order, not_found_count=1)

    assert not read({}).stands_still_since(before)


def test_before_the_fence_time_may_settle_it() -> None:
    order = _in_doubt()
    _told(order)
    before = read({})
    _asked_again(order, fence_at=world.now() + timedelta(seconds=30))

    assert not read({}).stands_still_since(before)


def test_an_order_that_nobody_was_told_of_is_waited_for() -> None:
    order = _in_doubt()
    before = read({})
    _asked_again(order)

    assert not read({}).stands_still_since(before)


def test_an_alert_of_another_connector_is_waited_for() -> None:
    order = _in_doubt()
    _told(order)
    AlertFactory(status="queued")
    before = read({})
    _asked_again(order)

    assert not read({}).stands_still_since(before)


def test_a_guard_may_wait_as_long_as_its_entry_rests() -> None:
    order = OrderFactory(state="accepted", order_type="limit", next_at=world.now() + timedelta(seconds=9))
    Protection.unscoped.create(
        workspace=order.workspace, connector=order.connector, entry=order, number=1, kind="stop_loss",
        symbol=order.symbol, book="net", side="sell", guard={}, price=Decimal(50_000), client_order_id="guard1",
        state="waiting",
    )  # fmt: skip

    assert read({order.client_order_id: Decimal(0)}).is_empty
    assert not read({order.client_order_id: Decimal(1)}).is_empty

    Order.unscoped.filter(pk=order.pk).update(state="filled", next_at=None)

    assert not read({}).is_empty


def test_an_account_is_read_once_more_and_holds_what_we_say() -> None:
    position = PositionFactory(signed_quantity=Decimal(4), exchange_quantity=Decimal(4))
    watch = AccountWatch.unscoped.create(
        workspace=position.workspace, connector=position.connector, read_at=world.now() - timedelta(minutes=2)
    )
    assert not read({}).is_empty

    AccountWatch.unscoped.filter(pk=watch.pk).update(read_at=world.now())
    assert read({}).is_empty

    for told in (None, Decimal(3)):
        Position.unscoped.filter(pk=position.pk).update(exchange_quantity=told)
        assert not read({}).is_empty

    Position.unscoped.filter(pk=position.pk).update(exchange_quantity=Decimal(4))
    AccountWatch.unscoped.filter(pk=watch.pk).update(differing={"BTCUSDT|short": 1})
    assert not read({}).is_empty

    AccountWatch.unscoped.filter(pk=watch.pk).update(differing={}, read_at=world.now())
    assert read({}).is_empty
    OrderFactory(connector=position.connector, state="filled", finished_at=world.now() - timedelta(seconds=4))
    assert not read({}).is_empty
