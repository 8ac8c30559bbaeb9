"""Exact bytes of everything that moves money, and of what is refused before it is sent."""

from dataclasses import replace
from decimal import Decimal
from urllib.parse import urlsplit

import pytest
import responses

from apps.connectors.bitmart.signing import signature
from apps.connectors.exchange import (
    Book,
    MarginMode,
    NotSupportedError,
    OrderReport,
    OrderRequest,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)
from tests.connectors.bitmart.venue import AGENT, BASE, KEY, MEMO, NOW_MS, SECRET, answer, futures, sent, serve, spot

SPOT_LIMIT = OrderRequest(
    client_order_id="tv00000001",
    symbol="BTC_USDT",
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    quantity=Decimal("0.01"),
    price=Decimal("60000.00"),
)
SPOT_BUY = replace(SPOT_LIMIT, order_type=OrderType.MARKET, quantity=None, notional=Decimal("25.50"), price=None)
SPOT_SELL = replace(SPOT_LIMIT, order_type=OrderType.MARKET, side=Side.SELL, price=None)
FUTURES_LIMIT = OrderRequest(
    client_order_id="tv00000002",
    symbol="BTCUSDT",
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    quantity=Decimal("10"),
    price=Decimal("60000"),
    leverage=Decimal("5.0"),
    margin_mode=MarginMode.ISOLATED,
)
FUTURES_MARKET = replace(FUTURES_LIMIT, order_type=OrderType.MARKET, price=None)


@responses.activate
def test_spot_limit_order_is_the_signed_vector_byte_for_byte() -> None:
    serve("spot/submit-order")

    report = spot().submit(SPOT_LIMIT, signed_at_ms=NOW_MS)

    assert report == OrderReport(
        exchange_order_id="1223181",
        client_order_id="",
        symbol="BTC_USDT",
        status=OrderStatus.ACCEPTED,
        side=Side.BUY,
        quantity=Decimal("0.01"),
    )
    assert len(responses.calls) == 1
    request = sent()
    assert request.url == BASE + "/spot/v2/submit_order"
    assert request.body == (
        b'{"symbol":"BTC_USDT","side":"buy","type":"limit","client_order_id":"tv00000001","size":"0.01",'
        b'"price":"60000.00"}'
    )
    assert dict(request.headers) == {
        "User-Agent": AGENT,
        "Accept": "application/json",
        "Accept-Encoding": "gzip",
        "Content-Type": "application/json",
        "X-BM-KEY": KEY,
        "X-BM-TIMESTAMP": "1760000000000",
        "X-BM-SIGN": "7c9886caf9080b2f879cb558c6cd5711736c4ad9736a944396d37a268123a495",
        "Content-Length": "113",
    }


@responses.activate
def test_futures_limit_order_is_the_signed_vector_byte_for_byte() -> None:
    serve("futures/submit-order")

    report = futures().submit(FUTURES_LIMIT, signed_at_ms=NOW_MS)

    assert report.exchange_order_id == "220609666322019222"
    assert report.status is OrderStatus.ACCEPTED
    assert sent().url == BASE + "/contract/private/submit-order"
    assert sent().body == (
        b'{"symbol":"BTCUSDT","client_order_id":"tv00000002","side":1,"mode":1,"type":"limit","leverage":"5",'
        b'"open_type":"isolated","size":10,"price":"60000"}'
    )
    assert sent().headers["X-BM-SIGN"] == "4b8330b35869fe0d5e789908786d41eda78ed693da46d657ab5c444d2117d04c"
    assert sent().headers["X-BM-TIMESTAMP"] == "1760000000000"


@responses.activate
def test_submit_is_signed_with_the_given_time_and_not_with_the_clock() -> None:
    serve("spot/submit-order")

    spot().submit(SPOT_LIMIT, signed_at_ms=1234567890123)

    assert sent().headers["X-BM-TIMESTAMP"] == "1234567890123"
    assert sent().headers["X-BM-SIGN"] == signature(
        secret_key=SECRET, memo=MEMO, timestamp_ms=1234567890123, body=sent().body
    )


@pytest.mark.parametrize(
    ("request_", "body"),
    [
        (
            SPOT_BUY,
            b'{"symbol":"BTC_USDT","side":"buy","type":"market","client_order_id":"tv00000001","notional":"25.50"}',
        ),
        (
            SPOT_SELL,
            b'{"symbol":"BTC_USDT","side":"sell","type":"market","client_order_id":"tv00000001","size":"0.01"}',
        ),
        (
            replace(SPOT_LIMIT, time_in_force=TimeInForce.IOC, quantity=Decimal("1E-5")),
            b'{"symbol":"BTC_USDT","side":"buy","type":"ioc","client_order_id":"tv00000001","size":"0.00001",'
            b'"price":"60000.00"}',
        ),
        (
            replace(SPOT_LIMIT, time_in_force=TimeInForce.POST_ONLY, side=Side.SELL, reduce_only=True),
            b'{"symbol":"BTC_USDT","side":"sell","type":"limit_maker","client_order_id":"tv00000001","size":"0.01",'
            b'"price":"60000.00"}',
        ),
    ],
)
@responses.activate
def test_spot_submit_bodies(request_: OrderRequest, body: bytes) -> None:
    serve("spot/submit-order")

    spot().submit(request_, signed_at_ms=NOW_MS)

    assert sent().body == body


@pytest.mark.parametrize(
    ("request_", "body"),
    [
        (
            FUTURES_MARKET,
            b'{"symbol":"BTCUSDT","client_order_id":"tv00000002","side":1,"type":"market","leverage":"5",'
            b'"open_type":"isolated","size":10}',
        ),
        (
            replace(FUTURES_MARKET, reduce_only=True),
            b'{"symbol":"BTCUSDT","client_order_id":"tv00000002","side":2,"type":"market","size":10}',
        ),
        (
            replace(FUTURES_MARKET, side=Side.SELL, reduce_only=True),
            b'{"symbol":"BTCUSDT","client_order_id":"tv00000002","side":3,"type":"market","size":10}',
        ),
        (
            replace(FUTURES_MARKET, side=Side.SELL, leverage=Decimal("12.5"), margin_mode=MarginMode.CROSS),
            b'{"symbol":"BTCUSDT","client_order_id":"tv00000002","side":4,"type":"market","leverage":"12.5",'
            b'"open_type":"cross","size":10}',
        ),
        (
            replace(FUTURES_MARKET, book=Book.LONG),
            b'{"symbol":"BTCUSDT","client_order_id":"tv00000002","side":1,"type":"market","leverage":"5",'
            b'"open_type":"isolated","size":10}',
        ),
        (
            replace(FUTURES_MARKET, book=Book.SHORT),
            b'{"symbol":"BTCUSDT","client_order_id":"tv00000002","side":2,"type":"market","size":10}',
        ),
        (
            replace(FUTURES_MARKET, book=Book.LONG, side=Side.SELL, reduce_only=True),
            b'{"symbol":"BTCUSDT","client_order_id":"tv00000002","side":3,"type":"market","size":10}',
        ),
        (
            replace(FUTURES_MARKET, book=Book.SHORT, side=Side.SELL, leverage=None, margin_mode=None),
            b'{"symbol":"BTCUSDT","client_order_id":"tv00000002","side":4,"type":"market","size":10}',
        ),
        (
            replace(FUTURES_LIMIT, time_in_force=TimeInForce.FOK, reduce_only=True),
            b'{"symbol":"BTCUSDT","client_order_id":"tv00000002","side":2,"mode":2,"type":"limit","size":10,'
            b'"price":"60000"}',
        ),
        (
            replace(FUTURES_LIMIT, time_in_force=TimeInForce.IOC, reduce_only=True),
            b'{"symbol":"BTCUSDT","client_order_id":"tv00000002","side":2,"mode":3,"type":"limit","size":10,'
            b'"price":"60000"}',
        ),
        (
            replace(FUTURES_LIMIT, time_in_force=TimeInForce.POST_ONLY, reduce_only=True),
            b'{"symbol":"BTCUSDT","client_order_id":"tv00000002","side":2,"mode":4,"type":"limit","size":10,'
            b'"price":"60000"}',
        ),
    ],
)
@responses.activate
def test_futures_submit_bodies(request_: OrderRequest, body: bytes) -> None:
    serve("futures/submit-order")

    futures().submit(request_, signed_at_ms=NOW_MS)

    assert sent().body == body


@pytest.mark.parametrize(
    "request_",
    [
        replace(SPOT_BUY, notional=None, quantity=Decimal(1)),
        replace(SPOT_BUY, notional=Decimal("NaN")),
        replace(SPOT_BUY, price=Decimal(1)),
        replace(SPOT_BUY, time_in_force=TimeInForce.POST_ONLY),
        replace(SPOT_SELL, quantity=None, notional=Decimal(5)),
        replace(SPOT_SELL, quantity=Decimal(0)),
        replace(SPOT_LIMIT, price=None),
        replace(SPOT_LIMIT, client_order_id=""),
        replace(SPOT_LIMIT, client_order_id="a" * 33),
        replace(SPOT_LIMIT, client_order_id="with-dash"),
    ],
)
@responses.activate
def test_a_faulty_spot_request_is_never_sent(request_: OrderRequest) -> None:
    with pytest.raises(ValueError):
        spot().submit(request_, signed_at_ms=NOW_MS)

    assert len(responses.calls) == 0


@pytest.mark.parametrize(
    "request_",
    [
        replace(SPOT_LIMIT, time_in_force=TimeInForce.FOK),
        replace(SPOT_LIMIT, leverage=Decimal(5)),
        replace(SPOT_LIMIT, margin_mode=MarginMode.CROSS),
        replace(SPOT_LIMIT, book=Book.LONG),
        replace(SPOT_LIMIT, reduce_only=True),
    ],
)
@responses.activate
def test_what_spot_does_not_have_is_never_sent(request_: OrderRequest) -> None:
    with pytest.raises(NotSupportedError):
        spot().submit(request_, signed_at_ms=NOW_MS)

    assert len(responses.calls) == 0


@pytest.mark.parametrize(
    "request_",
    [
        replace(FUTURES_MARKET, quantity=Decimal("1.5")),
        replace(FUTURES_MARKET, quantity=Decimal("-1")),
        replace(FUTURES_MARKET, quantity=Decimal("Infinity")),
        replace(FUTURES_MARKET, quantity=None, notional=Decimal(5)),
        replace(FUTURES_MARKET, price=Decimal(5)),
        replace(FUTURES_MARKET, time_in_force=TimeInForce.POST_ONLY),
        replace(FUTURES_MARKET, book=Book.LONG, reduce_only=True),
        replace(FUTURES_MARKET, leverage=Decimal(0)),
        replace(FUTURES_LIMIT, price=None),
    ],
)
@responses.activate
def test_a_faulty_futures_request_is_never_sent(request_: OrderRequest) -> None:
    with pytest.raises(ValueError):
        futures().submit(request_, signed_at_ms=NOW_MS)

    assert len(responses.calls) == 0


@responses.activate
def test_cancel_bodies_use_snake_case_and_one_id() -> None:
    serve("spot/cancel-order")
    serve("futures/cancel-order")

    assert spot().cancel("BTC_USDT", exchange_order_id="77", client_order_id="tv1", signed_at_ms=NOW_MS) is True
    assert spot().cancel("BTC_USDT", client_order_id="tv1", signed_at_ms=NOW_MS) is True
    assert futures().cancel("BTCUSDT", exchange_order_id="77", client_order_id="tv1", signed_at_ms=NOW_MS) is True
    assert futures().cancel("BTCUSDT", client_order_id="tv1", signed_at_ms=NOW_MS) is True

    assert [(urlsplit(call.request.url).path, call.request.body) for call in responses.calls] == [
        ("/spot/v3/cancel_order", b'{"symbol":"BTC_USDT","order_id":"77"}'),
        ("/spot/v3/cancel_order", b'{"symbol":"BTC_USDT","client_order_id":"tv1"}'),
        ("/contract/private/cancel-order", b'{"symbol":"BTCUSDT","order_id":"77"}'),
        ("/contract/private/cancel-order", b'{"symbol":"BTCUSDT","client_order_id":"tv1"}'),
    ]
    assert {call.request.headers["X-BM-TIMESTAMP"] for call in responses.calls} == {"1760000000000"}


@pytest.mark.parametrize("blank", ["", " "])
@responses.activate
def test_a_cancel_without_an_id_would_cancel_the_symbol_and_is_never_sent(blank: str) -> None:
    for exchange in (spot(), futures()):
        with pytest.raises(ValueError):
            exchange.cancel("BTCUSDT", exchange_order_id=blank, client_order_id=blank, signed_at_ms=NOW_MS)

    assert len(responses.calls) == 0


@responses.activate
def test_spot_cancel_result_false_is_not_accepted() -> None:
    answer("POST", "/spot/v3/cancel_order", {"result": False})

    assert spot().cancel("BTC_USDT", exchange_order_id="77", signed_at_ms=NOW_MS) is False


@responses.activate
def test_futures_cancel_without_data_is_accepted() -> None:
    responses.add("POST", BASE + "/contract/private/cancel-order", json={"message": "Ok", "code": 1000, "trace": "t"})

    assert futures().cancel("BTCUSDT", exchange_order_id="77", signed_at_ms=NOW_MS) is True


@responses.activate
def test_set_leverage_sends_leverage_as_text() -> None:
    serve("futures/submit-leverage")

    futures().set_leverage("ETHUSDT", leverage=Decimal("5"), margin_mode=MarginMode.ISOLATED)

    assert sent().body == b'{"symbol":"ETHUSDT","leverage":"5","open_type":"isolated"}'


@responses.activate
def test_verify_signature_makes_one_signed_call_that_only_reads() -> None:
    serve("spot/open-orders")
    serve("futures/transfer-list")

    spot().verify_signature()
    futures().verify_signature()

    assert [(urlsplit(call.request.url).path, call.request.body) for call in responses.calls] == [
        ("/spot/v4/query/open-orders", b'{"limit":1,"recvWindow":5000}'),
        ("/account/v1/transfer-contract-list", b'{"page":1,"limit":10,"recvWindow":5000}'),
    ]
    assert all(len(call.request.headers["X-BM-SIGN"]) == 64 for call in responses.calls)


@responses.activate
def test_signed_queries_follow_the_corrected_clock() -> None:
    serve("spot/open-orders")
    exchange = spot()
    exchange.clock_offset_ms = -250

    exchange.open_orders("BTC_USDT")

    assert sent().headers["X-BM-TIMESTAMP"] == "1759999999750"
    assert sent().body == b'{"symbol":"BTC_USDT","orderMode":"spot","limit":200,"recvWindow":5000}'


@responses.activate
def test_private_gets_carry_the_key_alone_and_public_ones_nothing() -> None:
    serve("futures/assets-detail")
    serve("futures/details")

    futures().balances()
    futures().instruments()

    assert [name for name in sent(0).headers if name.startswith("X-BM")] == ["X-BM-KEY"]
    assert [name for name in sent(1).headers if name.startswith("X-BM")] == []
