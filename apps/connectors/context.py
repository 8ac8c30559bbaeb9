from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from apps.connectors.models import Connector


def environments(request: HttpRequest) -> dict[str, Any]:
    """Return the environments of the member's connectors for the header's badges: "live", "paper", both or none."""
    return {"environments": SimpleLazyObject(lambda: environments_of(request))}


def environments_of(request: HttpRequest) -> list[str]:
    membership = getattr(request, "membership", None)
    if not membership:
        return []
    connectors = Connector.objects.for_workspace(membership.workspace_id).filter(deleted_at=None)
    return sorted(connectors.values_list("environment", flat=True).distinct())
