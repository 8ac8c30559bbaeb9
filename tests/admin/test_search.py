"""An id from anywhere, pasted into the search, finds the row."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import AlertFactory, ConnectorFactory, FillFactory, MembershipFactory, OrderFactory, PointerFactory

SEARCHES: list[tuple[str, Callable[[Any], Any]]] = [
    ("trading_order", lambda case: case.order.pk),
    ("trading_order", lambda case: case.order.client_order_id),
    ("trading_order", lambda case: "987654321"),
    ("trading_order", lambda case: case.alert.pk),
    ("trading_order", lambda case: "trader.one@example.com"),
    ("trading_fill", lambda case: case.order.pk),
    ("trading_fill", lambda case: case.alert.pk),
    ("trading_fill", lambda case: "987654321"),
    ("alerts_alert", lambda case: case.alert.pk),
    ("alerts_alert", lambda case: case.order.pk),
    ("alerts_alert", lambda case: case.order.client_order_id),
    ("alerts_alert", lambda case: case.pointer.last4),
    ("connectors_connector", lambda case: case.pointer.last4),
    ("connectors_connector", lambda case: "trader.one@example.com"),
    ("connectors_pointer", lambda case: case.pointer.last4),
    ("connectors_pointer", lambda case: f"sf_••••{case.pointer.last4}"),
    ("alerts_alert", lambda case: f"…{case.pointer.last4}"),
    ("connectors_connector", lambda case: f"••••{case.pointer.last4}"),
    ("connectors_connector", lambda case: case.pointer.connector_id),
    ("accounts_workspace", lambda case: case.workspace.memberships.get().user_id),
    ("accounts_subscription", lambda case: case.workspace.pk),
    ("accounts_workspace", lambda case: "trader.one@example.com"),
    ("accounts_user", lambda case: "trader.one@example.com"),
]


class Case:
    """One trader's alert with what came of it, beside another trader's."""

    def __init__(self) -> None:
        self.workspace = MembershipFactory(user__email="trader.one@example.com").workspace
        connector = ConnectorFactory(workspace=self.workspace)
        self.pointer = PointerFactory(connector=connector)
        PointerFactory(connector=connector)  # the one that a rotation left behind
        self.alert = AlertFactory(pointer=self.pointer)
        self.order = OrderFactory(connector=connector, origin_id=self.alert.pk, exchange_order_id="987654321")
        self.fill = FillFactory(order=self.order)
        self.alert.order = self.order
        self.alert.save()
        self.found = {
            "trading_order": self.order, "trading_fill": self.fill, "alerts_alert": self.alert,
            "connectors_connector": connector, "connectors_pointer": self.pointer,
            "accounts_workspace": self.workspace, "accounts_user": self.workspace.memberships.get().user,
            "accounts_subscription": self.workspace.subscription,
        }  # fmt: skip


@pytest.mark.parametrize(("model", "term"), SEARCHES)
def test_the_search_finds_the_one_row(staff: Client, model: str, term: Callable[[Any], Any]) -> None:
    case = Case()
    other = AlertFactory(pointer=PointerFactory(connector=ConnectorFactory()))
    FillFactory(order=OrderFactory(connector=other.connector, origin_id=other.pk))

    answer = staff.get(reverse(f"admin:{model}_changelist"), {"q": str(term(case))})

    assert [row.pk for row in answer.context["cl"].result_list] == [case.found[model].pk]


@pytest.mark.parametrize(
    ("model", "lookup"),
    [
        ("accounts_user", {"password__startswith": "scrypt"}),
        ("mfa_authenticator", {"data__secret__startswith": "A"}),
        ("connectors_connector", {"key_fingerprint__startswith": "a"}),
        ("connectors_pointer", {"sealed_display__startswith": "a"}),
    ],
)
def test_a_hidden_column_cannot_be_guessed_by_filtering(staff: Client, model: str, lookup: dict[str, str]) -> None:
    answer = staff.get(reverse(f"admin:{model}_changelist"), lookup)

    assert answer.status_code == 400


@pytest.mark.parametrize("lookup", [{"status__exact": "\0"}, {"received_at__gte": "2026-11-22T08:41:03+20:00"}])
def test_what_the_database_cannot_compare_is_a_bad_request(staff: Client, lookup: dict[str, str]) -> None:
    answer = staff.get(reverse("admin:alerts_alert_changelist"), lookup)

    assert answer.status_code == 400
