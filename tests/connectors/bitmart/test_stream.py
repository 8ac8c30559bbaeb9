"""One connection against a server that behaves as BitMart's pages say."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from apps.connectors.bitmart import stream as module
from apps.connectors.bitmart.stream import Line, Stream, pause_after
from apps.connectors.bitmart.stream_places import Door
from apps.connectors.exchange import Credentials, Market
from apps.connectors.streams import Event, LoginRefused, Lost, Opened, OrderPushed, PricePushed
from tests.connectors.bitmart.stream_server import FakeVenue, venue
from tests.connectors.bitmart.test_stream_frames import FUTURES_ORDER, SPOT_ORDER

ACCOUNT = Credentials("canary-access-key-01234567", "canary-secret-key-01234567", "canary-memo-0123")
ORDERS = {Market.SPOT: "spot/user/orders:ALL_SYMBOLS", Market.FUTURES: "futures/order"}
PUSHES: dict[Market, Any] = {
    Market.SPOT: {"table": "spot/user/orders", "data": [SPOT_ORDER]},
    Market.FUTURES: {"group": "futures/order", "data": [{"action": 2, "order": FUTURES_ORDER}]},
}

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "pause_after", lambda failures: 0.01)


class Listening:
    """A running stream and what it told."""

    def __init__(self, fake: FakeVenue, credentials: Credentials | None) -> None:
        self.events: list[Event] = []
        line = Line(fake.market, fake.url, "Sferica/test", Door("", 0.0), credentials)
        self.stream = Stream(line, on_event=self.events.append)
        self.task = asyncio.create_task(self.stream.run())

    async def until(self, kind: type, count: int = 1) -> None:
        async with asyncio.timeout(5):
            while sum(isinstance(event, kind) for event in self.events) < count:
                await asyncio.sleep(0.005)

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await work()

    asyncio.run(bounded())


@pytest.mark.parametrize("market", list(Market))
@pytest.mark.parametrize("deflates", [False, True])
def test_orders_are_heard_after_login_and_subscription(market: Market, deflates: bool) -> None:
    async def work() -> None:
        async with venue(market, accounts=[ACCOUNT], deflates=deflates) as fake:
            listening = Listening(fake, ACCOUNT)
            await listening.until(Opened)
            await fake.push(PUSHES[market])
            await listening.until(OrderPushed)
            await listening.stop()

            assert listening.kinds() == ["Opened", "OrderPushed"]
            assert fake.logins == [ACCOUNT.access_key]
            assert fake.topics() == [[ORDERS[market]]]
            assert fake.user_agents == ["Sferica/test"]

    run(work)


@pytest.mark.parametrize("market", list(Market))
def test_a_refused_key_ends_the_stream_and_is_not_tried_again(market: Market) -> None:
    async def work() -> None:
        async with venue(market, accounts=[]) as fake:
            listening = Listening(fake, ACCOUNT)
            await asyncio.wait_for(listening.task, 5)

            assert listening.events == [LoginRefused("91011" if market is Market.SPOT else "")]
            assert fake.connects == 1
            assert fake.topics() == []

    run(work)


@pytest.mark.parametrize(
    ("market", "error"), [(Market.SPOT, "91022"), (Market.FUTURES, "access failed: timestamp expired")]
)
def test_a_clock_error_at_login_is_tried_again(market: Market, error: str) -> None:
    async def work() -> None:
        async with venue(market, accounts=[ACCOUNT], login_error=error) as fake:
            listening = Listening(fake, ACCOUNT)
            await listening.until(Lost)
            fake.login_error = ""
            await listening.until(Opened)
            await listening.stop()

            assert listening.kinds()[-1] == "Opened"
            assert "LoginRefused" not in listening.kinds()

    run(work)


@pytest.mark.parametrize("market", list(Market))
def test_a_lost_connection_comes_back_logged_in_and_subscribed(market: Market) -> None:
    async def work() -> None:
        async with venue(market, accounts=[ACCOUNT]) as fake:
            listening = Listening(fake, ACCOUNT)
            await listening.until(Opened)
            await fake.hang_up()
            await listening.until(Opened, 2)
            await fake.push(PUSHES[market])
            await listening.until(OrderPushed)
            await listening.stop()

            assert listening.kinds() == ["Opened", "Lost", "Opened", "OrderPushed"]
            assert fake.topics() == [[ORDERS[market]], [ORDERS[market]]]

    run(work)


@pytest.mark.parametrize(("market", "ping"), [(Market.SPOT, "ping"), (Market.FUTURES, '{"action":"ping"}')])
def test_it_says_something_before_bitmart_tires(market: Market, ping: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PING_AFTER_S", 0.05)

    async def work() -> None:
        async with venue(market, accounts=[ACCOUNT]) as fake:
            listening = Listening(fake, ACCOUNT)
            await listening.until(Opened)
            await asyncio.wait_for(fake.until(ping), 5)
            await listening.stop()

            assert listening.kinds() == ["Opened"]

    run(work)


def test_a_venue_that_falls_silent_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PING_AFTER_S", 0.05)
    monkeypatch.setattr(module, "SILENT_AFTER_S", 0.15)

    async def work() -> None:
        async with venue(Market.FUTURES, accounts=[ACCOUNT]) as fake:
            listening = Listening(fake, ACCOUNT)
            await listening.until(Opened)
            fake.is_mute = True
            await listening.until(Lost)
            fake.is_mute = False
            await listening.until(Opened, 2)
            await listening.stop()

            assert Lost("silent") in listening.events

    run(work)


def test_an_unconfirmed_order_subscription_is_no_open_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_WITHIN_S", 0.1)

    async def work() -> None:
        async with venue(Market.FUTURES, accounts=[ACCOUNT]) as fake:
            monkeypatch.setattr(fake, "_subscribed", lambda topic, request: {"group": "futures/other", "data": {}})
            listening = Listening(fake, ACCOUNT)
            await listening.until(Lost)
            await listening.stop()

            assert listening.events[0] == Lost("subscription not confirmed")
            assert "Opened" not in listening.kinds()

    run(work)


@pytest.mark.parametrize("frame", ["not json", "{}", "[]", '{"group":7,"data":7}', '{"data":[[]]}'])
def test_a_frame_we_cannot_read_ends_nothing(frame: str) -> None:
    async def work() -> None:
        async with venue(Market.SPOT, accounts=[ACCOUNT]) as fake:
            listening = Listening(fake, ACCOUNT)
            await listening.until(Opened)
            for peer in fake.open:
                await peer.send(frame)
                await peer.send(b"\x00\xff")
            await fake.push(PUSHES[Market.SPOT])
            await listening.until(OrderPushed)
            await listening.stop()

            assert listening.kinds() == ["Opened", "OrderPushed"]

    run(work)


def test_prices_follow_what_is_wanted() -> None:
    async def work() -> None:
        async with venue(Market.SPOT) as fake:
            listening = Listening(fake, None)
            listening.stream.want_prices([f"A{number:02}_USDT" for number in range(25)])
            await asyncio.wait_for(fake.until("A24_USDT"), 5)
            listening.stream.want_prices(["A00_USDT", "BTC_USDT"])
            await asyncio.wait_for(fake.until("BTC_USDT"), 5)
            row = {"symbol": "BTC_USDT", "last_price": "1", "ms_t": 1709024652967}
            await fake.push({"table": "spot/ticker", "data": [row]})
            await listening.until(PricePushed)
            await listening.stop()

            messages = [json.loads(frame) for frame in fake.received]
            assert [(message["op"], len(message["args"])) for message in messages] == [
                ("subscribe", 20),
                ("subscribe", 5),
                ("unsubscribe", 20),
                ("unsubscribe", 4),
                ("subscribe", 1),
            ]
            assert fake.logins == []

    run(work)


def test_a_symbol_without_a_stream_does_not_cost_the_others_theirs() -> None:
    async def work() -> None:
        async with venue(Market.FUTURES) as fake:
            listening = Listening(fake, None)
            listening.stream.want_prices(["BTCUSDT", "NOSUCH"])
            await asyncio.wait_for(fake.until("NOSUCH"), 5)
            refusal = {"action": "subscribe", "group": "futures/ticker:NOSUCH", "success": False}
            await fake.push(refusal | {"error": "group [futures/ticker:NOSUCH] not exist"})
            data = {"symbol": "BTCUSDT", "last_price": "1", "mark_price": "1"}
            await fake.push({"group": "futures/ticker:BTCUSDT", "data": data})
            await listening.until(PricePushed)
            await listening.stop()

            assert listening.kinds() == ["PricePushed"]
            assert fake.connects == 1

    run(work)


def test_a_venue_that_is_away_is_tried_again() -> None:
    async def work() -> None:
        async with venue(Market.FUTURES) as fake:
            pass
        listening = Listening(fake, ACCOUNT)
        await listening.until(Lost, 3)
        await listening.stop()

        assert not listening.stream.is_open

    run(work)


def test_pauses_double_up_to_a_minute_with_half_of_them_by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.random, "uniform", lambda low, high: low)
    shortest = [pause_after(failures) for failures in (1, 2, 3, 7, 50)]
    monkeypatch.setattr(module.random, "uniform", lambda low, high: high)
    longest = [pause_after(failures) for failures in (1, 2, 3, 7, 50)]

    assert shortest == [0.5, 1.0, 2.0, 30.0, 30.0]
    assert longest == [1.0, 2.0, 4.0, 60.0, 60.0]
