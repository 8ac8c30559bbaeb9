"""An alert that its own successor overtook: what of it is still done, however often it is tried."""

import pytest

from apps.alerts import execution
from apps.alerts.execution import execute_due
from apps.alerts.models import AlertStatus
from apps.lib import world
from tests.engine.conftest import Bench
from tests.engine.test_chain import age
from tests.engine.test_swapped import CONTRACTS, held, hold, post, step

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
