"""What faults do to pushes."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from bitmart.api_spot import APISpot
from websockets.exceptions import ConnectionClosedError

from tests.paper.desk import Desk, Trader
from tests.paper.listening import Ear, Line, Listening, line
from tests.paper.running import PaperAccount, PaperProcess

TOPIC = "futures/order"
SUBMIT, ORDERS = "/spot/v2/submit_order", "spot/user/order"


@pytest.fixture
def listening(desk: Desk) -> Listening:
    return Listening(desk)


@pytest.fixture
def trader(desk: Desk) -> Trader:
    return desk.trader(futures={"USDT": "1000"}, position_mode="hedge_mode")


def rest(trader: Trader, name: str) -> None:
    order = {"type": "limit", "side": 1, "leverage": "5", "open_type": "isolated", "size": 1, "price": "50000"}
    assert trader.futures_order(**order, client_order_id=name).code == 1000


def names(listening: Listening, ear: Ear) -> list[Any]:
    listening.flush()
    return [push["data"] and push["data"][0]["order"]["client_order_id"] for push in ear.heard()]


@pytest.mark.parametrize(
    ("action", "heard"),
    [
        ("gap", ["a1", "a3", "a4"]),
        ("duplicate", ["a1", "a2", "a2", "a3", "a4"]),
        ("out_of_order", ["a1", "a3", "a2", "a4"]),
        ("empty_data", ["a1", "", "a3", "a4"]),
    ],
)
def test_the_second_push_is_spoiled(
    desk: Desk, listening: Listening, trader: Trader, action: str, heard: list[str]
) -> None:
    desk.control("POST", "faults", {"route": TOPIC, "action": action, "nth": 2})
    ear = listening.ear(TOPIC, trader=trader)

    for name in ("a1", "a2", "a3", "a4"):
        rest(trader, name)

    assert names(listening, ear) == heard
    (fired,) = desk.control("GET", "faults").content["fired"]
    assert (fired["route"], fired["client_order_ids"], fired["account"]) == (TOPIC, ["a2"], trader.access_key)


def test_the_connection_is_cut_in_place_of_the_push(desk: Desk, listening: Listening, trader: Trader) -> None:
    desk.control("POST", "faults", {"route": TOPIC, "action": "disconnect"})
    ear = listening.ear(TOPIC, trader=trader)

    rest(trader, "a1")

    assert names(listening, ear) == []
    assert (ear.was_cut, ear.ending) == (True, None)


def test_one_account_s_stream_is_spoiled_and_the_other_s_is_not(
    desk: Desk, listening: Listening, trader: Trader
) -> None:
    other = desk.trader(futures={"USDT": "1000"}, position_mode="hedge_mode")
    desk.control("POST", "faults", {"route": "futures/*", "action": "gap", "account": trader.access_key, "times": 9})
    spoiled, whole = listening.ear(TOPIC, trader=trader), listening.ear(TOPIC, trader=other)

    rest(trader, "a1")
    rest(other, "b1")

    assert (names(listening, spoiled), names(listening, whole)) == ([], ["b1"])


def test_a_gap_in_the_depth_skips_a_version(desk: Desk, listening: Listening) -> None:
    desk.price("BTCUSDT", None)
    desk.control("POST", "faults", {"route": "futures/depthIncrease5", "action": "gap", "nth": 3})
    ear = listening.ear("futures/depthIncrease5:BTCUSDT@100ms")

    for _ in range(4):
        listening.pass_ms(500)

    assert [push["data"]["version"] for push in ear.heard()] == [1, 2, 4, 5]


@pytest.fixture
def account(paper: PaperProcess) -> Iterator[PaperAccount]:
    paper.set_price("BTC_USDT", "60000")
    yield paper.new_account()
    paper.control("DELETE", "faults")


@contextmanager
def own_orders(paper: PaperProcess, account: PaperAccount) -> Iterator[Line]:
    topic = "spot/user/order:BTC_USDT"
    with line(paper, "/spot-ws/user") as caller:
        assert caller.log_in_spot(account) == {"event": "login"}
        caller.send({"op": "subscribe", "args": [topic]})
        assert caller.next() == {"event": "subscribe", "topic": topic}
        yield caller


def buy(paper: PaperProcess, account: PaperAccount) -> float:
    """Place an order and return when its answer came."""
    client = APISpot(account.access_key, account.secret_key, account.memo, url=paper.base_url)
    client.post_submit_order("BTC_USDT", "buy", "limit", client_order_id="s1", size="0.001", price="50000")
    client.session.close()
    return time.monotonic()


@pytest.mark.process
@pytest.mark.parametrize(("route", "action", "push_is_first"), [(SUBMIT, "push_first", True), (ORDERS, "delay", False)])
def test_a_push_before_and_after_the_answer(
    paper: PaperProcess, account: PaperAccount, route: str, action: str, push_is_first: bool
) -> None:
    paper.fault(route, action, delay_ms=400)
    with own_orders(paper, account) as caller, ThreadPoolExecutor(1) as pool:
        answered = pool.submit(buy, paper, account)

        (row,) = caller.push("spot/user/order")

        pushed = time.monotonic()
        assert row["client_order_id"] == "s1"
        assert (pushed < answered.result()) is push_is_first
        assert abs(pushed - answered.result()) > 0.2


@pytest.mark.process
def test_a_socket_is_cut_without_a_closing_frame(paper: PaperProcess, account: PaperAccount) -> None:
    paper.fault(ORDERS, "disconnect", account=account.access_key)
    with own_orders(paper, account) as caller:
        buy(paper, account)

        with pytest.raises(ConnectionClosedError) as caught:
            caller.next()

    assert caught.value.rcvd is None
