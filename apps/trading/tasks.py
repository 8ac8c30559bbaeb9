"""Wake-ups and beat work."""

from datetime import timedelta

from celery import shared_task
from celery.signals import worker_ready
from django.utils import timezone

from apps.lib.process import process_name
from apps.trading import reconcile, sweeper
from apps.trading.models import WorkerHeartbeat


@shared_task
def follow_orders() -> int:
    return sweeper.sweep()


@shared_task
def record_equity() -> None:
    reconcile.record_equity(at_least_apart=timedelta(seconds=30))


@shared_task
def reconcile_positions() -> None:
    reconcile.reconcile_positions()


@shared_task
def beat_heart() -> None:
    """Sign of life of the workers, with which `readyz` and the sweeper tell that tasks run."""
    heartbeat("worker")


def heartbeat(kind: str) -> None:
    name = f"{kind}@{process_name().split(':')[0]}"
    WorkerHeartbeat.objects.update_or_create(name=name, defaults={"kind": kind, "at": timezone.now()})


@worker_ready.connect
def first_heartbeat(**_: object) -> None:
    heartbeat("worker")
