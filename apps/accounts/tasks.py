from celery import shared_task
from django.core.management import call_command


@shared_task  # type: ignore[untyped-decorator]
def forget_sessions() -> None:
    """Delete sessions that ended."""
    call_command("clearsessions")
