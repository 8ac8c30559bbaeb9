"""Many accounts on one event loop, within the connections that BitMart allows an address."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from apps.connectors import stream_pool
from apps.connectors.bitmart import stream_places
from apps.connectors.bitmart.stream import Stream
from apps.connectors.bitmart.stream_places import LIMITS, Limits, Places
from apps.connectors.exchange import Credentials, Market, Ticker
from apps.connectors.stream_pool import Account, Addresses, StreamPool
from apps.connectors.streams import OrderPushed
from tests.connectors.bitmart.stream_server import FakeVenue, venue
from tests.connectors.bitmart.test_stream import PUSHES, quick, run

__all__ = ["quick"]

pytestmark = pytest.mark.usefixtures("quick")


def credentials(number: int) -> Credentials:
    return Credentials(f"canary-access-key-{number:08}", f"canary-secret-key-{number:08}", f"canary-memo-{number:04}")


def account(number: int, *, market: Market = Market.FUTURES, key: Credentials | None = None) -> Account:
    return Account(UUID(int=number), "paper", market, key or credentials(number))


@dataclass
class Heard:
    opened_for: list[set[int]] = field(default_factory=list)
    orders: list[tuple[set[int], str]] = field(default_factory=list)
    prices: list[tuple[str, Market, str]] = field(default_factory=list)
    refused: list[set[int]] = field(default_factory=list)

    def opened(self, connector_ids: frozenset[UUID]) -> None:
        self.opened_for.append({one.int for one in connector_ids})

    def order_pushed(self, connector_ids: frozenset[UUID], push: OrderPushed) -> None:
        self.orders.append(({one.int for one in connector_ids}, push.client_order_id))

    def price_pushed(self, environment: str, market: Market, ticker: Ticker) -> None:
        self.prices.append((environment, market, ticker.symbol))

    def login_refused(self, connector_ids: frozenset[UUID]) -> None:
        self.refused.append({one.int for one in connector_ids})


def pool_at(fake: FakeVenue, heard: Heard, ours: tuple[str, ...] = ("",)) -> StreamPool:
    return StreamPool(heard, Addresses(lambda environment, market, is_private: fake.url, ours, "Sferica/test"))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


def test_connectors_of_one_key_share_a_stream_and_another_memo_has_its_own() -> None:
    shared = credentials(1)
    mistyped = Credentials(shared.access_key, shared.secret_key, "canary-memo-9999")

    async def work() -> None:
        heard = Heard()
        async with venue(Market.FUTURES, accounts=[shared]) as fake:
            pool = pool_at(fake, heard)
            pool.keep([account(1), account(2, key=shared), account(3, key=mistyped)], {})
            await until(lambda: bool(heard.opened_for and heard.refused))
            await fake.push(PUSHES[Market.FUTURES])
            await until(lambda: bool(heard.orders))
            facts = pool.facts()
            await pool.close()

            assert heard.opened_for == [{1, 2}]
            assert heard.refused == [{3}]
            assert heard.orders == [({1, 2}, "BM1234")]
            assert facts == {"connectors": 3, "accounts": 2, "open": 1, "polled": 1, "public": 0}
            assert fake.connects == 2

    run(work)


def test_a_refused_key_rests_and_a_new_one_is_tried_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        heard = Heard()
        async with venue(Market.FUTURES, accounts=[credentials(2)]) as fake:
            pool = pool_at(fake, heard)
            pool.keep([account(1)], {})
            await until(lambda: bool(heard.refused))
            for _ in range(3):
                pool.keep([account(1)], {})
                await asyncio.sleep(0.02)
            connects = fake.connects
            pool.keep([account(1, key=credentials(2))], {})
            await until(lambda: bool(heard.opened_for))
            monkeypatch.setattr(stream_pool, "ASK_REFUSED_AGAIN_S", 0.0)
            pool.keep([account(1)], {})
            await until(lambda: len(heard.refused) == 2)
            await pool.close()

            assert connects == 1

    run(work)


@pytest.mark.usefixtures("quick")
def test_a_refused_key_that_nobody_uses_any_more_is_not_kept() -> None:
    async def work() -> None:
        heard = Heard()
        async with venue(Market.FUTURES, accounts=[credentials(2)]) as fake:
            pool = pool_at(fake, heard)
            pool.keep([account(1)], {})
            await until(lambda: bool(heard.refused))
            pool.keep([], {})
            await pool.close()
            assert pool._refused_at == {}

    run(work)


@pytest.mark.usefixtures("quick")
def test_a_public_stream_that_failed_is_opened_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runs: list[int] = []

    async def fails(self: Stream) -> None:
        runs.append(1)
        raise RuntimeError("what nobody thought of")

    monkeypatch.setattr(Stream, "run", fails)

    async def work() -> None:
        pool = StreamPool(Heard(), Addresses(lambda *_: "ws://127.0.0.1:9", [""], "Sferica/test"))
        for _ in range(3):
            pool.keep([], {("paper", Market.FUTURES): {"BTCUSDT"}})
            await asyncio.sleep(0.02)
        await pool.close()

    run(work)

    assert len(runs) == 3
    assert caplog.messages == ["a stream failed: RuntimeError"] * 3


def test_the_eleventh_spot_account_of_an_address_polls_until_a_place_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(stream_places.LIMITS, Market.SPOT, Limits(10, 20, 115, connect_interval_s=0.0))

    async def work() -> None:
        heard = Heard()
        accounts = [account(number, market=Market.SPOT) for number in range(1, 12)]
        async with venue(Market.SPOT, accounts=[one.credentials for one in accounts]) as fake:
            pool = pool_at(fake, heard)
            pool.keep(accounts, {})
            await until(lambda: len(heard.opened_for) == 10)
            full = pool.facts()
            pool.keep(accounts[1:], {})
            pool.keep(accounts[1:], {})
            await until(lambda: len(heard.opened_for) == 11)
            await pool.close()

            assert full == {"connectors": 11, "accounts": 11, "open": 10, "polled": 1, "public": 0}
            assert {frozenset(one) for one in heard.opened_for} == {frozenset({number}) for number in range(1, 12)}
            assert heard.opened_for[-1] == {11}

    run(work)


def test_prices_come_for_all_environments_from_public_streams() -> None:
    async def work() -> None:
        heard = Heard()
        async with venue(Market.FUTURES) as fake:
            pool = pool_at(fake, heard)
            pool.keep([], {("paper", Market.FUTURES): {f"A{number:03}" for number in range(150)}})
            await until(lambda: sum(len(lot) for lot in fake.topics()) == 150)
            two = fake.connects
            data = {"symbol": "A007", "last_price": "1", "mark_price": "1"}
            await fake.push({"group": "futures/ticker:A007", "data": data})
            await until(lambda: len(heard.prices) == 2)
            pool.keep([], {})
            await until(lambda: not fake.open)
            await pool.close()

            assert two == 2
            assert heard.prices[0] == ("paper", Market.FUTURES, "A007")
            assert pool.facts()["public"] == 0

    run(work)


def test_each_of_our_addresses_has_places_of_its_own() -> None:
    places = Places(Market.SPOT, ["127.0.0.2", "127.0.0.3"])

    doors = [places.take(is_private=True) for _ in range(21)]

    assert [door.source_address for door in doors[:4] if door] == ["127.0.0.2", "127.0.0.3"] * 2
    assert doors[20] is None
    assert doors[19] is not None
    places.give_back(doors[19], is_private=True)
    assert places.take(is_private=True) is doors[19]


def test_limits_are_those_that_bitmart_states() -> None:
    assert LIMITS[Market.SPOT] == Limits(private=10, public=20, topics=115, connect_interval_s=2.1)
    assert LIMITS[Market.FUTURES].private + LIMITS[Market.FUTURES].public == 500


def test_connects_of_one_address_keep_their_distance() -> None:
    async def work() -> None:
        door = stream_places.Door("", 0.05)
        loop = asyncio.get_running_loop()
        started = loop.time()
        for _ in range(3):
            async with door:
                pass

        assert loop.time() - started >= 0.099

    run(work)
