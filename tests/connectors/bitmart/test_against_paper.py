"""The client against the real paper exchange, which shares no code with it: each shows the other's mistakes."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from apps.connectors.bitmart import open_exchange
from apps.connectors.bitmart.spot import SpotExchange
from apps.connectors.exchange import (
    Balance,
    Book,
    ClockError,
    Credentials,
    CredentialsError,
    DuplicateOrderError,
    Exchange,
    FeeRates,
    LiquidityRole,
    MarginMode,
    Market,
    OrderRejectedError,
    OrderReport,
    OrderRequest,
    OrderStatus,
    OrderType,
    PositionMode,
    RejectReason,
    Side,
    TimeInForce,
    UnreachableError,
)
from tests.connectors.bitmart.venue import AGENT
from tests.paper.running import PaperAccount, PaperProcess, running_paper

pytestmark = pytest.mark.process

BUY = OrderRequest("spotbuy1", "BTC_USDT", Side.BUY, OrderType.MARKET, notional=Decimal(100))
SELL = OrderRequest("spotsell1", "BTC_USDT", Side.SELL, OrderType.MARKET, quantity=Decimal("0.1"))
LIMIT = OrderRequest(
    "spotlimit1", "BTC_USDT", Side.BUY, OrderType.LIMIT, quantity=Decimal("0.01"), price=Decimal("50000.00")
)
OPEN = OrderRequest(
    "futopen1",
    "BTCUSDT",
    Side.BUY,
    OrderType.MARKET,
    quantity=Decimal(10),
    leverage=Decimal(5),
    margin_mode=MarginMode.ISOLATED,
)
TAKE = OrderRequest(
    "futtake1",
    "BTCUSDT",
    Side.SELL,
    OrderType.LIMIT,
    quantity=Decimal(4),
    price=Decimal(70000),
    reduce_only=True,
)


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaperProcess]:
    with running_paper(tmp_path_factory.mktemp("paper"), seed=11, faults=True) as process:
        yield process


@pytest.fixture(autouse=True)
def _held_prices(paper: PaperProcess) -> None:
    paper.end_windows()
    paper.set_price("BTC_USDT", "60000")
    paper.set_price("BTCUSDT", "60000")


@pytest.fixture
def account(paper: PaperProcess) -> PaperAccount:
    return paper.new_account(spot={"USDT": "1000", "BTC": "0.5"}, futures={"USDT": "1000"})


@pytest.fixture
def spot(paper: PaperProcess, account: PaperAccount) -> Iterator[Exchange]:
    exchange = open_account(paper, account, Market.SPOT)
    yield exchange
    exchange.close()


@pytest.fixture
def futures(paper: PaperProcess, account: PaperAccount) -> Iterator[Exchange]:
    exchange = open_account(paper, account, Market.FUTURES)
    yield exchange
    exchange.close()


def open_account(paper: PaperProcess, account: PaperAccount, market: Market) -> Exchange:
    credentials = Credentials(account.access_key, account.secret_key, account.memo)
    return open_exchange(market=market, base_url=paper.base_url, credentials=credentials, user_agent=AGENT)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def found(exchange: Exchange, request: OrderRequest, exchange_order_id: str = "") -> OrderReport:
    report = exchange.find_order(
        request.symbol, client_order_id=request.client_order_id, exchange_order_id=exchange_order_id
    )
    assert report is not None
    assert report.client_order_id == request.client_order_id
    return report


def balance(exchange: Exchange, currency: str) -> Balance:
    return next(b for b in exchange.balances() if b.currency == currency)


def test_clock_and_instruments_of_both_markets(spot: Exchange, futures: Exchange) -> None:
    btc = next(i for i in spot.instruments() if i.symbol == "BTC_USDT")
    perpetual = next(i for i in futures.instruments() if i.symbol == "BTCUSDT")

    assert abs(spot.server_time_ms() - now_ms()) < 1000
    assert abs(futures.server_time_ms() - now_ms()) < 1000
    assert (btc.base, btc.quote, btc.contract_size, btc.is_trading) == ("BTC", "USDT", Decimal(1), True)
    assert (btc.quantity_step, btc.price_tick, btc.min_notional) == (
        Decimal("0.00001"),
        Decimal("0.01"),
        Decimal(5),
    )
    assert (perpetual.contract_size, perpetual.quantity_step, perpetual.price_tick, perpetual.is_trading) == (
        Decimal("0.001"),
        Decimal(1),
        Decimal("0.1"),
        True,
    )


def test_tickers_agree_with_the_held_price(spot: Exchange, futures: Exchange) -> None:
    one = spot.tickers(["BTC_USDT", "NO_SUCH"])
    whole = {ticker.symbol: ticker.last for ticker in spot.tickers()}
    perpetual = futures.tickers(["BTCUSDT"])[0]

    assert [(t.symbol, t.last, t.bid, t.ask) for t in one] == [
        ("BTC_USDT", Decimal(60000), Decimal(60000), Decimal(60000))
    ]
    assert whole["BTC_USDT"] == Decimal(60000)
    assert (perpetual.last, perpetual.bid, perpetual.ask) == (Decimal(60000), Decimal(60000), Decimal(60000))
    assert futures.tickers(["NOSUCH"]) == []


def test_key_and_fees(spot: Exchange, futures: Exchange) -> None:
    key = spot.key_info()

    assert (key.can_withdraw, key.ip_bound, key.expires_at) == (False, False, None)
    assert futures.key_info() == key
    assert spot.fee_rates("BTC_USDT") == FeeRates(maker=Decimal("0.0008"), taker=Decimal("0.001"))
    assert futures.fee_rates("BTCUSDT") == FeeRates(maker=Decimal("0.0002"), taker=Decimal("0.0006"))
    spot.verify_signature()
    futures.verify_signature()


@pytest.mark.parametrize("market", list(Market))
@pytest.mark.parametrize("wrong", ["secret", "memo"])
def test_a_wrong_secret_or_memo_shows_on_signed_calls_only(paper: PaperProcess, market: Market, wrong: str) -> None:
    right = paper.new_account()
    account = replace(right, memo="other") if wrong == "memo" else replace(right, secret_key="0" * 64)
    exchange = open_account(paper, account, market)
    order = OPEN if market is Market.FUTURES else BUY

    with pytest.raises(CredentialsError) as verified:
        exchange.verify_signature()
    with pytest.raises(CredentialsError) as submitted:
        exchange.submit(order, signed_at_ms=now_ms())

    assert (verified.value.reason, submitted.value.reason) == ("SIGNATURE", "SIGNATURE")
    assert [b.available for b in exchange.balances()] == [Decimal(10000)]
    assert paper.orders(right.access_key) == []
    exchange.close()


def test_an_unknown_key_and_a_missing_permission(paper: PaperProcess) -> None:
    known = paper.new_account(permissions=["read"])
    stranger = open_account(paper, replace(known, access_key="f" * 40), Market.SPOT)
    reader = open_account(paper, known, Market.FUTURES)

    with pytest.raises(CredentialsError) as unknown:
        stranger.balances()
    with pytest.raises(CredentialsError) as forbidden:
        reader.submit(OPEN, signed_at_ms=now_ms())

    assert (unknown.value.reason, forbidden.value.reason) == ("KEY_UNKNOWN", "PERMISSION")
    assert paper.orders(known.access_key) == []
    stranger.close()
    reader.close()


def test_an_old_signature_places_nothing(paper: PaperProcess, account: PaperAccount, spot: Exchange) -> None:
    with pytest.raises(ClockError):
        spot.submit(BUY, signed_at_ms=now_ms() - 61_000)

    assert paper.orders(account.access_key) == []


def test_a_fast_clock_fails_the_v4_queries_until_it_is_corrected(spot: Exchange) -> None:
    assert isinstance(spot, SpotExchange)
    spot.clock_offset_ms = 5000

    with pytest.raises(ClockError):
        spot.open_orders()

    spot.clock_offset_ms = 0
    assert spot.open_orders() == []


def test_spot_market_buy(spot: Exchange) -> None:
    submitted = spot.submit(BUY, signed_at_ms=now_ms())

    report = found(spot, BUY)
    fill = spot.fills("BTC_USDT", exchange_order_id=submitted.exchange_order_id)[0]
    assert submitted.status is OrderStatus.ACCEPTED
    # 100 less the fee set aside is 99.9, which buys 0.001665, floored to the step.
    assert (report.exchange_order_id, report.status, report.filled_quantity, report.avg_fill_price) == (
        submitted.exchange_order_id,
        OrderStatus.FILLED,
        Decimal("0.00166"),
        Decimal(60000),
    )
    assert (fill.side, fill.price, fill.quantity, fill.fee, fill.fee_currency, fill.role) == (
        Side.BUY,
        Decimal(60000),
        Decimal("0.00166"),
        Decimal("0.0996"),
        "USDT",
        LiquidityRole.TAKER,
    )
    assert balance(spot, "USDT").total == Decimal("900.3004")
    assert balance(spot, "BTC").total == Decimal("0.50166")
    assert spot.fills("BTC_USDT", since=datetime.now(UTC) - timedelta(minutes=1)) == [fill]


def test_spot_market_sell(spot: Exchange) -> None:
    submitted = spot.submit(SELL, signed_at_ms=now_ms())

    report = found(spot, SELL, submitted.exchange_order_id)
    assert (report.status, report.quantity, report.filled_quantity) == (
        OrderStatus.FILLED,
        Decimal("0.1"),
        Decimal("0.1"),
    )
    assert balance(spot, "USDT").total == Decimal("6994")
    assert balance(spot, "BTC").total == Decimal("0.4")


def test_spot_limit_order_rests_and_is_cancelled_once(spot: Exchange) -> None:
    spot.submit(LIMIT, signed_at_ms=now_ms())
    resting = spot.open_orders("BTC_USDT")
    frozen = balance(spot, "USDT")

    first = spot.cancel("BTC_USDT", client_order_id=LIMIT.client_order_id, signed_at_ms=now_ms())
    second = spot.cancel("BTC_USDT", client_order_id=LIMIT.client_order_id, signed_at_ms=now_ms())

    assert [(o.client_order_id, o.status, o.quantity) for o in resting] == [
        ("spotlimit1", OrderStatus.ACCEPTED, Decimal("0.01"))
    ]
    assert frozen.available + frozen.frozen == frozen.total == Decimal(1000)
    assert (first, second) == (True, False)
    assert found(spot, LIMIT).status is OrderStatus.CANCELED
    assert spot.open_orders() == []
    assert balance(spot, "USDT").available == Decimal(1000)


def test_spot_limit_order_is_filled_as_maker_when_the_price_comes(paper: PaperProcess, spot: Exchange) -> None:
    submitted = spot.submit(LIMIT, signed_at_ms=now_ms())

    paper.set_price("BTC_USDT", "50000")

    fills = spot.fills("BTC_USDT", exchange_order_id=submitted.exchange_order_id)
    assert found(spot, LIMIT).status is OrderStatus.FILLED
    assert [(f.price, f.quantity, f.fee, f.role) for f in fills] == [
        (Decimal(50000), Decimal("0.01"), Decimal("0.4"), LiquidityRole.MAKER)
    ]


@pytest.mark.parametrize(
    ("time_in_force", "price", "status", "filled"),
    [
        (TimeInForce.IOC, "60000", OrderStatus.FILLED, "0.01"),
        (TimeInForce.IOC, "50000", OrderStatus.CANCELED, "0"),
        (TimeInForce.POST_ONLY, "70000", OrderStatus.CANCELED, "0"),
        (TimeInForce.POST_ONLY, "50000", OrderStatus.ACCEPTED, "0"),
    ],
)
def test_spot_time_in_force(
    spot: Exchange, time_in_force: TimeInForce, price: str, status: OrderStatus, filled: str
) -> None:
    request = replace(LIMIT, time_in_force=time_in_force, price=Decimal(price))

    spot.submit(request, signed_at_ms=now_ms())

    report = found(spot, request)
    assert (report.status, report.filled_quantity) == (status, Decimal(filled))


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (replace(BUY, notional=Decimal(99999)), RejectReason.INSUFFICIENT_BALANCE),
        (replace(BUY, notional=Decimal(1)), RejectReason.BELOW_MINIMUM),
        (replace(BUY, symbol="NO_SUCH"), RejectReason.UNKNOWN_SYMBOL),
        (replace(SELL, quantity=Decimal("0.000001")), RejectReason.BELOW_MINIMUM),
    ],
)
def test_spot_refusals(
    paper: PaperProcess, account: PaperAccount, spot: Exchange, request_: OrderRequest, reason: RejectReason
) -> None:
    with pytest.raises(OrderRejectedError) as caught:
        spot.submit(request_, signed_at_ms=now_ms())

    assert caught.value.reason is reason
    assert paper.orders(account.access_key) == []


def test_a_second_order_with_the_same_id_is_not_placed(
    paper: PaperProcess, account: PaperAccount, spot: Exchange, futures: Exchange
) -> None:
    spot.submit(BUY, signed_at_ms=now_ms())
    futures.submit(OPEN, signed_at_ms=now_ms())

    with pytest.raises(DuplicateOrderError):
        spot.submit(BUY, signed_at_ms=now_ms())
    with pytest.raises(DuplicateOrderError):
        futures.submit(OPEN, signed_at_ms=now_ms())

    assert len(paper.orders(account.access_key)) == 2


def test_an_order_that_never_was_is_found_nowhere(spot: Exchange, futures: Exchange) -> None:
    assert spot.find_order("BTC_USDT", client_order_id="never", exchange_order_id="123") is None
    assert futures.find_order("BTCUSDT", client_order_id="never", exchange_order_id="123") is None
    assert spot.fills("BTC_USDT", exchange_order_id="123") == []
    assert futures.fills("BTCUSDT", exchange_order_id="123") == []
    with pytest.raises(OrderRejectedError) as caught:
        spot.cancel("BTC_USDT", client_order_id="never", signed_at_ms=now_ms())
    assert caught.value.reason is RejectReason.ORDER_UNKNOWN


def test_futures_open_read_and_close(paper: PaperProcess, futures: Exchange) -> None:
    futures.set_leverage("BTCUSDT", leverage=Decimal(5), margin_mode=MarginMode.ISOLATED)
    opened = futures.submit(OPEN, signed_at_ms=now_ms())

    report = found(futures, OPEN)
    fill = futures.fills("BTCUSDT", exchange_order_id=opened.exchange_order_id)[0]
    paper.set_price("BTCUSDT", "61000")
    position = futures.positions("BTCUSDT")[0]
    assert (report.exchange_order_id, report.status, report.filled_quantity, report.avg_fill_price) == (
        opened.exchange_order_id,
        OrderStatus.FILLED,
        Decimal(10),
        Decimal(60000),
    )
    # 10 contracts of 0.001 BTC at 60,000 are 600 USDT; 0.06 % of that is 0.36.
    assert (fill.side, fill.quantity, fill.fee, fill.fee_currency, fill.role) == (
        Side.BUY,
        Decimal(10),
        Decimal("0.36"),
        "USDT",
        LiquidityRole.TAKER,
    )
    assert (position.book, position.signed_quantity, position.avg_entry_price, position.mark_price) == (
        Book.NET,
        Decimal(10),
        Decimal(60000),
        Decimal(61000),
    )
    assert (position.unrealized_pnl, position.leverage, position.margin_mode) == (
        Decimal(10),
        Decimal(5),
        MarginMode.ISOLATED,
    )
    usdt = balance(futures, "USDT")
    assert (usdt.total, usdt.equity) == (Decimal("999.64"), Decimal("1009.64"))

    close = OrderRequest("futclose1", "BTCUSDT", Side.SELL, OrderType.MARKET, quantity=Decimal(10), reduce_only=True)
    futures.submit(close, signed_at_ms=now_ms())

    assert futures.positions("BTCUSDT") == []
    # 999.64 + 10 profit - 0.06 % of 610
    assert balance(futures, "USDT").total == Decimal("1009.274")
    with pytest.raises(OrderRejectedError) as caught:
        futures.submit(replace(close, client_order_id="futclose2"), signed_at_ms=now_ms())
    assert caught.value.reason is RejectReason.NO_POSITION


def test_futures_one_way_order_reverses(futures: Exchange) -> None:
    futures.submit(OPEN, signed_at_ms=now_ms())

    futures.submit(
        replace(OPEN, client_order_id="futrev1", side=Side.SELL, quantity=Decimal(15)), signed_at_ms=now_ms()
    )

    assert [(p.book, p.signed_quantity) for p in futures.positions()] == [(Book.NET, Decimal(-5))]
    assert [(f.side, f.quantity) for f in futures.fills("BTCUSDT")] == [
        (Side.BUY, Decimal(10)),
        (Side.SELL, Decimal(15)),
    ]


def test_futures_limit_order_rests_and_is_cancelled_once(futures: Exchange) -> None:
    futures.submit(OPEN, signed_at_ms=now_ms())
    submitted = futures.submit(TAKE, signed_at_ms=now_ms())
    resting = futures.open_orders("BTCUSDT")

    cancelled = futures.cancel("BTCUSDT", exchange_order_id=submitted.exchange_order_id, signed_at_ms=now_ms())

    assert [(o.client_order_id, o.status, o.side, o.quantity) for o in resting] == [
        ("futtake1", OrderStatus.ACCEPTED, Side.SELL, Decimal(4))
    ]
    assert cancelled is True
    assert found(futures, TAKE).status is OrderStatus.CANCELED
    assert found(futures, TAKE, submitted.exchange_order_id).status is OrderStatus.CANCELED
    with pytest.raises(OrderRejectedError) as caught:
        futures.cancel("BTCUSDT", exchange_order_id=submitted.exchange_order_id, signed_at_ms=now_ms())
    assert caught.value.reason is RejectReason.ORDER_UNKNOWN


def test_cancelling_one_futures_order_leaves_the_others(futures: Exchange) -> None:
    futures.submit(OPEN, signed_at_ms=now_ms())
    futures.submit(TAKE, signed_at_ms=now_ms())
    futures.submit(replace(TAKE, client_order_id="futtake2"), signed_at_ms=now_ms())

    futures.cancel("BTCUSDT", client_order_id="futtake1", signed_at_ms=now_ms())

    assert [o.client_order_id for o in futures.open_orders("BTCUSDT")] == ["futtake2"]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (replace(OPEN, quantity=Decimal(100000)), RejectReason.INSUFFICIENT_BALANCE),
        (replace(OPEN, symbol="NOSUCHUSDT"), RejectReason.UNKNOWN_SYMBOL),
        (replace(OPEN, reduce_only=True), RejectReason.NO_POSITION),
    ],
)
def test_futures_refusals(
    paper: PaperProcess, account: PaperAccount, futures: Exchange, request_: OrderRequest, reason: RejectReason
) -> None:
    with pytest.raises(OrderRejectedError) as caught:
        futures.submit(request_, signed_at_ms=now_ms())

    assert caught.value.reason is reason
    assert paper.orders(account.access_key) == []


def test_another_leverage_than_the_open_positions_is_refused(futures: Exchange) -> None:
    futures.submit(OPEN, signed_at_ms=now_ms())

    with pytest.raises(OrderRejectedError) as caught:
        futures.submit(replace(OPEN, client_order_id="futlev7", leverage=Decimal(7)), signed_at_ms=now_ms())

    assert caught.value.reason is RejectReason.LEVERAGE


def test_hedge_account_keeps_both_books(paper: PaperProcess) -> None:
    exchange = open_account(
        paper, paper.new_account(futures={"USDT": "1000"}, position_mode="hedge_mode"), Market.FUTURES
    )
    exchange.submit(replace(OPEN, book=Book.LONG), signed_at_ms=now_ms())
    exchange.submit(replace(OPEN, client_order_id="hedge2", side=Side.SELL, book=Book.SHORT), signed_at_ms=now_ms())

    part = OrderRequest(
        "hedge3", "BTCUSDT", Side.SELL, OrderType.MARKET, quantity=Decimal(4), book=Book.LONG, reduce_only=True
    )
    exchange.submit(part, signed_at_ms=now_ms())

    assert exchange.position_mode() is PositionMode.HEDGE
    assert [(p.book, p.signed_quantity) for p in exchange.positions("BTCUSDT")] == [
        (Book.LONG, Decimal(6)),
        (Book.SHORT, Decimal(-10)),
    ]
    with pytest.raises(OrderRejectedError) as caught:
        exchange.submit(replace(part, client_order_id="hedge4", quantity=Decimal(40)), signed_at_ms=now_ms())
    assert caught.value.reason is RejectReason.POSITION_CONFLICT
    exchange.close()


@pytest.mark.parametrize(
    ("action", "details", "placed"),
    [
        ("drop_answer", {}, True),
        ("drop_request", {}, False),
        ("status", {"status": 502, "accepted": True}, True),
        ("status", {"status": 504, "accepted": False}, False),
        ("html", {"accepted": True}, True),
        ("html", {"accepted": False}, False),
    ],
)
@pytest.mark.parametrize("market", list(Market))
def test_an_answer_lost_on_the_way_is_doubt_that_a_query_resolves(
    paper: PaperProcess, market: Market, action: str, details: dict[str, object], placed: bool
) -> None:
    account = paper.new_account()
    exchange = open_account(paper, account, market)
    order = OPEN if market is Market.FUTURES else BUY
    route = "/contract/private/submit-order" if market is Market.FUTURES else "/spot/v2/submit_order"
    paper.fault(route, action, times=1, **details)

    with pytest.raises(UnreachableError):
        exchange.submit(order, signed_at_ms=now_ms())

    report = exchange.find_order(order.symbol, client_order_id=order.client_order_id)
    assert (report is not None) is placed
    assert len(paper.orders(account.access_key)) == int(placed)
    exchange.close()


def test_a_query_survives_two_lost_answers_and_not_three(paper: PaperProcess, futures: Exchange) -> None:
    route = "/contract/private/assets-detail"
    paper.fault(route, "html", times=2)

    assert [b.currency for b in futures.balances()] == ["USDT"]

    paper.fault(route, "drop_request", times=3)
    with pytest.raises(UnreachableError):
        futures.balances()
    assert [b.currency for b in futures.balances()] == ["USDT"]
