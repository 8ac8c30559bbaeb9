"""The pages of previews: ask, and look for the answer."""

import uuid
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.generic import TemplateView, View

from apps.accounts.access import WorkspaceMixin
from apps.alerts import previewing
from apps.alerts.models import Alert, Preview
from apps.connectors.models import Connector

_TOO_MANY = (
    "PREVIEW_LIMIT: not asked, the exchange was asked {count} times for this connector within a minute. "
    "Wait a minute and try again. Nothing was sent."
)


class AskPreview(WorkspaceMixin, View):
    """The box on a connector's page: a message pasted, the answer in place."""

    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        connector: Connector = self.own(Connector, pk)
        if connector.deleted_at is not None:
            raise Http404
        page = reverse("connectors:detail", args=[pk])
        text = request.POST.get("message", "").strip()
        if not text:
            messages.warning(request, "EMPTY: paste a message first. Nothing was asked.")
            return redirect(f"{page}#preview")
        try:
            preview = previewing.request(connector, text)
        except previewing.PreviewLimitError:
            messages.warning(request, _TOO_MANY.format(count=previewing.MOST_A_MINUTE))
            return redirect(f"{page}#preview")
        return redirect(f"{page}?{urlencode({'preview': preview.pk})}#preview")


class SendAsTest(WorkspaceMixin, View):
    """An alert's own message again, as a test."""

    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        alert: Alert = self.own(Alert, pk)
        if alert.connector.deleted_at is not None:
            messages.warning(
                request, "CONNECTOR_DELETED: its key is erased, so nothing can be asked. Nothing was sent."
            )
            return redirect("alerts:detail", pk=pk)
        preview = previewing.request_test(alert)
        if preview is None:
            messages.warning(request, _TOO_MANY.format(count=previewing.MOST_A_MINUTE))
            return redirect("alerts:detail", pk=pk)
        return redirect("alerts:preview", pk=preview.pk)


class PreviewPage(WorkspaceMixin, TemplateView):
    """One preview; also what a page that shows it polls."""

    template_name = "alerts/preview.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        preview: Preview = self.own(Preview, self.kwargs["pk"])
        return super().get_context_data(preview=preview, connector=preview.connector, **kwargs)
