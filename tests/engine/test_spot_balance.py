"""Spot entries of one connector in different symbols share one balance and never spend it twice."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from apps.alerts.execution import execute_due
from apps.alerts.models import Alert, AlertStatus
from apps.connectors.models import Connector
from apps.trading import leases
from apps.trading.exposure import reserved
from apps.trading.models import Order, OrderState
from tests.engine.conftest import Bench, bench
from tests.engine.test_concurrency import at_once
from tests.factories import MarketPriceFactory, SpotInstrumentFactory
from tests.shared_paper import SharedPaper

D = Decimal
S = OrderState


def two_symbols(bench: Bench, **changed: Any) -> Bench:
    """Let the connector spend all it has, on ETH too."""
    eth = SpotInstrumentFactory(symbol="ETH_USDT", base="ETH", quantity_step=D("0.0001"), min_quantity=D("0.0001"))
    MarketPriceFactory(
        instrument=eth, last=D(3000), mark=D(3000), bid=D(3000), ask=D(3000), at=timezone.now() + timedelta(hours=1)
    )
    bench.paper.set_price("ETH_USDT", "3000")
    limits = {"max_order_notional": 50000, "max_open_notional": 50000}
    Connector.unscoped.filter(pk=bench.connector.pk).update(**limits, **changed)
    return bench


def test_an_order_in_doubt_keeps_its_money_aside(spot: Bench) -> None:
    two_symbols(spot)
    spot.fault("drop_request")
    spot.send("buy", "flat", "0.1")
    doubtful = spot.order()
    assert doubtful.state == S.UNKNOWN
    assert reserved(spot.connector, "USDT") == doubtful.notional

    refused = spot.send("buy", "flat", "1.5", ticker="ETHUSDT")
    fitting = spot.send("buy", "flat", "1.2", ticker="ETHUSDT")

    assert spot.status(refused) == (AlertStatus.REJECTED, "INSUFFICIENT_BALANCE")
    assert spot.status(fitting) == (AlertStatus.EXECUTED, "")
    assert reserved(spot.connector, "USDC") == D(0)
    assert (doubtful.notional or D(0)) + D(3600) <= D(9980)


def test_entries_wait_while_another_one_sizes_from_the_balance_and_exits_do_not(spot: Bench) -> None:
    two_symbols(spot)
    spot.send("buy", "flat", "0.02")
    held = leases.take(spot.connector.pk, "pays USDT")
    assert held is not None

    waiting = spot.send("buy", "flat", "0.5", ticker="ETHUSDT")
    spot.send("sell", "long", "0.01")

    assert spot.status(waiting) == (AlertStatus.QUEUED, "")
    assert [order.side for order in spot.orders()] == ["buy", "sell"]
    held.release()
    spot.wait()
    assert spot.status(waiting) == (AlertStatus.EXECUTED, "")


def test_two_buys_at_once_spend_the_balance_once(committed: None, paper: SharedPaper) -> None:
    spot = two_symbols(bench(paper, "spot"))
    alerts = [spot.post("buy", "flat", "0.1"), spot.post("buy", "flat", "2", ticker="ETHUSDT")]

    at_once(execute_due, execute_due)
    spot.wait(2)

    codes = sorted(spot.status(alert) for alert in alerts)
    assert codes == [(AlertStatus.EXECUTED, ""), (AlertStatus.REJECTED, "INSUFFICIENT_BALANCE")]
    assert len(spot.book()) == 1
    spent = sum((order.notional or D(0) for order in Order.unscoped.filter(state=S.FILLED)), D(0))
    assert D(5000) < spent <= D(9980)
    assert Alert.unscoped.filter(status=AlertStatus.QUEUED).count() == 0
