"""Who may use the control routes, and what they answer."""

import re

import pytest

from tests.paper.desk import Desk


def test_issued_keys_look_like_bitmart_s(desk: Desk) -> None:
    answer = desk.control("POST", "accounts", {"balances": {"spot": {"USDT": "1"}}})

    assert answer.status == 200
    assert set(answer.content) == {"access_key", "secret_key", "memo"}
    assert re.fullmatch(r"[0-9a-f]{40}", answer.content["access_key"])
    assert re.fullmatch(r"[0-9a-f]{64}", answer.content["secret_key"])
    assert re.fullmatch(r"[a-z]+\d{4}", answer.content["memo"])


@pytest.mark.parametrize("path", ["accounts", "prices", "faults"])
def test_a_stranger_gets_404_without_a_token_set(desk: Desk, path: str) -> None:
    body = {"symbol": "BTC_USDT", "price": "1", "route": "/system/time", "action": "html"}

    answer = desk.control("POST", path, body, address="10.0.0.9")

    assert (answer.status, answer.code) == (404, 30000)
    assert desk.exchange.prices.quote("BTC_USDT", desk.clock.ms).last == 60000
    assert desk.desks.faults.take("/system/time") is None


@pytest.mark.parametrize(
    ("address", "authorization", "status"),
    [
        ("127.0.0.1", "", 404),
        ("127.0.0.1", "Bearer wrong", 404),
        ("10.0.0.9", "Bearer hush", 200),
        ("127.0.0.1", "Bearer hush", 200),
        ("127.0.0.1", "Bearer húsh", 404),
    ],
)
def test_with_a_token_set_everyone_needs_it(desk: Desk, address: str, authorization: str, status: int) -> None:
    desk.close()
    desk.token = "hush"
    desk.open()

    answer = desk.control("POST", "accounts", {}, address=address, headers={"Authorization": authorization})

    assert answer.status == status


@pytest.mark.parametrize(
    "body",
    [
        {"balances": {"margin": {"USDT": "1"}}},
        {"balances": {"spot": {"NOPE": "1"}}},
        {"balances": {"spot": {"USDT": "-1"}}},
        {"balances": {"spot": {"USDT": "x"}}},
        {"balances": []},
        {"position_mode": "both"},
        {"permissions": ["everything"]},
        {"label": "x" * 65},
    ],
)
def test_a_bad_account_is_refused(desk: Desk, body: dict[str, object]) -> None:
    assert desk.control("POST", "accounts", body).status == 400


@pytest.mark.parametrize(
    "body",
    [{}, {"symbol": "NOPE"}, {"symbol": "BTC_USDT", "price": "-1"}, {"symbol": "BTC_USDT", "move_bps": "-10000"}],
)
def test_a_bad_price_is_refused_and_changes_nothing(desk: Desk, body: dict[str, object]) -> None:
    assert desk.control("POST", "prices", body).status == 400
    assert desk.exchange.prices.quote("BTC_USDT", desk.clock.ms).last == 60000


def test_the_oracle_lists_orders_and_fills_with_client_ids(desk: Desk) -> None:
    trader = desk.trader(spot={"USDT": "1000"})
    order_id = trader.spot_order(side="buy", type="market", notional="100", client_order_id="o1").data["order_id"]

    orders = desk.control("GET", f"accounts/{trader.access_key}/orders").content["orders"]
    fills = desk.control("GET", f"accounts/{trader.access_key}/fills").content["fills"]

    assert [(row["id"], row["client_order_id"], row["filled_size"]) for row in orders] == [(order_id, "o1", "0.00166")]
    assert [(row["order_id"], row["client_order_id"], row["size"]) for row in fills] == [(order_id, "o1", "0.00166")]
    assert desk.control("GET", f"accounts/{'0' * 40}/orders").status == 404


def test_windows_of_limits_can_be_ended_and_the_calls_in_them_no_longer_count(desk: Desk) -> None:
    def statuses(count: int) -> set[int]:
        return {desk.send("GET", "/system/time").status for _ in range(count)}

    assert (statuses(10), statuses(1)) == ({200}, {429})

    assert desk.control("DELETE", "limits").status == 200

    assert (statuses(10), statuses(1)) == ({200}, {429})
