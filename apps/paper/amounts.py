from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_UP, Decimal

ZERO = Decimal(0)
EIGHT_PLACES = Decimal("0.00000001")
# Shares of cost and margin are cut here; the remainder stays with the position, so nothing is lost to rounding.
TWELVE_PLACES = Decimal("0.000000000001")


def plain(value: Decimal) -> str:
    """Return the number without exponent and without trailing zeros."""
    text = str(value)
    if "E" in text:
        text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"", "-0"} else text


def fixed(value: Decimal, places: int) -> str:
    return format(value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_DOWN), "f")


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    return (value / step).to_integral_value(rounding=ROUND_FLOOR) * step


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    return (value / step).to_integral_value(rounding=ROUND_CEILING) * step


def nearest_to(value: Decimal, step: Decimal) -> Decimal:
    return (value / step).to_integral_value(rounding=ROUND_HALF_UP) * step


def is_multiple(value: Decimal, step: Decimal) -> bool:
    return value % step == 0


def cut(value: Decimal) -> Decimal:
    return value.quantize(EIGHT_PLACES, rounding=ROUND_DOWN)


def share(whole: Decimal, part: Decimal, of: Decimal) -> Decimal:
    """Return whole × part / of; exactly `whole` when part equals of."""
    if part == of:
        return whole
    return (whole * part / of).quantize(TWELVE_PLACES, rounding=ROUND_DOWN)
