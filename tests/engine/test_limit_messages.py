"""From the webhook to the paper exchange: limit orders and cancellations by message."""

import json
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from apps.alerts.execution import execute_due
from apps.alerts.models import Alert, AlertStatus
from apps.trading import cancelling
from apps.trading.models import OrderState
from tests.engine.conftest import Bench

S = OrderState


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelling, "_LOOK_PAUSES_S", (0,))


def cancel(bench: Bench, **more: Any) -> Alert:
    message = {"ticker": "BTCUSDT", "pointer": bench.pointer, "cancel": True, "id": "c1", **more}
    answer = Client().post("/webhook", data=json.dumps(message), content_type="application/json")
    execute_due()
    return Alert.unscoped.get(pk=answer.json()["id"])


def limit(bench: Bench, action: str, prev: str, quantity: str, price: str, **more: Any) -> Alert:
    return bench.send(action, prev, quantity, order_type="limit", limit_price=price, **more)


@pytest.mark.parametrize("market", ["futures", "spot"])
def test_limit_message_rests_and_fills(request: pytest.FixtureRequest, market: str) -> None:
    bench: Bench = request.getfixturevalue(market)

    alert = limit(bench, "buy", "flat", "0.01", "59000.07")

    order = bench.order()
    assert bench.status(alert) == (AlertStatus.EXECUTED, "")
    assert (order.state, order.order_type) == (S.ACCEPTED, "limit")
    bench.paper.set_price(order.symbol, "58000")
    bench.wait()
    assert (bench.order().state, bench.held()) == (S.FILLED, order.quantity)


def test_limit_reversal_closes_at_the_market_and_opens_at_the_limit(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")

    alert = limit(futures, "sell", "long", "0.02", "61000")
    futures.wait()

    close, opening = futures.orders()[1:]
    assert (close.order_type, close.state) == ("market", S.FILLED)
    assert (opening.order_type, opening.price, opening.quantity, opening.state) == (
        *("limit", Decimal(61000), Decimal(10), S.ACCEPTED),
    )
    assert "CLOSED_AT_MARKET" in [note["code"] for note in Alert.unscoped.get(pk=alert.pk).notes]
    futures.paper.set_price("BTCUSDT", "61500")
    futures.wait()
    assert futures.held() == -10


def test_resting_leg_of_a_reversal_holds_up_nothing_behind_it(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    limit(futures, "sell", "long", "0.02", "61000")
    futures.wait()
    assert futures.orders()[-1].is_resting
    entry = futures.send("buy", "flat", "0.005")

    leave = futures.send("sell", "long", "0.005")
    futures.wait()

    assert futures.status(entry) == (AlertStatus.EXECUTED, "")
    assert futures.status(leave) == (AlertStatus.EXECUTED, "")
    assert futures.held() == 0


def test_cancel_message_takes_open_orders_back_and_trades_nothing(futures: Bench) -> None:
    limit(futures, "buy", "flat", "0.01", "50000")
    limit(futures, "buy", "flat", "0.01", "51000")

    alert = cancel(futures)
    futures.wait()

    assert futures.status(alert) == (AlertStatus.EXECUTED, "CANCELLED")
    alert.refresh_from_db()
    assert alert.reason == "Taken back: 2 of our open orders on BTCUSDT."
    assert [order.state for order in futures.orders()] == [S.CANCELED, S.CANCELED]
    assert len(futures.book()) == 2


def test_cancel_message_without_open_orders_says_so(futures: Bench) -> None:
    alert = cancel(futures)

    assert futures.status(alert) == (AlertStatus.IGNORED, "NOTHING_TO_CANCEL")
    assert futures.book() == []


def test_halted_connector_still_cancels(futures: Bench) -> None:
    limit(futures, "buy", "flat", "0.01", "50000")
    futures.connector.trading_state = "halted"
    futures.connector.save()

    alert = cancel(futures)
    futures.wait()

    assert futures.status(alert)[1] == "CANCELLED"
    assert futures.order().state == S.CANCELED


def test_entry_with_cancel_takes_the_old_order_back_first(futures: Bench) -> None:
    limit(futures, "buy", "flat", "0.01", "50000")

    limit(futures, "buy", "flat", "0.01", "51000", cancel=True)
    futures.wait()

    assert [(order.price, order.state) for order in futures.orders()] == [
        (Decimal(50000), S.CANCELED),
        (Decimal(51000), S.ACCEPTED),
    ]


def test_lost_answer_of_the_cancellation_ends_the_same(futures: Bench) -> None:
    limit(futures, "buy", "flat", "0.01", "50000")
    futures.fault("drop_answer", "/contract/private/cancel-order")

    alert = cancel(futures)
    futures.wait(3)

    assert (futures.status(alert)[1], futures.order().state) == ("CANCELLED", S.CANCELED)
    assert futures.order().cancel_attempt == 1


def test_reversal_behind_a_resting_order_that_fills_meanwhile_closes_what_it_filled_too(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apps.connectors.bitmart.futures import FuturesExchange

    futures.send("buy", "flat", "0.01")
    limit(futures, "buy", "long", "0.005", "59000")
    real = FuturesExchange.cancel

    def too_late(exchange: FuturesExchange, *args: Any, **kwargs: Any) -> bool:
        futures.paper.set_price("BTCUSDT", "58000")
        return real(exchange, *args, **kwargs)

    monkeypatch.setattr(FuturesExchange, "cancel", too_late)
    futures.send("sell", "long", "0.02", market_position="short", market_position_size="0.01")
    futures.wait(2)

    assert [order.state for order in futures.orders()] == [S.FILLED] * 4
    assert [order.filled_quantity for order in futures.orders()] == [Decimal(n) for n in (10, 5, 15, 10)]
    assert futures.held() == -10
