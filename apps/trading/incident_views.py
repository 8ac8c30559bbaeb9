import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.generic import TemplateView, View

from apps.accounts import audit
from apps.accounts.access import WorkspaceMixin
from apps.lib.keyset import page_of
from apps.trading import doubts, in_line, incidents
from apps.trading.incident_forms import SettleForm
from apps.trading.incident_kinds import IncidentKind
from apps.trading.models import Flatten, Incident
from apps.trading.transitions import StaleOrderError

PAGE_SIZE = 50


class IncidentList(WorkspaceMixin, TemplateView):
    template_name = "trading/incidents.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        closed = Incident.objects.for_workspace(self.workspace).exclude(resolved_at=None)
        page = page_of(
            closed.select_related("connector", "resolved_by"),
            field="opened_at",
            cursor=self.request.GET.get("before", ""),
            size=PAGE_SIZE,
        )
        return super().get_context_data(open_now=list(incidents.open_in(self.workspace)[:100]), page=page, **kwargs)


class IncidentDetail(WorkspaceMixin, TemplateView):
    template_name = "trading/incident.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        incident: Incident = self.own(Incident, self.kwargs["pk"])
        order = incident.order
        may_settle = incident.resolved_at is None and order is not None and doubts.may_be_settled(order)
        return super().get_context_data(
            incident=incident,
            order=order,
            connector=incident.connector,
            may_trade=self.membership.may_trade,
            in_line=in_line.preview(incident),
            flatten=self._flatten(incident),
            settle_form=kwargs.pop("settle_form", None) or (SettleForm() if may_settle else None),
            **kwargs,
        )

    def _flatten(self, incident: Incident) -> Flatten | None:
        """Return the closing that the incident speaks of; its connector is None when it was asked of all."""
        if incident.kind != IncidentKind.FLATTEN_INCOMPLETE:
            return None
        return Flatten.objects.for_workspace(self.workspace).filter(pk=incident.facts.get("report")).first()


class BringInLine(IncidentDetail):
    """Do what the page has shown about a position that differs, if it is still so."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        incident: Incident = self.own(Incident, pk)
        figures = {"ours": request.POST.get("ours", ""), "theirs": request.POST.get("theirs", "")}
        way = request.POST.get("way", "")
        try:
            if way == "take_over":
                in_line.take_over(incident, **figures)
                messages.success(request, "Our row says what the exchange says. Nothing was sent.")
            elif way == "close":
                order = in_line.close_difference(incident, **figures)
                messages.success(request, "The closing order is on its way.")
            else:
                raise in_line.NotInLineError("WAY_UNKNOWN", "Nothing was done: choose one of the two ways.")
        except in_line.NotInLineError as error:
            messages.error(request, f"{error.code}: {error.sentence}")
            return redirect("trading:incident", pk=pk)
        audit.record(
            self.workspace, f"position.{way}", request=request, object_id=incident.pk, symbol=incident.symbol, **figures
        )
        if way == "close":
            return redirect("trading:order", pk=order.pk)
        return redirect("trading:incident", pk=pk)


class ResolveIncident(WorkspaceMixin, View):
    """A person says that it is dealt with."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        incident: Incident = self.own(Incident, pk)
        if incidents.resolve_one(incident, by=self.membership.user, how="Resolved by a person."):
            audit.record(
                self.workspace, "incident.resolved", request=request, object_id=incident.pk, kind=incident.kind,
                symbol=incident.symbol,
            )  # fmt: skip
            messages.success(request, "Resolved. It comes back if it is found to be so again.")
        return redirect("trading:incident", pk=pk)


class SettleOrder(IncidentDetail):
    """Take a person's word about an order that the exchange does not tell of. Nothing is sent."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        incident: Incident = self.own(Incident, pk)
        form = SettleForm(request.POST)
        order = incident.order
        if not doubts.asks_for_word(incident):
            form.add_error(None, "NOTHING_IN_DOUBT: nothing here waits for your word. Nothing was changed.")
        if order is None or not form.is_valid():
            return self.render_to_response(self.get_context_data(settle_form=form), status=422)
        exchange_order_id = form.cleaned_data["exchange_order_id"]
        try:
            if form.cleaned_data["found"] == SettleForm.PLACED:
                doubts.settle_as_placed(order, exchange_order_id, by=self.membership.user)
                messages.success(
                    request, "Noted. The exchange is being asked by this id; its answer settles the order."
                )
            else:
                doubts.settle_as_not_placed(order, by=self.membership.user)
                messages.success(request, f"Settled. Nothing was sent again; orders in {order.symbol} go on.")
        except doubts.NotToBeSettledError as error:
            form.add_error(None, f"{error.code}: {error.sentence}")
        except StaleOrderError:
            form.add_error(None, "ORDER_MOVED: news of this order came in this moment. Look at it again.")
        if form.errors:
            return self.render_to_response(self.get_context_data(settle_form=form), status=422)
        audit.record(
            self.workspace, "order.settled_by_person", request=request, object_id=order.pk,
            found=form.cleaned_data["found"], exchange_order_id=exchange_order_id,
        )  # fmt: skip
        return redirect("trading:incident", pk=pk)
