"""Each public topic of the spot host, beside what REST says at the same moment."""

from decimal import Decimal
from typing import Any

import pytest

from apps.paper.streams_publishers import Increments
from apps.paper.streams_spot import MINUTES
from tests.paper.desk import START_MS, Desk
from tests.paper.listening import Listening


@pytest.fixture
def listening(desk: Desk) -> Listening:
    return Listening(desk)


def rest(desk: Desk, route: str, query: str = "symbol=BTC_USDT") -> Any:
    return desk.send("GET", f"/spot/quotation/v3/{route}", query=query).data


def only(heard: list[Any]) -> dict[str, Any]:
    assert [len(push["data"]) for push in heard] == [1], heard
    row: dict[str, Any] = heard[0]["data"][0]
    return row


def test_ticker_at_once_and_every_second(desk: Desk, listening: Listening) -> None:
    shown = rest(desk, "ticker")

    ear = listening.ear("spot/ticker:BTC_USDT")

    assert ear.heard() == [
        {
            "table": "spot/ticker",
            "data": [
                {
                    "symbol": "BTC_USDT",
                    "last_price": "60000.00",
                    "open_24h": shown["open_24h"],
                    "high_24h": shown["high_24h"],
                    "low_24h": "60000.00",
                    "base_volume_24h": shown["v_24h"],
                    "quote_volume_24h": shown["qv_24h"],
                    "fluctuation": shown["fluctuation"][:-1],
                    "bid_px": "60000.00",
                    "bid_sz": shown["bid_sz"],
                    "ask_px": "60000.00",
                    "ask_sz": shown["ask_sz"],
                    "s_t": START_MS // 1000,
                    "ms_t": START_MS,
                }
            ],
        }
    ]
    listening.pass_ms(750)
    assert ear.heard() == []
    listening.pass_ms(250)
    assert only(ear.heard())["ms_t"] == START_MS + 1000


@pytest.mark.parametrize("span", list(MINUTES))
def test_klines_are_the_candle_of_now(desk: Desk, listening: Listening, span: str) -> None:
    ear = listening.ear(f"spot/kline{span}:BTC_USDT")

    heard = ear.heard()
    assert heard[0]["table"] == f"spot/kline{span}"
    step = MINUTES[span]
    expected: list[Any] = [START_MS // 1000 // (step * 60) * step * 60]
    if step != 3:
        row = rest(desk, "klines", f"symbol=BTC_USDT&step={step}&limit=1")[0]
        assert int(row[0]) == expected[0]
        expected += row[1:5]
        assert only(heard)["candle"][:5] == expected
        assert Decimal(only(heard)["candle"][5]) == Decimal(row[5])
    assert only(heard)["candle"][0] == expected[0]


@pytest.mark.parametrize("count", [5, 20, 50])
def test_depth_is_told_whole_and_when_it_changes(desk: Desk, listening: Listening, count: int) -> None:
    ear = listening.ear(f"spot/depth{count}:BTC_USDT")

    book = rest(desk, "books", f"symbol=BTC_USDT&limit={count}")
    assert ear.heard() == [
        {
            "table": f"spot/depth{count}",
            "data": [{"symbol": "BTC_USDT", "asks": book["asks"], "bids": book["bids"], "ms_t": START_MS}],
        }
    ]
    assert len(book["asks"]) == count
    desk.clock.ms += 1
    listening.streams.tick(desk.clock.ms)
    assert ear.heard() == []
    desk.price("BTC_USDT", "61000")
    listening.streams.tick(desk.clock.ms)
    assert only(ear.heard())["asks"][0][0] == "61000.00"


def test_book_ticker_is_told_when_it_changes(desk: Desk, listening: Listening) -> None:
    ear = listening.ear("spot/bookTicker:BTC_USDT")

    size = rest(desk, "ticker")["bid_sz"]
    row = {"symbol": "BTC_USDT", "bid_px": "60000.00", "bid_sz": size, "ask_px": "60000.00", "ask_sz": size}
    assert only(ear.heard()) == row | {"ms_t": START_MS}
    desk.price("BTC_USDT", "60000", bid="59990", ask="60010")
    listening.streams.tick(desk.clock.ms)
    changed = only(ear.heard())
    assert (changed["bid_px"], changed["ask_px"]) == ("59990.00", "60010.00")
    listening.streams.tick(desk.clock.ms)
    assert ear.heard() == []


def test_trades_come_once_each_and_oldest_first(desk: Desk, listening: Listening) -> None:
    ear = listening.ear("spot/trade:BTC_USDT")

    listening.pass_ms(3_000)

    taped = rest(desk, "trades", "symbol=BTC_USDT&limit=3")
    rows = ear.heard()[0]["data"]
    assert [(row["symbol"], str(row["ms_t"]), row["side"]) for row in rows] == [
        (symbol, at, side) for symbol, at, _, _, side in reversed(taped)
    ]
    assert [Decimal(row["price"]) for row in rows] == [Decimal(price) for _, _, price, _, _ in reversed(taped)]
    assert [row["s_t"] for row in rows] == [START_MS // 1000 + n for n in (1, 2, 3)]
    listening.pass_ms(250)
    assert ear.heard() == []


def applied(book: dict[str, str], changes: list[list[str]]) -> dict[str, str]:
    merged = book | dict(changes)
    return {price: size for price, size in merged.items() if Decimal(size)}


def test_increase_leads_from_one_snapshot_to_the_next(desk: Desk, listening: Listening) -> None:
    desk.price("BTC_USDT", None)
    session, ear = listening.session("spot/depth/increase100:BTC_USDT")
    first = only(ear.heard())
    assert (first["type"], first["version"], len(first["asks"]), len(first["bids"])) == ("snapshot", 1, 50, 50)
    asks, bids = dict(first["asks"]), dict(first["bids"])

    for version in range(2, 12):
        listening.pass_ms(500)
        update = only(ear.heard())
        assert (update["type"], update["version"]) == ("update", version)
        asks, bids = applied(asks, update["asks"]), applied(bids, update["bids"])

    listening.streams.request(session, "spot/depth/increase100:BTC_USDT")
    again = only(ear.heard())
    assert (again["type"], again["version"]) == ("snapshot", 11)
    assert (dict(again["asks"]), dict(again["bids"])) == (asks, bids)


def test_an_unchanged_book_repeats_its_version_every_ten_seconds() -> None:
    increments = Increments(lambda now_ms: ({"2": "5"}, {"1": "5"}), lambda *told: told)
    sides = ({"2": "5"}, {"1": "5"})
    assert increments.first(0) == [(sides, "snapshot", 1, 0)]

    assert increments.due(9_999) == []
    assert increments.due(10_000) == [(({}, {}), "update", 1, 10_000)]
    assert increments.due(19_999) == []


def test_a_level_that_has_gone_is_told_with_size_zero() -> None:
    books = [({"3": "1", "4": "1"}, {}), ({"4": "2", "5": "1"}, {})]
    increments = Increments(lambda now_ms: books[now_ms], lambda *told: told)
    increments.first(0)

    assert increments.due(1) == [(({"3": "0", "4": "2", "5": "1"}, {}), "update", 2, 1)]


def test_nothing_is_made_for_a_topic_that_all_have_left(listening: Listening) -> None:
    session, ear = listening.session("spot/ticker:BTC_USDT")
    ear.heard()

    listening.streams.leave(session)

    listening.pass_ms(5_000)
    assert (ear.heard(), session.topics) == ([], set())


def test_a_thousand_subscribers_share_one_frame(listening: Listening) -> None:
    ears = [listening.ear("spot/ticker:BTC_USDT") for _ in range(1_000)]
    for ear in ears:
        ear.heard()

    listening.pass_ms(1_000)

    frames = [ear.frames for ear in ears]
    assert {len(sent) for sent in frames} == {1}
    assert {id(sent[0]) for sent in frames} == {id(frames[0][0])}


def test_deflated_pushes_hold_the_same_as_text(listening: Listening) -> None:
    plain = listening.ear("spot/depth5:BTC_USDT")
    packed = listening.session("spot/depth5:BTC_USDT", deflates=True)[1]
    assert (plain.frames[0][0], packed.frames[0][0]) == (0x81, 0x82)

    assert plain.heard() == packed.heard()


def test_resting_orders_stand_in_the_book(desk: Desk, listening: Listening) -> None:
    ear = listening.ear("spot/depth5:BTC_USDT")
    ear.heard()

    trader = desk.trader(spot={"USDT": "1000"})
    trader.spot_order(side="buy", type="limit", size="0.01", price="59999.5")
    listening.streams.tick(desk.clock.ms)

    assert only(ear.heard())["bids"][1] == ["59999.50", "0.01000"]
