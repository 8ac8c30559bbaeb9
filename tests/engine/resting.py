"""A limit order of ours that lies at the exchange, or is filled there by a price."""

from decimal import Decimal
from typing import Any

from django.utils import timezone

from apps.connectors.exchange import OrderType, Side
from apps.connectors.opening import open_connector
from apps.lib import world
from apps.trading.executor import drive
from apps.trading.inputs import Origin
from apps.trading.models import Order
from apps.trading.placing import prepare, read_standing
from apps.trading.signal import PrevPosition, Signal, SignalKind
from apps.trading.transitions import born
from tests.engine.conftest import Bench

SYMBOLS = {"futures": "BTCUSDT", "spot": "BTC_USDT"}


def planned(bench: Bench, side: str, prev: str, quantity: str, price: str, **more: Any) -> Order:
    """Return a committed limit order of which nothing was sent yet."""
    connector = bench.connector
    signal = Signal(
        kind=SignalKind.ORDER,
        ticker="BTCUSDT",
        action=Side(side),
        prev_position=PrevPosition(prev),
        quantity=Decimal(quantity),
        order_type=OrderType.LIMIT,
        limit_price=Decimal(price),
        **more,
    )
    prepared = prepare(
        read_standing(signal, origin=Origin(world.new_id(), timezone.now()), connector=connector),
        connector=connector,
        symbol=SYMBOLS[connector.market],
        open_account=lambda: open_connector(connector),
    )
    assert prepared.planned.denial is None, prepared.planned.denial
    [order] = prepared.orders
    born(order, cause="planned")
    return order


def resting(bench: Bench, side: str, prev: str, quantity: str, price: str, **more: Any) -> Order:
    order = planned(bench, side, prev, quantity, price, **more)
    drive(order)
    order.refresh_from_db()
    return order
