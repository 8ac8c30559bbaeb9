"""Private topics: what an account is told of its orders, fills, positions and money."""

from typing import Any

import pytest

from tests.paper.desk import Desk, Trader
from tests.paper.listening import Ear, Listening

ORDERS, ALL_ORDERS = "spot/user/order:BTC_USDT", "spot/user/orders:ALL_SYMBOLS"
BALANCE = "spot/user/balance:BALANCE_UPDATE"


@pytest.fixture
def listening(desk: Desk) -> Listening:
    return Listening(desk)


@pytest.fixture
def trader(desk: Desk) -> Trader:
    return desk.trader(spot={"USDT": "1000"}, futures={"USDT": "1000"}, position_mode="hedge_mode")


def told(listening: Listening, ear: Ear) -> list[Any]:
    listening.flush()
    return ear.heard()


def test_a_resting_spot_order_is_told_with_texts_only(desk: Desk, listening: Listening, trader: Trader) -> None:
    ear = listening.ear(ORDERS, trader=trader)

    order_id = trader.spot_order(side="buy", type="limit_maker", size="0.01", price="50000", client_order_id="s1").data[
        "order_id"
    ]

    now = str(desk.clock.ms)
    assert told(listening, ear) == [
        {
            "table": "spot/user/order",
            "data": [
                {
                    "symbol": "BTC_USDT",
                    "side": "buy",
                    "type": "limit",
                    "notional": "",
                    "size": "0.0100000000",
                    "ms_t": now,
                    "price": "50000.0000000000",
                    "filled_notional": "0.0000000000",
                    "filled_size": "0.0000000000",
                    "margin_trading": "0",
                    "state": "4",
                    "order_id": order_id,
                    "order_type": "1",
                    "last_fill_time": "0",
                    "last_fill_price": "0",
                    "last_fill_count": "0",
                    "exec_type": "",
                    "detail_id": "",
                    "client_order_id": "s1",
                    "create_time": now,
                    "update_time": now,
                    "order_mode": "spot",
                    "entrust_type": "LIMIT_MAKER",
                    "order_state": "new",
                    "dealFee": "0",
                    "deal_fee_coin_name": "",
                }
            ],
        }
    ]


def test_a_fill_carries_its_trade(desk: Desk, listening: Listening, trader: Trader) -> None:
    trader.spot_order(side="buy", type="limit", size="0.01", price="50000", client_order_id="s1")
    ear = listening.ear(ORDERS, trader=trader)

    desk.price("BTC_USDT", "49000")

    (push,) = told(listening, ear)
    (row,) = push["data"]
    (fill,) = desk.control("GET", f"accounts/{trader.access_key}/fills").content["fills"]
    assert {name: row[name] for name in ("state", "order_state", "exec_type", "detail_id", "last_fill_time")} == {
        "state": "6",
        "order_state": "filled",
        "exec_type": "M",
        "detail_id": fill["id"],
        "last_fill_time": str(fill["created_ms"]),
    }
    assert (row["last_fill_price"], row["last_fill_count"], row["filled_notional"]) == (
        "50000",
        "0.01",
        "500.0000000000",
    )
    assert (row["dealFee"], row["deal_fee_coin_name"]) == ("0.4", "USDT")


def test_a_market_buy_ends_partially_canceled_with_its_notional(listening: Listening, trader: Trader) -> None:
    ear = listening.ear(ORDERS, trader=trader)

    trader.spot_order(side="buy", type="market", notional="100", client_order_id="s1")

    rows = [push["data"][0] for push in told(listening, ear)]
    assert [(row["type"], row["notional"], row["exec_type"]) for row in rows[:1]] == [("market", "99.9000000000", "")]
    last = rows[-1]
    assert (last["state"], last["order_state"], last["filled_size"]) == ("12", "partially_canceled", "0.0016600000")


def test_a_cancel_is_told(listening: Listening, trader: Trader) -> None:
    order_id = trader.spot_order(side="buy", type="limit", size="0.01", price="50000").data["order_id"]
    ear = listening.ear(ORDERS, trader=trader)

    trader.post("/spot/v3/cancel_order", {"symbol": "BTC_USDT", "order_id": order_id})

    (push,) = told(listening, ear)
    assert [(row["state"], row["order_state"], row["order_id"]) for row in push["data"]] == [
        ("8", "canceled", order_id)
    ]


@pytest.mark.parametrize("table", ["order", "orders"])
def test_the_topic_of_all_symbols_has_two_table_names(
    desk: Desk, listening: Listening, trader: Trader, table: str
) -> None:
    desk.control("POST", "streams", {"order_table": table})
    ear = listening.ear(ALL_ORDERS, trader=trader)

    trader.spot_order(side="buy", type="limit", size="0.01", price="50000")

    assert [push["table"] for push in told(listening, ear)] == [f"spot/user/{table}"]


def test_spot_balances_are_told_by_cause(desk: Desk, listening: Listening, trader: Trader) -> None:
    ear = listening.ear(BALANCE, trader=trader)

    trader.spot_order(side="buy", type="limit", size="0.01", price="50000")

    assert told(listening, ear) == [
        {
            "table": "spot/user/balance",
            "data": [
                {
                    "event_type": "TRANSACTION_COMPLETED",
                    "event_time": str(desk.clock.ms),
                    "balance_details": [{"ccy": "USDT", "av_bal": "499.5", "fz_bal": "500.5"}],
                }
            ],
        }
    ]
    transfer = {"currency": "USDT", "amount": "10", "type": "spot_to_contract"}
    assert trader.post("/account/v1/transfer-contract", transfer).code == 1000
    (push,) = told(listening, ear)
    assert push["data"][0]["event_type"] == "ACCOUNT_TRANSFER"
    assert push["data"][0]["balance_details"] == [{"ccy": "USDT", "av_bal": "489.5", "fz_bal": "500.5"}]


def test_a_stranger_hears_nothing(desk: Desk, listening: Listening, trader: Trader) -> None:
    ear = listening.ear(ORDERS, BALANCE, "futures/order", trader=desk.trader())

    trader.spot_order(side="buy", type="limit", size="0.01", price="50000")

    assert told(listening, ear) == []


def test_a_futures_order_rests_fills_and_is_canceled(desk: Desk, listening: Listening, trader: Trader) -> None:
    ear = listening.ear("futures/order", trader=trader)
    body = {"type": "limit", "side": 1, "leverage": "5", "open_type": "isolated", "mode": 1, "size": 10}

    order_id = str(trader.futures_order(**body, price="50000", client_order_id="f1").data["order_id"])

    assert told(listening, ear) == [
        {
            "group": "futures/order",
            "data": [
                {
                    "action": 2,
                    "order": {
                        "order_id": order_id,
                        "client_order_id": "f1",
                        "price": "50000",
                        "size": "10",
                        "symbol": "BTCUSDT",
                        "state": 2,
                        "side": 1,
                        "type": "limit",
                        "leverage": "5",
                        "open_type": "isolated",
                        "deal_avg_price": "0",
                        "deal_size": "0",
                        "create_time": desk.clock.ms,
                        "update_time": desk.clock.ms,
                        "plan_order_id": "",
                        "last_trade": None,
                        "trigger_price": "-",
                        "trigger_price_type": "-",
                        "execution_price": "-",
                        "activation_price_type": "-",
                        "activation_price": "-",
                        "callback_rate": "-",
                        "position_mode": "hedge_mode",
                    },
                }
            ],
        }
    ]
    desk.price("BTCUSDT", "49000")
    (push,) = told(listening, ear)
    (fill,) = desk.control("GET", f"accounts/{trader.access_key}/fills").content["fills"]
    (row,) = push["data"]
    assert (row["action"], row["order"]["state"], row["order"]["deal_size"]) == (1, 4, "10")
    assert row["order"]["deal_avg_price"] == "50000"
    assert row["order"]["last_trade"] == {
        "lastTradeID": int(fill["id"]),
        "fillQty": "10",
        "fillPrice": "50000",
        "fee": "-0.1",
        "feeCcy": "USDT",
    }


def test_a_canceled_futures_order_is_action_three(listening: Listening, trader: Trader) -> None:
    body = {"type": "limit", "side": 1, "leverage": "5", "open_type": "isolated", "size": 10, "price": "50000"}
    order_id = str(trader.futures_order(**body).data["order_id"])
    ear = listening.ear("futures/order", trader=trader)

    trader.post("/contract/private/cancel-order", {"symbol": "BTCUSDT", "order_id": order_id})

    (push,) = told(listening, ear)
    assert [(row["action"], row["order"]["order_id"], row["order"]["state"]) for row in push["data"]] == [
        (3, order_id, 4)
    ]


def open_long(trader: Trader, size: int = 10, open_type: str = "isolated") -> None:
    answer = trader.futures_order(type="market", side=1, leverage="5", open_type=open_type, size=size)
    assert answer.code == 1000, answer


@pytest.mark.parametrize(("open_type", "number"), [("isolated", 1), ("cross", 2)])
def test_a_position_is_told_when_it_opens_and_once_when_it_closes(
    desk: Desk, listening: Listening, trader: Trader, open_type: str, number: int
) -> None:
    ear = listening.ear("futures/position", trader=trader)

    open_long(trader, open_type=open_type)

    opened_ms = desk.clock.ms
    (push,) = told(listening, ear)
    liquidation = push["data"][0].pop("liquidate_price")
    assert liquidation == trader.get("/contract/private/position-v2", symbol="BTCUSDT").data[0]["liquidation_price"]
    row = {
        "symbol": "BTCUSDT",
        "hold_volume": "10",
        "position_type": 1,
        "open_type": number,
        "frozen_volume": "0",
        "close_volume": "0",
        "hold_avg_price": "60000",
        "close_avg_price": "0",
        "open_avg_price": "60000",
        "create_time": opened_ms,
        "update_time": opened_ms,
        "position_mode": "hedge_mode",
    }
    assert push == {"group": "futures/position", "data": [row]}
    desk.price("BTCUSDT", "61000")
    trader.futures_order(type="market", side=3, size=10)
    closed = [push["data"][0] for push in told(listening, ear)]
    assert [(row["hold_volume"], row["close_volume"], row["close_avg_price"]) for row in closed] == [
        ("0", "10", "61000")
    ]


def test_positions_are_told_again_every_ten_seconds(listening: Listening, trader: Trader) -> None:
    open_long(trader)
    ear = listening.ear("futures/position", trader=trader)

    listening.pass_ms(9_999)
    assert told(listening, ear) == []
    listening.pass_ms(1)

    (push,) = told(listening, ear)
    assert [(row["symbol"], row["hold_volume"]) for row in push["data"]] == [("BTCUSDT", "10")]
    listening.pass_ms(9_999)
    assert told(listening, ear) == []
    listening.pass_ms(1)
    assert len(told(listening, ear)) == 1


def test_futures_assets_are_told_with_the_deposit(listening: Listening, trader: Trader) -> None:
    ear = listening.ear("futures/asset:USDT", "futures/asset:BTC", trader=trader)

    open_long(trader)

    data = {"currency": "USDT", "available_balance": "879.28", "position_deposit": "120.36", "frozen_balance": "0"}
    assert told(listening, ear)[-1] == {"group": "futures/asset:USDT", "data": data}


def test_a_liquidation_is_told_as_one(desk: Desk, listening: Listening, trader: Trader) -> None:
    open_long(trader)
    ear = listening.ear("futures/order", trader=trader)

    desk.price("BTCUSDT", "40000")

    assert [row["action"] for push in told(listening, ear) for row in push["data"]] == [7]


def test_a_plan_order_waits_fires_and_becomes_an_order(desk: Desk, listening: Listening, trader: Trader) -> None:
    ear = listening.ear("futures/order", trader=trader)
    body = {"symbol": "BTCUSDT", "side": 1, "type": "limit", "leverage": "5", "open_type": "isolated", "mode": 1}
    body |= {"size": 1, "trigger_price": "61000", "executive_price": "61500", "price_way": 1, "price_type": 2}
    plan_id = str(trader.post("/contract/private/submit-plan-order", body).data["order_id"])

    ((waiting,),) = [push["data"] for push in told(listening, ear)]
    shown = {name: waiting["order"][name] for name in ("order_id", "type", "trigger_price", "execution_price", "state")}
    assert waiting["action"] == 2
    assert shown == {
        "order_id": plan_id,
        "type": "plan_order",
        "trigger_price": "61000",
        "execution_price": "61500",
        "state": 2,
    }
    assert (waiting["order"]["trigger_price_type"], waiting["order"]["last_trade"]) == ("2", None)

    desk.price("BTCUSDT", "61000")

    orders = [push["data"][0]["order"] for push in told(listening, ear)]
    assert {order["plan_order_id"] for order in orders} == {plan_id}
    filled = [order for order in orders if order["client_order_id"] == f"PLAN_{plan_id}"]
    assert (filled[-1]["type"], filled[-1]["deal_size"], filled[-1]["deal_avg_price"]) == ("limit", "1", "61000")
    fired = [order for order in orders if order["type"] == "plan_order"]
    assert [order["state"] for order in fired] == [4]


def test_a_trailing_order_shows_its_activation(listening: Listening, trader: Trader) -> None:
    open_long(trader)
    ear = listening.ear("futures/order", trader=trader)
    body = {"symbol": "BTCUSDT", "side": 3, "leverage": "5", "open_type": "isolated", "size": 1}
    body |= {"activation_price": "62000", "callback_rate": "1", "activation_price_type": 1}

    assert trader.post("/contract/private/submit-trail-order", body).code == 1000

    ((row,),) = [push["data"] for push in told(listening, ear)]
    order = row["order"]
    assert (order["type"], order["activation_price"], order["callback_rate"]) == ("trailing_order", "62000", "1")
    assert (order["activation_price_type"], order["trigger_price"]) == ("1", "-")


def test_contracts_that_resting_orders_close_are_frozen(listening: Listening, trader: Trader) -> None:
    open_long(trader)
    trader.futures_order(type="limit", side=3, size=4, price="70000")
    ear = listening.ear("futures/position", trader=trader)

    listening.pass_ms(10_000)

    ((row,),) = [push["data"] for push in told(listening, ear)]
    assert (row["hold_volume"], row["frozen_volume"]) == ("10", "4")


def test_the_book_tells_nothing_while_nobody_listens(desk: Desk, listening: Listening, trader: Trader) -> None:
    assert not desk.exchange.feed.is_heard
    session, _ = listening.session(ORDERS, BALANCE, trader=trader)
    assert desk.exchange.feed.is_heard

    listening.streams.leave(session)

    assert not desk.exchange.feed.is_heard


def test_pushes_wait_for_the_answer_on_its_way(listening: Listening, trader: Trader) -> None:
    ear = listening.ear(ORDERS, trader=trader)

    trader.spot_order(side="buy", type="limit", size="0.01", price="50000")

    assert ear.heard() == []
    assert len(told(listening, ear)) == 1
