"""The fence: before it an absence proves nothing."""

from datetime import timedelta

from django.conf import settings


def fence() -> timedelta:
    """How long after its signed time an order may still turn up at the exchange: window, twice the skew, visibility."""
    return timedelta(seconds=settings.FENCE_WINDOW_S + 2 * settings.FENCE_SKEW_S + settings.FENCE_VISIBILITY_S)
