"""The SDK that BitMart publishes, unchanged, against the running paper exchange: an outside judge of the wire."""

from collections.abc import Iterator
from typing import Any

import pytest
from bitmart.api_account import APIAccount
from bitmart.api_contract import APIContract
from bitmart.api_spot import APISpot
from bitmart.api_system import APISystem
from bitmart.lib.cloud_exceptions import APIException

from tests.paper.running import PaperAccount, PaperProcess

pytestmark = pytest.mark.process


@pytest.fixture
def account(paper: PaperProcess) -> PaperAccount:
    paper.set_price("BTC_USDT", "60000")
    paper.set_price("BTCUSDT", "60000")
    return paper.new_account(position_mode="hedge_mode")


@pytest.fixture
def spot(paper: PaperProcess, account: PaperAccount) -> Iterator[APISpot]:
    client = APISpot(account.access_key, account.secret_key, account.memo, url=paper.base_url)
    yield client
    client.session.close()


@pytest.fixture
def contract(paper: PaperProcess, account: PaperAccount) -> Iterator[APIContract]:
    client = APIContract(account.access_key, account.secret_key, account.memo, url=paper.base_url)
    yield client
    client.session.close()


def data(answer: tuple[dict[str, Any], dict[str, str]]) -> Any:
    content, limits = answer
    assert content["code"] == 1000, content
    assert set(limits) == {"Remaining", "Limit", "Reset", "Mode"}
    return content["data"]


def test_spot_from_balance_to_fills(spot: APISpot, paper: PaperProcess, account: PaperAccount) -> None:
    wallet = data(spot.get_wallet())["wallet"]
    assert [(row["id"], row["available"]) for row in wallet] == [("USDT", "10000.00000000")]

    limit = data(spot.post_submit_order("BTC_USDT", "buy", "limit", client_order_id="sdk1", size="0.01", price="50000"))
    opened = data(spot.v4_query_open_orders(symbol="BTC_USDT"))
    assert [(row["orderId"], row["clientOrderId"], row["state"]) for row in opened] == [
        (limit["order_id"], "sdk1", "new")
    ]

    assert data(spot.post_cancel_order_by_orderid("BTC_USDT", limit["order_id"])) == {"result": True}
    assert data(spot.v4_query_order_by_id(limit["order_id"], "history"))["state"] == "canceled"

    market = data(spot.post_submit_order("BTC_USDT", "buy", "market", client_order_id="sdk2", notional="1000"))
    order = data(spot.v4_query_order_by_order_client_id("sdk2", "history"))
    assert (order["state"], order["filledSize"], order["filledNotional"]) == ("filled", "0.01665", "999.00000000")

    trades = data(spot.v4_query_order_trade_list(market["order_id"]))
    assert [(row["size"], row["price"], row["fee"]) for row in trades] == [("0.01665", "60000.00", "0.99900000")]
    assert data(spot.v4_query_account_trade_list(symbol="BTC_USDT")) == trades
    assert [row["client_order_id"] for row in paper.orders(account.access_key)] == ["sdk1", "sdk2"]


def test_spot_batch_and_history(spot: APISpot) -> None:
    orders = [{"side": "buy", "type": "limit", "size": "0.001", "price": price} for price in ("40000", "41000")]

    ids = data(spot.post_batch_orders("BTC_USDT", orders, recv_window=5000))["data"]["orderIds"]
    assert data(spot.post_cancel_orders(symbol="BTC_USDT", order_ids=ids[:1]))["successIds"] == ids[:1]
    assert data(spot.post_cancel_all_order(symbol="BTC_USDT")) == {}

    assert {row["orderId"] for row in data(spot.v4_query_account_orders(limit=10))} == set(ids)


def test_spot_market_data(spot: APISpot) -> None:
    assert "BTC_USDT" in data(spot.get_symbols())["symbols"]
    detail = next(row for row in data(spot.get_symbol_detail())["symbols"] if row["symbol"] == "BTC_USDT")
    assert (detail["quote_increment"], detail["price_max_precision"]) == ("0.00001", 2)
    assert data(spot.get_v3_ticker("BTC_USDT"))["last"] == "60000.00"
    assert len(data(spot.get_v3_tickers())[0]) == 13
    assert data(spot.get_v3_depth("BTC_USDT", 5))["asks"][0][0] == "60000.00"
    assert len(data(spot.get_v3_trades("BTC_USDT", 7))) == 7
    assert len(data(spot.get_v3_latest_kline("BTC_USDT", step=1, limit=4))) == 4
    assert [row["id"] for row in data(spot.get_currencies())["currencies"]][:2] == ["BTC", "ETH"]


def test_futures_from_balance_to_flat(contract: APIContract, paper: PaperProcess, account: PaperAccount) -> None:
    assert data(contract.get_assets_detail())[0]["available_balance"] == "10000"
    assert data(contract.post_submit_leverage("BTCUSDT", "isolated", "5"))["max_value"] == "100"

    limit = data(
        contract.post_submit_order(
            "BTCUSDT",
            client_order_id="sdk1",
            type="limit",
            side=1,
            leverage="5",
            open_type="isolated",
            mode=1,
            price="50000",
            size=3,
        )
    )
    opened = data(contract.get_open_order("BTCUSDT"))
    assert [(row["order_id"], row["client_order_id"], row["state"]) for row in opened] == [
        (str(limit["order_id"]), "sdk1", 2)
    ]
    changed = data(contract.post_modify_limit_order("BTCUSDT", order_id=limit["order_id"], price="51000", size=4))
    assert changed == {"order_id": limit["order_id"], "client_order_id": "sdk1"}
    data(contract.post_cancel_order("BTCUSDT", order_id=str(limit["order_id"])))
    order = data(contract.get_order("BTCUSDT", limit["order_id"]))
    assert (order["state"], order["deal_size"], order["price"]) == (4, "0", "51000")

    data(contract.post_submit_order("BTCUSDT", client_order_id="sdk2", type="market", side=1, size=10))
    position = data(contract.get_position("BTCUSDT"))[0]
    assert (position["current_amount"], position["position_cross"], position["position_type"]) == ("10", "120.36", 1)
    assert data(contract.get_position_risk("BTCUSDT"))[0]["position_amt"] == "10"

    paper.set_price("BTCUSDT", "61000")
    data(contract.post_submit_order("BTCUSDT", client_order_id="sdk3", type="market", side=3, size=10))
    assert data(contract.get_position("BTCUSDT")) == []
    assert data(contract.get_assets_detail())[0]["available_balance"] == "10009.274"

    trades = data(contract.get_trades("BTCUSDT"))
    assert [(row["side"], row["vol"], row["realised_profit"]) for row in trades] == [(3, "10", "10"), (1, "10", "0")]
    now_s = int(trades[0]["create_time"]) // 1000
    history = data(contract.get_order_history("BTCUSDT", now_s - 60, now_s + 60))
    assert [row["client_order_id"] for row in history] == ["sdk3", "sdk2", "sdk1"]
    flows = [row["type"] for row in data(contract.get_transaction_history("BTCUSDT"))]
    assert flows == ["Commission Fee", "Realized PNL", "Commission Fee"]


def test_futures_market_data(contract: APIContract) -> None:
    detail = data(contract.get_details("BTCUSDT"))["symbols"][0]
    now_s = detail["funding_time"] // 1000

    assert (detail["last_price"], detail["vol_precision"]) == ("60000", "1")
    assert data(contract.get_depth("BTCUSDT"))["bids"][0][0] == "60000"
    assert data(contract.get_open_interest("BTCUSDT"))["symbol"] == "BTCUSDT"
    assert data(contract.get_funding_rate("BTCUSDT"))["funding_time"] == detail["funding_time"]
    assert len(data(contract.get_fund_rate_history("BTCUSDT", 3))["list"]) == 3
    assert len(data(contract.get_kline("BTCUSDT", 60, now_s - 86_400 - 3_600, now_s - 86_400))) == 2
    assert data(contract.get_trade_fee_rate("BTCUSDT"))["taker_fee_rate"] == "0.0006"
    assert data(contract.get_current_plan_order("BTCUSDT")) == []
    assert len(data(contract.get_transfer_list(1, 10))["records"]) == 0


def test_a_refusal_reaches_the_sdk_as_its_exception(spot: APISpot, paper: PaperProcess, account: PaperAccount) -> None:
    with pytest.raises(APIException) as caught:
        spot.post_submit_order("BTC_USDT", "buy", "market", notional="10001")

    assert (caught.value.status_code, '"code":50020' in caught.value.response) == (400, True)
    assert paper.orders(account.access_key) == []


def test_system_and_account(paper: PaperProcess, account: PaperAccount) -> None:
    system = APISystem(url=paper.base_url)
    keyed = APIAccount(account.access_key, account.secret_key, account.memo, url=paper.base_url)

    assert isinstance(data(system.get_system_time())["server_time"], int)
    assert data(system.get_system_service())["service"][0]["status"] == "2"
    assert data(keyed.get_wallet())["wallet"][0]["currency"] == "USDT"
    assert data(keyed.get_actual_trade_fee_rate("BTC_USDT"))["buy_taker_fee_rate"] == "0.001"
    assert data(keyed.get_basic_fee_rate())["taker_fee_rate_A"] == "0.001"
    system.session.close()
    keyed.session.close()
