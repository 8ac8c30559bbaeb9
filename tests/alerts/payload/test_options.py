"""The optional keys of an order, read as if all of them were carried out: most tests here leave nothing refused."""

from dataclasses import replace
from decimal import Decimal

import pytest

from apps.alerts.keys import NOT_EXECUTED, OPTIONAL, canonical_key, option_of
from apps.alerts.payload import Item
from apps.connectors.exchange import MarginMode, OrderType, Side
from apps.trading.signal import ExitTarget, PrevPosition, QuantityType, Signal, SignalKind, TrailingStop
from tests.alerts.payload.bodies import ENTER_LONG, MARK, body, only

ALL = frozenset[str]()
EXIT_LONG = replace(ENTER_LONG, action=Side.SELL, prev_position=PrevPosition.LONG)
EXIT = {"action": "sell", "prev_position": "long"}
SHORT = {"action": "sell", "prev_position": "flat"}
# Every spelling of every option, with a value that asks for something else than what is done without it.
SAMPLES = {
    "order_type": "limit", "orderType": "LIMIT", "limit_price": 1, "price": "1", "limitPrice": "{{plot_0}}",
    "quantity_type": "percent_equity", "qty_type": "quote", "leverage": 5, "margin_mode": "cross",
    "marginType": "cross", "reduce_only": True, "closeOnly": "true", "cancel": True, "cancel_orders": 1,
    "take_profit": {"percent": 1}, "tp": 1, "take_profit_price": 1, "tp_percent": 1, "stop_loss": "",
    "stopLoss": None, "Stop-Loss": 1, "sl": 1, "sl_price": 1, "trailing_stop": {"percent": 1}, "trail_percent": 1,
}  # fmt: skip


def run(**changes: object) -> Item:
    return only(body(**changes), not_executed=ALL)


def signal(**changes: object) -> Signal:
    item = run(**changes)
    assert item.error is None, item.error
    assert item.signal is not None
    return item.signal


def refused(**changes: object) -> dict[str, str]:
    item = run(**changes)
    assert item.signal is None
    assert item.error is not None
    assert item.error.sentence.endswith(".")
    facts = item.error.facts
    return {"code": str(item.error.code), **{name: facts[name] for name in ("field", "found") if name in facts}}


@pytest.mark.parametrize("option", sorted({option_of(canonical_key(key)) for key in SAMPLES}))
def test_an_option_that_nothing_carries_out_is_refused_in_every_spelling(option: str) -> None:
    item = only(body(), not_executed=ALL)
    assert item.signal == ENTER_LONG

    assert option in {*OPTIONAL, *NOT_EXECUTED}
    spellings = [key for key in SAMPLES if option_of(canonical_key(key)) == option]

    assert spellings
    for key in spellings:
        error = only(body(**{key: SAMPLES[key]}), not_executed=frozenset({option})).error
        assert error is not None
        assert (error.code, error.facts["field"]) == ("NOT_SUPPORTED", key)


def test_the_values_that_change_nothing_run_whatever_is_carried_out() -> None:
    neutral = body(order_type="Market", quantity_type="base", reduce_only="false", cancel=False)

    assert only(neutral, not_executed=frozenset(SAMPLES)).signal == ENTER_LONG


# order type and price


@pytest.mark.parametrize("key", ["limit_price", "price", "limitPrice"])
def test_a_limit_order_has_its_price(key: str) -> None:
    item = run(order_type="limit", **{key: "64000.50"})

    assert item.signal == replace(ENTER_LONG, order_type=OrderType.LIMIT, limit_price=Decimal("64000.5"))
    assert item.fields["order_type"] == "limit"
    assert item.fields["limit_price"] == "64000.5"


def test_a_limit_order_without_price_and_a_price_without_limit_order_are_refused() -> None:
    assert refused(order_type="limit") == {"code": "LIMIT_WITHOUT_PRICE", "field": "limit_price"}
    assert refused(price="64000") == {"code": "PRICE_WITHOUT_LIMIT", "field": "limit_price", "found": "64000"}
    assert refused(price=1, order_type="market")["code"] == "PRICE_WITHOUT_LIMIT"
    assert refused(order_type="limit", price=0)["code"] == "ZERO"
    assert refused(order_type="limit", price=1, limit_price=1)["code"] == "DUPLICATE_KEY"


@pytest.mark.parametrize(("word", "code"), [
    ("stop", "NOT_SUPPORTED"), ("Stop-Limit", "NOT_SUPPORTED"), ("banana", "BAD_VALUE"), ("", "EMPTY_VALUE"),
    (None, "NULL_VALUE"),
])  # fmt: skip
def test_other_order_types_are_refused(word: object, code: str) -> None:
    assert refused(order_type=word)["code"] == code


# quantity


@pytest.mark.parametrize("kind", list(QuantityType))
def test_every_quantity_type_is_read(kind: QuantityType) -> None:
    extra = {"stop_loss": "2%"} if kind is QuantityType.RISK_PERCENT else {}

    item = run(quantity_type=kind.value.upper(), quantity="12.5", **extra)

    assert item.signal is not None
    assert (item.signal.quantity_type, item.signal.quantity) == (kind, Decimal("12.5"))
    assert (item.fields["quantity_type"], item.fields["quantity"]) == (kind.value, "12.5")


def test_a_per_cent_sign_counts_only_where_the_type_says_of_what() -> None:
    item = run(quantity="10 %", quantity_type="percent_of_equity")

    assert item.signal == replace(ENTER_LONG, quantity=Decimal(10), quantity_type=QuantityType.PERCENT_EQUITY)
    assert [change.sentence for change in item.repairs] == [
        "we changed: read quantity_type 'percent_of_equity' as 'percent_equity'",
        "we changed: read '10 %' as '10'",
    ]
    assert refused(quantity="10%") == {"code": "PERCENT_OF_WHAT", "field": "quantity", "found": "10%"}
    assert refused(quantity="10%", quantity_type="quote")["code"] == "PERCENT_OF_WHAT"


@pytest.mark.parametrize("quantity", ["$100", "100 USDT", "0.1 BTC"])
def test_an_amount_of_money_is_not_told_to_become_as_many_coins(quantity: str) -> None:
    error = run(quantity=quantity).error

    assert error is not None
    assert error.sentence == (
        f"'quantity' is {quantity}: a number with a unit. Send the number alone: coins such as 0.5, or "
        'money such as 100 with "quantity_type": "quote".'
    )
    of_money = run(quantity=quantity, quantity_type="quote").error
    assert of_money is not None
    assert of_money.sentence.endswith("Send the number alone: a number above 0, such as 0.5.")


@pytest.mark.parametrize("kind", [kind for kind in QuantityType if "percent" in kind])
def test_more_than_a_hundred_per_cent_is_refused(kind: QuantityType) -> None:
    sized = {"quantity_type": kind.value, "stop_loss": "2%"}

    assert signal(quantity="100", **sized).quantity == Decimal(100)
    assert refused(quantity="100.01", **sized) == {
        "code": "NUMBER_OUT_OF_RANGE", "field": "quantity", "found": "100.01"
    }  # fmt: skip
    assert refused(quantity="0%", **sized)["code"] == "ZERO"


def test_an_unknown_quantity_type_is_refused() -> None:
    assert refused(quantity_type="percent") == {"code": "BAD_VALUE", "field": "quantity_type", "found": "percent"}


def test_risk_needs_a_stop_and_an_opening() -> None:
    assert refused(quantity_type="risk_percent")["code"] == "RISK_WITHOUT_STOP"
    assert refused(quantity_type="risk_percent", stop_loss="2%", **EXIT)["code"] == "RISK_ON_EXIT"
    stated = signal(quantity_type="risk_percent", stop_loss="2%", market_position="flat", **EXIT)
    assert stated.quantity_type is QuantityType.RISK_PERCENT


# leverage, margin mode


def test_leverage_and_margin_mode_are_read() -> None:
    item = run(leverage="5", marginMode="Cross")

    assert item.signal == replace(ENTER_LONG, leverage=Decimal(5), margin_mode=MarginMode.CROSS)
    assert (item.fields["leverage"], item.fields["margin_mode"]) == ("5", "cross")


@pytest.mark.parametrize(("key", "value", "code"), [
    ("leverage", 0, "ZERO"), ("leverage", "2.5", "NUMBER_OUT_OF_RANGE"), ("leverage", 201, "NUMBER_OUT_OF_RANGE"),
    ("leverage", "5x", "HAS_UNIT"), ("margin_mode", "portfolio", "BAD_VALUE"), ("reduce_only", "maybe", "BAD_VALUE"),
    ("cancel", "later", "BAD_VALUE"),
])  # fmt: skip
def test_what_cannot_be_read_is_refused(key: str, value: object, code: str) -> None:
    assert refused(**{key: value})["code"] == code
    assert refused(**{key: value})["field"] == key


# take profit, stop loss, trailing stop


@pytest.mark.parametrize("spelling", [
    {"take_profit": {"price": "70000"}}, {"takeProfit": {"limitPrice": 70000}}, {"tp": [{"Price": "70000.0"}]},
    {"take_profit_price": 70000}, {"takeProfitPrice": "70000"}, {"tp_price": "70,000"},
])  # fmt: skip
def test_a_take_profit_at_a_price(spelling: dict[str, object]) -> None:
    item = run(**spelling)

    assert item.signal == replace(ENTER_LONG, take_profits=(ExitTarget(price=Decimal(70000)),))
    assert item.fields["take_profit"] == "price 70000"


@pytest.mark.parametrize("spelling", [
    {"stop_loss": {"percent": "2.5"}}, {"stopLoss": {"pct": 2.5}}, {"sl": "2.5%"}, {"sl": "2.50 %"},
    {"stop_loss_percent": 2.5}, {"slPercent": "2.5%"},
])  # fmt: skip
def test_a_stop_loss_at_a_percentage(spelling: dict[str, object]) -> None:
    item = run(**spelling)

    assert item.signal == replace(ENTER_LONG, stop_loss=ExitTarget(percent=Decimal("2.5")))
    assert item.fields["stop_loss"] == "2.5 %"


@pytest.mark.parametrize("unit", [1, 100])
def test_several_take_profits_share_the_position(unit: int) -> None:
    half, rest = str(Decimal("0.5") * unit), Decimal("0.25") * unit
    listed = [
        {"price": 70000, "weight": half},
        {"percent": 12, "weight": str(rest)},
        {"percent": 20, "weight": str(rest)},
    ]

    item = run(take_profit=listed)

    assert item.signal is not None
    assert item.signal.take_profits == (
        ExitTarget(price=Decimal(70000), weight=Decimal("0.5")),
        ExitTarget(percent=Decimal(12), weight=Decimal("0.25")),
        ExitTarget(percent=Decimal(20), weight=Decimal("0.25")),
    )
    assert item.fields["take_profit"] == "price 70000 (weight 0.5), 12 % (weight 0.25), 20 % (weight 0.25)"


@pytest.mark.parametrize(("weights", "found"), [
    ([0.5, 0.4], "0.9 together"), ([50, 51], "101 together"), ([0.5, None], "not given for every target"),
    ([None, None], "not given for every target"), ([0.5], "0.5 together"),
])  # fmt: skip
def test_weights_that_do_not_add_up_are_refused(weights: list[float | None], found: str) -> None:
    listed = [{"percent": 5, **({} if weight is None else {"weight": str(weight)})} for weight in weights]

    assert refused(take_profit=listed) == {"code": "BAD_WEIGHTS", "field": "take_profit", "found": found}


def test_a_trailing_stop_with_and_without_activation() -> None:
    both = run(trailing_stop={"percent": "1.5", "activation": {"price": 70000}})

    assert both.signal == replace(
        ENTER_LONG, trailing_stop=TrailingStop(Decimal("1.5"), ExitTarget(price=Decimal(70000)))
    )
    assert both.fields["trailing_stop"] == "1.5 % from price 70000"
    assert signal(trailing_stop="1.5%").trailing_stop == TrailingStop(Decimal("1.5"))
    assert signal(trail_percent=1.5).trailing_stop == TrailingStop(Decimal("1.5"))
    assert signal(trailing_stop={"percent": 1, "activation": "3%"}).trailing_stop == TrailingStop(
        Decimal(1), ExitTarget(percent=Decimal(3))
    )


@pytest.mark.parametrize(("changes", "expected"), [
    ({"take_profit": 5}, ("PRICE_OR_PERCENT", "take_profit")),
    ({"tp": "70000"}, ("PRICE_OR_PERCENT", "take_profit")),
    ({"sl": "far"}, ("BAD_VALUE", "stop_loss")),
    ({"stop_loss": None}, ("NULL_VALUE", "stop_loss")),
    ({"stop_loss": {"price": 1, "percent": 1}}, ("PRICE_OR_PERCENT", "stop_loss")),
    ({"stop_loss": {}}, ("PRICE_OR_PERCENT", "stop_loss")),
    ({"stop_loss": [{"percent": 1}]}, ("BAD_VALUE", "stop_loss")),
    ({"stop_loss": {"type": "stop", "price": 1}}, ("NOT_SUPPORTED", "stop_loss.type")),
    ({"take_profit": {"amount": 5}}, ("NOT_SUPPORTED", "take_profit.amount")),
    ({"stop_loss": {"price": 1, "weight": 1}}, ("NOT_SUPPORTED", "stop_loss.weight")),
    ({"stop_loss": {"price": 1, "Price": 2}}, ("DUPLICATE_KEY", "stop_loss.price")),
    ({"stop_loss": {"percent": 100}}, ("NUMBER_OUT_OF_RANGE", "stop_loss")),
    ({"stop_loss": {"percent": "-2"}}, ("NEGATIVE", "stop_loss")),
    ({"stop_loss": {"percent": "NaN"}}, ("NOT_A_NUMBER", "stop_loss")),
    ({"stop_loss_price": "{{plot_0}}"}, ("PLACEHOLDER", "stop_loss")),
    ({"take_profit": []}, ("BAD_VALUE", "take_profit")),
    ({"take_profit": [{"percent": 1, "weight": 1}] * 6}, ("BAD_VALUE", "take_profit")),
    ({"take_profit": {"percent": 5, "weight": None}}, ("NULL_VALUE", "weight")),
    ({"take_profit_price": 5, "take_profit_percent": 5}, ("DUPLICATE_KEY", "take_profit")),
    ({"stop_loss": "2%", "sl_price": 1}, ("DUPLICATE_KEY", "stop_loss")),
    ({"trailing_stop": 2}, ("PRICE_OR_PERCENT", "trailing_stop")),
    ({"trailing_stop": {"activation": "3%"}}, ("PRICE_OR_PERCENT", "trailing_stop")),
    ({"trailing_stop": {"percent": 1, "activation": 70000}}, ("PRICE_OR_PERCENT", "activation")),
    ({"take_profit": "100%", **SHORT}, ("NUMBER_OUT_OF_RANGE", "take_profit")),
])  # fmt: skip
def test_a_target_that_is_not_clear_is_refused(changes: dict[str, object], expected: tuple[str, str]) -> None:
    found = refused(**changes)

    assert (found["code"], found["field"]) == expected


@pytest.mark.parametrize(("changes", "field"), [
    ({"sl_price": 64000, "signal_price": 64000}, "stop_loss"),
    ({"sl_price": 65000, "order_type": "limit", "price": 64000}, "stop_loss"),
    ({"tp_price": 63000, "order_type": "limit", "price": 64000, "signal_price": 60000}, "take_profit"),
    ({"tp_price": 60000, "sl_price": 61000}, "take_profit"),
    ({"trailing_stop": {"percent": 1, "activation": {"price": 63000}}, "signal_price": 64000}, "trailing_stop"),
    ({"sl_price": 63000, "signal_price": 64000, **SHORT}, "stop_loss"),
    ({"tp_price": 65000, "signal_price": 64000, **SHORT}, "take_profit"),
])  # fmt: skip
def test_a_price_on_the_wrong_side_is_refused(changes: dict[str, object], field: str) -> None:
    found = refused(**changes)

    assert (found["code"], found["field"]) == ("WRONG_SIDE", field)


def test_prices_on_the_right_sides_run_long_and_short() -> None:
    assert signal(sl_price=60000, tp_price=70000, signal_price=64000).stop_loss == ExitTarget(price=Decimal(60000))
    assert signal(sl_price=70000, tp_price=60000, signal_price=64000, **SHORT).take_profits == (
        ExitTarget(price=Decimal(60000)),
    )


# exits: nothing said about the position to open may keep anybody in one


@pytest.mark.parametrize(("option", "problem"), [
    ({"stop_loss": {"price": "NaN"}}, "'stop_loss' cannot be used (NOT_A_NUMBER)"),
    ({"sl_price": "{{plot_1}}"}, "'stop_loss' cannot be used (PLACEHOLDER)"),
    ({"sl_price": 60000, "signal_price": 64000}, "'stop_loss' cannot be used (WRONG_SIDE)"),
    ({"tp": 5}, "'take_profit' cannot be used (PRICE_OR_PERCENT)"),
    ({"leverage": "5x", "margin_mode": "cross"}, "'leverage' cannot be used (HAS_UNIT)"),
])  # fmt: skip
def test_an_exit_with_an_unusable_option_closes_and_opens_nothing(option: dict[str, object], problem: str) -> None:
    item = run(**EXIT, **option)

    price = {"signal_price": Decimal(64000)} if "signal_price" in option else {}
    assert item.signal == replace(EXIT_LONG, reduce_only=True, **price)
    assert item.repairs[-1].sentence == f"note: {problem}, so this message may close a position and opens none"
    assert not {"leverage", "margin_mode", "stop_loss", "take_profit"} & item.fields.keys()
    assert item.ignored_keys


def test_an_exit_is_not_loosened_while_nothing_can_hold_it_to_closing() -> None:
    item = only(body(**EXIT, sl_price="NaN"), not_executed=frozenset({"reduce_only"}))

    assert item.error is not None
    assert item.error.code == "NOT_A_NUMBER"


def test_a_readable_option_of_an_exit_is_kept_for_the_other_side_of_a_reversal() -> None:
    assert signal(**EXIT, stop_loss="2%", leverage=3) == replace(
        EXIT_LONG, stop_loss=ExitTarget(percent=Decimal(2)), leverage=Decimal(3)
    )


def test_reduce_only_leaves_out_what_is_for_an_opening() -> None:
    item = run(**EXIT, reduceOnly=True, stop_loss="whatever", leverage=3)

    assert item.signal == replace(EXIT_LONG, reduce_only=True)
    assert item.signal.is_exit
    assert item.ignored_keys == ("leverage", "stop_loss")


def test_reduce_only_contradicts_an_entry() -> None:
    assert refused(reduce_only=True) == {"code": "CONTRADICTION", "field": "reduce_only", "found": "true"}


# cancel, close all


def test_cancel_alone_takes_back_orders() -> None:
    item = only(
        f'{{"ticker":"BTCUSDT","cancel":true,"pointer":"{MARK}","id":"c1","stop_loss":1}}'.encode(), not_executed=ALL
    )

    assert item.signal == Signal(kind=SignalKind.CANCEL, ticker="BTCUSDT", external_id="c1")
    assert item.signal.is_exit
    assert item.fields["cancel"] == "true"
    assert item.ignored_keys == ("stop_loss",)


def test_cancel_with_an_action_comes_first() -> None:
    assert signal(cancel="true") == replace(ENTER_LONG, cancel_first=True)
    assert signal(closeall="true", cancel=1) == Signal(kind=SignalKind.CLOSE_ALL, ticker="BTCUSDT.P", cancel_first=True)


@pytest.mark.parametrize("part", [{"action": "buy"}, {"prev_position": "flat"}, {"quantity": 1}])
def test_cancel_with_part_of_an_order_is_no_cancel(part: dict[str, object]) -> None:
    message = body(**part, cancel=True)
    for key in {"action", "prev_position", "quantity"} - part.keys():
        message = message.replace(f'"{key}"'.encode(), f'"x_{key}"'.encode())

    error = only(message, not_executed=ALL).error

    assert error is not None
    assert error.code == "MISSING_FIELD"


def test_close_all_at_a_limit_is_refused_and_its_other_options_are_left_out() -> None:
    assert refused(closeall="true", order_type="limit")["code"] == "CONTRADICTION"
    assert refused(closeall="true", price="1")["code"] == "CONTRADICTION"
    item = run(closeall="true", order_type="market", stop_loss="2%", leverage=3)
    assert item.signal == Signal(kind=SignalKind.CLOSE_ALL, ticker="BTCUSDT.P")
    assert set(item.ignored_keys) == {"action", "prev_position", "quantity", "stop_loss", "leverage"}
