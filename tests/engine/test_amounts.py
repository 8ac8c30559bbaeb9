"""Quantity types, leverage, margin mode and reduce-only from the webhook to the exchange. One contract is 0.001 BTC."""

from decimal import Decimal
from typing import Any

import pytest

from apps.alerts.models import AlertStatus
from apps.connectors.models import Connector
from apps.connectors.opening import open_connector
from apps.trading.models import Order, OrderState
from tests.engine.conftest import Bench

D = Decimal


def sizes(bench: Bench) -> list[tuple[str, str, Decimal]]:
    """Return what our orders became, and check that the exchange has exactly those."""
    sent = [order for order in bench.orders() if order.state == OrderState.FILLED]
    assert [row[0] for row in bench.book()] == [order.client_order_id for order in sent]
    return [(order.leg, order.side, order.filled_quantity) for order in sent]


@pytest.mark.parametrize(
    ("kind", "quantity", "contracts", "used"),
    [
        ("contracts", "7", "7", {}),
        ("quote", "600", "10", {"price": "60000"}),
        ("margin", "120", "10", {"price": "60000", "leverage": "5"}),
        ("percent_equity", "9", "15", {"price": "60000", "equity": "10000"}),
        # 10,000 × 0.998 × 0.9994 × 6 % = 598.44 at the account's fee of 0.06 %.
        ("percent_balance", "6", "9", {"price": "60000", "available": "10000"}),
    ],
)
def test_a_futures_entry_in_every_unit(
    futures: Bench, kind: str, quantity: str, contracts: str, used: dict[str, str]
) -> None:
    Connector.unscoped.filter(pk=futures.connector.pk).update(leverage=5)

    alert = futures.send("buy", "flat", quantity, quantity_type=kind)

    assert futures.status(alert) == (AlertStatus.EXECUTED, "")
    assert sizes(futures) == [("o", "buy", D(contracts))]
    assert futures.held() == D(contracts)
    asked = futures.order().facts["asked"]
    assert {name: asked[name] for name in ("quantity", "quantity_type", *used)} == {
        "quantity": quantity,
        "quantity_type": kind,
        **used,
    }
    assert D(asked["base"]) - D(asked["residue"]) == D(contracts) / 1000


def test_risk_is_the_distance_to_the_stop(futures: Bench) -> None:
    # Half a per cent of 10,000 is lost when 10 contracts (0.01 BTC) fall by 5,000.
    alert = futures.send("buy", "flat", "0.5", quantity_type="risk_percent", stop_loss={"price": 55000})

    assert futures.status(alert) == (AlertStatus.EXECUTED, "")
    assert futures.held() == D(10)
    asked = futures.order().facts["asked"]
    assert (asked["quantity_type"], asked["equity"], asked["base"]) == ("risk_percent", "10000", "0.01")


def test_a_limit_order_is_worth_its_value_at_its_own_price(futures: Bench) -> None:
    futures.send("buy", "flat", "600", quantity_type="quote", order_type="limit", limit_price="50000")

    order = futures.order()
    assert (order.quantity, order.price, order.facts["asked"]["price"]) == (D(12), D(50000), "50000")
    assert futures.book() == [(order.client_order_id, "12")]


def test_a_limit_sell_below_the_market_is_as_large_as_the_market_makes_it(futures: Bench) -> None:
    futures.send("sell", "flat", "600", quantity_type="quote", order_type="limit", limit_price="6000")

    order = futures.order()
    assert (order.quantity, order.price, order.facts["asked"]["price"]) == (D(10), D(6000), "60000")
    assert futures.book() == [(order.client_order_id, "10")]


@pytest.mark.parametrize(
    ("action", "limit", "stop", "contracts"),
    [
        # 0.3 % of 10000 is lost between 59000 and 62000; between the market's 60000 and the stop it were 15 contracts.
        ("sell", "59000", {"price": 62000}, 10),
        # The stop lies at 63000, 5 % above the market; what is filled at 59000 loses 4000 each.
        ("sell", "59000", {"percent": 5}, 7),
        # The stop lies at 58800, 2 % below the market; what is filled at 61000 loses 2200 each.
        ("buy", "61000", {"percent": 2}, 13),
        ("buy", "59000", {"percent": 2}, 25),
    ],
)
def test_a_limit_order_risks_no_more_than_asked_where_it_is_filled_at_its_limit(
    futures: Bench, action: str, limit: str, stop: dict[str, int], contracts: int
) -> None:
    more = {"quantity_type": "risk_percent", "stop_loss": stop}

    futures.send(action, "flat", "0.3", order_type="limit", limit_price=limit, **more)

    assert (futures.order().quantity, futures.order().price) == (D(contracts), D(limit))
    # A buy below the market rests.
    assert [size for _, size in futures.book()] == ([] if (action, limit) == ("buy", "59000") else [str(contracts)])


def test_a_limit_sell_below_the_market_is_held_against_the_limits_at_the_markets_price(futures: Bench) -> None:
    alert = futures.send("sell", "flat", "0.1", order_type="limit", limit_price="6000")

    assert futures.status(alert) == (AlertStatus.REJECTED, "MAX_ORDER_NOTIONAL")
    assert alert.facts["notional"] == "6000"
    assert futures.book() == []


def test_a_percentage_adds_to_a_position_and_closes_a_part_of_it(futures: Bench) -> None:
    futures.send("buy", "flat", "8", quantity_type="contracts")

    futures.send("buy", "long", "50", quantity_type="percent_position")
    assert futures.held() == D(12)
    futures.send("sell", "long", "25%", quantity_type="percent_position")
    assert futures.held() == D(9)
    futures.send("sell", "long", "100", quantity_type="percent_position")

    assert futures.held() == D(0)
    assert sizes(futures)[2:] == [("c", "sell", D(3)), ("c", "sell", D(9))]
    nothing = futures.send("sell", "long", "100", quantity_type="percent_position")
    assert futures.status(nothing) == (AlertStatus.IGNORED, "NOTHING_TO_CLOSE")
    assert len(futures.book()) == 4


def test_a_stated_reversal_in_percent_of_equity_closes_all_and_opens_the_amount(futures: Bench) -> None:
    futures.send("buy", "flat", "7", quantity_type="contracts")

    futures.send("sell", "long", "6", quantity_type="percent_equity", market_position="short")

    # Equity is 10,000 less the fee of the first order: 6 % at 60,000 are 9.99… contracts.
    assert sizes(futures) == [("o", "buy", D(7)), ("c", "sell", D(7)), ("o", "sell", D(9))]
    assert futures.held() == D(-9)


@pytest.mark.parametrize(
    ("more", "noted"),
    [
        # Below the price, where the stop of a short has no place: told by the market, and by the message itself.
        ({"stop_loss": {"price": 59000}}, ["OPENING_NOT_SIZED", "PROTECTION_UNUSED"]),
        ({"stop_loss": {"price": 59000}, "signal_price": "60000"}, ["IGNORED_KEY"]),
        ({"reduce_only": True}, []),
    ],
)
def test_a_reversal_by_risk_whose_stop_is_of_no_use_still_closes(
    futures: Bench, more: dict[str, Any], noted: list[str]
) -> None:
    futures.send("buy", "flat", "7", quantity_type="contracts")

    alert = futures.send("sell", "long", "1", quantity_type="risk_percent", market_position="short", **more)

    assert futures.status(alert) == (AlertStatus.EXECUTED, "")
    assert [note["code"] for note in alert.notes] == noted
    assert sizes(futures) == [("o", "buy", D(7)), ("c", "sell", D(7))]
    assert futures.held() == D(0)


@pytest.mark.parametrize("kind", ["margin", "percent_equity", "percent_balance"])
def test_an_exit_that_does_not_say_how_much_sends_nothing(futures: Bench, kind: str) -> None:
    futures.send("buy", "flat", "7", quantity_type="contracts")

    alert = futures.send("sell", "long", "5", quantity_type=kind)

    assert futures.status(alert) == (AlertStatus.REJECTED, "EXIT_SIZE_AMBIGUOUS")
    assert "percent_position (100 closes all)" in alert.reason
    assert len(futures.book()) == 1
    assert futures.held() == D(7)


def test_an_amount_beyond_any_quantity_is_refused_by_name(futures: Bench) -> None:
    stop = {"price": "59999.999999999999999999"}

    alert = futures.send("buy", "flat", "100", quantity_type="risk_percent", stop_loss=stop)

    assert futures.status(alert) == (AlertStatus.REJECTED, "QUANTITY_ABOVE_MAXIMUM")
    assert (futures.book(), futures.orders()) == ([], [])


def test_too_small_an_amount_sends_nothing_and_says_what_would_do(futures: Bench) -> None:
    alert = futures.send("buy", "flat", "59", quantity_type="quote")

    assert futures.status(alert) == (AlertStatus.REJECTED, "AMOUNT_BELOW_MINIMUM")
    assert alert.reason == (
        "Too small: 59 USDT is 0.00098333 BTC, which rounds down to 0 BTC. Smallest order on BTCUSDT is 0.001 BTC "
        "now, so send at least 60 USDT."
    )
    assert (futures.book(), futures.orders()) == ([], [])


def test_spot_buys_with_the_whole_balance_and_sells_the_half(spot: Bench) -> None:
    Connector.unscoped.filter(pk=spot.connector.pk).update(max_order_notional=20000, max_open_notional=20000)

    alert = spot.send("buy", "flat", "100", quantity_type="percent_balance")
    assert spot.status(alert) == (AlertStatus.EXECUTED, "")
    bought = spot.order()
    assert D(9900) < (bought.notional or D(0)) <= D(9980)
    # A second one finds what is left, less than the smallest order.
    broke = spot.send("buy", "long", "100", quantity_type="percent_equity")
    assert spot.status(broke) == (AlertStatus.REJECTED, "INSUFFICIENT_BALANCE")

    held = spot.held()
    spot.send("sell", "long", "50", quantity_type="percent_position")

    sold = Order.unscoped.get(connector=spot.connector, leg="c")
    step = sold.instrument.quantity_step
    assert sold.quantity == held / 2 // step * step
    assert len(spot.book()) == 2


def test_spot_refuses_futures_units_and_setup_by_name(spot: Bench) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"quantity_type": "contracts"}, "AMOUNT_NOT_ON_SPOT"),
        ({"quantity_type": "margin"}, "AMOUNT_NOT_ON_SPOT"),
        ({"leverage": 3}, "SETUP_NOT_ON_SPOT"),
        ({"margin_mode": "cross"}, "SETUP_NOT_ON_SPOT"),
    ]
    for extra, code in cases:
        assert spot.status(spot.send("buy", "flat", "0.01", **extra)) == (AlertStatus.REJECTED, code)
    assert spot.book() == []

    assert spot.status(spot.send("buy", "flat", "0.01", leverage=1)) == (AlertStatus.EXECUTED, "")


def test_leverage_and_margin_mode_come_from_the_message_while_flat(futures: Bench) -> None:
    Connector.unscoped.filter(pk=futures.connector.pk).update(leverage=10)

    futures.send("buy", "flat", "5", quantity_type="contracts", leverage=4, margin_mode="cross")

    order = futures.order()
    assert (order.leverage, order.margin_mode, order.state) == (D(4), "cross", OrderState.FILLED)
    (position,) = open_connector(futures.connector).positions("BTCUSDT")
    assert (position.leverage, position.margin_mode) == (D(4), "cross")

    added = futures.send("buy", "long", "5", quantity_type="contracts", leverage=8, margin_mode="isolated")

    (position,) = open_connector(futures.connector).positions("BTCUSDT")
    assert (position.leverage, position.margin_mode, position.signed_quantity) == (D(4), "cross", D(10))
    assert [note for note in added.notes if note["code"] == "SETUP_KEPT"] == [
        {"code": "SETUP_KEPT", "facts": {"asked": "8x", "kept": "4x"}},
        {"code": "SETUP_KEPT", "facts": {"asked": "isolated margin", "kept": "cross margin"}},
    ]


def test_a_reversal_opens_with_the_messages_leverage(futures: Bench) -> None:
    Connector.unscoped.filter(pk=futures.connector.pk).update(leverage=10)
    futures.send("buy", "flat", "5", quantity_type="contracts", leverage=4)

    futures.send("sell", "long", "8", quantity_type="contracts", leverage=6)

    (position,) = open_connector(futures.connector).positions("BTCUSDT")
    assert (position.signed_quantity, position.leverage) == (D(-3), D(6))


def test_too_much_leverage_stops_the_entry_and_not_the_exit(futures: Bench) -> None:
    Connector.unscoped.filter(pk=futures.connector.pk).update(leverage=10)

    alert = futures.send("buy", "flat", "5", quantity_type="contracts", leverage=11)
    assert futures.status(alert) == (AlertStatus.REJECTED, "LEVERAGE_OVER_LIMIT")
    assert futures.book() == []

    futures.send("buy", "flat", "5", quantity_type="contracts")
    futures.send("sell", "long", "8", quantity_type="contracts", leverage=11)

    assert futures.held() == D(0)
    opening = Order.unscoped.filter(connector=futures.connector, leg="o").latest("created_at")
    assert (opening.state, opening.reason_code) == (OrderState.DENIED, "LEVERAGE_OVER_LIMIT")


@pytest.mark.parametrize("mismatch", ["close_only", "follow"])
def test_reduce_only_closes_what_is_held_and_opens_nothing(futures: Bench, mismatch: str) -> None:
    Connector.unscoped.filter(pk=futures.connector.pk).update(mismatch=mismatch)
    futures.send("buy", "flat", "0.005")

    futures.send("sell", "long", "0.009", reduce_only=True)
    assert futures.held() == D(0)
    again = futures.send("sell", "long", "0.009", reduce_only=True)

    assert futures.status(again) == (AlertStatus.IGNORED, "NOTHING_TO_CLOSE")
    assert sizes(futures) == [("o", "buy", D(5)), ("c", "sell", D(5))]


def test_reduce_only_runs_on_a_paused_connector(futures: Bench) -> None:
    futures.send("buy", "flat", "0.005")
    Connector.unscoped.filter(pk=futures.connector.pk).update(paused_at="2026-01-01T00:00:00Z")

    alert = futures.send("sell", "long", "0.002", reduce_only=True)

    assert futures.status(alert) == (AlertStatus.EXECUTED, "")

    assert futures.held() == D(3)


def test_the_units_that_a_refusal_names_are_taken_on_spot(spot: Bench) -> None:
    refused = spot.send("buy", "flat", "1", quantity_type="contracts")
    named = refused.reason.partition("Accepted there: ")[2].rstrip(".").split(", ")
    spot.send("buy", "flat", "0.01")
    quantities = {
        "base": "0.001",
        "quote": "60",
        "percent_equity": "1",
        "percent_balance": "1",
        "percent_position": "50",
    }

    for kind in named:
        stop = {"stop_loss": {"percent": 2}} if kind == "risk_percent" else {}
        alert = spot.send("buy", "long", quantities.get(kind, "1"), quantity_type=kind, **stop)

        assert (kind, *spot.status(alert)) == (kind, AlertStatus.EXECUTED, "")
