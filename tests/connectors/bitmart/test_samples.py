"""Every recorded answer, read into our words to the last digit."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import responses

from apps.connectors.exchange import (
    AccountInfo,
    BatchReport,
    Book,
    CancelReport,
    CancelTimer,
    Candle,
    Crossing,
    Exchange,
    FeeRates,
    FeeSchedule,
    FillReport,
    FundingRate,
    KeyInfo,
    LeverageBracket,
    LiquidityRole,
    MarginMode,
    OpenInterest,
    OrderBook,
    OrderReport,
    OrderStatus,
    PositionMode,
    PositionRisk,
    PresetPrice,
    PriceLevel,
    PriceSource,
    Protection,
    ProtectionChange,
    PublicMatch,
    ServiceNotice,
    Side,
    TransactionKind,
    TransactionReport,
    TransferDirection,
    TransferReport,
    TransferState,
    TriggerKind,
    TriggerReport,
)
from tests.connectors.bitmart import requests_made as made
from tests.connectors.bitmart.venue import FIXTURES, NOW_MS, futures, recorded, serve, spot

D = Decimal


def at(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds // 1000, UTC).replace(microsecond=milliseconds % 1000 * 1000)


SINCE = at(1600000000000)
ACCOUNT = AccountInfo(
    account_id="10001",
    is_sub_account=False,
    is_active=True,
    kyc_level="2",
    registered_at=at(1690000000000),
    current_key=KeyInfo(can_withdraw=False, permissions=("read", "spot_trade"), ip_bound=False),
)
SPOT_ORDER = OrderReport(
    exchange_order_id="118100034543076010",
    client_order_id="118100034543076010",
    symbol="BTC_USDT",
    status=OrderStatus.FILLED,
    side=Side.BUY,
    quantity=D("0.10000"),
    filled_quantity=D("0.10000"),
    avg_fill_price=D("39999.00"),
    created_at=at(1681701557927),
    updated_at=at(1681701559408),
)
SPOT_FILL = FillReport(
    trade_id="122177405911172002",
    exchange_order_id="118100034543076010",
    client_order_id="118100034543076010",
    symbol="BTC_USDT",
    side=Side.BUY,
    price=D("39999.00"),
    quantity=D("0.1"),
    fee=D("9.99975000"),
    fee_currency="USDT",
    role=LiquidityRole.TAKER,
    filled_at=at(1681701559210),
)


def booked(kind: TransactionKind, amount: str, milliseconds: int, number: str, symbol: str = "LTCUSDT") -> Any:
    return TransactionReport(number, kind, symbol, D(amount), "USDT", at(milliseconds))


# Recorded answer -> the call that asks for it, and what it gives.
READ: dict[str, tuple[Callable[[Exchange], object], object]] = {
    "spot/system-service": (
        lambda x: x.service_notices(),
        [
            ServiceNotice("Spot API Stop", "spot", False, at(1527777538000), at(1527777538000)),
            ServiceNotice("Contract API Stop", "contract", True, at(1760000000000), at(1760003600000)),
        ],
    ),
    "spot/books": (
        lambda x: x.order_book("BTC_USDT"),
        OrderBook(
            "BTC_USDT",
            bids=(PriceLevel(D("30000.00"), D("1.00000")),),
            asks=(PriceLevel(D("31012.44"), D("69.99")),),
            at=at(1691672864874),
        ),
    ),
    "spot/market-trades": (
        lambda x: x.recent_matches("LTC_USDT"),
        [PublicMatch("LTC_USDT", D("83.4299"), D("0.218"), Side.SELL, at(1717238257307))],
    ),
    "spot/klines": (
        lambda x: x.candles("BTC_USDT", minutes=1),
        [
            Candle(at(1710327540000), D("72811.93"), D("72835.17"), D("72794.01"), D("72830.6"), D("12.4")),
            Candle(at(1710327600000), D("72830.6"), D("72870.03"), D("72801.2"), D("72858.09"), D("9.59")),
        ],
    ),
    "spot/user-fee": (
        lambda x: x.fee_schedule(),
        FeeSchedule(
            "LV1",
            {
                "A": FeeRates(D("0.001"), D("0.001")),
                "B": FeeRates(D("0.002"), D("0.0025")),
                "C": FeeRates(D("0.0035"), D("0.004")),
                "D": FeeRates(D("0.005"), D("0.006")),
            },
        ),
    ),
    "spot/account-info": (lambda x: x.account_info(), ACCOUNT),
    "spot/batch-orders": (
        lambda x: x.submit_batch(made.BATCH, signed_at_ms=NOW_MS),
        BatchReport(("212686593625402880", "212686593625402881"), is_complete=True),
    ),
    "spot/cancel-orders": (
        lambda x: x.cancel_batch(
            "BTC_USDT", exchange_order_ids=["213055379087243617", "213055379087243618"], signed_at_ms=NOW_MS
        ),
        CancelReport(accepted=("213055379087243617",), refused=("213055379087243618",)),
    ),
    "spot/cancel-all": (lambda x: x.cancel_all("BTC_USDT", signed_at_ms=NOW_MS), None),
    "spot/history-orders": (lambda x: x.order_history("BTC_USDT", since=SINCE), [SPOT_ORDER]),
    "spot/trades": (lambda x: x.fills("BTC_USDT", since=SINCE), [SPOT_FILL]),
    "futures/depth": (
        lambda x: x.order_book("BTCUSDT"),
        OrderBook(
            "BTCUSDT",
            bids=(PriceLevel(D("60000.0"), D(65)),),
            asks=(PriceLevel(D("60000.1"), D(65)),),
            at=at(1760000000000),
        ),
    ),
    "futures/market-trade": (
        lambda x: x.recent_matches("BTCUSDT"),
        [PublicMatch("BTCUSDT", D("104146.5"), D("0.037"), Side.SELL, at(1750347973000))],
    ),
    "futures/kline": (
        lambda x: x.candles("BTCUSDT", minutes=1),
        [Candle(at(1662518160000), D(100), D(130), D(90), D(120), D(941008))],
    ),
    "futures/funding-rate": (
        lambda x: x.funding_rate("BTCUSDT"),
        FundingRate("BTCUSDT", D("0.000164"), at(1760025600000), D("0.000164")),
    ),
    "futures/funding-rate-history": (
        lambda x: x.funding_history("BTCUSDT"),
        [FundingRate("BTCUSDT", D("0.000091412174"), at(1734336000000))],
    ),
    "futures/open-interest": (
        lambda x: x.open_interest("BTCUSDT"),
        OpenInterest("BTCUSDT", D(4134180), D("94100888.04"), at(1674291372000)),
    ),
    "futures/leverage-bracket": (
        lambda x: x.leverage_brackets("BTCUSDT"),
        [LeverageBracket(D(100), D(0), D(500000), D("0.004"), D(0))],
    ),
    "futures/account-info": (lambda x: x.account_info(), ACCOUNT),
    "futures/modify-limit-order": (
        lambda x: x.modify_order(
            "BTCUSDT", exchange_order_id="220609666322019", price=D("60001.5"), quantity=D(7), signed_at_ms=NOW_MS
        ),
        "220609666322019",
    ),
    "futures/cancel-orders": (lambda x: x.cancel_all("BTCUSDT", signed_at_ms=NOW_MS), None),
    "futures/cancel-all-after": (
        lambda x: x.cancel_all_after("BTCUSDT", seconds=10, signed_at_ms=NOW_MS),
        CancelTimer(at(1743064715000), at(1743064725000)),
    ),
    "futures/submit-plan-order": (
        lambda x: x.submit_trigger(made.TRIGGER, signed_at_ms=NOW_MS),
        "220609666322019",
    ),
    "futures/modify-plan-order": (
        lambda x: x.modify_trigger(made.TRIGGER_CHANGE, signed_at_ms=NOW_MS),
        "220609666322019",
    ),
    "futures/cancel-plan-order": (
        lambda x: x.cancel_trigger("BTCUSDT", exchange_order_id="220609666322019", signed_at_ms=NOW_MS),
        None,
    ),
    "futures/submit-tp-sl-order": (
        lambda x: x.submit_protection(made.STOP_LOSS, signed_at_ms=NOW_MS),
        "220906179559421",
    ),
    "futures/modify-tp-sl-order": (
        lambda x: x.modify_protection(
            ProtectionChange("BTCUSDT", D(57900), whole_position=True, exchange_order_id="220906179559421"),
            signed_at_ms=NOW_MS,
        ),
        "220906179559421",
    ),
    "futures/modify-preset-plan-order": (
        lambda x: x.modify_presets(
            "BTCUSDT",
            exchange_order_id="220609666322019",
            stop_loss=PresetPrice(D(58000), PriceSource.MARK),
            signed_at_ms=NOW_MS,
        ),
        "220609666322019",
    ),
    "futures/submit-trail-order": (
        lambda x: x.submit_trailing(made.TRAILING, signed_at_ms=NOW_MS),
        "220609666322020",
    ),
    "futures/cancel-trail-order": (
        lambda x: x.cancel_trailing("BTCUSDT", exchange_order_id="220609666322020", signed_at_ms=NOW_MS),
        None,
    ),
    "futures/current-plan-order": (
        lambda x: x.trigger_orders(),
        [
            TriggerReport(
                exchange_order_id="220609666322019",
                client_order_id="",
                symbol="BTCUSDT",
                kind=TriggerKind.PLAN,
                side=Side.BUY,
                quantity=D(10),
                trigger_price=D("60000.5"),
                source=PriceSource.LAST,
                price=D(60100),
                crossing=Crossing.RISES_TO,
                created_at=at(1760000000000),
                updated_at=at(1760000000500),
            ),
            TriggerReport(
                exchange_order_id="220906179559421",
                client_order_id="tv00000003",
                symbol="BTCUSDT",
                kind=TriggerKind.STOP_LOSS,
                side=Side.SELL,
                quantity=None,
                trigger_price=D(58000),
                source=PriceSource.MARK,
                price=None,
                crossing=Crossing.FALLS_TO,
                created_at=at(1760000000000),
                updated_at=at(1760000000500),
            ),
        ],
    ),
    "futures/transaction-history": (
        lambda x: x.transactions(since=SINCE),
        [
            booked(TransactionKind.TRANSFER, "30", 1734422400000, "1121212121", symbol=""),
            booked(TransactionKind.REALIZED_PNL, "1.5", 1734422401000, "1121212122"),
            booked(TransactionKind.COMMISSION, "-0.00003507", 1734422402121, "1734422402121"),
            booked(TransactionKind.FUNDING_FEE, "-0.00008253", 1734422402121, "1734422402121"),
            booked(TransactionKind.LIQUIDATION, "-5", 1734422403000, "1121212123"),
        ],
    ),
    "futures/position-risk": (
        lambda x: x.position_risks(),
        [
            PositionRisk(
                symbol="BTCUSDT",
                book=Book.LONG,
                signed_quantity=D(10),
                mark_price=D(60090),
                unrealized_pnl=D("0.9"),
                liquidation_price=D("48300.5"),
                leverage=D(5),
                margin_mode=MarginMode.ISOLATED,
                notional=D("600.9"),
                max_notional=D(10000000),
            )
        ],
    ),
    "futures/transfer-contract": (
        lambda x: x.transfer(TransferDirection.TO_FUTURES, currency="USDT", amount=D(10), signed_at_ms=NOW_MS),
        None,
    ),
    "futures/transfer-list": (
        lambda x: x.transfers(currency="USDT"),
        [
            TransferReport(
                "664651258694168576",
                TransferDirection.TO_SPOT,
                "USDT",
                D("0.1"),
                TransferState.FINISHED,
                at(1638631674326),
            )
        ],
    ),
}
# Read in the files about looking orders up, about accounts, and about instruments and prices.
READ_ELSEWHERE = {
    "spot/account-info",
    "spot/cancel-order",
    "spot/client-order",
    "spot/client-order-market-buy",
    "spot/open-orders",
    "spot/order",
    "spot/order-trades",
    "spot/submit-order",
    "spot/symbols-details",
    "spot/system-time",
    "spot/ticker",
    "spot/tickers",
    "spot/trade-fee",
    "spot/wallet",
    "spot/withdraw-charge",
    "futures/assets-detail",
    "futures/cancel-order",
    "futures/details",
    "futures/get-open-orders",
    "futures/markprice-kline",
    "futures/order",
    "futures/order-history",
    "futures/position",
    "futures/position-mode",
    "futures/position-v2",
    "futures/position-v2-hedge",
    "futures/set-position-mode",
    "futures/submit-leverage",
    "futures/submit-order",
    "futures/system-time",
    "futures/trade-fee-rate",
    "futures/trades",
}


def exchange_of(name: str) -> Exchange:
    return spot() if name.startswith("spot/") else futures()


@pytest.mark.parametrize("name", READ)
@responses.activate
def test_the_recorded_answer_is_read_to_the_last_digit(name: str) -> None:
    serve(name)
    call, expected = READ[name]

    assert call(exchange_of(name)) == expected
    assert len(responses.calls) == 1


def test_every_recorded_answer_is_read_by_a_test() -> None:
    names = {str(path.relative_to(FIXTURES).with_suffix("")) for path in FIXTURES.glob("*/*.json")}

    assert names == set(READ) | READ_ELSEWHERE


@responses.activate
def test_the_mode_is_read_back_after_it_was_set() -> None:
    serve("futures/set-position-mode")
    serve("futures/position-mode")
    held = recorded("futures/position-mode")["response"]["data"]["position_mode"]

    futures().set_position_mode(PositionMode.HEDGE)

    assert held == "hedge_mode"
    assert responses.calls[0].request.body == b'{"position_mode":"hedge_mode"}'
    assert len(responses.calls) == 2


def test_bookings_that_share_an_id_have_keys_of_their_own() -> None:
    funding = booked(TransactionKind.FUNDING_FEE, "-0.10", 1, "7")

    assert funding.key == "7|funding_fee|LTCUSDT|-0.1"
    assert booked(TransactionKind.COMMISSION, "-0.1", 1, "7").key != funding.key
    assert Protection.STOP_LOSS.value == TriggerKind.STOP_LOSS.value
