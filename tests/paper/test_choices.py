"""Key states, policies, a recorded price file, thousands of instruments, prices that passed while it was down."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apps.paper.instruments import build_catalogue
from apps.paper.policies import CHOICES, Policies
from apps.paper.prices import Prices
from apps.paper.recording import read_recording
from apps.paper.server import Choices, open_desks
from apps.paper.store import Store
from tests.paper.desk import START_MS, Desk, Trader

ENTRY = {"side": 1, "type": "market", "size": 10, "leverage": "5", "open_type": "isolated"}


def change(desk: Desk, trader: Trader, **body: Any) -> None:
    assert desk.control("POST", f"accounts/{trader.access_key}", body).status == 200


@pytest.mark.parametrize(
    ("state", "status", "code"),
    [
        ({"state": "frozen"}, 401, 30003),
        ({"expires_ms": START_MS}, 403, 30011),
        ({"addresses": ["10.1.2.3"]}, 403, 30010),
        ({"permissions": ["read"]}, 403, 30012),
        ({"permissions": ["read"], "policies": {"permission_code": "30019"}}, 200, 30019),
    ],
)
def test_a_key_that_may_not_trade_places_nothing(desk: Desk, state: dict[str, Any], status: int, code: int) -> None:
    trader = desk.trader(spot={"USDT": "1000"})
    change(desk, trader, **state)

    answer = trader.spot_order(side="buy", type="market", notional="10")

    assert (answer.status, answer.code) == (status, code)
    assert desk.control("GET", f"accounts/{trader.access_key}/orders").content["orders"] == []


def test_a_key_bound_to_this_address_works_and_says_so(desk: Desk) -> None:
    trader = desk.trader(spot={"USDT": "1000"}, addresses=["127.0.0.1"], expires_ms=START_MS * 2)

    key = trader.get("/uapi-key/v1/account/info").content["data"]["api_keys"][0]

    assert (key["ip_whitelist"], key["api_key_expire_time"]) == (["127.0.0.1"], START_MS * 2)


@pytest.mark.parametrize(
    "body", [{"state": "gone"}, {"addresses": ["home"]}, {"policies": {"reduce_only": "maybe"}}, {"policies": "x"}]
)
def test_a_bad_change_of_a_key_is_refused(desk: Desk, body: dict[str, Any]) -> None:
    trader = desk.trader()

    assert desk.control("POST", f"accounts/{trader.access_key}", body).status == 400
    assert desk.control("POST", f"accounts/{'0' * 40}", {}).status == 404


@pytest.mark.parametrize(("policy", "code", "left"), [("refuse", 40020, "10"), ("clip", 1000, "0")])
def test_a_close_larger_than_the_position(desk: Desk, policy: str, code: int, left: str) -> None:
    trader = desk.trader(futures={"USDT": "1000"}, policies={"reduce_only": policy})
    trader.futures_order(**ENTRY)

    assert trader.futures_order(side=3, type="market", size=11).code == code
    assert trader.position()["current_amount"] == left


@pytest.mark.parametrize(
    ("policy", "codes"), [("live", [1000, 1000]), ("day", [50042, 1000]), ("ever", [50042, 50042])]
)
def test_how_long_a_client_id_stays_taken(desk: Desk, policy: str, codes: list[int]) -> None:
    trader = desk.trader(spot={"USDT": "1000"}, policies={"client_ids": policy})
    order = {"side": "buy", "type": "market", "notional": "10", "client_order_id": "again"}
    trader.spot_order(**order)

    soon = trader.spot_order(**order).code
    desk.clock.ms += 2 * 86_400_000

    assert [soon, trader.spot_order(**order).code] == codes


@pytest.mark.parametrize(
    ("policies", "code"), [({}, 1000), ({"limit_maker": "refuse"}, 50034), ({"limit_maker": "cancel"}, 1000)]
)
def test_a_post_only_order_that_would_trade(desk: Desk, policies: dict[str, str], code: int) -> None:
    trader = desk.trader(spot={"USDT": "1000"}, policies=policies)

    assert trader.spot_order(side="buy", type="limit_maker", size="0.01", price="60000").code == code
    assert trader.post("/spot/v4/query/trades").data == []


def test_policies_of_the_process_hold_where_an_account_has_none(desk: Desk) -> None:
    usual = desk.trader(futures={"USDT": "1000"})
    own = desk.trader(futures={"USDT": "1000"}, policies={"text_numbers": "accept"})
    chosen = {"unknown_symbol": "empty", "text_numbers": "refuse", "client_id_shown": "empty"}

    assert desk.control("POST", "policies", {"policies": chosen}).content["policies"]["text_numbers"] == "refuse"

    assert desk.send("GET", "/contract/public/details", query="symbol=NOPEUSDT").data == {"symbols": []}
    assert usual.futures_order(**ENTRY | {"size": "10"}).code == 40011
    assert own.futures_order(**ENTRY | {"size": "10"}).code == 1000


def test_a_position_mode_may_be_confirmed_and_not_applied(desk: Desk) -> None:
    trader = desk.trader(policies={"position_mode": "ignored"})

    answer = trader.post("/contract/private/set-position-mode", {"position_mode": "hedge_mode"})

    assert answer.data == {"position_mode": "hedge_mode"}
    assert trader.get("/contract/private/get-position-mode").data == {"position_mode": "one_way_mode"}


def test_a_signature_may_be_good_once_only(desk: Desk) -> None:
    trader = desk.trader(spot={"USDT": "1000"}, policies={"replay": "refuse"})
    raw = b'{"symbol":"BTC_USDT","side":"buy","type":"market","notional":"10"}'
    headers = trader.signed(raw)

    codes = [desk.send("POST", "/spot/v2/submit_order", headers=headers, body=raw).code for _ in range(2)]

    assert codes == [1000, 30005]


@pytest.mark.parametrize(("policy", "code"), [("40040", 40040), ("40012", 40012)])
def test_leverage_unlike_the_position_s(desk: Desk, policy: str, code: int) -> None:
    trader = desk.trader(futures={"USDT": "1000"}, policies={"leverage_mismatch": policy})
    trader.futures_order(**ENTRY)

    assert trader.futures_order(**ENTRY | {"leverage": "6"}).code == code
    assert trader.position()["current_amount"] == "10"


@pytest.mark.parametrize(("policy", "pnl"), [("mark", "20"), ("last", "10")])
def test_the_price_behind_open_pnl(desk: Desk, policy: str, pnl: str) -> None:
    trader = desk.trader(futures={"USDT": "1000"}, policies={"unrealized": policy})
    trader.futures_order(**ENTRY)

    desk.price("BTCUSDT", "61000", mark="62000")

    assert (trader.position()["unrealized_pnl"], trader.usdt()["unrealized"]) == (pnl, pnl)


@pytest.mark.parametrize(
    ("policy", "names"), [("snake", ["read", "spot_trade"]), ("title", ["Read", "Spot-Trade"]), ("hidden", [])]
)
def test_how_permissions_are_spelled(desk: Desk, policy: str, names: list[str]) -> None:
    trader = desk.trader(permissions=["read", "spot_trade"], policies={"permission_names": policy})

    info = trader.get("/uapi-key/v1/account/info").content["data"]

    assert info["api_keys"][0]["permissions"] == names


def test_an_order_without_a_client_id_may_show_none(desk: Desk) -> None:
    trader = desk.trader(spot={"USDT": "1000"}, policies={"client_id_shown": "empty"})

    trader.spot_order(side="buy", type="limit", size="0.01", price="50000")

    assert trader.post("/spot/v4/query/open-orders").data[0]["clientOrderId"] == ""


def test_an_unknown_policy_is_an_error() -> None:
    assert Policies().all() == {name: choices[0] for name, choices in CHOICES.items()}
    with pytest.raises(ValueError, match="reduce_only=maybe"):
        Policies({"reduce_only": "maybe"})


def test_a_recorded_file_is_followed_from_the_start_of_the_exchange(tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_text("symbol,time_ms,price\nBTC_USDT,1000,50000\nBTC_USDT,3000,50100.5\nETHUSDT,2000,3000\n")
    catalogue = build_catalogue()
    recording = read_recording(file, frozenset((*catalogue.spot, *catalogue.futures)))

    store = Store(tmp_path / "paper.sqlite3")
    prices = Prices(store, catalogue, seed=1, now_ms=START_MS, recording=recording)

    path = [prices.path("BTC_USDT", START_MS + after) for after in (-5_000, 0, 1_999, 2_000, 10**9)]
    assert path == [50000, 50000, 50000, Decimal("50100.5"), Decimal("50100.5")]
    assert prices.quote("ETHUSDT", START_MS + 1_000).last == 3000
    assert prices.quote("ETH_USDT", START_MS).last != 3000
    store.close()


@pytest.mark.parametrize("line", ["BTC_USDT,1", "BTC_USDT,one,1", "BTC_USDT,1,x", "NOPE,1,1", "BTC_USDT,1,-1", ""])
def test_a_file_that_holds_no_price_says_which_line(tmp_path: Path, line: str) -> None:
    file = tmp_path / "prices.csv"
    file.write_text(line)

    with pytest.raises(ValueError, match=r"line 1|no price"):
        read_recording(file, frozenset(["BTC_USDT"]))


def test_thousands_of_instruments_are_listed_and_trade(tmp_path: Path) -> None:
    choices = Choices(instruments=2_500)
    desks = open_desks(tmp_path, seed=1, control_token="", faults=False, choices=choices)
    catalogue = desks.exchange.catalogue
    listed = [*catalogue.spot.values(), *catalogue.futures.values()]

    assert (len(catalogue.spot), len(catalogue.futures)) == (2_501, 2_500)
    assert build_catalogue(2_500) == catalogue
    for instrument in listed[::50]:
        quote = desks.exchange.prices.quote(instrument.symbol, START_MS)
        assert quote.bid < quote.ask
        assert quote.bid % instrument.tick == 0
    made_up = catalogue.spot["QAAA_USDT"]
    assert (made_up.price_places + made_up.size_places <= 8, str(made_up.base.level)) == (True, "1.0E+3")
    desks.exchange.store.close()


def test_a_list_is_made_a_few_rows_at_a_time(desk: Desk) -> None:
    listing = type(desk.exchange.spot_listing)([f"S{number}" for number in range(600)])
    made: list[str] = []

    def row(symbol: str) -> str:
        made.append(symbol)
        return symbol

    for second in range(4):
        listing.text(row, desk.exchange.prices, START_MS + second * 1_000)
        listing.text(row, desk.exchange.prices, START_MS + second * 1_000 + 500)

    assert len(made) == 600 + 250 + 100 + 250
    assert listing.text(row, desk.exchange.prices, START_MS + 3_500).count(",") == 599


def test_prices_that_passed_while_it_was_down_fill_what_waited(desk: Desk) -> None:
    trader = desk.trader(spot={"USDT": "100000"})
    path = [desk.exchange.prices.path("ETH_USDT", desk.clock.ms + at) for at in range(4_000, 3_600_000, 1_000)]
    lowest = min(path) * Decimal("1.001")
    trader.spot_order(symbol="ETH_USDT", side="buy", type="limit", size="1", price=f"{lowest:.2f}")
    trader.get("/spot/v1/wallet")
    desk.close()
    desk.clock.ms += 3_600_000

    desk.open()
    desk.exchange.catch_up(desk.clock.ms)

    fills = desk.control("GET", f"accounts/{trader.access_key}/fills").content["fills"]
    assert [fill["role"] for fill in fills][:1] == ["maker"]
    assert START_MS < fills[0]["created_ms"] < desk.clock.ms - 60_000
