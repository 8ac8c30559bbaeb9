"""Exact decimals: reading, stepping and writing them. Nothing here rounds silently except as its docstring says."""

import re
from decimal import ROUND_DOWN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow

MAX_DECIMALS = 18
MAX_EXPONENT = 15
MAX_DIGITS = 64
# The last digit that a column of ours keeps.
FINEST = Decimal(1).scaleb(-MAX_DECIMALS)

# NUMERIC(38,18) needs 38 digits; a product of two such values is still exact here.
_WIDE = Context(prec=100, rounding=ROUND_DOWN, traps=[InvalidOperation, DivisionByZero, Overflow])
_PLAIN = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE](?P<exponent>[+-]?[0-9]+))?", re.ASCII)


class DecimalSyntaxError(ValueError):
    """The text is not a plain finite decimal."""


class DecimalRangeError(ValueError):
    """The number is written with an exponent, a size or a length outside what is accepted."""


def parse_decimal(text: str) -> Decimal:
    """Return the number written as `1`, `-0.5`, `.5`, `+2.` or `1e-05`; digits after the 18th decimal are cut.

    Raise DecimalSyntaxError for anything else, NaN and Infinity included, and DecimalRangeError for an exponent or a
    magnitude outside 1e-18 .. 1e+15 or for more than 64 characters. Zero is accepted.
    """
    match = _PLAIN.fullmatch(text)
    if match is None:
        raise DecimalSyntaxError(text[:MAX_DIGITS])
    # Judged as text first: `1E+5000000` prints five megabytes.
    exponent = (match["exponent"] or "0").lstrip("+-").lstrip("0") or "0"
    if len(text) > MAX_DIGITS or len(exponent) > 2:
        raise DecimalRangeError(text[:MAX_DIGITS])
    if not -MAX_DECIMALS <= int(match["exponent"] or 0) <= MAX_EXPONENT:
        raise DecimalRangeError(text)
    value = Decimal(text)
    if value and not -MAX_DECIMALS <= value.adjusted() <= MAX_EXPONENT:
        raise DecimalRangeError(text)
    if decimal_places(value) > MAX_DECIMALS:
        return value.quantize(FINEST, context=_WIDE)
    return value


def decimal_places(value: Decimal) -> int:
    """Return the digits written after the point, trailing zeros counted. ValueError when not finite."""
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"not finite: {value}")
    return max(0, -exponent)


def floor_to_step(value: Decimal, step: Decimal) -> Decimal:
    """Return the greatest multiple of `step` that is not above `value`. ValueError unless `step` > 0, both finite."""
    whole, rest = _split(value, step)
    return _WIDE.multiply(whole - 1 if rest < 0 else whole, step)


def ceil_to_step(value: Decimal, step: Decimal) -> Decimal:
    """Return the least multiple of `step` that is not below `value`. ValueError unless `step` > 0, both finite."""
    whole, rest = _split(value, step)
    return _WIDE.multiply(whole + 1 if rest > 0 else whole, step)


def is_multiple(value: Decimal, step: Decimal) -> bool:
    return _split(value, step)[1] == 0


def normalize_text(value: Decimal) -> str:
    """Return `value` without exponent and without trailing zeros; zero of any sign is `0`.

    ValueError when not finite or longer than any amount we keep (100 digits).
    """
    if not value.is_finite() or abs(value.adjusted()) > _WIDE.prec or decimal_places(value) > _WIDE.prec:
        raise ValueError(f"not an amount: {value}")
    if value == 0:
        return "0"
    return format(value.normalize(_WIDE), "f")


def _split(value: Decimal, step: Decimal) -> tuple[Decimal, Decimal]:
    """Return how many whole steps fit, toward zero, and the rest, which has the sign of `value`."""
    if not value.is_finite() or not step.is_finite() or step <= 0:
        raise ValueError(f"cannot step {value} by {step}")
    return _WIDE.divide_int(value, step), _WIDE.remainder(value, step)
