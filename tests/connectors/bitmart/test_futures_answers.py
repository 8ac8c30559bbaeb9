import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import responses

from apps.connectors.bitmart.futures import FuturesExchange, in_turn
from apps.connectors.exchange import (
    Balance,
    Book,
    FeeRates,
    FillReport,
    Instrument,
    LiquidityRole,
    MarginMode,
    Market,
    OrderReport,
    OrderStatus,
    PositionMode,
    PositionReport,
    Side,
    Ticker,
    UnreachableError,
)
from tests.connectors.bitmart.venue import BASE, answer, client, futures, recorded, sent, serve

TRADES = "/contract/private/trades"
NOW = datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@responses.activate
def test_instruments_take_the_smaller_of_both_size_limits() -> None:
    serve("futures/details")

    assert futures().instruments() == [
        Instrument(
            market=Market.FUTURES,
            symbol="BTCUSDT",
            base="BTC",
            quote="USDT",
            contract_size=Decimal("0.001"),
            quantity_step=Decimal(1),
            price_tick=Decimal("0.1"),
            min_quantity=Decimal(1),
            max_quantity=Decimal(500000),
            min_notional=Decimal(0),
            max_leverage=Decimal(100),
            is_trading=True,
            delist_at=None,
        )
    ]


@responses.activate
def test_a_contract_on_its_way_out_says_when() -> None:
    row = recorded("futures/details")["response"]["data"]["symbols"][0]
    answer("GET", "/contract/public/details", {"symbols": [row | {"status": "Delisted", "delist_time": 1760000000}]})

    instrument = futures().instruments()[0]

    assert (instrument.is_trading, instrument.delist_at) == (False, NOW)


@responses.activate
def test_a_single_ticker_brings_book_and_mark() -> None:
    serve("futures/details")
    serve("futures/depth")
    serve("futures/markprice-kline")

    assert futures().tickers(["BTCUSDT"]) == [
        Ticker("BTCUSDT", Decimal(60000), Decimal(60000), Decimal("60000.1"), Decimal("60002.5"), NOW)
    ]
    assert [call.request.url for call in responses.calls] == [
        BASE + "/contract/public/details?symbol=BTCUSDT",
        BASE + "/contract/public/markprice-kline?symbol=BTCUSDT&step=1&start_time=1759999700&end_time=1760000060",
        BASE + "/contract/public/depth?symbol=BTCUSDT",
    ]


@responses.activate
def test_book_and_mark_are_asked_for_at_once() -> None:
    for name in ("details", "depth", "markprice-kline"):
        serve(f"futures/{name}")
    asked: list[int] = []

    def at_once(*calls: Callable[[], Any]) -> tuple[Any, ...]:
        asked.append(len(responses.calls))
        answers = in_turn(*reversed(calls))
        asked.append(len(responses.calls))
        return answers[::-1]

    tickers = FuturesExchange(client(), at_once=at_once).tickers(["BTCUSDT"])

    assert asked == [1, 3]
    assert (tickers[0].bid, tickers[0].mark) == (Decimal(60000), Decimal("60002.5"))


@responses.activate
def test_the_whole_market_costs_one_call() -> None:
    serve("futures/details")

    assert futures().tickers() == [Ticker("BTCUSDT", Decimal(60000), None, None, None, NOW)]
    assert len(responses.calls) == 1


@pytest.mark.parametrize("data", [{"symbols": []}, None])
@responses.activate
def test_an_unknown_symbol_has_no_ticker(data: Any) -> None:
    if data is None:
        answer("GET", "/contract/public/details", None, code=40034, status=400)
    else:
        answer("GET", "/contract/public/details", data)

    assert futures().tickers(["NOSUCH"]) == []


@responses.activate
def test_balances_count_margin_but_not_unrealized_pnl() -> None:
    serve("futures/assets-detail")

    assert futures().balances() == [
        Balance("USDT", Decimal(5), Decimal("1.5"), Decimal("18.5"), Decimal("18.25")),
    ]


@responses.activate
def test_fee_rates() -> None:
    serve("futures/trade-fee-rate")

    assert futures().fee_rates("BTCUSDT") == FeeRates(maker=Decimal("0.0002"), taker=Decimal("0.0006"))


@pytest.mark.parametrize(("word", "mode"), [("hedge_mode", PositionMode.HEDGE), ("one_way_mode", PositionMode.ONE_WAY)])
@responses.activate
def test_position_mode(word: str, mode: PositionMode) -> None:
    answer("GET", "/contract/private/get-position-mode", {"position_mode": word})

    assert futures().position_mode() is mode


@responses.activate
def test_an_unknown_position_mode_is_no_answer() -> None:
    answer("GET", "/contract/private/get-position-mode", {"position_mode": "both"})

    with pytest.raises(UnreachableError):
        futures().position_mode()


@responses.activate
def test_leverage_that_was_not_taken_over_is_not_believed() -> None:
    serve("futures/submit-leverage")

    with pytest.raises(UnreachableError):
        futures().set_leverage("ETHUSDT", leverage=Decimal(7), margin_mode=MarginMode.ISOLATED)


@pytest.mark.parametrize(
    ("state", "size", "dealt", "status"),
    [
        (1, "10", "0", OrderStatus.ACCEPTED),
        (2, "10", "0", OrderStatus.ACCEPTED),
        (2, "10", "4", OrderStatus.PARTIAL),
        (4, "10", "10", OrderStatus.FILLED),
        (4, "10", "0", OrderStatus.CANCELED),
        (4, "10", "4", OrderStatus.CANCELED),
        (4, "0", "0", OrderStatus.CANCELED),
        ("4", 10, 10, OrderStatus.FILLED),
        (3, "10", "0", OrderStatus.UNRECOGNIZED),
        (9, "10", "10", OrderStatus.UNRECOGNIZED),
    ],
)
@responses.activate
def test_finished_orders_are_judged_by_what_was_dealt(state: Any, size: Any, dealt: Any, status: OrderStatus) -> None:
    row = recorded("futures/order")["response"]["data"]
    answer("GET", "/contract/private/get-open-orders", [row | {"state": state, "size": size, "deal_size": dealt}])

    report = futures().open_orders("LTCUSDT")[0]

    assert (report.status, report.quantity, report.filled_quantity) == (status, Decimal(size), Decimal(dealt))


@pytest.mark.parametrize(
    ("kind", "is_market", "is_forced"),
    [("market", True, False), ("limit", False, False), ("liquidate", False, True), ("adl", False, True)],
)
@responses.activate
def test_order_is_called_what_its_row_calls_it(kind: str, is_market: bool, is_forced: bool) -> None:
    row = recorded("futures/order")["response"]["data"]
    answer("GET", "/contract/private/get-open-orders", [row | {"type": kind}])

    report = futures().open_orders("LTCUSDT")[0]

    assert (report.is_market, report.is_forced) == (is_market, is_forced)


@responses.activate
def test_open_orders_are_read_exactly() -> None:
    serve("futures/get-open-orders")

    assert futures().open_orders() == [
        OrderReport(
            exchange_order_id="220906179895578",
            client_order_id="tv00000003",
            symbol="BTCUSDT",
            status=OrderStatus.PARTIAL,
            side=Side.SELL,
            quantity=Decimal(10),
            filled_quantity=Decimal(4),
            avg_fill_price=Decimal(60000),
            created_at=at("2024-08-07T11:00:32.693"),
            updated_at=at("2024-08-07T11:00:32.793"),
        )
    ]
    assert sent().url == BASE + "/contract/private/get-open-orders?limit=100"


@pytest.mark.parametrize(
    ("side", "told", "only_closes", "price"),
    [
        (3, "58000.1", True, Decimal("58000.1")),
        (2, "62000", True, Decimal(62000)),
        (4, "58000", False, Decimal(58000)),
        (1, "0", False, None),
        (3, "", True, None),
        (3, "-", True, None),
    ],
)
@responses.activate
def test_finished_order_says_what_it_waited_for_and_whether_it_may_open(
    side: int, told: str, only_closes: bool, price: Decimal | None
) -> None:
    row = recorded("futures/order-history")["response"]["data"][0]
    row |= {"side": side, "trigger_price": told, "client_order_id": "PLAN_230930336848609001"}
    answer("GET", "/contract/private/order-history", [row])

    [report] = futures().order_history("LTCUSDT")

    assert (report.only_closes, report.trigger_price) == (only_closes, price)
    assert report.client_order_id == "PLAN_230930336848609001"


@responses.activate
def test_history_without_trigger_prices_names_none() -> None:
    row = recorded("futures/order-history")["response"]["data"][0]
    answer("GET", "/contract/private/order-history", [{k: v for k, v in row.items() if k != "trigger_price"}])

    assert futures().order_history("LTCUSDT")[0].trigger_price is None


@responses.activate
def test_a_full_page_of_open_orders_is_no_answer() -> None:
    row = recorded("futures/get-open-orders")["response"]["data"][0]
    answer("GET", "/contract/private/get-open-orders", [row] * 100)

    with pytest.raises(UnreachableError):
        futures().open_orders()


@responses.activate
def test_fills_are_read_exactly_oldest_first_and_asked_for_in_seconds() -> None:
    serve("futures/trades")

    found = futures().fills("BTCUSDT", since=at("2022-09-20T08:50:00"))

    assert found == [
        FillReport(
            trade_id="1141853900",
            exchange_order_id="220921197409433",
            symbol="BTCUSDT",
            side=Side.SELL,
            price=Decimal(19310),
            quantity=Decimal(8),
            fee=Decimal("0.092688"),
            fee_currency="USDT",
            role=LiquidityRole.TAKER,
            filled_at=at("2022-09-20T08:50:18.500"),
        ),
        FillReport(
            trade_id="1141853921",
            exchange_order_id="220921197409432",
            symbol="BTCUSDT",
            side=Side.BUY,
            price=Decimal("19313.3"),
            quantity=Decimal(108),
            fee=Decimal(0),
            fee_currency="USDT",
            role=LiquidityRole.MAKER,
            filled_at=at("2022-09-20T08:50:18.589"),
        ),
    ]
    assert sent().url == BASE + TRADES + "?symbol=BTCUSDT&start_time=1752310400&end_time=1760000060"


@responses.activate
def test_fills_of_one_order_leave_others_out_when_the_filter_is_ignored() -> None:
    serve("futures/trades")

    found = futures().fills("BTCUSDT", exchange_order_id="220921197409432")

    assert [fill.trade_id for fill in found] == ["1141853921"]
    assert sent().url == (
        BASE + TRADES + "?symbol=BTCUSDT&order_id=220921197409432&start_time=1752310400&end_time=1760000060"
    )


@responses.activate
def test_a_full_page_of_fills_is_read_in_halves() -> None:
    row = recorded("futures/trades")["response"]["data"][0]
    first_s = 1759990000
    dealt = [row | {"trade_id": str(n), "create_time": (first_s + n * 20) * 1000} for n in range(450)]

    def page(request: Any) -> tuple[int, dict[str, str], str]:
        start, end = int(request.params["start_time"]), int(request.params["end_time"])
        inside = [trade for trade in dealt if start <= trade["create_time"] // 1000 <= end]
        return 200, {}, json.dumps({"code": 1000, "message": "Ok", "data": inside[-200:]})

    responses.add_callback("GET", BASE + TRADES, callback=page)

    found = futures().fills("BTCUSDT", since=datetime.fromtimestamp(first_s, UTC))

    assert [fill.trade_id for fill in found] == [str(n) for n in range(450)]


@responses.activate
def test_a_page_that_stays_full_is_no_answer_and_ends() -> None:
    row = recorded("futures/trades")["response"]["data"][0]
    answer("GET", TRADES, [row] * 200)

    with pytest.raises(UnreachableError):
        futures().fills("BTCUSDT")

    assert len(responses.calls) <= 40


@responses.activate
def test_one_way_positions_take_their_sign_from_position_amount() -> None:
    serve("futures/position-v2")

    assert futures().positions() == [
        PositionReport(
            symbol="BTCUSDT",
            book=Book.NET,
            signed_quantity=Decimal(-10),
            avg_entry_price=Decimal(60000),
            mark_price=Decimal(60090),
            unrealized_pnl=Decimal("-0.9"),
            leverage=Decimal(5),
            margin_mode=MarginMode.ISOLATED,
            liquidation_price=Decimal("71500.1"),
        )
    ]


@responses.activate
def test_hedge_positions_keep_to_their_books() -> None:
    serve("futures/position-v2-hedge")

    found = futures().positions("BTCUSDT")

    assert [(p.book, p.signed_quantity, p.margin_mode, p.liquidation_price) for p in found] == [
        (Book.LONG, Decimal(10), MarginMode.ISOLATED, Decimal("71500.1")),
        (Book.SHORT, Decimal(-4), MarginMode.CROSS, None),
    ]
    assert sent().url == BASE + "/contract/private/position-v2?symbol=BTCUSDT"


@responses.activate
def test_the_older_position_route_is_used_where_v2_is_missing() -> None:
    answer("GET", "/contract/private/position-v2", None, code=30000, status=404)
    serve("futures/position")

    found = futures().positions()

    assert [(p.book, p.signed_quantity, p.mark_price, p.unrealized_pnl, p.margin_mode) for p in found] == [
        (Book.LONG, Decimal(10), Decimal(60090), Decimal(1), MarginMode.ISOLATED)
    ]


@responses.activate
def test_a_mark_value_under_the_name_of_the_mark_price_is_put_right() -> None:
    answer("GET", "/contract/private/position-v2", None, code=30031)
    row = recorded("futures/position")["response"]["data"][0] | {
        "symbol": "LTCUSDT",
        "position_mode": "one_way_mode",
        "position_type": 2,
        "current_amount": "1",
        "open_avg_price": "58.25",
        "entry_price": "58.25",
        "position_value": "0.05825",
        "current_value": "0.05845",
        "mark_price": "0.05824406044",
    }
    del row["mark_value"]
    answer("GET", "/contract/private/position", [row])

    position = futures().positions()[0]

    assert (position.book, position.signed_quantity) == (Book.NET, Decimal(-1))
    assert position.mark_price == Decimal("58.24406044")


@pytest.mark.parametrize(
    "change",
    [
        {"current_amount": None},
        {"position_side": "sideways"},
        {"position_amount": "0"},
        {"entry_price": "x"},
        {"symbol": ""},
    ],
)
@responses.activate
def test_an_unreadable_position_is_no_answer(change: dict[str, Any]) -> None:
    row = recorded("futures/position-v2")["response"]["data"][0]
    answer("GET", "/contract/private/position-v2", [row | change])

    with pytest.raises(UnreachableError):
        futures().positions()


@pytest.mark.parametrize("data", [None, {}, [None], "[]"])
@responses.activate
def test_flat_is_believed_only_from_a_list(data: Any) -> None:
    answer("GET", "/contract/private/position-v2", data)

    with pytest.raises(UnreachableError):
        futures().positions()


@responses.activate
def test_a_failed_position_query_is_not_flat() -> None:
    answer("GET", "/contract/private/position-v2", None, code=30014, status=503)

    with pytest.raises(UnreachableError):
        futures().positions()

    assert len(responses.calls) == 3
