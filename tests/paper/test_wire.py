"""Envelopes, headers, limits, routes and the order in which a request is checked."""

import re
import string
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.paper.rest import ROUTES
from tests.paper.desk import START_MS, Desk

PUBLIC = [route.path for route in ROUTES if route.level == "none"]
POSTS = [route.path for route in ROUTES if route.method == "POST"]
GETS = [route.path for route in ROUTES if route.method == "GET"]


@pytest.mark.parametrize(
    ("path", "query", "message"),
    [
        ("/system/time", "", "OK"),
        ("/spot/v1/symbols/details", "", "OK"),
        ("/spot/quotation/v3/ticker", "symbol=BTC_USDT", "success"),
        ("/contract/public/details", "symbol=BTCUSDT", "Ok"),
    ],
)
def test_the_success_word_is_that_of_the_family(desk: Desk, path: str, query: str, message: str) -> None:
    answer = desk.send("GET", path, query=query)

    assert (answer.status, answer.content["message"]) == (200, message)
    assert type(answer.content["code"]) is int
    assert re.fullmatch(r"[0-9a-f]{32}\.64\.\d{17}", answer.content["trace"])


def test_private_success_words(desk: Desk) -> None:
    trader = desk.trader(spot={"USDT": "100"}, futures={"USDT": "100"})

    assert trader.get("/spot/v1/wallet").content["message"] == "OK"
    assert trader.post("/spot/v4/query/open-orders").content["message"] == "success"
    assert trader.get("/contract/private/assets-detail").content["message"] == "Ok"
    assert trader.spot_order(side="buy", type="market", notional="10").content["message"] == "OK"


def test_the_time_is_a_number_of_milliseconds(desk: Desk) -> None:
    assert desk.send("GET", "/system/time").data == {"server_time": START_MS}


@pytest.mark.parametrize(
    "path", ["/", "/spot/v1/nothing", "/spot/v1/margin/submit_order", "/contract/public/funding-rate-v2", "/../etc"]
)
def test_an_unknown_route_is_30000(desk: Desk, path: str) -> None:
    answer = desk.trader().post(path)

    assert (answer.status, answer.code, answer.data) == (404, 30000, {})
    assert answer.headers["x-bm-ratelimit-limit"] == "600"


def test_a_wrong_method_is_refused(desk: Desk) -> None:
    assert desk.send("POST", "/system/time").status == 405
    assert desk.send("GET", "/spot/v2/submit_order").code == 57001


def test_rate_limit_headers_count_what_is_used(desk: Desk) -> None:
    first, second = desk.send("GET", "/system/time"), desk.send("GET", "/system/time")

    assert {name: value for name, value in second.headers.items() if name.startswith("x-bm")} == {
        "x-bm-ratelimit-limit": "10",
        "x-bm-ratelimit-remaining": "2",
        "x-bm-ratelimit-reset": "1",
        "x-bm-ratelimit-mode": "IP",
    }
    assert first.headers["x-bm-ratelimit-remaining"] == "1"


def test_too_many_calls_get_429_and_a_new_window_lets_in_again(desk: Desk) -> None:
    codes = [desk.send("GET", "/system/time").code for _ in range(11)]
    assert codes == [1000] * 10 + [30013]

    desk.clock.ms += 1_000

    assert desk.send("GET", "/system/time").code == 1000


def test_going_on_after_429_earns_418_for_a_minute(desk: Desk) -> None:
    answers = [desk.send("GET", "/system/time") for _ in range(31)]

    assert (answers[29].status, answers[30].status, answers[30].code) == (429, 418, 30017)
    desk.clock.ms += 59_999
    assert desk.send("GET", "/system/time").status == 418
    desk.clock.ms += 1
    assert desk.send("GET", "/system/time").status == 200


def test_a_limited_order_is_not_placed_and_another_key_is_free(desk: Desk) -> None:
    greedy, other = desk.trader(futures={"USDT": "9000"}), desk.trader(futures={"USDT": "9000"})
    order = {"symbol": "BTCUSDT", "side": 1, "type": "market", "size": 1, "leverage": "5", "open_type": "cross"}
    path = "/contract/private/submit-order"

    codes = [greedy.post_now(path, order).code for _ in range(25)]

    assert codes == [1000] * 24 + [30013]
    assert other.post_now(path, order).code == 1000
    assert len(desk.control("GET", f"accounts/{greedy.access_key}/orders").content["orders"]) == 24


def test_the_rate_limit_comes_before_the_key_and_the_key_before_the_body(desk: Desk) -> None:
    strangers = [desk.send("GET", "/spot/v1/trade_fee", headers={"X-BM-KEY": "x"}).code for _ in range(3)]
    assert strangers == [30002, 30002, 30013]

    assert desk.send("POST", "/spot/v2/submit_order", headers={"X-BM-KEY": "y"}, body=b"{").code == 30002


@pytest.mark.parametrize("body", [b"{", b"[]", b'"text"', b"\xff", b'{"a":NaN}', b"[" * 50_000, b" " * 70_000])
def test_a_body_that_is_no_json_object_is_refused(desk: Desk, body: bytes) -> None:
    answer = desk.trader().post("/spot/v2/submit_order", body)

    assert (answer.status, answer.code) == (400, 50000)


def test_another_content_type_is_refused(desk: Desk) -> None:
    answer = desk.trader().post("/spot/v4/query/open-orders", **{"Content-Type": "text/plain"})

    assert (answer.status, answer.code) == (415, 58001)


def test_unknown_fields_are_ignored(desk: Desk) -> None:
    trader = desk.trader(futures={"USDT": "1000"})

    answer = trader.futures_order(
        side=1, type="market", size=1, leverage="5", open_type="cross", recvWindow=5000, clientOrderId="x"
    )

    assert answer.code == 1000
    order = trader.get("/contract/private/order", symbol="BTCUSDT", order_id=answer.data["order_id"]).data
    assert order["client_order_id"] == ""


def test_key_info_has_its_own_envelope(desk: Desk) -> None:
    trader = desk.trader(label="desk")

    content = trader.get("/uapi-key/v1/account/info").content

    key = content["data"]["api_keys"][0]
    assert (content["code"], content["msg"], content["success"], content["errorData"]) == (1000, "OK", True, None)
    assert (key["permissions"], key["api_key_label"], key["is_current"]) == (
        ["read", "spot_trade", "future_trade"],
        "desk",
        True,
    )
    assert key["access_key_masked"] == f"{trader.access_key[:4]}****{trader.access_key[-4:]}"


def test_absent_currencies_are_not_listed(desk: Desk) -> None:
    trader = desk.trader(spot={"USDT": "12.5", "BTC": "0"})

    assert trader.get("/spot/v1/wallet").data == {
        "wallet": [
            {
                "id": "USDT",
                "name": "Tether USD",
                "available": "12.50000000",
                "frozen": "0.00000000",
                "total": "12.50000000",
            }
        ]
    }
    assert [row["currency"] for row in trader.get("/contract/private/assets-detail").data] == ["USDT", "BTC", "ETH"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(["1e999999999"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELD_NAMES = """
symbol side type size price notional client_order_id clientOrderId order_id orderId orderIds leverage open_type mode
limit startTime endTime start_time end_time step queryState orderParams amount currency position_mode recvWindow page
flow_type page_size stpMode stp_mode before after
"""
FIELDS = st.sampled_from(FIELD_NAMES.split())
VALUES = JSON | st.sampled_from(["BTC_USDT", "BTCUSDT", "buy", "limit", "market", 1, "1", "0", "-1", "9" * 18, "USDT"])


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    print_blob=True,
)
@given(path=st.sampled_from(POSTS), body=st.dictionaries(FIELDS, VALUES, max_size=6))
def test_no_body_makes_the_exchange_fail(desk: Desk, path: str, body: dict[str, Any]) -> None:
    trader = desk.trader(spot={"USDT": "1000"}, futures={"USDT": "1000"})

    answer = trader.post(path, body)

    assert answer.status < 500
    assert type(answer.code) is int


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], print_blob=True)
@given(
    path=st.sampled_from(GETS), query=st.dictionaries(FIELDS, VALUES.map(str) | st.text(string.printable), max_size=4)
)
def test_no_query_makes_the_exchange_fail(desk: Desk, path: str, query: dict[str, str]) -> None:
    query = {name: value.encode("utf-8", "replace").decode() for name, value in query.items()}

    assert desk.trader().get(path, **query).status < 500


def test_a_huge_exponent_is_refused_at_once(desk: Desk) -> None:
    raw = b'{"symbol":"BTC_USDT","side":"buy","type":"market","notional":1e999999999999}'

    assert desk.trader(spot={"USDT": "1000"}).post("/spot/v2/submit_order", raw).code == 50021


def test_half_a_character_can_be_sent_and_sent_back(desk: Desk) -> None:
    answer = desk.trader().post("/spot/v4/cancel_orders", b'{"clientOrderIds":["\\ud800"]}')

    assert answer.data["failIds"] == ["\ud800"]
