"""bitmart.md sections 8 and 9: what is sent, and what the published samples say."""

import json
import zlib
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from apps.connectors.bitmart import stream_futures, stream_spot
from apps.connectors.bitmart.stream_frames import (
    LARGEST_FRAME,
    LoggedIn,
    Pong,
    Pushed,
    Refused,
    Subscribed,
    UnreadableFrameError,
    in_lots,
    text_of,
)
from apps.connectors.exchange import Credentials, Ticker
from apps.connectors.streams import OrderPushed, PricePushed

OFFICIAL = Credentials("k", "6c6c98544461bbe71db2bca4c6d7fd0021e0ba9efc215f9c6ad41852df9d9df9", "test001")
OFFICIAL_SIGN = "3ceeb7e1b8cb165a975e28a2e2dfaca4d30b358873c0351c1a071d8c83314556"
SPOT_ORDER = {
    "symbol": "BTC_USDT", "side": "buy", "type": "market", "notional": "", "size": "1.0000000000",
    "ms_t": "1609926028000", "price": "46100.0000000000", "filled_notional": "46100.0000000000",
    "filled_size": "1.0000000000", "margin_trading": "0", "state": "4", "order_id": "2147857398", "order_type": "0",
    "last_fill_time": "1609926039226", "last_fill_price": "46100.00000", "last_fill_count": "1.00000",
    "exec_type": "M", "detail_id": "256348632", "client_order_id": "order4872191", "create_time": "1609926028000",
    "update_time": "1609926044000", "order_mode": "0", "entrust_type": "NORMAL", "order_state": "partially_filled",
    "dealFee": "10.00", "deal_fee_coin_name": "BMX",
}  # fmt: skip
FUTURES_ORDER = {
    "order_id": "220906179895578", "client_order_id": "BM1234", "price": "60000", "size": "10", "symbol": "BTCUSDT",
    "state": 2, "side": 1, "type": "limit", "leverage": "5", "open_type": "isolated", "deal_avg_price": "0",
    "deal_size": "0", "create_time": 1760000000000, "update_time": 1760000000000, "plan_order_id": "",
    "last_trade": None, "trigger_price": "-", "trigger_price_type": "-", "execution_price": "-",
    "activation_price_type": "-", "activation_price": "-", "callback_rate": "-", "position_mode": "hedge_mode",
}  # fmt: skip


def deflated(text: str) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(text.encode()) + deflater.flush()


def test_logins_carry_the_officially_published_signature() -> None:
    assert json.loads(stream_spot.login(OFFICIAL, 1589267764859)) == {
        "op": "login",
        "args": ["k", "1589267764859", OFFICIAL_SIGN],
    }
    assert json.loads(stream_futures.login(OFFICIAL, 1589267764859)) == {
        "action": "access",
        "args": ["k", "1589267764859", OFFICIAL_SIGN, "web"],
    }


def test_text_and_raw_deflate_read_alike() -> None:
    assert text_of('{"event":"login"}') == text_of(deflated('{"event":"login"}')) == '{"event":"login"}'


@pytest.mark.parametrize("frame", [b"\xff\xfe\xfd", zlib.compress(b"{}"), deflated("x" * (LARGEST_FRAME + 1))])
def test_a_frame_that_is_no_bounded_raw_deflate_is_unreadable(frame: bytes) -> None:
    with pytest.raises(UnreadableFrameError):
        text_of(frame)


@pytest.mark.parametrize("text", ["", "[]", "NaN", '{"a":NaN}', "{", '"pong"', "null"])
def test_what_is_no_json_object_is_unreadable(text: str) -> None:
    for dialect in (stream_spot, stream_futures):
        with pytest.raises(UnreadableFrameError):
            dialect.read(text)


def test_no_message_names_more_than_twenty_topics_or_takes_more_than_4096_bytes() -> None:
    short = [f"spot/ticker:A{number}_USDT" for number in range(45)]
    long = [f"spot/ticker:{'X' * 400}{number}" for number in range(25)]

    by_count = [json.loads(message)["args"] for message in in_lots(short, stream_spot.subscribe)]
    by_bytes = list(in_lots(long, stream_spot.subscribe))

    assert [len(lot) for lot in by_count] == [20, 20, 5]
    assert [topic for lot in by_count for topic in lot] == short
    assert [len(json.loads(message)["args"]) for message in by_bytes] == [9, 9, 7]
    assert max(len(message.encode()) for message in by_bytes) <= 4096


@pytest.mark.parametrize("table", ["spot/user/order", "spot/user/orders"])
def test_spot_order_sample_trusts_order_state_over_the_number(table: str) -> None:
    said = stream_spot.read(json.dumps({"table": table, "data": [SPOT_ORDER]}))

    assert said == Pushed(
        (
            OrderPushed(
                symbol="BTC_USDT",
                exchange_order_id="2147857398",
                client_order_id="order4872191",
                filled_quantity=Decimal("1.0000000000"),
                is_final=False,
            ),
        )
    )


@pytest.mark.parametrize(
    ("order_state", "state", "is_final"),
    [
        ("new", "6", False),
        ("filled", "4", True),
        ("partially_canceled", "4", True),
        ("failed", "4", True),
        ("", "4", False),
        ("", "12", True),
        ("something new", "4", True),
    ],
)
def test_spot_order_is_open_only_in_states_known_as_open(order_state: str, state: str, is_final: bool) -> None:
    row = SPOT_ORDER | {"order_state": order_state, "state": state}

    said = stream_spot.read(json.dumps({"table": "spot/user/order", "data": [row]}))

    assert [event.is_final for event in said.events] == [is_final]


def test_futures_order_sample() -> None:
    said = stream_futures.read(json.dumps({"group": "futures/order", "data": [{"action": 2, "order": FUTURES_ORDER}]}))

    assert said == Pushed((OrderPushed("BTCUSDT", "220906179895578", "BM1234", Decimal(0), is_final=False),))


def test_finished_futures_order_is_final_and_tells_its_contracts() -> None:
    row = FUTURES_ORDER | {"state": 4, "deal_size": "10", "order_id": 220906179895578}

    said = stream_futures.read(json.dumps({"group": "futures/order", "data": [{"action": 1, "order": row}]}))

    assert said == Pushed((OrderPushed("BTCUSDT", "220906179895578", "BM1234", Decimal(10), is_final=True),))


def test_an_order_with_unreadable_figures_still_asks_for_a_look() -> None:
    futures = stream_futures.read(
        json.dumps({"group": "futures/order", "data": [{"order": FUTURES_ORDER | {"deal_size": "many"}}]})
    )
    spot = stream_spot.read(json.dumps({"table": "spot/user/order", "data": [SPOT_ORDER | {"filled_size": ""}]}))

    assert [event.is_final for event in (*futures.events, *spot.events)] == [True, True]


def test_futures_ticker_sample_is_exact_also_with_a_suffix_on_its_group() -> None:
    data = {
        "symbol": "BTCUSDT", "last_price": "97153.6", "volume_24": "25502894", "range": "0.0016599204475393",
        "mark_price": "97153.7", "index_price": "97185.614", "ask_price": "97153.9", "ask_vol": "28",
        "bid_price": "97153.4", "bid_vol": "428",
    }  # fmt: skip
    before = datetime.now(UTC)

    said = stream_futures.read(json.dumps({"group": "futures/ticker:BTCUSDT@100ms", "data": data}))

    (event,) = said.events
    assert isinstance(event, PricePushed)
    ticker = event.ticker
    assert (ticker.symbol, ticker.last, ticker.bid, ticker.ask, ticker.mark) == (
        "BTCUSDT", Decimal("97153.6"), Decimal("97153.4"), Decimal("97153.9"), Decimal("97153.7"),
    )  # fmt: skip
    assert before <= ticker.at <= datetime.now(UTC)


def test_spot_ticker_sample_is_exact() -> None:
    row = {
        "symbol": "BTC_USDT", "last_price": "60000.00", "open_24h": "1", "high_24h": "1", "low_24h": "1",
        "base_volume_24h": "1", "quote_volume_24h": "1", "fluctuation": "-0.0001", "bid_px": "59999.99",
        "bid_sz": "0.1", "ask_px": "60000.01", "ask_sz": "0.2", "s_t": 1709024652, "ms_t": 1709024652967,
    }  # fmt: skip

    said = stream_spot.read(json.dumps({"table": "spot/ticker", "data": [row]}))

    at = datetime(2024, 2, 27, 9, 4, 12, 967000, tzinfo=UTC)
    ticker = Ticker("BTC_USDT", Decimal("60000.00"), Decimal("59999.99"), Decimal("60000.01"), None, at)
    assert said == Pushed((PricePushed(ticker),))


@pytest.mark.parametrize(
    "frame",
    [
        {"data": "", "table": "spot/user/order"},
        {"table": "spot/ticker", "data": [{"symbol": "BTC_USDT", "last_price": "n/a", "ms_t": 1709024652967}]},
        {"table": "spot/kline1m", "data": [{"symbol": "ETH_USDT", "candle": [1709025360, "1", "1", "1", "1", "1"]}]},
        {"table": "spot/ticker", "data": None},
    ],
)
def test_spot_pushes_without_news_say_nothing(frame: object) -> None:
    assert stream_spot.read(json.dumps(frame)) == Pushed(())


@pytest.mark.parametrize(
    "frame",
    [
        {"group": "futures/asset:USDT", "data": {"currency": "USDT", "available_balance": "1000"}},
        {"group": "futures/order", "data": ""},
        {"group": "futures/order", "data": [{"action": 2, "order": None}]},
        {"group": "futures/ticker:BTCUSDT", "data": []},
        {"action": "unsubscribe", "group": "futures/ticker:BTCUSDT", "success": True},
    ],
)
def test_futures_pushes_without_news_say_nothing(frame: object) -> None:
    assert stream_futures.read(json.dumps(frame)) == Pushed(())


def test_answers_to_what_we_send() -> None:
    assert stream_spot.read("pong") == Pong()
    assert stream_spot.read('{"event":"login"}') == LoggedIn()
    assert stream_spot.read('{"event":"subscribe","topic":"spot/ticker:BTC_USDT"}') == Subscribed(
        "spot/ticker:BTC_USDT"
    )
    assert stream_spot.read('{"event":"subscribe","errorMessage":"no","errorCode":"90004"}') == Refused(
        "subscribe", "", "90004", "no"
    )
    assert stream_futures.read('{"group":"System","data":"pong"}') == Pong()
    assert stream_futures.read("pong") == Pong()
    assert stream_futures.read('{"action":"access","success":true}') == LoggedIn()
    assert stream_futures.read(
        '{"action":"subscribe","group":"futures/ticker:BTCUSDT","success":true,"request":{"action":"subscribe"}}'
    ) == Subscribed("futures/ticker:BTCUSDT")
    assert stream_futures.read(
        '{"action":"subscribe","group":"futures/order","success":false,"error":"futures/order need authenication"}'
    ) == Refused("subscribe", "futures/order", "", "futures/order need authenication")


@pytest.mark.parametrize("code", ["91001", "91002", "91003", "91004", "91010", "91011"])
def test_key_and_signature_codes_blame_the_key(code: str) -> None:
    assert stream_spot.blames_key(Refused("login", "", code, ""))


@pytest.mark.parametrize("code", ["91021", "91022", "91023", "94001", "94002", "95000", ""])
def test_clock_and_capacity_codes_do_not_blame_the_key(code: str) -> None:
    assert not stream_spot.blames_key(Refused("login", "", code, ""))
