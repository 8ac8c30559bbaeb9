"""Spot orders and the money behind them. BTC stands at 60,000; fees are 0.001 for takers and 0.0008 for makers."""

import random
from decimal import Decimal
from typing import Any

import pytest

from tests.paper.desk import Desk


def test_a_buy_and_a_sell_leave_exactly_the_fees_missing(desk: Desk) -> None:
    trader = desk.trader(spot={"USDT": "10000"})

    trader.spot_order(side="buy", type="limit", size="0.1", price="60000")
    # 6000 for the coins and 6 for the fee
    assert trader.spot_balances() == {"BTC": ("0.10000000", "0.00000000"), "USDT": ("3994.00000000", "0.00000000")}

    desk.price("BTC_USDT", "61000")
    trader.spot_order(side="sell", type="market", size="0.1")

    # 6100 less 6.10
    assert trader.spot_balances() == {"USDT": ("10087.90000000", "0.00000000")}


def test_a_market_buy_sets_the_fee_aside_and_ends_partially_canceled(desk: Desk) -> None:
    trader = desk.trader(spot={"USDT": "100"})
    desk.price("ADA_USDT", "0.245948")

    trader.spot_order(symbol="ADA_USDT", side="buy", type="market", notional="5.1", client_order_id="ada1")
    order = trader.order_by_client_id("ada1")

    # 5.1 × 0.999 = 5.0949 to spend; 20.71 × 0.245948 = 5.09358308 spent; the fee is 0.00509358
    assert order == order | {
        "state": "partially_canceled",
        "cancelSource": "system",
        "notional": "5.09490000",
        "filledNotional": "5.09358308",
        "filledSize": "20.71",
        "priceAvg": "0.245948",
        "size": "0.00",
        "price": "0.000000",
    }
    assert trader.spot_balances() == {"ADA": ("20.71000000", "0.00000000"), "USDT": ("94.90132334", "0.00000000")}


def test_a_market_sell_is_shown_with_the_decimals_of_the_market(desk: Desk) -> None:
    trader = desk.trader(spot={"BTC": "0.5"})

    trader.spot_order(side="sell", type="market", size="0.5", client_order_id="s1")

    assert trader.order_by_client_id("s1") == trader.order_by_client_id("s1") | {
        "state": "filled",
        "price": "0.00",
        "notional": "0.00000000",
        "filledNotional": "30000.00000000",
    }
    assert trader.spot_balances() == {"USDT": ("29970.00000000", "0.00000000")}


def test_a_resting_buy_freezes_value_and_fee_and_fills_as_maker_at_its_price(desk: Desk) -> None:
    trader = desk.trader(spot={"USDT": "10000"})

    trader.spot_order(side="buy", type="limit", size="0.1", price="59000", client_order_id="rest1")
    assert trader.spot_balances() == {"USDT": ("4094.10000000", "5905.90000000")}
    desk.price("BTC_USDT", "58990")

    fill = trader.post("/spot/v4/query/trades").data[0]
    assert (fill["price"], fill["size"], fill["fee"], fill["tradeRole"]) == (
        "59000.00",
        "0.10000",
        "4.72000000",
        "maker",
    )
    assert trader.spot_balances() == {"BTC": ("0.10000000", "0.00000000"), "USDT": ("4095.28000000", "0.00000000")}


def test_a_cancel_gives_everything_back_and_a_second_one_answers_false(desk: Desk) -> None:
    trader = desk.trader(spot={"USDT": "10000"})
    order_id = trader.spot_order(side="buy", type="limit", size="0.1", price="59000").data["order_id"]

    first = trader.post("/spot/v3/cancel_order", {"symbol": "BTC_USDT", "order_id": order_id})
    second = trader.post("/spot/v3/cancel_order", {"symbol": "BTC_USDT", "order_id": order_id})

    assert (first.code, first.data) == (1000, {"result": True})
    assert (second.code, second.data) == (1000, {"result": False})
    assert trader.spot_balances() == {"USDT": ("10000.00000000", "0.00000000")}


def test_cancel_with_a_misspelled_id_cancels_nothing(desk: Desk) -> None:
    trader = desk.trader(spot={"USDT": "10000"})
    order_id = trader.spot_order(side="buy", type="limit", size="0.1", price="59000").data["order_id"]

    answer = trader.post("/spot/v3/cancel_order", {"symbol": "BTC_USDT", "orderId": order_id})

    assert answer.code == 50039
    assert len(trader.post("/spot/v4/query/open-orders").data) == 1


@pytest.mark.parametrize(
    ("kind", "price", "state", "source"),
    [
        ("limit_maker", "60000", "canceled", "system"),
        ("limit_maker", "59999.99", "new", ""),
        ("ioc", "60000", "filled", ""),
        ("ioc", "59999.99", "canceled", "system"),
    ],
)
def test_post_only_and_ioc(desk: Desk, kind: str, price: str, state: str, source: str) -> None:
    trader = desk.trader(spot={"USDT": "10000"})

    answer = trader.spot_order(side="buy", type=kind, size="0.1", price=price, client_order_id="x1")

    order = trader.order_by_client_id("x1")
    assert answer.code == 1000
    assert (order["state"], order["cancelSource"]) == (state, source)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"symbol": "NOPE_USDT", "side": "buy", "type": "market", "notional": "10"}, 50001),
        ({"symbol": "", "side": "buy", "type": "market", "notional": "10"}, 50000),
        ({"side": "long", "type": "market", "notional": "10"}, 52002),
        ({"side": "buy", "type": "fok", "notional": "10"}, 52001),
        ({"side": "buy", "type": "market", "size": "0.1"}, 50021),
        ({"side": "buy", "type": "market"}, 50012),
        ({"side": "buy", "type": "market", "notional": "4.99"}, 51012),
        ({"side": "buy", "type": "market", "notional": "1000.01"}, 50020),
        ({"side": "sell", "type": "market"}, 50010),
        ({"side": "sell", "type": "market", "size": "1"}, 50020),
        ({"side": "buy", "type": "limit", "size": "0.01"}, 50011),
        ({"side": "buy", "type": "limit", "price": "60000"}, 50010),
        ({"side": "buy", "type": "limit", "size": "0.000001", "price": "60000"}, 50006),
        ({"side": "buy", "type": "limit", "size": "0.000011", "price": "60000"}, 50021),
        ({"side": "buy", "type": "limit", "size": "100000000", "price": "60000"}, 50007),
        ({"side": "buy", "type": "limit", "size": "0.01", "price": "0.001"}, 50008),
        ({"side": "buy", "type": "limit", "size": "0.00008", "price": "60000"}, 51011),
        # 0.01665 × 60000 = 999, and the fee of 0.999 is there too; one step more is not
        ({"side": "buy", "type": "limit", "size": "0.01666", "price": "60000"}, 50020),
        ({"side": "buy", "type": "market", "notional": "10", "client_order_id": "a" * 33}, 50037),
        ({"side": "buy", "type": "market", "notional": "10", "client_order_id": "a-b"}, 50038),
        ({"side": "buy", "type": "market", "notional": "10", "client_order_id": "taken"}, 50042),
        ({"side": "buy", "type": "market", "notional": "ten"}, 50021),
        ({"side": "buy", "type": "market", "notional": True}, 50021),
    ],
)
def test_a_refused_order_has_its_code_and_changes_nothing(desk: Desk, body: dict[str, Any], code: int) -> None:
    trader = desk.trader(spot={"USDT": "1000", "BTC": "0.5"})
    trader.spot_order(side="sell", type="limit", size="0.1", price="70000", client_order_id="taken")
    before = trader.spot_balances()

    answer = trader.spot_order(**body)

    assert (answer.status, answer.code) == (400, code)
    assert trader.spot_balances() == before
    assert len(desk.control("GET", f"accounts/{trader.access_key}/orders").content["orders"]) == 1


def test_a_client_id_is_free_again_a_day_after_the_order_ended(desk: Desk) -> None:
    trader = desk.trader(spot={"USDT": "1000"})
    order = {"side": "buy", "type": "market", "notional": "10", "client_order_id": "again"}
    trader.spot_order(**order)
    desk.clock.ms += 86_300_000
    assert trader.spot_order(**order).code == 50042

    desk.clock.ms += 100_000

    assert trader.spot_order(**order).code == 1000


def test_a_cancelled_unfilled_order_is_forgotten_after_twenty_minutes(desk: Desk) -> None:
    trader = desk.trader(spot={"USDT": "1000"})
    trader.spot_order(side="buy", type="limit", size="0.01", price="50000", client_order_id="gone")
    trader.post("/spot/v4/cancel_all")
    assert trader.order_by_client_id("gone")["state"] == "canceled"

    desk.clock.ms += 20 * 60_000

    assert trader.post("/spot/v4/query/client-order", {"clientOrderId": "gone"}).code == 50005
    assert trader.post("/spot/v4/query/history-orders").data == []


def test_a_batch_succeeds_in_part_and_cancel_orders_tells_which(desk: Desk) -> None:
    trader = desk.trader(spot={"USDT": "1000"})
    good = {"side": "buy", "type": "limit", "size": "0.001", "price": "50000"}

    batch = trader.post("/spot/v4/batch_orders", {"symbol": "BTC_USDT", "orderParams": [good, good | {"size": "9"}]})
    ids = batch.data["data"]["orderIds"]
    cancelled = trader.post("/spot/v4/cancel_orders", {"symbol": "BTC_USDT", "orderIds": [*ids, "5"]})

    assert (batch.data["code"], batch.data["msg"], len(ids)) == (0, "success", 1)
    assert cancelled.data == {
        "successIds": ids,
        "failIds": ["5"],
        "totalCount": 2,
        "successCount": 1,
        "failedCount": 1,
    }


def test_query_state_tells_open_from_history(desk: Desk) -> None:
    trader = desk.trader(spot={"USDT": "1000"})
    trader.spot_order(side="buy", type="limit", size="0.01", price="50000", client_order_id="live")

    codes = [
        trader.post("/spot/v4/query/client-order", {"clientOrderId": "live"} | state).code
        for state in ({}, {"queryState": "open"}, {"queryState": "history"}, {"queryState": "both"})
    ]

    assert codes == [1000, 1000, 50005, 52003]


def test_a_stranger_sees_and_cancels_nothing(desk: Desk) -> None:
    owner, stranger = desk.trader(spot={"USDT": "1000"}), desk.trader(spot={"USDT": "1000"})
    order_id = owner.spot_order(side="buy", type="limit", size="0.01", price="50000").data["order_id"]

    assert stranger.post("/spot/v4/query/order", {"orderId": order_id}).code == 50005
    assert stranger.post("/spot/v3/cancel_order", {"symbol": "BTC_USDT", "order_id": order_id}).code == 50032
    assert stranger.post("/spot/v4/query/open-orders").data == []
    assert len(owner.post("/spot/v4/query/open-orders").data) == 1


def test_money_is_neither_made_nor_lost_by_random_trading(desk: Desk, dice: random.Random) -> None:
    trader = desk.trader(spot={"USDT": "10000", "BTC": "1"})
    for _ in range(60):
        price = dice.randint(5_500_000, 6_500_000)
        desk.price("BTC_USDT", f"{price / 100:.2f}")
        size, limit = f"{dice.randint(10, 20_000) / 100_000:.5f}", f"{dice.randint(5_500_000, 6_500_000) / 100:.2f}"
        kind = dice.choice(["limit", "ioc", "limit_maker", "market"])
        side = dice.choice(["buy", "sell"])
        trader.spot_order(side=side, type=kind, size=size, price=limit, notional=f"{dice.randint(5, 9000)}")
        if dice.random() < 0.1:
            trader.post("/spot/v4/cancel_all")

    trader.post("/spot/v4/cancel_all")
    fills = desk.control("GET", f"accounts/{trader.access_key}/fills").content["fills"]
    usdt, btc = Decimal(10_000), Decimal(1)
    for fill in fills:
        way = 1 if fill["side"] == "buy" else -1
        btc += way * Decimal(fill["size"])
        usdt -= way * Decimal(fill["notional"]) + Decimal(fill["fee"])
    balances = trader.spot_balances()
    assert len(fills) > 5
    assert Decimal(balances.get("USDT", ("0", "0"))[0]) == usdt
    assert Decimal(balances.get("BTC", ("0", "0"))[0]) == btc
    assert {frozen for _, frozen in balances.values()} == {"0.00000000"}
