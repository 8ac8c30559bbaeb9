from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.dashboard import charts
from apps.trading.queries import equity_series
from tests.factories import AlertFactory, ConnectorFactory, EquityPointFactory, PointerFactory, ago
from tests.people import Member

pytestmark = pytest.mark.django_db


def page(owner: Member, **query: str) -> str:
    return owner.client.get(reverse("dashboard:home"), query).content.decode()


def test_visitor_is_sent_to_log_in() -> None:
    answer = Client().get(reverse("dashboard:home"))

    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/login/")


def test_new_member_sees_first_steps_and_what_to_do(owner: Member) -> None:
    html = page(owner)

    assert "First steps" in html
    assert "0 of 6 done" in html
    assert "No open position" in html
    assert "No alerts yet" in html
    assert reverse("connectors:new") in html


def test_who_stops_everything_is_told_what_becomes_of_orders_at_the_exchange(owner: Member) -> None:
    html = page(owner)

    # As the engine does: tests/matrix/test_kill_switch.py.
    assert "At the exchange their stops, their profits and waiting exits stay" in html
    assert "our waiting entries are taken back" in html


def test_steps_tick_themselves(owner: Member) -> None:
    connector = ConnectorFactory(workspace=owner.workspace, check_status="ok")
    AlertFactory(pointer=PointerFactory(connector=connector))

    assert "3 of 6 done" in page(owner)


def test_hidden_steps_stay_hidden(owner: Member) -> None:
    owner.client.post(reverse("dashboard:hide_setup"))

    assert "First steps" not in page(owner)


def test_curve_needs_two_points(owner: Member) -> None:
    connector = ConnectorFactory(workspace=owner.workspace)
    EquityPointFactory(connector=connector, at=ago(hours=2), equity=Decimal(100))

    assert "No curve yet" in page(owner)
    EquityPointFactory(connector=connector, at=ago(hours=1), equity=Decimal(110))
    assert "No curve yet" not in page(owner)
    assert 'data-chart="equity-chart-points"' in page(owner)


def test_curve_sums_connectors_and_repeats_the_last_value_of_a_silent_one(owner: Member) -> None:
    since = timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=4)
    first, second = ConnectorFactory.create_batch(2, workspace=owner.workspace)
    EquityPointFactory(connector=first, at=since + timedelta(minutes=5), equity=Decimal(90))
    EquityPointFactory(connector=first, at=since + timedelta(minutes=50), equity=Decimal(100))
    EquityPointFactory(connector=second, at=since + timedelta(minutes=70), equity=Decimal(30))
    EquityPointFactory(connector=second, at=since + timedelta(minutes=130), equity=Decimal(35))

    series = equity_series(owner.workspace, since=since, bucket=timedelta(hours=1))

    assert series == [
        (since, Decimal(100)),
        (since + timedelta(hours=1), Decimal(130)),
        (since + timedelta(hours=2), Decimal(135)),
    ]


def test_plot_of_one_environment_has_only_its_points(owner: Member) -> None:
    paper = ConnectorFactory(workspace=owner.workspace, environment="paper")
    live = ConnectorFactory(workspace=owner.workspace, environment="live")
    for hours in (3, 2):
        EquityPointFactory(connector=paper, at=ago(hours=hours), equity=Decimal(10000))
        EquityPointFactory(connector=live, at=ago(hours=hours), equity=Decimal(40))

    points = charts.equity(owner.workspace, span=charts.span_of("1d"), environment="live")

    assert [point["value"] for point in points] == [40.0, 40.0]


def test_unknown_span_is_24_hours() -> None:
    assert charts.span_of("for ever").key == "1d"


def test_page_stays_below_100_kilobytes(owner: Member) -> None:
    pointer = PointerFactory(connector=ConnectorFactory(workspace=owner.workspace))
    AlertFactory.create_batch(30, pointer=pointer, status="rejected", reason_code="ZERO", reason="x" * 500)

    assert len(page(owner)) < 100_000


def test_live_and_paper_have_a_switch_only_when_both_are_there(owner: Member) -> None:
    ConnectorFactory(workspace=owner.workspace, environment="paper")
    alone = page(owner)
    ConnectorFactory(workspace=owner.workspace, environment="live")

    assert "environment=paper" not in alone.replace("live/?environment=paper", "")
    assert 'aria-label="Environment"' in page(owner)
