from typing import Any

from django.db.models import Exists
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from apps.connectors import outages
from apps.connectors.models import Connector
from apps.connectors.opening import venue_of
from apps.connectors.outcomes import Trouble


def environments(request: HttpRequest) -> dict[str, Any]:
    """Return what every page says of the member's connectors.

    `environments` for the header's badges: "live", "paper", both or none. `troubles`: where new positions are off.
    """
    places: list[tuple[str, str, bool]] = SimpleLazyObject(lambda: _places_of(request))  # type: ignore[assignment]
    return {
        "environments": SimpleLazyObject(lambda: sorted({environment for environment, _, _ in places})),
        "troubles": SimpleLazyObject(lambda: _troubles_at(places)),
    }


def _places_of(request: HttpRequest) -> list[tuple[str, str, bool]]:
    """Return (environment, market) of each connector, and whether entries are off anywhere at all: one question."""
    membership = getattr(request, "membership", None)
    if not membership:
        return []
    connectors = Connector.objects.for_workspace(membership.workspace_id).filter(deleted_at=None)
    places = connectors.annotate(any_failing=Exists(outages.open_now()))
    return list(places.values_list("environment", "market", "any_failing").distinct())


def _troubles_at(places: list[tuple[str, str, bool]]) -> list[Trouble]:
    if not any(any_failing for _, _, any_failing in places):
        return []
    used = {venue_of(environment, market) for environment, market, _ in places}
    return [outages.trouble_of(outage) for outage in outages.open_now() if outage.venue in used]
