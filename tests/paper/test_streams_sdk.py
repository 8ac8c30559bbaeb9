"""BitMart's published SDK on its WebSockets, with nothing changed but the address: one test a channel."""

import queue
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bitmart.api_contract import APIContract
from bitmart.api_spot import APISpot
from bitmart.lib import cloud_consts
from bitmart.websocket.futures_socket_client import FuturesSocketClient
from bitmart.websocket.spot_socket_client import SpotSocketClient

from tests.paper.running import PaperAccount, PaperProcess, running_paper

pytestmark = pytest.mark.process
PATIENCE_SECONDS = 8.0
SPOT_PUBLIC = {
    cloud_consts.WS_PUBLIC_SPOT_TICKER: {"last_price", "open_24h", "bid_px", "ask_sz", "fluctuation", "s_t", "ms_t"},
    cloud_consts.WS_PUBLIC_SPOT_BOOK_TICKER: {"symbol", "bid_px", "bid_sz", "ask_px", "ask_sz", "ms_t"},
    cloud_consts.WS_PUBLIC_SPOT_TRADE: {"symbol", "price", "side", "size", "s_t", "ms_t"},
    cloud_consts.WS_PUBLIC_SPOT_DEPTH5: {"symbol", "asks", "bids", "ms_t"},
    cloud_consts.WS_PUBLIC_SPOT_DEPTH20: {"symbol", "asks", "bids", "ms_t"},
    cloud_consts.WS_PUBLIC_SPOT_DEPTH50: {"symbol", "asks", "bids", "ms_t"},
    "spot/depth/increase100": {"symbol", "asks", "bids", "ms_t", "type", "version"},
    **{
        value: {"symbol", "candle"}
        for name, value in vars(cloud_consts).items()
        if name.startswith("WS_PUBLIC_SPOT_KLINE")
    },
}
FUTURES_PUBLIC = {
    cloud_consts.WS_PUBLIC_CONTRACT_TICKER: {"symbol", "last_price", "mark_price", "index_price", "bid_vol", "range"},
    cloud_consts.WS_PUBLIC_CONTRACT_DEPTH5: {"symbol", "way", "depths", "ms_t"},
    cloud_consts.WS_PUBLIC_CONTRACT_DEPTH20: {"symbol", "way", "depths", "ms_t"},
    cloud_consts.WS_PUBLIC_CONTRACT_DEPTH50: {"symbol", "way", "depths", "ms_t"},
    **{
        value: {"symbol", "items"}
        for name, value in vars(cloud_consts).items()
        if name.startswith("WS_PUBLIC_CONTRACT_KLINE")
    },
}


class Heard:
    """What the SDK handed to its on_message, searched in order of arrival."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[Any] = queue.Queue()

    def __call__(self, message: Any) -> None:
        self._waiting.put(message)

    def wait(self, fits: Callable[[Any], bool]) -> Any:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            message = self._waiting.get(timeout=max(deadline - time.monotonic(), 0.01))
            if fits(message):
                return message

    def answer(self, word: str, value: str) -> Any:
        return self.wait(lambda m: m.get(word) == value)

    def data(self, label: str) -> Any:
        return self.wait(lambda m: label in (m.get("table"), m.get("group")) and "data" in m)["data"]


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaperProcess]:
    options = ["--sockets-of-one-address", "500"]
    with running_paper(tmp_path_factory.mktemp("sdk"), seed=7, faults=True, options=options) as own:
        own.set_price("BTC_USDT", "60000")
        own.set_price("BTCUSDT", "60000")
        yield own


@pytest.fixture(scope="module")
def account(paper: PaperProcess) -> PaperAccount:
    return paper.new_account(position_mode="hedge_mode")


def opened(kind: type[Any], paper: PaperProcess, path: str, account: PaperAccount | None = None) -> Iterator[Any]:
    heard = Heard()
    keys = (
        {}
        if account is None
        else {"api_key": account.access_key, "api_secret_key": account.secret_key, "api_memo": account.memo}
    )
    address = paper.base_url.replace("http", "ws", 1) + path
    client = kind(stream_url=address, on_message=heard, ping_interval=1, **keys)
    client.heard = heard
    if account is not None:
        client.login(timeout=0)
    yield client
    # Its timer would ping, and hold the process, for ever.
    client.start_send_ping = lambda: None
    client.stop()
    client.socket_manager.ws.shutdown()


@pytest.fixture(scope="module")
def spot(paper: PaperProcess) -> Iterator[Any]:
    yield from opened(SpotSocketClient, paper, "/api?protocol=1.1")


@pytest.fixture(scope="module")
def spot_user(paper: PaperProcess, account: PaperAccount) -> Iterator[Any]:
    yield from opened(SpotSocketClient, paper, "/user?protocol=1.1", account)


@pytest.fixture(scope="module")
def futures(paper: PaperProcess) -> Iterator[Any]:
    yield from opened(FuturesSocketClient, paper, "/api?protocol=1.1")


@pytest.fixture(scope="module")
def futures_user(paper: PaperProcess, account: PaperAccount) -> Iterator[Any]:
    yield from opened(FuturesSocketClient, paper, "/user?protocol=1.1", account)


@pytest.fixture
def trade(paper: PaperProcess, account: PaperAccount) -> Iterator[APISpot]:
    client = APISpot(account.access_key, account.secret_key, account.memo, url=paper.base_url)
    yield client
    client.session.close()


@pytest.fixture
def contract(paper: PaperProcess, account: PaperAccount) -> Iterator[APIContract]:
    client = APIContract(account.access_key, account.secret_key, account.memo, url=paper.base_url)
    yield client
    client.session.close()


@pytest.mark.parametrize("channel", list(SPOT_PUBLIC))
def test_public_spot_channel(spot: Any, channel: str) -> None:
    topic = f"{channel}:BTC_USDT"
    spot.subscribe(args=topic)

    assert spot.heard.answer("topic", topic) == {"event": "subscribe", "topic": topic}
    row = spot.heard.data(channel)[0]
    assert row["symbol"] == "BTC_USDT"
    assert set(row) >= SPOT_PUBLIC[channel]
    spot.unsubscribe(args=topic)
    assert spot.heard.answer("event", "unsubscribe") == {"event": "unsubscribe", "topic": topic}


@pytest.mark.parametrize("channel", list(FUTURES_PUBLIC))
def test_public_futures_channel(futures: Any, channel: str) -> None:
    topic = f"{channel}:BTCUSDT"
    futures.subscribe(args=[topic])

    assert futures.heard.answer("action", "subscribe")["success"] is True
    data = futures.heard.data(topic)
    assert data["symbol"] == "BTCUSDT"
    assert set(data) >= FUTURES_PUBLIC[channel]
    futures.unsubscribe(args=[topic])
    assert futures.heard.answer("action", "unsubscribe")["success"] is True


def test_the_futures_ping_of_the_sdk_is_answered(futures: Any) -> None:
    assert futures.heard.answer("group", "System") == {"group": "System", "data": "pong"}


def test_private_spot_orders(spot_user: Any, trade: APISpot) -> None:
    topic = f"{cloud_consts.WS_USER_SPOT_ORDER}:BTC_USDT"
    assert spot_user.heard.answer("event", "login") == {"event": "login"}
    spot_user.subscribe(args=topic)
    assert spot_user.heard.answer("topic", topic) == {"event": "subscribe", "topic": topic}

    trade.post_submit_order("BTC_USDT", "buy", "limit", client_order_id="ws1", size="0.01", price="50000")
    (row,) = spot_user.heard.data("spot/user/order")
    assert (row["client_order_id"], row["state"], row["order_state"]) == ("ws1", "4", "new")
    assert {type(value) for value in row.values()} == {str}

    trade.post_cancel_order_by_clientid("BTC_USDT", "ws1")
    (row,) = spot_user.heard.data("spot/user/order")
    assert (row["state"], row["order_state"], row["filled_size"]) == ("8", "canceled", "0.0000000000")


def test_private_spot_balance(spot_user: Any, trade: APISpot) -> None:
    topic = "spot/user/balance:BALANCE_UPDATE"
    spot_user.subscribe(args=topic)
    assert spot_user.heard.answer("topic", topic) == {"event": "subscribe", "topic": topic}

    trade.post_submit_order("BTC_USDT", "buy", "market", client_order_id="ws2", notional="600")

    pushed: dict[str, str] = {}
    while "BTC" not in pushed:
        (row,) = spot_user.heard.data("spot/user/balance")
        assert row["event_type"] == "TRANSACTION_COMPLETED"
        pushed |= {detail["ccy"]: detail["av_bal"] for detail in row["balance_details"]}
    assert pushed["BTC"] == "0.00999"


def test_private_futures_channels(futures_user: Any, contract: APIContract) -> None:
    heard = futures_user.heard
    assert heard.answer("action", "access") == {"action": "access", "success": True}
    topics = ["futures/asset:USDT", cloud_consts.WS_USER_CONTRACT_POSITION, "futures/order"]
    futures_user.subscribe(args=topics)
    answers = [heard.answer("action", "subscribe") for _ in topics]
    assert [(answer["group"], answer["success"]) for answer in answers] == [(topic, True) for topic in topics]

    contract.post_submit_order(
        "BTCUSDT", client_order_id="ws3", type="market", side=1, leverage="5", open_type="isolated", size=10
    )

    pushed: dict[str, Any] = {}
    while set(pushed) < set(topics) or pushed["futures/order"]["action"] != 1:
        message = heard.wait(lambda m: "data" in m and m.get("group") != "System")
        pushed[message["group"]] = message["data"][0] if isinstance(message["data"], list) else message["data"]
    order = pushed["futures/order"]["order"]
    assert (order["client_order_id"], order["state"], order["deal_size"]) == ("ws3", 4, "10")
    position = pushed["futures/position"]
    assert (position["symbol"], position["hold_volume"], position["open_type"]) == ("BTCUSDT", "10", 1)
    assert pushed["futures/asset:USDT"]["position_deposit"] == "120.36"


def test_the_old_unicast_channel_does_not_exist(futures_user: Any) -> None:
    futures_user.subscribe(args=[cloud_consts.WS_USER_CONTRACT_UNICAST])

    answer = futures_user.heard.wait(lambda m: m.get("group") == "futures/unicast")
    assert (answer["success"], answer["error"]) == (False, "group [futures/unicast] not exist")


def test_the_sdk_gives_up_on_a_refused_login(paper: PaperProcess, account: PaperAccount) -> None:
    wrong = PaperAccount(account.access_key, "0" * 64, account.memo)
    for client in opened(SpotSocketClient, paper, "/user?protocol=1.1", wrong):
        assert client.heard.answer("event", "login")["errorCode"] == "91011"
        assert client.reconnection is False
