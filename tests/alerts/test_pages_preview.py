"""Asking what a message would do, from the pages: stored for a worker, shown when answered, refused when too often."""

import pytest
from django.urls import reverse

from apps.accounts.models import Role
from apps.alerts import previewing
from apps.alerts.models import Preview
from apps.connectors.models import Connector
from tests.factories import AlertFactory, ConnectorFactory, PointerFactory, PreviewFactory
from tests.people import Member, member

pytestmark = pytest.mark.django_db


@pytest.fixture
def connector(owner: Member) -> Connector:
    connector: Connector = ConnectorFactory(workspace=owner.workspace)
    PointerFactory(connector=connector)
    return connector


def ask(person: Member, connector: Connector, text: str) -> str:
    answer = person.client.post(reverse("alerts:ask", args=[connector.pk]), {"message": text})
    assert answer.status_code == 302
    return str(answer["Location"])


def test_the_box_holds_a_message_to_start_from(owner: Member, connector: Connector) -> None:
    html = owner.client.get(reverse("connectors:detail", args=[connector.pk])).content.decode()

    assert "What would happen now" in html
    assert "&quot;ticker&quot;: &quot;BTCUSDT&quot;" in html
    assert f"••••{connector.pointers.get().last4.lower()}" in html


def test_a_question_is_stored_and_its_place_is_polled(owner: Member, connector: Connector) -> None:
    place = ask(owner, connector, '{"ticker":"ETHUSDT"}')

    preview = Preview.unscoped.get()
    assert place == f"{reverse('connectors:detail', args=[connector.pk])}?preview={preview.pk}#preview"
    assert (preview.text, preview.connector, preview.workspace) == ('{"ticker":"ETHUSDT"}', connector, owner.workspace)
    html = owner.client.get(place).content.decode()
    assert f'data-poll="{reverse("alerts:preview", args=[preview.pk])}"' in html
    assert "Asking the exchange. Nothing is sent." in html
    # The message stays in the box.
    assert "ETHUSDT" in html


def test_an_answered_question_is_polled_no_more(owner: Member, connector: Connector) -> None:
    preview = PreviewFactory(
        connector=connector, next_at=None, answered_at="2026-11-27T12:00:00Z", reason_code="KEY_PERMISSION",
        reason="BitMart refused this key. Nothing was sent.",
    )  # fmt: skip

    html = owner.client.get(reverse("alerts:preview", args=[preview.pk])).content.decode()

    assert "KEY_PERMISSION" in html
    region = html[html.index('id="preview-answer"') :]
    assert "data-active" not in region[: region.index(">")]


def test_too_many_questions_are_refused_by_name(owner: Member, connector: Connector) -> None:
    for _ in range(previewing.MOST_A_MINUTE):
        ask(owner, connector, "{}")

    html = owner.client.get(ask(owner, connector, "{}")).content.decode()

    assert "PREVIEW_LIMIT" in html
    assert Preview.unscoped.count() == previewing.MOST_A_MINUTE


def test_an_empty_box_asks_nothing(owner: Member, connector: Connector) -> None:
    html = owner.client.get(ask(owner, connector, "  ")).content.decode()

    assert "EMPTY" in html
    assert Preview.unscoped.count() == 0


def test_an_alert_is_sent_again_as_a_test(owner: Member, connector: Connector) -> None:
    alert = AlertFactory(pointer=connector.pointers.get(), status="executed", next_at=None)

    answer = owner.client.post(reverse("alerts:test", args=[alert.pk]))

    preview = Preview.unscoped.get()
    assert answer["Location"] == reverse("alerts:preview", args=[preview.pk])
    assert (preview.alert, preview.text) == (alert, bytes(alert.body).decode())


def test_a_deleted_connector_is_not_asked(owner: Member, connector: Connector) -> None:
    alert = AlertFactory(pointer=connector.pointers.get(), status="executed", next_at=None)
    Connector.unscoped.filter(pk=connector.pk).update(deleted_at="2026-11-27T12:00:00Z")

    owner.client.post(reverse("alerts:test", args=[alert.pk]))

    assert owner.client.post(reverse("alerts:ask", args=[connector.pk]), {"message": "{}"}).status_code == 404
    assert Preview.unscoped.count() == 0


def test_a_viewer_asks_nothing(owner: Member, connector: Connector) -> None:
    viewer = member(role=Role.VIEWER, workspace=owner.workspace)

    answer = viewer.client.post(reverse("alerts:ask", args=[connector.pk]), {"message": "{}"})

    assert answer.status_code == 403
    assert Preview.unscoped.count() == 0
