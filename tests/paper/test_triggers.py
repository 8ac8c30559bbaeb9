"""Orders that wait for a price. BTCUSDT stands at 60,000; accounts are one-way unless said otherwise."""

from typing import Any

import pytest

from tests.paper.desk import Desk, Trader

PRIVATE = "/contract/private"
ENTRY = {"side": 1, "type": "market", "size": 10, "leverage": "5", "open_type": "isolated"}
PLAN = {
    "symbol": "BTCUSDT",
    "side": 1,
    "type": "market",
    "size": 4,
    "leverage": "5",
    "open_type": "isolated",
    "trigger_price": "59000",
    "price_way": 2,
    "price_type": 1,
}


def waiting(trader: Trader) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = trader.get(f"{PRIVATE}/current-plan-order").data
    return rows


def held(trader: Trader) -> str:
    amount: str = trader.position()["position_amount"]
    return amount


def test_a_plan_order_fires_when_the_price_falls_to_it(desk: Desk) -> None:
    trader = desk.trader(futures={"USDT": "10000"})
    plan_id = trader.post(f"{PRIVATE}/submit-plan-order", PLAN).data["order_id"]

    desk.price("BTCUSDT", "59000.1")
    assert (held(trader), [row["order_id"] for row in waiting(trader)]) == ("0", [str(plan_id)])
    desk.price("BTCUSDT", "59000")

    assert (held(trader), waiting(trader)) == ("4", [])
    order = trader.get(f"{PRIVATE}/order-history", symbol="BTCUSDT", client_order_id=f"PLAN_{plan_id}").data[0]
    assert (order["trigger_price"], order["deal_size"], order["state"]) == ("59000", "4", 4)


def test_a_plan_order_with_a_limit_rests_once_it_fired(desk: Desk) -> None:
    trader = desk.trader(futures={"USDT": "10000"})
    limit = PLAN | {"type": "limit", "executive_price": "58000"}
    plan_id = trader.post(f"{PRIVATE}/submit-plan-order", limit).data["order_id"]

    desk.price("BTCUSDT", "58900")

    rows = trader.get(f"{PRIVATE}/get-open-orders").data
    assert [(row["client_order_id"], row["price"]) for row in rows] == [(f"PLAN_{plan_id}", "58000")]


def test_a_plan_order_can_look_at_the_mark_price(desk: Desk) -> None:
    trader = desk.trader(futures={"USDT": "10000"})
    trader.post(f"{PRIVATE}/submit-plan-order", PLAN | {"price_type": 2})

    desk.price("BTCUSDT", "58000", mark="59001")
    assert held(trader) == "0"
    desk.price("BTCUSDT", "60000", mark="58999")

    assert held(trader) == "4"


def test_a_plan_order_that_cannot_be_paid_is_gone(desk: Desk) -> None:
    trader = desk.trader(futures={"USDT": "10"})
    trader.post(f"{PRIVATE}/submit-plan-order", PLAN)

    desk.price("BTCUSDT", "59000")

    assert (waiting(trader), held(trader), trader.usdt()["available_balance"]) == ([], "0", "10")


def test_a_changed_plan_order_fires_at_its_new_price(desk: Desk) -> None:
    trader = desk.trader(futures={"USDT": "10000"})
    plan_id = trader.post(f"{PRIVATE}/submit-plan-order", PLAN).data["order_id"]
    change = {"symbol": "BTCUSDT", "order_id": str(plan_id), "trigger_price": "58000", "type": "market"}

    assert trader.post(f"{PRIVATE}/modify-plan-order", change).data == {"order_id": str(plan_id)}
    desk.price("BTCUSDT", "59000")

    assert (held(trader), waiting(trader)[0]["trigger_price"]) == ("0", "58000")


def test_a_cancelled_plan_order_never_fires(desk: Desk) -> None:
    trader = desk.trader(futures={"USDT": "10000"})
    trader.post(f"{PRIVATE}/submit-plan-order", PLAN | {"client_order_id": "p1"})
    cancel = {"symbol": "BTCUSDT", "client_order_id": "p1"}

    assert trader.post(f"{PRIVATE}/cancel-plan-order", cancel).code == 1000
    assert trader.post(f"{PRIVATE}/cancel-plan-order", cancel).code == 40037
    desk.price("BTCUSDT", "50000")

    assert held(trader) == "0"


@pytest.mark.parametrize(
    ("kind", "trigger", "reached", "profit"),
    [("take_profit", "61000", "61000", "10"), ("stop_loss", "59000", "59000", "-10")],
)
def test_take_profit_and_stop_loss_close_the_whole_position(
    desk: Desk, kind: str, trigger: str, reached: str, profit: str
) -> None:
    trader = desk.trader(futures={"USDT": "10000"})
    trader.futures_order(**ENTRY)
    body = {"symbol": "BTCUSDT", "type": kind, "side": 3, "trigger_price": trigger, "executive_price": trigger}
    answer = trader.post(f"{PRIVATE}/submit-tp-sl-order", body | {"price_type": 1, "client_order_id": "x1"})
    assert answer.data["client_order_id"] == "x1"
    assert type(answer.data["order_id"]) is str

    desk.price("BTCUSDT", reached)

    assert held(trader) == "0"
    assert trader.get(f"{PRIVATE}/trades", symbol="BTCUSDT").data[0]["realised_profit"] == profit


def test_protection_without_a_position_is_refused_and_goes_with_it(desk: Desk) -> None:
    trader = desk.trader(futures={"USDT": "10000"})
    body = {"symbol": "BTCUSDT", "type": "stop_loss", "side": 3, "trigger_price": "59000", "price_type": 1}
    assert trader.post(f"{PRIVATE}/submit-tp-sl-order", body).code == 40021
    trader.futures_order(**ENTRY)
    trader.post(f"{PRIVATE}/submit-tp-sl-order", body)
    assert len(waiting(trader)) == 1

    trader.futures_order(side=3, type="market", size=10)

    assert waiting(trader) == []


def test_presets_hang_on_what_filled_and_close_no_more(desk: Desk) -> None:
    trader = desk.trader(futures={"USDT": "10000"})
    trader.futures_order(**ENTRY)
    presets = {"preset_take_profit_price": "62000", "preset_stop_loss_price": "58000", "preset_stop_loss_price_type": 2}
    order_id = trader.futures_order(**ENTRY | {"size": 3}, **presets).data["order_id"]

    rows = waiting(trader)
    assert sorted((row["type"], row["trigger_price"], row["size"], row["price_type"]) for row in rows) == [
        ("stop_loss", "58000", "3", 2),
        ("take_profit", "62000", "3", 1),
    ]
    change = {"symbol": "BTCUSDT", "order_id": str(order_id), "preset_stop_loss_price": "59000"}
    assert trader.post(f"{PRIVATE}/modify-preset-plan-order", change).data == {"order_id": str(order_id)}
    desk.price("BTCUSDT", "59000")

    assert held(trader) == "10"


@pytest.mark.parametrize(
    ("path", "amount"),
    [(["70000", "69999", "69301"], "10"), (["70000", "71000", "70290"], "0"), (["69999", "60000"], "10")],
)
def test_a_trailing_order_follows_the_best_price_by_its_rate(desk: Desk, path: list[str], amount: str) -> None:
    trader = desk.trader(futures={"USDT": "10000"})
    trader.futures_order(**ENTRY)
    body = {"symbol": "BTCUSDT", "side": 3, "size": 10, "leverage": "5", "open_type": "isolated"}
    trail = body | {"activation_price": "70000", "callback_rate": "1", "activation_price_type": 1}
    order_id = trader.post(f"{PRIVATE}/submit-trail-order", trail).data["order_id"]
    row = trader.get(f"{PRIVATE}/get-open-orders", type="trailing").data[0]
    assert (row["order_id"], row["callback_rate"], row["activation_price"]) == (str(order_id), "1", "70000")

    for price in path:
        desk.price("BTCUSDT", price)

    assert held(trader) == amount


def test_cancel_all_after_counts_down_unless_called_again(desk: Desk) -> None:
    trader = desk.trader(futures={"USDT": "10000"})
    trader.futures_order(**ENTRY | {"type": "limit", "price": "50000"})
    countdown = {"symbol": "BTCUSDT", "timeout": 10}
    assert trader.post(f"{PRIVATE}/cancel-all-after", countdown | {"timeout": 4}).code == 40011

    first = trader.post(f"{PRIVATE}/cancel-all-after", countdown).data
    assert first["cancel_time"] - first["set_time"] == 10
    desk.clock.ms += 4_000
    trader.post(f"{PRIVATE}/cancel-all-after", countdown)
    assert len(trader.get(f"{PRIVATE}/get-open-orders").data) == 1
    desk.clock.ms += 6_000

    assert trader.get(f"{PRIVATE}/get-open-orders").data == []


def test_waiting_orders_survive_a_restart(desk: Desk) -> None:
    trader = desk.trader(futures={"USDT": "10000"})
    trader.post(f"{PRIVATE}/submit-plan-order", PLAN)
    desk.close()

    desk.open()
    desk.price("BTCUSDT", "58000")

    assert held(trader) == "4"


def test_a_spot_trigger_places_its_order_when_reached(desk: Desk) -> None:
    trader = desk.trader(spot={"BTC": "0.1"})
    body = {"symbol": "BTC_USDT", "side": "sell", "type": "tp/sl", "trigger_type": "market", "size": "0.1"}
    order_id = trader.post("/spot/v4/algo/submit_order", body | {"trigger_price": "59000"}).data["order_id"]
    assert trader.spot_balances() == {"BTC": ("0.10000000", "0.00000000")}

    desk.price("BTC_USDT", "58900")

    assert trader.spot_balances() == {"USDT": ("5884.11000000", "0.00000000")}
    row = trader.post("/spot/v4/query/algo/order", {"orderId": order_id, "queryState": "history"}).data
    assert (row["state"], row["triggerPrice"]) == ("filled", "59000.00")
