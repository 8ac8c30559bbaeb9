import hashlib
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.cache import get_conditional_response
from django.views.generic import TemplateView, View

from apps.accounts.access import WorkspaceMixin
from apps.accounts.context import zone_of
from apps.dashboard import charts, queries
from apps.dashboard.live import Snapshot, snapshot
from apps.lib.day_filter import start_of_today

SETUP_HIDDEN = "setup_hidden"
YEAR_S = 365 * 86400


class SnapshotMixin(WorkspaceMixin):
    def snapshot(self) -> Snapshot:
        today = start_of_today(zone_of(self.membership.user))
        return snapshot(self.workspace, today=today, environment=self.request.GET.get("environment", ""))


class Home(SnapshotMixin, TemplateView):
    template_name = "dashboard/home.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        taken = self.snapshot()
        span = charts.span_of(self.request.GET.get("span", ""))
        steps = queries.onboarding(self.membership.user, self.workspace)
        is_hidden = SETUP_HIDDEN in self.request.COOKIES
        return super().get_context_data(
            snapshot=taken,
            live_url=live_url(taken),
            steps=steps if not is_hidden and not all(step.is_done for step in steps) else (),
            steps_done=sum(step.is_done for step in steps),
            span=span,
            spans=charts.SPANS,
            equity_points=charts.equity(self.workspace, span=span, environment=taken.environment),
            **kwargs,
        )


class Live(SnapshotMixin, View):
    """The moving part of the dashboard alone. The same tag as last time is answered with 304 and no body."""

    def get(self, request: HttpRequest) -> HttpResponse:
        taken = self.snapshot()
        html = render_to_string("dashboard/_live.html", {"snapshot": taken, "live_url": live_url(taken)}, request)
        etag = f'"{hashlib.sha256(html.encode()).hexdigest()[:32]}"'
        unchanged = get_conditional_response(request, etag=etag)
        response = HttpResponse(html) if unchanged is None else unchanged
        response["ETag"] = etag
        return response


class HideSetup(WorkspaceMixin, View):
    """Put the list of first steps away in this browser."""

    def post(self, request: HttpRequest) -> HttpResponse:
        response = redirect("dashboard:home")
        response.set_cookie(
            SETUP_HIDDEN, "1", max_age=YEAR_S, httponly=True, samesite="Lax", secure=request.is_secure()
        )
        return response


def live_url(taken: Snapshot) -> str:
    return f"{reverse('dashboard:live')}?environment={taken.environment}"
