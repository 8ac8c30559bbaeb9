import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from apps.alerts.payload import parse
from apps.connectors.exchange import Side
from apps.trading.signal import PrevPosition, Signal, SignalKind
from tests.alerts.payload.bodies import ENTER_LONG, FIXTURES, MARK, POINTER, body, only, refusal

CLOSE_ALL = Signal(kind=SignalKind.CLOSE_ALL, ticker="BTCUSDT")


@pytest.mark.parametrize("action", ["buy", "sell"])
@pytest.mark.parametrize("prev_position", ["flat", "long", "short"])
def test_all_six_pairs_of_action_and_previous_position_are_read(action: str, prev_position: str) -> None:
    signal = only(body(action=action, prev_position=prev_position)).signal

    assert signal == replace(ENTER_LONG, action=Side(action), prev_position=PrevPosition(prev_position))


@pytest.mark.parametrize("missing", ["ticker", "action", "prev_position", "quantity", "pointer"])
def test_each_of_the_five_keys_is_mandatory_and_named(missing: str) -> None:
    error = only(body(without=missing)).error

    assert error is not None
    assert error.code == "MISSING_FIELD"
    assert error.facts["field"] == missing
    assert error.sentence.startswith(f"The message has no '{missing}'.")


@pytest.mark.parametrize(("word", "side"), [("long", "buy"), ("short", "sell"), ("LONG", "buy")])
def test_long_and_short_are_actions_when_the_previous_position_is_given(word: str, side: str) -> None:
    item = only(body(action=word))

    assert item.signal == replace(ENTER_LONG, action=Side(side))
    assert item.repairs[-1].sentence == f"we changed: read action '{word.lower()}' as '{side}'"
    assert refusal(body(action=word, without="prev_position")) == "MISSING_FIELD"


@pytest.mark.parametrize("word", ["close", "exit", "flat", "b", "0", True, 1])
def test_no_other_action_is_guessed(word: object) -> None:
    assert refusal(body(action=word)) == "UNKNOWN_ACTION"


@pytest.mark.parametrize(
    ("word", "code"),
    [
        ("none", "UNKNOWN_POSITION"),
        ("0", "UNKNOWN_POSITION"),
        (0, "UNKNOWN_POSITION"),
        (False, "UNKNOWN_POSITION"),
        ("", "EMPTY_VALUE"),
        (" ", "EMPTY_VALUE"),
        (None, "NULL_VALUE"),
        ([], "BAD_VALUE"),
    ],
)
def test_a_position_that_is_not_known_is_never_flat(word: object, code: str) -> None:
    assert refusal(body(prev_position=word)) == code


@pytest.mark.parametrize("value", ["true", True, 1, "1", "TRUE", " True "])
def test_close_all_needs_no_action_and_no_quantity(value: object) -> None:
    delivery = body(closeall=value, ticker="BTCUSDT", action="{{strategy.order.action}}", quantity="NaN")

    item = only(delivery)

    assert item.signal == CLOSE_ALL
    assert item.signal.is_exit
    assert item.ignored_keys == ("action", "prev_position", "quantity")


def test_the_documented_close_all_message_runs() -> None:
    assert only(f'{{"ticker":"BTCUSDT","closeall":"true","pointer":"{MARK}"}}'.encode()).signal == CLOSE_ALL


@pytest.mark.parametrize(
    ("value", "code"),
    [("false", "UNKNOWN_CLOSEALL"), (False, "UNKNOWN_CLOSEALL"), (0, "UNKNOWN_CLOSEALL"), ("yes", "UNKNOWN_CLOSEALL"),
     ("", "EMPTY_VALUE"), (None, "NULL_VALUE"), (2, "UNKNOWN_CLOSEALL")],
)  # fmt: skip
def test_any_other_close_all_is_refused_and_not_run_as_an_order(value: object, code: str) -> None:
    assert refusal(body(closeall=value)) == code


def test_close_all_keeps_hedge_test_and_id() -> None:
    signal = only(body(closeall="true", ticker="BTCUSDT", hedgemode="hedge", test=True, id="a1")).signal

    assert signal == replace(CLOSE_ALL, hedge=True, is_test=True, external_id="a1")


def test_hedge_mode_has_one_word() -> None:
    assert only(body(hedgemode="hedge")).signal == replace(ENTER_LONG, hedge=True)
    assert refusal(body(hedgemode="true")) == "UNKNOWN_HEDGEMODE"


def test_every_optional_key_is_read() -> None:
    item = only(
        body(
            market_position="long",
            market_position_size="0.30",
            prev_market_position="flat",
            prev_market_position_size=0,
            time="2026-01-31T15:04:05Z",
            signal_price="64000.5",
            max_lag="300",
            id=" order-7 ",
            test="false",
            order_type="Market",
            quantity_type="base",
        )
    )

    assert item.signal == replace(
        ENTER_LONG,
        market_position=PrevPosition.LONG,
        market_position_size=Decimal("0.3"),
        prev_market_position_size=Decimal(0),
        sent_at=datetime(2026, 1, 31, 15, 4, 5, tzinfo=UTC),
        signal_price=Decimal("64000.5"),
        max_lag_s=300,
        external_id="order-7",
    )
    assert item.fields == {
        "pointer": MARK,
        "ticker": "BTCUSDT.P",
        "prev_position": "flat",
        "action": "buy",
        "quantity": "0.1",
        "order_type": "market",
        "quantity_type": "base",
        "market_position": "long",
        "market_position_size": "0.3",
        "prev_market_position": "flat",
        "prev_market_position_size": "0",
        "time": "2026-01-31T15:04:05Z",
        "signal_price": "64000.5",
        "max_lag": "300",
        "id": "order-7",
        "test": "false",
    }


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("market_position", "none", "UNKNOWN_POSITION"),
        ("market_position_size", -1, "NEGATIVE"),
        ("prev_market_position", "long", "CONTRADICTION"),
        ("time", "2026-01-31T15:04:05", "UNREADABLE_TIME"),
        ("time", "1769871845", "UNREADABLE_TIME"),
        ("time", "2026-02-31T15:04:05Z", "UNREADABLE_TIME"),
        ("time", "0001-01-01T00:00:00+14:00", "UNREADABLE_TIME"),
        ("signal_price", 0, "ZERO"),
        ("max_lag", 0, "ZERO"),
        ("max_lag", "1.5", "NUMBER_OUT_OF_RANGE"),
        ("max_lag", 86401, "NUMBER_OUT_OF_RANGE"),
        ("id", "x" * 65, "BAD_VALUE"),
        ("id", "a\u0000b", "BAD_VALUE"),
        ("id", "\ud800", "BAD_VALUE"),
        ("id", "", "EMPTY_VALUE"),
        ("test", "maybe", "BAD_VALUE"),
        ("test", None, "NULL_VALUE"),
        ("ticker", "x" * 65, "BAD_VALUE"),
        ("ticker", {"symbol": "BTCUSDT"}, "BAD_VALUE"),
        ("ticker", "BTC\u0000USDT", "BAD_VALUE"),
        ("pointer", "m1K3Y", "POINTER_UNREADABLE"),
        ("pointer", None, "NULL_VALUE"),
    ],
)
def test_an_optional_key_that_cannot_be_read_stops_the_order(key: str, value: object, code: str) -> None:
    item = only(body(**{key: value}))

    assert item.signal is None
    assert item.error is not None
    assert (item.error.code, item.error.facts["field"]) == (code, "prev_position" if code == "CONTRADICTION" else key)


def test_a_target_that_contradicts_itself_is_refused() -> None:
    assert refusal(body(market_position="flat", market_position_size=1)) == "CONTRADICTION"
    assert refusal(body(market_position="long", market_position_size=0)) == "CONTRADICTION"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("stop_price", 1), ("trigger_price", "1"), ("stop", 1), ("limit", 1), ("tp1", 1), ("take_profit_price_1", 1),
        ("cancel_all", 1), ("trailing", 1), ("time_in_force", "ioc"), ("post_only", True), ("oco", True),
        ("dry_run", True), ("isTest", "true"), ("test_mode", 1), ("simulate", "yes"), ("paper-trading", True),
        ("type", "limit"), ("Type", "STOP"), ("amount_type", "quote"), ("quantityPercent", 10), ("risk_percent", 1),
    ],
)  # fmt: skip
def test_an_option_we_do_not_read_is_refused_by_name_never_ignored(key: str, value: object) -> None:
    error = only(body(**{key: value}), not_executed=frozenset()).error

    assert error is not None
    assert error.code == "NOT_SUPPORTED"
    assert error.facts["field"] == key


def test_an_option_that_says_no_runs() -> None:
    assert only(body(post_only=False, reduce_only="false", cancel=0, dry_run="false")).signal == ENTER_LONG


def test_unknown_keys_are_listed_and_ignored() -> None:
    item = only(body(comment="{{strategy.order.comment}}", strategy={"name": ["x"]}, slippage=3))

    assert item.signal == ENTER_LONG
    assert item.ignored_keys == ("comment", "strategy", "slippage")


def test_a_raw_pointer_is_read_and_never_returned() -> None:
    item = only(body(pointer=POINTER.upper().replace("SF_", "sf_"), note=POINTER))

    assert item.signal == ENTER_LONG
    assert item.pointer == MARK
    assert POINTER not in repr(item).lower()


def test_messages_of_one_array_keep_their_own_pointers() -> None:
    items = parse(b"[" + body() + b"," + body(pointer="••••2345") + b"," + body(pointer="abc") + b"]").items

    assert [item.pointer for item in items] == [MARK, "••••2345", ""]
    assert [item.signal for item in items] == [ENTER_LONG, ENTER_LONG, None]


@pytest.mark.parametrize(
    ("name", "action", "prev_position"),
    [
        ("enter-long", "buy", "flat"),
        ("exit-long", "sell", "long"),
        ("enter-short", "sell", "flat"),
        ("exit-short", "buy", "short"),
    ],
)
def test_the_four_trendspider_bodies_run(name: str, action: str, prev_position: str) -> None:
    item = only((FIXTURES / "trendspider" / f"{name}.txt").read_bytes())

    assert item.signal == replace(
        ENTER_LONG, ticker="^BTCUSDT", action=Side(action), prev_position=PrevPosition(prev_position)
    )
    assert item.repairs == ()


def test_an_unreplaced_trendspider_symbol_is_named() -> None:
    error = only((FIXTURES / "trendspider" / "unreplaced-symbol.txt").read_bytes()).error

    assert error is not None
    assert error.sentence == (
        "%bot_symbol% arrived as written instead of being replaced. TrendSpider fills %bot_…% only in Trading Bots and "
        "%alert_…% only in alerts. Use the variable of the kind you have, or type the value."
    )


def test_a_number_that_is_an_id_stays_as_it_was_written() -> None:
    [plain, exponent] = [only(body().replace(b"}", b', "id": ' + text + b"}")) for text in (b"0.00001", b"1e-05")]

    assert exponent.signal == replace(ENTER_LONG, external_id="1e-05")
    assert only(exponent.normalized.encode()).signal == exponent.signal
    assert plain.normalized != exponent.normalized


@pytest.mark.parametrize("quantity", ["2²", "10⁵", "1½", "⒈5", "①", "1㉑", "1₂", "²", "١٢", "१२", "1٫5", "−1"])
@pytest.mark.parametrize("key", ["quantity", "max_lag", "signal_price"])
def test_no_other_sign_for_a_number_is_read_as_a_digit(key: str, quantity: str) -> None:
    written = body(**{key: quantity})
    curly = json.dumps(json.loads(written), ensure_ascii=False).replace('"', "”").encode()

    for delivery in (written, curly):
        item = only(delivery)
        assert item.error is not None
        assert item.error.code in {"UNREADABLE_NUMBER", "HAS_UNIT"}
        assert (item.error.facts["field"], item.error.facts["found"]) == (key, quantity)
