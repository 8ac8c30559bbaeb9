"""Exact bytes of every call beyond submit and cancel, and the calls that a market does not have."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest
import responses

from apps.connectors.exchange import (
    BatchReport,
    Exchange,
    MarginMode,
    NotSupportedError,
    OrderRejectedError,
    OrderRequest,
    OrderType,
    PositionMode,
    PresetPrice,
    PriceSource,
    Protection,
    ProtectionChange,
    RejectReason,
    Side,
    TimeInForce,
    TransactionKind,
    TransferDirection,
    UnreachableError,
)
from tests.connectors.bitmart import requests_made as made
from tests.connectors.bitmart.venue import BASE, NOW_MS, answer, futures, sent, serve, spot

D = Decimal
Call = Callable[[Exchange], object]
SIGNED_MS = 1759999999000
SINCE, UNTIL = datetime(2025, 10, 1, tzinfo=UTC), datetime(2025, 10, 2, tzinfo=UTC)
ENTRY = OrderRequest(
    "tv00000002",
    "BTCUSDT",
    Side.BUY,
    OrderType.MARKET,
    quantity=D(10),
    leverage=D(5),
    margin_mode=MarginMode.ISOLATED,
    take_profit=PresetPrice(D(65000)),
    stop_loss=PresetPrice(D("58000.50"), PriceSource.MARK),
)
CHANGE = ProtectionChange("BTCUSDT", D(57900), whole_position=True, client_order_id="tv00000003")

SENT: list[tuple[str, str, Call, bytes]] = [
    (
        "spot/batch-orders",
        "/spot/v4/batch_orders",
        lambda x: x.submit_batch(made.BATCH, signed_at_ms=SIGNED_MS),
        b'{"symbol":"BTC_USDT","orderParams":[{"side":"buy","type":"limit","clientOrderId":"tv00000011","size":"0.01",'
        b'"price":"60000.00"},{"side":"buy","type":"market","clientOrderId":"tv00000012","notional":"25.50"}],'
        b'"recvWindow":30000}',
    ),
    (
        "spot/cancel-orders",
        "/spot/v4/cancel_orders",
        lambda x: x.cancel_batch("BTC_USDT", exchange_order_ids=["1", "2"], signed_at_ms=SIGNED_MS),
        b'{"symbol":"BTC_USDT","orderIds":["1","2"],"recvWindow":30000}',
    ),
    (
        "spot/cancel-orders",
        "/spot/v4/cancel_orders",
        lambda x: x.cancel_batch("BTC_USDT", client_order_ids=["tv1"], signed_at_ms=SIGNED_MS),
        b'{"symbol":"BTC_USDT","clientOrderIds":["tv1"],"recvWindow":30000}',
    ),
    (
        "spot/cancel-all",
        "/spot/v4/cancel_all",
        lambda x: x.cancel_all("BTC_USDT", signed_at_ms=SIGNED_MS),
        b'{"symbol":"BTC_USDT"}',
    ),
    (
        "spot/cancel-all",
        "/spot/v4/cancel_all",
        lambda x: x.cancel_all("BTC_USDT", side=Side.SELL, signed_at_ms=SIGNED_MS),
        b'{"symbol":"BTC_USDT","side":"sell"}',
    ),
    (
        "futures/submit-order",
        "/contract/private/submit-order",
        lambda x: x.submit(ENTRY, signed_at_ms=SIGNED_MS),
        b'{"symbol":"BTCUSDT","client_order_id":"tv00000002","side":1,"type":"market","leverage":"5",'
        b'"open_type":"isolated","size":10,"preset_take_profit_price":"65000","preset_take_profit_price_type":1,'
        b'"preset_stop_loss_price":"58000.50","preset_stop_loss_price_type":2}',
    ),
    (
        "futures/modify-limit-order",
        "/contract/private/modify-limit-order",
        lambda x: x.modify_order(
            "BTCUSDT", exchange_order_id="220609666322019222", price=D("60001.5"), quantity=D(7), signed_at_ms=SIGNED_MS
        ),
        b'{"symbol":"BTCUSDT","order_id":220609666322019222,"price":"60001.5","size":7}',
    ),
    (
        "futures/modify-limit-order",
        "/contract/private/modify-limit-order",
        lambda x: x.modify_order("BTCUSDT", client_order_id="tv1", quantity=D(7), signed_at_ms=SIGNED_MS),
        b'{"symbol":"BTCUSDT","client_order_id":"tv1","size":7}',
    ),
    (
        "futures/cancel-orders",
        "/contract/private/cancel-orders",
        lambda x: x.cancel_all("BTCUSDT", signed_at_ms=SIGNED_MS),
        b'{"symbol":"BTCUSDT"}',
    ),
    (
        "futures/cancel-all-after",
        "/contract/private/cancel-all-after",
        lambda x: x.cancel_all_after("BTCUSDT", seconds=10, signed_at_ms=SIGNED_MS),
        b'{"symbol":"BTCUSDT","timeout":10}',
    ),
    (
        "futures/submit-plan-order",
        "/contract/private/submit-plan-order",
        lambda x: x.submit_trigger(made.TRIGGER, signed_at_ms=SIGNED_MS),
        b'{"symbol":"BTCUSDT","side":1,"type":"limit","mode":1,"leverage":"5","open_type":"isolated","size":10,'
        b'"trigger_price":"60000.5","price_way":1,"price_type":1,"executive_price":"60100",'
        b'"preset_take_profit_price":"65000","preset_take_profit_price_type":1,"preset_stop_loss_price":"58000",'
        b'"preset_stop_loss_price_type":2}',
    ),
    (
        "futures/modify-plan-order",
        "/contract/private/modify-plan-order",
        lambda x: x.modify_trigger(made.TRIGGER_CHANGE, signed_at_ms=SIGNED_MS),
        b'{"symbol":"BTCUSDT","order_id":"220609666322019","type":"limit","trigger_price":"60500","price_type":2,'
        b'"executive_price":"60600"}',
    ),
    (
        "futures/modify-plan-order",
        "/contract/private/modify-plan-order",
        lambda x: x.modify_trigger(replace(made.TRIGGER_CHANGE, price=None), signed_at_ms=SIGNED_MS),
        b'{"symbol":"BTCUSDT","order_id":"220609666322019","type":"market","trigger_price":"60500","price_type":2}',
    ),
    (
        "futures/cancel-plan-order",
        "/contract/private/cancel-plan-order",
        lambda x: x.cancel_trigger("BTCUSDT", client_order_id="tv00000003", signed_at_ms=SIGNED_MS),
        b'{"symbol":"BTCUSDT","client_order_id":"tv00000003"}',
    ),
    (
        "futures/submit-tp-sl-order",
        "/contract/private/submit-tp-sl-order",
        lambda x: x.submit_protection(made.STOP_LOSS, signed_at_ms=SIGNED_MS),
        b'{"symbol":"BTCUSDT","type":"stop_loss","side":3,"trigger_price":"58000","executive_price":"58000",'
        b'"price_type":2,"plan_category":2,"client_order_id":"tv00000003","category":"market"}',
    ),
    (
        "futures/submit-tp-sl-order",
        "/contract/private/submit-tp-sl-order",
        lambda x: x.submit_protection(
            replace(
                made.STOP_LOSS,
                kind=Protection.TAKE_PROFIT,
                side=Side.BUY,
                quantity=D(4),
                price=D(58100),
                source=PriceSource.LAST,
            ),
            signed_at_ms=SIGNED_MS,
        ),
        b'{"symbol":"BTCUSDT","type":"take_profit","side":2,"size":4,"trigger_price":"58000",'
        b'"executive_price":"58100","price_type":1,"plan_category":1,"client_order_id":"tv00000003",'
        b'"category":"limit"}',
    ),
    (
        "futures/modify-tp-sl-order",
        "/contract/private/modify-tp-sl-order",
        lambda x: x.modify_protection(CHANGE, signed_at_ms=SIGNED_MS),
        b'{"symbol":"BTCUSDT","client_order_id":"tv00000003","trigger_price":"57900","executive_price":"57900",'
        b'"price_type":1,"plan_category":2,"category":"market"}',
    ),
    (
        "futures/modify-preset-plan-order",
        "/contract/private/modify-preset-plan-order",
        lambda x: x.modify_presets(
            "BTCUSDT", exchange_order_id="77", take_profit=PresetPrice(D(65000)), signed_at_ms=SIGNED_MS
        ),
        b'{"symbol":"BTCUSDT","order_id":"77","preset_take_profit_price":"65000","preset_take_profit_price_type":1}',
    ),
    (
        "futures/submit-trail-order",
        "/contract/private/submit-trail-order",
        lambda x: x.submit_trailing(made.TRAILING, signed_at_ms=SIGNED_MS),
        b'{"symbol":"BTCUSDT","side":3,"size":10,"activation_price":"61000","callback_rate":"0.5",'
        b'"activation_price_type":1}',
    ),
    (
        "futures/cancel-trail-order",
        "/contract/private/cancel-trail-order",
        lambda x: x.cancel_trailing("BTCUSDT", exchange_order_id="220609666322020", signed_at_ms=SIGNED_MS),
        b'{"symbol":"BTCUSDT","order_id":"220609666322020"}',
    ),
    (
        "futures/transfer-contract",
        "/account/v1/transfer-contract",
        lambda x: x.transfer(TransferDirection.TO_FUTURES, currency="USDT", amount=D(10), signed_at_ms=SIGNED_MS),
        b'{"currency":"USDT","amount":"10","type":"spot_to_contract","recvWindow":30000}',
    ),
]

# Asked without a given time: path, then the query string or body, and its units.
QUESTIONS: list[tuple[str, str, Call, object]] = [
    (
        "spot/history-orders",
        "/spot/v4/query/history-orders",
        lambda x: x.order_history("BTC_USDT", since=SINCE, until=UNTIL),
        b'{"symbol":"BTC_USDT","orderMode":"spot","startTime":1759276800000,"endTime":1759363200000,"limit":200,'
        b'"recvWindow":5000}',
    ),
    (
        "spot/klines",
        "/spot/quotation/v3/klines",
        lambda x: x.candles("BTC_USDT", minutes=60, since=SINCE, until=UNTIL),
        {"symbol": "BTC_USDT", "step": "60", "limit": "200", "after": "1759276800", "before": "1759363200"},
    ),
    (
        "spot/books",
        "/spot/quotation/v3/books",
        lambda x: x.order_book("BTC_USDT"),
        {"symbol": "BTC_USDT", "limit": "50"},
    ),
    (
        "spot/market-trades",
        "/spot/quotation/v3/trades",
        lambda x: x.recent_matches("LTC_USDT"),
        {"symbol": "LTC_USDT", "limit": "50"},
    ),
    ("spot/user-fee", "/spot/v1/user_fee", lambda x: x.fee_schedule(), {}),
    (
        "futures/order-history",
        "/contract/private/order-history",
        lambda x: x.order_history("LTCUSDT", since=SINCE, until=UNTIL),
        {"symbol": "LTCUSDT", "start_time": "1759276800", "end_time": "1759363200"},
    ),
    (
        "futures/current-plan-order",
        "/contract/private/current-plan-order",
        lambda x: x.trigger_orders("BTCUSDT"),
        {"symbol": "BTCUSDT", "limit": "100"},
    ),
    (
        "futures/transaction-history",
        "/contract/private/transaction-history",
        lambda x: x.transactions(symbol="LTCUSDT", kind=TransactionKind.FUNDING_FEE, since=SINCE, until=UNTIL),
        {
            "symbol": "LTCUSDT",
            "flow_type": "3",
            "start_time": "1759276800000",
            "end_time": "1759363200000",
            "page_size": "1000",
        },
    ),
    (
        "futures/transfer-list",
        "/account/v1/transfer-contract-list",
        lambda x: x.transfers(currency="USDT", since=SINCE, until=UNTIL),
        b'{"page":1,"limit":100,"currency":"USDT","time_start":1759276800000,"time_end":1759363200000,'
        b'"recvWindow":5000}',
    ),
    (
        "futures/position-risk",
        "/contract/private/position-risk",
        lambda x: x.position_risks("BTCUSDT"),
        {"symbol": "BTCUSDT"},
    ),
    (
        "futures/kline",
        "/contract/public/kline",
        lambda x: x.candles("BTCUSDT", minutes=60, since=SINCE, until=UNTIL),
        {"symbol": "BTCUSDT", "step": "60", "start_time": "1759276800", "end_time": "1759363200"},
    ),
    (
        "futures/markprice-kline",
        "/contract/public/markprice-kline",
        lambda x: x.candles("BTCUSDT", minutes=60, since=SINCE, until=UNTIL, source=PriceSource.MARK),
        {"symbol": "BTCUSDT", "step": "60", "start_time": "1759276800", "end_time": "1759363200"},
    ),
]


def exchange_of(name: str) -> Exchange:
    return spot() if name.startswith("spot/") else futures()


@pytest.mark.parametrize(("name", "path", "call", "body"), SENT)
@responses.activate
def test_bytes_of_what_changes_something(name: str, path: str, call: Call, body: bytes) -> None:
    serve(name)

    call(exchange_of(name))

    assert len(responses.calls) == 1
    assert (sent().method, sent().url, sent().body) == ("POST", BASE + path, body)
    assert sent().headers["X-BM-TIMESTAMP"] == str(SIGNED_MS)


@pytest.mark.parametrize(("name", "path", "call", "asked"), QUESTIONS)
@responses.activate
def test_questions_count_time_in_their_routes_unit(name: str, path: str, call: Call, asked: object) -> None:
    serve(name)

    call(exchange_of(name))

    url = urlsplit(sent().url)
    found = sent().body if isinstance(asked, bytes) else {k: v for k, (v,) in parse_qs(url.query).items()}
    assert (url.path, found) == (path, asked)


@pytest.mark.parametrize(("name", "path", "call", "body"), SENT)
@responses.activate
def test_what_changes_something_is_sent_once_whatever_happens(name: str, path: str, call: Call, body: bytes) -> None:
    responses.add("POST", BASE + path, body="<html>", status=502)

    with pytest.raises(UnreachableError):
        call(exchange_of(name))

    assert len(responses.calls) == 1


@pytest.mark.parametrize("blank", ["", " "])
@responses.activate
def test_an_empty_id_or_symbol_is_never_sent(blank: str) -> None:
    calls: list[Call] = [
        lambda x: x.cancel_all(blank, signed_at_ms=1),
        lambda x: x.cancel_batch("BTC_USDT", exchange_order_ids=["1", blank], signed_at_ms=1),
        lambda x: x.cancel_batch("BTC_USDT", client_order_ids=[blank], signed_at_ms=1),
        lambda x: x.cancel_batch(blank, client_order_ids=["1"], signed_at_ms=1),
        lambda x: x.cancel_batch("BTC_USDT", signed_at_ms=1),
    ]
    futures_calls: list[Call] = [
        lambda x: x.cancel_all(blank, signed_at_ms=1),
        lambda x: x.cancel_all_after(blank, seconds=5, signed_at_ms=1),
        lambda x: x.cancel_trigger("BTCUSDT", exchange_order_id=blank, client_order_id=blank, signed_at_ms=1),
        lambda x: x.cancel_trailing("BTCUSDT", exchange_order_id=blank, signed_at_ms=1),
        lambda x: x.modify_order("BTCUSDT", exchange_order_id=blank, price=D(1), signed_at_ms=1),
        lambda x: x.modify_trigger(replace(made.TRIGGER_CHANGE, exchange_order_id=blank), signed_at_ms=1),
        lambda x: x.modify_protection(replace(CHANGE, client_order_id=blank), signed_at_ms=1),
        lambda x: x.modify_presets("BTCUSDT", exchange_order_id=blank, stop_loss=PresetPrice(D(1)), signed_at_ms=1),
        lambda x: x.submit_protection(replace(made.STOP_LOSS, client_order_id=blank), signed_at_ms=1),
        lambda x: x.submit_trigger(replace(made.TRIGGER, symbol=blank), signed_at_ms=1),
    ]
    for exchange, listed in ((spot(), calls), (futures(), futures_calls)):
        for call in listed:
            with pytest.raises(ValueError):
                call(exchange)

    assert len(responses.calls) == 0


FAULTY: list[Call] = [
    lambda x: x.cancel_all_after("BTCUSDT", seconds=4, signed_at_ms=1),
    lambda x: x.cancel_all_after("BTCUSDT", seconds=-1, signed_at_ms=1),
    lambda x: x.modify_order("BTCUSDT", exchange_order_id="7", signed_at_ms=1),
    lambda x: x.modify_order("BTCUSDT", exchange_order_id="seven", price=D(1), signed_at_ms=1),
    lambda x: x.modify_order("BTCUSDT", exchange_order_id="7", quantity=D("1.5"), signed_at_ms=1),
    lambda x: x.modify_presets("BTCUSDT", exchange_order_id="7", signed_at_ms=1),
    lambda x: x.submit_trigger(replace(made.TRIGGER, trigger_price=D(0)), signed_at_ms=1),
    lambda x: x.submit_trigger(replace(made.TRIGGER, reduce_only=True), signed_at_ms=1),
    lambda x: x.submit_trailing(replace(made.TRAILING, callback_rate=D("0.0009")), signed_at_ms=1),
    lambda x: x.submit_trailing(replace(made.TRAILING, callback_rate=D("0.5")), signed_at_ms=1),
    lambda x: x.submit_protection(replace(made.STOP_LOSS, quantity=D(0)), signed_at_ms=1),
    lambda x: x.submit(replace(ENTRY, reduce_only=True), signed_at_ms=1),
    lambda x: x.transfer(TransferDirection.TO_SPOT, currency="", amount=D(1), signed_at_ms=1),
    lambda x: x.transfer(TransferDirection.TO_SPOT, currency="USDT", amount=D(-1), signed_at_ms=1),
]


@pytest.mark.parametrize("call", FAULTY)
@responses.activate
def test_a_faulty_futures_call_is_never_sent(call: Call) -> None:
    with pytest.raises(ValueError):
        call(futures())

    assert len(responses.calls) == 0


@pytest.mark.parametrize(
    "batch",
    [
        [],
        [replace(made.BATCH[0], client_order_id=f"tv{n}") for n in range(11)],
        [made.BATCH[0], replace(made.BATCH[1], symbol="ETH_USDT")],
        [made.BATCH[0], made.BATCH[0]],
        [replace(made.BATCH[0], price=None)],
    ],
)
@responses.activate
def test_a_faulty_batch_is_never_sent(batch: list[OrderRequest]) -> None:
    with pytest.raises(ValueError):
        spot().submit_batch(batch, signed_at_ms=1)

    assert len(responses.calls) == 0


ABSENT_ON_SPOT: list[Call] = [
    lambda x: x.position_mode(),
    lambda x: x.set_position_mode(PositionMode.HEDGE),
    lambda x: x.set_leverage("BTC_USDT", leverage=D(5), margin_mode=MarginMode.CROSS),
    lambda x: x.cancel_all_after("BTC_USDT", seconds=5, signed_at_ms=1),
    lambda x: x.modify_order("BTC_USDT", exchange_order_id="1", price=D(1), signed_at_ms=1),
    lambda x: x.submit_trigger(made.TRIGGER, signed_at_ms=1),
    lambda x: x.modify_trigger(made.TRIGGER_CHANGE, signed_at_ms=1),
    lambda x: x.cancel_trigger("BTC_USDT", exchange_order_id="1", signed_at_ms=1),
    lambda x: x.trigger_orders(),
    lambda x: x.submit_protection(made.STOP_LOSS, signed_at_ms=1),
    lambda x: x.modify_protection(CHANGE, signed_at_ms=1),
    lambda x: x.modify_presets("BTC_USDT", exchange_order_id="1", signed_at_ms=1),
    lambda x: x.submit_trailing(made.TRAILING, signed_at_ms=1),
    lambda x: x.cancel_trailing("BTC_USDT", exchange_order_id="1", signed_at_ms=1),
    lambda x: x.transfer(TransferDirection.TO_SPOT, currency="USDT", amount=D(1), signed_at_ms=1),
    lambda x: x.transfers(),
    lambda x: x.transactions(),
    lambda x: x.position_risks(),
    lambda x: x.funding_rate("BTC_USDT"),
    lambda x: x.funding_history("BTC_USDT"),
    lambda x: x.open_interest("BTC_USDT"),
    lambda x: x.leverage_brackets("BTC_USDT"),
    lambda x: x.candles("BTC_USDT", minutes=1, source=PriceSource.MARK),
    lambda x: x.cancel_batch("BTC_USDT", exchange_order_ids=["1"], client_order_ids=["tv1"], signed_at_ms=1),
    lambda x: x.submit(replace(made.BATCH[0], take_profit=PresetPrice(D(1))), signed_at_ms=1),
    lambda x: x.submit_batch([replace(made.BATCH[0], time_in_force=TimeInForce.FOK)], signed_at_ms=1),
]
ABSENT_ON_FUTURES: list[Call] = [
    lambda x: x.submit_batch([ENTRY], signed_at_ms=1),
    lambda x: x.cancel_batch("BTCUSDT", exchange_order_ids=["1"], signed_at_ms=1),
    lambda x: x.cancel_all("BTCUSDT", side=Side.BUY, signed_at_ms=1),
    lambda x: x.fee_schedule(),
]


@pytest.mark.parametrize("call", ABSENT_ON_SPOT)
@responses.activate
def test_what_spot_does_not_have_is_refused_before_it_is_sent(call: Call) -> None:
    with pytest.raises(NotSupportedError) as caught:
        call(spot())

    assert len(responses.calls) == 0
    assert caught.value.sentence.endswith("Nothing was sent.")


@pytest.mark.parametrize("call", ABSENT_ON_FUTURES)
@responses.activate
def test_what_futures_do_not_have_is_refused_before_it_is_sent(call: Call) -> None:
    with pytest.raises(NotSupportedError) as caught:
        call(futures())

    assert len(responses.calls) == 0
    assert caught.value.sentence.endswith("Nothing was sent.")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"code": 0, "data": {"orderIds": ["1"]}}, BatchReport(("1",), is_complete=False)),
        ({"code": 0, "data": {"orderIds": [1, "2"]}}, BatchReport(("1", "2"), is_complete=True)),
        ({"code": 50020, "msg": "Balance not enough"}, None),
        ({"code": 0, "data": {"orderIds": []}}, None),
        ({"code": 0, "data": {"orderIds": ["1", "1"]}}, None),
        ({"code": 0, "data": {"orderIds": ["1", "2", "3"]}}, None),
        ({"code": 0, "data": {"orderIds": ["1", None]}}, None),
        ({}, None),
    ],
)
@responses.activate
def test_a_batch_is_what_its_inner_answer_proves_and_no_more(data: object, expected: BatchReport | None) -> None:
    answer("POST", "/spot/v4/batch_orders", data)

    if expected is None:
        with pytest.raises(UnreachableError):
            spot().submit_batch(made.BATCH, signed_at_ms=1)
    else:
        assert spot().submit_batch(made.BATCH, signed_at_ms=1) == expected


@responses.activate
def test_a_refused_batch_of_several_is_in_doubt_and_of_one_is_rejected() -> None:
    answer("POST", "/spot/v4/batch_orders", {}, code=50020, status=400)

    with pytest.raises(UnreachableError):
        spot().submit_batch(made.BATCH, signed_at_ms=1)
    with pytest.raises(OrderRejectedError) as caught:
        spot().submit_batch(made.BATCH[:1], signed_at_ms=1)

    assert caught.value.reason is RejectReason.INSUFFICIENT_BALANCE


@pytest.mark.parametrize("data", [{}, None, {"currency": "USDT", "amount": "1"}, {"currency": "BTC", "amount": "10"}])
@responses.activate
def test_a_transfer_whose_answer_says_something_else_is_in_doubt(data: object) -> None:
    answer("POST", "/account/v1/transfer-contract", data)

    with pytest.raises(UnreachableError):
        futures().transfer(TransferDirection.TO_SPOT, currency="USDT", amount=D(10), signed_at_ms=1)

    assert len(responses.calls) == 1


@responses.activate
def test_a_mode_that_the_account_did_not_take_over_is_told() -> None:
    answer("POST", "/contract/private/set-position-mode", {"position_mode": "one_way_mode"})
    answer("GET", "/contract/private/get-position-mode", {"position_mode": "hedge_mode"})

    with pytest.raises(UnreachableError) as caught:
        futures().set_position_mode(PositionMode.ONE_WAY)

    assert caught.value.sentence == (
        "BitMart accepted the new position mode, but the account still has the old one. Change it at BitMart."
    )


@responses.activate
def test_a_timer_switched_off_cancels_at_no_time() -> None:
    answer("POST", "/contract/private/cancel-all-after", {"result": True, "set_time": 1743064715, "cancel_time": 0})

    timer = futures().cancel_all_after("BTCUSDT", seconds=0, signed_at_ms=1)

    assert (timer.set_at.timestamp(), timer.cancel_at) == (1743064715, None)


@responses.activate
def test_transfers_are_read_page_by_page_until_the_last() -> None:
    row = {"currency": "USDT", "amount": "1", "type": "contract_to_spot", "state": "FAILED", "timestamp": NOW_MS}
    first = [{**row, "transfer_id": str(n)} for n in range(100)]
    answer("POST", "/account/v1/transfer-contract-list", {"records": first})
    answer("POST", "/account/v1/transfer-contract-list", {"records": [{**row, "transfer_id": "last"}]})

    assert len(futures().transfers()) == 101
    assert [b'"page":%d' % n in responses.calls[n - 1].request.body for n in (1, 2)] == [True, True]


@responses.activate
def test_a_full_list_of_triggers_is_not_taken_for_all_of_them() -> None:
    answer("GET", "/contract/private/current-plan-order", [{}] * 100)

    with pytest.raises(UnreachableError):
        futures().trigger_orders()


@responses.activate
def test_an_order_unknown_cannot_be_the_verdict_on_a_new_trigger() -> None:
    answer("POST", "/contract/private/submit-plan-order", {}, code=40037, status=400)

    with pytest.raises(UnreachableError):
        futures().submit_trigger(made.TRIGGER, signed_at_ms=1)
