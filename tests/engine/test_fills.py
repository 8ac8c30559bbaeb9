"""Fills are believed once each, whatever the order and number of times they are told in."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest
from django.utils import timezone

from apps.connectors.bitmart.futures import FuturesExchange
from apps.connectors.exchange import Book, FillReport, LiquidityRole, OrderReport, OrderStatus, Side
from apps.connectors.opening import open_connector
from apps.trading import following, recording
from apps.trading.adjusting import adjust
from apps.trading.exposure import lost_today
from apps.trading.following import look
from apps.trading.models import Adjustment, Fill, LedgerEntry, OrderState, Position
from apps.trading.sweeper import sweep
from tests.engine.conftest import Bench

S = OrderState


class Slow:
    """Tells the exchange's one fill of ten contracts as fills of 4, 3 and 3, and only the first `told` of them."""

    sizes = (4, 3, 3)

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told = 0
        self.shown: int | None = None
        self.status = OrderStatus.PARTIAL
        self.updated_at: Any = None
        self.reverse = False
        # What all but the first of them cost more than the exchange's own fill.
        self.dearer = Decimal(0)
        find, list_fills = FuturesExchange.find_order, FuturesExchange.fills

        def found(exchange: FuturesExchange, *args: Any, **kwargs: Any) -> OrderReport | None:
            report = find(exchange, *args, **kwargs)
            if report is None:
                return None
            filled = Decimal(sum(self.sizes[: self.told]))
            status = self.status if self.told else OrderStatus.ACCEPTED
            at = self.updated_at or report.updated_at
            return replace(report, filled_quantity=filled, status=status, updated_at=at)

        def fills(exchange: FuturesExchange, *args: Any, **kwargs: Any) -> Sequence[FillReport]:
            whole = list_fills(exchange, *args, **kwargs)[0]
            parts = [self.part(whole, number) for number in range(3)]
            shown = parts[: self.told if self.shown is None else self.shown]
            return shown[::-1] if self.reverse else shown

        monkeypatch.setattr(FuturesExchange, "find_order", found)
        monkeypatch.setattr(FuturesExchange, "fills", fills)

    def part(self, whole: FillReport, number: int) -> FillReport:
        share = Decimal(self.sizes[number]) / 10
        at = whole.filled_at + timedelta(milliseconds=number)
        return replace(
            whole,
            trade_id=f"{whole.trade_id}{number}",
            quantity=whole.quantity * share,
            price=whole.price + (self.dearer if number else 0),
            fee=whole.fee * share,
            filled_at=at,
        )


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    monkeypatch.setattr("apps.trading.executor.FOLLOW_PAUSES_S", (0,))
    return Slow(monkeypatch)


def test_partial_order_collects_its_fills_and_ends_filled(futures: Bench, slow: Slow) -> None:
    slow.told = 1
    futures.send("buy", "flat", "0.01")
    assert (futures.order().state, futures.order().filled_quantity, futures.held()) == (S.PARTIAL, Decimal(4), 4)

    slow.told = 2
    futures.wait()
    assert (futures.order().state, futures.order().filled_quantity, futures.held()) == (S.PARTIAL, Decimal(7), 7)

    slow.told, slow.status = 3, OrderStatus.FILLED
    futures.wait()

    order = futures.order()
    assert (order.state, order.filled_quantity, order.next_at, futures.held()) == (S.FILLED, Decimal(10), None, 10)
    assert futures.path(order) == [S.PLANNED, S.SUBMITTING, S.ACCEPTED, S.PARTIAL, S.FILLED]
    told = futures.paper.fills(futures.account.access_key)
    assert {currency: Decimal(fee) for currency, fee in order.fees.items()} == {"USDT": Decimal(told[0]["fee"])}
    assert futures.book() == [(order.client_order_id, "10")]


def test_fills_told_again_change_nothing(futures: Bench, slow: Slow) -> None:
    slow.told, slow.status = 2, OrderStatus.PARTIAL
    futures.send("buy", "flat", "0.01")
    before = (futures.order().filled_quantity, futures.held(), LedgerEntry.unscoped.count())

    order = futures.order()
    for _ in range(3):
        order.filled_quantity = Decimal(0)  # as an object that was read before the fills
        look(order)

    assert (futures.order().filled_quantity, futures.held(), LedgerEntry.unscoped.count()) == before
    assert before == (Decimal(7), Decimal(7), 2)


def test_fills_told_newest_first_end_the_same(futures: Bench, slow: Slow) -> None:
    slow.told, slow.status, slow.reverse = 3, OrderStatus.FILLED, True

    futures.send("buy", "flat", "0.01")

    order = futures.order()
    assert (order.state, order.filled_quantity, futures.held()) == (S.FILLED, Decimal(10), 10)
    quantities = Fill.unscoped.order_by("filled_at").values_list("quantity", flat=True)
    assert list(quantities) == [Decimal(4), Decimal(3), Decimal(3)]


def test_late_fill_that_belongs_before_others_is_counted_once(futures: Bench, slow: Slow) -> None:
    slow.told = 1
    futures.send("buy", "flat", "0.01")
    first = Fill.unscoped.get()
    early = FillReport(
        trade_id="early",
        exchange_order_id=futures.order().exchange_order_id,
        symbol="BTCUSDT",
        side=Side.BUY,
        price=Decimal(50000),
        quantity=Decimal(2),
        fee=Decimal("0.06"),
        fee_currency="USDT",
        role=LiquidityRole.TAKER,
        filled_at=first.filled_at - timedelta(seconds=1),
    )

    for _ in range(2):
        recording.record(futures.order(), [early])

    assert (futures.order().filled_quantity, futures.held()) == (Decimal(6), 6)
    assert Fill.unscoped.count() == 2


def test_final_word_waits_for_its_fills(futures: Bench, slow: Slow) -> None:
    slow.told, slow.status, slow.shown = 3, OrderStatus.FILLED, 1
    futures.send("buy", "flat", "0.01")
    assert (futures.order().state, futures.order().filled_quantity) == (S.PARTIAL, Decimal(4))

    slow.shown = None
    futures.wait()

    assert (futures.order().state, futures.order().filled_quantity, futures.held()) == (S.FILLED, Decimal(10), 10)


def test_fills_never_told_of_an_ended_order_are_inferred_once(futures: Bench, slow: Slow) -> None:
    slow.told, slow.status, slow.shown = 3, OrderStatus.FILLED, 1
    slow.updated_at = timezone.now() - timedelta(seconds=61)

    futures.send("buy", "flat", "0.01")
    futures.wait(2)

    order = futures.order()
    assert (order.state, order.filled_quantity, futures.held()) == (S.FILLED, Decimal(10), 10)
    inferred = Fill.unscoped.get(trade_id=f"inferred:{order.client_order_id}")
    assert (inferred.quantity, inferred.price, inferred.fee) == (Decimal(6), order.avg_fill_price, Decimal(0))


def test_inferred_fill_and_those_that_were_told_come_to_the_price_of_the_order(futures: Bench, slow: Slow) -> None:
    slow.told, slow.status, slow.shown = 1, OrderStatus.PARTIAL, 1
    futures.send("buy", "flat", "0.01")
    order = futures.order()
    assert (order.filled_quantity, order.avg_fill_price) == (4, 60000)
    report = OrderReport(
        client_order_id=order.client_order_id, exchange_order_id=order.exchange_order_id, symbol="BTCUSDT",
        status=OrderStatus.FILLED, filled_quantity=Decimal(10), avg_fill_price=Decimal(60360),
        updated_at=timezone.now(),
    )  # fmt: skip

    recording.infer(order, report)

    inferred = Fill.unscoped.get(trade_id__startswith="inferred:")
    assert (inferred.quantity, inferred.price) == (6, 60600)
    assert (futures.order().avg_fill_price, Position.unscoped.get().avg_entry_price) == (60360, 60360)


def test_inferred_fill_gives_way_to_the_real_ones(futures: Bench, slow: Slow) -> None:
    slow.told, slow.status, slow.shown = 3, OrderStatus.FILLED, 1
    slow.updated_at = timezone.now() - timedelta(seconds=61)
    futures.send("buy", "flat", "0.01")
    order = futures.order()
    inferred = Fill.unscoped.get(trade_id__startswith="inferred:")
    assert (order.state, order.next_at is not None, inferred.quantity) == (S.FILLED, True, Decimal(6))

    futures.wait()
    assert Fill.unscoped.filter(pk=inferred.pk, trade_id__startswith="inferred:").exists()
    slow.shown = None
    futures.wait(2)

    order = futures.order()
    fills = Fill.unscoped.order_by("filled_at")
    assert [fill.quantity for fill in fills] == [Decimal(4), Decimal(3), Decimal(3)]
    assert not fills.filter(trade_id__startswith="inferred:").exists()
    [told] = futures.paper.fills(futures.account.access_key)
    fee = Decimal(told["fee"])
    assert (order.filled_quantity, futures.held(), Decimal(order.fees["USDT"])) == (Decimal(10), 10, fee)
    assert sum(entry.amount for entry in LedgerEntry.unscoped.all()) == -fee
    assert LedgerEntry.unscoped.filter(kind="correction").count() == 1
    assert Position.unscoped.get().fees == fee
    assert order.next_at is None


def test_what_a_correction_books_is_a_part_of_the_days_loss(futures: Bench, slow: Slow) -> None:
    """The real fills came 600 dearer than the order said, and cost a fee that an inferred fill does not know of."""
    slow.told, slow.status, slow.shown = 3, OrderStatus.FILLED, 3
    futures.send("sell", "flat", "0.01")
    slow.shown, slow.updated_at = 1, timezone.now() - timedelta(seconds=61)
    futures.send("buy", "short", "0.01")
    assert Fill.unscoped.filter(trade_id__startswith="inferred:").count() == 1

    slow.shown, slow.dearer = None, Decimal(600)
    futures.wait(2)

    assert LedgerEntry.unscoped.filter(kind="correction").count() == 1
    position = Position.unscoped.get()
    assert (position.signed_quantity, position.realized_pnl) == (0, Decimal("-3.6"))
    assert lost_today(futures.connector, "USDT") == position.fees - position.realized_pnl


def test_what_was_liquidated_of_an_inferred_fill_is_realised_from_the_real_ones(futures: Bench, slow: Slow) -> None:
    slow.told, slow.status, slow.shown = 3, OrderStatus.FILLED, 1
    slow.updated_at = timezone.now() - timedelta(seconds=61)
    futures.send("buy", "flat", "0.01")
    adjust(
        futures.connector, futures.order().instrument, Book.NET, expected=Decimal(10), target=Decimal(0),
        price=Decimal(57000), cause=Adjustment.Cause.LIQUIDATED,
    )  # fmt: skip
    assert Position.unscoped.get().realized_pnl == -30

    slow.shown, slow.dearer = None, Decimal(600)
    futures.wait(2)

    position = Position.unscoped.get()
    assert (position.signed_quantity, position.realized_pnl) == (0, Decimal("-33.6"))
    booked = sum(entry.amount for entry in LedgerEntry.unscoped.exclude(kind="external"))
    assert booked == position.realized_pnl - position.fees


def test_what_was_corrected_of_a_liquidation_is_not_taken_back_with_the_next_inferred_fill(
    futures: Bench, slow: Slow
) -> None:
    slow.told, slow.status, slow.shown = 3, OrderStatus.FILLED, 1
    slow.updated_at = timezone.now() - timedelta(seconds=61)
    for _ in range(2):
        futures.send("buy", "flat", "0.01")
    adjust(
        futures.connector, futures.orders()[0].instrument, Book.NET, expected=Decimal(20), target=Decimal(0),
        price=Decimal(57000), cause=Adjustment.Cause.LIQUIDATED,
    )  # fmt: skip

    slow.shown, slow.dearer = None, Decimal(600)
    futures.wait(2)

    position = Position.unscoped.get()
    assert not Fill.unscoped.filter(trade_id__startswith="inferred:").exists()
    assert (position.signed_quantity, position.realized_pnl) == (0, Decimal("-67.2"))
    booked = sum(entry.amount for entry in LedgerEntry.unscoped.exclude(kind="external"))
    assert booked == position.realized_pnl - position.fees


def test_real_fills_that_do_not_add_up_replace_nothing(futures: Bench, slow: Slow) -> None:
    slow.told, slow.status, slow.shown = 3, OrderStatus.FILLED, 1
    slow.updated_at = timezone.now() - timedelta(seconds=61)
    futures.send("buy", "flat", "0.01")

    slow.shown = 2
    futures.wait()

    assert Fill.unscoped.filter(trade_id__startswith="inferred:", quantity=6).count() == 1
    assert (futures.order().filled_quantity, futures.held()) == (Decimal(10), 10)


def test_fills_that_a_slow_worker_brings_are_not_counted_beside_the_inferred_one(futures: Bench, slow: Slow) -> None:
    """It asked before another one inferred them, and reads its answer after."""
    slow.told, slow.status, slow.shown = 3, OrderStatus.FILLED, 0
    slow.updated_at = timezone.now() - timedelta(seconds=61)
    futures.send("buy", "flat", "0.01")
    assert [fill.trade_id for fill in Fill.unscoped.all()] == [recording.inferred_id(futures.order())]
    slow.shown = None
    order = futures.order()
    told = open_connector(futures.connector).fills("BTCUSDT", exchange_order_id=order.exchange_order_id)
    order.state, order.filled_quantity = S.PARTIAL, Decimal(0)

    assert recording.record(order, told) == 0

    assert (order.state, order.filled_quantity, futures.held(), Fill.unscoped.count()) == (S.FILLED, 10, 10, 1)
    futures.wait()
    assert list(Fill.unscoped.order_by("filled_at").values_list("quantity", flat=True)) == [4, 3, 3]
    assert (futures.order().filled_quantity, futures.held()) == (10, 10)


def test_nothing_is_inferred_beside_fills_that_were_told_meanwhile(futures: Bench, slow: Slow) -> None:
    slow.told, slow.status = 3, OrderStatus.FILLED
    futures.send("buy", "flat", "0.01")
    order = futures.order()
    report = open_connector(futures.connector).find_order(
        "BTCUSDT", client_order_id=order.client_order_id, exchange_order_id=order.exchange_order_id
    )
    assert report is not None
    order.filled_quantity = Decimal(4)

    assert recording.infer(order, report) == 0

    assert (Fill.unscoped.count(), futures.held()) == (3, 10)


def test_inferred_fill_gives_way_to_more_than_it_stood_for(futures: Bench, slow: Slow) -> None:
    slow.told, slow.status, slow.shown = 2, OrderStatus.CANCELED, 0
    slow.updated_at = timezone.now() - timedelta(seconds=61)
    futures.send("buy", "flat", "0.01")
    assert (Fill.unscoped.get().quantity, futures.held()) == (7, 7)

    slow.told, slow.shown = 3, None
    futures.wait(2)

    assert list(Fill.unscoped.order_by("filled_at").values_list("quantity", flat=True)) == [4, 3, 3]
    assert (futures.order().filled_quantity, futures.held()) == (10, 10)


def test_fills_are_overdue_by_the_clock_of_the_exchange() -> None:
    """Ours may be minutes ahead."""
    report = mock.Mock(updated_at=timezone.now() - timedelta(seconds=100))

    assert not following._is_overdue(report, mock.Mock(clock_offset_ms=-120_000))
    assert following._is_overdue(report, mock.Mock(clock_offset_ms=0))


def test_fills_of_a_living_order_are_not_inferred_and_so_not_counted_twice(futures: Bench, slow: Slow) -> None:
    slow.told, slow.shown = 2, 0
    slow.updated_at = timezone.now() - timedelta(seconds=61)
    futures.send("buy", "flat", "0.01")
    futures.wait()
    assert Fill.unscoped.count() == 0

    slow.told, slow.shown, slow.status = 3, None, OrderStatus.FILLED
    futures.wait()

    order = futures.order()
    assert (order.state, order.filled_quantity, futures.held()) == (S.FILLED, Decimal(10), 10)


def test_answer_older_than_what_is_recorded_takes_nothing_back(
    futures: Bench, slow: Slow, caplog: pytest.LogCaptureFixture
) -> None:
    slow.told = 2
    futures.send("buy", "flat", "0.01")

    slow.told = 0
    futures.wait()
    assert (futures.order().state, futures.order().filled_quantity) == (S.PARTIAL, Decimal(7))
    slow.told, slow.status = 3, OrderStatus.FILLED
    futures.wait()

    assert (futures.order().state, futures.held()) == (S.FILLED, 10)
    assert "does not lead" not in caplog.text


def test_cancelled_order_keeps_the_fills_it_had(futures: Bench, slow: Slow) -> None:
    slow.told, slow.status = 2, OrderStatus.CANCELED

    futures.send("buy", "flat", "0.01")

    order = futures.order()
    assert (order.state, order.filled_quantity, order.reason_code) == (S.CANCELED, Decimal(7), "CANCELED_BY_EXCHANGE")
    assert futures.held() == 7


def test_state_we_do_not_know_moves_nothing_and_stays_due(futures: Bench, slow: Slow) -> None:
    slow.told, slow.status, slow.shown = 1, OrderStatus.UNRECOGNIZED, 0

    futures.send("buy", "flat", "0.01")

    assert futures.order().state == S.ACCEPTED
    assert futures.order().next_at is not None


def test_second_process_that_hears_of_the_end_later_does_not_make_the_order_due_again(
    futures: Bench, slow: Slow
) -> None:
    slow.told = 1
    futures.send("buy", "flat", "0.01")
    seen_before_the_end = futures.order()
    slow.told, slow.status = 3, OrderStatus.FILLED
    futures.wait()

    look(seen_before_the_end)

    assert (futures.order().state, futures.order().next_at) == (S.FILLED, None)
    assert sweep() == 0


def test_spot_market_buy_that_ends_partially_cancelled_is_filled(spot: Bench) -> None:
    spot.send("buy", "flat", "0.01")

    told = spot.paper.orders(spot.account.access_key)[0]
    assert told["state"] == "partially_canceled"
    order = spot.order()
    assert (order.state, order.filled_quantity, order.reason) == (S.FILLED, Decimal("0.01"), "")


def test_position_that_another_worker_makes_in_this_moment_is_the_one_that_is_filled(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both found none: each makes it, and the second one's is left out."""
    real = recording._position_locked

    class LooksTooSoon:
        def __call__(self, **place: Any) -> list[Position]:
            return []

        def asked(self, **place: Any) -> Any:
            return real.asked(**place)

    futures.send("buy", "flat", "0.01")
    first = Position.unscoped.get()
    monkeypatch.setattr(recording, "_position_locked", LooksTooSoon())

    found = recording._locked_position(futures.order())

    assert (found.pk, found.signed_quantity, Position.unscoped.count()) == (first.pk, 10, 1)
