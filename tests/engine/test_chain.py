"""Alerts that never arrived: seen on the next one, by the sizes before and after that both state."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import F
from django.test import Client

from apps.alerts.execution import execute_due
from apps.alerts.models import Alert, AlertStatus
from apps.alerts.queries import rows_of
from tests.engine.conftest import Bench


def sizes(before: str, after: str, **more: Any) -> dict[str, Any]:
    return {"prev_market_position_size": before, "market_position_size": after, **more}


def age(alert: Alert, seconds: float = 60) -> Alert:
    """Let an alert have come, and run, earlier than it did."""
    ago = timedelta(seconds=seconds)
    times = {name: F(name) - ago for name in ("received_at", "claimed_at", "planned_at")}
    Alert.unscoped.filter(pk=alert.pk).update(**times)
    alert.refresh_from_db()
    return alert


def gap_of(alert: Alert) -> dict[str, str] | None:
    alert.refresh_from_db()
    return next((note["facts"] for note in alert.notes if note["code"] == "MISSED_ALERT"), None)


def enter(bench: Bench, quantity: str = "0.01") -> Alert:
    """The first alert of the chain, a minute ago: it leaves long `quantity`."""
    return age(bench.send("buy", "flat", quantity, **sizes("0", quantity, market_position="long")))


def test_a_missing_alert_is_flagged_on_the_next_and_the_exit_runs(futures: Bench) -> None:
    first = enter(futures)

    alert = age(futures.send("sell", "long", "0.005", **sizes("0.008", "0.003")), 1)
    futures.wait()

    assert futures.status(alert) == (AlertStatus.EXECUTED, "")
    assert gap_of(alert) == {
        "stated": "long 0.008",
        "left": "long 0.01",
        "previous": str(first.pk),
        "previous_at": f"{first.received_at:%Y-%m-%d %H:%M:%S} UTC",
    }
    [row] = rows_of(alert.workspace, [alert])
    assert row.flags == ["gap"]
    assert [size for _, size in futures.book()] == ["10", "7"]


def test_a_chain_that_holds_is_not_flagged(futures: Bench) -> None:
    enter(futures)
    second = age(futures.send("sell", "long", "0.005", **sizes("0.0100000000000004", "0.005")), 30)

    third = futures.send("sell", "long", "0.005", **sizes("0.005", "0", market_position="flat"))

    assert (gap_of(second), gap_of(third)) == (None, None)
    assert futures.held() == 0


def test_the_other_side_of_the_same_size_is_a_gap(futures: Bench) -> None:
    enter(futures)

    alert = futures.send("buy", "short", "0.01", **sizes("0.01", "0"))

    assert (gap_of(alert) or {})["stated"] == "short 0.01"


def test_where_a_mismatch_places_nothing_an_entry_after_a_gap_is_refused(futures: Bench) -> None:
    futures.connector.mismatch = "reject"
    futures.connector.save()
    enter(futures)
    sent = futures.book()

    alert = futures.send("buy", "long", "0.005", **sizes("0.015", "0.02"))
    assert futures.status(alert) == (AlertStatus.QUEUED, "")
    assert alert.next_at == alert.received_at + timedelta(seconds=2)
    age(alert, 3)
    futures.wait()

    assert futures.status(alert) == (AlertStatus.REJECTED, "MISSED_ALERT")
    assert alert.reason.startswith(
        "The alert says long 0.015 was held before it, but the one before it left long 0.01: an alert in between may "
        "never have arrived, or its source counts anew. This connector places nothing then; exits still work."
    )
    assert futures.book() == sent
    assert futures.held() == Decimal(10)


def test_a_person_may_run_what_a_gap_stopped(futures: Bench) -> None:
    """Then only what the account holds speaks against it."""
    futures.connector.mismatch = "reject"
    futures.connector.save()
    enter(futures)
    alert = futures.post("buy", "long", "0.005", **sizes("0.015", "0.02"))
    Alert.unscoped.filter(pk=alert.pk).update(released_at=alert.received_at)

    execute_due()

    assert futures.status(alert) == (AlertStatus.REJECTED, "POSITION_MISMATCH")


@pytest.mark.parametrize("read_together", [True, False])
def test_two_exits_that_arrive_swapped_are_no_gap(futures: Bench, read_together: bool) -> None:
    enter(futures)

    late = futures.post("sell", "long", "0.005", **sizes("0.005", "0"))
    if not read_together:
        execute_due()
        assert gap_of(late) is not None
    early = futures.post("sell", "long", "0.005", **sizes("0.01", "0.005"))
    execute_due()

    assert (gap_of(late), gap_of(early)) == (None, None)


def test_an_alert_that_comes_late_by_its_own_time_is_no_gap(futures: Bench) -> None:
    enter(futures)
    newer = age(futures.send("sell", "long", "0.005", **sizes("0.01", "0.005", time="2026-01-31T15:04:30Z")), 30)

    older = futures.send("sell", "long", "0.005", **sizes("0.015", "0.01", time="2026-01-31T15:04:05Z"))

    assert (gap_of(newer), gap_of(older)) == (None, None)


def test_nothing_is_said_after_an_alert_that_was_not_understood(futures: Bench) -> None:
    enter(futures)
    bad = futures.post("buy", "long", "{{strategy.order.contracts}}")
    age(bad, 30)
    execute_due()

    alert = futures.send("sell", "long", "0.005", **sizes("0.015", "0.01"))

    assert gap_of(alert) is None


def test_texts_repeats_tests_and_close_alls_do_not_break_the_chain(futures: Bench) -> None:
    enter(futures)
    for alert in (
        futures.post("buy", "long", "0.005", test=True, **sizes("0.01", "0.015")),
        futures.post("buy", "flat", "0.01", id="n1", **sizes("0", "0.01", market_position="long")),
    ):
        age(alert, 30)
        execute_due()
    for text in (
        f"Script says hello {futures.pointer}",
        f'{{"ticker":"BTCUSDT","closeall":"true","pointer":"{futures.pointer}"}}',
    ):
        answer = Client().post("/webhook", data=text, content_type="text/plain")
        execute_due()
        age(Alert.unscoped.get(pk=answer.json()["id"]), 20)

    alert = futures.send("sell", "long", "0.005", **sizes("0.008", "0.003"))

    assert (gap_of(alert) or {})["left"] == "long 0.01"
    assert Alert.unscoped.filter(status=AlertStatus.DUPLICATE).count() == 1


def test_another_pointer_has_a_chain_of_its_own(futures: Bench) -> None:
    from apps.connectors import pointers
    from tests.factories import PointerFactory

    enter(futures)
    other = pointers.reveal(PointerFactory(connector=futures.connector))

    alert = futures.send("buy", "flat", "0.005", pointer=other, **sizes("0", "0.005"))

    assert gap_of(alert) is None


def test_an_alert_without_sizes_asks_nothing(futures: Bench) -> None:
    enter(futures)

    alert = futures.send("sell", "long", "0.005")

    assert gap_of(alert) is None
