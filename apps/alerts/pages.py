"""The pages of the alerts; the webhook is in views.py."""

import uuid
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.views.generic import TemplateView, View

from apps.accounts import audit
from apps.accounts.access import WorkspaceMixin
from apps.accounts.context import zone_of
from apps.alerts import queries, release
from apps.alerts.evidence import evidence_of
from apps.alerts.forms import AlertFilterForm
from apps.alerts.models import Alert, AlertStatus
from apps.lib.csv_export import Cell, csv_response
from apps.lib.keyset import page_of
from apps.lib.tagged import POLL, PolledPartView
from apps.trading import queries as trading

PAGE_SIZE = 50


class AlertList(WorkspaceMixin, PolledPartView):
    template_name = "alerts/list.html"
    part_name = "alerts/_list.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        form = AlertFilterForm(self.request.GET, workspace=self.workspace, zone=zone_of(self.membership.user))
        alerts = form.apply(queries.listing(self.workspace))
        page = page_of(alerts, field="received_at", cursor=self.request.GET.get("before", ""), size=PAGE_SIZE)
        return super().get_context_data(form=form, page=page, rows=queries.rows_of(self.workspace, page.rows), **kwargs)


class AlertCsv(WorkspaceMixin, View):
    HEADER = (
        "received_at", "alert_id", "connector", "environment", "symbol", "action", "result", "reason_code", "reason",
        "source_delay_s", "latency_ms", "orders", "source_ip", "sender", "external_id", "duplicate_of",
    )  # fmt: skip

    def get(self, request: HttpRequest) -> StreamingHttpResponse:
        form = AlertFilterForm(request.GET, workspace=self.workspace, zone=zone_of(self.membership.user))
        alerts = form.apply(queries.listing(self.workspace)).order_by("-received_at", "-id")
        return csv_response("alerts.csv", self.HEADER, map(self._row, queries.all_rows(self.workspace, alerts)))

    @staticmethod
    def _row(row: queries.AlertRow) -> tuple[Cell, ...]:
        alert = row.alert
        return (
            alert.received_at, str(alert.pk), alert.connector.label, alert.connector.environment, alert.symbol,
            row.action, queries.display_status(alert, row.orders), alert.reason_code, alert.reason, row.source_delay_s,
            row.latency_ms,
            " ".join(str(order.pk) for order in row.orders), alert.source_ip, alert.sender, alert.external_id,
            str(alert.duplicate_of_id) if alert.duplicate_of_id else None,
        )  # fmt: skip


class AlertPage(WorkspaceMixin, TemplateView):
    """Everything about one delivery: the product's answer to "what did you do with my alert?"."""

    template_name = "alerts/detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        alert: Alert = self.own(Alert, self.kwargs["pk"])
        [row] = queries.rows_of(self.workspace, [alert])
        order_ids = [order.pk for order in row.orders]
        fills = trading.fills(self.workspace).filter(order_id__in=order_ids).order_by("filled_at", "trade_id")
        protections = (
            trading.protections(self.workspace).filter(entry_id__in=order_ids).order_by("created_at", "number")
        )
        listing = queries.listing(self.workspace)
        is_moving = alert.is_waiting or not queries.is_final(row.orders)
        proof = evidence_of(self.workspace, alert, row.orders)
        return super().get_context_data(
            alert=alert,
            row=row,
            status=row.status,
            orders=row.orders,
            fills=list(fills) if order_ids else [],
            protections=list(protections) if order_ids else [],
            moments=queries.timeline(alert, row.orders, proof),
            evidence=proof,
            raw=queries.raw_text(alert),
            fields=queries.fields_of(alert.understood),
            facts=queries.fields_of(alert.facts),
            curl=queries.as_curl(alert, f"{settings.SITE_URL}/webhook"),
            parts=queries.rows_of(self.workspace, listing.filter(parent=alert).order_by("part")),
            duplicates=list(listing.filter(duplicate_of=alert).order_by("received_at")[:50]),
            original=listing.filter(pk=alert.duplicate_of_id).first() if alert.duplicate_of_id else None,
            preview=queries.preview_of(alert),
            is_held=alert.status == AlertStatus.HELD,
            is_moving=is_moving,
            is_live=is_moving or self.request.headers.get("X-Requested-With") == POLL,
            may_trade=self.membership.may_trade,
            **kwargs,
        )


class RunHeld(WorkspaceMixin, View):
    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        alert: Alert = self.own(Alert, pk)
        try:
            release.run(alert)
        except release.NotHeldError:
            return _no_longer_held(request, alert)
        audit.record(self.workspace, "alert.run", request=request, object_id=alert.pk)
        messages.success(request, "The alert runs now. Its orders appear here.")
        return redirect("alerts:detail", pk=pk)


class DismissHeld(WorkspaceMixin, View):
    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        alert: Alert = self.own(Alert, pk)
        try:
            release.dismiss(alert)
        except release.NotHeldError:
            return _no_longer_held(request, alert)
        audit.record(self.workspace, "alert.dismissed", request=request, object_id=alert.pk)
        messages.success(request, "Dismissed: nothing was sent for this alert.")
        return redirect("alerts:detail", pk=pk)


def _no_longer_held(request: HttpRequest, alert: Alert) -> HttpResponse:
    alert.refresh_from_db(fields=["status"])
    word = alert.get_status_display()
    messages.warning(request, f"NOT_HELD: this alert is no longer held (it is: {word}). Nothing was changed.")
    return redirect("alerts:detail", pk=alert.pk)
