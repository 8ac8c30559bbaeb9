from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.generic import TemplateView, View

from apps.accounts.access import WorkspaceMixin
from apps.accounts.context import zone_of
from apps.dashboard import charts, queries
from apps.dashboard.live import Snapshot, snapshot
from apps.lib.day_filter import start_of_today
from apps.lib.tagged import tagged

SETUP_HIDDEN = "setup_hidden"
SETUP = "setup"
YEAR_S = 365 * 86400


class SnapshotMixin(WorkspaceMixin):
    def snapshot(self) -> Snapshot:
        today = start_of_today(zone_of(self.membership.user))
        return snapshot(self.workspace, today=today, environment=self.request.GET.get("environment", ""))

    def moving(self, taken: Snapshot, *, with_steps: bool) -> dict[str, Any]:
        steps = queries.onboarding(self.membership.user, self.workspace) if with_steps else ()
        return {
            "snapshot": taken,
            "live_url": live_url(taken, with_steps=with_steps),
            "steps": steps,
            "steps_done": sum(step.is_done for step in steps),
        }


class Home(SnapshotMixin, TemplateView):
    template_name = "dashboard/home.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        taken = self.snapshot()
        span = charts.span_of(self.request.GET.get("span", ""))
        moving = self.moving(taken, with_steps=SETUP_HIDDEN not in self.request.COOKIES)
        if all(step.is_done for step in moving["steps"]):
            moving = self.moving(taken, with_steps=False)
        return super().get_context_data(
            **moving,
            span=span,
            spans=charts.SPANS,
            equity_points=charts.equity(self.workspace, span=span, environment=taken.environment),
            **kwargs,
        )


class Live(SnapshotMixin, View):
    """The moving part of the dashboard alone. The same tag as last time is answered with 304 and no body."""

    def get(self, request: HttpRequest) -> HttpResponseBase:
        taken = self.snapshot()
        # The steps are asked for only while the page shows them: they take five queries more.
        moving = self.moving(taken, with_steps=SETUP in request.GET)
        html = render_to_string("dashboard/_live.html", moving, request)
        if moving["steps"]:
            html += render_to_string("dashboard/_steps.html", moving, request)
        return tagged(request, html)


class HideSetup(WorkspaceMixin, View):
    """Put the list of first steps away in this browser."""

    def post(self, request: HttpRequest) -> HttpResponse:
        response = redirect("dashboard:home")
        response.set_cookie(
            SETUP_HIDDEN, "1", max_age=YEAR_S, httponly=True, samesite="Lax", secure=request.is_secure()
        )
        return response


def live_url(taken: Snapshot, *, with_steps: bool) -> str:
    return f"{reverse('dashboard:live')}?environment={taken.environment}{f'&{SETUP}=1' if with_steps else ''}"
