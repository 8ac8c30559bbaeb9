"""What every page's frame shows."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeGuard
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from apps.accounts.models import Membership, Subscription, User

THEMES = frozenset({"light", "dark"})


@dataclass(frozen=True, slots=True)
class Trial:
    """`days_left` counts the last day as 1; 0 = over."""

    days_left: int
    ends_at: datetime


def site(request: HttpRequest) -> dict[str, Any]:
    """Return SITE_NAME, theme ("" = as the system), trial (or None), zone (IANA name), ask_zone."""
    theme = request.COOKIES.get("theme", "")
    user = getattr(request, "user", None)
    return {
        "SITE_NAME": settings.SITE_NAME,
        "theme": theme if theme in THEMES else "",
        "trial": SimpleLazyObject(lambda: trial_of(getattr(request, "membership", None))),
        "zone": zone_of(user).key if is_member(user) else "UTC",
        "ask_zone": is_member(user) and not user.time_zone,
    }


def trial_of(membership: Membership | None) -> Trial | None:
    """Return the trial of a workspace that has not subscribed yet, running or over."""
    if not membership:
        return None
    subscription: Subscription | None = getattr(membership.workspace, "subscription", None)
    if subscription is None or subscription.status == Subscription.Status.ACTIVE:
        return None
    return Trial(subscription.trial_days_left, subscription.trial_ends_at)


def zone_of(user: User) -> ZoneInfo:
    """Return the person's zone; UTC until it is known, and for a name that no longer exists."""
    try:
        return ZoneInfo(user.time_zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def is_member(user: object) -> TypeGuard[User]:
    return isinstance(user, User)
