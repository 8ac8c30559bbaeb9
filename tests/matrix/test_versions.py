"""While a release is rolled out, processes of it and of the one before work on the same tables."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, migrations
from django.db.migrations.loader import MigrationLoader

from apps.alerts.execution import execute_due
from apps.alerts.models import Alert, AlertStatus
from apps.lib import world
from apps.trading import records
from apps.trading.models import Incident, Order, OrderState
from tests.engine.conftest import Bench
from tests.factories import IncidentFactory
from tests.people import Member, member

S = OrderState
LATER = "of_later"

# Before the first release that was rolled out beside another: the newest migration of each app then.
FIRST = {"accounts": 6, "alerts": 4, "connectors": 8, "strategies": 2, "trading": 11}
TABLES = (
    "alerts_alert",
    "trading_order",
    "trading_orderevent",
    "trading_planrecord",
    "trading_fill",
    "trading_position",
)


@pytest.fixture
def trader(futures: Bench) -> Member:
    return member(workspace=futures.connector.workspace)


def ask(sql: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


def added_columns() -> Iterator[tuple[str, migrations.AddField]]:
    for (app, name), migration in MigrationLoader(None, ignore_no_migrations=True).disk_migrations.items():
        if app in FIRST and int(name[:4]) > FIRST[app]:
            for operation in migration.operations:
                if isinstance(operation, migrations.AddField):
                    yield f"{app}.{name}: {operation.model_name}.{operation.name}", operation


def test_columns_added_under_running_processes_cost_no_alert(futures: Bench) -> None:
    """Web and worker have prepared their statements; neither writes the columns that the newer release added."""
    assert futures.status(futures.send("buy", "flat", "0.01")) == (AlertStatus.EXECUTED, "")
    ask("SET CONSTRAINTS ALL IMMEDIATE")
    for table in TABLES:
        ask(f"ALTER TABLE {table} ADD COLUMN {LATER} text NOT NULL DEFAULT 'as before'")

    exit_ = futures.send("sell", "long", "0.01")

    assert futures.status(exit_) == (AlertStatus.EXECUTED, "")
    assert ([order.state for order in futures.orders()], futures.held()) == ([S.FILLED, S.FILLED], 0)
    for table in TABLES:
        assert ask(f"SELECT DISTINCT {LATER} FROM {table}") == [("as before",)]


def test_what_a_migration_adds_is_left_out_by_the_release_before_it() -> None:
    """Columns are nullable or have a default of the database; `default` alone is Django's: the other's INSERT fails."""
    closed = [
        where
        for where, added in added_columns()
        if not (added.field.null or added.field.has_db_default() or added.field.many_to_many)
    ]

    assert closed == []


def test_no_migration_renames_what_the_release_before_it_uses() -> None:
    renamed = [
        f"{app}.{name}"
        for (app, name), migration in MigrationLoader(None, ignore_no_migrations=True).disk_migrations.items()
        for operation in migration.operations
        if app in FIRST and isinstance(operation, migrations.RenameField | migrations.RenameModel)
    ]

    assert renamed == []


def test_order_in_a_state_of_the_other_release_is_let_alone_and_holds_up_its_symbol(
    futures: Bench, trader: Member
) -> None:
    futures.fault("drop_answer")
    futures.send("buy", "flat", "0.01")
    order = Order.unscoped.filter(pk=futures.order().pk)
    order.update(state=LATER, next_at=world.now())
    before = order.values().get()

    alert = futures.send("buy", "long", "0.01")
    futures.wait(2)

    assert order.values().get() == {**before, "next_at": order.get().next_at}
    assert (futures.status(alert), len(futures.book())) == ((AlertStatus.QUEUED, ""), 1)
    for path in ("orders/", f"orders/{order.get().pk}/", "alerts/", ""):
        page = trader.client.get(f"/app/{path}")
        assert (page.status_code, "of later" in page.content.decode()) == (200, True), path
    # The other release goes on with it.
    order.update(state=S.UNKNOWN, next_at=world.now())
    futures.wait(3)
    assert ([order.state for order in futures.orders()], futures.held()) == ([S.FILLED, S.FILLED], 20)


def test_alert_in_a_status_of_the_other_release_is_not_run(futures: Bench, trader: Member) -> None:
    alert = futures.post("buy", "flat", "0.01")
    Alert.unscoped.filter(pk=alert.pk).update(status=LATER)

    assert execute_due() == 0

    assert (futures.status(alert), futures.book()) == ((LATER, ""), [])
    for path in ("alerts/", f"alerts/{alert.pk}/"):
        page = trader.client.get(f"/app/{path}")
        assert (page.status_code, "of later" in page.content.decode()) == (200, True)


def test_plan_of_another_form_is_shown_as_such_and_not_replayed(
    futures: Bench, trader: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    alert = futures.send("buy", "flat", "0.01")
    with monkeypatch.context() as later:
        later.setattr(records, "VERSION", records.VERSION + 1)
        page = trader.client.get(f"/app/alerts/{alert.pk}/replay/").content.decode()

    assert "Written by another release" in page
    assert trader.client.get(f"/app/alerts/{alert.pk}/").status_code == 200


def test_incident_of_a_kind_of_the_other_release_has_a_page_and_cannot_be_closed_here(
    futures: Bench, trader: Member
) -> None:
    incident = IncidentFactory(connector=futures.connector, kind=LATER)

    pages = [trader.client.get(f"/app/{path}") for path in ("", "incidents/", f"incidents/{incident.pk}/")]

    assert [page.status_code for page in pages] == [200, 200, 200]
    assert "being rolled out" in pages[-1].content.decode()
    assert Incident.unscoped.get(pk=incident.pk).resolved_at is None
