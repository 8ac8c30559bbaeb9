"""Our stream client and the paper exchange: written apart from one another, from the same pages."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from decimal import Decimal
from typing import Any

import pytest

from apps.connectors.bitmart import open_exchange
from apps.connectors.bitmart.stream import Line, Stream
from apps.connectors.bitmart.stream_places import Door
from apps.connectors.exchange import Credentials, Exchange, MarginMode, Market, OrderRequest, OrderType, Side
from apps.connectors.streams import BookPushed, Event, LoginRefused, Lost, Opened, OrderPushed, PricePushed
from tests.connectors.bitmart.test_stream import quick
from tests.paper.running import PaperProcess

__all__ = ["quick"]

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("quick")]

SYMBOLS = {Market.SPOT: "BTC_USDT", Market.FUTURES: "BTCUSDT"}
QUANTITIES = {Market.SPOT: Decimal("0.01"), Market.FUTURES: Decimal(10)}


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaperProcess]:
    process = PaperProcess(tmp_path_factory.mktemp("paper"), faults=True)
    process.start()
    yield process
    process.stop()


def account(venue: PaperProcess) -> Credentials:
    made = venue.new_account()
    return Credentials(made.access_key, made.secret_key, made.memo)


def rest(venue: PaperProcess, market: Market, credentials: Credentials) -> Exchange:
    return open_exchange(market=market, base_url=venue.base_url, credentials=credentials, user_agent="Sferica/test")


class Listening:
    def __init__(self, venue: PaperProcess, market: Market, credentials: Credentials | None, path: str = "") -> None:
        self.events: list[Event] = []
        url = f"{venue.base_url.replace('http', 'ws', 1)}{path}/{'user' if credentials else 'api'}?protocol=1.1"
        line = Line(market, url, "Sferica/test", Door("", 0.0), credentials)
        self.stream = Stream(line, on_event=self.events.append)

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(15):
            while not condition():
                await asyncio.sleep(0.01)


def run(listening: Listening, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def both() -> None:
        task = asyncio.create_task(listening.stream.run())
        try:
            await work()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(both())


def order(market: Market, name: str, price: str) -> OrderRequest:
    return OrderRequest(
        client_order_id=name,
        symbol=SYMBOLS[market],
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        quantity=QUANTITIES[market],
        price=Decimal(price),
        leverage=Decimal(1) if market is Market.FUTURES else None,
        margin_mode=MarginMode.ISOLATED if market is Market.FUTURES else None,
    )


@pytest.mark.parametrize("market", list(Market))
def test_an_order_is_heard_when_it_rests_and_when_it_is_filled(venue: PaperProcess, market: Market) -> None:
    credentials = account(venue)
    exchange = rest(venue, market, credentials)
    listening = Listening(venue, market, credentials)
    venue.set_price(SYMBOLS[market], "60000")

    async def work() -> None:
        await listening.until(lambda: listening.of(Opened))
        signed_at_ms = await asyncio.to_thread(exchange.server_time_ms)
        request = order(market, f"stream{market.value}", "59500")
        report = await asyncio.to_thread(exchange.submit, request, signed_at_ms=signed_at_ms)
        await listening.until(lambda: listening.of(OrderPushed))
        await asyncio.to_thread(venue.set_price, SYMBOLS[market], "59000")
        await listening.until(lambda: listening.of(OrderPushed)[-1].is_final)

        first, last = listening.of(OrderPushed)[0], listening.of(OrderPushed)[-1]
        assert (first.filled_quantity, first.is_final) == (Decimal(0), False)
        assert last == OrderPushed(
            symbol=SYMBOLS[market],
            exchange_order_id=report.exchange_order_id,
            client_order_id=f"stream{market.value}",
            filled_quantity=QUANTITIES[market],
            is_final=True,
        )

    run(listening, work)
    exchange.close()


@pytest.mark.parametrize("market", list(Market))
@pytest.mark.parametrize("wrong", ["secret_key", "memo", "access_key"])
def test_a_wrong_part_of_the_key_is_refused(venue: PaperProcess, market: Market, wrong: str) -> None:
    good = account(venue)
    parts = {"access_key": good.access_key, "secret_key": good.secret_key, "memo": good.memo}
    listening = Listening(venue, market, Credentials(**parts | {wrong: parts[wrong][::-1]}))

    async def work() -> None:
        await listening.until(lambda: listening.events)

        assert [type(event) for event in listening.events] == [LoginRefused]

    run(listening, work)


@pytest.mark.parametrize("market", list(Market))
def test_prices_are_heard_exactly(venue: PaperProcess, market: Market) -> None:
    symbol = SYMBOLS[market]
    listening = Listening(venue, market, None)
    listening.stream.want_prices([symbol])
    venue.set_price(symbol, "61234.5")

    async def work() -> None:
        await listening.until(lambda: listening.of(PricePushed))

        ticker = listening.of(PricePushed)[-1].ticker
        assert (ticker.symbol, ticker.last) == (symbol, Decimal("61234.5"))
        assert ticker.mark == (Decimal("61234.5") if market is Market.FUTURES else None)

    run(listening, work)


@pytest.mark.parametrize("market", list(Market))
def test_books_have_no_gap(venue: PaperProcess, market: Market) -> None:
    listening = Listening(venue, market, None)
    listening.stream.want([], books=[SYMBOLS[market]])
    venue.set_price(SYMBOLS[market], None)

    async def work() -> None:
        await listening.until(lambda: len(listening.of(BookPushed)) >= 3)

        books = listening.of(BookPushed)
        versions = [book.version for book in books]
        assert versions == list(range(versions[0], versions[0] + len(versions)))
        assert all(book.bids[0][0] < book.asks[0][0] for book in books)

    run(listening, work)


def test_deflated_frames_are_heard_too(venue: PaperProcess) -> None:
    listening = Listening(venue, Market.SPOT, None, path="/spot-ws")
    listening.stream._line = Line(
        Market.SPOT, listening.stream._line.url + "&compress=1", "Sferica/test", Door("", 0.0)
    )
    listening.stream.want_prices(["BTC_USDT"])

    async def work() -> None:
        await listening.until(lambda: listening.of(PricePushed))

        assert listening.of(Lost) == []

    run(listening, work)


def test_it_comes_back_after_the_exchange_was_killed(venue: PaperProcess) -> None:
    credentials = account(venue)
    listening = Listening(venue, Market.FUTURES, credentials)

    async def work() -> None:
        await listening.until(lambda: listening.of(Opened))
        await asyncio.to_thread(venue.kill)
        await listening.until(lambda: listening.of(Lost))
        await asyncio.to_thread(venue.start)
        await listening.until(lambda: len(listening.of(Opened)) == 2)

    run(listening, work)

    assert listening.of(LoginRefused) == []
