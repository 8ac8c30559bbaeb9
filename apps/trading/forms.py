from typing import Any

from django import forms
from django.db.models import QuerySet

from apps.accounts.models import Workspace
from apps.connectors.models import Connector
from apps.lib.day_filter import DayFilterForm
from apps.trading.models import Order, OrderState


class OrderFilterForm(DayFilterForm):
    """What to show of the orders; an unreadable value is said and left out."""

    state = forms.ChoiceField(label="State", required=False, choices=[("", "Any"), *OrderState.choices])
    connector = forms.ModelChoiceField(
        label="Connector", required=False, queryset=Connector.unscoped.none(), empty_label="Any"
    )
    symbol = forms.CharField(
        label="Symbol", required=False, max_length=40, widget=forms.TextInput(attrs={"data-filter": ""})
    )
    field_order = ("state", "connector", "symbol", "since", "until")

    def __init__(self, *args: Any, workspace: Workspace, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["connector"].queryset = Connector.objects.for_workspace(workspace).order_by("label")  # type: ignore[attr-defined]

    def apply(self, rows: QuerySet[Order]) -> QuerySet[Order]:
        data = self.readable()
        if data.get("state"):
            rows = rows.filter(state=data["state"])
        if data.get("connector"):
            rows = rows.filter(connector=data["connector"])
        if data.get("symbol"):
            rows = rows.filter(symbol__icontains=data["symbol"].strip())
        return self.within_days(rows, "created_at")
