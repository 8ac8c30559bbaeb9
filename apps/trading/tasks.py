"""Wake-ups and beat work."""

import logging
from datetime import timedelta

from celery import shared_task
from celery.signals import task_postrun, task_prerun, worker_ready
from django.db import Error, close_old_connections

from apps.connectors import outages
from apps.lib import world
from apps.lib.process import process_name
from apps.trading import flatten, reconcile, sweeper
from apps.trading.models import WorkerHeartbeat

logger = logging.getLogger(__name__)


@shared_task
def follow_orders() -> int:
    return sweeper.sweep()


@shared_task
def run_flattens() -> int:
    return flatten.run_due()


@shared_task
def record_equity() -> None:
    reconcile.record_equity(at_least_apart=timedelta(seconds=30))


@shared_task
def reconcile_positions() -> None:
    reconcile.poll_due()


@shared_task
def beat_heart() -> None:
    """Sign of life of the workers, with which `readyz` and the sweeper tell that tasks run."""
    heartbeat("worker")


def heartbeat(kind: str) -> None:
    name = f"{kind}@{process_name().split(':')[0]}"
    WorkerHeartbeat.objects.update_or_create(name=name, defaults={"kind": kind, "at": world.now()})


@task_prerun.connect
def drop_dead_connections(**_: object) -> None:
    """Celery keeps the connection of a thread; one that the database closed meanwhile would fail every later task."""
    close_old_connections()


@task_postrun.connect
def settle_outcomes(**_: object) -> None:
    """What the task's calls told about the exchange concerns all."""
    try:
        outages.settle()
    except Error as error:
        logger.warning("outcomes of calls not told: %s", type(error).__name__)


@worker_ready.connect
def first_heartbeat(**_: object) -> None:
    heartbeat("worker")
