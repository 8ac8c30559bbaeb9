"""The button that takes an order back: it only asks; a worker does it."""

import uuid

import pytest
from django.urls import reverse

from apps.accounts.models import AuditEvent, Membership
from apps.trading.models import Order, OrderEvent
from tests.factories import ConnectorFactory, OrderFactory
from tests.people import Member


def order_of(member: Member, state: str = "accepted") -> Order:
    order: Order = OrderFactory(connector=ConnectorFactory(workspace=member.workspace), state=state)
    return order


def url(order: Order) -> str:
    return reverse("trading:cancel_order", args=[order.pk])


def test_cancel_asks_and_is_on_record(owner: Member) -> None:
    order = order_of(owner)

    shown = owner.client.get(reverse("trading:order", args=[order.pk])).content.decode()
    answer = owner.client.post(url(order), follow=True).content.decode()

    order.refresh_from_db()
    assert "Cancel order" in shown
    assert (order.state, order.cancel_requested_at is not None, order.next_at is not None) == ("accepted", True, True)
    [event] = OrderEvent.unscoped.filter(order=order)
    assert (event.cause, event.evidence) == ("cancellation asked for", {"by": f"user {owner.user.pk}"})
    [record] = AuditEvent.objects.for_workspace(owner.workspace)
    assert (record.action, record.object_id) == ("order.cancel", order.pk)
    assert "Being cancelled" in answer
    assert "Cancel order" not in answer


def test_list_has_the_button_for_open_orders_only(owner: Member) -> None:
    order, filled = order_of(owner), order_of(owner, "filled")

    html = owner.client.get(reverse("trading:orders")).content.decode()

    assert url(order) in html
    assert url(filled) not in html


def test_ended_order_cannot_be_cancelled(owner: Member) -> None:
    order = order_of(owner, "filled")

    answer = owner.client.post(url(order), follow=True).content.decode()

    order.refresh_from_db()
    assert "NOT_OPEN" in answer
    assert (order.cancel_requested_at, order.version) == (None, 0)
    assert not AuditEvent.objects.for_workspace(owner.workspace).exists()


def test_stranger_finds_no_order_to_cancel(owner: Member, stranger: Member) -> None:
    order = order_of(stranger)

    answers = [owner.client.post(url(order)), owner.client.post(reverse("trading:cancel_order", args=[uuid.uuid4()]))]

    order.refresh_from_db()
    assert [answer.status_code for answer in answers] == [404, 404]
    assert order.cancel_requested_at is None


def test_viewer_may_not_cancel(owner: Member) -> None:
    order = order_of(owner)
    Membership.objects.filter(user=owner.user).update(role="viewer")

    answer = owner.client.post(url(order))

    order.refresh_from_db()
    assert (answer.status_code, order.cancel_requested_at) == (403, None)
    assert "Cancel order" not in owner.client.get(reverse("trading:order", args=[order.pk])).content.decode()


@pytest.mark.django_db
def test_cancel_wants_a_post(owner: Member) -> None:
    assert owner.client.get(url(order_of(owner))).status_code == 405
