"""Sizes and prices as senders write them, each wrong spelling with its own reason."""

import re
from dataclasses import dataclass
from decimal import Decimal

from apps.alerts.display import showable
from apps.alerts.reasons import PayloadError, Reason
from apps.alerts.repairs import Repair, RepairCode, repair
from apps.lib.decimals import MAX_DIGITS, DecimalRangeError, DecimalSyntaxError, parse_decimal

_NAN = re.compile(r"[+-]?(?:nan|na)", re.IGNORECASE | re.ASCII)
_INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE | re.ASCII)
_NULL_WORDS = {"null", "none", "undefined"}
# A group may not start with 0: `0,500` is half in most of Europe, never five hundred.
_GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2}(?P<mark>[, _])[0-9]{3}(?:(?P=mark)[0-9]{3})*(?:\.[0-9]+)?", re.ASCII)
_COMMA = re.compile(r"[+-]?[0-9][0-9.,]*,[0-9.,]*", re.ASCII)
_UNIT = re.compile(r"[+-]?[0-9.,]+(?:[eE][+-]?[0-9]+)?\s*[^\W\d_]\w*|[+-]?[0-9.,]+\s*[%$€£]|[$€£]\s*[0-9.,]+")


@dataclass(frozen=True, slots=True)
class Amount:
    value: Decimal
    repairs: tuple[Repair, ...] = ()


def read_amount(field: str, text: str, *, accepted: str, zero_ok: bool = False) -> Amount:
    """Return the unsigned amount written in `text`. Raise PayloadError naming `field` and what is `accepted`."""
    found = showable(text, 60)
    repairs: tuple[Repair, ...] = ()
    grouped = _GROUPED.fullmatch(text)
    if grouped is not None:
        text = text.replace(grouped["mark"], "")
        repairs = (repair(RepairCode.GROUPING, f"'{found}' in '{field}'"),)
    try:
        value = parse_decimal(text)
    except DecimalSyntaxError:
        raise PayloadError(_why_no_number(text), field=field, found=found, accepted=accepted) from None
    except DecimalRangeError:
        raise PayloadError(Reason.NUMBER_OUT_OF_RANGE, field=field, found=found, accepted="1e-18 to 1e+15") from None
    if value < 0:
        raise PayloadError(Reason.NEGATIVE, field=field, found=found, accepted=accepted)
    if value == 0 and not zero_ok:
        raise PayloadError(Reason.ZERO, field=field, found=found, accepted=accepted)
    if value != Decimal(text):
        repairs += (repair(RepairCode.DECIMALS_CUT, f"'{found}' in '{field}'"),)
    return Amount(abs(value), repairs)


def _why_no_number(text: str) -> Reason:
    if len(text) > MAX_DIGITS:
        return Reason.UNREADABLE_NUMBER
    if _NAN.fullmatch(text):
        return Reason.NOT_A_NUMBER
    if _INFINITE.fullmatch(text):
        return Reason.INFINITE
    if text.lower() in _NULL_WORDS:
        return Reason.NULL_VALUE
    if _COMMA.fullmatch(text):
        return Reason.AMBIGUOUS_COMMA
    if _UNIT.fullmatch(text):
        return Reason.HAS_UNIT
    return Reason.UNREADABLE_NUMBER
