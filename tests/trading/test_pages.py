import csv
import io
import re
import uuid
from datetime import timedelta
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import DjangoAssertNumQueries

from apps.trading.models import Flatten, OrderEvent
from apps.trading.queries import unrealized_pnl
from tests.factories import (
    AlertFactory,
    ConnectorFactory,
    FillFactory,
    MarketPriceFactory,
    OrderFactory,
    PointerFactory,
    PositionFactory,
    ago,
)
from tests.people import Member

pytestmark = pytest.mark.django_db


def get(person: Member, name: str, *args: Any, **query: str) -> str:
    return person.client.get(reverse(f"trading:{name}", args=args), query).content.decode()


def rows_of(person: Member, name: str, **query: str) -> list[dict[str, str]]:
    answer = person.client.get(reverse(f"trading:{name}"), query)
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))


@pytest.mark.parametrize(
    ("quantity", "entry", "mark", "pnl"),
    [
        ("10", "60000", "60250", "2.5"),
        ("-10", "60000", "60250", "-2.5"),
        ("-10", "60000", "59999.9", "0.001"),
        ("0", "0", "60250", "0"),
    ],
)
def test_unrealized_pnl_is_quantity_times_contract_times_move(quantity: str, entry: str, mark: str, pnl: str) -> None:
    position = PositionFactory(signed_quantity=Decimal(quantity), avg_entry_price=Decimal(entry))

    assert unrealized_pnl(position, Decimal(mark)) == Decimal(pnl)


def test_empty_lists_say_why(owner: Member) -> None:
    assert "No orders yet" in get(owner, "orders")
    assert "No open position" in get(owner, "positions")
    assert "Nothing closed yet" in get(owner, "positions")


def test_phone_tells_whose_position_it_is_and_what_was_paid(owner: Member) -> None:
    held, flat, closing = (ConnectorFactory(workspace=owner.workspace, label=f"Desk {n}") for n in range(3))
    PositionFactory(connector=held)
    PositionFactory(connector=flat, signed_quantity=Decimal(0))
    row = {"connector": closing.label, "symbol": "BTCUSDT", "state": "failed", "found": "long 1", "why": ""}
    flatten = Flatten.objects.create(workspace=owner.workspace, report={"row": row})

    positions, report = get(owner, "positions"), get(owner, "flatten", flatten.pk)

    # In their columns, and below what a phone has room for.
    told = [positions.count(text) for text in ("Desk 0</a>", ">60,000.0<", "Desk 1</span>")]
    assert (told, report.count("Desk 2<")) == ([2, 2, 2], 2)


def test_reason_of_the_operators_ends_as_they_wrote_it(owner: Member) -> None:
    owner.workspace.staff_state, owner.workspace.staff_reason = "halted", "Call us."
    owner.workspace.save()

    assert "Reason: Call us.</div>" in get(owner, "positions")


def test_a_closing_that_still_goes_on_is_not_called_done(owner: Member) -> None:
    owner.workspace.trading_state, owner.workspace.lift_needs_word = "reduce_only", True
    owner.workspace.save()

    html = get(owner, "positions")

    assert "Close everything was asked for. Type" in html
    assert "Everything was closed" not in html


def test_order_list_shows_own_orders_only(owner: Member, stranger: Member) -> None:
    OrderFactory(connector=ConnectorFactory(workspace=owner.workspace, label="Mine"), state="filled")
    OrderFactory(connector=ConnectorFactory(workspace=stranger.workspace, label="Theirs"))

    html = get(owner, "orders")

    assert "Mine" in html
    assert "Theirs" not in html
    assert "Paper" in html


def test_filters_choose_by_state_connector_symbol_and_day(owner: Member) -> None:
    connector = ConnectorFactory(workspace=owner.workspace)
    other = ConnectorFactory(workspace=owner.workspace)
    wanted = OrderFactory(connector=connector, state="filled")
    OrderFactory(connector=connector, state="denied")
    OrderFactory(connector=other, state="filled")
    OrderFactory(connector=connector, state="filled", instrument__symbol="ETHUSDT")
    OrderFactory(connector=connector, state="filled", created_at=ago(days=3))
    today = timezone.now().date().isoformat()

    found = rows_of(
        owner, "orders_csv", state="filled", connector=str(connector.pk), symbol="btc", since=today, until=today
    )

    assert [row["order_id"] for row in found] == [str(wanted.pk)]


def test_foreign_connector_in_the_filter_is_no_choice(owner: Member, stranger: Member) -> None:
    theirs = ConnectorFactory(workspace=stranger.workspace)
    OrderFactory(connector=ConnectorFactory(workspace=owner.workspace))

    html = get(owner, "orders", connector=str(theirs.pk))

    assert "Select a valid choice" in html
    assert theirs.label not in html


def test_filter_without_a_match_offers_the_whole_list(owner: Member) -> None:
    assert "No order fits this filter" in get(owner, "orders", symbol="XYZ")


@pytest.mark.parametrize(
    "query", [{"since": "0000-13-99"}, {"until": "9999-12-31"}, {"before": "nonsense"}, {"state": "x"}]
)
def test_unreadable_filters_are_no_error(owner: Member, query: dict[str, str]) -> None:
    assert owner.client.get(reverse("trading:orders"), query).status_code == 200


def test_order_page_shows_figures_events_and_fills(owner: Member) -> None:
    connector = ConnectorFactory(workspace=owner.workspace)
    alert = AlertFactory(pointer=PointerFactory(connector=connector))
    order = OrderFactory(
        connector=connector, origin_id=alert.pk, state="filled", filled_quantity=Decimal(10),
        avg_fill_price=Decimal("60000.5"), fees={"USDT": "0.36"}, exchange_order_id="3000001",
    )  # fmt: skip
    FillFactory(order=order, price=Decimal(60000), quantity=Decimal(4), trade_id="t-1")
    FillFactory(order=order, price=Decimal("60000.8"), quantity=Decimal(6), trade_id="t-2")
    OrderEvent.unscoped.create(
        workspace=owner.workspace,
        order=order,
        to_state="filled",
        version=1,
        cause="answer",
        evidence={"trade_ids": ["7", "8"]},
    )

    html = get(owner, "order", order.pk)

    # 4 × 0.001 × 60000 + 6 × 0.001 × 60000.8 = 240 + 360.0048
    assert "600.00 <span" in html
    assert 'title="600.0048 USDT"' in html
    assert "60,000.5" in html
    assert "t-1" in html
    assert "t-2" in html
    assert "Answer" in html
    assert "trade ids" in html
    assert "7, 8</dd>" in html
    assert "3000001" in html
    assert order.client_order_id in html
    assert reverse("alerts:detail", args=[alert.pk]) in html


def test_strangers_order_reads_as_if_it_were_not_there(owner: Member, stranger: Member) -> None:
    theirs = OrderFactory(connector=ConnectorFactory(workspace=stranger.workspace))

    foreign = owner.client.get(reverse("trading:order", args=[theirs.pk]))
    absent = owner.client.get(reverse("trading:order", args=[uuid.uuid4()]))

    assert foreign.status_code == absent.status_code == 404


def test_order_that_still_moves_keeps_its_page_fresh(owner: Member) -> None:
    order = OrderFactory(connector=ConnectorFactory(workspace=owner.workspace), state="cancelling")
    url = reverse("trading:order", args=[order.pk])

    moving = owner.client.get(url).content.decode()
    order.state = "canceled"
    order.save()
    polled = owner.client.get(url, headers={"X-Requested-With": "poll"}).content.decode()
    over = owner.client.get(url).content.decode()

    assert f'id="order" data-poll="{url}" data-active' in moving
    assert f'id="order" data-poll="{url}"' in polled
    assert "data-active" not in polled
    assert "data-poll" not in over


@pytest.mark.parametrize(("name", "region"), [("orders", "order-list"), ("positions", "positions")])
def test_list_keeps_itself_fresh_by_its_rows_alone(owner: Member, name: str, region: str) -> None:
    connector = ConnectorFactory(workspace=owner.workspace)
    OrderFactory(connector=connector, state="filled")
    PositionFactory(connector=connector)
    url = f"{reverse(f'trading:{name}')}?symbol=BTCUSDT"
    asks = {"X-Requested-With": "poll"}

    page = owner.client.get(url).content.decode()
    first = owner.client.get(url, headers=asks)
    again = owner.client.get(url, headers=asks | {"If-None-Match": first["ETag"]})

    part = first.content.decode()
    assert f'id="{region}" data-poll="/app/{name}/' in page
    assert ("<h1" in part, "BTCUSDT" in part, f'id="{region}"' in part) == (False, True, True)
    assert again.status_code == 304


@pytest.mark.parametrize(("quantity", "unit"), [("1", "contract"), ("2", "contracts")])
def test_one_contract_is_not_several(owner: Member, quantity: str, unit: str) -> None:
    PositionFactory(connector=ConnectorFactory(workspace=owner.workspace), signed_quantity=Decimal(quantity))

    assert f'<span class="unit">{unit}</span>' in get(owner, "positions")


def test_older_rows_stay_as_they_are(owner: Member) -> None:
    for _ in range(51):
        OrderFactory(connector=ConnectorFactory(workspace=owner.workspace))
    [older] = re.findall(r'rel="next" href="([^"]+)"', get(owner, "orders"))

    html = owner.client.get(reverse("trading:orders") + unescape(older)).content.decode()

    assert "data-poll" not in html
    assert "No older rows" in html


def test_order_that_came_of_no_alert_has_no_link(owner: Member) -> None:
    order = OrderFactory(connector=ConnectorFactory(workspace=owner.workspace))

    assert "Its alert" not in get(owner, "order", order.pk)


def test_positions_show_pnl_at_mark_and_what_closed_ones_earned(owner: Member) -> None:
    connector = ConnectorFactory(workspace=owner.workspace)
    held = PositionFactory(connector=connector)
    MarketPriceFactory(instrument=held.instrument, mark=Decimal(60250))
    PositionFactory(
        connector=connector, instrument__symbol="ETHUSDT", signed_quantity=Decimal(0), realized_pnl=Decimal(12),
        fees=Decimal("1.5"), funding=Decimal("-0.25"), last_fill_at=timezone.now(),
    )  # fmt: skip

    html = get(owner, "positions")

    assert "+2.50" in html
    assert "+10.25" in html
    assert "60,250.0" in html


def test_position_without_a_price_shows_a_dash(owner: Member) -> None:
    PositionFactory(connector=ConnectorFactory(workspace=owner.workspace))

    html = get(owner, "positions")

    assert 'title="unknown"' in html


def test_difference_from_the_exchange_is_said(owner: Member) -> None:
    PositionFactory(connector=ConnectorFactory(workspace=owner.workspace), exchange_quantity=Decimal(7))

    assert "Exchange: 7, our fills: 10." in get(owner, "positions")


@pytest.mark.parametrize(("read", "is_said"), [(timedelta(seconds=-20), False), (timedelta(seconds=20), True)])
def test_difference_is_said_only_where_the_exchange_was_read_after_our_own_last_fill(
    owner: Member, read: timedelta, is_said: bool
) -> None:
    PositionFactory(
        connector=ConnectorFactory(workspace=owner.workspace), exchange_quantity=Decimal(0),
        reconciled_at=timezone.now() + read,
    )  # fmt: skip

    assert ("another quantity" in get(owner, "positions")) is is_said


def test_strangers_positions_are_on_no_list(owner: Member, stranger: Member) -> None:
    PositionFactory(connector=ConnectorFactory(workspace=stranger.workspace))

    assert "BTCUSDT" not in get(owner, "positions")
    assert rows_of(owner, "positions_csv") == []


def test_position_csv_has_plain_numbers(owner: Member) -> None:
    position = PositionFactory(
        connector=ConnectorFactory(workspace=owner.workspace, label="=cmd()"), signed_quantity=Decimal(-10)
    )
    MarketPriceFactory(instrument=position.instrument, mark=Decimal(60250))

    [row] = rows_of(owner, "positions_csv")

    assert row["connector"] == "'=cmd()"
    assert (row["signed_quantity"], row["unrealized_pnl"], row["side"]) == ("-10", "-2.5", "short")


def test_order_list_takes_the_same_number_of_queries_for_any_number(
    owner: Member, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(20):
        OrderFactory(connector=ConnectorFactory(workspace=owner.workspace))

    with django_assert_max_num_queries(8):
        get(owner, "orders")


def test_what_was_open_when_its_connector_was_deleted_has_no_result_of_now(owner: Member) -> None:
    connector = ConnectorFactory(workspace=owner.workspace, deleted_at=timezone.now())
    position = PositionFactory(connector=connector)
    MarketPriceFactory(instrument=position.instrument, mark=Decimal(50000))
    order = OrderFactory(connector=connector, instrument=position.instrument, state="accepted", order_type="limit")

    html = get(owner, "positions")
    (row,) = rows_of(owner, "positions_csv")
    (told,) = owner.api.get(reverse("api:position-list")).json()["results"]

    assert "As it was when its connector was deleted: look at BitMart" in html
    assert "50000" not in html
    assert (row["signed_quantity"], row["mark_price"], row["unrealized_pnl"]) == ("10", "", "")
    assert (told["signed_quantity"], told["mark_price"], told["unrealized_pnl"]) == ("10", None, None)
    assert reverse("trading:cancel_order", args=[order.pk]) not in get(owner, "order", order.pk) + get(owner, "orders")


def test_fees_of_an_order_have_no_empty_digits_in_csv_and_api(owner: Member) -> None:
    fees = {"USDT": "0.420588460000000000", "BMX": "10.000000000000000000"}
    OrderFactory(connector=ConnectorFactory(workspace=owner.workspace), state="filled", fees=fees)

    (row,) = rows_of(owner, "orders_csv")
    (told,) = owner.api.get(reverse("api:order-list")).json()["results"]

    assert (row["fees"], told["fees"]) == ("10 BMX 0.42058846 USDT", {"USDT": "0.42058846", "BMX": "10"})
