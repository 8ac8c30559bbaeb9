"""An entry's page shows its guards and leads to what they fired."""

from decimal import Decimal

from django.urls import reverse

from apps.trading.models import Protection
from tests.factories import ConnectorFactory, OrderFactory
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


def test_order_without_guards_shows_no_card(owner: Member) -> None:
    order = OrderFactory(connector=ConnectorFactory(workspace=owner.workspace), state="filled")

    html = owner.client.get(reverse("trading:order", args=[order.pk])).content.decode()

    assert "Stop loss and take profit" not in html
