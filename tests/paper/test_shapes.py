"""The exchange answers in the shapes of the samples: the same keys, the same JSON types, one file a route."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.paper.desk import Desk, Trader

SAMPLES = Path(__file__).parents[1] / "fixtures" / "bitmart"
FILES = sorted(path.relative_to(SAMPLES) for path in SAMPLES.rglob("*.json"))
# Fields of a sample that BitMart leaves out at times.
OPTIONAL = {"total"}
ENTRY = {"side": 1, "type": "market", "size": 10, "leverage": "5", "open_type": "isolated"}
RESTING = ENTRY | {"type": "limit", "price": "50000", "size": 3}
SPOT_ORDER = {"symbol": "BTC_USDT", "side": "buy", "type": "limit", "size": "0.01", "price": "50000"}
PLAN = ENTRY | {"symbol": "BTCUSDT", "trigger_price": "50000", "price_way": 2, "price_type": 1}


def resting(trader: Trader) -> str:
    return str(trader.futures_order(**RESTING).data["order_id"])


def plan(trader: Trader) -> str:
    return str(trader.post("/contract/private/submit-plan-order", PLAN).data["order_id"])


def stop(trader: Trader) -> str:
    trader.futures_order(**ENTRY)
    body = {"symbol": "BTCUSDT", "type": "stop_loss", "side": 3, "trigger_price": "50000", "price_type": 1}
    order_id: str = trader.post("/contract/private/submit-tp-sl-order", body).data["order_id"]
    return order_id


def trail(trader: Trader) -> str:
    body = ENTRY | {"symbol": "BTCUSDT", "callback_rate": "1", "activation_price": "70000"}
    return str(trader.post("/contract/private/submit-trail-order", body).data["order_id"])


def spot_resting(trader: Trader) -> str:
    order_id: str = trader.post("/spot/v2/submit_order", SPOT_ORDER).data["order_id"]
    return order_id


def spot_bought(trader: Trader) -> str:
    order = {"side": "buy", "type": "market", "notional": "600", "client_order_id": "bought"}
    order_id: str = trader.spot_order(**order).data["order_id"]
    return order_id


# What a call of the route needs beside the symbol, made by what went before.
NEEDS: dict[str, Callable[[Trader], dict[str, Any]]] = {
    "/contract/private/order": lambda t: {"order_id": resting(t)},
    "/contract/private/get-open-orders": lambda t: {"limit": resting(t) and 9},
    "/contract/private/order-history": lambda t: {"order_id": t.futures_order(**ENTRY).data["order_id"]},
    "/contract/private/trades": lambda t: {"order_id": t.futures_order(**ENTRY).data["order_id"]},
    "/contract/private/transaction-history": lambda t: {"flow_type": t.futures_order(**ENTRY) and 4},
    "/contract/private/current-plan-order": lambda t: {"limit": plan(t) and 9},
    "/contract/private/position": lambda t: {"x": t.futures_order(**ENTRY).code},
    "/contract/private/position-v2": lambda t: {"x": t.futures_order(**ENTRY).code},
    "/contract/private/position-risk": lambda t: {"x": t.futures_order(**ENTRY).code},
    "/contract/private/submit-order": lambda t: ENTRY,
    "/contract/private/modify-limit-order": lambda t: {"order_id": int(resting(t)), "price": "51000"},
    "/contract/private/cancel-order": lambda t: {"order_id": resting(t)},
    "/contract/private/cancel-orders": lambda t: {"x": resting(t)},
    "/contract/private/cancel-all-after": lambda t: {"timeout": 10},
    "/contract/private/submit-leverage": lambda t: {"leverage": "5", "open_type": "isolated"},
    "/contract/private/set-position-mode": lambda t: {"position_mode": "hedge_mode"},
    "/contract/private/submit-plan-order": lambda t: PLAN,
    "/contract/private/modify-plan-order": lambda t: {"order_id": plan(t), "trigger_price": "49000", "price_type": 1},
    "/contract/private/cancel-plan-order": lambda t: {"order_id": plan(t)},
    "/contract/private/submit-tp-sl-order": lambda t: (
        {"type": "take_profit", "side": 3, "trigger_price": "70000", "price_type": 1} | {"x": stop(t)}
    ),
    "/contract/private/modify-tp-sl-order": lambda t: {"order_id": stop(t), "trigger_price": "49000", "price_type": 1},
    "/contract/private/modify-preset-plan-order": lambda t: {
        "order_id": resting(t),
        "preset_stop_loss_price": "40000",
    },
    "/contract/private/submit-trail-order": lambda t: ENTRY | {"callback_rate": "1", "activation_price": "70000"},
    "/contract/private/cancel-trail-order": lambda t: {"order_id": trail(t)},
    "/contract/private/claim": lambda t: {"currency": "USDT", "amount": "100"},
    "/account/v1/transfer-contract": lambda t: {"currency": "USDT", "amount": "1", "type": "spot_to_contract"},
    "/account/v1/transfer-contract-list": lambda t: {
        "page": 1,
        "limit": 10,
        "x": t.post(
            "/account/v1/transfer-contract", {"currency": "USDT", "amount": "1", "type": "spot_to_contract"}
        ).code,
    },
    "/account/v1/transfer": lambda t: {"currency": "USDT", "amount": "1", "type": "spot_to_fund"},
    "/account/v1/withdraw/charge": lambda t: {"currency": "BTC"},
    "/spot/v2/submit_order": lambda t: SPOT_ORDER,
    "/spot/v3/cancel_order": lambda t: {"order_id": spot_resting(t)},
    "/spot/v4/batch_orders": lambda t: {"orderParams": [SPOT_ORDER]},
    "/spot/v4/cancel_orders": lambda t: {"orderIds": [spot_resting(t)]},
    "/spot/v4/query/order": lambda t: {"orderId": spot_bought(t)},
    "/spot/v4/query/client-order": lambda t: {"clientOrderId": spot_bought(t) and "bought"},
    "/spot/v4/query/open-orders": lambda t: {"x": spot_resting(t)},
    "/spot/v4/query/history-orders": lambda t: {"x": spot_bought(t)},
    "/spot/v4/query/trades": lambda t: {"x": spot_bought(t)},
    "/spot/v4/query/order-trades": lambda t: {"orderId": spot_bought(t)},
}


def shape(value: Any) -> Any:
    """Return the value with its scalars as the names of their types, a list as the shape of its first row."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items() if name not in OPTIONAL}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    return type(value).__name__


def differences(sample: Any, answer: Any, at: str = "") -> list[str]:
    """Return where two shapes differ; null in either stands for any type, an empty list for any rows."""
    if "NoneType" in (sample, answer) or [] in (sample, answer):
        return []
    if isinstance(sample, dict) and isinstance(answer, dict):
        found = [f"{at}.{name}" for name in sample.keys() ^ answer.keys()]
        return found + [
            d for name in sample.keys() & answer.keys() for d in differences(sample[name], answer[name], f"{at}.{name}")
        ]
    if isinstance(sample, list) and isinstance(answer, list):
        return differences(sample[0], answer[0], f"{at}[]")
    return [] if sample == answer else [f"{at}: {sample} is {answer}"]


@pytest.mark.parametrize("file", FILES, ids=str)
def test_an_answer_has_the_keys_and_types_of_its_sample(desk: Desk, file: Path) -> None:
    sample = json.loads((SAMPLES / file).read_text())
    permissions = ["read", "spot_trade", "future_trade", "withdraw"]
    mode = "hedge_mode" if "hedge" in file.name else "one_way_mode"
    trader = desk.trader(spot={"USDT": "1000"}, futures={"USDT": "10000"}, position_mode=mode, permissions=permissions)
    path = sample["path"]
    fields = {"symbol": "BTC_USDT" if path.startswith("/spot") else "BTCUSDT"}
    if path in NEEDS:
        fields |= NEEDS[path](trader)

    answer = trader.get(path, **fields) if sample["method"] == "GET" else trader.post(path, fields)

    assert answer.code == 1000, answer.content
    assert differences(shape(sample["response"]), shape(answer.content)) == []
