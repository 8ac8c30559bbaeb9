"""Whatever the exchange refuses for its time has the clock measured at once: nobody else may be about to."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.connectors.models import Connector
from apps.trading import cancelling
from apps.trading.models import Order, OrderState, Protection, ProtectionState
from tests.engine.conftest import Bench
from tests.factories import ConnectorFactory

S = OrderState
# The exchange refuses what is so far off; up to five seconds it takes, and so do our guards.
FAR_OFF, OFF = -70_000, 3_000
REFUSED = {"code": 30007, "status": 401, "accepted": False}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelling, "_LOOK_PAUSES_S", (0,))


def turn(offset_ms: int) -> None:
    Connector.unscoped.update(clock_offset_ms=offset_ms)


def is_right(bench: Bench) -> bool:
    return abs(Connector.unscoped.get(pk=bench.connector.pk).clock_offset_ms or 0) < 2000


def pass_time(futures: Bench) -> None:
    Protection.unscoped.filter(next_at__gt=timezone.now()).update(next_at=timezone.now())
    futures.wait()


def test_question_about_an_order_in_doubt(spot: Bench) -> None:
    spot.fault("status", status=502, accepted=True)
    spot.send("buy", "flat", "0.01")
    turn(FAR_OFF)

    spot.wait()
    assert (spot.order().state, is_right(spot)) == (S.UNKNOWN, True)
    spot.wait()

    assert (spot.order().state, spot.order().attempt) == (S.FILLED, 1)


@pytest.mark.parametrize(("measured_s_ago", "taken"), [(3, True), (11, False)])
def test_what_another_connector_has_just_measured_counts(spot: Bench, measured_s_ago: int, taken: bool) -> None:
    """All connectors of an address are refused at once, and the time may be asked for ten times a second."""
    spot.fault("status", status=502, accepted=True)
    spot.send("buy", "flat", "0.01")
    turn(FAR_OFF)
    at = timezone.now() - timedelta(seconds=measured_s_ago)
    ConnectorFactory(market="spot", clock_offset_ms=77, clock_measured_at=at)
    Connector.unscoped.filter(pk=spot.connector.pk).update(clock_measured_at=at - timedelta(seconds=60))

    spot.wait()

    assert (Connector.unscoped.get(pk=spot.connector.pk).clock_offset_ms == 77) is taken
    assert is_right(spot)


def test_cancellation(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01", order_type="limit", limit_price="50000")
    turn(FAR_OFF)
    assert cancelling.request(futures.order(), by="user 1")

    futures.wait()
    assert (futures.order().state, is_right(futures)) == (S.CANCELLING, True)
    Order.unscoped.update(cancel_sent_at=timezone.now() - timedelta(minutes=1))
    futures.wait(2)

    assert futures.order().state == S.CANCELED


def test_guard_of_its_own(futures: Bench) -> None:
    turn(OFF)
    futures.fault("code", "/contract/private/submit-trail-order", **REFUSED)
    futures.send("buy", "flat", "0.01", trailing_stop={"percent": 2})
    assert (Protection.unscoped.get().state, is_right(futures)) == (ProtectionState.WAITING, True)

    pass_time(futures)

    assert Protection.unscoped.get().state == ProtectionState.LIVE


def test_guard_that_is_taken_back(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01", trailing_stop={"percent": 2})
    futures.send("sell", "long", "0.01")
    turn(FAR_OFF)

    pass_time(futures)
    assert is_right(futures)
