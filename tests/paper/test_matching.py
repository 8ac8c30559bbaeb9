"""Depth, partial fills, orders of two accounts meeting, self-trade prevention. BTC stands at 60,000."""

from decimal import Decimal
from typing import Any

import pytest

from apps.paper.events import BalanceChanged, Event, OrderChanged, PositionChanged, Traded
from tests.paper.desk import Desk, Trader


def fills(trader: Trader, path: str = "/spot/v4/query/trades") -> list[tuple[str, str, str]]:
    rows = trader.post(path).data
    return [(row["price"], row["size"], row["tradeRole"]) for row in reversed(rows)]


def thin(desk: Desk, depth: str = "0.1") -> None:
    for symbol, size in (("BTC_USDT", depth), ("BTCUSDT", f"{Decimal(depth) * 1000:f}")):
        desk.price(symbol, "60000", depth=size)


def test_a_market_order_walks_the_levels_and_pays_each_its_price(desk: Desk) -> None:
    thin(desk)
    trader = desk.trader(spot={"USDT": "20000"})

    trader.spot_order(side="buy", type="market", notional="15015", client_order_id="walk")

    # 15,015 × 0.999 = 14,999.985 to spend: 6000, then 0.1 at 60,003, then what is left at 60,006
    assert fills(trader) == [
        ("60000.00", "0.10000", "taker"),
        ("60003.00", "0.10000", "taker"),
        ("60006.00", "0.04998", "taker"),
    ]
    order = trader.order_by_client_id("walk")
    assert (order["state"], order["filledSize"], order["priceAvg"]) == ("partially_canceled", "0.24998", "60002.39")


def test_what_was_taken_comes_back_a_second_later(desk: Desk) -> None:
    thin(desk)
    trader = desk.trader(spot={"USDT": "50000"})
    limit = {"side": "buy", "type": "limit", "size": "0.25", "price": "60000"}

    trader.spot_order(**limit, client_order_id="slow")
    assert trader.order_by_client_id("slow")["filledSize"] == "0.20000"
    desk.clock.ms += 1_000
    desk.exchange.advance(desk.clock.ms)

    assert [size for _, size, _ in fills(trader)] == ["0.10000", "0.10000", "0.05000"]
    assert [role for _, _, role in fills(trader)] == ["taker", "maker", "maker"]
    assert trader.order_by_client_id("slow")["state"] == "filled"


def test_a_partly_filled_order_is_cancelled_for_the_rest(desk: Desk) -> None:
    thin(desk)
    trader = desk.trader(futures={"USDT": "10000"})

    order_id = trader.futures_order(
        side=1, type="limit", mode=3, size=150, price="60000", leverage="10", open_type="cross"
    ).data["order_id"]

    order = trader.get("/contract/private/order", symbol="BTCUSDT", order_id=order_id).data
    assert (order["state"], order["deal_size"], order["size"]) == (4, "100", "150")
    assert trader.usdt()["frozen_balance"] == "0"


@pytest.mark.parametrize(("size", "deal_size"), [(100, "100"), (101, "0")])
def test_fill_or_kill_takes_all_or_nothing(desk: Desk, size: int, deal_size: str) -> None:
    thin(desk)
    trader = desk.trader(futures={"USDT": "10000"})

    order_id = trader.futures_order(
        side=1, type="limit", mode=2, size=size, price="60000", leverage="10", open_type="cross"
    ).data["order_id"]

    order = trader.get("/contract/private/order", symbol="BTCUSDT", order_id=order_id).data
    assert (order["state"], order["deal_size"]) == (4, deal_size)


def test_an_order_inside_the_spread_is_met_by_the_next_taker(desk: Desk) -> None:
    desk.price("BTC_USDT", "60000", bid="59990", ask="60010")
    maker, taker = desk.trader(spot={"USDT": "6000"}), desk.trader(spot={"BTC": "0.1"})
    maker.spot_order(side="buy", type="limit_maker", size="0.05", price="60005")
    book = desk.send("GET", "/spot/quotation/v3/books", query="symbol=BTC_USDT&limit=1").data

    taker.spot_order(side="sell", type="market", size="0.1")

    assert book["bids"] == [["60005.00", "0.05000"]]
    assert fills(maker) == [("60005.00", "0.05000", "maker")]
    assert fills(taker) == [("60005.00", "0.05000", "taker"), ("59990.00", "0.05000", "taker")]


@pytest.mark.parametrize(
    ("mode", "resting", "arriving"),
    [
        ("none", "filled", "filled"),
        ("cancel_maker", "canceled", "filled"),
        ("cancel_taker", "new", "canceled"),
        ("cancel_both", "canceled", "canceled"),
    ],
)
def test_self_trade_prevention(desk: Desk, mode: str, resting: str, arriving: str) -> None:
    desk.price("BTC_USDT", "60000", bid="59990", ask="60010")
    trader = desk.trader(spot={"USDT": "6100", "BTC": "0.1"})
    trader.spot_order(side="buy", type="limit", size="0.1", price="60005", client_order_id="rest")

    trader.spot_order(side="sell", type="market", size="0.1", stpMode=mode, client_order_id="come")

    rest, come = trader.order_by_client_id("rest"), trader.order_by_client_id("come")
    assert (rest["state"], come["state"]) == (resting, arriving)
    assert [row["cancelSource"] for row in (rest, come) if row["state"] == "canceled"] == ["stp"] * [
        resting,
        arriving,
    ].count("canceled")


@pytest.mark.parametrize("mode", ["cancel_maker", "cancel_taker", "cancel_both"])
@pytest.mark.parametrize("amount", [{"side": "sell", "size": "0.05"}, {"side": "buy", "notional": "3000"}])
def test_own_orders_behind_what_fills_an_order_stay(desk: Desk, mode: str, amount: dict[str, str]) -> None:
    desk.price("BTC_USDT", "60000", bid="59990", ask="60010")
    trader = desk.trader(spot={"USDT": "10000", "BTC": "1"})
    trader.spot_order(side="buy", type="limit", size="0.1", price="50000", client_order_id="below")
    trader.spot_order(side="sell", type="limit", size="0.1", price="70000", client_order_id="above")

    trader.spot_order(type="market", stpMode=mode, client_order_id="come", **amount)

    states = {name: trader.order_by_client_id(name)["state"] for name in ("below", "above", "come")}
    assert states == {"below": "new", "above": "new", "come": states["come"]}
    assert states["come"] in {"filled", "partially_canceled"}


def test_futures_market_order_leaves_an_own_order_far_below(desk: Desk) -> None:
    desk.price("BTCUSDT", "60000")
    trader = desk.trader(futures={"USDT": "10000"})
    order = {"leverage": "10", "open_type": "isolated"}
    trader.futures_order(side=1, type="market", size=10, **order)
    trader.futures_order(side=1, type="limit", size=10, price="50000", **order)

    trader.futures_order(side=3, type="market", size=4, stp_mode=1)

    [rests] = trader.get("/contract/private/get-open-orders", symbol="BTCUSDT").data
    assert (rests["price"], rests["deal_size"]) == ("50000", "0")
    assert trader.position()["position_amount"] == "6"


def test_two_accounts_trade_futures_with_each_other(desk: Desk) -> None:
    desk.price("BTCUSDT", "60000", bid="59990", ask="60010")
    long, short = desk.trader(futures={"USDT": "1000"}), desk.trader(futures={"USDT": "1000"})
    order = {"leverage": "10", "open_type": "isolated", "size": 10}
    long.futures_order(side=1, type="limit", price="60000", **order)

    short.futures_order(side=4, type="market", **order)

    # value 600: 0.0002 for the maker, 0.0006 for the taker
    assert (long.position()["position_amount"], long.position()["realized_value"]) == ("10", "-0.12")
    assert (short.position()["position_amount"], short.position()["realized_value"]) == ("-10", "-0.36")


def test_fees_in_bmx_are_a_quarter_cheaper(desk: Desk) -> None:
    desk.price("BMX_USDT", "0.2")
    trader = desk.trader(spot={"USDT": "10000", "BMX": "100"}, pays_in_bmx=True)

    trader.spot_order(side="buy", type="limit", size="0.1", price="60000")

    # 6 USDT of fee, three quarters of it are 4.5, at 0.2 each
    assert trader.spot_balances() == {
        "BMX": ("77.50000000", "0.00000000"),
        "BTC": ("0.10000000", "0.00000000"),
        "USDT": ("4000.00000000", "0.00000000"),
    }
    assert trader.post("/spot/v4/query/trades").data[0]["feeCoinName"] == "BMX"


def test_a_position_keeps_to_the_bracket_of_its_leverage(desk: Desk) -> None:
    trader = desk.trader(futures={"USDT": "100000"})
    order: dict[str, Any] = {"side": 1, "type": "market", "open_type": "cross"}

    assert trader.futures_order(**order, size=8_340, leverage="100").code == 40029
    assert trader.futures_order(**order, size=8_320, leverage="100").code == 1000
    assert trader.futures_order(**order, size=20, leverage="100").code == 40029
    assert trader.position()["max_notional_value"] == "500000"


def test_the_feed_tells_each_step_once_it_is_kept(desk: Desk) -> None:
    thin(desk)
    trader = desk.trader(futures={"USDT": "10000"})
    told: list[Event] = []
    stop = desk.exchange.feed.subscribe(told.append)

    trader.futures_order(side=1, type="limit", size=150, price="60000", leverage="10", open_type="cross")
    stop()
    trader.post("/contract/private/cancel-orders", {"symbol": "BTCUSDT"})

    orders = [(event.action, event.order.state) for event in told if isinstance(event, OrderChanged)]
    assert orders == [("submit", "new"), ("match", "partially_filled")]
    assert [event.fill.size for event in told if isinstance(event, Traded)] == [100]
    assert [event.position.amount for event in told if isinstance(event, PositionChanged)] == [100]
    last = [event for event in told if isinstance(event, BalanceChanged)][-1]
    assert (last.wallet, last.cause, last.available + last.frozen) == ("futures", "order", Decimal("9392.8"))


def test_the_feed_is_silent_about_a_refused_order(desk: Desk) -> None:
    trader = desk.trader(futures={"USDT": "1"})
    told: list[Event] = []
    desk.exchange.feed.subscribe(told.append)

    assert trader.futures_order(side=1, type="market", size=9, leverage="10", open_type="cross").code == 40027

    assert [event for event in told if isinstance(event, OrderChanged | BalanceChanged)] == []
