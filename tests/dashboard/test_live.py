import html
import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import DjangoAssertNumQueries

from apps.connectors.models import CheckStatus
from apps.dashboard.live import snapshot
from tests.factories import (
    AlertFactory,
    ConnectorFactory,
    EquityPointFactory,
    LedgerEntryFactory,
    MarketPriceFactory,
    OrderFactory,
    PointerFactory,
    PositionFactory,
    SpotInstrumentFactory,
    ago,
)
from tests.people import Member

pytestmark = pytest.mark.django_db


def take(owner: Member, environment: str = ""):
    return snapshot(owner.workspace, today=timezone.now() - timedelta(hours=12), environment=environment)


def test_figures_are_those_worked_by_hand(owner: Member) -> None:
    connector = ConnectorFactory(workspace=owner.workspace)
    # Long 10 contracts of 0.001 BTC from 60000, mark 60250: 10 × 0.001 × 250 = 2.5; exposure 602.5.
    future = PositionFactory(connector=connector)
    MarketPriceFactory(instrument=future.instrument, mark=Decimal(60250))
    # Short 4 contracts of 0.01 ETH from 3000, mark 3010: −4 × 0.01 × 10 = −0.4; exposure 120.4.
    short = PositionFactory(
        connector=connector,
        instrument__symbol="ETHUSDT",
        instrument__contract_size=Decimal("0.01"),
        signed_quantity=Decimal(-4),
        avg_entry_price=Decimal(3000),
    )
    MarketPriceFactory(instrument=short.instrument, mark=Decimal(3010))
    EquityPointFactory(connector=connector, at=ago(minutes=2), equity=Decimal(9000))
    EquityPointFactory(connector=connector, at=ago(minutes=1), equity=Decimal("10010.5"))
    LedgerEntryFactory(connector=connector, kind="realized_pnl", amount=Decimal("7.25"))
    LedgerEntryFactory(connector=connector, kind="fee", amount=Decimal("-0.36"))
    LedgerEntryFactory(connector=connector, kind="fee", amount=Decimal("-0.001"), currency="BMX")
    LedgerEntryFactory(connector=connector, kind="external", amount=Decimal(500))
    LedgerEntryFactory(connector=connector, kind="realized_pnl", amount=Decimal(99), at=ago(days=2))

    taken = take(owner)

    assert taken.unrealized == Decimal("2.1")
    assert taken.exposure == Decimal("722.9")
    assert taken.equity == Decimal("10010.5")
    assert taken.realized_today == Decimal("6.89")
    assert taken.other_earnings == (("BMX", Decimal("-0.001")),)
    assert taken.is_active is True


def test_spot_position_is_valued_at_one_unit_a_contract(owner: Member) -> None:
    connector = ConnectorFactory(workspace=owner.workspace, market="spot")
    position = PositionFactory(
        connector=connector,
        instrument=SpotInstrumentFactory(),
        signed_quantity=Decimal("0.05"),
        avg_entry_price=Decimal(58000),
    )
    MarketPriceFactory(instrument=position.instrument, mark=Decimal(57000))

    taken = take(owner)

    assert taken.unrealized == Decimal(-50)
    assert taken.exposure == Decimal(2850)


def test_equity_is_the_sum_of_the_last_point_of_each_connector_in_use(owner: Member) -> None:
    for equity in (100, 250):
        connector = ConnectorFactory(workspace=owner.workspace)
        EquityPointFactory(connector=connector, at=ago(minutes=5), equity=Decimal(1))
        EquityPointFactory(connector=connector, at=ago(minutes=1), equity=Decimal(equity))
    deleted = ConnectorFactory(workspace=owner.workspace, deleted_at=timezone.now())
    EquityPointFactory(connector=deleted, equity=Decimal(7777))

    assert take(owner).equity == Decimal(350)


def test_position_without_a_price_makes_the_sum_unknown_not_zero(owner: Member) -> None:
    connector = ConnectorFactory(workspace=owner.workspace)
    PositionFactory(connector=connector)

    taken = take(owner)

    assert taken.unrealized is None
    assert taken.exposure is None


def test_price_of_sixteen_seconds_ago_is_marked_old(owner: Member) -> None:
    position = PositionFactory(connector=ConnectorFactory(workspace=owner.workspace))
    MarketPriceFactory(instrument=position.instrument, at=ago(seconds=16))

    html = owner.client.get(reverse("dashboard:live")).content.decode()

    assert take(owner).positions[0].is_stale is True
    assert "old price" in html


def test_price_of_a_second_ago_is_not_marked(owner: Member) -> None:
    position = PositionFactory(connector=ConnectorFactory(workspace=owner.workspace))
    MarketPriceFactory(instrument=position.instrument, at=ago(seconds=1))

    assert take(owner).positions[0].is_stale is False


def test_paper_and_live_are_never_added_up(owner: Member) -> None:
    paper = ConnectorFactory(workspace=owner.workspace, environment="paper")
    live = ConnectorFactory(workspace=owner.workspace, environment="live")
    EquityPointFactory(connector=paper, equity=Decimal(10000))
    EquityPointFactory(connector=live, equity=Decimal(40))
    PositionFactory(connector=paper)

    assert take(owner).environments == ("live", "paper")
    assert take(owner).equity == Decimal(40)
    assert take(owner).positions == ()
    assert len(take(owner, "paper").positions) == 1
    assert take(owner, "paper").equity == Decimal(10000)
    assert take(owner, "no such").equity == Decimal(40)


def test_strangers_rows_are_in_no_figure(owner: Member, stranger: Member) -> None:
    theirs = ConnectorFactory(workspace=stranger.workspace)
    position = PositionFactory(connector=theirs)
    MarketPriceFactory(instrument=position.instrument)
    EquityPointFactory(connector=theirs)
    LedgerEntryFactory(connector=theirs)
    AlertFactory(pointer=PointerFactory(connector=theirs))

    taken = take(owner)

    assert taken.positions == ()
    assert taken.last_alerts == ()
    assert taken.equity is None
    assert taken.realized_today == 0
    assert taken.alerts_today == 0


def test_todays_alerts_and_orders_are_counted(owner: Member) -> None:
    connector = ConnectorFactory(workspace=owner.workspace)
    pointer = PointerFactory(connector=connector)
    AlertFactory(pointer=pointer, status="executed")
    AlertFactory(pointer=pointer, status="rejected")
    AlertFactory(pointer=pointer, received_at=ago(days=3))
    OrderFactory(connector=connector, state="filled")
    OrderFactory(connector=connector, state="denied")

    taken = take(owner)

    assert (taken.alerts_today, taken.alerts_refused_today) == (2, 1)
    assert (taken.orders_today, taken.orders_filled_today) == (2, 1)


def test_limit_of_a_day_that_is_reached_is_told(owner: Member) -> None:
    reached, far = (
        ConnectorFactory(workspace=owner.workspace, label=label, max_daily_loss=Decimal(limit))
        for label, limit in (("Desk", 100), ("Other desk", 500))
    )
    for connector in (reached, far, ConnectorFactory(workspace=owner.workspace)):
        LedgerEntryFactory(connector=connector, kind="realized_pnl", amount=Decimal(-120))
        LedgerEntryFactory(connector=connector, kind="fee", amount=Decimal("-1.5"))
        LedgerEntryFactory(connector=connector, kind="external", amount=Decimal(-5000))
        LedgerEntryFactory(connector=connector, kind="realized_pnl", amount=Decimal(-900), at=ago(days=1))

    [item] = take(owner).attention

    tomorrow = timezone.now() + timedelta(days=1)
    assert item.sentence == (
        "Desk: 121.50 USDT were lost today, the most is 100.00 USDT. "
        f"New positions are off until {tomorrow:%Y-%m-%d} 00:00 UTC; exits still work."
    )
    assert item.url == reverse("connectors:settings", args=[reached.pk])


def test_failed_check_held_alert_and_unsure_order_need_attention(owner: Member) -> None:
    lines = [{"what": "Withdrawal", "ok": False, "sentence": "This key can withdraw funds."}]
    connector = ConnectorFactory(
        workspace=owner.workspace, label="Desk", check_status=CheckStatus.FAILED, check_lines=lines
    )
    AlertFactory(pointer=PointerFactory(connector=connector), status="held")
    now = timezone.now()
    OrderFactory(connector=connector, state="unknown", signed_at=now, fence_at=now)

    sentences = [item.sentence for item in take(owner).attention]

    assert sentences == [
        "Desk: the exchange has not said what became of buy BTCUSDT. "
        "It is being asked again; the order is not sent twice.",
        "Desk: This key can withdraw funds.",
        "An alert is held and waits for your decision.",
    ]


def test_number_of_queries_does_not_grow_with_the_rows(
    owner: Member, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(6):
        connector = ConnectorFactory(workspace=owner.workspace)
        position = PositionFactory(connector=connector, instrument__symbol=f"C{number}USDT")
        MarketPriceFactory(instrument=position.instrument)
        EquityPointFactory(connector=connector)
        alert = AlertFactory(pointer=PointerFactory(connector=connector), status="executed")
        OrderFactory(connector=connector, instrument=position.instrument, origin_id=alert.pk, state="filled")

    with django_assert_max_num_queries(11):
        take(owner)


def test_live_region_moves_when_the_mark_price_moves(owner: Member) -> None:
    position = PositionFactory(connector=ConnectorFactory(workspace=owner.workspace))
    price = MarketPriceFactory(instrument=position.instrument, mark=Decimal(60250))

    before = owner.client.get(reverse("dashboard:live")).content.decode()
    price.mark = Decimal(59000)
    price.save()
    after = owner.client.get(reverse("dashboard:live")).content.decode()

    assert "+2.50" in before
    assert "\N{MINUS SIGN}10.00" in after
    assert "data-active" in before


def test_first_steps_tick_with_the_live_region_while_the_page_shows_them(owner: Member) -> None:
    def live_url() -> str:
        found = re.search(r'data-poll="([^"]+)"', owner.client.get(reverse("dashboard:home")).content.decode())
        assert found
        return html.unescape(found[1])

    shown = live_url()
    before = owner.client.get(shown).content.decode()
    AlertFactory(pointer=PointerFactory(connector=ConnectorFactory(workspace=owner.workspace, check_status="ok")))
    after = owner.client.get(shown).content.decode()
    owner.client.post(reverse("dashboard:hide_setup"))

    assert ("0 of 6 done" in before, "3 of 6 done" in after) == (True, True)
    assert 'id="first-steps-list" data-follows' in after
    assert "csrf" not in after, "it differs each time, and the tag with it"
    assert "of 6 done" not in owner.client.get(live_url()).content.decode()


def test_unchanged_region_is_answered_with_304_and_no_body(owner: Member) -> None:
    ConnectorFactory(workspace=owner.workspace)
    first = owner.client.get(reverse("dashboard:live"))

    second = owner.client.get(reverse("dashboard:live"), headers={"If-None-Match": first["ETag"]})

    assert first.status_code == 200
    assert second.status_code == 304
    assert second.content == b""
    assert second["ETag"] == first["ETag"]
    assert not first["ETag"].startswith("W/")


def test_changed_region_has_another_tag(owner: Member) -> None:
    connector = ConnectorFactory(workspace=owner.workspace)
    first = owner.client.get(reverse("dashboard:live"))
    EquityPointFactory(connector=connector, equity=Decimal(1))

    second = owner.client.get(reverse("dashboard:live"), headers={"If-None-Match": first["ETag"]})

    assert second.status_code == 200
    assert second["ETag"] != first["ETag"]


def test_idle_region_does_not_ask_for_fast_polling(owner: Member) -> None:
    ConnectorFactory(workspace=owner.workspace)

    assert "data-active" not in owner.client.get(reverse("dashboard:live")).content.decode()


def test_what_was_open_when_its_connector_was_deleted_is_in_no_figure(owner: Member) -> None:
    deleted = PositionFactory(connector=ConnectorFactory(workspace=owner.workspace, deleted_at=timezone.now()))
    MarketPriceFactory(instrument=deleted.instrument, mark=Decimal(50000))

    taken = take(owner)

    assert (taken.positions, taken.unrealized, taken.exposure) == ((), 0, 0)
