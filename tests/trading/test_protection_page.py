"""An entry's page shows its guards and leads to what they fired."""

from datetime import timedelta
from decimal import Decimal

from django.urls import reverse

from apps.lib import world
from apps.trading import queries
from apps.trading.models import Protection
from tests.factories import AlertFactory, ConnectorFactory, FillFactory, OrderFactory, PositionFactory
from tests.people import Member


def test_entry_shows_its_guards(owner: Member) -> None:
    connector = ConnectorFactory(workspace=owner.workspace)
    entry = OrderFactory(connector=connector, state="filled")
    fired = OrderFactory(connector=connector, state="filled", side="sell")
    common = {
        "workspace": owner.workspace, "connector": connector, "entry": entry, "symbol": entry.symbol, "book": "net",
        "side": "sell", "guard": {"kind": "stop_loss", "price": "58000", "weight": "1"},
    }  # fmt: skip
    Protection.unscoped.create(
        number=0, kind="stop_loss", price=Decimal(58000), state="live", client_order_id="a", **common
    )
    Protection.unscoped.create(
        number=1, kind="take_profit", price=Decimal(63000), quantity=Decimal(5), state="fired", fired=fired,
        client_order_id="b", reason="It fired.", **common,
    )  # fmt: skip

    html = owner.client.get(reverse("trading:order", args=[entry.pk])).content.decode()

    assert "Stop loss and take profit" in html
    assert "whole position" in html
    assert "at the exchange" in html
    assert reverse("trading:order", args=[fired.pk]) in html
    assert html.count("It fired.") == 2, "beside the state, and below the kind on a phone"
    assert html.count('<span class="status status-good">') >= 2


def test_order_that_a_stop_fired_says_so_and_what_it_realised(owner: Member) -> None:
    connector = ConnectorFactory(workspace=owner.workspace)
    entry = OrderFactory(connector=connector, state="filled")
    fired = OrderFactory(connector=connector, state="filled", side="sell", intent="exit")
    FillFactory(order=fired, realized_pnl=Decimal(-30))
    Protection.unscoped.create(
        workspace=owner.workspace, connector=connector, entry=entry, symbol=entry.symbol, book="net", side="sell",
        guard={}, number=0, kind="stop_loss", price=Decimal(58000), state="fired", fired=fired, client_order_id="a",
    )  # fmt: skip

    pages = {
        order: owner.client.get(reverse("trading:order", args=[order.pk])).content.decode() for order in (entry, fired)
    }

    assert "Fired by" in pages[fired]
    assert "the stop loss at" in pages[fired]
    assert reverse("trading:order", args=[entry.pk]) + "#protections" in pages[fired]
    assert "−30.00" in pages[fired].partition("Fees")[0]
    assert [text for text in ("Fired by", "Realised PnL, before fees") if text in pages[entry]] == []


def test_order_without_guards_shows_no_card(owner: Member) -> None:
    order = OrderFactory(connector=ConnectorFactory(workspace=owner.workspace), state="filled")

    html = owner.client.get(reverse("trading:order", args=[order.pk])).content.decode()

    assert "Stop loss and take profit" not in html


def test_open_position_tells_what_protects_it(owner: Member) -> None:
    connector = ConnectorFactory(workspace=owner.workspace)
    now = world.now()
    position = PositionFactory(connector=connector, signed_quantity=Decimal(5), opened_at=now)
    before = OrderFactory(connector=connector, state="filled", last_fill_at=now - timedelta(hours=1))
    entry = OrderFactory(connector=connector, state="filled", last_fill_at=now)
    kinds = [(before, "failed", 57000), (entry, "live", 58000), (entry, "failed", 63000), (entry, "canceled", 64000)]
    for number, (order, state, price) in enumerate(kinds):
        Protection.unscoped.create(
            workspace=owner.workspace, connector=connector, entry=order, symbol=position.symbol, book=position.book,
            side="sell", guard={}, number=number, kind="stop_loss", price=Decimal(price), state=state,
            client_order_id=str(number),
        )  # fmt: skip

    [shown] = queries.open_positions(owner.workspace)
    html = owner.client.get(reverse("trading:positions")).content.decode()

    assert [(row.state, row.price) for row in shown.protections] == [("live", 58000), ("failed", 63000)]
    assert html.count(reverse("trading:order", args=[entry.pk]) + "#protections") == 2
    assert "not placed" in html
    assert reverse("trading:order", args=[before.pk]) not in html


def test_alert_page_tells_whether_its_stop_stands(owner: Member) -> None:
    connector = ConnectorFactory(workspace=owner.workspace)
    alert = AlertFactory(pointer__connector=connector, status="executed")
    entry = OrderFactory(connector=connector, state="filled", origin_id=alert.pk)
    Protection.unscoped.create(
        workspace=owner.workspace, connector=connector, entry=entry, symbol=entry.symbol, book="net", side="sell",
        guard={}, number=0, kind="stop_loss", price=Decimal(58000), state="unknown", client_order_id="a",
    )  # fmt: skip

    html = owner.client.get(reverse("alerts:detail", args=[alert.pk])).content.decode()

    assert "Stop loss and take profit" in html
    assert "unknown: checking" in html
