import uuid
from itertools import chain, count
from typing import Any
from urllib.parse import urlencode

from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.generic import FormView, TemplateView, UpdateView, View

from apps.accounts import audit, stepup
from apps.accounts.access import WorkspaceMixin
from apps.connectors import lifecycle, pointers, queries
from apps.connectors.exchange import Credentials, Market
from apps.connectors.forms import (
    OVERLAP_WORDS,
    ConnectorSettingsForm,
    DeleteForm,
    KeysForm,
    NewConnectorForm,
    PaperAccountForm,
    RotateForm,
)
from apps.connectors.models import MARKETS, CheckStatus, Connector, Environment, Pointer
from apps.connectors.paper_accounts import PaperUnavailableError, open_account
from apps.connectors.pasting import Paste, messages_to_paste
from apps.lib.tagged import tagged

TRADINGVIEW_ADDRESSES = ("52.89.214.238", "34.212.75.30", "54.218.53.128", "52.32.178.7")
TRENDSPIDER_ADDRESS = "3.12.143.24"


class OneConnectorMixin(View):
    """Finds the workspace's connector before anything else is asked; a deleted one is gone. After WorkspaceMixin."""

    connector: Connector

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.connector = self.own(Connector, kwargs["pk"])  # type: ignore[attr-defined]
        if self.connector.deleted_at is not None:
            raise Http404
        return super().dispatch(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(connector=self.connector, **kwargs)  # type: ignore[misc,no-any-return]

    def audit(self, action: str, **facts: Any) -> None:
        audit.record(
            self.connector.workspace, f"connector.{action}", request=self.request, object_id=self.connector.pk,
            label=self.connector.label, **facts,
        )  # fmt: skip

    def back(self, sentence: str) -> HttpResponse:
        messages.success(self.request, sentence)
        return redirect("connectors:detail", pk=self.connector.pk)


class ConnectorList(WorkspaceMixin, TemplateView):
    template_name = "connectors/list.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        connectors = list(queries.with_figures(queries.in_use(self.workspace)))
        for connector in connectors:
            connector.state = queries.state_of(connector)  # type: ignore[attr-defined]
        plan = lifecycle.plan_of(self.workspace)
        return super().get_context_data(
            connectors=connectors, max_connectors=plan.max_connectors, has_room=len(connectors) < plan.max_connectors,
            may_trade=self.membership.may_trade, **kwargs,
        )  # fmt: skip


class NewConnector(WorkspaceMixin, TemplateView):
    """Choose: a paper account in one step, or keys of one's own."""

    template_name = "connectors/new.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(form=kwargs.pop("form", None) or PaperAccountForm(), **kwargs)


class OpenPaperAccount(NewConnector):
    def post(self, request: HttpRequest) -> HttpResponse:
        form = PaperAccountForm(request.POST)
        if not form.is_valid():
            return self.render_to_response(self.get_context_data(form=form), status=422)
        data = form.cleaned_data
        try:
            # Before the paper exchange is asked: an account nobody can use would stay there.
            lifecycle.require_room(self.workspace)
            credentials = open_account(Market(data["market"]))
            label = data["label"] or self._free_label()
            new = lifecycle.NewConnector(label, data["market"], Environment.PAPER, data["source"])
            return _created(self, new, credentials)
        except lifecycle.ConnectorLimitError as error:
            form.add_error(None, _coded(error.code, error.sentence))
        except PaperUnavailableError:
            form.add_error(
                None,
                _coded(
                    "PAPER_UNAVAILABLE",
                    "The paper exchange did not answer. Nothing was created. Try again in a minute.",
                ),
            )
        return self.render_to_response(self.get_context_data(form=form), status=422)

    def _free_label(self) -> str:
        """Return a name that no other connector has: it tells on every alert which account is meant."""
        taken = set(queries.in_use(self.workspace).values_list("label", flat=True))
        names = chain(["Paper account"], (f"Paper account {number}" for number in count(2)))
        return next(name for name in names if name not in taken)


class NewWithKeys(WorkspaceMixin, FormView):
    """A connector from keys typed in. Live keys ask first who it is, and for two-factor login."""

    template_name = "connectors/new_keys.html"
    form_class = NewConnectorForm

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if kwargs["environment"] not in Environment.values or kwargs["market"] not in {
            market.value for market in Market
        }:
            raise Http404
        return super().dispatch(request, *args, **kwargs)

    @property
    def is_live(self) -> bool:
        return bool(self.kwargs["environment"] == Environment.LIVE)

    @property
    def lacks_two_factor(self) -> bool:
        return self.is_live and not is_mfa_enabled(self.request.user)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if self.is_live and not self.lacks_two_factor and not stepup.is_confirmed(request):
            return stepup.ask(request, request.get_full_path())
        return super().get(request, *args, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if self.lacks_two_factor:
            return self.render_to_response(self.get_context_data(), status=403)
        if self.is_live and not stepup.is_confirmed(request):
            messages.warning(request, "Nothing was stored: please confirm that it is you, then enter the key again.")
            return stepup.ask(request, request.get_full_path())
        return super().post(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            is_live=self.is_live, is_spot=self.kwargs["market"] == Market.SPOT,
            market_label=dict(MARKETS)[self.kwargs["market"]],
            lacks_two_factor=self.lacks_two_factor, **kwargs,
        )  # fmt: skip

    def form_valid(self, form: NewConnectorForm) -> HttpResponse:
        data = form.cleaned_data
        new = lifecycle.NewConnector(data["label"], self.kwargs["market"], self.kwargs["environment"], data["source"])
        try:
            return _created(self, new, form.credentials())
        except lifecycle.ConnectorLimitError as error:
            form.add_error(None, _coded(error.code, error.sentence))
            return self.form_invalid(form)

    def form_invalid(self, form: NewConnectorForm) -> HttpResponse:
        return self.render_to_response(self.get_context_data(form=form), status=422)


class MovingMixin(WorkspaceMixin, OneConnectorMixin):
    def moving(self) -> dict[str, Any]:
        """Return what changes on the connector's page by itself."""
        return {
            "figures": queries.with_figures(queries.in_use(self.workspace)).get(pk=self.connector.pk),
            "state": queries.state_of(self.connector),
            "positions": queries.open_positions(self.connector),
            "last_alert_at": queries.last_alert_at(self.connector),
            "is_checking": self.connector.check_status == CheckStatus.RUNNING,
        }


class ConnectorDetail(MovingMixin, TemplateView):
    template_name = "connectors/detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        pointer = pointers.current(self.connector)
        text = self._text_of(pointer)
        return super().get_context_data(
            pointer=pointer,
            pointer_text=text,
            old_pointers=self._old_pointers(pointer),
            messages_to_paste=self._messages(pointer, text),
            webhook_url=f"{settings.SITE_URL}/webhook",
            tradingview_addresses=TRADINGVIEW_ADDRESSES,
            trendspider_address=TRENDSPIDER_ADDRESS,
            twins=lifecycle.twins(self.connector),
            crowded_at=queries.crowded_at(self.connector),
            may_trade=self.membership.may_trade,
            confirm_url=f"{reverse('account_reauthenticate')}?{urlencode({'next': self.request.path})}",
            **self.moving(),
            **kwargs,
        )

    def _text_of(self, pointer: Pointer | None) -> str:
        """Return the pointer, or "" for those who may not read it: viewers, and on live anyone not just confirmed."""
        if pointer is None or not self.membership.may_trade:
            return ""
        if not self.connector.is_paper and not stepup.is_confirmed(self.request):
            return ""
        return pointers.reveal(pointer)

    def _messages(self, pointer: Pointer | None, text: str) -> tuple[Paste, ...]:
        if pointer is None or not text:
            return ()
        return messages_to_paste(text, source=pointer.source, market=self.connector.market)

    def _old_pointers(self, pointer: Pointer | None) -> list[Pointer]:
        rows = self.connector.pointers.exclude(pk=pointer.pk) if pointer else self.connector.pointers.all()
        return [row for row in rows.order_by("-created_at")[:20] if row.is_live]


class Findings(MovingMixin, View):
    """The check's result and what moves with it, alone, for polling. What is as it was is answered with 304."""

    def get(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponseBase:
        html = render_to_string("connectors/_moving.html", {"connector": self.connector, **self.moving()}, request)
        return tagged(request, html)


class ConnectorSettings(WorkspaceMixin, OneConnectorMixin, UpdateView):
    template_name = "connectors/settings.html"
    form_class = ConnectorSettingsForm

    def get_object(self, queryset: Any = None) -> Connector:
        # A row of its own: the form writes into it before the old values are compared.
        row: Connector = self.own(Connector, self.connector.pk)
        return row

    def get_initial(self) -> dict[str, Any]:
        """Values that a confirmation in between carried along stand in the form again, still to be saved."""
        if self.request.method != "GET":
            return {}
        names = ConnectorSettingsForm.Meta.fields
        return {name: self.request.GET[name] for name in names if name in self.request.GET}

    def form_valid(self, form: Any) -> HttpResponse:
        if form.raises_a_limit(self.connector) and not stepup.is_confirmed(self.request):
            kept = {name: self.request.POST.get(name, "") for name in form.fields}
            messages.warning(self.request, "Raising a limit: confirm that it is you, then press Save again.")
            return stepup.ask(self.request, f"{self.request.path}?{urlencode(kept)}")
        form.save()
        changed = {name: str(form.cleaned_data[name]) for name in form.changed_data if name in form.cleaned_data}
        self.audit("settings_changed", changed=changed)
        return self.back("Settings saved.")

    def form_invalid(self, form: Any) -> HttpResponse:
        return self.render_to_response(self.get_context_data(form=form), status=422)


class ReplaceCredentials(WorkspaceMixin, OneConnectorMixin, stepup.StepUpMixin, FormView):
    template_name = "connectors/credentials.html"
    form_class = KeysForm

    def form_valid(self, form: KeysForm) -> HttpResponse:
        lifecycle.replace_credentials(self.connector, form.credentials())
        self.audit("credentials_replaced", access_key=self.connector.access_key_hint)
        return self.back("The new key is stored and being checked.")

    def form_invalid(self, form: KeysForm) -> HttpResponse:
        return self.render_to_response(self.get_context_data(form=form), status=422)


class RotatePointer(WorkspaceMixin, OneConnectorMixin, stepup.StepUpMixin, FormView):
    template_name = "connectors/rotate.html"
    form_class = RotateForm

    def form_valid(self, form: RotateForm) -> HttpResponse:
        hours = form.cleaned_data["overlap_hours"]
        pointer = pointers.rotate(self.connector, overlap_hours=hours)
        self.audit("pointer_rotated", overlap_hours=hours, last4=pointer.last4)
        return self.back(
            f"New pointer made. The old one stops working {OVERLAP_WORDS[hours]}: paste the new message before then."
        )


class CheckNow(WorkspaceMixin, OneConnectorMixin, View):
    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        lifecycle.request_check(self.connector)
        self.audit("check_requested")
        return redirect("connectors:detail", pk=pk)


class Pause(WorkspaceMixin, OneConnectorMixin, View):
    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        if lifecycle.pause(self.connector):
            self.audit("paused")
        return self.back(
            f"Paused: '{self.connector.label}' takes no new positions. Exits still work, open positions stay open."
        )


class Resume(WorkspaceMixin, OneConnectorMixin, View):
    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        if lifecycle.resume(self.connector):
            self.audit("resumed")
        return self.back(f"Resumed: '{self.connector.label}' takes new positions again.")


class DeleteConnector(WorkspaceMixin, OneConnectorMixin, stepup.StepUpMixin, FormView):
    template_name = "connectors/delete.html"
    form_class = DeleteForm

    def get_form_kwargs(self) -> dict[str, Any]:
        self.positions = queries.open_positions(self.connector)
        self.orders = queries.live_orders(self.connector)
        return {
            **super().get_form_kwargs(),
            "connector": self.connector,
            "has_open": bool(self.positions or self.orders),
        }

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        may_trade = self.membership.may_trade
        return {**context, "positions": self.positions, "orders": self.orders, "may_trade": may_trade}

    def form_valid(self, form: DeleteForm) -> HttpResponse:
        if not lifecycle.delete(self.connector, leaves_open="acknowledge" in form.cleaned_data):
            # Opened since the form was looked at: asked again, by what is open now.
            return self.form_invalid(self.get_form())
        self.audit("deleted", open_positions=len(self.positions), live_orders=len(self.orders))
        messages.success(
            self.request,
            f"'{self.connector.label}' is deleted: its key is erased and its pointers are dead. "
            "Delete the API key at BitMart too.",
        )
        return redirect("connectors:list")

    def form_invalid(self, form: DeleteForm) -> HttpResponse:
        return self.render_to_response(self.get_context_data(form=form), status=422)


def _created(view: WorkspaceMixin, new: lifecycle.NewConnector, credentials: Credentials) -> HttpResponse:
    connector = lifecycle.create(view.workspace, new, credentials)
    audit.record(
        view.workspace, "connector.created", request=view.request, object_id=connector.pk,
        label=connector.label, market=connector.market, environment=connector.environment,
    )  # fmt: skip
    messages.success(
        view.request, f"'{connector.label}' is stored and being checked. Next: paste its message into an alert."
    )
    return redirect("connectors:detail", pk=connector.pk)


def _coded(code: str, sentence: str) -> str:
    return f"{code}: {sentence}"
