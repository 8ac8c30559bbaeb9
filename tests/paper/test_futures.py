"""Futures orders and positions. BTCUSDT stands at 60,000, a contract is 0.001 BTC; fees 0.0006 taker, 0.0002 maker."""

import random
from decimal import Decimal
from typing import Any

import pytest

from tests.paper.desk import Desk, Trader

LONG_10 = {"side": 1, "type": "market", "size": 10, "leverage": "5", "open_type": "isolated"}


def hedger(desk: Desk, usdt: str = "10000") -> Trader:
    return desk.trader(futures={"USDT": usdt}, position_mode="hedge_mode")


def netter(desk: Desk, usdt: str = "10000") -> Trader:
    return desk.trader(futures={"USDT": usdt})


def test_an_open_takes_margin_with_the_closing_fee_and_pays_the_opening_fee(desk: Desk) -> None:
    trader = netter(desk)

    trader.futures_order(**LONG_10)

    # value 600; fee 0.36; deposit 600 / 5 + 0.36
    position = trader.position()
    assert position == position | {
        "current_amount": "10",
        "position_amount": "10",
        "position_side": "both",
        "position_value": "600",
        "position_cross": "120.36",
        "realized_value": "-0.36",
        "entry_price": "60000",
        "leverage": "5",
        "open_type": "isolated",
    }
    assert trader.usdt() == {
        "currency": "USDT",
        "available_balance": "9879.28",
        "frozen_balance": "0",
        "unrealized": "0",
        "equity": "9999.64",
        "position_deposit": "120.36",
    }


def test_a_round_trip_leaves_profit_less_both_fees(desk: Desk) -> None:
    trader = netter(desk)
    trader.futures_order(**LONG_10)
    desk.price("BTCUSDT", "61000")
    assert trader.usdt()["unrealized"] == "10"

    trader.futures_order(side=3, type="market", size=10)

    # +10 profit, -0.36 and -0.366 fees
    assert trader.usdt() == trader.usdt() | {"available_balance": "10009.274", "equity": "10009.274"}
    rows = trader.get("/contract/private/transaction-history").data
    assert [(row["type"], row["flow_type"], row["amount"]) for row in rows] == [
        ("Commission Fee", 4, "-0.366"),
        ("Realized PNL", 2, "10"),
        ("Commission Fee", 4, "-0.36"),
    ]
    fill = trader.get("/contract/private/trades", symbol="BTCUSDT").data[0]
    assert fill == fill | {
        "side": 3,
        "vol": "10",
        "realised_profit": "10",
        "paid_fees": "0.366",
        "exec_type": "Taker",
        "profit": True,
    }


def test_a_partial_close_gives_back_its_share(desk: Desk) -> None:
    trader = netter(desk)
    trader.futures_order(**LONG_10)
    desk.price("BTCUSDT", "59000")

    trader.futures_order(side=3, type="market", size=4)

    # -4 loss, 0.1416 fee, 48.144 of the deposit back
    assert trader.usdt() == trader.usdt() | {"available_balance": "9923.2824", "position_deposit": "72.216"}
    position = trader.position()
    assert position == position | {"current_amount": "6", "close_vol": "4", "position_value": "360"}
    assert position["realized_value"] == "-4.5016"


def test_the_order_id_is_a_number_on_submit_and_text_on_read(desk: Desk) -> None:
    trader = netter(desk)

    answer = trader.futures_order(**LONG_10, client_order_id="mine1")

    order_id = answer.data["order_id"]
    assert type(order_id) is int
    assert order_id > 2**53
    assert answer.data["price"] == "market price"
    order = trader.get("/contract/private/order", symbol="BTCUSDT", order_id=order_id).data
    assert order == order | {
        "order_id": str(order_id),
        "client_order_id": "mine1",
        "state": 4,
        "side": 1,
        "deal_size": "10",
        "size": "10",
        "price": "60030",
        "deal_avg_price": "60000",
        "position_mode": "one_way_mode",
    }
    history = trader.get("/contract/private/order-history", symbol="BTCUSDT", client_order_id="mine1").data
    assert [(row["order_id"], row["price"]) for row in history] == [(str(order_id), "0")]


def test_a_resting_order_freezes_and_fills_as_maker_when_reached(desk: Desk) -> None:
    trader = netter(desk)

    answer = trader.futures_order(**LONG_10 | {"type": "limit", "price": "59000"}, client_order_id="r1")
    assert answer.data["price"] == "59000"
    # value 590; deposit 118.354; opening fee at the taker rate 0.354
    assert trader.usdt() == trader.usdt() | {"available_balance": "9881.292", "frozen_balance": "118.708"}
    desk.price("BTCUSDT", "58000")

    fill = trader.get("/contract/private/trades", client_order_id="r1").data[0]
    assert (fill["price"], fill["exec_type"], fill["paid_fees"]) == ("59000", "Maker", "0.118")
    assert trader.usdt() == trader.usdt() | {"available_balance": "9881.528", "frozen_balance": "0"}


def test_hedge_mode_holds_both_sides(desk: Desk) -> None:
    trader = hedger(desk)

    trader.futures_order(**LONG_10)
    trader.futures_order(**LONG_10 | {"side": 4, "size": 4})

    rows = trader.get("/contract/private/position-v2", symbol="BTCUSDT").data
    assert [(row["position_side"], row["current_amount"]) for row in rows] == [("long", "10"), ("short", "4")]
    v1 = trader.get("/contract/private/position").data
    assert [(row["position_type"], row["margin_type"], row["position_mode"]) for row in v1] == [
        (1, "Isolated", "hedge_mode"),
        (2, "Isolated", "hedge_mode"),
    ]
    risk = trader.get("/contract/private/position-risk", symbol="BTCUSDT").data
    assert [row["position_side"] for row in risk] == ["Long", "Short"]


def test_one_way_mode_nets_and_reverses(desk: Desk) -> None:
    trader = netter(desk)
    trader.futures_order(**LONG_10)

    trader.futures_order(**LONG_10 | {"side": 4, "size": 30})

    position = trader.position()
    assert (position["position_amount"], position["current_amount"]) == ("-20", "20")
    # closing 10 costs 0.36, opening 20 costs 0.72 and 240.72 of deposit
    assert trader.usdt() == trader.usdt() | {"available_balance": "9757.84", "position_deposit": "240.72"}


def test_a_reversal_may_use_the_margin_that_its_close_frees(desk: Desk) -> None:
    trader = netter(desk, "122")
    assert trader.futures_order(**LONG_10).code == 1000

    assert trader.futures_order(**LONG_10 | {"side": 4, "size": 20}).code == 1000

    assert trader.position()["position_amount"] == "-10"
    # 122 less three fees of 0.36 and a deposit of 120.36
    assert trader.usdt()["available_balance"] == "0.56"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"symbol": "NOPEUSDT"}, 400, 40034),
        ({"symbol": ""}, 400, 40011),
        ({"side": 5}, 400, 40041),
        ({"side": "buy"}, 400, 40041),
        ({"type": "trailing"}, 400, 40042),
        ({"mode": 5}, 400, 40011),
        ({"size": "1.5"}, 400, 40043),
        ({"size": None}, 400, 40011),
        ({"size": 0}, 400, 40044),
        ({"size": 500_001}, 400, 40044),
        ({"type": "limit", "price": "60000.05"}, 400, 40043),
        ({"type": "limit", "price": "0"}, 400, 40044),
        ({"type": "limit"}, 400, 40011),
        ({"leverage": "101"}, 400, 40029),
        ({"leverage": "0.5"}, 400, 40030),
        ({"leverage": "ten"}, 400, 40040),
        ({"leverage": None}, 400, 40040),
        ({"open_type": "shared"}, 400, 40045),
        ({"open_type": None}, 400, 40045),
        ({"size": 1000}, 400, 40027),
        ({"side": 3}, 400, 40021),
        ({"side": 2}, 400, 40021),
        ({"client_order_id": "a_b"}, 403, 40048),
        ({"client_order_id": "a" * 33}, 403, 40049),
        ({"client_order_id": "taken"}, 403, 40050),
        ({"preset_stop_loss_price": "50000.05"}, 400, 40043),
    ],
)
def test_a_refused_order_has_its_code_and_changes_nothing(
    desk: Desk, body: dict[str, Any], status: int, code: int
) -> None:
    trader = hedger(desk, "1000")
    trader.futures_order(**LONG_10 | {"type": "limit", "price": "50000", "size": 1}, client_order_id="taken")
    before = trader.usdt()

    answer = trader.futures_order(**LONG_10 | body)

    assert (answer.status, answer.code) == (status, code)
    assert trader.usdt() == before
    assert len(desk.control("GET", f"accounts/{trader.access_key}/orders").content["orders"]) == 1


def test_a_close_larger_than_what_is_held_and_not_yet_promised_is_refused(desk: Desk) -> None:
    trader = hedger(desk)
    trader.futures_order(**LONG_10)
    trader.futures_order(side=3, type="limit", price="70000", size=6)

    assert trader.futures_order(side=3, type="market", size=5).code == 40020
    assert trader.futures_order(side=3, type="market", size=4).code == 1000
    rows = trader.get("/contract/private/position-v2", symbol="BTCUSDT").data
    assert [row["current_amount"] for row in rows] == ["6", "0"]


def test_numbers_may_come_as_text(desk: Desk) -> None:
    trader = netter(desk)

    answer = trader.futures_order(side="1", type="market", size="10", leverage=5, open_type="cross", mode="1")

    assert answer.code == 1000
    assert trader.position()["open_type"] == "cross"


def test_leverage_and_margin_mode_must_be_those_of_the_open_position(desk: Desk) -> None:
    trader = netter(desk)
    trader.futures_order(**LONG_10)

    assert trader.futures_order(**LONG_10 | {"leverage": "6"}).code == 40040
    assert trader.futures_order(**LONG_10 | {"open_type": "cross"}).code == 40012
    assert trader.futures_order(side=1, type="market", size=1).code == 1000
    assert trader.position()["current_amount"] == "11"


def test_submitted_leverage_stands_in_when_an_order_names_none(desk: Desk) -> None:
    trader = netter(desk)

    answer = trader.post(
        "/contract/private/submit-leverage", {"symbol": "BTCUSDT", "leverage": "20", "open_type": "cross"}
    )
    trader.futures_order(side=1, type="market", size=10)

    assert answer.data == {"symbol": "BTCUSDT", "leverage": "20", "open_type": "cross", "max_value": "100"}
    assert (trader.position()["leverage"], trader.position()["open_type"]) == ("20", "cross")


@pytest.mark.parametrize(
    ("mode", "price", "state", "deal_size"),
    [
        (1, "60000", 4, "10"),
        (1, "59999", 2, "0"),
        (2, "60000", 4, "10"),
        (2, "59999", 4, "0"),
        (3, "60000", 4, "10"),
        (3, "59999", 4, "0"),
        (4, "60000", 4, "0"),
        (4, "59999", 2, "0"),
    ],
)
def test_the_four_modes_of_a_limit_order(desk: Desk, mode: int, price: str, state: int, deal_size: str) -> None:
    trader = netter(desk)

    order_id = trader.futures_order(**LONG_10 | {"type": "limit", "mode": mode, "price": price}).data["order_id"]

    order = trader.get("/contract/private/order", symbol="BTCUSDT", order_id=order_id).data
    assert (order["state"], order["deal_size"]) == (state, deal_size)


def resting(trader: Trader, price: str, client_order_id: str = "") -> int:
    body = LONG_10 | {"type": "limit", "price": price, "client_order_id": client_order_id}
    order_id: int = trader.futures_order(**body).data["order_id"]
    return order_id


def test_cancel_with_neither_id_cancels_the_symbol(desk: Desk) -> None:
    trader = netter(desk)
    resting(trader, "50000")
    kept = resting(trader, "51000")
    trader.futures_order(**LONG_10 | {"symbol": "ETHUSDT", "type": "limit", "price": "1000"})

    # The misspelled name is ignored: this is the trap.
    answer = trader.post("/contract/private/cancel-order", {"symbol": "BTCUSDT", "orderId": str(kept)})

    assert answer.code == 1000
    assert [row["symbol"] for row in trader.get("/contract/private/get-open-orders").data] == ["ETHUSDT"]


def test_cancel_by_either_id_and_once_only(desk: Desk) -> None:
    trader = netter(desk)
    first, _ = resting(trader, "50000"), resting(trader, "51000", "second")

    by_id = trader.post("/contract/private/cancel-order", {"symbol": "BTCUSDT", "order_id": str(first)})
    again = trader.post("/contract/private/cancel-order", {"symbol": "BTCUSDT", "order_id": str(first)})
    by_client_id = trader.post("/contract/private/cancel-order", {"symbol": "BTCUSDT", "client_order_id": "second"})

    assert [by_id.code, again.code, by_client_id.code] == [1000, 40037, 1000]
    assert trader.usdt()["available_balance"] == "10000"


def test_a_modified_order_holds_the_new_margin_and_may_fill(desk: Desk) -> None:
    trader = netter(desk)
    order_id = resting(trader, "50000", "m1")

    body = {"symbol": "BTCUSDT", "order_id": order_id, "price": "55000", "size": 20}
    answer = trader.post("/contract/private/modify-limit-order", body)
    # value 1100: 220 + 0.66 + 0.66
    assert answer.data == {"order_id": order_id, "client_order_id": "m1"}
    assert trader.usdt()["frozen_balance"] == "221.32"

    trader.post(
        "/contract/private/modify-limit-order", {"symbol": "BTCUSDT", "client_order_id": "m1", "price": "60000"}
    )
    assert trader.position()["current_amount"] == "20"


def test_a_refused_change_leaves_the_order_as_it_was(desk: Desk) -> None:
    trader = netter(desk)
    order_id = resting(trader, "50000")
    before = trader.usdt()

    body = {"symbol": "BTCUSDT", "order_id": order_id, "size": 100_000}
    answer = trader.post("/contract/private/modify-limit-order", body)

    assert answer.code == 40027
    assert trader.usdt() == before
    assert trader.get("/contract/private/get-open-orders").data[0]["size"] == "10"


def test_the_position_mode_changes_only_while_nothing_is_open(desk: Desk) -> None:
    trader = netter(desk)
    resting(trader, "50000")
    body = {"position_mode": "hedge_mode"}

    assert trader.post("/contract/private/set-position-mode", body).code == 40059
    trader.post("/contract/private/cancel-orders", {"symbol": "BTCUSDT"})
    assert trader.post("/contract/private/set-position-mode", body).data == body
    assert trader.get("/contract/private/get-position-mode").data == body
    trader.futures_order(**LONG_10)
    assert trader.post("/contract/private/set-position-mode", {"position_mode": "one_way_mode"}).code == 40059


def test_a_flat_symbol_still_has_its_rows_in_version_2(desk: Desk) -> None:
    one_way, hedge = netter(desk), hedger(desk)

    assert [row["position_side"] for row in one_way.get("/contract/private/position-v2", symbol="BTCUSDT").data] == [
        "both"
    ]
    assert [row["current_amount"] for row in hedge.get("/contract/private/position-v2", symbol="BTCUSDT").data] == [
        "0",
        "0",
    ]
    assert one_way.get("/contract/private/position-v2").data == []
    assert one_way.get("/contract/private/position", symbol="BTCUSDT").data == []


def test_transfers_move_money_between_the_wallets(desk: Desk) -> None:
    trader = desk.trader(spot={"USDT": "100"}, futures={"USDT": "5"})
    path, body = "/account/v1/transfer-contract", {"currency": "USDT", "amount": "40", "type": "spot_to_contract"}

    assert trader.post(path, body).data == {"currency": "USDT", "amount": "40"}
    assert trader.post(path, body | {"amount": "61"}).code == 61001
    assert trader.post(path, body | {"type": "contract_to_spot", "amount": "45"}).code == 1000

    assert trader.spot_balances() == {"USDT": ("105.00000000", "0.00000000")}
    assert trader.usdt()["available_balance"] == "0"
    records = trader.post("/account/v1/transfer-contract-list", {"page": 1, "limit": 10}).data["records"]
    assert [(row["type"], row["amount"], row["state"]) for row in records] == [
        ("contract_to_spot", "45", "FINISHED"),
        ("spot_to_contract", "40", "FINISHED"),
    ]
    rows = trader.get("/contract/private/transaction-history", flow_type=1).data
    assert [(row["symbol"], row["amount"]) for row in rows] == [("", "-45"), ("", "40")]


def test_order_history_takes_seconds(desk: Desk) -> None:
    trader = netter(desk)
    trader.futures_order(**LONG_10)
    now_s = desk.clock.ms // 1000
    path = "/contract/private/order-history"

    in_seconds = trader.get(path, symbol="BTCUSDT", start_time=now_s - 60, end_time=now_s + 60)
    in_ms = trader.get(path, symbol="BTCUSDT", start_time=(now_s - 60) * 1000, end_time=(now_s + 60) * 1000)

    assert len(in_seconds.data) == 1
    assert in_ms.data == []


def test_an_isolated_position_is_liquidated_at_its_bankruptcy_price(desk: Desk) -> None:
    trader = netter(desk, "1000")
    trader.futures_order(**LONG_10 | {"leverage": "10"})
    # deposit 60.36, maintenance 600 × 0.0045 = 2.7: ruined when the loss reaches 57.66, at 54,234
    desk.price("BTCUSDT", "54234.1")
    assert trader.position()["current_amount"] == "10"

    desk.price("BTCUSDT", "54234")

    assert trader.position()["current_amount"] == "0"
    order = trader.get("/contract/private/order-history", symbol="BTCUSDT").data[0]
    # (600 - 60.36) / 0.01 / 0.9994 = 53996.39..., on the tick above
    assert (order["type"], order["side"], order["deal_avg_price"]) == ("liquidate", 3, "53996.4")
    # -60.036 loss, -0.3239784 fee: all of the deposit but a sliver of a tick
    assert trader.usdt()["equity"] == "939.2800216"


def test_a_cross_position_lives_on_the_whole_wallet_and_is_closed_at_mark(desk: Desk) -> None:
    trader = netter(desk, "200")
    trader.futures_order(**LONG_10 | {"leverage": "10", "open_type": "cross"})
    # 199.64 in all, maintenance 2.7: ruined when the loss reaches 196.94, at 40,306
    desk.price("BTCUSDT", "40306.1")
    assert trader.position()["current_amount"] == "10"

    desk.price("BTCUSDT", "40306")

    assert trader.position()["current_amount"] == "0"
    # 199.64 - 196.94 - 0.241836
    assert trader.usdt()["equity"] == "2.458164"


def test_a_loss_beyond_the_wallet_ends_at_zero_and_the_rest_is_cleared(desk: Desk) -> None:
    trader = netter(desk, "200")
    trader.futures_order(**LONG_10 | {"leverage": "10", "open_type": "cross"})

    desk.price("BTCUSDT", "30000")

    assert trader.usdt()["equity"] == "0"
    # 300 lost and 0.18 paid from 199.64
    rows = trader.get("/contract/private/transaction-history", flow_type=5).data
    assert [(row["type"], row["amount"]) for row in rows] == [("Liquidation Clearance", "100.54")]


def test_funding_is_paid_once_per_funding_time_two_seconds_after_it(desk: Desk) -> None:
    trader = netter(desk)
    trader.futures_order(**LONG_10)
    available = Decimal(trader.usdt()["available_balance"])
    rate = trader.get("/contract/public/funding-rate", symbol="BTCUSDT").data["expected_rate"]
    due = (desk.clock.ms // 28_800_000 + 1) * 28_800_000

    desk.clock.ms = due - 3_000
    assert trader.get("/contract/private/transaction-history", flow_type=3).data == []
    trader.usdt()
    trader.usdt()

    rows = trader.get("/contract/private/transaction-history", flow_type=3).data
    assert [row["amount"] for row in rows] == [f"{-600 * Decimal(rate):f}".rstrip("0")]
    assert Decimal(trader.usdt()["available_balance"]) == available - 600 * Decimal(rate)


def test_money_is_neither_made_nor_lost_by_random_trading(desk: Desk, dice: random.Random) -> None:
    mode = dice.choice(["one_way_mode", "hedge_mode"])
    trader = desk.trader(futures={"USDT": "10000"}, position_mode=mode)
    for _ in range(60):
        desk.price("BTCUSDT", f"{dice.randint(5_990_000, 6_010_000) / 100:.1f}")
        body = {"leverage": "5", "open_type": "isolated", "price": f"{dice.randint(59_900, 60_100)}"}
        kind = dice.choice(["market", "limit"])
        trader.futures_order(side=dice.randint(1, 4), type=kind, size=dice.randint(1, 60), **body)
        if dice.random() < 0.1:
            trader.post("/contract/private/cancel-orders", {"symbol": "BTCUSDT"})

    trader.post("/contract/private/cancel-orders", {"symbol": "BTCUSDT"})
    for row in trader.get("/contract/private/position").data:
        trader.futures_order(side=3 if row["position_type"] == 1 else 2, type="market", size=row["current_amount"])
    fills = desk.control("GET", f"accounts/{trader.access_key}/fills").content["fills"]
    cash = sum(
        (1 if fill["side"] == "sell" else -1) * Decimal(fill["notional"]) - Decimal(fill["fee"]) for fill in fills
    )
    assert len(fills) > 5
    assert trader.get("/contract/private/position").data == []
    assert trader.usdt() == trader.usdt() | {"frozen_balance": "0", "position_deposit": "0"}
    assert Decimal(trader.usdt()["available_balance"]) == 10_000 + cash
