"""Fills that are told late: the rows end as if they had been told in order."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db.models import Sum

from apps.connectors.exchange import FillReport, LiquidityRole, Side
from apps.trading import recording
from apps.trading.models import LedgerEntry, Order, Position
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
