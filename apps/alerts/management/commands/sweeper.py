"""The process that needs neither Redis nor beat: it finds due work that nobody did, and does it."""

import logging
import signal
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import django.db
from django.core.management.base import BaseCommand
from django.db.models import F

from apps.alerts.execution import execute_due
from apps.alerts.models import Alert
from apps.alerts.previewing import answer_due
from apps.alerts.receiving import EXECUTE
from apps.connectors import outage_mail, outages
from apps.connectors.tasks import run_checks
from apps.lib import wakeups, world
from apps.trading import flatten, incident_mail, prices, reconcile
from apps.trading.sweeper import sweep
from apps.trading.tasks import heartbeat

logger = logging.getLogger(__name__)

# Workers get so long before the sweeper does their work.
OVERDUE = timedelta(seconds=2)
# What was only just read is due at once, and its reader runs it.
PUT_OFF = timedelta(milliseconds=100)
LATE_READING = timedelta(seconds=20)


class Command(BaseCommand):
    help = "Do due work that nobody did: overdue alerts, orders to be followed, connector checks, fresh prices."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        reconcile.make_all_due()
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_: stop.set())
        loops = [
            threading.Thread(target=_repeat, args=(stop, work, every), name=work.__name__) for work, every in LOOPS
        ]
        for loop in loops:
            loop.start()
        for loop in loops:
            loop.join()


def follow_orders() -> None:
    sweep()


def overdue_alerts() -> None:
    now = world.now()
    if Alert.unscoped.filter(next_at__lt=now - OVERDUE).exists():
        execute_due()
    elif Alert.unscoped.filter(next_at__lte=now, next_at__gt=F("read_at") + PUT_OFF).exists():
        # It waited for its time, and no delivery tells the workers that this has come.
        wakeups.publish(EXECUTE)


def connector_checks() -> None:
    run_checks()


def previews() -> None:
    answer_due()


def fresh_prices() -> None:
    prices.refresh()


def alive() -> None:
    heartbeat("sweeper")


def close_everything() -> None:
    flatten.run_due()


def read_accounts() -> None:
    reconcile.poll_due(overdue_by=LATE_READING)


def mail_incidents() -> None:
    incident_mail.send_due()
    outage_mail.send_due()


def tend_outages() -> None:
    outages.tend()


LOOPS: tuple[tuple[Callable[[], None], float], ...] = (
    (follow_orders, 0.5),
    (overdue_alerts, 0.5),
    # Apart: what a person asks may wait for the exchange for minutes; an exit that is tried again must not wait for it.
    (connector_checks, 0.5),
    (previews, 0.5),
    (fresh_prices, 1.0),
    (close_everything, 0.5),
    (read_accounts, 5.0),
    (tend_outages, 1.0),
    (mail_incidents, 2.0),
    (alive, 5.0),
)


def _repeat(stop: threading.Event, work: Callable[[], None], every: float) -> None:
    """Run `work` every so many seconds until told to stop; a database that is away is waited for."""
    while not stop.is_set():
        started = world.monotonic()
        django.db.close_old_connections()
        try:
            work()
        except django.db.Error as error:
            logger.error("%s: database: %s", work.__name__, type(error).__name__)
            stop.wait(1)
        except Exception:
            logger.exception("%s failed", work.__name__)
            stop.wait(1)
        stop.wait(max(0.0, every - (world.monotonic() - started)))
    django.db.connections.close_all()
