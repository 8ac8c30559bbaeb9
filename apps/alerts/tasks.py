from celery import shared_task

from apps.alerts.execution import execute_due as run


@shared_task
def execute_due() -> int:
    """A wake-up: run every alert that is due."""
    return run()
