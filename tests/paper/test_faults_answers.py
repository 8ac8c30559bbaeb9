"""Each fault at a socket of the real process: what the caller gets, and what the exchange has done."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from apps.paper.auth import sign
from tests.paper.running import PaperAccount, PaperProcess

pytestmark = pytest.mark.process
SUBMIT, CANCEL = "/spot/v2/submit_order", "/spot/v3/cancel_order"
BY_CLIENT_ID, OPEN = "/spot/v4/query/client-order", "/spot/v4/query/open-orders"
FUTURES_SUBMIT, FUTURES_TRADES = "/contract/private/submit-order", "/contract/private/trades"


class Client:
    """A plain client with keys of its own."""

    def __init__(self, paper: PaperProcess, account: PaperAccount) -> None:
        self.paper = paper
        self.account = account
        self.timeout = 10.0

    def post(self, path: str, body: dict[str, Any], *, stamp_ms: int | None = None) -> requests.Response:
        raw = json.dumps(body).encode()
        stamp = str(stamp_ms or time.time_ns() // 1_000_000)
        headers = {
            "X-BM-KEY": self.account.access_key,
            "X-BM-TIMESTAMP": stamp,
            "X-BM-SIGN": sign(self.account.secret_key, timestamp=stamp, memo=self.account.memo, body=raw),
            "Content-Type": "application/json",
        }
        return requests.post(self.paper.base_url + path, data=raw, headers=headers, timeout=self.timeout)

    def get(self, path: str, **params: str) -> requests.Response:
        headers = {"X-BM-KEY": self.account.access_key}
        return requests.get(self.paper.base_url + path, params=params, headers=headers, timeout=self.timeout)

    def buy(self, client_order_id: str) -> requests.Response:
        body = {"symbol": "BTC_USDT", "side": "buy", "type": "limit", "size": "0.001", "price": "10000"}
        return self.post(SUBMIT, body | {"client_order_id": client_order_id})

    def long(self, client_order_id: str) -> requests.Response:
        body = {"symbol": "BTCUSDT", "side": 1, "type": "market", "size": 1, "leverage": "5", "open_type": "isolated"}
        return self.post(FUTURES_SUBMIT, body | {"client_order_id": client_order_id})

    @property
    def placed(self) -> list[str]:
        return [row["client_order_id"] for row in self.paper.orders(self.account.access_key)]


@pytest.fixture
def client(paper: PaperProcess) -> Iterator[Client]:
    paper.set_price("BTC_USDT", "60000")
    paper.set_price("BTCUSDT", "60000")
    yield Client(paper, paper.new_account(position_mode="hedge_mode"))
    paper.control("DELETE", "faults")


def code(answer: requests.Response) -> tuple[int, int]:
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize(
    ("details", "status", "wire_code", "message"),
    [
        ({"action": "too_many"}, 429, 30013, "Request too many requests"),
        ({"action": "banned"}, 418, 30017, "RATE_LIMIT. Account temporarily rejected by limiting rules"),
        (
            {"action": "maintenance"},
            200,
            30016,
            "Service maintenance, the function is temporarily unavailable",
        ),
        ({"action": "code", "code": 59_999, "message": "who knows"}, 200, 59_999, "who knows"),
        ({"action": "code", "code": 40012, "status": 500, "message": "System error"}, 500, 40012, "System error"),
        ({"action": "code", "code": 30014, "status": 503}, 503, 30014, "Service unavailable"),
    ],
)
@pytest.mark.parametrize("accepted", [False, True])
def test_a_code_before_or_after_acting(
    client: Client, details: dict[str, Any], status: int, wire_code: int, message: str, accepted: bool
) -> None:
    client.paper.fault(SUBMIT, **details, accepted=accepted)

    answer = client.buy("c1")

    assert code(answer) == (status, wire_code)
    assert answer.json()["message"] == message
    assert client.placed == (["c1"] if accepted else [])
    assert code(client.buy("c2")) == (200, 1000)


@pytest.mark.parametrize(("accepted", "placed"), [(False, []), (True, ["c1"])])
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_bare_5xx_before_or_after_acting(client: Client, status: int, accepted: bool, placed: list[str]) -> None:
    client.paper.fault(SUBMIT, "status", status=status, accepted=accepted)

    answer = client.buy("c1")

    assert (answer.status_code, answer.text) == (status, "")
    assert client.placed == placed


@pytest.mark.parametrize("status", [403, 503])
def test_a_blocking_page(client: Client, status: int) -> None:
    client.paper.fault(SUBMIT, "html", status=status)

    answer = client.buy("c1")

    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert "Cloudflare" in answer.text
    assert client.placed == []


def test_the_retired_shape_has_neither_message_nor_data(client: Client) -> None:
    client.paper.fault(SUBMIT, "retired", status=200)

    answer = client.buy("c1")

    text = "This endpoint has been deprecated. Please refer to the latest API documentation."
    assert (answer.status_code, answer.json()) == (200, {"msg": text, "code": 30031})
    assert client.placed == []


@pytest.mark.parametrize(("data", "shown"), [("null", None), ("empty", {}), ("text", "")])
def test_a_success_without_an_order_id(client: Client, data: str, shown: object) -> None:
    client.paper.fault(SUBMIT, "no_data", data=data)

    answer = client.buy("c1").json()

    assert (answer["code"], answer["message"], answer["data"]) == (1000, "OK", shown)
    assert client.placed == ["c1"]


def test_a_success_without_data(client: Client) -> None:
    client.paper.fault(SUBMIT, "no_data")

    assert set(client.buy("c1").json()) == {"message", "code", "trace"}
    assert client.placed == ["c1"]


def test_truncated_json(client: Client) -> None:
    client.paper.fault(SUBMIT, "truncated")

    answer = client.buy("c1")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    with pytest.raises(requests.JSONDecodeError):
        answer.json()
    assert client.placed == ["c1"]


def test_an_answer_cut_in_the_middle(client: Client) -> None:
    client.paper.fault(SUBMIT, "cut_answer")

    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
        client.buy("c1")

    assert client.placed == ["c1"]


def test_a_held_request_is_carried_out_after_the_caller_has_gone(client: Client) -> None:
    client.paper.fault(SUBMIT, "hold", delay_ms=600)
    client.timeout = 0.2

    with pytest.raises(requests.ReadTimeout):
        client.buy("c1")

    assert client.placed == []
    deadline = time.monotonic() + 5
    while not client.placed and time.monotonic() < deadline:
        time.sleep(0.05)
    assert client.placed == ["c1"]


def test_a_change_that_comes_to_nothing(client: Client) -> None:
    client.paper.fault(SUBMIT, "not_applied")
    client.paper.fault("/contract/private/set-position-mode", "not_applied")

    answer = client.buy("c1")
    mode = client.post("/contract/private/set-position-mode", {"position_mode": "one_way_mode"})

    assert (code(answer), set(answer.json()["data"])) == ((200, 1000), {"order_id"})
    assert client.placed == []
    assert mode.json()["data"] == {"position_mode": "one_way_mode"}
    assert client.get("/contract/private/get-position-mode").json()["data"] == {"position_mode": "hedge_mode"}
    assert client.get("/spot/v1/wallet").json()["data"]["wallet"][0]["frozen"] == "0.00000000"


def test_another_order_in_the_answer(client: Client) -> None:
    real = client.buy("c1").json()["data"]["order_id"]
    client.paper.fault(BY_CLIENT_ID, "other_order")

    row = client.post(BY_CLIENT_ID, {"clientOrderId": "c1"}).json()["data"]

    assert (row["orderId"], row["clientOrderId"]) == (str(int(real) + 1_000_000), "another1")
    assert client.post(BY_CLIENT_ID, {"clientOrderId": "c1"}).json()["data"]["orderId"] == real


def test_a_state_that_no_page_names(client: Client) -> None:
    client.buy("c1")
    client.long("f1")
    history = "/contract/private/order-history"
    client.paper.fault(OPEN, "odd_state")
    client.paper.fault(history, "odd_state")

    assert [row["state"] for row in client.post(OPEN, {}).json()["data"]] == ["reviewing"]
    assert [row["state"] for row in client.get(history, symbol="BTCUSDT").json()["data"]] == [9]


def test_a_filter_that_is_not_heeded(client: Client) -> None:
    client.long("f1")
    client.long("f2")
    route = "/contract/private/order-history"
    asked = {"symbol": "BTCUSDT", "client_order_id": "f1"}
    assert [row["client_order_id"] for row in client.get(route, **asked).json()["data"]] == ["f1"]
    client.paper.fault(route, "ignore_filter")

    assert [row["client_order_id"] for row in client.get(route, **asked).json()["data"]] == ["f2", "f1"]


def test_an_accepted_order_stays_invisible_for_a_while(client: Client) -> None:
    client.paper.fault("/spot/v4/query/*", "invisible", delay_ms=700)
    client.buy("c1")

    hidden = client.post(BY_CLIENT_ID, {"clientOrderId": "c1"})
    assert code(hidden) == (400, 50005)
    assert client.post(OPEN, {}).json()["data"] == []
    assert client.placed == ["c1"]

    deadline = time.monotonic() + 5
    while client.post(BY_CLIENT_ID, {"clientOrderId": "c1"}).status_code != 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert client.post(BY_CLIENT_ID, {"clientOrderId": "c1"}).json()["data"]["state"] == "new"
    assert [row["clientOrderId"] for row in client.post(OPEN, {}).json()["data"]] == ["c1"]


def test_invisible_on_the_chosen_route_only(client: Client) -> None:
    client.paper.fault(BY_CLIENT_ID, "invisible", delay_ms=60_000)
    client.buy("c1")

    assert code(client.post(BY_CLIENT_ID, {"clientOrderId": "c1"})) == (400, 50005)
    assert [row["clientOrderId"] for row in client.post(OPEN, {}).json()["data"]] == ["c1"]


def test_a_futures_order_that_is_not_to_be_seen(client: Client) -> None:
    order_id = str(client.long("f1").json()["data"]["order_id"])
    client.paper.fault("/contract/private/order", "invisible", delay_ms=60_000)

    assert code(client.get("/contract/private/order", symbol="BTCUSDT", order_id=order_id)) == (400, 40035)


def test_fills_late_twice_and_reversed(client: Client) -> None:
    client.long("f1")
    client.long("f2")
    plain = [row["trade_id"] for row in client.get(FUTURES_TRADES, symbol="BTCUSDT").json()["data"]]
    assert len(plain) == 2

    heard = []
    for action in ("invisible", "twice", "reversed"):
        client.paper.fault(FUTURES_TRADES, action, delay_ms=60_000 if action == "invisible" else 0, times=1)
        heard.append([row["trade_id"] for row in client.get(FUTURES_TRADES, symbol="BTCUSDT").json()["data"]])

    assert heard == [[], [plain[0], plain[0], plain[1], plain[1]], plain[::-1]]


@pytest.mark.parametrize(("skew_ms", "status"), [(0, 200), (59_000, 200), (65_000, 401), (-65_000, 401)])
def test_a_skewed_server_clock(client: Client, skew_ms: int, status: int) -> None:
    client.paper.control("POST", "faults", {"skew_ms": skew_ms})

    told_ms = requests.get(f"{client.paper.base_url}/system/time", timeout=5).json()["data"]["server_time"]
    answer = client.buy("c1")

    assert abs(told_ms - time.time_ns() // 1_000_000 - skew_ms) < 1_000
    assert (answer.status_code, answer.json()["code"]) == (status, 1000 if status == 200 else 30007)
    client.paper.control("POST", "faults", {"skew_ms": 0})


def test_a_rule_for_one_account_leaves_the_other_alone(client: Client) -> None:
    other = Client(client.paper, client.paper.new_account())
    client.paper.fault(SUBMIT, "too_many", account=client.account.access_key, times=10)

    assert code(other.buy("o1")) == (200, 1000)
    assert code(client.buy("c1")) == (429, 30013)


def test_a_rule_for_one_leg_and_its_second_try(client: Client) -> None:
    client.paper.fault(SUBMIT, "drop_answer", client_order_id="leg*", nth=2)
    assert code(client.buy("other1")) == (200, 1000)
    assert code(client.buy("leg1")) == (200, 1000)

    with pytest.raises(requests.ConnectionError):
        client.buy("leg2")

    assert client.placed == ["other1", "leg1", "leg2"]
    (fired,) = client.paper.control("GET", "faults")["fired"]
    assert (fired["action"], fired["client_order_ids"], fired["route"]) == ("drop_answer", ["leg2"], SUBMIT)


def test_the_ids_of_a_batch_are_met_too(client: Client) -> None:
    client.paper.fault("/spot/v4/batch_orders", "too_many", client_order_id="b2")
    order = {"side": "buy", "type": "limit", "size": "0.001", "price": "10000"}
    rows = [order | {"clientOrderId": name} for name in ("b1", "b2")]

    assert code(client.post("/spot/v4/batch_orders", {"symbol": "BTC_USDT", "orderParams": rows})) == (429, 30013)
    assert client.placed == []
