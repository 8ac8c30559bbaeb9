"""The WebSocket door of the real process: words of both hosts, their refusals, their limits."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from apps.paper.sockets import Door, find_door
from apps.paper.sockets_limits import SocketLimits
from apps.paper.sockets_session import Session
from tests.paper.desk import Desk
from tests.paper.listening import Ear, Line, Listening, credentials, line
from tests.paper.running import PaperAccount, PaperProcess, running_paper

pytestmark = pytest.mark.process
PUBLIC, PRIVATE = "/api?protocol=1.1", "/user?protocol=1.1"


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaperProcess]:
    """A process of its own: connections a minute are counted by address."""
    with running_paper(tmp_path_factory.mktemp("sockets"), seed=7, options=["--sockets-of-one-address", "500"]) as own:
        own.set_price("BTC_USDT", "60000")
        own.set_price("BTCUSDT", "60000")
        yield own


@pytest.fixture(scope="module")
def account(paper: PaperProcess) -> PaperAccount:
    return paper.new_account()


def refusal(op: str, code: str, text: str, topic: str = "") -> dict[str, str]:
    content = {"event": op, "errorMessage": text, "errorCode": code}
    return content | ({"topic": topic} if topic else {})


@pytest.mark.parametrize(
    ("path", "query", "host", "door"),
    [
        ("/api", "protocol=1.1", "127.0.0.1:8801", Door("", private=False, deflates=False)),
        ("/user", "protocol=1.1", "127.0.0.1:8801", Door("", private=True, deflates=False)),
        ("/spot-ws/api", "protocol=1.1", "", Door("spot", private=False, deflates=False)),
        ("/futures-ws/user", "protocol=1.1", "", Door("futures", private=True, deflates=False)),
        ("/spot-ws/user", "protocol=1.1&compress=1", "", Door("spot", private=True, deflates=True)),
        ("/api", "", "ws-manager-compress.bitmart.com", Door("spot", private=False, deflates=True)),
        ("/user", "", "openapi-ws-v2.bitmart.com", Door("futures", private=True, deflates=False)),
        ("/api", "", "openapi-wsdemo-v2.bitmart.com", Door("futures", private=False, deflates=False)),
        ("/ws", "", "", None),
        ("/spot-ws", "", "", None),
    ],
)
def test_which_host_a_caller_means(path: str, query: str, host: str, door: Door | None) -> None:
    assert find_door(path, query=query, host=host) == door


def test_an_unknown_path_is_refused(paper: PaperProcess) -> None:
    with pytest.raises(InvalidStatus) as caught, line(paper, "/ws"):
        pass

    assert caught.value.response.status_code == 403


@pytest.mark.parametrize("path", [PUBLIC, "/spot-ws/api", "/futures-ws/api"])
def test_text_ping_is_answered_with_text_pong(paper: PaperProcess, path: str) -> None:
    with line(paper, path) as caller:
        caller.send("ping")

        assert caller.next() == "pong"


def test_futures_ping_in_its_own_words(paper: PaperProcess) -> None:
    with line(paper, PUBLIC) as caller:
        caller.send({"action": "ping"})

        assert caller.next() == {"group": "System", "data": "pong"}


def test_protocol_pings_are_answered_by_the_futures_host_only(paper: PaperProcess) -> None:
    with line(paper, "/futures-ws/api") as futures, line(paper, "/spot-ws/api") as spot:
        assert futures.socket.ping().wait(5)
        unanswered = spot.socket.ping()
        spot.send("ping")

        assert spot.next() == "pong"
        assert not unanswered.is_set()


def test_one_port_serves_both_hosts_by_the_caller_s_words(paper: PaperProcess) -> None:
    with line(paper, PUBLIC) as spot, line(paper, PUBLIC) as futures:
        spot.send({"op": "subscribe", "args": ["spot/ticker:BTC_USDT"]})
        futures.send({"action": "subscribe", "args": ["futures/ticker:BTCUSDT"]})

        assert spot.next() == {"event": "subscribe", "topic": "spot/ticker:BTC_USDT"}
        assert futures.next() == {
            "action": "subscribe",
            "group": "futures/ticker:BTCUSDT",
            "success": True,
            "request": {"action": "subscribe", "args": ["futures/ticker:BTCUSDT"]},
        }
        assert spot.push("spot/ticker")[0]["last_price"] == "60000.00"
        assert futures.push("futures/ticker:BTCUSDT")["mark_price"] == "60000"


def test_one_connection_of_a_plain_path_speaks_both_hosts_words(paper: PaperProcess, account: PaperAccount) -> None:
    with line(paper, PRIVATE) as caller:
        assert caller.log_in_spot(account) == {"event": "login"}
        assert caller.log_in_futures(account) == {"action": "access", "success": True}
        caller.send({"op": "subscribe", "args": ["spot/ticker:BTC_USDT"]})
        caller.send({"action": "subscribe", "args": ["futures/order"]})

        assert caller.wait(lambda m: m.get("event") == "subscribe")["topic"] == "spot/ticker:BTC_USDT"
        assert caller.wait(lambda m: m.get("group") == "futures/order")["success"] is True
        assert caller.push("spot/ticker")[0]["last_price"] == "60000.00"


def test_a_door_with_a_name_hears_its_own_words_only(paper: PaperProcess) -> None:
    with line(paper, "/spot-ws/api") as spot, line(paper, "/futures-ws/api") as futures:
        spot.send({"action": "ping"})
        futures.send({"op": "subscribe", "args": ["spot/ticker:BTC_USDT"]})

        assert spot.next() == refusal("error", "90002", "Op is invalid")
        assert futures.next() == {"action": "error", "success": False, "error": "action [error] not exist"}


def test_the_compress_host_deflates_pushes_and_not_answers(paper: PaperProcess) -> None:
    with line(paper, "/spot-ws/api?protocol=1.1&compress=1") as caller:
        caller.send({"op": "subscribe", "args": ["spot/depth5:BTC_USDT"]})

        assert isinstance(caller.socket.recv(5), str)
        pushed = caller.socket.recv(5)
        assert isinstance(pushed, bytes)


def test_every_push_leaves_deflated_on_order(paper: PaperProcess) -> None:
    paper.control("POST", "streams", {"deflate": "on"})
    with line(paper, "/futures-ws/api") as caller:
        paper.control("POST", "streams", {"deflate": "off"})
        caller.send({"action": "subscribe", "args": ["futures/ticker:BTCUSDT"]})

        assert isinstance(caller.socket.recv(5), str)
        assert isinstance(caller.socket.recv(5), bytes)


@pytest.mark.parametrize("body", [{"kline": "round"}, {"order_table": "x"}, {"ticker_suffix": "@1s"}, {"deflate": 1}])
def test_manners_nobody_has_are_refused(paper: PaperProcess, body: dict[str, Any]) -> None:
    with pytest.raises(RuntimeError, match="400"):
        paper.control("POST", "streams", body)

    usual = {"kline": "items", "order_table": "order", "ticker_suffix": "", "deflate": False}
    assert paper.control("POST", "streams", {}) == usual


DEEP = "[" * 900 + "]" * 900


@pytest.mark.parametrize("path", ["/spot-ws/user", "/futures-ws/user"])
@pytest.mark.parametrize(
    "message",
    [
        "",
        "null",
        '"ping"',
        "[" * 4_000,
        '{"op":' + DEEP + ',"action":' + DEEP + "}",
        '{"op":NaN,"action":NaN}',
        '{"op":"subscribe","action":"subscribe","args":["\\ud800",1,true]}',
        '{"op":"subscribe","action":"subscribe","args":["futures/order"],"more":NaN}',
        '{"op":"subscribe","action":"subscribe","args":[' + "9" * 3_000 + "]}",
        '{"op":"subscribe","action":"subscribe","args":"futures/order"}',
    ],
)
def test_nonsense_is_answered_and_the_line_stays_open(paper: PaperProcess, path: str, message: str) -> None:
    with line(paper, path) as caller:
        caller.send(message)
        caller.send("ping")

        assert caller.next() != "pong"
        assert caller.wait(lambda m: m == "pong") == "pong"


@pytest.mark.parametrize(("path", "word"), [("/spot-ws/user", "login"), ("/futures-ws/user", "access")])
@pytest.mark.parametrize("args", ['["\\ud800","1","s"]', '["", "\\ud800", "\\ud800"]', "[1]", "[true, 1, 2, 3, 4]"])
def test_a_nonsense_login_is_refused_in_words(paper: PaperProcess, path: str, word: str, args: str) -> None:
    with line(paper, path) as caller:
        caller.send(f'{{"op":"{word}","action":"{word}","args":{args}}}')

        answer = caller.next()
        assert answer.get("errorCode") in {"91001", "91002"} or answer["success"] is False
        with pytest.raises(ConnectionClosed):
            caller.next()


def test_a_signature_that_is_no_text_is_wrong(paper: PaperProcess, account: PaperAccount) -> None:
    key, stamp, _ = credentials(account)
    with line(paper, "/spot-ws/user") as caller:
        caller.send(f'{{"op":"login","args":["{key}","{stamp}","\\ud800"]}}')

        assert caller.next() == refusal("login", "91011", "Sign is wrong")


def test_unsubscribing_ends_the_pushes(paper: PaperProcess) -> None:
    topic = "spot/ticker:BTC_USDT"
    with line(paper, PUBLIC) as caller:
        caller.send({"op": "subscribe", "args": [topic]})
        caller.push("spot/ticker")
        caller.send({"op": "unsubscribe", "args": [topic]})

        assert caller.wait(lambda m: "event" in m) == {"event": "unsubscribe", "topic": topic}
        with pytest.raises(TimeoutError):
            caller.next(1.3)


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ("{", refusal("error", "90001", "Message format is invalid")),
        ("[]", refusal("error", "90001", "Message format is invalid")),
        ({"op": "shout", "args": ["x"]}, refusal("shout", "90002", "Op is invalid")),
        ({"op": "subscribe"}, refusal("subscribe", "90003", "Args is invalid")),
        ({"op": "subscribe", "args": []}, refusal("subscribe", "90003", "Args is invalid")),
        ({"op": "subscribe", "args": [{}]}, refusal("subscribe", "90003", "Args is invalid")),
        (
            {"op": "subscribe", "args": ["spot/nope:BTC_USDT"]},
            refusal("subscribe", "90004", "Channel is invalid", "spot/nope:BTC_USDT"),
        ),
        (
            {"op": "subscribe", "args": ["spot/ticker:NOPE_USDT"]},
            refusal("subscribe", "92001", "Symbol is invalid", "spot/ticker:NOPE_USDT"),
        ),
        (
            {"op": "subscribe", "args": [f"spot/kline1m:{n}" for n in range(21)]},
            refusal("subscribe", "90005", "A message can subscribe to at most 20 topics"),
        ),
        (
            {"op": "unsubscribe", "args": ["spot/ticker:BTC_USDT"]},
            refusal("unsubscribe", "90009", "Topic is not subscribed", "spot/ticker:BTC_USDT"),
        ),
        (
            {"op": "request", "args": ["spot/ticker:BTC_USDT"]},
            refusal("request", "90004", "Channel is invalid", "spot/ticker:BTC_USDT"),
        ),
        (
            {"op": "subscribe", "args": ["spot/user/orders:ALL_SYMBOLS"]},
            refusal("subscribe", "90004", "Channel is invalid", "spot/user/orders:ALL_SYMBOLS"),
        ),
        ({"op": "login", "args": ["k", "1", "s"]}, refusal("login", "90002", "Op is invalid")),
        (
            json.dumps({"op": "subscribe", "args": ["spot/ticker:BTC_USDT"], "pad": "x" * 4096}),
            refusal("error", "90001", "Message format is invalid"),
        ),
    ],
)
def test_what_the_public_spot_host_refuses(paper: PaperProcess, message: Any, answer: dict[str, str]) -> None:
    with line(paper, "/spot-ws/api") as caller:
        caller.send(message)

        assert caller.next() == answer
        caller.send("ping")
        assert caller.next() == "pong"


def test_subscribing_twice_is_told_and_harmless(paper: PaperProcess) -> None:
    message = {"op": "subscribe", "args": ["spot/kline1m:BTC_USDT"]}
    with line(paper, PUBLIC) as caller:
        caller.send(message)
        caller.send(message)

        told = refusal("subscribe", "90008", "Topic is already subscribed", "spot/kline1m:BTC_USDT")
        assert caller.wait(lambda m: "errorCode" in m) == told
        assert caller.push("spot/kline1m")[0]["symbol"] == "BTC_USDT"


def test_private_spot_topics_want_a_login(paper: PaperProcess, account: PaperAccount) -> None:
    topic = "spot/user/balance:BALANCE_UPDATE"
    with line(paper, PRIVATE) as caller:
        caller.send({"op": "subscribe", "args": [topic]})
        assert caller.next() == refusal("subscribe", "91006", "Login is required", topic)

        assert caller.log_in_spot(account) == {"event": "login"}
        assert caller.log_in_spot(account) == refusal("login", "91005", "Already logged in")
        caller.send({"op": "subscribe", "args": [topic]})
        assert caller.next() == {"event": "subscribe", "topic": topic}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({0: ""}, "91001"),
        ({0: "0" * 40}, "91002"),
        ({1: ""}, "91021"),
        ({1: "1000"}, "91022"),
        ({1: "soon"}, "91023"),
        ({2: ""}, "91010"),
        ({2: "0" * 64}, "91011"),
    ],
)
def test_a_wrong_login_is_told_and_ends_the_connection(
    paper: PaperProcess, account: PaperAccount, change: dict[int, str], code: str
) -> None:
    args = credentials(account)
    for place, value in change.items():
        args[place] = value
    with line(paper, PRIVATE) as caller:
        caller.send({"op": "login", "args": args})

        answer = caller.next()
        assert (answer["event"], answer["errorCode"]) == ("login", code)
        with pytest.raises(ConnectionClosed):
            caller.next()


def test_a_wrong_futures_login_is_told_and_ends_the_connection(paper: PaperProcess, account: PaperAccount) -> None:
    key, stamp, _ = credentials(account)
    with line(paper, PRIVATE) as caller:
        caller.send({"action": "access", "args": [key, stamp, "0" * 64, "web"]})

        text = f"access failed: openapi auth: apiKey {key[:10]}**** failed: openapi auth failed"
        assert caller.next() == {"action": "access", "success": False, "error": text}
        with pytest.raises(ConnectionClosed):
            caller.next()


@pytest.mark.parametrize(
    ("topic", "error"),
    [
        ("futures/order", "futures/order need authenication"),
        ("futures/position", "futures/position need authenication"),
        ("futures/asset:USDT", "futures/asset need authenication"),
        ("futures/asset:DOGE", "group [futures/asset:DOGE] not exist"),
        ("futures/ticker:NOPE", "group [futures/ticker:NOPE] not exist"),
        ("futures/depth5:BTCUSDT@300ms", "group [futures/depth5:BTCUSDT@300ms] not exist"),
        ("spot/ticker:BTC_USDT", "group [spot/ticker:BTC_USDT] not exist"),
    ],
)
def test_what_the_futures_host_refuses(paper: PaperProcess, topic: str, error: str) -> None:
    request = {"action": "subscribe", "args": [topic]}
    with line(paper, PRIVATE) as caller:
        caller.send(request)

        answer = {"action": "subscribe", "group": topic, "success": False, "request": request, "error": error}
        assert caller.next() == answer


@pytest.mark.parametrize("word", ["access", "login"])
def test_futures_login_takes_both_of_its_words(paper: PaperProcess, account: PaperAccount, word: str) -> None:
    with line(paper, PRIVATE) as caller:
        caller.send({"action": word, "args": [*credentials(account), "web"]})

        assert caller.next() == {"action": word, "success": True}


def test_more_than_a_hundred_messages_in_ten_seconds_end_the_connection(paper: PaperProcess) -> None:
    with line(paper, "/spot-ws/api") as caller:
        for _ in range(101):
            caller.send({"op": "unsubscribe", "args": ["spot/ticker:BTC_USDT"]})

        answers = [caller.next() for _ in range(101)]
        assert [answer["errorCode"] for answer in answers] == ["90009"] * 100 + ["90007"]
        with pytest.raises(ConnectionClosed):
            caller.next()


def test_a_spot_socket_takes_115_public_topics(paper: PaperProcess) -> None:
    coins = ("BTC", "ETH", "BNB", "SOL", "XRP", "ADA", "DOGE", "LTC", "LINK", "AVAX", "DOT", "TRX")
    spans = ("1m", "3m", "5m", "15m", "30m", "1H", "2H", "4H", "1D", "1W")
    topics = [f"spot/kline{span}:{coin}_USDT" for coin in coins for span in spans][:116]
    with line(paper, "/spot-ws/api") as caller:
        for start in range(0, 116, 20):
            caller.send({"op": "subscribe", "args": topics[start : start + 20]})

        answers = [caller.wait(lambda m: "event" in m) for _ in topics]
        assert [answer.get("errorCode", "") for answer in answers] == [""] * 115 + ["90006"]


def test_an_eleventh_private_spot_connection_of_an_address_is_turned_away(tmp_path: Path) -> None:
    with running_paper(tmp_path) as strict:
        lines = [line(strict, "/spot-ws/user") for _ in range(11)]
        callers: list[Line] = [opened.__enter__() for opened in lines]
        callers[9].send("ping")

        assert callers[9].next() == "pong"
        assert callers[10].next() == refusal("connect", "94002", "Too many connections")
        with pytest.raises(ConnectionClosed):
            callers[10].next()
        lines[0].__exit__(None, None, None)
        with line(strict, "/spot-ws/user") as freed:
            freed.send("ping")
            assert freed.next() == "pong"
        for opened in lines[1:]:
            opened.__exit__(None, None, None)


def test_thirty_connects_a_minute_and_what_is_counted_apart() -> None:
    limits = SocketLimits()
    for second in range(30):
        assert limits.admit("10.0.0.1", "spot", private=False, now=float(second)) == ""
        limits.leave("10.0.0.1", "spot", private=False)

    assert limits.admit("10.0.0.1", "spot", private=True, now=59.9) == "often"
    assert limits.admit("10.0.0.2", "spot", private=True, now=59.9) == ""
    assert limits.admit("10.0.0.1", "futures", private=True, now=59.9) == ""
    assert limits.admit("10.0.0.1", "spot", private=True, now=60.0) == ""


@pytest.mark.parametrize(
    ("market", "private", "most"), [("spot", False, 20), ("spot", True, 10), ("futures", True, 500)]
)
def test_connections_of_one_address(market: str, private: bool, most: int) -> None:
    limits = SocketLimits()
    admitted = [limits.admit("10.0.0.1", market, private=private, now=n * 100.0) for n in range(most + 1)]

    assert admitted == [""] * most + ["many"]
    limits.leave("10.0.0.1", market, private=private)
    assert limits.admit("10.0.0.1", market, private=private, now=1e6) == ""


@pytest.mark.parametrize(
    ("market", "topics", "silent", "open_for", "stale"),
    [
        ("spot", {"t"}, 19.9, 1000, False),
        ("spot", {"t"}, 20.0, 1000, True),
        ("spot", set(), 0.0, 299.9, False),
        ("spot", set(), 0.0, 300.0, True),
        ("futures", set(), 0.0, 4.9, False),
        ("futures", set(), 0.0, 5.0, True),
        ("futures", {"t"}, 0.0, 5.0, False),
        ("futures", {"t"}, 20.0, 30, True),
    ],
)
def test_who_is_shown_out(market: str, topics: set[str], silent: float, open_for: float, stale: bool) -> None:
    session = Session(Ear(), "10.0.0.1", market, False, False, opened=0.0, heard=open_for - silent, topics=topics)

    assert session.is_stale(SocketLimits().of(market, private=False), open_for) is stale


def test_a_login_counts_as_a_subscription(desk: Desk) -> None:
    session, _ = Listening(desk).session(trader=desk.trader())
    session.heard = 19.0

    assert not session.is_stale(SocketLimits().of("futures", private=True), 38.9)
    assert session.is_stale(SocketLimits().of("futures", private=True), 39.0)


def test_a_futures_connection_without_subscription_is_closed_in_five_seconds(paper: PaperProcess) -> None:
    with line(paper, "/futures-ws/api") as caller, pytest.raises(ConnectionClosed) as caught:
        caller.next(8)

    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1000
