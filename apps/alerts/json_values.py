"""Strict JSON, read so that nothing is lost: numbers stay as written, a key may not repeat, depth is bounded."""

import json
from typing import TypeAlias

from apps.alerts.reasons import PayloadError, Reason

MAX_NESTING = 8
MAX_KEYS = 64
MAX_STRING_BYTES = 4096
_LONGEST_CHARACTER = 4  # bytes in UTF-8


class Number(str):
    """A JSON number as its sender wrote it."""

    __slots__ = ()


class NotFinite(Number):
    """NaN, Infinity or -Infinity, which JSON does not know and some senders write."""

    __slots__ = ()


Json: TypeAlias = "str | bool | list[Json] | dict[str, Json] | None"


def read_values(text: str) -> list[Json]:
    """Return the JSON values that follow one another in `text`, separated by white space or nothing.

    Raise json.JSONDecodeError where it is not JSON, PayloadError for a repeated key or bottomless nesting.
    """
    values: list[Json] = []
    position = _after_space(text, 0)
    while position < len(text):
        try:
            value, position = _DECODER.raw_decode(text, position)
        except RecursionError:
            raise PayloadError(Reason.TOO_DEEP, accepted=str(MAX_NESTING)) from None
        values.append(value)
        position = _after_space(text, position)
    return values


def check_limits(message: Json) -> None:
    """Raise PayloadError when a message is nested too deep, has too many keys or too long a string."""
    keys = 0
    level = [("", message)]
    for _ in range(MAX_NESTING + 1):
        for name, value in level:
            _check_length(name, name)
            if isinstance(value, str):
                _check_length(name, value)
            keys += len(value) if isinstance(value, dict) else 0
        if keys > MAX_KEYS:
            raise PayloadError(Reason.TOO_MANY_KEYS, found=str(keys), accepted=str(MAX_KEYS))
        level = [child for _, value in level for child in _children(value)]
    if level:
        raise PayloadError(Reason.TOO_DEEP, accepted=str(MAX_NESTING))


def has_not_finite(message: Json) -> bool:
    """Tell whether NaN or Infinity stands anywhere in a message that passed `check_limits`."""
    return isinstance(message, NotFinite) or any(has_not_finite(child) for _, child in _children(message))


def _children(value: Json) -> list[tuple[str, Json]]:
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, list):
        return [("", item) for item in value]
    return []


def _check_length(name: str, text: str) -> None:
    if len(text) * _LONGEST_CHARACTER <= MAX_STRING_BYTES:
        return
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_STRING_BYTES:
        raise PayloadError(Reason.VALUE_TOO_LONG, field=name[:40], found=str(size), accepted=str(MAX_STRING_BYTES))


def _without_repeats(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    message: dict[str, Json] = {}
    for key, value in pairs:
        if key in message:
            raise PayloadError(Reason.DUPLICATE_KEY, field=key[:40])
        message[key] = value
    return message


def _after_space(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position


_DECODER = json.JSONDecoder(
    object_pairs_hook=_without_repeats, parse_float=Number, parse_int=Number, parse_constant=NotFinite
)
