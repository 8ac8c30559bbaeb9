import uuid
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.generic import TemplateView, View

from apps.accounts import audit
from apps.accounts.access import WorkspaceMixin
from apps.connectors.models import Connector
from apps.trading import flatten
from apps.trading.models import Flatten


class CloseEverything(WorkspaceMixin, View):
    """Ask for everything of the workspace to be closed. It asks for no password: stopping must be quick."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest) -> HttpResponse:
        asked = flatten.request(self.workspace, by=self.membership.user)
        audit.record(self.workspace, "workspace.flatten", request=request, object_id=asked.pk)
        return redirect("trading:flatten", pk=asked.pk)


class CloseConnector(WorkspaceMixin, View):
    """The same for one connector."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        connector: Connector = self.own(Connector, pk)
        if connector.deleted_at is not None:
            raise Http404
        asked = flatten.request(self.workspace, by=self.membership.user, connector=connector)
        audit.record(
            self.workspace, "connector.flatten", request=request, object_id=connector.pk, label=connector.label
        )
        return redirect("trading:flatten", pk=asked.pk)


class LiftConnector(WorkspaceMixin, View):
    """Let a connector open positions again that was closed as a whole; its name is typed to confirm."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        connector: Connector = self.own(Connector, pk)
        if connector.deleted_at is not None:
            raise Http404
        if request.POST.get("word", "").strip() != connector.label.strip():
            messages.error(request, f"NAME_DIFFERS: type “{connector.label}” exactly. New positions stay off.")
            return redirect("connectors:detail", pk=pk)
        before = connector.trading_state
        Connector.objects.for_workspace(self.workspace).filter(pk=pk).update(trading_state="active")
        audit.record(
            self.workspace, "connector.trading_state", request=request, object_id=pk, label=connector.label,
            before=before, after="active",
        )  # fmt: skip
        messages.success(request, f"'{connector.label}' opens positions again.")
        return redirect("connectors:detail", pk=pk)


class FlattenReport(WorkspaceMixin, TemplateView):
    template_name = "trading/flatten.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        asked: Flatten = self.own(Flatten, self.kwargs["pk"])
        return super().get_context_data(flatten=asked, **kwargs)

    def get_template_names(self) -> list[str]:
        return (
            ["trading/_flatten.html"]
            if self.request.headers.get("X-Requested-With") == "poll"
            else [self.template_name]
        )
