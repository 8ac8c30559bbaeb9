"""How money, quantities and times are written on pages."""

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django import template

from apps.lib import world
from apps.lib.decimals import decimal_places, normalize_text

register = template.Library()

UNKNOWN = "—"
MINUS = "\N{MINUS SIGN}"
_WIDE = Context(prec=100)


@register.filter
def amount(value: Decimal | int | str | None, step: Decimal | int | str | None = None) -> str:
    """Write a number with thousands commas; "—" for None.

    `step` is an exchange step or tick (Decimal: as many decimals as it has) or a count of decimals (int or digits).
    Without it every digit that means something is kept and no trailing zero.
    """
    number = _decimal(value)
    if number is None:
        return UNKNOWN
    places = _places(step)
    if places is None:
        text = normalize_text(number.copy_abs())
    else:
        text = f"{number.copy_abs().quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN, context=_WIDE):f}"
    whole, point, fraction = text.partition(".")
    return f"{MINUS if number < 0 else ''}{int(whole):,}{point}{fraction}"


@register.filter
def signed(value: Decimal | int | str | None, step: Decimal | int | str | None = None) -> str:
    """As `amount`, with + before a gain."""
    number = _decimal(value)
    text = amount(number, step)
    return f"+{text}" if number is not None and number > 0 else text


@register.filter
def pnl_class(value: Decimal | int | str | None) -> str:
    number = _decimal(value)
    if not number:
        return ""
    return "gain" if number > 0 else "loss"


@register.filter
def raw(value: Decimal | int | str | None) -> str:
    """Return the stored value in full, for tooltips and copying; "unknown" for None."""
    number = _decimal(value)
    return "unknown" if number is None else normalize_text(number)


@register.simple_tag(takes_context=True)
def local(context: dict[str, Any], at: datetime | None, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Write a moment in the reader's zone (`zone` of the context, else UTC); "—" for None."""
    if at is None:
        return UNKNOWN
    return at.astimezone(ZoneInfo(str(context.get("zone") or "UTC"))).strftime(form)


@register.filter
def iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@register.filter
def utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


@register.filter
def ago(at: datetime) -> str:
    """Return "42 s ago" for a moment of the last 24 hours, "" for an older one or one to come."""
    seconds = int((world.now() - at).total_seconds())
    if 0 <= seconds < 60:
        return f"{seconds} s ago"
    if 0 <= seconds < 3600:
        return f"{seconds // 60} min ago"
    if 0 <= seconds < 86400:
        return f"{seconds // 3600} h ago"
    return ""


def _decimal(value: Decimal | int | str | None) -> Decimal | None:
    if value is None or value == "":
        return None
    if isinstance(value, float):
        raise TypeError("money is never a float")
    return Decimal(value)


def _places(step: Decimal | int | str | None) -> int | None:
    if step is None or step == "":
        return None
    if isinstance(step, Decimal):
        return decimal_places(Decimal(normalize_text(step)))
    return int(step)
