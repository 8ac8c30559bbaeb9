from typing import Any

from django import forms


class SettleForm(forms.Form):
    """What a person found when looking for an order at the exchange."""

    NOT_PLACED, PLACED = "not_placed", "placed"

    found = forms.ChoiceField(
        label="I looked at BitMart, and",
        choices=[(NOT_PLACED, "the order is not there and nothing of it was filled"), (PLACED, "the order is there")],
        widget=forms.RadioSelect,
    )
    exchange_order_id = forms.CharField(
        label="BitMart's order id",
        required=False,
        max_length=40,
        help_text="Digits, copied from the order there. Only when you found it.",
    )

    def clean_exchange_order_id(self) -> str:
        text = str(self.cleaned_data["exchange_order_id"]).strip()
        if text and not (text.isascii() and text.isdigit()):
            raise forms.ValidationError("An id of BitMart is digits only.", code="ORDER_ID_SHAPE")
        return text

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if data.get("found") == self.PLACED and not data.get("exchange_order_id") and not self.errors:
            self.add_error("exchange_order_id", "Copy the order's id from BitMart.")
        return data
