"""Alerts that had to wait: entries run out of time after 120 s, exits do not."""

from collections.abc import Iterator

import pytest

from apps.alerts.models import AlertStatus
from apps.trading.models import OrderState
from tests.engine.conftest import _rows_of_migrations, committed
from tests.matrix.virtual import Desk, desks

__all__ = ["_rows_of_migrations", "committed"]

S = OrderState


@pytest.fixture
def desk(committed: None) -> Iterator[Desk]:
    with desks(1) as (only,):
        yield only


@pytest.mark.parametrize(("age", "is_sent"), [(30, True), (119, True), (121, False)])
def test_entry_that_nobody_ran_for_a_while(desk: Desk, age: int, is_sent: bool) -> None:
    alert = desk.deliver("buy", "flat", "0.004")

    desk.scene.clock.sleep(age)
    desk.scene.engine.wake()

    alert.refresh_from_db()
    if is_sent:
        assert (alert.status, desk.held()) == (AlertStatus.EXECUTED, 4)
    else:
        assert (alert.status, alert.reason_code) == (AlertStatus.EXPIRED, "ENTRY_EXPIRED")
        assert desk.book() == []


@pytest.mark.parametrize("age", [30, 121, 3600])
def test_exit_that_nobody_ran_for_a_while_still_closes(desk: Desk, age: int) -> None:
    desk.send("buy", "flat", "0.004")
    desk.scene.clock.sleep(1)
    alert = desk.deliver("sell", "long", "0.004")

    desk.scene.clock.sleep(age)
    desk.scene.engine.wake()

    alert.refresh_from_db()
    assert (alert.status, desk.held()) == (AlertStatus.EXECUTED, 0)
    assert [size for _, size in desk.book()] == [4, 4]


def test_exit_an_hour_old_does_not_close_a_position_opened_after_it(desk: Desk) -> None:
    old = desk.deliver("sell", "long", "0.004")
    old_row = type(old).unscoped.filter(pk=old.pk)
    old_row.update(next_at=None)
    desk.scene.clock.sleep(3600)
    desk.send("buy", "flat", "0.004", id="new")
    old_row.update(next_at=desk.scene.clock.now())

    desk.scene.engine.wake()

    old.refresh_from_db()
    assert (old.status, old.reason_code) == (AlertStatus.EXPIRED, "EXIT_TOO_OLD")
    assert "and no long position on BTCUSDT is open" in old.reason
    assert (desk.held(), len(desk.book())) == (4, 1)


def test_exit_an_hour_old_that_finds_nothing_names_what_it_was_to_close(desk: Desk) -> None:
    old = desk.deliver("buy", "short", "0.004")
    desk.scene.clock.sleep(3600)

    desk.scene.engine.wake()

    old.refresh_from_db()
    assert (old.status, old.reason_code) == (AlertStatus.EXPIRED, "EXIT_TOO_OLD")
    assert "and no short position on BTCUSDT is open" in old.reason
