from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.generic import TemplateView, View

from apps.accounts import stepup
from apps.accounts.models import Membership
from apps.connectors.models import Connector
from apps.strategies import queries
from apps.strategies.rules_text import as_html


class StrategyList(TemplateView):
    template_name = "strategies/list.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(strategies=queries.published(), **kwargs)


class StrategyDetail(View):
    """Open to everybody; a member finds the message filled in with the pointer of a fitting connector."""

    http_method_names = ["get", "head"]

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        strategy = get_object_or_404(queries.published(), slug=slug)
        membership: Membership | None = request.membership  # type: ignore[attr-defined]
        connectors = queries.fitting_connectors(membership.workspace, strategy) if membership else []
        connector = queries.chosen(connectors, uuid_or_none(request.GET.get("connector", "")))
        lock = lock_of(request, membership, connector)
        facts = {
            "strategy": strategy,
            "rules": as_html(strategy.rules),
            "risks": as_html(strategy.risks),
            "connectors": connectors,
            "connector": connector,
            "lock": lock,
            "confirm_url": f"{reverse('account_reauthenticate')}?{urlencode({'next': request.get_full_path()})}",
            "message": queries.message_for(strategy, None if lock else connector),
            "webhook_url": f"{settings.SITE_URL}/webhook",
        }
        return render(request, "strategies/detail.html", facts)


def lock_of(request: HttpRequest, membership: Membership | None, connector: Connector | None) -> str:
    """Return why the pointer is not shown: "viewer", "confirm" (a live one, to a person not just confirmed), or ""."""
    if not membership or connector is None:
        return ""
    if not membership.may_trade:
        return "viewer"
    return "" if connector.is_paper or stepup.is_confirmed(request) else "confirm"


def uuid_or_none(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
