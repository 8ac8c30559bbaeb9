"""The account holds something else than our fills add up to. Nothing is ever traded to repair it by itself."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest import mock
from uuid import uuid4, uuid5

import pytest
from django.db.models import Sum
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from apps.connectors.bitmart.futures import FuturesExchange
from apps.connectors.exchange import (
    Book,
    FillReport,
    LiquidityRole,
    OrderRejectedError,
    OrderReport,
    OrderStatus,
    PositionReport,
    RejectReason,
    Side,
    TransactionKind,
    TransactionReport,
    UnreachableError,
)
from apps.connectors.models import Connector
from apps.connectors.opening import open_connector
from apps.trading import bookings, reconcile, recording
from apps.trading.adjusting import adjust
from apps.trading.exposure import lost_today
from apps.trading.ids import client_order_id
from apps.trading.models import (
    AccountWatch,
    Adjustment,
    Fill,
    Incident,
    LedgerEntry,
    Order,
    Position,
    Protection,
    ProtectionState,
)
from tests.engine.conftest import Bench, bench
from tests.engine.resting import resting
from tests.factories import (
    ConnectorFactory,
    IncidentFactory,
    InstrumentFactory,
    OrderFactory,
    PositionFactory,
    SpotInstrumentFactory,
    ago,
)
from tests.matrix.outside import by_hand, poll
from tests.shared_paper import SharedPaper

POSITIONS = "/contract/private/position-v2"


def settled(bench: Bench) -> None:
    """Let what was filled have been recorded a while ago."""
    Fill.unscoped.update(recorded_at=ago(minutes=1))


def opened(bench: Bench, quantity: str = "0.01") -> None:
    bench.send("buy", "flat", quantity)
    settled(bench)


def sold_by_hand_while_an_order_rests(bench: Bench) -> None:
    """Leave 6 of 10 contracts at the exchange, and an entry of ours far below the price."""
    opened(bench)
    resting(bench, "buy", "long", "0.01", "50000")
    by_hand(bench, Side.SELL, "4", reduce_only=True)


def of(kind: str) -> Incident:
    found: Incident = Incident.unscoped.get(kind=kind, resolved_at=None)
    return found


def test_position_closed_by_hand_is_taken_over_after_three_readings_and_labelled_not_ours(futures: Bench) -> None:
    opened(futures)
    by_hand(futures, Side.SELL, "10", reduce_only=True)

    poll(2)
    assert (futures.held(), Incident.unscoped.count()) == (10, 0)
    poll()

    assert futures.held() == 0
    adjustment = Adjustment.unscoped.get()
    assert (adjustment.change, adjustment.get_cause_display()) == (Decimal(-10), "not ours")
    entry = LedgerEntry.unscoped.get(kind="external")
    assert (entry.amount, entry.currency, entry.symbol) == (Decimal("-0.01"), "BTC", "BTCUSDT")
    incident = of("position_external")
    assert incident.what == "BTCUSDT was traded outside: we had long 10 contracts, the exchange holds flat."
    assert [name for name, _ in futures.book() if name != "hand1"] == [futures.order().client_order_id]
    poll(4)
    assert (Adjustment.unscoped.count(), Incident.unscoped.count()) == (1, 1)


def test_stop_that_fired_and_nobody_looked_for_is_not_taken_for_a_trade_by_hand(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01", stop_loss={"price": 58000})
    settled(futures)
    futures.paper.set_price("BTCUSDT", "57900")
    Protection.unscoped.update(next_at=ago(seconds=1))

    poll(5)
    assert (futures.held(), Adjustment.unscoped.count()) == (10, 0)
    futures.wait(2)
    settled(futures)
    poll(4)

    assert (futures.held(), Adjustment.unscoped.count(), Fill.unscoped.count()) == (0, 0, 2)
    assert Protection.unscoped.get().state == ProtectionState.FIRED


def test_stop_that_is_not_due_yet_is_looked_at_before_its_fill_is_taken_for_a_trade_by_hand(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01", stop_loss={"price": 58000})
    settled(futures)
    futures.paper.set_price("BTCUSDT", "57900")
    Protection.unscoped.update(next_at=timezone.now() + timedelta(minutes=5))

    poll(4)
    assert (futures.held(), Adjustment.unscoped.count()) == (10, 0)
    futures.wait(2)

    assert (futures.held(), Protection.unscoped.get().state) == (0, ProtectionState.FIRED)


def test_stop_whose_fill_was_taken_over_is_still_found_to_have_fired(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01", stop_loss={"price": 58000})
    settled(futures)
    futures.paper.set_price("BTCUSDT", "57900")
    entry = futures.order()
    adjust(
        futures.connector, entry.instrument, Book.NET, expected=Decimal(10), target=Decimal(0), price=None,
        cause=Adjustment.Cause.EXTERNAL,
    )  # fmt: skip
    Protection.unscoped.update(next_at=ago(seconds=1))

    futures.wait(2)
    assert (Protection.unscoped.get().state, Fill.unscoped.count()) == (ProtectionState.FIRED, 2)
    poll(4)

    assert futures.held() == 0


def test_order_that_nobody_remembers_is_looked_for_before_its_fill_is_taken_for_a_trade_by_hand(futures: Bench) -> None:
    opened(futures)
    poll()
    assert AccountWatch.unscoped.get().swept_at is not None, "the next sweep of the whole account is minutes away"
    named = uuid5(uuid4(), "lost")
    by_hand(futures, Side.BUY, "5", name=client_order_id(named, leg="o"))

    poll(3)
    assert (futures.held(), Adjustment.unscoped.count()) == (10, 0)
    futures.wait()
    poll(4)

    assert (futures.held(), Adjustment.unscoped.count()) == (15, 0)
    assert Order.unscoped.get(pk=named).state == "filled"


@pytest.mark.parametrize("reason", [RejectReason.SYMBOL_NOT_TRADING, RejectReason.UNKNOWN_SYMBOL])
@pytest.mark.parametrize("question", ["order_history", "open_orders"])
def test_refused_look_for_orders_that_nobody_remembers_is_made_again_before_anything_is_taken_over(
    futures: Bench, monkeypatch: pytest.MonkeyPatch, reason: RejectReason, question: str
) -> None:
    """An answer that does not know a symbol which is listed, and held, is a refusal like another."""
    opened(futures)
    poll()
    named = uuid5(uuid4(), "lost")
    by_hand(futures, Side.BUY, "5", name=client_order_id(named, leg="o"))
    poll(2)
    refused = OrderRejectedError("Refused.", reason=reason)
    with monkeypatch.context() as patched:
        patched.setattr(FuturesExchange, question, mock.Mock(side_effect=refused))
        poll()
    assert AccountWatch.unscoped.get().differing == {"BTCUSDT|net": 2}

    poll()

    assert (futures.held(), Adjustment.unscoped.count()) == (10, 0)
    assert Order.unscoped.get(pk=named).state == "accepted"


def test_fill_of_a_resting_order_that_is_told_late_is_not_taken_for_a_trade_by_hand(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "IN_A_ROW_WHILE_RESTING", 5)
    order = resting(futures, "buy", "flat", "0.01", "59000")
    futures.paper.set_price("BTCUSDT", "58500")
    unfilled = OrderReport(
        client_order_id=order.client_order_id, exchange_order_id=order.exchange_order_id, symbol="BTCUSDT",
        status=OrderStatus.ACCEPTED, side=Side.BUY, quantity=order.quantity, filled_quantity=Decimal(0),
    )  # fmt: skip

    with mock.patch.object(FuturesExchange, "find_order", return_value=unfilled):
        poll(4)
    assert Adjustment.unscoped.count() == 0
    poll(2)

    assert (futures.held(), Adjustment.unscoped.count()) == (10, 0)
    order.refresh_from_db()
    assert order.state == "filled"


def test_nothing_is_taken_over_while_an_order_that_rests_cannot_be_asked_about(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "IN_A_ROW_WHILE_RESTING", 3)
    sold_by_hand_while_an_order_rests(futures)

    with mock.patch.object(FuturesExchange, "find_order", side_effect=UnreachableError("no answer")):
        poll(4)

    assert (futures.held(), Adjustment.unscoped.count()) == (10, 0)


def test_a_trade_by_hand_is_taken_over_in_the_end_while_an_order_of_ours_rests(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "IN_A_ROW_WHILE_RESTING", 4)
    sold_by_hand_while_an_order_rests(futures)

    poll(reconcile.IN_A_ROW_WHILE_RESTING - 1)
    assert Adjustment.unscoped.count() == 0
    poll()

    assert (futures.held(), Adjustment.unscoped.count()) == (6, 1)


def test_position_liquidated_is_taken_over_and_called_by_its_name(futures: Bench) -> None:
    Connector.unscoped.update(leverage=50, external_trades="ignore")
    opened(futures)
    futures.paper.set_price("BTCUSDT", "57000")
    poll(3)

    assert futures.held() == 0
    assert Adjustment.unscoped.get().cause == "liquidated"
    assert of("position_liquidated").what.startswith("The exchange liquidated BTCUSDT: we had long 10 contracts")


def test_position_liquidated_while_the_account_could_not_be_read_is_called_by_its_name(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    Connector.unscoped.update(leverage=50)
    opened(futures)
    Position.unscoped.update(opened_at=ago(minutes=90))
    read = FuturesExchange.order_history

    def an_hour_ago(exchange: FuturesExchange, symbol: str, *, since: datetime) -> list[OrderReport]:
        at = ago(minutes=60)
        return [replace(report, created_at=at) for report in read(exchange, symbol) if at >= since]

    monkeypatch.setattr(FuturesExchange, "order_history", an_hour_ago)
    futures.paper.set_price("BTCUSDT", "57000")
    poll(3)

    [usdt] = open_connector(futures.connector).balances()
    position = Position.unscoped.get()
    assert (futures.held(), Adjustment.unscoped.get().cause) == (0, "liquidated")
    assert abs(10000 - usdt.equity - (position.fees - position.realized_pnl)) < Decimal("1e-15")


@pytest.mark.parametrize(("readings", "within"), [(11, timedelta(days=3)), (12, timedelta(minutes=10))])
def test_difference_that_stands_is_not_sought_in_days_each_time(
    futures: Bench, monkeypatch: pytest.MonkeyPatch, readings: int, within: timedelta
) -> None:
    Connector.unscoped.update(external_trades="ignore")
    opened(futures)
    Position.unscoped.update(opened_at=ago(days=3))
    by_hand(futures, Side.SELL, "4", reduce_only=True)
    poll()
    AccountWatch.unscoped.update(differing={"BTCUSDT|net": readings})
    read, asked = bookings.history_of, list[datetime]()

    def noted(exchange: FuturesExchange, symbol: str, *, since: datetime) -> Any:
        asked.append(since)
        return read(exchange, symbol, since=since)

    monkeypatch.setattr(bookings, "history_of", noted)
    poll()

    [since] = asked
    assert abs(timezone.now() - since - within) < timedelta(seconds=30)
    assert (futures.held(), of("position_differs").symbol) == (10, "BTCUSDT")


def test_what_is_closed_by_hand_after_a_liquidation_that_was_told_late_is_none(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was taken over is explained, whatever its orders are found to have been afterwards."""
    Connector.unscoped.update(leverage=50)
    opened(futures)
    Position.unscoped.update(opened_at=ago(minutes=5))
    with monkeypatch.context() as late:
        late.setattr(FuturesExchange, "order_history", lambda *args, **kwargs: [])
        by_hand(futures, Side.SELL, "4", reduce_only=True)
        poll(3)
    read, at = FuturesExchange.order_history, Adjustment.unscoped.get().at - timedelta(seconds=1)

    def forced(exchange: FuturesExchange, symbol: str, *, since: datetime) -> list[OrderReport]:
        return [replace(one, is_forced=True, created_at=at) for one in read(exchange, symbol) if at >= since]

    monkeypatch.setattr(FuturesExchange, "order_history", forced)
    futures.paper.end_windows()
    by_hand(futures, Side.SELL, "3", reduce_only=True, name="hand2")
    poll(3)

    assert futures.held() == 3
    assert list(Adjustment.unscoped.values_list("cause", flat=True)) == ["external", "external"]


def test_position_liquidated_by_halves_is_liquidated_twice(futures: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    Connector.unscoped.update(leverage=50)
    opened(futures)
    read = FuturesExchange.order_history

    def forced(exchange: FuturesExchange, symbol: str, *, since: datetime) -> list[OrderReport]:
        return [replace(one, is_forced=True) for one in read(exchange, symbol, since=since)]

    monkeypatch.setattr(FuturesExchange, "order_history", forced)
    for number in (1, 2):
        by_hand(futures, Side.SELL, "5", reduce_only=True, name=f"forced{number}")
        poll(3)
        futures.paper.end_windows()

    assert futures.held() == 0
    taken = Adjustment.unscoped.order_by("at").values_list("cause", "change")
    assert list(taken) == [("liquidated", Decimal(-5)), ("liquidated", Decimal(-5))]


@pytest.mark.parametrize("ahead_s", [0, 90])
def test_rest_closed_by_hand_after_a_part_was_liquidated_is_no_liquidation(
    futures: Bench, monkeypatch: pytest.MonkeyPatch, ahead_s: int
) -> None:
    """The order is told again where the exchange goes by the second, and is dated by its clock, ahead of ours."""
    Connector.unscoped.update(leverage=50)
    opened(futures)
    Connector.unscoped.update(clock_offset_ms=ahead_s * 1000)
    read, at = FuturesExchange.order_history, timezone.now() + timedelta(seconds=ahead_s)

    def forced(exchange: FuturesExchange, symbol: str, *, since: datetime) -> list[OrderReport]:
        told = [one for one in read(exchange, symbol) if one.client_order_id == "forced1"]
        return [replace(one, is_forced=True, created_at=at) for one in told]

    monkeypatch.setattr(FuturesExchange, "order_history", forced)
    for name in ("forced1", "hand1"):
        by_hand(futures, Side.SELL, "5", reduce_only=True, name=name)
        poll(3)
        futures.paper.end_windows()

    assert futures.held() == 0
    assert list(Adjustment.unscoped.order_by("at").values_list("cause", flat=True)) == ["liquidated", "external"]


def test_what_a_liquidation_cost_is_realised_and_lost_today(futures: Bench) -> None:
    Connector.unscoped.update(leverage=50, max_daily_loss=Decimal(5))
    opened(futures)
    futures.paper.set_price("BTCUSDT", "57000")
    poll(3)

    [usdt] = open_connector(futures.connector).balances()
    lost = 10000 - usdt.equity
    position = Position.unscoped.get()
    assert lost > 10
    assert abs(lost - (position.fees - position.realized_pnl)) < Decimal("1e-15")
    assert lost_today(futures.connector, "USDT") == position.fees - position.realized_pnl
    booked = LedgerEntry.unscoped.exclude(kind="external").aggregate(total=Sum("amount"))["total"]
    assert booked == position.realized_pnl - position.fees
    refused = futures.send("buy", "flat", "0.001")
    assert futures.status(refused) == ("rejected", "MAX_DAILY_LOSS")


def test_liquidation_whose_entry_is_told_dearer_later_is_realised_from_the_real_price(futures: Bench) -> None:
    """A fill that belongs before others has the position worked out again, what was liquidated included."""
    Connector.unscoped.update(leverage=50)
    opened(futures)
    futures.paper.set_price("BTCUSDT", "57000")
    poll(3)
    before = Position.unscoped.get()
    first = Fill.unscoped.get()
    late = FillReport(
        trade_id="late", exchange_order_id=futures.order().exchange_order_id, symbol="BTCUSDT", side=Side.SELL,
        price=first.price + 1000, quantity=Decimal(4), fee=Decimal(0), fee_currency="USDT",
        role=LiquidityRole.TAKER, filled_at=first.filled_at + timedelta(milliseconds=1),
    )  # fmt: skip

    recording.record(futures.order(), [late])

    # 6 of the 10 that the exchange closed were ours still, 4 went 1000 dearer than they came; 4 short came in.
    after = Position.unscoped.get()
    assert after.signed_quantity == -4
    assert abs(after.realized_pnl - (before.realized_pnl * 6 / 10 + 4)) < Decimal("1e-15")
    realized = LedgerEntry.unscoped.filter(kind__in=("realized_pnl", "correction")).aggregate(total=Sum("amount"))
    assert realized["total"] == after.realized_pnl


def test_what_is_closed_by_hand_soon_after_a_liquidation_is_no_second_one(futures: Bench) -> None:
    Connector.unscoped.update(leverage=50)
    opened(futures)
    futures.paper.set_price("BTCUSDT", "57000")
    poll(3)
    opened(futures)
    by_hand(futures, Side.SELL, "10", reduce_only=True)
    poll(3)

    assert futures.held() == 0
    assert list(Adjustment.unscoped.order_by("at").values_list("cause", flat=True)) == ["liquidated", "external"]


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_one_side_closed_by_hand_is_no_liquidation_because_the_other_side_was_liquidated(
    db: None, paper: SharedPaper, side: str
) -> None:
    hedge = bench(paper, "futures", position_mode="hedge_mode")
    Connector.unscoped.update(leverage=50)
    hedge.send("buy", "flat", "0.01", hedgemode="hedge")
    hedge.send("sell", "flat", "0.01", hedgemode="hedge")
    long, price = side == "buy", "57000" if side == "buy" else "63000"
    by_hand(
        hedge, Side.BUY if long else Side.SELL, "10", reduce_only=True, book=Book.SHORT if long else Book.LONG
    )  # fmt: skip
    hedge.paper.set_price("BTCUSDT", price)
    poll(3)

    causes = dict(Adjustment.unscoped.values_list("book", "cause"))
    assert causes == {"long" if long else "short": "liquidated", "short" if long else "long": "external"}


def test_position_query_failing_is_no_news(futures: Bench) -> None:
    opened(futures)
    futures.fault("status", POSITIONS, status=502, accepted=False, times=1000)

    poll(5)

    assert (futures.held(), Adjustment.unscoped.count(), Incident.unscoped.count()) == (10, 0, 0)
    assert Position.unscoped.get().exchange_quantity is None


@pytest.mark.parametrize("data", ["null", "empty", "text"])
def test_position_query_without_data_is_no_news(futures: Bench, data: str) -> None:
    opened(futures)
    futures.fault("no_data", POSITIONS, data=data, times=1000)

    poll(5)

    assert (futures.held(), Adjustment.unscoped.count(), Incident.unscoped.count()) == (10, 0, 0)


def test_position_list_that_is_empty_by_mistake_is_asked_again_by_symbol(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(futures)
    positions = FuturesExchange.positions
    monkeypatch.setattr(
        FuturesExchange, "positions", lambda self, symbol=None: positions(self, symbol) if symbol else []
    )

    poll(6)

    assert (futures.held(), Adjustment.unscoped.count(), Incident.unscoped.count()) == (10, 0, 0)


@pytest.mark.parametrize("market", ["futures", "spot"])
def test_symbol_that_the_exchange_no_longer_knows_holds_up_no_reading_of_the_account(
    request: pytest.FixtureRequest, market: str
) -> None:
    bench: Bench = request.getfixturevalue(market)
    opened(bench)
    factory, symbol = (InstrumentFactory, "GONEUSDT") if market == "futures" else (SpotInstrumentFactory, "GONE_USDT")
    gone = factory(symbol=symbol, base="GONE")
    OrderFactory(connector=bench.connector, instrument=gone, state="rejected", finished_at=ago(minutes=2))
    by_hand(bench, Side.SELL, "4" if market == "futures" else "0.004", reduce_only=market == "futures")

    poll(3)

    watch = AccountWatch.unscoped.get()
    assert (watch.read_at is None, watch.swept_at is None, watch.differing) == (False, False, {})
    assert (Adjustment.unscoped.get().symbol, bench.held()) == (
        ("BTCUSDT", 6) if market == "futures" else ("BTC_USDT", Decimal("0.006"))
    )


def test_symbol_whose_orders_are_refused_holds_up_no_reading_of_the_account(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its orders of this time were not compared: they alone are sought again at the next reading."""
    opened(futures)
    other = InstrumentFactory(symbol="ETHUSDT", base="ETH")
    OrderFactory(connector=futures.connector, instrument=other, state="rejected", finished_at=ago(minutes=2))
    by_hand(futures, Side.SELL, "4", reduce_only=True)
    history, asked = FuturesExchange.order_history, list[str]()

    def refused(exchange: FuturesExchange, symbol: str, **span: Any) -> Any:
        asked.append(symbol)
        if symbol == "ETHUSDT":
            raise OrderRejectedError("Not by API at the moment.", reason=RejectReason.SYMBOL_NOT_TRADING)
        return history(exchange, symbol, **span)

    monkeypatch.setattr(FuturesExchange, "order_history", refused)

    poll()
    assert sorted(asked) == ["BTCUSDT", "ETHUSDT"]
    asked.clear()
    poll()
    assert asked == ["ETHUSDT"]
    poll()

    watch = AccountWatch.unscoped.get()
    assert (watch.read_at is None, watch.swept_at is None, futures.held()) == (False, False, 6)
    assert watch.refused_symbols is not None
    assert list(watch.refused_symbols) == ["ETHUSDT"]


def hold_unlisted(bench: Bench, *, is_listed: bool = False) -> None:
    """Have five contracts on record of a symbol that the exchange does not know, and four of ten sold by hand."""
    opened(bench)
    gone = InstrumentFactory(symbol="GONEUSDT", base="GONE", is_listed=is_listed, is_trading=is_listed)
    PositionFactory(connector=bench.connector, instrument=gone, signed_quantity=Decimal(5))
    by_hand(bench, Side.SELL, "4", reduce_only=True)


def positions_of() -> dict[str, Decimal]:
    return dict(Position.unscoped.values_list("symbol", "signed_quantity"))


def test_position_of_a_symbol_that_is_gone_everywhere_is_taken_over_and_holds_up_no_other(futures: Bench) -> None:
    hold_unlisted(futures)

    poll(3)

    assert positions_of() == {"BTCUSDT": 6, "GONEUSDT": 0}
    assert AccountWatch.unscoped.get().differing == {}


def test_position_of_a_symbol_that_only_the_answer_does_not_know_stays_and_holds_up_no_other(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold_unlisted(futures, is_listed=True)

    monkeypatch.setattr(FuturesExchange, "positions", refusing(FuturesExchange.positions))
    for question in ("open_orders", "order_history"):
        # It knows the symbol there.
        monkeypatch.setattr(FuturesExchange, question, lambda *args, **kwargs: [])

    poll(4)

    assert positions_of() == {"BTCUSDT": 6, "GONEUSDT": 5}
    assert AccountWatch.unscoped.get().read_at is not None


def refusing(real: Any) -> Any:
    """Answer like `real`, but for a symbol that is gone."""

    def positions(exchange: FuturesExchange, symbol: str | None = None) -> Any:
        if symbol == "GONEUSDT":
            raise OrderRejectedError("BitMart does not know this symbol.", reason=RejectReason.UNKNOWN_SYMBOL)
        return real(exchange, symbol)

    return positions


def test_position_of_a_symbol_that_our_listing_lost_is_asked_for_before_it_is_taken_over(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(futures)
    order = futures.order()
    order.instrument.is_listed = order.instrument.is_trading = False
    order.instrument.save()
    positions = FuturesExchange.positions
    monkeypatch.setattr(
        FuturesExchange, "positions", lambda self, symbol=None: positions(self, symbol) if symbol else []
    )

    poll(4)

    assert (futures.held(), Adjustment.unscoped.count(), Incident.unscoped.count()) == (10, 0, 0)


def test_one_side_of_a_hedge_account_closed_by_hand_is_taken_over_while_the_other_is_open(
    db: None, paper: SharedPaper
) -> None:
    hedge = bench(paper, "futures", position_mode="hedge_mode")
    hedge.send("buy", "flat", "0.01", hedgemode="hedge")
    hedge.send("sell", "flat", "0.004", hedgemode="hedge")
    by_hand(hedge, Side.SELL, "10", reduce_only=True, book=Book.LONG)

    poll(3)

    held = dict(Position.unscoped.values_list("book", "signed_quantity"))
    assert held == {"long": Decimal(0), "short": Decimal(-4)}
    taken = Adjustment.unscoped.get()
    assert (taken.book, taken.change) == ("long", Decimal(-10))


def test_position_opened_by_hand_where_we_have_none_gets_a_row_at_its_price(futures: Bench) -> None:
    by_hand(futures, Side.SELL, "7")
    poll(3)

    position = Position.unscoped.get()
    assert (position.signed_quantity, position.avg_entry_price) == (Decimal(-7), Decimal(60000))
    # And an exit of ours closes it like any other.
    futures.send("buy", "short", "0.007")
    assert futures.held() == 0


@pytest.mark.parametrize(("policy", "paused"), [("ignore", False), ("pause", True)])
def test_by_setting_both_figures_stay_and_stand_in_an_incident(futures: Bench, policy: str, paused: bool) -> None:
    Connector.unscoped.update(external_trades=policy)
    opened(futures)
    by_hand(futures, Side.SELL, "4", reduce_only=True)

    poll(3)

    incident = of("position_differs")
    assert incident.what == "BTCUSDT: our fills add up to long 10 contracts, the exchange holds long 6 contracts."
    assert (futures.held(), Adjustment.unscoped.count()) == (10, 0)
    assert (Connector.unscoped.get().paused_at is not None) is paused
    by_hand(futures, Side.BUY, "4", name="hand2")
    poll()
    incident.refresh_from_db()
    assert incident.resolution == "Both say the same again."


def test_difference_is_not_counted_while_an_order_is_under_way(futures: Bench) -> None:
    opened(futures)
    by_hand(futures, Side.SELL, "10", reduce_only=True)
    Order.unscoped.update(state="accepted", finished_at=None)

    poll(5)

    assert (futures.held(), Incident.unscoped.count()) == (10, 0)
    assert AccountWatch.unscoped.get().differing == {}


def test_forty_alerts_and_a_reading_after_each_raise_no_alarm(futures: Bench) -> None:
    for _ in range(10):
        futures.send("buy", "flat", "0.01")
        poll()
        futures.send("buy", "long", "0.005")
        poll()
        futures.send("sell", "long", "0.03")
        poll()
        futures.send("buy", "short", "0.015")
        poll()

    assert futures.held() == 0
    assert (Incident.unscoped.count(), Adjustment.unscoped.count()) == (0, 0)


def test_on_spot_a_coin_sold_by_hand_is_taken_over_and_the_owners_own_coins_are_left_alone(spot: Bench) -> None:
    by_hand(spot, Side.BUY, "0.02")
    opened(spot)
    before = spot.held()
    poll(4)
    assert (spot.held(), Incident.unscoped.count()) == (before, 0)

    by_hand(spot, Side.SELL, "0.025", name="hand2")
    poll(3)

    assert Decimal("0.0049") < spot.held() < Decimal("0.005")
    assert of("position_external").symbol == "BTC_USDT"
    assert Adjustment.unscoped.get().change == spot.held() - before


def test_hedge_books_against_our_one_position_is_an_incident_and_nothing_is_taken_over(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(futures)
    report = PositionReport("BTCUSDT", Book.LONG, Decimal(10), Decimal(60000), None, None, None, None)
    monkeypatch.setattr(FuturesExchange, "positions", lambda *_, **__: [report])

    poll(5)

    incident = of("position_mode")
    assert incident.what.startswith("The account was in one-way mode and is in hedge mode now.")
    assert (futures.held(), Position.unscoped.count(), Adjustment.unscoped.count()) == (10, 1, 0)


def test_funding_is_booked_once_for_each_booking(futures: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(futures)
    paid = TransactionReport("77", TransactionKind.FUNDING_FEE, "BTCUSDT", Decimal("-0.06"), "USDT", timezone.now())
    got = TransactionReport("78", TransactionKind.FUNDING_FEE, "BTCUSDT", Decimal("0.02"), "USDT", timezone.now())
    told: list[TransactionReport] = [paid]
    monkeypatch.setattr(FuturesExchange, "transactions", lambda *_, **__: told)

    poll(2)
    told.append(got)
    let_bookings_be_due()
    poll(2)

    entries = LedgerEntry.unscoped.filter(kind="funding").order_by("amount")
    assert [entry.amount for entry in entries] == [Decimal("-0.06"), Decimal("0.02")]
    assert Position.unscoped.get().funding == Decimal("-0.04")


def test_bookings_are_read_on_from_where_they_were_read_to(futures: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    Connector.unscoped.update(created_at=ago(days=9))
    asked: list[Any] = []
    monkeypatch.setattr(FuturesExchange, "transactions", lambda *_, since, **__: asked.append(since) or [])

    poll(2)
    assert len(asked) == 1
    let_bookings_be_due()
    poll(2)

    assert timezone.now() - asked[0] >= bookings.FIRST_LOOK
    assert timedelta(minutes=15) <= timezone.now() - asked[1] < timedelta(minutes=16)
    assert len(asked) == 2


def let_bookings_be_due() -> None:
    AccountWatch.unscoped.update(booked_until=ago(minutes=5))


def test_late_fill_leaves_what_was_taken_over_in_place(futures: Bench) -> None:
    opened(futures)
    by_hand(futures, Side.SELL, "4", reduce_only=True)
    poll(3)
    assert futures.held() == 6

    Adjustment.unscoped.get()
    futures.send("sell", "long", "0.006")

    assert futures.held() == 0


def test_flat_accounts_are_read_every_five_minutes_and_open_ones_every_thirty_seconds(futures: Bench) -> None:
    poll()
    flat = AccountWatch.unscoped.get().next_at - timezone.now()
    opened(futures)
    poll()
    in_use = AccountWatch.unscoped.get().next_at - timezone.now()

    assert timedelta(seconds=295) < flat <= timedelta(seconds=300)
    assert timedelta(seconds=25) < in_use <= timedelta(seconds=30)


def test_account_that_is_flat_where_our_row_is_not_is_read_again_soon(futures: Bench) -> None:
    """Right after a fill nothing is compared yet: the next reading has to tell."""
    opened(futures)
    by_hand(futures, Side.SELL, "10", reduce_only=True)
    Fill.unscoped.update(recorded_at=timezone.now())
    reconcile.make_all_due()

    reconcile.poll_due()

    watch = AccountWatch.unscoped.get()
    assert (futures.held(), watch.differing) == (10, {})
    assert timedelta(seconds=25) < watch.next_at - timezone.now() <= timedelta(seconds=30)


@pytest.mark.parametrize(
    ("opened_for", "next_in", "is_read"), [(31, 240, True), (10, 240, False), (31, 59, False), (31, -1, True)]
)
def test_what_was_opened_after_a_flat_reading_is_compared_within_half_a_minute(
    futures: Bench, opened_for: int, next_in: int, is_read: bool
) -> None:
    """A reading under way is claimed for a minute: it is not begun twice."""
    reconcile.poll_due()
    opened(futures)
    PositionFactory._meta.model.unscoped.update(opened_at=ago(seconds=opened_for))
    AccountWatch.unscoped.update(next_at=ago(seconds=-next_in))

    assert reconcile.poll_due() == is_read


def test_a_row_that_moved_meanwhile_is_not_overwritten(futures: Bench) -> None:
    from apps.trading.adjusting import adjust

    opened(futures)
    position = PositionFactory._meta.model.unscoped.get()
    done = adjust(
        futures.connector, position.instrument, Book.NET, expected=Decimal(9), target=Decimal(0), price=None,
        cause=Adjustment.Cause.EXTERNAL,
    )  # fmt: skip

    assert (done, futures.held()) == (None, 10)


def test_difference_of_which_nothing_is_left_on_either_side_is_closed(futures: Bench) -> None:
    told = IncidentFactory(connector=futures.connector, symbol="ETHUSDT")
    other = IncidentFactory(symbol="ETHUSDT")

    poll()

    told.refresh_from_db()
    other.refresh_from_db()
    assert (told.resolved_at is None, told.resolution) == (False, "Both say the same again.")
    assert other.resolved_at is None


@pytest.mark.django_db
def test_the_longest_overdue_account_is_read_first(monkeypatch: pytest.MonkeyPatch) -> None:
    minutes = (3, 9, 1, 7)
    watches = {
        age: AccountWatch.unscoped.create(
            connector=connector, workspace_id=connector.workspace_id, next_at=ago(minutes=age)
        )
        for age, connector in ((age, ConnectorFactory()) for age in minutes)
    }
    AccountWatch.unscoped.create(
        connector=(later := ConnectorFactory()), workspace_id=later.workspace_id, next_at=ago(minutes=-9)
    )
    gone = ConnectorFactory(deleted_at=ago(minutes=1))
    AccountWatch.unscoped.create(connector=gone, workspace_id=gone.workspace_id, next_at=ago(minutes=20))
    read: list[Any] = []
    monkeypatch.setattr(reconcile, "_poll", read.append)

    assert reconcile.poll_due() == 4
    assert [watch.pk for watch in read] == [watches[age].pk for age in (9, 7, 3, 1)]
    assert reconcile.poll_due() == 0


def test_reading_of_an_open_position_asks_the_database_little(
    futures: Bench, django_assert_num_queries: DjangoAssertNumQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However slow the machine is.
    monkeypatch.setattr(reconcile, "FRESH", timedelta(minutes=1))
    opened(futures)
    poll(2)
    AccountWatch.unscoped.update(next_at=timezone.now())

    # For all: who is not watched, two checks of keys, the claim and what was claimed. For each: its positions, open
    # differences and open orders in one round trip, then what became of the reading and what is held.
    with django_assert_num_queries(5 + 3 + 1):
        reconcile.poll_due()


def test_what_is_held_is_noted_also_when_the_bookings_cannot_be_read(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(futures)
    Position.unscoped.update(exchange_quantity=None, reconciled_at=None)
    AccountWatch.unscoped.update(booked_until=None)

    def refuse(*_: Any, **__: Any) -> None:
        raise UnreachableError("no answer")

    monkeypatch.setattr(bookings, "take_over", refuse)
    poll()

    position, watch = Position.unscoped.get(), AccountWatch.unscoped.get()
    assert position.exchange_quantity == position.signed_quantity != 0
    assert position.reconciled_at is not None
    assert (watch.read_at is None or watch.read_at < position.reconciled_at, watch.booked_until) == (True, None)
