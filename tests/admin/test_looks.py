"""The staff's first page: what to look at, and the list behind each count."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.connectors.models import Outage
from apps.dashboard import staff as panel
from apps.lib import world
from apps.trading.incident_kinds import IncidentKind
from apps.trading.incidents import open_incident
from apps.trading.models import WorkerHeartbeat
from tests.factories import AlertFactory, ConnectorFactory, OrderFactory

CALM = {
    "Exchanges where new positions are off": "0",
    "Open incidents": "0",
    "Orders in doubt": "0",
    "Alerts that wait for more than 30 s": "0",
    "Alerts that failed in a day": "0",
    "Connectors that are halted or exits only by staff": "0",
    "Sweeper last heard of": "0 s ago",
    "Worker last heard of": "0 s ago",
}


def in_doubt(**columns: Any) -> None:
    OrderFactory(state="unknown", signed_at=world.now(), fence_at=world.now() + timedelta(minutes=2), **columns)


@pytest.fixture
def processes(db: None) -> None:
    for kind in ("worker", "sweeper"):
        WorkerHeartbeat.objects.create(name=kind, kind=kind, at=world.now())


@pytest.mark.usefixtures("processes")
def test_nothing_to_do_is_said_to_be_nothing() -> None:
    looks = panel.looks()

    assert {look.what: look.count for look in looks} == CALM
    assert all(look.is_calm for look in looks)


@pytest.mark.usefixtures("processes")
def test_each_trouble_is_counted_and_leads_to_its_rows(staff: Client) -> None:
    connector = ConnectorFactory(staff_state="halted", label="Halted desk")
    open_incident(connector, IncidentKind.ORDER_NOT_SHOWN, symbol="BTCUSDT", order=OrderFactory(connector=connector))
    in_doubt(connector=connector)
    old = world.now() - timedelta(minutes=1)
    Outage.objects.create(venue="bitmart a", calls=12, ambiguous=7, half_open_at=old)
    Outage.objects.create(venue="bitmart a", calls=10, ambiguous=5, half_open_at=old, closed_at=old)
    AlertFactory(status="queued", next_at=old)
    AlertFactory(status="queued", next_at=world.now() + timedelta(minutes=1))
    ConnectorFactory(staff_state="halted", deleted_at=world.now())
    AlertFactory(status="failed", next_at=None)
    AlertFactory(status="failed", next_at=None, received_at=world.now() - timedelta(days=2))

    looks = {look.what: look for look in panel.looks()}
    page = staff.get(reverse("admin:index")).content.decode()

    troubles = list(CALM)[:6]
    assert [looks[what].count for what in troubles] == ["1", "1", "1", "1", "1", "1"]
    assert not any(looks[what].is_calm for what in troubles)
    for what in troubles:
        assert what in page
        listing = staff.get(looks[what].url)
        assert (listing.status_code, listing.context["cl"].result_count) == (200, 1), what


@pytest.mark.django_db
def test_a_process_that_is_gone_is_told() -> None:
    WorkerHeartbeat.objects.create(name="w", kind="worker", at=world.now() - timedelta(seconds=90))

    looks = {look.what: (look.count, look.is_calm) for look in panel.looks()}

    assert looks["Worker last heard of"] == ("90 s ago", False)
    assert looks["Sweeper last heard of"] == ("never", False)


@pytest.mark.django_db
def test_counts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panel, "MOST", 2)
    for _ in range(4):
        in_doubt()

    assert {look.what: look.count for look in panel.looks()}["Orders in doubt"] == "more than 2"


def test_staff_who_may_not_see_incidents_see_no_panel(chief: User, staff: Client) -> None:
    chief.is_superuser = False
    chief.save()

    assert "What to look at first" not in staff.get(reverse("admin:index")).content.decode()
