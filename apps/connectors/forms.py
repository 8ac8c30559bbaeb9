import re
from decimal import Decimal
from typing import Any

from django import forms

from apps.connectors import instruments, risk_settings
from apps.connectors.exchange import Credentials, Market
from apps.connectors.lifecycle import plan_of
from apps.connectors.models import MARKETS, Connector, Pointer
from apps.connectors.pointers import OVERLAPS
from apps.connectors.symbols import UnknownSymbolError, resolve
from apps.lib.decimals import normalize_text

MOST_NOTIONAL = Decimal(10) ** 9
MOST_LEVERAGE = 125
LIMITS = ("max_order_notional", "max_open_notional", "max_orders_per_minute")


class SecretField(forms.CharField):
    """A part of a key: never sent back to the browser, refused when white space was pasted with it, never altered."""

    def __init__(self, *, what: str, inner_space: bool, **options: Any) -> None:
        self.what = what
        self.inner_space = inner_space
        widget = forms.PasswordInput(
            render_value=False, attrs={"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"}
        )
        super().__init__(strip=False, max_length=200, widget=widget, **options)

    def clean(self, value: Any) -> str:
        text: str = super().clean(value)
        if text != text.strip():
            where = "start" if text != text.lstrip() else "end"
            raise forms.ValidationError(
                f"There is a space or a line break at the {where} of the {self.what}. Paste it again without it. "
                "Nothing was stored.",
                code="WHITE_SPACE",
            )
        if not self.inner_space and any(character.isspace() for character in text):
            raise forms.ValidationError(
                f"There is a space inside the {self.what}; BitMart's have none. Copy it again. Nothing was stored.",
                code="WHITE_SPACE",
            )
        if not (text.isascii() and text.isprintable()):
            raise forms.ValidationError(
                f"The {self.what} has a character that BitMart does not use. Copy it again. Nothing was stored.",
                code="BAD_CHARACTER",
            )
        return text


class KeysForm(forms.Form):
    """The three parts of a key, in BitMart's words."""

    access_key = SecretField(
        what="access key",
        inner_space=False,
        label="Access key",
        help_text="“Access Key” in BitMart's list of keys.",
    )
    secret_key = SecretField(
        what="secret key",
        inner_space=False,
        label="Secret key",
        help_text="Shown once, when the key was created.",
    )
    memo = SecretField(
        what="memo", inner_space=True, label="Memo (the text you typed when creating the key)",
        help_text="Not a password: the name you gave the key. Letter case counts.",
    )  # fmt: skip

    def credentials(self) -> Credentials:
        data = self.cleaned_data
        return Credentials(data["access_key"], data["secret_key"], data["memo"])


class NameForm(forms.Form):
    label = forms.CharField(
        label="Name", max_length=80, help_text="Yours to choose: it stands on every alert and order of this connector."
    )
    source = forms.ChoiceField(
        label="Alerts come from", choices=Pointer.Source.choices, initial=Pointer.Source.TRADINGVIEW,
        help_text="Sets one default: an exit larger than the position reverses for TradingView and only closes for "
        "TrendSpider. You can change it later.",
    )  # fmt: skip


class NewConnectorForm(KeysForm, NameForm):
    field_order = ("label", "source", "access_key", "secret_key", "memo")


class PaperAccountForm(NameForm):
    market = forms.ChoiceField(label="Market", choices=MARKETS, initial=Market.FUTURES.value)
    field_order = ("market", "label", "source")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["label"].required = False
        self.fields["label"].help_text = ""


class ConnectorSettingsForm(forms.ModelForm):
    allowed_symbols = forms.CharField(
        required=False,
        max_length=4000,
        label=risk_settings.LABELS["allowed_symbols"],
        help_text=risk_settings.HELP_TEXTS["allowed_symbols"],
    )

    class Meta:
        model = Connector
        fields = (
            "label", "exit_excess", "mismatch", "suspected_duplicate", "external_trades", "unprotected", "max_lag_s",
            "strict_json", "usd_means_usdt", *LIMITS, *risk_settings.NAMES, "leverage",
            "margin_mode", *risk_settings.FUTURES_NAMES,
        )  # fmt: skip
        labels = {
            "label": "Name",
            "exit_excess": "An exit larger than the position",
            "mismatch": "The alert and the account disagree about the position",
            "suspected_duplicate": "Two identical alerts within seconds",
            "external_trades": "Trades that were not made here",
            "unprotected": "A stop that could not be placed",
            "max_lag_s": "Max lag (seconds)",
            "strict_json": "Strict JSON: refuse messages that need a repair",
            "usd_means_usdt": "Read a USD ticker as USDT",
            "max_order_notional": "Most for one order (USDT)",
            "max_open_notional": "Most open at once (USDT)",
            "max_orders_per_minute": "Most orders in a minute",
            "leverage": "Leverage",
            "margin_mode": "Margin mode",
            **risk_settings.LABELS,
        }
        help_texts = {
            "label": "",
            "exit_excess": "TradingView sends a reversal as one large order: close 5 and open 5 the other way is 10. "
            "Choose “close only” when you type the size of exits by hand.",
            "mismatch": "For example: the alert says the strategy was long, the account holds nothing.",
            "suspected_duplicate": "The same text again within 4 seconds, without an id. This is about entries: an "
            "exit always runs, as it cannot close more than is held.",
            "external_trades": "You trade by hand, or the exchange liquidates: our fills no longer add up to what the "
            "account holds. Nothing is ever traded to repair it by itself.",
            "unprotected": "When a stop loss or trailing stop is not at the exchange 10 seconds after the first fill. "
            "You are told in any case.",
            "max_lag_s": "An entry whose own time is older is not traded. Exits are not refused for age alone.",
            "strict_json": "Off: curly quotes, missing commas and the like are repaired, and the alert says so.",
            "usd_means_usdt": "On: BTCUSD in a message is read as BTCUSDT. Off: it is refused.",
            "leverage": "Set at the exchange before an entry, only while no position is open in that symbol.",
            "margin_mode": "Isolated: a position can lose its own margin only. Cross: all of the futures balance.",
            **risk_settings.HELP_TEXTS,
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        plan = plan_of(self.instance.workspace)
        for name in LIMITS:
            default = normalize_text(Decimal(getattr(plan, name)))
            self.fields[name].help_text = f"Empty: your plan's {default}."
        for name in self.fields:
            value = self.initial.get(name)
            if isinstance(value, Decimal):
                self.initial[name] = Decimal(normalize_text(value))
            if isinstance(self.fields[name], forms.IntegerField):  # DecimalField too
                _judge_as_typed(self.fields[name])
        symbols = self.initial.get("allowed_symbols")
        if isinstance(symbols, list):
            self.initial["allowed_symbols"] = ", ".join(symbols)
        if self.instance.market == Market.SPOT:
            # Nothing is sold short there.
            for name in ("leverage", "margin_mode", "direction", "unprotected", *risk_settings.FUTURES_NAMES):
                del self.fields[name]

    def clean_max_lag_s(self) -> int:
        return _within(self.cleaned_data["max_lag_s"], 5, 86400, "seconds")

    def clean_max_orders_per_minute(self) -> int | None:
        value = self.cleaned_data["max_orders_per_minute"]
        return None if value is None else _within(value, 1, 1000, "orders")

    def clean_max_order_notional(self) -> Decimal | None:
        return self._amount("max_order_notional")

    def clean_max_open_notional(self) -> Decimal | None:
        return self._amount("max_open_notional")

    def clean_leverage(self) -> Decimal:
        value: Decimal = self.cleaned_data["leverage"]
        if not 1 <= value <= MOST_LEVERAGE:
            raise forms.ValidationError(
                f"Found {normalize_text(value)}; accepted: 1 to {MOST_LEVERAGE}. Many symbols allow less.",
                code="LEVERAGE_RANGE",
            )
        return value

    def clean_allowed_symbols(self) -> list[str]:
        """Return the symbols as the market lists them; a name that is not listed would never match an alert."""
        market = Market(self.instance.market)
        listed = instruments.listing(self.instance.environment, self.instance.market)
        found: list[str] = []
        for ticker in re.split(r"[\s,;]+", self.cleaned_data["allowed_symbols"].strip(" ,;")):
            if not ticker:
                continue
            try:
                found.append(resolve(ticker, market=market, listing=listed, usd_means_usdt=False, aliases={}).symbol)
            except UnknownSymbolError as error:
                nearest = f" Nearest: {', '.join(error.nearest)}." if error.nearest else ""
                raise forms.ValidationError(
                    f"'{error.found}' is not a symbol of this market.{nearest} Nothing was saved.", code=error.code
                ) from error
        if len(found) > risk_settings.MOST_SYMBOLS:
            raise forms.ValidationError(
                f"Found {len(found)} symbols; accepted: up to {risk_settings.MOST_SYMBOLS}. Leave it empty for all.",
                code="TOO_MANY_SYMBOLS",
            )
        return list(dict.fromkeys(found))

    def clean_max_daily_loss(self) -> Decimal | None:
        return self._amount("max_daily_loss")

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        for name, (least, most, unit) in risk_settings.RANGES.items():
            value = data.get(name)
            if value is not None and not least <= value <= most:
                accepted = f"{normalize_text(least)} to {normalize_text(most)} {unit}"
                shown = normalize_text(Decimal(value))
                self.add_error(
                    name, forms.ValidationError(f"Found {shown}; accepted: {accepted}.", code="OUT_OF_RANGE")
                )
        return data

    def raises_a_limit(self, before: Connector) -> bool:
        """True when the cleaned form allows more than `before`, an empty limit standing for the plan's."""
        if risk_settings.is_looser(before, self.cleaned_data):
            return True
        plan = plan_of(before.workspace)
        for name in LIMITS:
            old, new = getattr(before, name), self.cleaned_data[name]
            if (getattr(plan, name) if new is None else new) > (getattr(plan, name) if old is None else old):
                return True
        return bool("leverage" in self.cleaned_data and self.cleaned_data["leverage"] > before.leverage)

    def _amount(self, name: str) -> Decimal | None:
        value: Decimal | None = self.cleaned_data[name]
        if value is not None and not 0 < value <= MOST_NOTIONAL:
            raise forms.ValidationError(
                f"Found {normalize_text(value)}; accepted: more than 0, up to {normalize_text(MOST_NOTIONAL)} USDT. "
                f"Leave it empty for {'your plan’s' if name in LIMITS else 'no'} limit.",
                code="LIMIT_RANGE",
            )
        return value


OVERLAP_WORDS = {0: "at once", 1: "after 1 hour", 24: "after 24 hours"}


class RotateForm(forms.Form):
    overlap_hours = forms.TypedChoiceField(
        label="The old pointer stops working",
        choices=[(hours, OVERLAP_WORDS[hours]) for hours in OVERLAPS],
        coerce=int,
        initial=24,
        widget=forms.RadioSelect,
        help_text="During the overlap both work, so that you can paste the new one into each alert.",
    )


class DeleteForm(forms.Form):
    label = forms.CharField(label="Type the name of the connector to confirm", strip=True)
    acknowledge = forms.BooleanField(
        label="I know that these positions and orders stay open at the exchange and that nothing here will close them",
        required=False,
    )

    def __init__(self, *args: Any, connector: Connector, has_open: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connector = connector
        self.fields["label"].widget.attrs["autocomplete"] = "off"
        if has_open:
            self.fields["acknowledge"].required = True
            self.fields["acknowledge"].error_messages["required"] = (
                "Positions or orders are open: close them first, or tick this box. Nothing was deleted."
            )
        else:
            del self.fields["acknowledge"]

    def clean_label(self) -> str:
        typed: str = self.cleaned_data["label"]
        if typed != self.connector.label.strip():
            raise forms.ValidationError(
                f"That is not the name. Type “{self.connector.label}” exactly. Nothing was deleted.",
                code="NAME_DIFFERS",
            )
        return typed


def _judge_as_typed(field: forms.Field) -> None:
    """Draw a number as text: of a number input that it cannot read a browser sends "", which takes a limit away."""
    keys = "decimal" if isinstance(field, forms.DecimalField) else "numeric"
    field.widget = forms.TextInput(attrs={"inputmode": keys, "autocomplete": "off"})
    field.error_messages["invalid"] = "This is not a number. Type digits only, such as 600: no unit, no comma."


def _within(value: int, least: int, most: int, unit: str) -> int:
    if not least <= value <= most:
        raise forms.ValidationError(f"Found {value}; accepted: {least} to {most} {unit}.", code="OUT_OF_RANGE")
    return value
