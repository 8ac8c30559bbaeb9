from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import responses

from apps.connectors.exchange import (
    Balance,
    FeeRates,
    FillReport,
    Instrument,
    LiquidityRole,
    Market,
    NotSupportedError,
    OrderReport,
    OrderStatus,
    Side,
    Ticker,
    UnreachableError,
)
from tests.connectors.bitmart.venue import BASE, answer, recorded, sent, serve, spot

CLIENT_ORDER = "/spot/v4/query/client-order"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@responses.activate
def test_server_time() -> None:
    serve("spot/system-time")

    assert spot().server_time_ms() == 1760000000000


@responses.activate
def test_instruments_read_the_odd_names_right() -> None:
    serve("spot/symbols-details")

    assert spot().instruments() == [
        Instrument(
            market=Market.SPOT,
            symbol="BTC_USDT",
            base="BTC",
            quote="USDT",
            contract_size=Decimal(1),
            quantity_step=Decimal("0.00001"),
            price_tick=Decimal("0.01"),
            min_quantity=Decimal("0.00001"),
            max_quantity=Decimal("99999999"),
            min_notional=Decimal(5),
            max_leverage=None,
            is_trading=True,
        )
    ]


@responses.activate
def test_instruments_lose_the_padding_that_would_not_fit_a_column() -> None:
    serve("spot/symbols-details")

    found = spot().instruments()[0]

    assert [str(number) for number in (found.quantity_step, found.min_quantity, found.max_quantity)] == [
        "0.00001",
        "0.00001",
        "99999999",
    ]
    assert str(found.min_notional) == "5"


@responses.activate
def test_one_unreadable_symbol_hides_only_itself() -> None:
    good = recorded("spot/symbols-details")["response"]["data"]["symbols"][0]
    odd = good | {"symbol": "ODD_USDT", "quote_increment": "0"}
    paused = good | {"symbol": "NEW_USDT", "trade_status": "pre-trade", "min_sell_amount": 7}
    answer("GET", "/spot/v1/symbols/details", {"symbols": [odd, good, paused]})

    found = spot().instruments()

    assert [(i.symbol, i.is_trading, i.min_notional) for i in found] == [
        ("BTC_USDT", True, Decimal(5)),
        ("NEW_USDT", False, Decimal(7)),
    ]


@responses.activate
def test_a_listing_with_nothing_readable_is_no_answer() -> None:
    answer("GET", "/spot/v1/symbols/details", {"symbols": [{"symbol": "BTC_USDT"}]})

    with pytest.raises(UnreachableError):
        spot().instruments()


BTC = Ticker(
    symbol="BTC_USDT",
    last=Decimal("71257.99"),
    bid=Decimal("71257.98"),
    ask=Decimal("71258.01"),
    mark=None,
    at=at("2024-06-07T05:19:34.061"),
)


@responses.activate
def test_one_ticker_is_asked_for_by_name() -> None:
    serve("spot/ticker")

    assert spot().tickers(["BTC_USDT"]) == [BTC]
    assert sent().url == BASE + "/spot/quotation/v3/ticker?symbol=BTC_USDT"


@responses.activate
def test_the_whole_market_comes_as_arrays() -> None:
    serve("spot/tickers")

    tickers = spot().tickers()

    assert tickers[0] == BTC
    assert (tickers[1].symbol, tickers[1].bid, tickers[1].ask) == ("ADA_USDT", None, Decimal("0.4563"))


@responses.activate
def test_many_symbols_are_picked_from_the_whole_market() -> None:
    serve("spot/tickers")

    assert spot().tickers(["A_B", "C_D", "E_F", "BTC_USDT"]) == [BTC]


@responses.activate
def test_an_unknown_symbol_has_no_ticker() -> None:
    answer("GET", "/spot/quotation/v3/ticker", {}, code=70002, status=200)

    assert spot().tickers(["NO_SUCH"]) == []


@responses.activate
def test_balances_leave_out_what_is_zero() -> None:
    serve("spot/wallet")

    assert spot().balances() == [
        Balance("USDT", Decimal("19.62994956"), Decimal(0), Decimal("19.62994956"), Decimal("19.62994956")),
        Balance("BTC", Decimal("0.001"), Decimal("0.002"), Decimal("0.003"), Decimal("0.003")),
    ]


@responses.activate
def test_fee_rates_take_the_worse_side() -> None:
    serve("spot/trade-fee")

    assert spot().fee_rates("BTC_USDT") == FeeRates(maker=Decimal("0.0006"), taker=Decimal("0.0009"))
    assert sent().url == BASE + "/spot/v1/trade_fee?symbol=BTC_USDT"


@responses.activate
def test_fee_rates_of_older_answers() -> None:
    answer("GET", "/spot/v1/trade_fee", {"taker_fee_rate": "0.001", "maker_fee_rate": "0.0005"})

    assert spot().fee_rates("BTC_USDT") == FeeRates(maker=Decimal("0.0005"), taker=Decimal("0.001"))


@responses.activate
def test_an_order_is_read_exactly() -> None:
    serve("spot/client-order")

    assert spot().find_order("BTC_USDT", client_order_id="118100034543076010") == OrderReport(
        exchange_order_id="118100034543076010",
        client_order_id="118100034543076010",
        symbol="BTC_USDT",
        status=OrderStatus.FILLED,
        side=Side.BUY,
        quantity=Decimal("0.1"),
        filled_quantity=Decimal("0.1"),
        avg_fill_price=Decimal("39999"),
        created_at=at("2023-04-17T03:19:17.927"),
        updated_at=at("2023-04-17T03:19:19.408"),
    )


@responses.activate
def test_a_market_buy_reported_partially_canceled_is_filled() -> None:
    serve("spot/client-order-market-buy")

    report = spot().find_order("ADA_USDT", client_order_id="tv00000009")

    assert report is not None
    assert (report.status, report.filled_quantity, report.avg_fill_price, report.quantity) == (
        OrderStatus.FILLED,
        Decimal("20.71"),
        Decimal("0.245948"),
        None,
    )


@pytest.mark.parametrize(
    ("kind", "state", "filled", "status"),
    [
        ("limit", "new", "0", OrderStatus.ACCEPTED),
        ("limit", "new", "0.02", OrderStatus.PARTIAL),
        ("limit", "partially_filled", "0.02", OrderStatus.PARTIAL),
        ("limit", "filled", "0.1", OrderStatus.FILLED),
        ("limit", "canceled", "0", OrderStatus.CANCELED),
        ("limit", "partially_canceled", "0.02", OrderStatus.CANCELED),
        ("ioc", "partially_canceled", "0.02", OrderStatus.CANCELED),
        ("limit", "failed", "0", OrderStatus.REJECTED),
        ("limit", "failed", "0.02", OrderStatus.CANCELED),
        ("market", "new", "0", OrderStatus.ACCEPTED),
        ("market", "canceled", "0", OrderStatus.CANCELED),
        ("market", "canceled", "0.02", OrderStatus.FILLED),
        ("market", "partially_canceled", "0", OrderStatus.CANCELED),
        ("limit", "something_new", "0.02", OrderStatus.UNRECOGNIZED),
        ("limit", "", "0", OrderStatus.UNRECOGNIZED),
    ],
)
@responses.activate
def test_states_are_judged_by_what_was_filled(kind: str, state: str, filled: str, status: OrderStatus) -> None:
    row = recorded("spot/client-order")["response"]["data"]
    answer("POST", CLIENT_ORDER, row | {"type": kind, "state": state, "filledSize": filled, "clientOrderId": "tv1"})

    report = spot().find_order("BTC_USDT", client_order_id="tv1")

    assert report is not None
    assert (report.status, report.filled_quantity) == (status, Decimal(filled))
    assert report.is_market is (kind == "market")


@responses.activate
def test_numbers_may_come_as_json_numbers() -> None:
    row = recorded("spot/client-order")["response"]["data"]
    changed = row | {"filledSize": 1, "priceAvg": 39999.125, "orderId": 118100034543076010, "clientOrderId": "tv1"}
    answer("POST", CLIENT_ORDER, changed)

    report = spot().find_order("BTC_USDT", client_order_id="tv1")

    assert report is not None
    assert (report.exchange_order_id, report.avg_fill_price) == ("118100034543076010", Decimal("39999.125"))


@responses.activate
def test_open_orders_of_one_symbol() -> None:
    row = recorded("spot/open-orders")["response"]["data"][0]
    answer("POST", "/spot/v4/query/open-orders", [row, row | {"symbol": "ETH_USDT"}])

    found = spot().open_orders("BTC_USDT")

    assert [(o.client_order_id, o.status, o.filled_quantity) for o in found] == [
        ("tv1", OrderStatus.PARTIAL, Decimal("0.04"))
    ]


@responses.activate
def test_a_full_page_of_open_orders_is_no_answer() -> None:
    row = recorded("spot/open-orders")["response"]["data"][0]
    answer("POST", "/spot/v4/query/open-orders", [row] * 200)

    with pytest.raises(UnreachableError):
        spot().open_orders()


@responses.activate
def test_fills_of_an_order_are_read_exactly() -> None:
    serve("spot/order-trades")

    assert spot().fills("BTC_USDT", exchange_order_id="118100034543076010") == [
        FillReport(
            trade_id="122177405911172002",
            exchange_order_id="118100034543076010",
            symbol="BTC_USDT",
            side=Side.BUY,
            price=Decimal("39999"),
            quantity=Decimal("0.1"),
            fee=Decimal("9.99975"),
            fee_currency="USDT",
            role=LiquidityRole.TAKER,
            filled_at=at("2023-04-17T03:19:19.210"),
            client_order_id="118100034543076010",
        )
    ]
    assert sent().body == b'{"orderId":"118100034543076010","recvWindow":5000}'


@responses.activate
def test_fills_of_a_symbol_are_once_each_oldest_first_and_its_own() -> None:
    row = recorded("spot/order-trades")["response"]["data"][0]
    late = row | {"tradeId": "9", "createTime": 1759999999000}
    early = row | {"tradeId": "10", "createTime": 1759999998000}
    foreign = row | {"tradeId": "11", "symbol": "ETH_USDT", "createTime": 1759999998000}
    answer("POST", "/spot/v4/query/trades", [late, early, foreign, late, row])

    found = spot().fills("BTC_USDT", since=at("2025-10-09T08:53:00"))

    assert [fill.trade_id for fill in found] == ["10", "9"]
    assert sent().body == (
        b'{"symbol":"BTC_USDT","orderMode":"spot","startTime":1759999980000,"endTime":1760000060000,"limit":200,'
        b'"recvWindow":5000}'
    )


@responses.activate
def test_fills_of_an_unknown_order_are_none() -> None:
    answer("POST", "/spot/v4/query/order-trades", {}, code=50005, status=400)

    assert spot().fills("BTC_USDT", exchange_order_id="1") == []


@pytest.mark.parametrize(
    "change",
    [
        {"fee": None},
        {"fee": "NaN"},
        {"size": "0"},
        {"size": "-1"},
        {"side": "hold"},
        {"tradeRole": ""},
        {"feeCoinName": ""},
        {"createTime": 0},
        {"tradeId": ""},
        {"price": "1_000"},
        {"price": "1e500"},
    ],
)
@responses.activate
def test_an_unreadable_fill_is_no_answer(change: dict[str, Any]) -> None:
    row = recorded("spot/order-trades")["response"]["data"][0]
    answer("POST", "/spot/v4/query/order-trades", [row | change])

    with pytest.raises(UnreachableError):
        spot().fills("BTC_USDT", exchange_order_id="118100034543076010")


@responses.activate
def test_spot_has_no_positions_no_position_mode_and_no_leverage() -> None:
    exchange = spot()

    assert exchange.positions() == []
    with pytest.raises(NotSupportedError):
        exchange.position_mode()
    assert len(responses.calls) == 0
