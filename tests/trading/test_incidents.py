"""What needs a person: opened once, mailed once, read by its workspace alone."""

from datetime import timedelta
from smtplib import SMTPException
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.core.mail import EmailMessage
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import AuditEvent, Role
from apps.trading import incident_mail, incidents
from apps.trading.incident_kinds import TEXTS, IncidentKind, facts_of, filled_in
from apps.trading.models import Flatten, Incident
from tests.factories import ConnectorFactory, IncidentFactory, OrderFactory
from tests.people import Member, member

pytestmark = pytest.mark.django_db

K = IncidentKind


@pytest.mark.parametrize("kind", IncidentKind)
def test_every_kind_says_what_was_done_and_what_to_do(kind: IncidentKind) -> None:
    text = TEXTS[kind]
    facts = {name: f"<{name}>" for name in facts_of(kind)}
    sentences = [filled_in(part, facts) for part in (text.what, text.did, text.todo)]

    assert "—" not in "".join(sentences)
    assert all(sentence.strip() for sentence in sentences)


def test_the_same_trouble_is_one_open_incident_with_the_newest_facts(owner: Member) -> None:
    connector = ConnectorFactory(workspace=owner.workspace)
    with time_machine.travel(timezone.now() - timedelta(minutes=3)):
        first = incidents.open_incident(connector, K.POSITION_DIFFERS, symbol="BTCUSDT", facts={"theirs": "flat"})

    second = incidents.open_incident(connector, K.POSITION_DIFFERS, symbol="BTCUSDT", facts={"theirs": "long 3"})
    other = incidents.open_incident(connector, K.POSITION_DIFFERS, symbol="ETHUSDT")

    assert second.pk == first.pk != other.pk
    row = Incident.unscoped.get(pk=first.pk)
    assert row.facts == {"theirs": "long 3", "symbol": "BTCUSDT"}
    assert row.opened_at == first.opened_at
    assert row.seen_at - row.opened_at >= timedelta(minutes=2, seconds=59)


def test_two_processes_cannot_open_it_twice(owner: Member) -> None:
    connector = ConnectorFactory(workspace=owner.workspace)
    order = OrderFactory(connector=connector)
    IncidentFactory(connector=connector, symbol="BTCUSDT")
    IncidentFactory(connector=connector, order=order)

    for more in ({"symbol": "BTCUSDT"}, {"order": order, "symbol": "OTHER"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            IncidentFactory(connector=connector, **more)


def test_resolved_it_may_come_back_as_a_new_one(owner: Member) -> None:
    connector = ConnectorFactory(workspace=owner.workspace)
    first = incidents.open_incident(connector, K.KEY_REFUSED)

    assert incidents.resolve(connector, K.KEY_REFUSED, how="accepted again") is True
    assert incidents.resolve(connector, K.KEY_REFUSED) is False
    again = incidents.open_incident(connector, K.KEY_REFUSED)

    assert again.pk != first.pk
    assert Incident.unscoped.get(pk=first.pk).resolution == "accepted again"


def test_an_incident_blocks_its_symbol_or_the_whole_connector(owner: Member) -> None:
    connector, other = ConnectorFactory(workspace=owner.workspace), ConnectorFactory(workspace=owner.workspace)
    orphan = incidents.open_incident(connector, K.ORPHAN_ORDER, symbol="BTCUSDT")
    incidents.open_incident(connector, K.POSITION_EXTERNAL, symbol="ETHUSDT")

    assert incidents.blocking(connector=connector.pk, symbol="BTCUSDT") == [orphan]
    assert incidents.blocking(connector=connector.pk, symbol="ETHUSDT") == []
    assert incidents.blocking(connector=other.pk, symbol="BTCUSDT") == []
    key = incidents.open_incident(connector, K.KEY_REFUSED)
    assert incidents.blocking(connector=connector.pk, symbol="ETHUSDT") == [key]


def test_one_that_is_closed_in_the_moment_it_is_found_again_is_opened_anew(
    owner: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = ConnectorFactory(workspace=owner.workspace)
    first = incidents.open_incident(connector, K.KEY_REFUSED)
    find = incidents._of_symbol

    def slow(**of: Any) -> list[Incident]:
        """Find it, and meanwhile another process closes it."""
        monkeypatch.setattr(incidents, "_of_symbol", find)
        found = list(find(**of))
        assert incidents.resolve(connector, K.KEY_REFUSED)
        return found

    monkeypatch.setattr(incidents, "_of_symbol", slow)
    second = incidents.open_incident(connector, K.KEY_REFUSED)

    assert second != first
    assert incidents.blocking(connector=connector.pk, symbol="BTCUSDT") == [second]


def test_its_owners_are_mailed_once_with_the_outcome_in_the_subject(owner: Member) -> None:
    member(role=Role.VIEWER, workspace=owner.workspace)
    connector = ConnectorFactory(workspace=owner.workspace, label="Main", environment="paper")
    incident = incidents.open_incident(
        connector, K.POSITION_EXTERNAL, symbol="BTCUSDT",
        facts={"ours": "long 10", "theirs": "flat", "difference": "10"},
    )  # fmt: skip

    assert [incident_mail.send_due(), incident_mail.send_due()] == [1, 0]

    [sent] = mail.outbox
    assert sent.to == [owner.user.email]
    assert sent.subject == "[Paper] Main: position changed from outside BTCUSDT"
    assert sent.body.splitlines()[0] == "BTCUSDT was traded outside: we had long 10, the exchange holds flat."
    assert f"/app/incidents/{incident.pk}/" in sent.body
    assert Incident.unscoped.get(pk=incident.pk).mailed_at is not None


def test_a_mail_that_cannot_be_sent_is_tried_again(owner: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    incident = IncidentFactory(connector=ConnectorFactory(workspace=owner.workspace))

    def refuse(*_: Any, **__: Any) -> int:
        raise SMTPException("busy")

    with monkeypatch.context() as broken:
        broken.setattr(EmailMessage, "send", refuse)
        assert incident_mail.send_due() == 0
    assert (incident_mail.send_due(), mail.outbox) == (0, [])

    Incident.unscoped.update(mail_next_at=timezone.now())
    assert (incident_mail.send_due(), len(mail.outbox)) == (1, 1)
    assert Incident.unscoped.get(pk=incident.pk).mailed_at is not None


def test_owners_whom_the_mail_did_not_reach_get_it_later_and_nobody_gets_it_twice(
    owner: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = member(role=Role.OWNER, workspace=owner.workspace)
    IncidentFactory(connector=ConnectorFactory(workspace=owner.workspace))
    send = EmailMessage.send

    def refused(letter: EmailMessage, *more: Any) -> int:
        if letter.to == [owner.user.email]:
            raise SMTPException("no such mailbox")
        return send(letter, *more)

    with monkeypatch.context() as broken:
        broken.setattr(EmailMessage, "send", refused)
        for _ in range(2):
            assert incident_mail.send_due() == 0
            Incident.unscoped.update(mail_next_at=timezone.now())
    assert [letter.to for letter in mail.outbox] == [[other.user.email]]

    assert incident_mail.send_due() == 1
    assert [letter.to for letter in mail.outbox] == [[other.user.email], [owner.user.email]]


def test_page_tells_and_a_person_resolves(owner: Member) -> None:
    incident = IncidentFactory(connector=ConnectorFactory(workspace=owner.workspace))
    url = reverse("trading:incident", args=[incident.pk])

    listed = owner.client.get(reverse("trading:incidents")).content.decode()
    page = owner.client.get(url).content.decode()
    home = owner.client.get(reverse("dashboard:home")).content.decode()
    owner.client.post(reverse("trading:resolve_incident", args=[incident.pk]))

    for html in (listed, page, home):
        assert "our fills add up to long 10, the exchange holds flat" in html
    incident.refresh_from_db()
    assert (incident.resolved_by, incident.resolution) == (owner.user, "Resolved by a person.")
    assert AuditEvent.objects.for_workspace(owner.workspace).get(action="incident.resolved").object_id == incident.pk
    assert "Open incident" not in owner.client.get(reverse("dashboard:home")).content.decode()


@pytest.mark.parametrize("of_all", [True, False])
def test_a_closing_that_is_not_complete_leads_to_its_report(owner: Member, of_all: bool) -> None:
    connector = ConnectorFactory(workspace=owner.workspace, label="First desk")
    flatten = Flatten.objects.create(workspace=owner.workspace, connector=None if of_all else connector)
    facts = {"failed": "1", "found": "3", "report": str(flatten.pk)}
    row = incidents.open_incident(connector, K.FLATTEN_INCOMPLETE, facts=facts)

    html = owner.client.get(reverse("trading:incident", args=[row.pk])).content.decode()

    assert "Close everything not complete" in html
    assert reverse("trading:flatten", args=[flatten.pk]) in html
    assert "First desk" in html


def test_a_viewer_resolves_nothing(owner: Member) -> None:
    viewer = member(role=Role.VIEWER, workspace=owner.workspace)
    incident = IncidentFactory(connector=ConnectorFactory(workspace=owner.workspace))

    answer = viewer.client.post(reverse("trading:resolve_incident", args=[incident.pk]))

    assert answer.status_code == 403
    assert Incident.unscoped.get(pk=incident.pk).resolved_at is None


def test_api_reads_incidents(owner: Member) -> None:
    incident = IncidentFactory(connector=ConnectorFactory(workspace=owner.workspace))
    IncidentFactory(connector=incident.connector, symbol="ETHUSDT", resolved_at=timezone.now())

    [row] = owner.api.get(reverse("api:incident-list"), {"open": "true"}).json()["results"]

    assert (row["id"], row["kind"], row["severity"]) == (str(incident.pk), "POSITION_DIFFERS", "ERROR")
    assert row["what"] == "BTCUSDT: our fills add up to long 10, the exchange holds flat."
