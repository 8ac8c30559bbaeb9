"""A token opens its owner's workspace and no other."""

from typing import Any
from uuid import uuid4

import pytest
from django.urls import reverse

from tests.factories import (
    AlertFactory,
    ConnectorFactory,
    EquityPointFactory,
    FillFactory,
    IncidentFactory,
    OrderFactory,
    PointerFactory,
    PositionFactory,
)
from tests.people import Member

FACTORIES = {
    "connector": lambda connector: connector,
    "alert": lambda connector: AlertFactory(pointer=PointerFactory(connector=connector)),
    "order": lambda connector: OrderFactory(connector=connector),
    "fill": lambda connector: FillFactory(order=OrderFactory(connector=connector)),
    "position": lambda connector: PositionFactory(connector=connector),
    "incident": lambda connector: IncidentFactory(connector=connector),
    "equity-point": lambda connector: EquityPointFactory(connector=connector),
}


@pytest.fixture(params=FACTORIES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def row(kind: str, owner: Member) -> Any:
    return FACTORIES[kind](ConnectorFactory(workspace=owner.workspace))


def test_a_strangers_list_is_empty(kind: str, row: Any, owner: Member, stranger: Member) -> None:
    url = reverse(f"api:{kind}-list")

    assert [found["id"] for found in owner.api.get(url).json()["results"]] == [str(row.pk)]
    assert stranger.api.get(url).json()["results"] == []


def test_another_workspaces_row_and_no_row_look_the_same(kind: str, row: Any, stranger: Member) -> None:
    foreign = stranger.api.get(reverse(f"api:{kind}-detail", args=[row.pk]))
    absent = stranger.api.get(reverse(f"api:{kind}-detail", args=[uuid4()]))
    nonsense = stranger.api.get(reverse(f"api:{kind}-detail", args=["no-uuid"]))

    assert [foreign.status_code, absent.status_code, nonsense.status_code] == [404, 404, 404]
    assert foreign.content == absent.content == nonsense.content


@pytest.mark.parametrize("parameter", ["connector", "alert", "order"])
def test_a_filter_by_another_workspaces_id_tells_nothing(owner: Member, stranger: Member, parameter: str) -> None:
    fill = FillFactory(order=OrderFactory(connector=ConnectorFactory(workspace=owner.workspace)))
    foreign_id = {"connector": fill.connector_id, "alert": fill.order.origin_id, "order": fill.order_id}[parameter]
    url = reverse("api:fill-list")

    foreign = stranger.api.get(url, {parameter: foreign_id})
    absent = stranger.api.get(url, {parameter: uuid4()})

    assert owner.api.get(url, {parameter: foreign_id}).json()["results"][0]["id"] == str(fill.pk)
    assert foreign.status_code == absent.status_code == 200
    assert foreign.json() == absent.json() == {"next": None, "previous": None, "results": []}
