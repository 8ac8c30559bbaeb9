"""The fence: before it an absence proves nothing."""

from datetime import datetime, timedelta

from django.conf import settings

from apps.connectors.exchange import NotSentError
from apps.lib import world


def fence() -> timedelta:
    """How long after its signed time an order may still turn up at the exchange: window, twice the skew, visibility."""
    return timedelta(seconds=settings.FENCE_WINDOW_S + 2 * settings.FENCE_SKEW_S + settings.FENCE_VISIBILITY_S)


def check_awake(claimed_at: datetime, *, within: timedelta) -> None:
    """Raise NotSentError when this process stood still since its claim: others look for what it might have sent.

    One that stands still after this look sends bytes whose signature is as old as the claim: the exchange refuses them.
    """
    late = world.now() - claimed_at
    if late >= within:
        seconds = late.total_seconds()
        raise NotSentError(f"Our worker stood still for {seconds:.0f} s before it could send. Nothing was sent.")
