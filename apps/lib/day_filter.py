from datetime import datetime, time, timedelta, tzinfo
from typing import Any, TypeVar
from urllib.parse import urlencode

from django import forms
from django.db.models import Model, QuerySet

from apps.lib import world

ModelT = TypeVar("ModelT", bound=Model)


def start_of_today(zone: tzinfo) -> datetime:
    return world.now().astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)


class DayFilterForm(forms.Form):
    """A list's filter, kept in the URL. Days are those of `zone`, both included."""

    since = forms.DateField(label="From", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label="To", required=False, widget=forms.DateInput(attrs={"type": "date"}))

    def __init__(self, *args: Any, zone: tzinfo, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.zone = zone

    def readable(self) -> dict[str, Any]:
        """Return the values that could be read; the others are shown with their error and filter nothing."""
        self.is_valid()
        return self.cleaned_data

    @property
    def is_filtering(self) -> bool:
        return any(self.readable().values())

    def within_days(self, rows: QuerySet[ModelT], field: str) -> QuerySet[ModelT]:
        data = self.readable()
        if data.get("since"):
            first = datetime.combine(data["since"], time.min, tzinfo=self.zone)
            rows = rows.filter(**{f"{field}__gte": first})
        if data.get("until") and data["until"].year < 9999:
            after = datetime.combine(data["until"] + timedelta(days=1), time.min, tzinfo=self.zone)
            rows = rows.filter(**{f"{field}__lt": after})
        return rows

    def query(self) -> str:
        """Return the filter as a query string, without a page."""
        return urlencode({name: value for name, value in self.data.items() if name != "before" and value})
