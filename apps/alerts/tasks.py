from celery import shared_task

from apps.alerts import previewing
from apps.alerts.execution import execute_due as run


@shared_task
def execute_due() -> int:
    """A wake-up: run every alert that is due."""
    return run(is_woken=True)


@shared_task
def answer_previews() -> int:
    return previewing.answer_due()


@shared_task
def forget_previews() -> int:
    return previewing.forget_old()
