"""Spot entries that pay with one currency are sized and sent one after another; exits wait for none of them."""

from apps.alerts.models import AlertStatus
from apps.trading import leases
from tests.engine.conftest import Bench


def test_entry_waits_while_another_one_spends_the_same_currency(spot: Bench) -> None:
    other = leases.take(spot.connector.pk, "pays USDT")
    assert other is not None

    alert = spot.send("buy", "flat", "0.01")
    assert (spot.status(alert)[0], spot.book()) == (AlertStatus.QUEUED, [])
    other.release()
    spot.wait()

    assert spot.status(alert)[0] == AlertStatus.EXECUTED
    assert len(spot.book()) == 1


def test_buy_that_covers_a_short_waits_too(spot: Bench) -> None:
    other = leases.take(spot.connector.pk, "pays USDT")
    assert other is not None

    alert = spot.send("buy", "short", "0.02", market_position="long", market_position_size="0.01")
    assert (spot.status(alert)[0], spot.book()) == (AlertStatus.QUEUED, [])
    other.release()
    spot.wait()

    assert spot.status(alert)[0] == AlertStatus.EXECUTED
    assert len(spot.book()) == 1


def test_exit_waits_for_nobody(spot: Bench) -> None:
    spot.send("buy", "flat", "0.01")
    assert leases.take(spot.connector.pk, "pays USDT") is not None

    alert = spot.send("sell", "long", "0.01")

    assert (spot.status(alert)[0], spot.held()) == (AlertStatus.EXECUTED, 0)


def test_futures_entries_have_no_such_queue(futures: Bench) -> None:
    assert leases.take(futures.connector.pk, "pays USDT") is not None

    assert futures.status(futures.send("buy", "flat", "0.01"))[0] == AlertStatus.EXECUTED


def test_turn_is_given_back(spot: Bench) -> None:
    spot.send("buy", "flat", "0.01")

    assert not leases.is_taken(spot.connector.pk, "pays USDT")
