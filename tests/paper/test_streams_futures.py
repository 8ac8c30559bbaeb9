"""Each public topic of the futures host, beside what REST says at the same moment."""

from typing import Any

import pytest

from tests.paper.desk import START_MS, Desk
from tests.paper.listening import Listening

SPANS = {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1H": 60, "2H": 120, "4H": 240, "1D": 1440, "1W": 10080}


@pytest.fixture
def listening(desk: Desk) -> Listening:
    return Listening(desk)


def rest(desk: Desk, route: str, query: str = "symbol=BTCUSDT") -> Any:
    return desk.send("GET", f"/contract/public/{route}", query=query).data


def only(heard: list[Any], group: str) -> Any:
    assert [push["group"] for push in heard] == [group], heard
    return heard[0]["data"]


def test_ticker_carries_the_mark_every_second(desk: Desk, listening: Listening) -> None:
    desk.price("BTCUSDT", "60000", mark="59990")
    ear = listening.ear("futures/ticker:BTCUSDT")

    detail = rest(desk, "details")["symbols"][0]
    bid = rest(desk, "depth")["bids"][0]
    data = only(ear.heard(), "futures/ticker:BTCUSDT")
    assert data.pop("range")[:6] == detail["change_24h"][:6]
    assert data == {
        "symbol": "BTCUSDT",
        "last_price": "60000",
        "volume_24": detail["volume_24h"],
        "mark_price": "59990",
        "index_price": "59990",
        "ask_price": "60000",
        "ask_vol": bid[1],
        "bid_price": "60000",
        "bid_vol": bid[1],
    }
    listening.pass_ms(750)
    assert ear.heard() == []
    listening.pass_ms(250)
    assert only(ear.heard(), "futures/ticker:BTCUSDT")["mark_price"] == "59990"


def test_the_group_of_a_ticker_may_carry_a_suffix(desk: Desk, listening: Listening) -> None:
    assert desk.control("POST", "streams", {"ticker_suffix": "@100ms"}).status == 200

    ear = listening.ear("futures/ticker:BTCUSDT")

    assert [push["group"] for push in ear.heard()] == ["futures/ticker:BTCUSDT@100ms"]


def test_funding_rate_every_minute(desk: Desk, listening: Listening) -> None:
    ear = listening.ear("futures/fundingRate:BTCUSDT")

    shown = rest(desk, "funding-rate")
    assert only(ear.heard(), "futures/fundingRate:BTCUSDT") == {
        "symbol": "BTCUSDT",
        "fundingRate": shown["rate_value"],
        "fundingTime": shown["funding_time"] - 28_800_000,
        "nextFundingRate": shown["expected_rate"],
        "nextFundingTime": shown["funding_time"],
        "funding_upper_limit": "0.0375",
        "funding_lower_limit": "-0.0375",
        "ts": START_MS,
    }
    listening.pass_ms(39_000)
    assert ear.heard() == []
    listening.pass_ms(1_000)
    assert len(ear.heard()) == 1


def rows(side: list[list[str]], count: int) -> list[dict[str, str]]:
    return [{"price": price, "vol": size} for price, size, _ in side[:count]]


@pytest.mark.parametrize("pace", ["", "@100ms", "@200ms"])
@pytest.mark.parametrize("count", [5, 20, 50])
def test_depth_comes_one_side_a_push(desk: Desk, listening: Listening, count: int, pace: str) -> None:
    topic = f"futures/depth{count}:BTCUSDT{pace}"
    ear = listening.ear(topic)

    book = rest(desk, "depth")
    assert ear.heard() == [
        {"group": topic, "data": {"symbol": "BTCUSDT", "way": way, "depths": rows(side, count), "ms_t": START_MS}}
        for way, side in ((1, book["bids"]), (2, book["asks"]))
    ]


@pytest.mark.parametrize("count", [5, 20, 50])
def test_depth_all_comes_whole(desk: Desk, listening: Listening, count: int) -> None:
    topic = f"futures/depthAll{count}:BTCUSDT@100ms"
    ear = listening.ear(topic)

    book = rest(desk, "depth")
    sides = {"asks": rows(book["asks"], count), "bids": rows(book["bids"], count)}
    assert only(ear.heard(), topic) == {"symbol": "BTCUSDT", **sides, "ms_t": START_MS}


@pytest.mark.parametrize("count", [5, 20, 50])
def test_depth_increase_leads_from_one_snapshot_to_the_next(desk: Desk, listening: Listening, count: int) -> None:
    desk.price("BTCUSDT", None)
    topic = f"futures/depthIncrease{count}:BTCUSDT@200ms"
    session, ear = listening.session(topic)
    first = only(ear.heard(), topic)
    assert (first["type"], first["version"], len(first["asks"])) == ("snapshot", 1, count)
    book = {side: {row["price"]: row["vol"] for row in first[side]} for side in ("asks", "bids")}

    for version in range(2, 12):
        listening.pass_ms(500)
        update = only(ear.heard(), topic)
        assert (update["type"], update["version"]) == ("update", version)
        for side, known in book.items():
            known |= {row["price"]: row["vol"] for row in update[side]}
            book[side] = {price: size for price, size in known.items() if size != "0"}

    listening.streams.request(session, topic)
    again = only(ear.heard(), topic)
    assert (again["type"], again["version"]) == ("snapshot", 11)
    assert {side: {row["price"]: row["vol"] for row in again[side]} for side in book} == book


def test_book_ticker_is_told_when_it_changes(desk: Desk, listening: Listening) -> None:
    ear = listening.ear("futures/bookticker:BTCUSDT")

    size = rest(desk, "depth")["bids"][0][1]
    assert only(ear.heard(), "futures/bookticker:BTCUSDT") == {
        "symbol": "BTCUSDT",
        "best_bid_price": "60000",
        "best_bid_vol": size,
        "best_ask_price": "60000",
        "best_ask_vol": size,
        "ms_t": START_MS,
    }
    listening.streams.tick(desk.clock.ms)
    assert ear.heard() == []


def test_trades_come_as_an_array_with_nanoseconds(desk: Desk, listening: Listening) -> None:
    ear = listening.ear("futures/trade:BTCUSDT")

    listening.pass_ms(2_000)

    taped = rest(desk, "market-trade", "symbol=BTCUSDT&limit=2")
    data = only(ear.heard(), "futures/trade:BTCUSDT")
    assert [(row["symbol"], row["deal_price"], row["m"]) for row in data] == [
        ("BTCUSDT", row["price"], row["is_buyer_maker"]) for row in taped
    ]
    assert [row["created_at"] for row in data] == ["2025-10-09T08:53:22.000000000Z", "2025-10-09T08:53:21.000000000Z"]
    assert [row["way"] for row in data] == [5 if row["is_buyer_maker"] else 1 for row in taped]
    assert data[0]["trade_id"] == data[1]["trade_id"] + 1


@pytest.mark.parametrize(("kind", "route"), [("klineBin", "kline"), ("markPriceKlineBin", "markprice-kline")])
@pytest.mark.parametrize("span", list(SPANS))
def test_klines_in_both_shapes(desk: Desk, listening: Listening, kind: str, route: str, span: str) -> None:
    desk.price("BTCUSDT", "60000", mark="59990")
    topic = f"futures/{kind}{span}:BTCUSDT"
    nested = only(listening.ear(topic).heard(), topic)
    desk.control("POST", "streams", {"kline": "flat"})
    flat = only(listening.ear(topic).heard(), topic)

    row = rest(desk, route, f"symbol=BTCUSDT&step={SPANS[span]}&start_time={START_MS // 1000}")[0]
    candle = {
        "o": row["open_price"],
        "h": row["high_price"],
        "l": row["low_price"],
        "c": "59990" if kind == "markPriceKlineBin" else "60000",
        "v": row["volume"],
        "ts": row["timestamp"],
    }
    assert nested == {"symbol": "BTCUSDT", "items": [candle]}
    assert flat == {"symbol": "BTCUSDT"} | candle
