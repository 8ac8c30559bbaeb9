"""Every route × every method × another workspace's id."""

import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client
from django.urls import NoReverseMatch, reverse
from rest_framework.test import APIClient

from apps.trading.models import Flatten
from tests.factories import (
    AlertFactory,
    ConnectorFactory,
    EquityPointFactory,
    FillFactory,
    IncidentFactory,
    MarketPriceFactory,
    OrderFactory,
    PointerFactory,
    PositionFactory,
    PreviewFactory,
)
from tests.people import Member
from tests.tenancy.routes import ARGUMENTS, LOGIN, OWNED, PUBLIC, SHOW_IDS, TOKEN, TOKEN_OWNED, routes
from tests.tenancy.snapshot import snapshot

METHODS = ["get", "head", "options", "post", "put", "patch", "delete"]
LABEL = "Label-of-the-owner"
CSRF = re.compile(rb"[A-Za-z0-9]{64}")


@pytest.fixture
def held(owner: Member) -> dict[type, UUID]:
    """The owner's rows: model → id."""
    connector = ConnectorFactory(workspace=owner.workspace, label=LABEL)
    alert = AlertFactory(pointer=PointerFactory(connector=connector), status="held", symbol="BTCUSDT", next_at=None)
    order = OrderFactory(connector=connector, origin_id=alert.pk, state="accepted")
    alert.order = order
    alert.save()
    MarketPriceFactory(instrument=order.instrument)
    rows = [
        connector, alert, alert.pointer, order, FillFactory(order=order),
        PositionFactory(connector=connector, instrument=order.instrument), EquityPointFactory(connector=connector),
        IncidentFactory(connector=connector, order=order), PreviewFactory(connector=connector, alert=alert),
        Flatten.objects.create(workspace=owner.workspace, connector=connector),
    ]  # fmt: skip
    return {type(row): row.pk for row in rows}


def test_every_route_is_listed() -> None:
    listed = PUBLIC | LOGIN | TOKEN | set(OWNED) | set(TOKEN_OWNED)
    found = {route.key for route in routes() if not route.is_staff}

    assert sorted(found - listed) == [], "list these in tests/tenancy/routes.py"
    assert sorted(listed - found) == [], "these are gone: take them out of tests/tenancy/routes.py"


@pytest.mark.parametrize("name", [*OWNED, *TOKEN_OWNED])
def test_another_workspaces_row_is_not_there(
    held: dict[type, UUID], owner: Member, stranger: Member, name: str
) -> None:
    stranger.confirm()
    client = stranger.api if name in TOKEN_OWNED else stranger.client
    own_client = owner.api if name in TOKEN_OWNED else owner.client
    row_id, absent_id = held[(OWNED | TOKEN_OWNED)[name]], uuid4()
    url, absent_url = reverse(name, args=[row_id]), reverse(name, args=[absent_id])
    before = snapshot()

    for method in METHODS:
        foreign, absent = getattr(client, method)(url), getattr(client, method)(absent_url)

        refused = {404, 405} if method != "options" else {404, 405, 200}
        assert foreign.status_code in refused, method
        assert foreign.status_code == absent.status_code, method
        assert told(foreign, row_id) == told(absent, absent_id), method
    # Each page has at least one method, and that one finds no row.
    assert 404 in {getattr(client, method)(url).status_code for method in ("get", "post")}
    assert snapshot() == before
    assert own_client.get(url).status_code in {200, 302, 405}


def told(answer: Any, row_id: UUID) -> bytes:
    return CSRF.sub(b"", answer.content.replace(str(row_id).encode(), b"id"))


@pytest.mark.parametrize("name", [*OWNED, *TOKEN_OWNED])
def test_nobody_gets_at_a_row_without_a_login(held: dict[type, UUID], name: str) -> None:
    url = reverse(name, args=[held[(OWNED | TOKEN_OWNED)[name]]])
    before = snapshot()

    answers = {method: getattr(Client(), method)(url) for method in METHODS}

    assert {method: turned_away(answer) for method, answer in answers.items()} == dict.fromkeys(METHODS, True)
    assert snapshot() == before


@pytest.mark.parametrize("name", sorted(LOGIN | TOKEN))
@pytest.mark.django_db
def test_nobody_gets_at_a_page_without_a_login(name: str) -> None:
    url = reverse(name, kwargs=ARGUMENTS.get(name))
    before = snapshot()

    assert turned_away(Client().get(url))
    assert turned_away(Client().post(url))
    assert snapshot() == before


def turned_away(answer: Any) -> bool:
    if answer.status_code == 302:
        return str(answer.headers["Location"]).startswith(reverse("account_login"))
    return answer.status_code == 401


@pytest.mark.parametrize("name", sorted(LOGIN | TOKEN))
def test_a_strangers_list_shows_nothing_of_the_owners(
    held: dict[type, UUID], owner: Member, stranger: Member, name: str
) -> None:
    for member in (owner, stranger):
        member.confirm()
    url = reverse(name, kwargs=ARGUMENTS.get(name))
    secrets = [str(row_id) for row_id in held.values()] + [LABEL, str(owner.workspace.pk), owner.user.email]

    mine = visible(owner, name, url)
    theirs = [visible(stranger, name, url)]
    asked = {key: str(row_id) for key, row_id in narrowings(held)}
    narrowed = [visible(stranger, name, f"{url}?{key}={value}") for key, value in asked.items()]

    assert [secret for secret in secrets if any(secret in page for page in theirs)] == []
    # The id that was asked for may stand in the page's own address.
    others = [secret for secret in secrets if secret not in asked.values()]
    assert [secret for secret in others if any(secret in page for page in narrowed)] == []
    if name in SHOW_IDS:
        assert [secret for secret in secrets if secret in mine] != []


def narrowings(held: dict[type, UUID]) -> Iterator[tuple[str, UUID]]:
    yield from ((model.__name__.lower(), row_id) for model, row_id in held.items())


def visible(member: Member, name: str, url: str) -> str:
    answer = (member.api if name in TOKEN else member.client).get(url)
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return str(content.decode())


@pytest.mark.parametrize("name", sorted(PUBLIC - {"webhook/"}))
@pytest.mark.django_db
def test_a_public_page_answers_anybody(name: str) -> None:
    answer = Client().get(reverse(name, kwargs=ARGUMENTS.get(name)), follow=True)

    # readyz says 503 while no worker runs.
    assert answer.status_code < 500 or (name, answer.status_code) == ("readyz", 503)


def test_a_trader_gets_at_no_page_of_the_staff(stranger: Member) -> None:
    tried = 0
    for route in routes():
        if not route.is_staff:
            continue
        url = staff_url(route.key, route.path)
        if url is None:
            continue
        tried += 1
        for method in ("get", "post"):
            answer = getattr(stranger.client, method)(url)
            assert answer.status_code in {302, 403, 404, 405}, (method, url)
            assert b"changelist" not in answer.content
    assert tried > 100


def staff_url(key: str, path: str) -> str | None:
    for args in ([], [str(uuid4())], ["1", "1"], ["accounts"]):
        try:
            return reverse(key, args=args)
        except NoReverseMatch:
            continue
    return None


def test_a_token_of_one_workspace_is_no_login_to_the_pages(owner: Member) -> None:
    api = APIClient()
    api.credentials(**owner.api._credentials)

    assert turned_away(api.get(reverse("dashboard:home")))
