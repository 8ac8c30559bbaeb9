"""The canonical form of a message: two messages that ask the same have the same one."""

import json
from collections.abc import Mapping

from apps.alerts.json_values import Json, Number
from apps.alerts.keys import NUMERIC, TEXTS, canonical_key, fold_key
from apps.alerts.redaction import redact_text
from apps.alerts.typography import plain_characters
from apps.lib.decimals import DecimalRangeError, DecimalSyntaxError, normalize_text, parse_decimal

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def canonical_text(message: Mapping[str, Json]) -> str:
    """Return ASCII JSON with sorted, folded keys and plainly written numbers."""
    return _ENCODER.encode(_folded(message))


def _folded(message: Mapping[str, Json], *, is_inner: bool = False) -> dict[str, Json]:
    out: dict[str, Json] = {}
    for key, value in message.items():
        # A key inside another's value has a meaning of its own: the price of a target is no limit price.
        name = ("" if is_inner else canonical_key(key)) or fold_key(key)
        is_text = not is_inner and name in TEXTS
        out[redact_text(key if name in out else name)] = _normalized_value(
            value, is_numeric=name in NUMERIC, is_text=is_text
        )
    return out


def _normalized_value(value: Json, *, is_numeric: bool = False, is_text: bool = False) -> Json:
    if isinstance(value, dict):
        return _folded(value, is_inner=True)
    if isinstance(value, list):
        return [_normalized_value(item) for item in value]
    if not isinstance(value, str):
        return value
    text = redact_text(plain_characters(value).strip())
    if is_text or (not is_numeric and not isinstance(value, Number)):
        return text
    try:
        return normalize_text(parse_decimal(text))
    except (DecimalSyntaxError, DecimalRangeError):
        return text
