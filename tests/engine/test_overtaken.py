"""An alert that its own successor overtook: what of it is still done, however often it is tried."""

from datetime import datetime, timedelta

import pytest

from apps.alerts import execution
from apps.alerts.execution import execute_due
from apps.alerts.models import Alert, AlertStatus
from apps.connectors import pointers
from apps.lib import world
from tests.engine.conftest import Bench
from tests.engine.test_chain import age
from tests.engine.test_swapped import CONTRACTS, held, hold, post, step
from tests.factories import PointerFactory

POSITIONS = "/contract/private/position-v2"


def test_a_late_reversal_that_is_tried_again_opens_nothing_either(futures: Bench) -> None:
    """Long 1, short 1, flat: the last of it came first, and the exchange did not answer when the reversal came."""
    hold(futures, 1)
    at = world.now()
    age(step(futures, -1, 0, at), 5)
    futures.wait()
    reversal = post(futures, 1, -1, at=at)
    futures.fault("status", POSITIONS, status=502, accepted=False, times=3)
    execute_due()
    assert futures.status(reversal) == (AlertStatus.QUEUED, "WAITING_FOR_EXCHANGE")

    age(reversal, 2)
    futures.end_outage()
    futures.wait(2)

    assert futures.status(reversal) == (AlertStatus.EXECUTED, "")
    assert held(futures) == 0
    assert [(order.side, order.quantity) for order in futures.orders()] == [("buy", CONTRACTS), ("sell", CONTRACTS)]


def test_a_late_entry_whose_refusal_was_not_written_opens_nothing_either(
    futures: Bench, failing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    age(hold(futures, 1), 60)
    age(step(futures, 1, 0), 60)
    at = world.now()
    age(step(futures, 1, 0, at), 5)
    futures.wait()
    with monkeypatch.context() as patch:
        patch.setattr(execution, "finish", lambda *_: 1 / 0)
        entry = step(futures, 0, 1, at)
    assert futures.status(entry) == (AlertStatus.QUEUED, "INTERNAL_ERROR")

    futures.wait()

    assert futures.status(entry) == (AlertStatus.IGNORED, "OVERTAKEN")
    assert entry.notes == []
    assert held(futures) == 0


def typed(account: Bench, action: str, prev: str, *, at: datetime, **sizes: str) -> Alert:
    alert = account.post(action, prev, "0.005", time=f"{at:%Y-%m-%dT%H:%M:%SZ}", **sizes)
    execute_due()
    return alert


def test_a_late_exit_leaves_the_size_whose_side_is_not_stated(futures: Bench) -> None:
    """Long 2, down to 1, up to 2 again; sizes alone, which is all that tells one from the other."""
    hold(futures, 2)
    at = world.now()
    age(typed(futures, "buy", "long", at=at, prev_market_position_size="0.005", market_position_size="0.01"), 5)
    futures.wait()

    exit_ = typed(futures, "sell", "long", at=at, prev_market_position_size="0.01", market_position_size="0.005")

    assert futures.status(exit_) == (AlertStatus.IGNORED, "ALREADY_AT_TARGET")
    assert held(futures) == 2 * CONTRACTS


def test_a_late_exit_of_no_size_at_all_is_decided(futures: Bench) -> None:
    """The previous position was typed, and the strategy had none."""
    hold(futures, 1)
    at = world.now()
    age(step(futures, 1, 0), 60)
    age(step(futures, -1, 0, at), 5)
    futures.wait()
    sizes = {"prev_market_position_size": "0", "market_position": "short", "market_position_size": "0.005"}

    exit_ = typed(futures, "sell", "long", at=at, **sizes)

    assert futures.status(exit_) == (AlertStatus.IGNORED, "NOTHING_TO_CLOSE")
    assert "OVERTAKEN" in [note["code"] for note in exit_.notes]


def test_what_was_sent_after_the_exit_is_not_overtaken_by_it(futures: Bench) -> None:
    """The add before the exit was lost, and so was the entry after it: the next add equals the one that was missing."""
    hold(futures, 1)
    at = world.now() - timedelta(seconds=9)
    age(step(futures, 2, 0, at), 60)
    futures.wait()
    assert held(futures) == 0

    add = age(step(futures, 1, 2, at + timedelta(seconds=5)), 2)
    futures.wait()

    assert futures.status(add) == (AlertStatus.EXECUTED, "")


def test_the_first_exit_of_a_new_pointer_overtakes_no_entry_where_it_closed_something(futures: Bench) -> None:
    """A rotated pointer: what is held came by the old one, and the strategy goes out and in again on one bar."""
    hold(futures, 1)
    futures.pointer = pointers.reveal(PointerFactory(connector=futures.connector))
    at = world.now()

    burst = [post(futures, 1, 0, at=at), post(futures, 0, 1, at=at)]
    execute_due()
    futures.wait()

    assert [futures.status(alert) for alert in burst] == [(AlertStatus.EXECUTED, "")] * 2
    assert held(futures) == CONTRACTS
