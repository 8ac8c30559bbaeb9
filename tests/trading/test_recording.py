"""Fills that are told late: the rows end as if they had been told in order."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.db.models import Sum

from apps.connectors.exchange import Book, FillReport, LiquidityRole, Side
from apps.trading import adjusting, recording
from apps.trading.models import Adjustment, Fill, LedgerEntry, Order, Position
from tests.factories import ConnectorFactory, InstrumentFactory, OrderFactory, SpotInstrumentFactory

pytestmark = pytest.mark.django_db

D = Decimal
START = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def told(number: int, side: str, quantity: str, price: str) -> FillReport:
    at = START + timedelta(seconds=number)
    return FillReport(
        *(str(number), "x1", "BTC_USDT", Side(side), D(price), D(quantity), D(0), "USDT", LiquidityRole.TAKER, at)
    )


def total(*kinds: str) -> Decimal | None:
    amount: Decimal | None = LedgerEntry.unscoped.filter(kind__in=kinds).aggregate(total=Sum("amount"))["total"]
    return amount


@pytest.fixture
def order() -> Order:
    return OrderFactory(connector=ConnectorFactory(market="spot"), instrument=SpotInstrumentFactory(), state="accepted")


def test_late_purchase_takes_back_what_was_booked_as_come_from_outside(order: Order) -> None:
    recording.record(order, [told(2, "sell", "5", "100")])
    assert total("external") == D(5)

    recording.record(order, [told(1, "buy", "3", "90")])

    # 3 of the 5 had come from us: 2 from outside are left, and the 3 earned 10 each.
    position = Position.unscoped.get()
    assert (position.signed_quantity, position.cost, position.realized_pnl) == (0, 0, D(30))
    assert (total("external"), total("correction"), total("realized_pnl")) == (D(2), D(30), None)


def test_late_sale_books_what_comes_from_outside_once(order: Order) -> None:
    recording.record(order, [told(2, "buy", "5", "100"), told(3, "sell", "5", "100")])

    recording.record(order, [told(1, "sell", "4", "90")])

    assert Position.unscoped.get().signed_quantity == 0
    assert total("external") == D(4)


def test_correction_of_large_figures_keeps_every_decimal() -> None:
    # More digits than Python's decimals keep by themselves: 13 before the point and 18 behind it.
    order = OrderFactory(instrument=InstrumentFactory(), state="accepted", quantity=D(10**9))
    price = "1234567.123456789012345678"
    recording.record(order, [told(2, "buy", "1000000000", price), told(3, "sell", "1000000000", "2234567.5")])

    recording.record(order, [told(1, "buy", "7", "1000000.000000000000000001")])

    position = Position.unscoped.get()
    assert total("realized_pnl", "correction") == position.realized_pnl
    assert position.realized_pnl.as_tuple().digits[-1] != 0


def test_fills_told_at_once_end_as_if_told_one_by_one(order: Order) -> None:
    # The second batch begins before what the first one told, so that the position is worked out from written rows.
    told_all = [
        told(number, "buy" if number % 3 else "sell", f"{number}", f"{100 + number}") for number in range(1, 61)
    ]
    recording.record(order, told_all[30:31])
    recording.record(order, told_all)
    at_once = _books()

    other = OrderFactory(connector=ConnectorFactory(market="spot"), instrument=order.instrument, state="accepted")
    Position.unscoped.update(symbol="OTHER")
    for report in told_all:
        recording.record(other, [replace(report, trade_id=f"{int(report.trade_id) + 100}")])

    position, one_by_one = Position.unscoped.exclude(symbol="OTHER").get(), Order.unscoped.get(pk=other.pk)
    assert (Fill.unscoped.count(), order.filled_quantity, order.fees) == (120, D(1830), {"USDT": f"{D(0):.18f}"})
    assert at_once[:4] == (position.signed_quantity, position.cost, position.avg_entry_price, position.realized_pnl)
    assert (order.avg_fill_price, order.first_fill_at) == (one_by_one.avg_fill_price, told_all[0].filled_at)
    assert order.last_fill_at == told_all[-1].filled_at
    # Corrections included, both ledgers say what the position does.
    assert at_once[4] == position.realized_pnl
    assert total("realized_pnl", "correction") == 2 * position.realized_pnl


def test_fill_older_than_a_change_by_hand_is_booked_before_it(order: Order) -> None:
    recording.record(order, [told(1, "buy", "4", "100")])
    adjusting.adjust(
        order.connector, order.instrument, Book.NET,
        expected=D(4), target=D(1), price=D(100), cause=Adjustment.Cause.BY_HAND,
    )  # fmt: skip

    recording.record(order, [told(3, "buy", "4", "200")])

    # 8 that cost 1200, of which 3 left at their own cost; applied after the change it would be 1 + 4 for 900.
    position = Position.unscoped.get()
    assert (position.signed_quantity, position.cost) == (D(5), D(750))


def test_recording_leaves_the_rest_of_the_position_alone(order: Order) -> None:
    recording.record(order, [told(1, "buy", "3", "90")])
    row = Position.unscoped.get()
    Position.unscoped.update(exchange_quantity=D(7), reconciled_at=START)

    recording.store(row, replace(recording.state_of(row), cost=D(1)), D(1))

    row = Position.unscoped.get()
    assert (row.exchange_quantity, row.reconciled_at) == (D(7), START)
    assert (row.cost, row.avg_entry_price) == (D(1), D("0.333333333333333333"))


def test_one_fill_costs_these_round_trips(order: Order) -> None:
    recording.record(order, [told(1, "buy", "3", "90")])
    seen: list[str] = []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        recording.record(order, [told(2, "sell", "3", "91")])
        once = len(seen)
        recording.record(order, [told(2, "sell", "3", "91")])

    # Savepoint and release; what is locked and known; fill, ledger, position, fills read back; order with its event.
    assert (once, len(seen) - once) == (5, 3)


def _books() -> tuple[Decimal | None, ...]:
    row = Position.unscoped.get()
    figures = (row.signed_quantity, row.cost, row.avg_entry_price, row.realized_pnl)
    return (*figures, total("realized_pnl", "correction"))
