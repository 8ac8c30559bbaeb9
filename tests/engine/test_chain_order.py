"""Which alert of a key runs first where sizes tell, and what stands behind it meanwhile."""

from datetime import timedelta

from apps.alerts.execution import execute_due
from apps.alerts.models import Alert, AlertStatus
from apps.lib import world
from tests.engine.conftest import Bench
from tests.engine.test_chain import age
from tests.engine.test_swapped import held, hold, post

POSITIONS = "/contract/private/position-v2"


def test_what_stands_behind_one_that_waits_for_the_exchange_is_due_no_sooner(futures: Bench) -> None:
    """Else every worker would take up the key, and leave it, hundreds of times a second."""
    hold(futures, 1)
    futures.fault("status", POSITIONS, status=502, accepted=False, times=3)
    late, early = post(futures, 2, 0), post(futures, 1, 2)

    rounds = execute_due()

    assert futures.status(early) == (AlertStatus.QUEUED, "WAITING_FOR_EXCHANGE")
    assert rounds < 6
    late.refresh_from_db()
    assert late.next_at == early.next_at
    futures.end_outage()
    futures.wait(2)
    assert [futures.status(alert)[0] for alert in (early, late)] == [AlertStatus.EXECUTED] * 2
    assert held(futures) == 0


def test_what_waited_for_the_one_before_it_was_run_last(futures: Bench) -> None:
    """The next two arrive together, swapped: flat, not the size before, is where they begin."""
    hold(futures, 1)
    ends = []
    for begin, end in ((2, 0), (1, 2)):
        ends.append(post(futures, begin, end))
        execute_due()
    for alert in ends:
        age(alert, 30)

    post(futures, 1, 0)
    post(futures, 0, 1)
    execute_due()
    futures.wait()

    assert held(futures) == 0


def test_the_sender_s_clock_counts_for_more_than_where_the_last_one_ended(futures: Bench) -> None:
    """An exit was lost; then an entry and its exit wait together, a second apart."""
    hold(futures, 1)
    at = world.now()
    post(futures, 0, 1, at=at)
    post(futures, 1, 0, at=at + timedelta(seconds=1))

    execute_due()
    futures.wait()

    assert held(futures) == 0


def test_a_size_of_the_burst_before_does_not_hide_that_one_is_missing(futures: Bench) -> None:
    """Flat, long 1, flat together; half a minute later the same sizes once more, swapped."""
    for alert in (post(futures, 0, 1), post(futures, 1, 0)):
        age(alert, 30)
    execute_due()
    for alert in Alert.unscoped.all():
        age(alert, 30)

    for begin, end in ((1, 0), (0, 1)):
        post(futures, begin, end)
        execute_due()
    futures.wait()

    assert held(futures) == 0
