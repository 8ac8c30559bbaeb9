"""The calls beyond orders against the real paper exchange, which shares no code with the client."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from apps.connectors.bitmart import open_exchange
from apps.connectors.exchange import (
    Credentials,
    Crossing,
    Exchange,
    MarginMode,
    Market,
    OrderRequest,
    OrderStatus,
    OrderType,
    PositionMode,
    PresetPrice,
    PriceSource,
    Protection,
    ProtectionChange,
    ProtectionRequest,
    Side,
    TrailingRequest,
    TransactionKind,
    TransferDirection,
    TriggerChange,
    TriggerKind,
    TriggerRequest,
)
from tests.connectors.bitmart.venue import AGENT
from tests.paper.running import PaperAccount, PaperProcess, running_paper

pytestmark = pytest.mark.process

D = Decimal
RESTING = OrderRequest("rest1", "BTC_USDT", Side.BUY, OrderType.LIMIT, quantity=D("0.01"), price=D("50000.00"))
OPEN = OrderRequest(
    "open1",
    "BTCUSDT",
    Side.BUY,
    OrderType.MARKET,
    quantity=D(10),
    leverage=D(5),
    margin_mode=MarginMode.ISOLATED,
)
LIMIT = replace(OPEN, client_order_id="limit1", order_type=OrderType.LIMIT, price=D(50000))
TRIGGER = TriggerRequest(
    "BTCUSDT",
    Side.BUY,
    D(10),
    trigger_price=D(65000),
    crossing=Crossing.RISES_TO,
    price=D(65100),
    leverage=D(5),
    margin_mode=MarginMode.ISOLATED,
)


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaperProcess]:
    with running_paper(tmp_path_factory.mktemp("paper"), seed=12, faults=True) as process:
        process.set_price("BTC_USDT", "60000")
        process.set_price("BTCUSDT", "60000")
        yield process


@pytest.fixture
def account(paper: PaperProcess) -> PaperAccount:
    paper.end_windows()
    return paper.new_account(spot={"USDT": "10000", "BTC": "0.5"}, futures={"USDT": "1000"})


def opened(paper: PaperProcess, account: PaperAccount, market: Market) -> Exchange:
    credentials = Credentials(account.access_key, account.secret_key, account.memo)
    return open_exchange(market=market, base_url=paper.base_url, credentials=credentials, user_agent=AGENT)


@pytest.fixture
def spot(paper: PaperProcess, account: PaperAccount) -> Iterator[Exchange]:
    exchange = opened(paper, account, Market.SPOT)
    yield exchange
    exchange.close()


@pytest.fixture
def futures(paper: PaperProcess, account: PaperAccount) -> Iterator[Exchange]:
    exchange = opened(paper, account, Market.FUTURES)
    yield exchange
    exchange.close()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def test_a_batch_is_placed_and_cancelled_by_either_id(spot: Exchange) -> None:
    batch = [replace(RESTING, client_order_id=f"batch{n}") for n in range(4)]

    report = spot.submit_batch(batch, signed_at_ms=now_ms())
    by_exchange_id = spot.cancel_batch(
        "BTC_USDT", exchange_order_ids=report.exchange_order_ids[:1], signed_at_ms=now_ms()
    )
    by_our_id = spot.cancel_batch("BTC_USDT", client_order_ids=["batch1", "nosuch"], signed_at_ms=now_ms())

    assert (len(set(report.exchange_order_ids)), report.is_complete) == (4, True)
    assert (by_exchange_id.accepted, by_exchange_id.refused) == (report.exchange_order_ids[:1], ())
    assert len(by_our_id.accepted) == 1
    assert by_our_id.refused == ("nosuch",)
    assert {order.client_order_id for order in spot.open_orders("BTC_USDT")} == {"batch2", "batch3"}


def test_all_orders_of_one_side_and_then_of_the_symbol_are_cancelled(spot: Exchange) -> None:
    spot.submit(RESTING, signed_at_ms=now_ms())
    spot.submit(replace(RESTING, client_order_id="s1", side=Side.SELL, price=D(70000)), signed_at_ms=now_ms())

    spot.cancel_all("BTC_USDT", side=Side.SELL, signed_at_ms=now_ms())
    one_side = [order.client_order_id for order in spot.open_orders("BTC_USDT")]
    time.sleep(3.1)  # one call in three seconds is all that BitMart allows
    spot.cancel_all("BTC_USDT", signed_at_ms=now_ms())

    assert one_side == ["rest1"]
    assert spot.open_orders("BTC_USDT") == []


def test_history_has_finished_orders_of_both_markets(spot: Exchange, futures: Exchange) -> None:
    buy = OrderRequest("buy1", "BTC_USDT", Side.BUY, OrderType.MARKET, notional=D(100))
    spot.submit(buy, signed_at_ms=now_ms())
    futures.submit(OPEN, signed_at_ms=now_ms())
    time.sleep(0.3)

    found = [exchange.order_history(symbol) for exchange, symbol in ((spot, "BTC_USDT"), (futures, "BTCUSDT"))]

    assert [[(o.client_order_id, o.status) for o in orders] for orders in found] == [
        [("buy1", OrderStatus.FILLED)],
        [("open1", OrderStatus.FILLED)],
    ]


@pytest.mark.parametrize("market", Market)
def test_public_data_of_both_markets(paper: PaperProcess, account: PaperAccount, market: Market) -> None:
    exchange, symbol = opened(paper, account, market), "BTC_USDT" if market is Market.SPOT else "BTCUSDT"

    book = exchange.order_book(symbol)
    candles = exchange.candles(symbol, minutes=1, since=datetime.now(UTC) - timedelta(minutes=10))
    matches = exchange.recent_matches(symbol)
    exchange.service_notices()
    exchange.close()

    assert book.symbol == symbol
    assert book.bids[0].price <= book.asks[0].price
    assert all(candle.low <= min(candle.open, candle.close) <= candle.high for candle in candles)
    assert all(match.symbol == symbol for match in matches)


def test_facts_of_a_contract(futures: Exchange) -> None:
    brackets = futures.leverage_brackets("BTCUSDT")

    assert brackets[0].notional_floor == 0
    assert all(low.notional_cap == high.notional_floor for low, high in pairwise(brackets))
    assert futures.funding_rate("BTCUSDT").symbol == "BTCUSDT"
    assert all(rate.symbol == "BTCUSDT" for rate in futures.funding_history("BTCUSDT"))
    assert futures.open_interest("BTCUSDT").symbol == "BTCUSDT"
    assert futures.candles("BTCUSDT", minutes=1, source=PriceSource.MARK)[-1].at.second == 0


def test_the_account_says_who_it_is(spot: Exchange, futures: Exchange) -> None:
    info = spot.account_info()

    assert info == futures.account_info()
    assert (info.is_sub_account, info.is_active) == (False, True)
    assert info.current_key is not None
    assert sorted(spot.fee_schedule().by_class) == ["A", "B", "C", "D"]


def test_a_limit_order_is_changed_and_the_symbol_cancelled(futures: Exchange) -> None:
    placed = futures.submit(LIMIT, signed_at_ms=now_ms())

    changed = futures.modify_order(
        "BTCUSDT", exchange_order_id=placed.exchange_order_id, price=D(51000), quantity=D(7), signed_at_ms=now_ms()
    )
    report = futures.find_order("BTCUSDT", client_order_id="limit1")
    futures.cancel_all("BTCUSDT", signed_at_ms=now_ms())
    time.sleep(0.3)

    assert report is not None
    assert (changed, report.exchange_order_id, report.quantity) == (
        report.exchange_order_id,
        report.exchange_order_id,
        D(7),
    )
    assert futures.open_orders("BTCUSDT") == []


def test_a_timer_is_set_and_switched_off(futures: Exchange) -> None:
    timer = futures.cancel_all_after("BTCUSDT", seconds=60, signed_at_ms=now_ms())
    off = futures.cancel_all_after("BTCUSDT", seconds=0, signed_at_ms=now_ms())

    assert timer.cancel_at == timer.set_at + timedelta(seconds=60)
    assert off.cancel_at is None


def test_a_trigger_order_is_listed_changed_and_cancelled(futures: Exchange) -> None:
    exchange_id = futures.submit_trigger(TRIGGER, signed_at_ms=now_ms())
    listed = futures.trigger_orders("BTCUSDT")
    futures.modify_trigger(
        TriggerChange("BTCUSDT", exchange_id, D(66000), PriceSource.MARK, D(66100)), signed_at_ms=now_ms()
    )
    changed = futures.trigger_orders("BTCUSDT")
    futures.cancel_trigger("BTCUSDT", exchange_order_id=exchange_id, signed_at_ms=now_ms())

    assert [
        (t.exchange_order_id, t.kind, t.side, t.quantity, t.trigger_price, t.price, t.crossing) for t in listed
    ] == [(exchange_id, TriggerKind.PLAN, Side.BUY, D(10), D(65000), D(65100), Crossing.RISES_TO)]
    assert [(t.trigger_price, t.price, t.source) for t in changed] == [(D(66000), D(66100), PriceSource.MARK)]
    assert futures.trigger_orders("BTCUSDT") == []


def test_a_stop_loss_is_listed_changed_and_cancelled(futures: Exchange) -> None:
    futures.submit(OPEN, signed_at_ms=now_ms())
    stop = ProtectionRequest("stop1", "BTCUSDT", Protection.STOP_LOSS, Side.SELL, D(55000))

    exchange_id = futures.submit_protection(stop, signed_at_ms=now_ms())
    listed = futures.trigger_orders("BTCUSDT")
    futures.modify_protection(
        ProtectionChange("BTCUSDT", D(54000), whole_position=True, exchange_order_id=exchange_id),
        signed_at_ms=now_ms(),
    )
    changed = futures.trigger_orders("BTCUSDT")
    futures.cancel_trigger("BTCUSDT", exchange_order_id=exchange_id, signed_at_ms=now_ms())

    assert [(t.exchange_order_id, t.client_order_id, t.kind, t.side, t.trigger_price) for t in listed] == [
        (exchange_id, "stop1", TriggerKind.STOP_LOSS, Side.SELL, D(55000))
    ]
    assert [t.trigger_price for t in changed] == [D(54000)]
    assert futures.trigger_orders("BTCUSDT") == []


def test_presets_come_with_the_entry_and_can_be_changed(futures: Exchange) -> None:
    entry = replace(LIMIT, take_profit=PresetPrice(D(70000)), stop_loss=PresetPrice(D(45000), PriceSource.MARK))

    placed = futures.submit(entry, signed_at_ms=now_ms())
    changed = futures.modify_presets(
        "BTCUSDT",
        exchange_order_id=placed.exchange_order_id,
        stop_loss=PresetPrice(D(46000)),
        signed_at_ms=now_ms(),
    )

    assert changed == placed.exchange_order_id


def test_a_trailing_order_is_placed_and_cancelled(futures: Exchange) -> None:
    futures.submit(OPEN, signed_at_ms=now_ms())
    trailing = TrailingRequest("BTCUSDT", Side.SELL, D(10), D(62000), D("0.005"), reduce_only=True)

    exchange_id = futures.submit_trailing(trailing, signed_at_ms=now_ms())
    futures.cancel_trailing("BTCUSDT", exchange_order_id=exchange_id, signed_at_ms=now_ms())

    assert exchange_id.isdigit()


def test_a_transfer_moves_money_and_is_listed_and_booked(spot: Exchange, futures: Exchange) -> None:
    futures.transfer(TransferDirection.TO_FUTURES, currency="USDT", amount=D("10.5"), signed_at_ms=now_ms())

    listed = futures.transfers(currency="USDT")
    booked = futures.transactions(kind=TransactionKind.TRANSFER)

    assert [(t.direction, t.currency, t.amount) for t in listed] == [(TransferDirection.TO_FUTURES, "USDT", D("10.5"))]
    assert [t.amount for t in booked] == [D("10.5")]
    assert next(b.available for b in futures.balances() if b.currency == "USDT") == D("1010.5")
    assert next(b.available for b in spot.balances() if b.currency == "USDT") == D("9989.5")


def test_a_fill_is_booked_with_its_commission(futures: Exchange) -> None:
    futures.submit(OPEN, signed_at_ms=now_ms())
    time.sleep(0.3)

    booked = futures.transactions(symbol="BTCUSDT", kind=TransactionKind.COMMISSION)
    risk = futures.position_risks("BTCUSDT")

    assert [t.amount for t in booked] == [D("-0.36")]
    assert [(r.signed_quantity, r.leverage, r.margin_mode) for r in risk] == [(D(10), D(5), MarginMode.ISOLATED)]


def test_the_position_mode_is_switched_and_read_back(futures: Exchange) -> None:
    futures.set_position_mode(PositionMode.HEDGE)
    time.sleep(2)  # two questions in two seconds

    assert futures.position_mode() is PositionMode.HEDGE
