"""What withdraws the right to trade while a position is open: entries stop, exits go on unless everything is halted."""

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import Plan, PlatformState, Subscription, Workspace
from apps.connectors.models import Connector
from apps.trading import incidents
from apps.trading.incident_kinds import IncidentKind
from apps.trading.models import Position
from tests.engine.conftest import Bench
from tests.engine.resting import resting
from tests.people import member


def _staff(state: str, model: Any) -> None:
    getattr(model, "unscoped", model.objects).update(staff_state=state, staff_reason="drill")


def _downgrade() -> None:
    """Onto a plan that allows no notional at all."""
    plan = Plan.objects.create(code="none", name="None", max_open_notional=0, max_order_notional=0)
    Subscription.objects.update(plan=plan)


REDUCE_ONLY: dict[str, tuple[Any, str]] = {
    "trial ended": (
        lambda: Subscription.objects.update(trial_ends_at=timezone.now() - timedelta(days=1)),
        "TRIAL_ENDED",
    ),
    "payment ended": (lambda: Subscription.objects.update(status="ended"), "TRIAL_ENDED"),
    "downgrade": (_downgrade, "MAX_ORDER_NOTIONAL"),
    "pause": (lambda: Connector.unscoped.update(paused_at=timezone.now()), "PAUSED"),
    "connector": (lambda: Connector.unscoped.update(trading_state="reduce_only"), "CONNECTOR_REDUCE_ONLY"),
    "workspace": (lambda: Workspace.objects.update(trading_state="reduce_only"), "WORKSPACE_REDUCE_ONLY"),
    "staff, connector": (lambda: _staff("reduce_only", Connector), "STAFF_REDUCE_ONLY"),
    "staff, workspace": (lambda: _staff("reduce_only", Workspace), "STAFF_REDUCE_ONLY"),
    "site": (
        lambda: PlatformState.objects.update_or_create(pk=1, defaults={"trading_state": "reduce_only"}),
        "SITE_REDUCE_ONLY",
    ),
    "incident": (
        lambda: incidents.open_incident(Connector.unscoped.get(), IncidentKind.ORPHAN_ORDER, symbol="BTCUSDT"),
        "INCIDENT_OPEN",
    ),
    "key refused": (
        lambda: incidents.open_incident(Connector.unscoped.get(), IncidentKind.KEY_REFUSED),
        "INCIDENT_OPEN",
    ),
}


@pytest.mark.parametrize("cause", REDUCE_ONLY)
def test_with_a_position_open_entries_stop_and_its_exit_goes_out(futures: Bench, cause: str) -> None:
    futures.send("buy", "flat", "0.01")
    withdraw, code = REDUCE_ONLY[cause]
    withdraw()

    entry = futures.send("buy", "long", "0.005")
    assert futures.status(entry)[1] == code
    assert [size for _, size in futures.book()] == ["10"]
    leaving = futures.send("sell", "long", "0.01")

    assert futures.status(leaving) == ("executed", "")
    assert futures.held() == 0
    assert [size for _, size in futures.book()] == ["10", "10"]


HALTED: dict[str, tuple[Any, str]] = {
    "connector": (lambda: Connector.unscoped.update(trading_state="halted"), "CONNECTOR_HALTED"),
    "workspace": (lambda: Workspace.objects.update(trading_state="halted"), "WORKSPACE_HALTED"),
    "staff, connector": (lambda: _staff("halted", Connector), "STAFF_HALTED"),
    "staff, workspace": (lambda: _staff("halted", Workspace), "STAFF_HALTED"),
    "site": (lambda: PlatformState.objects.update_or_create(pk=1, defaults={"trading_state": "halted"}), "SITE_HALTED"),
}


@pytest.mark.parametrize("cause", HALTED)
def test_halted_with_a_position_open_nothing_is_sent(futures: Bench, cause: str) -> None:
    futures.send("buy", "flat", "0.01")
    stop, code = HALTED[cause]
    stop()

    alerts = [futures.send("buy", "long", "0.005"), futures.send("sell", "long", "0.01")]

    assert [futures.status(alert)[1] for alert in alerts] == [code, code]
    assert [size for _, size in futures.book()] == ["10"]
    assert futures.held() == 10


# What somebody's word or the end of the trial withdraws; the others are limits, and what ends by itself.
BY_WORD = frozenset(REDUCE_ONLY) - {"downgrade", "incident", "key refused"}


@pytest.mark.parametrize(("withdraw", "code"), [*(REDUCE_ONLY[cause] for cause in sorted(BY_WORD)), *HALTED.values()])
def test_an_entry_that_waits_at_the_exchange_is_taken_back_before_it_can_open_a_position(
    futures: Bench, withdraw: Any, code: str
) -> None:
    order = resting(futures, "buy", "flat", "0.01", "50000")
    assert order.state == "accepted"
    withdraw()

    futures.wait()

    order.refresh_from_db()
    assert (order.state, order.reason_code) == ("canceled", "CANCELED_ON_REQUEST")
    assert order.reason == f"Taken back, for new positions are off ({code}); 0 of 10 were filled before."
    assert [row["state"] for row in futures.paper.orders(futures.account.access_key)] == ["canceled"]
    futures.paper.set_price("BTCUSDT", "49000")
    futures.wait()
    assert not Position.unscoped.exclude(signed_quantity=0).exists()


@pytest.mark.parametrize("cause", sorted(BY_WORD))
def test_an_exit_that_waits_at_the_exchange_stays_there(futures: Bench, cause: str) -> None:
    futures.send("buy", "flat", "0.01")
    order = resting(futures, "sell", "long", "0.01", "70000")
    assert (order.state, order.intent) == ("accepted", "exit")
    withdraw, _ = REDUCE_ONLY[cause]
    withdraw()

    futures.wait()
    futures.paper.set_price("BTCUSDT", "71000")
    futures.wait()

    order.refresh_from_db()
    assert (order.state, futures.held()) == ("filled", 0)


@pytest.mark.parametrize("cause", sorted(REDUCE_ONLY.keys() - BY_WORD))
def test_what_only_stops_new_orders_leaves_an_entry_that_waits_there_alone(futures: Bench, cause: str) -> None:
    order = resting(futures, "buy", "flat", "0.01", "50000")
    withdraw, _ = REDUCE_ONLY[cause]
    withdraw()

    futures.wait()

    order.refresh_from_db()
    assert (order.state, order.cancel_requested_at) == ("accepted", None)


def test_a_member_cannot_lift_what_the_operators_stopped(futures: Bench) -> None:
    Workspace.objects.update(staff_state="halted", staff_reason="suspicious orders")
    trader = member(workspace=futures.connector.workspace)

    trader.client.post(reverse("accounts:stop"), {"state": "active"})
    alert = futures.send("buy", "flat", "0.01")

    assert futures.status(alert)[1] == "STAFF_HALTED"
    assert alert.reason.startswith("Halted by the operators: suspicious orders.")
    assert futures.book() == []
    page = trader.client.get(reverse("dashboard:home")).content.decode()
    assert "The operators stopped this workspace" in page
