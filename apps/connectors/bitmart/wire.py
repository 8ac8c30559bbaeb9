"""Values as they travel: numbers, ids and times out of an answer, and into a request.

Readers raise UnreachableError when a needed value is absent or not what it should be: an answer we cannot read is no
answer, never a zero.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from apps.connectors.exchange import UnreachableError

Row = Mapping[str, Any]
T = TypeVar("T")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Ten digits are seconds until the year 2286, thirteen are milliseconds: BitMart uses both, sometimes in one family.
_FIRST_MS = 10**11
_LAST_MS = 10**13
_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{0,40})?([eE][+-]?[0-9]{1,2})?", re.ASCII)
_LARGEST_EXPONENT = 40
_LONGEST_ID = 64
_CLIENT_ORDER_ID = re.compile(r"[A-Za-z0-9]{1,32}", re.ASCII)


def unreadable(what: str) -> UnreachableError:
    return UnreachableError(
        f"BitMart answered, but not in a form we can read ({what}). Nothing was concluded from it; we ask again."
    )


def table(value: object, what: str) -> Row:
    if not isinstance(value, dict) or not value:
        raise unreadable(what)
    return value


def rows(value: object, what: str) -> list[Row]:
    """Return a list of JSON objects; an empty list is a real answer, null is not."""
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise unreadable(what)
    return value


def readable(listed: Iterable[Row], convert: Callable[[Row], T]) -> list[T]:
    """Convert a public listing, leaving out rows that cannot be read: one odd symbol must not hide all others.

    Raises UnreachableError when rows were given and none of them could be read. Not for rows about the account.
    """
    found: list[T] = []
    fault: UnreachableError | None = None
    for row in listed:
        try:
            found.append(convert(row))
        except UnreachableError as error:
            fault = error
    if fault is not None and not found:
        raise fault
    return found


def to_decimal(value: object) -> Decimal | None:
    """Return an exact number from JSON text or a JSON number; None when it is not one, or absurdly large or small."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Decimal(value) if abs(value) < 10**_LARGEST_EXPONENT else None
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            return None
        value = _decimal(value)
    if not isinstance(value, Decimal) or not value.is_finite():
        return None
    return value if abs(value.adjusted()) <= _LARGEST_EXPONENT else None


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def number(row: Row, key: str) -> Decimal:
    value = to_decimal(row.get(key))
    if value is None:
        raise unreadable(key)
    return value


def amount(row: Row, key: str) -> Decimal:
    """Return a number that cannot be negative."""
    value = number(row, key)
    if value < 0:
        raise unreadable(key)
    return value


def step(row: Row, key: str) -> Decimal:
    """Return a number that must be above zero, without the zeros BitMart pads it with."""
    value = number(row, key)
    if value <= 0:
        raise unreadable(key)
    return without_padding(value)


def number_or_none(row: Row, key: str) -> Decimal | None:
    return to_decimal(row.get(key))


def positive_or_none(row: Row, key: str) -> Decimal | None:
    """Return a number above zero; BitMart writes "0" and "" for "there is none"."""
    value = to_decimal(row.get(key))
    return value if value is not None and value > 0 else None


def without_padding(value: Decimal) -> Decimal:
    text = format(value, "f")
    return Decimal(text.rstrip("0").rstrip(".") or "0") if "." in text else Decimal(text)


def whole(row: Row, key: str) -> int:
    """Return an integer code such as a side or a state, sent as a number or as digits."""
    value = to_decimal(row.get(key))
    if value is None or value != value.to_integral_value():
        raise unreadable(key)
    return int(value)


def text(row: Row, key: str) -> str:
    """Return a short printable string, "" when absent or something else."""
    value = row.get(key)
    if isinstance(value, str) and len(value) <= _LONGEST_ID and value.isprintable():
        return value
    return ""


def word(row: Row, key: str) -> str:
    value = text(row, key)
    if not value:
        raise unreadable(key)
    return value


def identifier_or_blank(row: Row, key: str) -> str:
    """Return an id as text. Futures ids are JSON numbers beyond 2^53 on submit and strings everywhere else."""
    value = row.get(key)
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**_LARGEST_EXPONENT:
        return str(value)
    return text(row, key)


def identifier(row: Row, key: str) -> str:
    value = identifier_or_blank(row, key)
    if not value:
        raise unreadable(key)
    return value


def instant_or_none(row: Row, key: str) -> datetime | None:
    """Return a time given in seconds or milliseconds, as a number or as digits; None when absent or 0."""
    value = to_decimal(row.get(key))
    if value is None or value <= 0 or value >= _LAST_MS:
        return None
    count = int(value)
    return EPOCH + (timedelta(milliseconds=count) if count >= _FIRST_MS else timedelta(seconds=count))


def instant(row: Row, key: str) -> datetime:
    value = instant_or_none(row, key)
    if value is None:
        raise unreadable(key)
    return value


def unix_ms(at: datetime) -> int:
    return (at - EPOCH) // timedelta(milliseconds=1)


def plain(value: Decimal, what: str) -> str:
    """Return a positive number as BitMart wants it: digits and a point, no exponent. ValueError otherwise."""
    if not value.is_finite() or value <= 0 or abs(value.adjusted()) > _LARGEST_EXPONENT:
        raise ValueError(f"{what} must be a number above zero, got {value}")
    return format(value, "f")


def outgoing_client_order_id(value: str) -> str:
    if not _CLIENT_ORDER_ID.fullmatch(value):
        raise ValueError("a client order id is 1 to 32 letters and digits")
    return value
