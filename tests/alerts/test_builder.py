"""The message builder: whatever is chosen, what it shows is read by the parser without a repair."""

import json
from itertools import product
from typing import Any

import pytest
from django.urls import reverse

from apps.alerts import building
from apps.alerts.building import BuilderForm, build
from apps.alerts.keys import NOT_EXECUTED, option_of
from apps.connectors import pointers
from apps.connectors.models import Connector
from apps.trading.signal import QuantityType
from tests.factories import ConnectorFactory, PointerFactory
from tests.people import Member, member

POINTER = "sf_" + "abcdefgh" * 4
EVERYTHING = {
    "ticker": "ETHUSDT", "quantity": "10", "quantity_type": "percent_equity", "order_type": "limit",
    "limit_price": "60000", "take_profit": "5", "take_profit_unit": "percent", "stop_loss": "{{plot_1}}",
    "stop_loss_unit": "price", "trailing_stop": "1.5", "leverage": "3", "margin_mode": "cross", "cancel": "on",
}  # fmt: skip


def chosen(market: str = "futures", **choices: str) -> dict[str, Any]:
    form = BuilderForm({f"m-{name}": value for name, value in choices.items()}, connector=Connector(market=market))
    assert form.is_valid(), form.errors
    return form.cleaned_data


def message(market: str = "futures", **choices: str) -> dict[str, Any]:
    built = build(chosen(market, **choices), POINTER)
    assert built.read.error is None, built.read.error
    assert built.read.repairs == ()
    written: dict[str, Any] = json.loads(built.paste.message)
    return written


def test_a_strategy_message_is_the_standard_one() -> None:
    assert message(kind="strategy") == {
        "ticker": "{{ticker}}",
        "action": "{{strategy.order.action}}",
        "prev_position": "{{strategy.prev_market_position}}",
        "quantity": "{{strategy.order.contracts}}",
        "pointer": POINTER,
        "market_position": "{{strategy.market_position}}",
        "market_position_size": "{{strategy.market_position_size}}",
        "prev_market_position_size": "{{strategy.prev_market_position_size}}",
        "time": "{{timenow}}",
        "id": "{{ticker}}-{{timenow}}-{{strategy.order.action}}-{{strategy.position_size}}",
    }


def test_a_typed_size_does_not_stand_beside_the_strategys_own_sizes() -> None:
    typed = message(kind="strategy", quantity="0.5")

    assert (typed["quantity"], typed["market_position"]) == ("0.5", "{{strategy.market_position}}")
    assert not {"market_position_size", "prev_market_position_size"} & typed.keys()
    percent = message(kind="strategy", quantity="10", quantity_type="percent_equity")
    assert (percent["quantity_type"], "market_position_size" in percent) == ("percent_equity", True)


def test_an_indicator_types_side_and_size() -> None:
    assert message(kind="indicator", move="exit_short", quantity="0.5", leverage="3") == {
        "ticker": "{{ticker}}",
        "action": "buy",
        "prev_position": "short",
        "quantity": "0.5",
        "pointer": POINTER,
        "time": "{{timenow}}",
        "signal_price": "{{close}}",
        "id": "{{ticker}}-{{timenow}}-exit_short",
    }


def test_trendspider_close_all_and_test() -> None:
    spider = message(kind="trendspider", move="enter_long", quantity="1", ticker="ETHUSDT", test="on")
    assert (spider["ticker"], spider["action"], spider["test"]) == ("ETHUSDT", "buy", True)
    assert message(kind="close_all") == {"ticker": "{{ticker}}", "closeall": "true", "pointer": POINTER}


@pytest.mark.parametrize(
    ("kind", "move", "amount"),
    list(product([building.STRATEGY, building.INDICATOR, building.TRENDSPIDER], building._MOVES, QuantityType)),
)
def test_every_combination_is_read_without_a_repair(kind: str, move: str, amount: QuantityType) -> None:
    wanted = {**EVERYTHING, "quantity_type": amount.value}
    if "stop_loss" in NOT_EXECUTED and amount is QuantityType.RISK_PERCENT:
        return
    if amount is QuantityType.RISK_PERCENT and kind != building.STRATEGY and "exit" in move:
        built = build(chosen(kind=kind, move=move, **wanted), POINTER)
        assert built.read.error is not None
        assert built.read.error.code == "RISK_ON_EXIT"
        return

    written = message(kind=kind, move=move, **wanted)

    assert not {option_of(name) for name in written} & NOT_EXECUTED
    if kind == building.STRATEGY or "enter" in move:
        assert written["leverage"] == "3"
        assert ("stop_loss" in written) == ("stop_loss" not in NOT_EXECUTED)
    else:
        assert not {"leverage", "margin_mode", "stop_loss", "take_profit", "trailing_stop"} & written.keys()


@pytest.mark.parametrize("refused", ["order_type", "cancel", "leverage", "quantity_type", "stop_loss"])
def test_only_what_is_carried_out_is_offered(refused: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused in BuilderForm(connector=Connector(market="futures")).fields or refused in NOT_EXECUTED
    monkeypatch.setattr(building, "NOT_EXECUTED", frozenset({refused}))

    form = BuilderForm(connector=Connector(market="futures"))

    assert refused not in form.fields
    assert f"{refused}_unit" not in form.fields
    assert ("cancel" in dict(form.fields["kind"].choices)) == (refused != "cancel")


def test_spot_offers_no_short_no_leverage_no_contracts() -> None:
    form = BuilderForm(connector=Connector(market="spot"))

    assert not {"leverage", "margin_mode"} & form.fields.keys()
    assert [move for move, _ in form.fields["move"].choices] == ["enter_long", "exit_long"]
    assert not {"contracts", "margin"} & dict(form.fields["quantity_type"].choices).keys()


def page(owner: Member, **choices: str) -> str:
    connector = ConnectorFactory(workspace=owner.workspace)
    PointerFactory(connector=connector)
    query = {f"m-{name}": value for name, value in choices.items()}
    return owner.client.get(reverse("connectors:detail", args=[connector.pk]), query).content.decode()


@pytest.mark.django_db
def test_the_page_shows_the_message_and_what_it_means(owner: Member) -> None:
    assert "Build a message" in page(owner)
    html = page(owner, kind="indicator", move="enter_long", quantity="0.5")

    assert "&quot;signal_price&quot;: &quot;{{close}}&quot;" in html
    assert "Read back as" in html
    assert "curl -X POST" in html


@pytest.mark.django_db
def test_the_page_says_what_is_wrong_with_a_choice(owner: Member) -> None:
    html = page(owner, kind="indicator", move="enter_long", quantity="0,5")

    assert "AMBIGUOUS_COMMA" in html
    assert "Read back as" not in html
    assert "Read back as" not in page(owner, kind="nonsense")


@pytest.mark.django_db
def test_who_may_not_see_the_pointer_gets_no_builder(owner: Member) -> None:
    connector = ConnectorFactory(workspace=owner.workspace)
    text = pointers.reveal(PointerFactory(connector=connector))
    viewer = member(workspace=owner.workspace, role="viewer")

    html = viewer.client.get(reverse("connectors:detail", args=[connector.pk]), {"m-kind": "strategy"}).content.decode()

    assert "Build a message" not in html
    assert text not in html
