import json

import pytest
from django.utils import timezone

from apps.connectors.pointers import reveal
from apps.strategies.models import Strategy
from apps.strategies.queries import PLACEHOLDER
from apps.strategies.seeds import SEEDS, seed
from tests.factories import PASSWORD, ConnectorFactory, PointerFactory, StrategyFactory
from tests.people import Member, member

pytestmark = pytest.mark.django_db


def messages_on(answer):
    return json.loads(answer.context["message"].standard), json.loads(answer.context["message"].close_all)


def test_catalogue_lists_the_published_in_their_order(client):
    StrategyFactory(name="Second", position=2)
    StrategyFactory(name="First", position=1)
    StrategyFactory(name="Hidden", status=Strategy.Status.DRAFT)

    answer = client.get("/strategies/")

    assert [strategy.name for strategy in answer.context["strategies"]] == ["First", "Second"]
    assert b"Hidden" not in answer.content


def test_empty_catalogue_says_so(client):
    answer = client.get("/strategies/")

    assert b"No strategy is published at the moment" in answer.content


def test_draft_is_not_found(client):
    strategy = StrategyFactory(status=Strategy.Status.DRAFT)

    assert client.get(f"/strategies/{strategy.slug}/").status_code == 404


def test_visitor_gets_the_placeholder_and_the_way_in(client):
    strategy = StrategyFactory()

    answer = client.get(f"/strategies/{strategy.slug}/")

    standard, close_all = messages_on(answer)
    assert standard["pointer"] == PLACEHOLDER
    assert close_all["pointer"] == PLACEHOLDER
    assert b'href="/accounts/signup/"' in answer.content
    assert strategy.chart_url.encode() in answer.content


def test_member_gets_the_pointer_of_a_fitting_paper_connector(owner: Member):
    strategy = StrategyFactory(market="futures")
    pointer = PointerFactory(connector=ConnectorFactory(workspace=owner.workspace, market="futures"))
    PointerFactory(connector=ConnectorFactory(workspace=owner.workspace, market="spot"))

    answer = owner.client.get(f"/strategies/{strategy.slug}/")

    standard, close_all = messages_on(answer)
    assert standard["pointer"] == close_all["pointer"] == reveal(pointer)


def test_member_chooses_among_connectors(owner: Member):
    strategy = StrategyFactory(market="futures")
    PointerFactory(connector=ConnectorFactory(workspace=owner.workspace, market="futures"))
    second = PointerFactory(connector=ConnectorFactory(workspace=owner.workspace, market="futures"))

    answer = owner.client.get(f"/strategies/{strategy.slug}/?connector={second.connector_id}")

    assert messages_on(answer)[0]["pointer"] == reveal(second)


def test_connector_of_a_stranger_cannot_be_chosen(owner: Member, stranger: Member):
    strategy = StrategyFactory(market="futures")
    foreign = PointerFactory(connector=ConnectorFactory(workspace=stranger.workspace, market="futures"))

    answer = owner.client.get(f"/strategies/{strategy.slug}/?connector={foreign.connector_id}")

    assert answer.context["connector"] is None
    assert messages_on(answer)[0]["pointer"] == PLACEHOLDER


@pytest.mark.parametrize("choice", ["", "nonsense", "00000000-0000-0000-0000-000000000000"])
def test_odd_choice_falls_back_to_the_first(owner: Member, choice: str):
    strategy = StrategyFactory(market="futures")
    first = ConnectorFactory(workspace=owner.workspace, market="futures")

    answer = owner.client.get(f"/strategies/{strategy.slug}/?connector={choice}")

    assert answer.context["connector"] == first


def test_viewer_sees_no_pointer(owner: Member):
    strategy = StrategyFactory(market="futures")
    PointerFactory(connector=ConnectorFactory(workspace=owner.workspace, market="futures"))
    viewer = member(role="viewer", workspace=owner.workspace)

    answer = viewer.client.get(f"/strategies/{strategy.slug}/")

    assert messages_on(answer)[0]["pointer"] == PLACEHOLDER
    assert b"Your role in this workspace is viewer" in answer.content


def test_live_pointer_needs_a_fresh_confirmation(owner: Member):
    strategy = StrategyFactory(market="futures")
    connector = ConnectorFactory(workspace=owner.workspace, market="futures", environment="live")
    pointer = PointerFactory(connector=connector)
    path = f"/strategies/{strategy.slug}/"

    before = owner.client.get(path)
    owner.client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    after = owner.client.get(path)

    assert messages_on(before)[0]["pointer"] == PLACEHOLDER
    assert b"Show the pointer" in before.content
    assert messages_on(after)[0]["pointer"] == reveal(pointer)


def test_deleted_connector_is_not_offered(owner: Member):
    strategy = StrategyFactory(market="futures")
    ConnectorFactory(workspace=owner.workspace, market="futures", deleted_at=timezone.now())

    answer = owner.client.get(f"/strategies/{strategy.slug}/")

    assert answer.context["connectors"] == []


@pytest.mark.parametrize(
    ("rules", "refused", "kept"),
    [
        ("<script>alert(1)</script>", b"<script>alert", b"&lt;script&gt;alert(1)"),
        ('<img src=x onerror="alert(1)">', b"<img src=x", b"&lt;img src=x"),
        ("[x](javascript:alert(1))", b"javascript:", b"<a>x</a>"),
        ("[x](JaVaScRiPt:alert(1))", b"aVaScRiPt", b"<a>x</a>"),
        ("[x](data:text/html,boo)", b"data:text/html", b"<a>x</a>"),
        ("![x](https://evil.example/pixel.gif)", b"<img", b"!"),
        ("<javascript:alert(1)>", b'href="javascript', b"javascript"),
    ],
)
def test_markdown_is_rendered_without_raw_html(client, rules, refused, kept):
    strategy = StrategyFactory(rules=rules)

    shown = client.get(f"/strategies/{strategy.slug}/").context["rules"].encode()

    assert refused not in shown
    assert kept in shown


def test_markdown_is_rendered(client):
    strategy = StrategyFactory(rules="- **Long** when [above](https://example.com/a)")

    shown = client.get(f"/strategies/{strategy.slug}/").context["rules"]

    assert '<li><strong>Long</strong> when <a href="https://example.com/a">above</a></li>' in shown


def test_seeds_are_published_once(client):
    assert (seed(), seed()) == (3, 0)
    for entry in SEEDS:
        assert client.get(f"/strategies/{entry['slug']}/").status_code == 200


def test_seeding_leaves_what_staff_edited():
    seed()
    Strategy.objects.filter(slug="btc-trend").update(name="Our BTC trend", status=Strategy.Status.DRAFT)

    seed()

    edited = Strategy.objects.get(slug="btc-trend")
    assert (edited.name, edited.status) == ("Our BTC trend", Strategy.Status.DRAFT)
