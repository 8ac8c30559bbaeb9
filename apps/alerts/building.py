"""The message builder: choices to a message to paste, read back by the same parser that will read the alert."""

import json
import re
import shlex
from dataclasses import dataclass
from typing import Any

from django import forms
from django.conf import settings

from apps.alerts.keys import NOT_EXECUTED
from apps.alerts.payload import Item, parse
from apps.connectors.exchange import Market
from apps.connectors.message import close_all_message, standard_message, trendspider_message
from apps.connectors.models import Connector, Pointer
from apps.connectors.pasting import Paste
from apps.trading.signal import QuantityType

STRATEGY, INDICATOR, TRENDSPIDER, CLOSE_ALL, CANCEL = "strategy", "indicator", "trendspider", "close_all", "cancel"
_KINDS = {
    STRATEGY: "TradingView strategy",
    INDICATOR: "TradingView indicator or price",
    TRENDSPIDER: "TrendSpider",
    CLOSE_ALL: "Close everything in the symbol",
    CANCEL: "Take back open orders of the symbol",
}
# move -> action, previous position
_MOVES = {
    "enter_long": ("buy", "flat"),
    "exit_long": ("sell", "long"),
    "enter_short": ("sell", "flat"),
    "exit_short": ("buy", "short"),
}
_MOVE_WORDS = {
    "enter_long": "enter long",
    "exit_long": "exit long",
    "enter_short": "enter short",
    "exit_short": "exit short",
}
_AMOUNTS = {
    QuantityType.BASE: "coins",
    QuantityType.CONTRACTS: "contracts",
    QuantityType.QUOTE: "USDT, the position's value",
    QuantityType.MARGIN: "USDT, the margin put up (value = margin × leverage)",
    QuantityType.PERCENT_EQUITY: "% of equity",
    QuantityType.PERCENT_BALANCE: "% of free balance",
    QuantityType.PERCENT_POSITION: "% of the open position",
    QuantityType.RISK_PERCENT: "% of equity lost at the stop loss, before fees",
}
_NOT_ON_SPOT = {QuantityType.CONTRACTS, QuantityType.MARGIN}
_UNITS = (("percent", "% from the entry"), ("price", "price"))
# What stands for the placeholders when the message is read back. Prices are put on the side where they belong.
_SAMPLE_PRICE = "60000"
_SAMPLES = {
    "ticker": "BTCUSDT",
    "action": "buy",
    "prev_position": "flat",
    "quantity": "0.01",
    "market_position": "long",
    "market_position_size": "0.01",
    "prev_market_position_size": "0",
    "time": "2026-01-31T15:04:05Z",
    "id": "sample",
    "signal_price": _SAMPLE_PRICE,
    "limit_price": _SAMPLE_PRICE,
}
_PLACEHOLDER = re.compile(r"\{\{[^{}]*\}\}|%[a-z_]+%")


class BuilderForm(forms.Form):
    """Offers what is carried out today, and what the connector's market has."""

    kind = forms.ChoiceField(label="Sent by")
    move = forms.ChoiceField(label="What it does", help_text="A strategy's alert covers every move.", required=False)
    ticker = forms.CharField(label="Ticker", max_length=40, required=False, help_text="Empty: the chart's own.")
    quantity = forms.CharField(
        label="Size", max_length=30, required=False, help_text="Empty in a strategy: the size of its order."
    )
    quantity_type = forms.ChoiceField(label="Counted in", required=False)
    order_type = forms.ChoiceField(label="Order", choices=(("market", "market"), ("limit", "limit")), required=False)
    limit_price = forms.CharField(
        label="Limit price", max_length=40, required=False, help_text="Empty: the chart's price."
    )
    take_profit = forms.CharField(label="Take profit", max_length=40, required=False)
    take_profit_unit = forms.ChoiceField(label="Take profit is a", choices=_UNITS, required=False)
    stop_loss = forms.CharField(label="Stop loss", max_length=40, required=False)
    stop_loss_unit = forms.ChoiceField(label="Stop loss is a", choices=_UNITS, required=False)
    trailing_stop = forms.CharField(label="Trailing stop, %", max_length=20, required=False)
    leverage = forms.CharField(
        label="Leverage", max_length=5, required=False, help_text="Empty: as set on the connector."
    )
    margin_mode = forms.ChoiceField(
        label="Margin", choices=(("", "as set"), ("isolated", "isolated"), ("cross", "cross")), required=False
    )
    cancel = forms.BooleanField(label="Take back open orders of the symbol first", required=False)
    test = forms.BooleanField(label="Test: read it, send nothing", required=False)

    prefix = "m"

    def __init__(self, *args: Any, connector: Connector, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        is_spot = connector.market == Market.SPOT
        kinds = [(kind, word) for kind, word in _KINDS.items() if kind != CANCEL or "cancel" not in NOT_EXECUTED]
        moves = [(move, word) for move, word in _MOVE_WORDS.items() if not (is_spot and "short" in move)]
        amounts = [(str(kind), word) for kind, word in _AMOUNTS.items() if not (is_spot and kind in _NOT_ON_SPOT)]
        self._choices("kind", kinds)
        self._choices("move", moves)
        self._choices("quantity_type", amounts)
        for name in list(self.fields):
            option = name.removesuffix("_unit")
            if option in NOT_EXECUTED or (is_spot and option in {"leverage", "margin_mode"}):
                del self.fields[name]

    def _choices(self, name: str, choices: list[tuple[str, str]]) -> None:
        self.fields[name].choices = choices  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Built:
    """The message to paste, the same as a command, and how the parser reads it with samples for the placeholders."""

    paste: Paste
    command: Paste
    read: Item


def build(chosen: dict[str, Any], pointer_text: str) -> Built:
    """Return the message for what the form has cleaned. Whether it can be read is in `read`."""
    message = _message(chosen, pointer_text)
    sample = json.dumps(_filled(message, is_short=_is_short(chosen)))
    text = json.dumps(message, indent=2, ensure_ascii=False)
    address = shlex.quote(f"{settings.SITE_URL}/webhook")
    command = f"curl -X POST {address} -H 'Content-Type: application/json' --data-binary {shlex.quote(sample)}"
    return Built(
        paste=Paste(_KINDS[chosen["kind"]], "Paste it into the alert, whole.", text, pointer_text),
        command=Paste("curl", "Samples stand for the placeholders. It trades like any alert.", command, pointer_text),
        read=parse(sample.encode()).items[0],
    )


def first_choice(pointer: Pointer) -> dict[str, str]:
    return {"kind": TRENDSPIDER if pointer.source == Pointer.Source.TRENDSPIDER else STRATEGY}


def _message(chosen: dict[str, Any], pointer_text: str) -> dict[str, Any]:
    kind, ticker = chosen["kind"], chosen["ticker"] or None
    if kind in {CLOSE_ALL, CANCEL}:
        message = json.loads(close_all_message(pointer_text, ticker))
        if kind == CANCEL:
            message = {"ticker": message["ticker"], "cancel": True, "pointer": pointer_text}
        return _with_test(message, chosen)
    message = {
        STRATEGY: lambda: json.loads(standard_message(pointer_text, ticker)),
        INDICATOR: lambda: _indicator(chosen, pointer_text),
        TRENDSPIDER: lambda: _trendspider(chosen, pointer_text),
    }[kind]()
    if ticker:
        message["ticker"] = ticker
    _size(message, chosen)
    if chosen.get("order_type") == "limit":
        price = "%last_price%" if kind == TRENDSPIDER else "{{close}}"
        message |= {"order_type": "limit", "limit_price": chosen.get("limit_price") or price}
    if chosen.get("cancel"):
        message["cancel"] = True
    if kind == STRATEGY or "enter" in chosen["move"]:
        message |= _opening(chosen)
    return _with_test(message, chosen)


def _indicator(chosen: dict[str, Any], pointer_text: str) -> dict[str, Any]:
    action, before = _MOVES[chosen["move"]]
    return {
        "ticker": "{{ticker}}",
        "action": action,
        "prev_position": before,
        "quantity": chosen["quantity"],
        "pointer": pointer_text,
        "time": "{{timenow}}",
        "signal_price": "{{close}}",
        "id": "{{ticker}}-{{timenow}}-" + chosen["move"],
    }


def _trendspider(chosen: dict[str, Any], pointer_text: str) -> dict[str, Any]:
    action, before = _MOVES[chosen["move"]]
    text = trendspider_message(pointer_text, action=action, prev_position=before, quantity=chosen["quantity"])
    message: dict[str, Any] = json.loads(text)
    return message


def _size(message: dict[str, Any], chosen: dict[str, Any]) -> None:
    counted = chosen.get("quantity_type") or QuantityType.BASE
    if chosen["quantity"]:
        message["quantity"] = chosen["quantity"]
    if counted != QuantityType.BASE:
        message["quantity_type"] = str(counted)
    if chosen["quantity"] and counted in {QuantityType.BASE, QuantityType.CONTRACTS}:
        # The strategy's own sizes do not belong to a size that is typed.
        message.pop("market_position_size", None)
        message.pop("prev_market_position_size", None)


def _opening(chosen: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {name: {chosen[f"{name}_unit"] or "percent": chosen[name]} for name in _targets(chosen)}
    if chosen.get("trailing_stop"):
        out["trailing_stop"] = {"percent": chosen["trailing_stop"]}
    return out | {name: chosen[name] for name in ("leverage", "margin_mode") if chosen.get(name)}


def _targets(chosen: dict[str, Any]) -> list[str]:
    return [name for name in ("take_profit", "stop_loss") if chosen.get(name)]


def _with_test(message: dict[str, Any], chosen: dict[str, Any]) -> dict[str, Any]:
    return {**message, "test": True} if chosen["test"] else message


def _is_short(chosen: dict[str, Any]) -> bool:
    return bool(chosen["kind"] != STRATEGY and chosen["move"] == "enter_short")


def _filled(message: dict[str, Any], *, is_short: bool) -> dict[str, Any]:
    """Put samples where the sender puts values; prices of targets on the side where they belong."""
    out: dict[str, Any] = {}
    for name, value in message.items():
        if isinstance(value, dict):
            above = (name == "take_profit") != is_short
            out[name] = {unit: _replaced(text, "66000" if above else "54000") for unit, text in value.items()}
        else:
            out[name] = _replaced(value, _SAMPLES.get(name, ""))
    return out


def _replaced(value: Any, sample: str) -> Any:
    return sample if isinstance(value, str) and _PLACEHOLDER.search(value) else value
