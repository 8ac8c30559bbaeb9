"""An alert run again against its frozen inputs, in the browser. A question, so it is asked with GET; it never sends."""

from typing import Any

from django import forms
from django.views.generic import TemplateView

from apps.accounts.access import WorkspaceMixin
from apps.alerts.models import Alert
from apps.connectors.exchange import MarginMode, Market
from apps.connectors.policies import ExitExcess, Mismatch
from apps.lib.frozen import ThawError
from apps.trading.inputs import Inputs
from apps.trading.models import PlanRecord
from apps.trading.outline import Outline
from apps.trading.records import inputs_in, outline_in
from apps.trading.replaying import Replay, replay, settings_in


class ReplayForm(forms.Form):
    """The settings the decision was made with, to be changed. An empty limit leaves it as it was."""

    exit_excess = forms.ChoiceField(label="An exit larger than the position", choices=ExitExcess.choices)
    mismatch = forms.ChoiceField(label="The alert and the account disagree", choices=Mismatch.choices)
    max_order_notional = forms.DecimalField(label="Most for one order", min_value=0, max_digits=20, required=False)
    max_open_notional = forms.DecimalField(label="Most open at once", min_value=0, max_digits=20, required=False)
    max_orders_per_minute = forms.IntegerField(label="Most orders in a minute", min_value=0, required=False)
    max_lag_s = forms.IntegerField(label="Max lag (seconds)", min_value=0, max_value=10**6, required=False)
    leverage = forms.DecimalField(label="Leverage", min_value=1, max_value=1000, required=False)
    margin_mode = forms.ChoiceField(
        label="Margin mode", choices=[(mode.value, mode.value) for mode in MarginMode], required=False
    )

    def __init__(self, data: Any, *, was: dict[str, str], is_spot: bool) -> None:
        asked = {name: data.get(name, value) for name, value in was.items()} if data else was
        super().__init__(asked)
        self._was = was
        if is_spot:
            del self.fields["leverage"], self.fields["margin_mode"]

    def changes(self) -> dict[str, str]:
        """Return what differs from what was; {} also when the form is wrong."""
        if not self.is_valid():
            return {}
        found = {name: str(value) for name, value in self.cleaned_data.items() if value not in (None, "")}
        return {name: text for name, text in found.items() if text != self._was[name]}


class ReplayPage(WorkspaceMixin, TemplateView):
    template_name = "alerts/replay.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        alert: Alert = self.own(Alert, self.kwargs["pk"])
        record = PlanRecord.objects.for_workspace(self.workspace).filter(origin_id=alert.pk).first()
        read = _read(record) if record is not None else None
        if record is None or read is None:
            return super().get_context_data(alert=alert, record=record, **kwargs)
        inputs, before = read
        form = ReplayForm(self.request.GET, was=settings_in(inputs), is_spot=alert.connector.market == Market.SPOT)
        changes = form.changes()
        found: Replay = replay(inputs, before, changes=changes)
        return super().get_context_data(
            alert=alert, record=record, inputs=inputs, form=form, replay=found, changes=changes, **kwargs
        )


def _read(record: PlanRecord) -> tuple[Inputs, Outline] | None:
    try:
        return inputs_in(record), outline_in(record)
    except ThawError:
        return None
