from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest

from apps.accounts.models import AuditEvent, User, Workspace


def record(
    workspace: Workspace,
    action: str,
    *,
    request: HttpRequest | None = None,
    object_id: UUID | None = None,
    **facts: Any,
) -> None:
    """Write one audit event. `facts` must be free of secrets: they are shown to the workspace and to staff."""
    actor = request.user if request is not None and isinstance(request.user, User) else None
    AuditEvent.objects.create(
        workspace=workspace,
        actor=actor,
        action=action,
        object_id=object_id,
        facts=facts,
        ip=client_ip(request) if request is not None else None,
    )


def client_ip(request: HttpRequest) -> str | None:
    """Return the sender's address, believing X-Forwarded-For only from the configured number of proxies.

    None for a text that is no address.
    """
    try:
        return str(ip_address(address_of(request.META, settings.TRUSTED_PROXIES) or ""))
    except ValueError:
        return None


def address_of(meta: Mapping[str, str], trusted_proxies: int) -> str | None:
    if trusted_proxies:
        hops = [hop.strip() for hop in meta.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
        if len(hops) >= trusted_proxies:
            return hops[-trusted_proxies]
    return meta.get("REMOTE_ADDR") or None
