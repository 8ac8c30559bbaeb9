"""A decision made again from what it was made from, as it was or with a setting changed. Pure; nothing is sent."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from apps.connectors.exchange import MarginMode
from apps.connectors.policies import ExitExcess, Mismatch
from apps.trading.deciding import NotReadError, decide
from apps.trading.inputs import Inputs, Terms
from apps.trading.outline import LegOutline, Outline, outline_of


def _amount(text: str) -> Decimal:
    """ValueError for what is no number, and for what is none to reckon with."""
    value = Decimal(text)
    if not value.is_finite():
        raise ValueError(text)
    return value


# Setting → how its text is read; each is a field of PlanSettings, GuardLimits or Terms.
_PLAN = {"exit_excess": ExitExcess, "mismatch": Mismatch}
_LIMITS: dict[str, Callable[[str], Any]] = {
    "max_order_notional": _amount,
    "max_open_notional": _amount,
    "max_orders_per_minute": int,
    "max_lag_s": int,
}
_OWN = {"leverage": Decimal, "margin_mode": MarginMode}
SETTINGS = (*_PLAN, *_LIMITS, *_OWN)


class SettingError(ValueError):
    """A setting that does not exist, or a value that it does not take."""


@dataclass(frozen=True, slots=True)
class LegPair:
    """One leg before and after; None where there is none."""

    code: str
    before: LegOutline | None
    after: LegOutline | None

    @property
    def is_same(self) -> bool:
        return self.before == self.after


@dataclass(frozen=True, slots=True)
class Replay:
    """`missing` says what the changed decision would have needed and nobody had read; `after` is then empty."""

    before: Outline
    after: Outline
    missing: str = ""

    @property
    def is_same(self) -> bool:
        return not self.missing and self.before == self.after

    @property
    def pairs(self) -> tuple[LegPair, ...]:
        old = {leg.code: leg for leg in self.before.legs}
        new = {leg.code: leg for leg in self.after.legs}
        return tuple(LegPair(code, old.get(code), new.get(code)) for code in dict.fromkeys((*old, *new)))


def replay(inputs: Inputs, before: Outline, *, changes: Mapping[str, str] | None = None) -> Replay:
    """Decide again. SettingError for a change that cannot be made."""
    try:
        after = outline_of(decide(with_changes(inputs, changes or {})))
    except NotReadError as error:
        return Replay(before, Outline(), str(error))
    return Replay(before, after)


def with_changes(inputs: Inputs, changes: Mapping[str, str]) -> Inputs:
    """Return the inputs as if other settings had been made; values as text."""
    terms = inputs.terms
    for name, text in changes.items():
        terms = _changed(terms, name, text)
    return replace(inputs, terms=terms)


def settings_in(inputs: Inputs) -> dict[str, str]:
    """Return the settings that the decision was made with, as text; "" = no limit."""
    terms = inputs.terms
    found = [getattr(terms.plan, name) for name in _PLAN]
    found += [getattr(terms.limits, name) for name in _LIMITS]
    found += [getattr(terms, name) for name in _OWN]
    return {name: _text(value) for name, value in zip(SETTINGS, found, strict=True)}


def _changed(terms: Terms, name: str, text: str) -> Terms:
    try:
        if name in _PLAN:
            return replace(terms, plan=replace(terms.plan, **{name: _PLAN[name](text)}))
        if name in _LIMITS:
            return replace(terms, limits=replace(terms.limits, **{name: _LIMITS[name](text)}))
        if name == "leverage":
            leverage = _amount(text)
            if leverage <= 0:
                raise ValueError(text)
            return replace(terms, leverage=leverage)
        if name == "margin_mode":
            return replace(terms, margin_mode=MarginMode(text))
    except (ValueError, ArithmeticError) as error:
        raise SettingError(f"{name} cannot be {text!r}") from error
    raise SettingError(f"there is no setting {name!r}; there are: {', '.join(SETTINGS)}")


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)
