"""A clock that is not known keeps entries back and lets exits go."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.alerts.execution import execute_due
from apps.alerts.models import Alert, AlertStatus
from apps.connectors import clock
from apps.connectors.exchange import RateLimitError, UnreachableError
from apps.connectors.models import Connector
from apps.trading.models import OrderState
from tests.line.conftest import Desk


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(_: object) -> int:
        raise UnreachableError("no answer")

    monkeypatch.setattr(clock, "measure_offset_ms", measure)


def age_clock(desk: Desk, seconds: int, *, offset_ms: int = 0) -> None:
    Connector.unscoped.filter(pk=desk.connector.pk).update(
        clock_offset_ms=offset_ms, clock_measured_at=timezone.now() - timedelta(seconds=seconds)
    )


def test_an_entry_is_denied_while_the_clock_is_not_known(futures: Desk, silent: None) -> None:
    age_clock(futures, 0, offset_ms=-70_000)

    alert = futures.send("buy", "flat", "0.01")

    order = futures.orders()[0]
    assert (alert.status, order.state, order.reason_code) == (
        AlertStatus.REJECTED,
        OrderState.DENIED,
        "CLOCK_UNTRUSTED",
    )
    assert order.reason == (
        "Not sent: our clock could not be compared with the exchange's (they differ by 70.0 s). "
        "New positions wait until it can."
    )
    assert futures.at_exchange() == []


def test_an_exit_goes_whatever_the_clock(futures: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    futures.send("buy", "flat", "0.01")
    age_clock(futures, 4000)
    monkeypatch.setattr(clock, "measure_offset_ms", lambda _: pytest.fail("an exit does not ask for the time"))

    alert = futures.send("sell", "long", "0.01")

    assert alert.status == AlertStatus.EXECUTED
    assert futures.position().signed_quantity == 0


def test_an_entry_measures_an_old_clock_itself(futures: Desk) -> None:
    age_clock(futures, 4000)

    alert = futures.send("buy", "flat", "0.01")

    assert alert.status == AlertStatus.EXECUTED
    connector = Connector.unscoped.get(pk=futures.connector.pk)
    assert connector.clock_measured_at is not None
    assert timezone.now() - connector.clock_measured_at < timedelta(seconds=60)
    assert connector.clock_offset_ms is not None
    assert abs(connector.clock_offset_ms) < 1000


def test_an_entry_waits_for_a_clock_that_may_not_be_asked_again_so_soon(
    futures: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    Connector.unscoped.filter(pk=futures.connector.pk).update(clock_offset_ms=None, clock_measured_at=None)

    def refused(_: object) -> int:
        raise RateLimitError("asked too often")

    with monkeypatch.context() as patch:
        patch.setattr(clock, "measure_offset_ms", refused)
        alert = futures.send("buy", "flat", "0.01")

        assert (alert.status, alert.reason_code) == (AlertStatus.QUEUED, "WAITING_FOR_EXCHANGE")
        assert (futures.orders(), futures.at_exchange()) == ([], [])

    Alert.unscoped.update(next_at=timezone.now())
    execute_due()

    alert.refresh_from_db()
    assert (alert.status, len(futures.at_exchange())) == (AlertStatus.EXECUTED, 1)
