"""What the product's processes do, called one after the other: workers, sweeper, beat."""

import contextlib
import logging
from collections.abc import Iterator
from importlib import import_module
from typing import Any
from uuid import UUID

from django.conf import settings

from apps.alerts.execution import execute_due
from apps.alerts.management.commands.sweeper import OVERDUE
from apps.alerts.models import Alert
from apps.connectors import budget, opening, outages
from apps.connectors.bitmart import transport
from apps.connectors.budget import Budget
from apps.connectors.budget_windows import LocalWindows, Taken
from apps.lib import wakeups, world
from apps.lib.compiled import Compiled
from apps.trading.leases import LeaseLostError
from apps.trading.sweeper import sweep
from tests.torture.death import Reaper
from tests.torture.venue import URL, Venue

# Beat comes late here: what it starts asks every connector, and nothing may depend on when it comes.
SELDOM = 4
# What beat starts and no outcome depends on: one request a connector each time.
LEFT_OUT = frozenset({"equity-points", "forget-sessions", "forget-previews", "sync-instruments", "heartbeat"})


class _Open:
    """Stands for what all workers count together: here one process counts for all."""

    def take(self, bucket: Any, address: str, *, share_pct: int, token: str = "", settling: Any = ()) -> Taken:
        return Taken(token, 0)

    def settle(self, *args: Any, **kwargs: Any) -> None: ...

    def give_back(self, *args: Any) -> None: ...

    def remember_account(self, key: str, account: str) -> None: ...

    def account_of(self, key: str) -> None: ...


class Alarms(logging.Handler):
    """Keeps what the engine raised and went on from: no history may overlook that."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.raised: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        # A worker that froze finds its lease taken: that is how it learns of it.
        if error is not None and not isinstance(error, LeaseLostError):
            self.raised.append(f"{record.getMessage()}: {error!r}")


class Engine:
    def __init__(self, reaper: Reaper) -> None:
        self.reaper = reaper
        self.runs = 0
        beat = {name: row for name, row in settings.CELERY_BEAT_SCHEDULE.items() if name not in LEFT_OUT}
        self._beat = {name: (_function(row["task"]), float(row["schedule"]) * SELDOM) for name, row in beat.items()}
        self._beaten = dict.fromkeys(self._beat, world.monotonic())

    def wake(self) -> bool:
        """One worker woken up; False when it died."""
        self.runs += 1
        return self.reaper.run(lambda: _as_a_process(execute_due))

    def sweep(self) -> bool:
        """One round of the sweeper, which also does the alerts that no worker did."""
        self.runs += 1
        return self.reaper.run(lambda: _as_a_process(_sweep))

    def beat(self) -> None:
        """Run what has its time."""
        for name, (work, every_s) in self._beat.items():
            if world.monotonic() - self._beaten[name] >= every_s:
                self._beaten[name] = world.monotonic()
                self.reaper.run(lambda work=work: _as_a_process(work))


def _sweep() -> None:
    sweep()
    outages.tend()
    if _overdue(before=world.now() - OVERDUE):
        execute_due()


_overdue: Compiled[UUID] = Compiled(
    lambda before: Alert.unscoped.filter(next_at__lt=before).values_list("pk", flat=True)[:1]
)


def _as_a_process(work: Any) -> None:
    # A frozen worker's standing at the request budget is not that of the one which works meanwhile.
    token = budget._standing.set(None)
    try:
        work()
    finally:
        budget._standing.reset(token)


def _function(task: str) -> Any:
    module, name = task.rsplit(".", 1)
    return getattr(import_module(module), name)


@contextlib.contextmanager
def connected(venue: Venue) -> Iterator[Alarms]:
    """Put the venue where clients send to, take the broker away, and listen for what is raised."""
    alarms = Alarms()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = [alarms]
    root.setLevel(logging.ERROR)
    publish, before_url = wakeups.publish, settings.PAPER_URL
    wakeups.publish = lambda task_name: None  # type: ignore[assignment]
    settings.PAPER_URL = URL
    opening.close_all()
    with transport.replaced(lambda: venue):
        opening._budgets[settings.REDIS_URL] = Budget(LocalWindows(), _Open())
        try:
            yield alarms
        finally:
            opening.close_all()
            settings.PAPER_URL = before_url
            wakeups.publish = publish  # type: ignore[assignment]
            root.handlers[:] = handlers
            root.setLevel(level)
