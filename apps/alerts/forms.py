from typing import Any

from django import forms
from django.db.models import QuerySet

from apps.accounts.models import Workspace
from apps.alerts.models import Alert, AlertStatus
from apps.connectors.models import Connector
from apps.lib.day_filter import DayFilterForm

_CHOICES = [(value, "order placed" if value == AlertStatus.EXECUTED else label) for value, label in AlertStatus.choices]


class AlertFilterForm(DayFilterForm):
    """What to show of the alerts; an unreadable value is said and left out."""

    status = forms.ChoiceField(label="Result", required=False, choices=[("", "Any"), *_CHOICES])
    connector = forms.ModelChoiceField(
        label="Connector", required=False, queryset=Connector.unscoped.none(), empty_label="Any"
    )
    symbol = forms.CharField(
        label="Symbol", required=False, max_length=40, widget=forms.TextInput(attrs={"data-filter": ""})
    )
    field_order = ("status", "connector", "symbol", "since", "until")

    def __init__(self, *args: Any, workspace: Workspace, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["connector"].queryset = Connector.objects.for_workspace(workspace).order_by("label")  # type: ignore[attr-defined]

    def apply(self, rows: QuerySet[Alert]) -> QuerySet[Alert]:
        data = self.readable()
        if data.get("status"):
            rows = rows.filter(status=data["status"])
        if data.get("connector"):
            rows = rows.filter(connector=data["connector"])
        if data.get("symbol"):
            rows = rows.filter(symbol__icontains=data["symbol"].strip())
        return self.within_days(rows, "received_at")
