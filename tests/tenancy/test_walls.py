"""A row of one workspace never hangs from a row of another: refused in Python, and again by the database."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.exceptions import ValidationError
from django.db import Error, IntegrityError, connection, transaction
from django.db.models import ForeignKey, Model
from django.utils import timezone

from apps.accounts.models import AuditEvent, Workspace
from apps.accounts.tenancy import UnscopedQueryError, WorkspaceOwned
from apps.alerts.models import Alert
from apps.connectors.models import Connector, Pointer, SymbolAlias
from apps.trading.models import (
    AccountWatch,
    Adjustment,
    EquityPoint,
    Fill,
    Flatten,
    Incident,
    LedgerEntry,
    Order,
    OrderEvent,
    PlanRecord,
    Position,
    Protection,
    ShadowPosition,
)
from tests import factories
from tests.admin.rows import one_of_each, our_models
from tests.factories import ConnectorFactory, OrderFactory, WorkspaceFactory

CHILDREN = [
    Pointer,
    Alert,
    Order,
    OrderEvent,
    Fill,
    Position,
    LedgerEntry,
    EquityPoint,
    ShadowPosition,
    SymbolAlias,
    Incident,
    AccountWatch,
    Adjustment,
    Flatten,
]

# Set by the worker from rows it has just found by the alert itself; the database checks `order` too.
CHECKED_ELSEWHERE = {(Alert, "parent"), (Alert, "duplicate_of"), (Alert, "order")}


def owned_models() -> list[type[WorkspaceOwned]]:
    return [model for model in our_models() if issubclass(model, WorkspaceOwned)]


def test_every_parent_of_a_tenants_row_is_checked() -> None:
    unchecked = {
        (model, field.name)
        for model in owned_models()
        for field in model._meta.get_fields()
        if isinstance(field, ForeignKey)
        and issubclass(field.related_model, WorkspaceOwned)
        and field.name not in model.same_workspace
    }

    assert unchecked == CHECKED_ELSEWHERE


@pytest.mark.parametrize("model", CHILDREN)
@pytest.mark.django_db
def test_a_row_moved_to_another_workspace_is_not_saved(model: Any) -> None:
    row = one_of_each()[model]
    row.workspace = WorkspaceFactory()

    with pytest.raises(ValidationError):
        row.save()


@pytest.mark.parametrize("model", CHILDREN)
@pytest.mark.django_db
def test_the_database_refuses_what_goes_round_save(model: Any) -> None:
    row = one_of_each()[model]
    foreign = WorkspaceFactory()

    with pytest.raises(Error), transaction.atomic():
        move(model, row.pk, foreign)

    assert model.unscoped.get(pk=row.pk).workspace_id == row.workspace_id


def move(model: Any, row_id: UUID, workspace: Workspace) -> None:
    model.unscoped.filter(pk=row_id).update(workspace=workspace)
    connection.check_constraints()  # see hang


@pytest.mark.django_db
def test_the_database_refuses_a_new_row_under_a_foreign_parent() -> None:
    point = EquityPoint(workspace=WorkspaceFactory(), connector=ConnectorFactory(), at=timezone.now(), equity=1)

    with pytest.raises(IntegrityError), transaction.atomic():
        EquityPoint.unscoped.bulk_create([point])

    assert EquityPoint.unscoped.count() == 0


@pytest.mark.parametrize(
    ("model", "parent"), [(model, name) for model in owned_models() for name in model.same_workspace]
)
@pytest.mark.django_db
def test_the_database_refuses_each_parent_of_another_workspace(model: Any, parent: str) -> None:
    row = one_of_each()[model]
    before = getattr(row, f"{parent}_id")
    foreign = foreign_row(model._meta.get_field(parent).related_model)

    with pytest.raises(Error, match="workspace"), transaction.atomic():
        hang(row, **{parent: foreign})

    assert getattr(model.unscoped.get(pk=row.pk), f"{parent}_id") == before
    assert model.unscoped.filter(workspace=row.workspace).count() == 1


def hang(row: Any, **parent: Any) -> None:
    """Hang the row from another one; of what is append-only, a copy of the row."""
    model = type(row)
    if model in {OrderEvent, LedgerEntry, Adjustment, PlanRecord}:
        ((name, other),) = parent.items()
        copy = model.unscoped.get()
        copy.pk = uuid4()
        setattr(copy, name, other)
        model.unscoped.bulk_create([copy])
    model.unscoped.filter(pk=row.pk).update(**parent)
    connection.check_constraints()  # one wall stands only at the end of a transaction


def foreign_row(model: type[Model]) -> Any:
    """Return a row of another workspace."""
    if model is not Protection:
        return getattr(factories, f"{model.__name__}Factory")()
    order = OrderFactory()
    place = {"workspace": order.workspace, "connector": order.connector, "entry": order, "symbol": order.symbol}
    return Protection.objects.create(**place, number=0, kind="stop_loss", book="net", side="sell", guard={}, price=1)


@pytest.mark.parametrize(("model", "column"), [(AuditEvent, "at"), (OrderEvent, "at"), (LedgerEntry, "at")])
@pytest.mark.django_db
def test_history_is_neither_changed_nor_deleted(model: Any, column: str) -> None:
    row = one_of_each()[model]

    with pytest.raises(Error), transaction.atomic():
        model.unscoped.update(**{column: timezone.now() + timedelta(days=1)})
    with pytest.raises(Error), transaction.atomic():
        model.unscoped.filter(pk=row.pk)._raw_delete("default")

    assert getattr(model.unscoped.get(), column) == getattr(row, column)


@pytest.mark.parametrize("model", owned_models())
@pytest.mark.django_db
def test_a_query_that_names_no_workspace_raises(model: Any) -> None:
    for query in (model.objects.all, model.objects.first, lambda: model.objects.get(pk=1)):
        with pytest.raises(UnscopedQueryError):
            query()


@pytest.mark.django_db
def test_a_workspaces_query_finds_its_rows_only() -> None:
    mine, _ = ConnectorFactory(), ConnectorFactory()

    found: list[Model] = list(Connector.objects.for_workspace(mine.workspace))

    assert found == [mine]
