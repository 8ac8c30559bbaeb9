"""The connector's limits from the webhook on: an entry over one sends nothing, an exit is never asked."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.alerts.models import Alert, AlertStatus
from apps.connectors.models import Connector
from apps.trading.exposure import lost_today, open_elsewhere
from apps.trading.models import LedgerEntry, Position
from tests.engine.conftest import Bench
from tests.factories import InstrumentFactory

D = Decimal


def limit(bench: Bench, **changed: Any) -> None:
    Connector.unscoped.filter(pk=bench.connector.pk).update(**changed)


def notes(alert: Alert) -> list[dict[str, Any]]:
    return [note for note in alert.notes if note["code"] in {"ADD_ALLOWED", "CUT_TO_BALANCE"}]


def refused(bench: Bench, code: str, *message: str, **more: Any) -> Alert:
    """Send what must be refused with the code; nothing more may reach the exchange."""
    before = bench.book()
    alert = bench.send(*message, **more)
    assert bench.status(alert) == (AlertStatus.REJECTED, code)
    assert bench.book() == before
    return alert


def test_a_symbol_that_is_not_on_the_list_is_not_opened_but_closed(futures: Bench) -> None:
    futures.send("buy", "flat", "0.005")
    limit(futures, allowed_symbols=["ETHUSDT"])

    alert = refused(futures, "SYMBOL_NOT_ALLOWED", "buy", "long", "0.001")
    assert alert.reason.startswith("Not traded: this connector may open ETHUSDT only, the alert is for BTCUSDT.")

    futures.send("sell", "long", "0.005")
    assert futures.held() == D(0)


def test_a_direction_that_is_off_stops_only_the_opening_half_of_a_reversal(futures: Bench) -> None:
    limit(futures, direction="long")
    refused(futures, "DIRECTION_NOT_ALLOWED", "sell", "flat", "0.005")
    futures.send("buy", "flat", "0.005")

    futures.send("sell", "long", "0.009")

    assert futures.held() == D(0)
    assert [order.reason_code for order in futures.orders() if order.state == "denied"] == [
        "DIRECTION_NOT_ALLOWED",
        "DIRECTION_NOT_ALLOWED",
    ]


def test_adds_run_up_to_the_number_and_the_alert_says_the_rule(futures: Bench) -> None:
    limit(futures, adds="up_to", max_adds=2)

    first = futures.send("buy", "flat", "0.001")
    adds = [futures.send("buy", "long", "0.001") for _ in range(2)]

    assert notes(first) == []
    assert [notes(add)[0]["facts"] for add in adds] == [
        {"number": "1", "rule": "up to 2"},
        {"number": "2", "rule": "up to 2"},
    ]
    third = refused(futures, "ADDS_USED_UP", "buy", "long", "0.001")
    assert "long 3 contracts are held on BTCUSDT, added to 2 times, and the most is 2" in third.reason
    futures.send("sell", "long", "0.003")
    assert futures.held() == D(0)

    # A new position counts from its own first entry.
    again = futures.send("buy", "flat", "0.001")
    assert (futures.held(), notes(again)) == (D(1), [])


def test_adds_can_be_blocked(futures: Bench) -> None:
    limit(futures, adds="block")
    futures.send("buy", "flat", "0.001")

    refused(futures, "ADDS_BLOCKED", "buy", "long", "0.001")
    refused(futures, "ADDS_BLOCKED", "buy", "flat", "0.001")

    limit(futures, adds="allow")
    allowed = futures.send("buy", "long", "0.001")
    assert notes(allowed)[0]["facts"] == {"number": "1", "rule": "run every one"}


def test_coins_that_were_not_bought_here_are_no_add_on_spot(spot: Bench) -> None:
    limit(spot, adds="block")
    spot.send("buy", "flat", "0.01")
    refused(spot, "ADDS_BLOCKED", "buy", "long", "0.01")

    Position.unscoped.update(signed_quantity=D("0.00001"))

    # A crumb that no order could sell is no position either.
    assert spot.status(spot.send("buy", "flat", "0.01")) == (AlertStatus.EXECUTED, "")


def test_open_positions_are_counted_by_symbol(futures: Bench) -> None:
    eth = InstrumentFactory(symbol="ETHUSDT", base="ETH")
    Position.unscoped.create(
        workspace_id=futures.connector.workspace_id, connector=futures.connector, instrument=eth, symbol="ETHUSDT",
        signed_quantity=D(-4), cost=D(100), opened_at=timezone.now(),
    )  # fmt: skip
    limit(futures, max_open_positions=1)
    refused(futures, "MAX_OPEN_POSITIONS", "buy", "flat", "0.001")

    limit(futures, max_open_positions=2)
    assert futures.status(futures.send("buy", "flat", "0.001")) == (AlertStatus.EXECUTED, "")
    assert open_elsewhere(futures.connector, "ETHUSDT") == 1
    assert open_elsewhere(futures.connector, "SOLUSDT") == 2

    limit(futures, max_open_positions=1)
    # One more of the same opens no position.
    assert futures.status(futures.send("buy", "long", "0.001")) == (AlertStatus.EXECUTED, "")
    futures.send("sell", "long", "0.002")
    assert Position.unscoped.get(connector=futures.connector, symbol="BTCUSDT").signed_quantity == D(0)


def test_a_day_of_losses_stops_entries_until_midnight_utc(futures: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(futures, max_daily_loss=D(5))
    futures.send("buy", "flat", "0.005")
    fee = D("300") * D("0.0006")
    assert lost_today(futures.connector, "USDT") == fee
    for kind, amount in (("realized_pnl", "-5"), ("funding", "0.17")):
        LedgerEntry.unscoped.create(
            workspace_id=futures.connector.workspace_id, connector=futures.connector, kind=kind, amount=D(amount),
            currency="USDT", at=timezone.now(),
        )  # fmt: skip
    assert lost_today(futures.connector, "USDT") == D("5.01")

    alert = refused(futures, "MAX_DAILY_LOSS", "buy", "long", "0.001")
    assert alert.reason.startswith("Over your limit: 5.01 USDT were lost today, the most is 5 USDT.")

    # The close goes; what would be opened behind it does not.
    futures.send("sell", "long", "0.009")
    assert futures.held() == D(0)
    assert [order.reason_code for order in futures.orders() if order.state == "denied"][-1] == "MAX_DAILY_LOSS"

    tomorrow = timezone.now() + timedelta(days=1)
    monkeypatch.setattr("apps.trading.exposure.world.now", lambda: tomorrow)
    assert lost_today(futures.connector, "USDT") == D(0)


def test_other_currencies_and_other_bookings_are_no_loss_of_the_day(futures: Bench) -> None:
    for kind, currency in (("realized_pnl", "USDC"), ("external", "USDT"), ("correction", "USDC")):
        LedgerEntry.unscoped.create(
            workspace_id=futures.connector.workspace_id, connector=futures.connector, kind=kind, amount=D(-900),
            currency=currency, at=timezone.now(),
        )  # fmt: skip

    assert lost_today(futures.connector, "USDT") == D(0)


def test_the_price_may_be_off_by_the_connectors_setting(futures: Bench) -> None:
    limit(futures, max_price_deviation_pct=D("0.5"))

    alert = refused(futures, "PRICE_DEVIATION", "buy", "flat", "0.001", signal_price="60500")
    assert "your limit is 0.5 %" in alert.reason
    assert futures.status(futures.send("buy", "flat", "0.001", signal_price="60200")) == (AlertStatus.EXECUTED, "")


def test_an_entry_above_the_balance_is_refused_or_cut(spot: Bench) -> None:
    limit(spot, max_order_notional=D(50000), max_open_notional=D(50000))
    short = refused(spot, "INSUFFICIENT_BALANCE", "buy", "flat", "0.5")
    assert "9980 USDT can be used" in short.reason

    limit(spot, low_balance="reduce")
    alert = spot.send("buy", "flat", "0.5")

    assert spot.status(alert) == (AlertStatus.EXECUTED, "")
    [order] = [order for order in spot.orders() if order.state == "filled"]
    assert D(9900) < (order.notional or D(0)) <= D(9980)
    [note] = notes(alert)
    assert (note["code"], note["facts"]["asked"], note["facts"]["available"]) == ("CUT_TO_BALANCE", "0.5", "9980")


def test_a_messages_leverage_has_a_limit_of_its_own(futures: Bench) -> None:
    limit(futures, most_leverage=D(20))
    refused(futures, "LEVERAGE_OVER_LIMIT", "buy", "flat", "0.001", leverage=21)

    futures.send("buy", "flat", "0.001", leverage=20)

    [order] = [order for order in futures.orders() if order.state == "filled"]
    assert order.leverage == D(20)
