from decimal import Decimal

import pytest
from django.utils import timezone

from apps.alerts.models import Alert, AlertStatus
from apps.connectors.exchange import UnreachableError
from apps.trading.models import Fill, LedgerEntry, OrderState
from tests.line.conftest import Desk


def test_futures_alert_becomes_a_filled_order_and_a_position(futures: Desk) -> None:
    alert = futures.send("buy", "flat", "0.01")

    order = futures.orders()[0]
    assert (alert.status, alert.order_id) == (AlertStatus.EXECUTED, order.pk)
    assert (order.state, order.quantity, order.filled_quantity) == (OrderState.FILLED, Decimal(10), Decimal(10))
    position = futures.position()
    assert (position.signed_quantity, position.avg_entry_price) == (Decimal(10), order.avg_fill_price)
    assert [row["client_order_id"] for row in futures.at_exchange()] == [order.client_order_id]
    fee = sum(fill.fee for fill in Fill.unscoped.filter(order=order))
    assert fee == Decimal(10) * Decimal("0.001") * order.avg_fill_price * Decimal("0.0006")
    assert [entry.amount for entry in LedgerEntry.unscoped.filter(connector=futures.connector)] == [-fee]


def test_futures_exit_realises_the_difference(futures: Desk) -> None:
    futures.send("buy", "flat", "0.01")
    entry_price = futures.orders()[0].avg_fill_price
    futures.set_price("61000")

    alert = futures.send("sell", "long", "0.01")

    assert alert.status == AlertStatus.EXECUTED
    exit_order = futures.orders()[1]
    assert (exit_order.state, exit_order.reduce_only) == (OrderState.FILLED, True)
    position = futures.position()
    assert position.signed_quantity == 0
    assert position.realized_pnl == (exit_order.avg_fill_price - entry_price) * Decimal("0.01")


def test_reversal_closes_and_opens(futures: Desk) -> None:
    futures.send("buy", "flat", "0.01")

    alert = futures.send("sell", "long", "0.025")

    assert alert.status == AlertStatus.EXECUTED
    assert [o.reason for o in futures.orders()] == ["", "", ""]
    assert [(o.leg, o.side, o.quantity, o.state) for o in futures.orders()] == [
        ("o", "buy", Decimal(10), OrderState.FILLED),
        ("c", "sell", Decimal(10), OrderState.FILLED),
        ("o", "sell", Decimal(15), OrderState.FILLED),
    ]
    assert futures.position().signed_quantity == Decimal(-15)


def test_spot_buy_and_sell(spot: Desk) -> None:
    spot.send("buy", "flat", "0.01")

    order = spot.orders()[0]
    assert (order.state, order.quantity, order.filled_quantity) == (OrderState.FILLED, Decimal("0.01"), Decimal("0.01"))
    assert spot.position().signed_quantity == Decimal("0.01")

    spot.send("sell", "long", "0.01")

    assert spot.orders()[1].state == OrderState.FILLED
    assert spot.position().signed_quantity == 0


def test_exit_without_position_places_nothing(futures: Desk) -> None:
    alert = futures.send("sell", "long", "0.01")

    assert (alert.status, alert.reason_code) == (AlertStatus.IGNORED, "NOTHING_TO_CLOSE")
    assert futures.orders() == []
    assert futures.at_exchange() == []


def test_close_all_goes_flat(futures: Desk) -> None:
    futures.send("buy", "flat", "0.01")

    answer = futures.post({"ticker": "BTCUSDT.P", "closeall": "true", "pointer": futures.pointer})
    futures.work()

    assert answer.status_code == 200
    assert futures.position().signed_quantity == 0


def test_order_over_the_limit_is_denied_and_not_sent(futures: Desk) -> None:
    alert = futures.send("buy", "flat", "1")

    assert (alert.status, alert.reason_code) == (AlertStatus.REJECTED, "MAX_ORDER_NOTIONAL")
    assert alert.reason.startswith("Over your limit: this order is worth 60")
    assert futures.orders()[0].state == OrderState.DENIED
    assert futures.at_exchange() == []


def test_a_filled_alert_keeps_no_reason_of_an_earlier_try(futures: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("apps.alerts.execution.prepare", unreachable)
        alert = futures.send("buy", "flat", "0.01")
    assert (alert.status, alert.reason_code) == (AlertStatus.QUEUED, "WAITING_FOR_EXCHANGE")

    Alert.unscoped.filter(pk=alert.pk).update(next_at=timezone.now())
    futures.work()

    alert.refresh_from_db()
    assert (alert.status, alert.reason_code, alert.reason, alert.facts) == (AlertStatus.EXECUTED, "", "", {})
    planned = futures.orders()[0].events.get(cause="planned").evidence
    assert planned["sentence"] == "Open long 10 contracts on BTCUSDT"
    assert planned["notional"] == "600"


def unreachable(*_: object, **__: object) -> None:
    raise UnreachableError("BitMart did not answer.")
