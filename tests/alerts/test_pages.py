import csv
import io
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse
from pytest_django.fixtures import DjangoAssertNumQueries

from apps.accounts.models import AuditEvent, Role
from apps.alerts import queries
from apps.alerts.models import Alert
from apps.lib.templatetags.statuses import LOOKS
from apps.trading.models import Order, OrderState
from tests.factories import AlertFactory, ConnectorFactory, FillFactory, OrderFactory, PointerFactory, ago
from tests.people import Member, member

pytestmark = pytest.mark.django_db

T0 = datetime(2026, 11, 22, 8, 41, 3, 125000, tzinfo=UTC)


def heard(person: Member, **fields: Any) -> Alert:
    connector = fields.pop("connector", None) or ConnectorFactory(workspace=person.workspace)
    return AlertFactory(pointer=PointerFactory(connector=connector), **fields)


def caused(alert: Alert, **fields: Any) -> Order:
    return OrderFactory(connector=alert.connector, origin_id=alert.pk, **fields)


def page(person: Member, alert: Alert) -> str:
    return person.client.get(reverse("alerts:detail", args=[alert.pk])).content.decode()


def rows_of(person: Member, **query: str) -> list[dict[str, str]]:
    answer = person.client.get(reverse("alerts:csv"), query)
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))


def orders(*states: str, filled: str = "0") -> list[Order]:
    return [Order(state=state, filled_quantity=Decimal(filled)) for state in states]


@pytest.mark.parametrize(
    ("status", "made", "word"),
    [
        ("received", [], "received"),
        ("queued", [], "queued"),
        ("executing", [], "sending"),
        ("rejected", orders("denied"), "rejected"),
        ("duplicate", [], "duplicate"),
        ("expired", [], "too old"),
        ("tested", [], "test"),
        ("executing", orders("planned"), "queued"),
        ("executing", orders("filled", "planned"), "sending"),
        ("executed", orders("submitting"), "sending"),
        ("executed", orders("unknown", "filled"), "unknown: checking"),
        ("executed", orders("accepted"), "sent"),
        ("executed", orders("partial"), "partly filled"),
        ("executed", orders("filled", "filled"), "filled"),
        ("executed", orders("canceled"), "cancelled"),
        ("executed", orders("canceled", filled="3"), "partly filled"),
        ("executed", orders("filled", "rejected", filled="3"), "partly filled"),
        ("executed", orders("rejected"), "rejected"),
        ("executed", orders("denied"), "rejected"),
        ("executed", orders("not_placed"), "failed"),
        ("executed", orders("expired"), "too old"),
    ],
)
def test_word_of_an_executed_alert_is_that_of_its_orders(status: str, made: list[Order], word: str) -> None:
    assert queries.display_status(Alert(status=status), made) == word


def test_paused_is_said_in_its_own_word() -> None:
    assert queries.display_status(Alert(status="ignored", reason_code="PAUSED"), []) == "paused"


@pytest.mark.parametrize("state", OrderState.values)
def test_every_order_state_gives_a_word_with_a_look(state: str) -> None:
    assert queries.display_key(Alert(status="executed"), orders(state)) in LOOKS


def test_empty_list_says_how_alerts_come(owner: Member) -> None:
    html = owner.client.get(reverse("alerts:list")).content.decode()

    assert "No alerts yet" in html


def test_list_shows_status_symbol_reason_and_latency(owner: Member) -> None:
    alert = heard(owner, status="executed", symbol="BTCUSDT", understood={"action": "buy"})
    caused(alert, state="filled", first_fill_at=alert.received_at + timedelta(milliseconds=412))
    heard(owner, status="rejected", reason_code="ZERO", reason="'quantity' is 0, so there is nothing to trade.")

    html = owner.client.get(reverse("alerts:list")).content.decode()

    assert "filled" in html
    assert "412 <span" in html
    assert "&#x27;quantity&#x27; is 0" in html
    assert "Paper" in html


def test_pages_of_the_list_hold_every_alert_once(owner: Member) -> None:
    pointer = PointerFactory(connector=ConnectorFactory(workspace=owner.workspace))
    made = {str(AlertFactory(pointer=pointer, received_at=ago(seconds=n)).pk) for n in range(60)}

    first = owner.client.get(reverse("alerts:list"))
    second = owner.client.get(reverse("alerts:list"), {"before": first.context["page"].older})

    shown = [str(row.alert.pk) for answer in (first, second) for row in answer.context["rows"]]
    assert len(first.context["rows"]) == 50
    assert len(shown) == 60
    assert set(shown) == made
    assert second.context["page"].older == ""


def test_filters_choose_by_status_connector_symbol_and_day(owner: Member) -> None:
    connector = ConnectorFactory(workspace=owner.workspace)
    wanted = heard(owner, connector=connector, status="rejected", symbol="BTCUSDT")
    heard(owner, connector=connector, status="ignored", symbol="BTCUSDT")
    heard(owner, status="rejected", symbol="BTCUSDT")
    heard(owner, connector=connector, status="rejected", symbol="ETHUSDT")
    heard(owner, connector=connector, status="rejected", symbol="BTCUSDT", received_at=ago(days=2))
    today = wanted.received_at.date().isoformat()

    found = rows_of(owner, status="rejected", connector=str(connector.pk), symbol="btc", since=today, until=today)

    assert [row["alert_id"] for row in found] == [str(wanted.pk)]


def test_days_of_the_filter_are_those_of_the_reader(owner: Member) -> None:
    owner.user.time_zone = "Asia/Tokyo"
    owner.user.save()
    alert = heard(owner, received_at=datetime(2026, 11, 21, 16, 0, tzinfo=UTC))  # 22 November, 01:00 in Tokyo

    assert [row["alert_id"] for row in rows_of(owner, since="2026-11-22", until="2026-11-22")] == [str(alert.pk)]
    assert rows_of(owner, since="2026-11-21", until="2026-11-21") == []


def test_csv_has_the_rows_of_the_list_and_runs_no_formula(owner: Member) -> None:
    alert = heard(
        owner, status="rejected", symbol="BTCUSDT", sender="=HYPERLINK(1)", reason_code="ZERO", reason="+bad",
        received_at=T0,
    )  # fmt: skip

    [row] = rows_of(owner)

    assert row["alert_id"] == str(alert.pk)
    assert row["received_at"] == "2026-11-22T08:41:03.125000Z"
    assert row["sender"] == "'=HYPERLINK(1)"
    assert row["reason"] == "'+bad"
    assert row["result"] == "rejected"


def test_strangers_alerts_are_on_no_page(owner: Member, stranger: Member) -> None:
    theirs = heard(stranger)

    assert str(theirs.pk) not in owner.client.get(reverse("alerts:list")).content.decode()
    assert rows_of(owner) == []
    for name in ("detail", "run", "dismiss"):
        url = reverse(f"alerts:{name}", args=[theirs.pk])
        absent = reverse(f"alerts:{name}", args=[uuid.uuid4()])
        method = owner.client.get if name == "detail" else owner.client.post
        assert method(url).status_code == method(absent).status_code == 404


def test_alert_page_tells_the_whole_story(owner: Member) -> None:
    alert = heard(
        owner, status="executed", symbol="BTCUSDT", received_at=T0, read_at=T0 + timedelta(milliseconds=7),
        claimed_at=T0 + timedelta(milliseconds=9), planned_at=T0 + timedelta(milliseconds=40),
        understood={"action": "buy", "quantity": "0.01"},
        repairs=[{"code": "quotes", "sentence": "we changed: curly quotes to straight ones"}],
        notes=[{"code": "ADDED_TO_HELD", "facts": {"held": "5"}}],
    )  # fmt: skip
    order = caused(
        alert, state="filled", filled_quantity=Decimal(10), created_at=T0 + timedelta(milliseconds=41),
        signed_at=T0 + timedelta(milliseconds=45), acknowledged_at=T0 + timedelta(milliseconds=190),
        first_fill_at=T0 + timedelta(milliseconds=250), finished_at=T0 + timedelta(milliseconds=251),
    )  # fmt: skip
    FillFactory(order=order, trade_id="trade-77")

    html = page(owner, alert)

    assert "We changed: curly quotes to straight ones" in html
    assert "Added to the 5 already held." in html
    assert "0.01" in html
    assert "trade-77" in html
    assert reverse("trading:order", args=[order.pk]) in html
    assert [(moment.what, moment.since_start_ms, moment.gap_ms) for moment in queries.timeline(alert, [order])] == [
        ("Received", 0, 0),
        ("Read", 7, 7),
        ("Claimed by a worker", 9, 2),
        ("Planned", 40, 31),
        ("Order: written down", 41, 1),
        ("Order: signed and sent", 45, 4),
        ("Order: acknowledged by the exchange", 190, 145),
        ("Order: first fill", 250, 60),
        ("Order: filled", 251, 1),
    ]


def test_refused_alert_says_code_sentence_and_facts(owner: Member) -> None:
    alert = heard(
        owner, status="rejected", reason_code="NOTIONAL_BELOW_MINIMUM", reason="Too small: 0.00004 BTC.",
        facts={"minimum": "5"},
    )  # fmt: skip

    html = page(owner, alert)

    assert "NOTIONAL_BELOW_MINIMUM" in html
    assert "Too small: 0.00004 BTC." in html
    assert "minimum" in html


def test_body_is_escaped_and_any_bytes_are_shown(owner: Member) -> None:
    script = heard(owner, body=b'{"ticker":"<script>alert(1)</script>"}')
    binary = heard(owner, body=bytes(range(256)))

    assert "<script>alert(1)" not in page(owner, script)
    assert "&lt;script&gt;alert(1)" in page(owner, script)
    assert owner.client.get(reverse("alerts:detail", args=[binary.pk])).status_code == 200


def test_curl_command_carries_a_placeholder_and_quotes_the_body(owner: Member) -> None:
    alert = heard(
        owner, body='{"ticker":"it\'s","pointer":"••••abcd"}'.encode(), content_type="application/json; charset=utf-8"
    )

    command = queries.as_curl(alert, "https://sferica.example/webhook")

    assert "YOUR_POINTER" in command
    assert "••••" not in command
    assert command.endswith("""--data-binary '{"ticker":"it'"'"'s","pointer":"YOUR_POINTER"}'""")


def test_repeated_delivery_links_to_the_first_and_back(owner: Member) -> None:
    first = heard(owner, status="executed")
    again = AlertFactory(pointer=first.pointer, status="duplicate", duplicate_of=first)

    assert reverse("alerts:detail", args=[first.pk]) in page(owner, again)
    assert reverse("alerts:detail", args=[again.pk]) in page(owner, first)


def test_delivery_of_several_messages_lists_them(owner: Member) -> None:
    whole = heard(owner, status="split")
    part = AlertFactory(pointer=whole.pointer, parent=whole, part=1, symbol="ETHUSDT")

    assert "ETHUSDT" in page(owner, whole)
    assert reverse("alerts:detail", args=[whole.pk]) in page(owner, part)


def test_held_alert_runs_when_told(owner: Member) -> None:
    alert = heard(owner, status="held", next_at=None, reason_code="SUSPECTED_DUPLICATE", reason="Held.")

    shown = page(owner, alert)
    owner.client.post(reverse("alerts:run", args=[alert.pk]))

    alert.refresh_from_db()
    assert "Run it" in shown
    assert alert.status == "queued"
    assert alert.released_at is not None
    [event] = AuditEvent.objects.for_workspace(owner.workspace)
    assert (event.action, event.object_id) == ("alert.run", alert.pk)


def test_held_alert_leads_to_the_one_it_resembles(owner: Member) -> None:
    first = heard(owner)
    second = heard(
        owner, status="held", next_at=None, reason_code="SUSPECTED_DUPLICATE", facts={"original": str(first.pk)}
    )

    assert f'href="{reverse("alerts:detail", args=[first.pk])}">{first.pk}</a>' in page(owner, second)


def test_dismissed_alert_is_closed(owner: Member) -> None:
    alert = heard(owner, status="held", next_at=None)

    owner.client.post(reverse("alerts:dismiss", args=[alert.pk]))

    alert.refresh_from_db()
    assert alert.status == "ignored"
    assert not Order.unscoped.exists()


@pytest.mark.parametrize("name", ["run", "dismiss"])
def test_alert_that_is_not_held_is_left_alone(owner: Member, name: str) -> None:
    alert = heard(owner, status="rejected", next_at=None)

    answer = owner.client.post(reverse(f"alerts:{name}", args=[alert.pk]), follow=True)

    alert.refresh_from_db()
    assert alert.status == "rejected"
    assert "NOT_HELD" in answer.content.decode()
    assert not AuditEvent.objects.for_workspace(owner.workspace).exists()


@pytest.mark.parametrize("name", ["run", "dismiss"])
def test_viewer_decides_nothing(owner: Member, name: str) -> None:
    alert = heard(owner, status="held", next_at=None)
    viewer = member(role=Role.VIEWER, workspace=owner.workspace)

    answer = viewer.client.post(reverse(f"alerts:{name}", args=[alert.pk]))

    alert.refresh_from_db()
    assert answer.status_code == 403
    assert alert.status == "held"
    assert "Run it" not in page(viewer, alert)


def test_list_takes_the_same_number_of_queries_for_any_number(
    owner: Member, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(20):
        caused(heard(owner, status="executed"), state="filled")

    with django_assert_max_num_queries(8):
        owner.client.get(reverse("alerts:list"))


def test_page_takes_a_bounded_number_of_queries(
    owner: Member, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    alert = heard(owner, status="executed")
    for leg in "abcdef":
        FillFactory(order=caused(alert, leg=leg, state="filled"))

    with django_assert_max_num_queries(14):
        page(owner, alert)


def test_list_keeps_itself_fresh_by_its_rows_alone(owner: Member) -> None:
    url = reverse("alerts:list")
    asks = {"X-Requested-With": "poll"}
    empty = owner.client.get(url).content.decode()
    before = owner.client.get(url, headers=asks)

    alert = heard(owner, status="executed")
    after = owner.client.get(url, headers=asks | {"If-None-Match": before["ETag"]})
    again = owner.client.get(url, headers=asks | {"If-None-Match": after["ETag"]})

    assert f'id="alert-list" data-poll="{url}"' in empty
    assert reverse("alerts:detail", args=[alert.pk]) in after.content.decode()
    assert "<h1" not in after.content.decode()
    assert again.status_code == 304


def test_page_keeps_itself_fresh_until_the_alert_is_over(owner: Member) -> None:
    alert = heard(owner, status="executed", next_at=None)
    order = caused(alert, state="accepted")

    moving = page(owner, alert)
    order.state = "filled"
    order.save()
    over = page(owner, alert)
    polled = owner.client.get(
        reverse("alerts:detail", args=[alert.pk]), headers={"X-Requested-With": "poll"}
    ).content.decode()

    assert f'id="alert" data-poll="/app/alerts/{alert.pk}/" data-active' in moving
    assert "data-poll" not in over
    assert f'id="alert" data-poll="/app/alerts/{alert.pk}/"' in polled
    assert "data-active" not in polled


def test_gaps_and_late_alerts_are_flagged_in_the_list_and_on_the_page(owner: Member) -> None:
    gap = {"code": "MISSED_ALERT", "facts": {"stated": "long 2", "left": "long 1", "previous_at": "08:41"}}
    alert = heard(owner, received_at=T0, notes=[gap], understood={"time": "2026-11-22T08:40:33Z", "ticker": "BTCUSDT"})
    quick = heard(owner, received_at=T0, understood={"time": "2026-11-22T08:40:34Z"})

    rows = queries.rows_of(owner.workspace, [alert, quick])

    assert [(row.source_delay_s, row.flags) for row in rows] == [(30, ["gap", "late"]), (29, [])]
    html = owner.client.get(reverse("alerts:list")).content.decode()
    assert html.count(LOOKS["gap"].word + "</span>") == 1
    assert html.count(LOOKS["late"].word + "</span>") == 1
    detail = page(owner, alert)
    assert "The alert says long 2 was held before it, but the one before it, of 08:41, left long 1." in detail
    assert "Sent before receipt" in detail
    assert sorted(row["source_delay_s"] for row in rows_of(owner)) == ["29", "30"]
