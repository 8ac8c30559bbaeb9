import uuid
from datetime import timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import AuditEvent, Role
from apps.connectors import pointers, queries
from apps.connectors.models import Connector
from tests.connectors.confirming import confirm
from tests.factories import (
    AlertFactory,
    ConnectorFactory,
    EquityPointFactory,
    PointerFactory,
    PositionFactory,
    ago,
)
from tests.people import Member, member

pytestmark = pytest.mark.django_db

READS = ("detail", "findings", "settings", "credentials", "rotate", "delete")
CHANGES = ("settings", "credentials", "rotate", "check", "pause", "resume", "delete")


def mine(owner: Member, **fields: object) -> Connector:
    return PointerFactory(connector=ConnectorFactory(workspace=owner.workspace, **fields)).connector


def page(owner: Member, name: str, connector: Connector) -> str:
    return owner.client.get(reverse(f"connectors:{name}", args=[connector.pk])).content.decode()


def test_empty_list_says_what_a_connector_is_and_offers_one(owner: Member) -> None:
    html = owner.client.get(reverse("connectors:list")).content.decode()

    assert "TradingView connector configurations" in html
    assert "No connector yet" in html
    assert reverse("connectors:new") in html


def test_card_shows_the_figures_of_its_connector(owner: Member) -> None:
    connector = mine(owner, label="BTC trend", check_status="ok")
    EquityPointFactory(connector=connector, at=ago(minutes=5), equity=Decimal(1))
    EquityPointFactory(connector=connector, at=ago(minutes=1), equity=Decimal("10250.5"))
    pointer = pointers.current(connector)
    AlertFactory.create_batch(3, pointer=pointer)
    AlertFactory(pointer=pointer, received_at=ago(hours=25))

    html = owner.client.get(reverse("connectors:list")).content.decode()
    [card] = html.split('<li class="panel')[1:]

    assert "BTC trend" in card
    assert "BitMart Futures" in card
    assert "10,250.50" in card
    assert f"sf_••••{pointer.last4}" in card
    assert '<dd class="figure">3</dd>' in card
    assert "connected" in card
    assert "Paper" in card


def test_list_takes_the_same_number_of_queries_for_any_number(owner: Member, django_assert_max_num_queries) -> None:
    for _ in range(5):
        EquityPointFactory(connector=mine(owner))

    with django_assert_max_num_queries(8):
        owner.client.get(reverse("connectors:list"))


@pytest.mark.parametrize("name", READS)
def test_strangers_connector_reads_as_if_it_were_not_there(owner: Member, stranger: Member, name: str) -> None:
    theirs = mine(stranger)
    confirm(owner)

    foreign = owner.client.get(reverse(f"connectors:{name}", args=[theirs.pk]))
    absent = owner.client.get(reverse(f"connectors:{name}", args=[uuid.uuid4()]))

    assert foreign.status_code == absent.status_code == 404


@pytest.mark.parametrize("name", CHANGES)
def test_strangers_connector_cannot_be_changed(owner: Member, stranger: Member, name: str) -> None:
    theirs = mine(stranger)
    confirm(owner)

    answer = owner.client.post(reverse(f"connectors:{name}", args=[theirs.pk]), {"label": "mine now"})

    assert answer.status_code == 404
    before, theirs.sealed_access_key = theirs.sealed_access_key, ""
    theirs.refresh_from_db()
    assert (theirs.paused_at, theirs.deleted_at, theirs.sealed_access_key) == (None, None, before)
    assert not AuditEvent.objects.for_workspace(stranger.workspace).exists()


@pytest.mark.parametrize("name", CHANGES)
def test_viewer_changes_nothing(owner: Member, name: str) -> None:
    connector = mine(owner)
    viewer = member(role=Role.VIEWER, workspace=owner.workspace)
    confirm(viewer)

    answer = viewer.client.post(reverse(f"connectors:{name}", args=[connector.pk]), {"label": connector.label})

    assert answer.status_code == 403
    connector.refresh_from_db()
    assert (connector.paused_at, connector.deleted_at) == (None, None)
    assert not AuditEvent.objects.for_workspace(owner.workspace).exists()


def test_viewer_reads_the_page_without_the_pointer(owner: Member) -> None:
    connector = mine(owner)
    text = pointers.reveal(pointers.current(connector))
    viewer = member(role=Role.VIEWER, workspace=owner.workspace)

    html = page(viewer, "detail", connector)

    assert text not in html
    assert "viewers do not see it" in html
    assert reverse("connectors:delete", args=[connector.pk]) not in html


def test_detail_has_everything_to_paste(owner: Member, settings) -> None:
    settings.SITE_URL = "https://sferica.example"
    connector = mine(owner)
    text = pointers.reveal(pointers.current(connector))

    html = page(owner, "detail", connector)

    assert "https://sferica.example/webhook" in html
    assert f"&quot;pointer&quot;: &quot;{text}&quot;" in html
    assert "{{strategy.order.action}}" in html
    assert "&quot;closeall&quot;: &quot;true&quot;" in html
    assert "%bot_symbol%" in html
    assert "52.89.214.238" in html
    assert "3.12.143.24" in html


def test_pointer_of_a_live_connector_is_shown_only_after_a_confirmation(owner: Member) -> None:
    connector = mine(owner, environment="live")
    text = pointers.reveal(pointers.current(connector))

    before = page(owner, "detail", connector)
    confirm(owner)
    after = page(owner, "detail", connector)

    assert text not in before
    assert "Show pointer and messages" in before
    assert text in after


def test_credentials_are_on_no_page(owner: Member) -> None:
    connector = mine(owner)
    confirm(owner)

    for name in ("detail", "settings", "credentials", "rotate", "delete"):
        html = page(owner, name, connector)
        assert "canary-access-key-0123456789abcdef" not in html
        assert connector.sealed_access_key not in html
    assert "cana…cdef" in page(owner, "detail", connector)


def test_spot_connector_offers_no_message_for_shorts(owner: Member) -> None:
    spot = page(owner, "detail", mine(owner, market="spot"))
    futures = page(owner, "detail", mine(owner))

    assert "TrendSpider, enter short" not in spot
    assert "TrendSpider, enter short" in futures


def test_findings_are_listed_and_polled_while_the_check_runs(owner: Member) -> None:
    lines = [
        {"what": "Read", "ok": True, "sentence": "The key can read balances (1 with funds)."},
        {"what": "Withdrawal", "ok": False, "sentence": "This key can withdraw funds."},
    ]
    running = page(owner, "findings", mine(owner, check_status="running", check_lines=lines))
    done = page(owner, "findings", mine(owner, check_status="failed", check_lines=lines))

    assert "This key can withdraw funds." in running
    assert "data-active" in running
    assert "data-active" not in done


def test_what_moves_is_answered_alone_and_what_is_as_it_was_with_304(owner: Member) -> None:
    connector = mine(owner, check_status="ok")
    alert = AlertFactory(pointer=PointerFactory(connector=connector), received_at=ago(days=2))
    url = reverse("connectors:findings", args=[connector.pk])

    first = owner.client.get(url)
    again = owner.client.get(url, headers={"If-None-Match": first["ETag"]})

    html, whole = first.content.decode(), page(owner, "detail", connector)
    for part in ("connector-state", "connector-balance", "connector-alerts"):
        assert f'id="{part}" data-follows' in html, part
        assert f'id="{part}" data-follows' in whole, part
    assert "connected" in html
    assert reverse("alerts:detail", args=[alert.pk]) in html
    assert "<h1" not in html
    assert again.status_code == 304


def test_label_is_escaped_wherever_it_stands(owner: Member) -> None:
    connector = mine(owner, label='"><script>alert(1)</script>')
    confirm(owner)

    for name in ("detail", "settings", "credentials", "rotate", "delete"):
        assert "<script>alert" not in page(owner, name, connector)
    assert "<script>alert" not in owner.client.get(reverse("connectors:list")).content.decode()


def test_deleted_connector_is_gone_from_pages(owner: Member) -> None:
    connector = mine(owner, deleted_at=timezone.now())

    answer = owner.client.get(reverse("connectors:detail", args=[connector.pk]))

    assert answer.status_code == 404
    assert connector.label not in owner.client.get(reverse("connectors:list")).content.decode()


def test_second_connector_of_the_same_key_is_pointed_out(owner: Member, stranger: Member) -> None:
    first = mine(owner, label="First")
    mine(owner, label="Second")
    mine(stranger, label="Theirs")

    html = page(owner, "detail", first)

    assert "Another connector uses the same key" in html
    assert "“Second”" in html
    assert "Theirs" not in html


def test_open_positions_of_the_connector_stand_on_its_page(owner: Member) -> None:
    connector = mine(owner)
    PositionFactory(connector=connector)
    PositionFactory(connector=connector, instrument__symbol="ETHUSDT", signed_quantity=Decimal(0))

    html = page(owner, "detail", connector)

    assert "BTCUSDT long" in html
    assert "ETHUSDT" not in html


def test_messages_hide_the_pointer_until_shown_or_copied(owner: Member) -> None:
    connector = mine(owner)
    pointer = pointers.current(connector)

    html = page(owner, "detail", connector)
    shown, _, hidden = html.partition('id="message-first"')

    assert f"&quot;pointer&quot;: &quot;sf_••••{pointer.last4}&quot;" in shown
    assert f"&quot;pointer&quot;: &quot;{pointers.reveal(pointer)}&quot;" in hidden


def test_failed_check_is_said_beside_a_pause(owner: Member) -> None:
    html = page(owner, "detail", mine(owner, check_status="failed", paused_at=timezone.now()))

    assert "needs attention" in html
    assert "paused" in html


def test_twelve_alerts_in_three_minutes_are_warned_of(owner: Member) -> None:
    pointer = PointerFactory(connector=ConnectorFactory(workspace=owner.workspace))
    other = PointerFactory(connector=pointer.connector)
    start = ago(hours=3)
    for second in range(0, 176, 16):
        AlertFactory(pointer=pointer, received_at=start + timedelta(seconds=second))
    AlertFactory(pointer=other, received_at=start)
    assert "stops an alert that fires more than 15 times" not in page(owner, "detail", pointer.connector)

    twelfth = AlertFactory(pointer=pointer, received_at=start + timedelta(seconds=180))

    assert queries.crowded_at(pointer.connector) == twelfth.received_at
    assert "stops an alert that fires more than 15 times" in page(owner, "detail", pointer.connector)
    AlertFactory(pointer=pointer, received_at=start + timedelta(seconds=400))
    assert queries.crowded_at(pointer.connector) == twelfth.received_at
