import uuid
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.generic import FormView, View

from apps.accounts.access import WorkspaceMixin
from apps.connectors import aliases
from apps.connectors.models import SymbolAlias
from apps.connectors.symbols import MAX_TICKER
from apps.connectors.views import OneConnectorMixin


class AliasForm(forms.Form):
    ticker = forms.CharField(
        label="Ticker in the alert", max_length=MAX_TICKER, help_text="As your chart names it, for example XAUUSD."
    )
    symbol = forms.CharField(label="Symbol to trade", max_length=40, help_text="As the exchange lists it.")


class RemoveForm(forms.Form):
    alias = forms.UUIDField()


class Aliases(WorkspaceMixin, OneConnectorMixin, FormView):
    """The connector's aliases, and one more."""

    template_name = "connectors/aliases.html"
    form_class = AliasForm

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        rows = SymbolAlias.objects.for_workspace(self.workspace).filter(connector=self.connector).order_by("ticker")
        return super().get_context_data(
            aliases=list(rows), may_trade=self.membership.may_trade, most=aliases.MOST, **kwargs
        )

    def form_valid(self, form: AliasForm) -> HttpResponse:
        try:
            alias = aliases.add(self.connector, **form.cleaned_data)
        except aliases.AliasError as error:
            form.add_error(error.field, str(error))
            return self.form_invalid(form)
        self.audit("alias_set", ticker=alias.ticker, symbol=alias.symbol)
        messages.success(self.request, f"'{alias.ticker}' in an alert now trades {alias.symbol}.")
        return redirect("connectors:aliases", pk=self.connector.pk)

    def form_invalid(self, form: AliasForm) -> HttpResponse:
        return self.render_to_response(self.get_context_data(form=form), status=422)


class RemoveAlias(WorkspaceMixin, OneConnectorMixin, View):
    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        form = RemoveForm(request.POST)
        alias = aliases.remove(self.connector, form.cleaned_data["alias"]) if form.is_valid() else None
        if alias is not None:
            self.audit("alias_removed", ticker=alias.ticker, symbol=alias.symbol)
            messages.success(request, f"Removed: '{alias.ticker}' trades nothing any more.")
        return redirect("connectors:aliases", pk=pk)
