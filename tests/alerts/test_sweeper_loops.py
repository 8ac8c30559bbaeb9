"""What the sweeper does side by side."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.alerts.management.commands import sweeper
from apps.alerts.models import AlertStatus
from tests.factories import AlertFactory


class AskedError(Exception):
    """Somebody waits for the exchange."""


def test_what_a_person_asks_the_exchange_holds_up_no_alert(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks and previews may take minutes; an exit that is tried again has to be run meanwhile."""

    def asked() -> int:
        raise AskedError

    for name in ("run_checks", "answer_due"):
        monkeypatch.setattr(sweeper, name, asked)
    works = {work.__name__: work for work, _ in sweeper.LOOPS}

    works["overdue_alerts"]()

    for name in ("connector_checks", "previews"):
        with pytest.raises(AskedError):
            works[name]()


@pytest.mark.parametrize(
    ("due_for", "put_off", "told"),
    [
        (timedelta(milliseconds=1), timedelta(seconds=1), ["woken"]),
        (-timedelta(milliseconds=500), timedelta(seconds=1), []),
        # Its reader runs it.
        (timedelta(seconds=1), timedelta(milliseconds=10), []),
        (timedelta(seconds=3), timedelta(seconds=1), ["run"]),
    ],
)
def test_workers_are_woken_for_what_waited_for_its_time(
    db: None, monkeypatch: pytest.MonkeyPatch, due_for: timedelta, put_off: timedelta, told: list[str]
) -> None:
    done: list[str] = []
    monkeypatch.setattr(sweeper, "execute_due", lambda: done.append("run"))
    monkeypatch.setattr(sweeper.wakeups, "publish", lambda task: done.append("woken"))
    at = timezone.now() - due_for
    AlertFactory(status=AlertStatus.QUEUED, next_at=at, read_at=at - put_off)

    sweeper.overdue_alerts()

    assert done == told
