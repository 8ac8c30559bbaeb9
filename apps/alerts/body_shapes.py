"""A delivery's text to the JSON values in it: quotes, wrapping, escapes and web forms undone, each step on record."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote_plus

from apps.alerts.display import showable
from apps.alerts.json_values import MAX_KEYS, Json, read_values
from apps.alerts.keys import MANDATORY, canonical_key, fold_key
from apps.alerts.lenient_json import RewriteError, rewrite
from apps.alerts.placeholders import find_placeholder
from apps.alerts.reasons import PayloadError, Reason
from apps.alerts.repairs import Repair, RepairCode, repair
from apps.alerts.typography import plain_characters, straight_quotes

_MAX_WRAPPINGS = 2
# Fewer of our keys than this in `a=1&b=2` is a sentence with an equals sign, not a form.
_FORM_KEYS_NEEDED = 2
_QUOTE_MARKS = "\"'`“”„‟«»″‘’"
_WRAPPED = re.compile(rf"[{_QUOTE_MARKS}]\s*(?P<inside>[{{\[].*[}}\]])\s*[{_QUOTE_MARKS}]", re.DOTALL)
_DOUBLED = re.compile(r'[{,]\s*""')
_PERCENT_ENCODED = re.compile(r"%7[Bb]|%22")
_MENTIONS_KEY = re.compile(
    rf"[{_QUOTE_MARKS}]\s*(?:ticker|action|prev_position|quantity|pointer|closeall)\b", re.IGNORECASE
)
_FORM_WRAPPERS = {"payload", "message", "body", "data", "json", "alert", "content", "text"}


@dataclass(frozen=True, slots=True)
class Shaped:
    values: list[Json]
    repairs: tuple[Repair, ...] = ()


def read_shape(text: str) -> Shaped:
    """Return the JSON objects and arrays of a body. Raise PayloadError with the likeliest reason when it holds none."""
    return _read(text.strip(), _MAX_WRAPPINGS)


def _read(text: str, wrappings: int) -> Shaped:
    for shape in _shapes(text):
        shaped = _read_json(shape.text, wrappings)
        if shaped is not None:
            return Shaped(shaped.values, shape.repairs + shaped.repairs)
    form = _read_form(text, wrappings)
    if form is not None:
        return form
    raise _why_unreadable(text)


@dataclass(frozen=True, slots=True)
class _Shape:
    text: str
    repairs: tuple[Repair, ...] = ()


def _shapes(text: str) -> Iterator[_Shape]:
    """Yield the text, then what it would be without each kind of wrapping."""
    if not any(mark in text for mark in "{[%｛［"):
        return
    yield _Shape(text)
    bases = [_Shape(text)]
    if unwrapped := _WRAPPED.fullmatch(text):
        bases.append(_Shape(unwrapped["inside"], (repair(RepairCode.WRAPPED),)))
        yield bases[-1]
    for base in bases:
        if (unescaped := _unescaped(base.text)) is not None:
            yield _Shape(unescaped, (*base.repairs, repair(RepairCode.ESCAPED)))
        if _DOUBLED.search(base.text):
            yield _Shape(base.text.replace('""', '"'), (*base.repairs, repair(RepairCode.DOUBLED_QUOTES)))
    if text.endswith("=") and text[0] in "{[":
        yield _Shape(text.rstrip("="), (repair(RepairCode.FORM, "a trailing ="),))
    if _PERCENT_ENCODED.match(text):
        yield _Shape(unquote_plus(text).rstrip("="), (repair(RepairCode.FORM, "percent-encoded"),))


def _unescaped(text: str) -> str | None:
    if '\\"' not in text:
        return None
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except json.JSONDecodeError:
        return None


def _read_json(text: str, wrappings: int) -> Shaped | None:
    """Return what is there when it is read strictly, or with the fewest repairs; None when nothing makes it JSON."""
    dressings = _dressings(text)
    for dressing in dressings:
        shaped = _attempt(dressing.text, dressing.repairs, wrappings)
        if shaped is not None:
            return shaped
    for dressing in dressings:
        try:
            rewritten = rewrite(dressing.text)
        except RewriteError:
            continue
        shaped = _attempt(rewritten.text, dressing.repairs + rewritten.repairs, wrappings)
        if shaped is not None:
            return shaped
    return None


def _dressings(text: str) -> list[_Shape]:
    """Return the text as it is, with straight quotes, and with plain characters throughout; equal ones once."""
    dressings = [_Shape(text)]
    for change, code in ((straight_quotes, RepairCode.QUOTES), (plain_characters, RepairCode.CHARACTERS)):
        last = dressings[-1]
        changed = change(last.text)
        if changed != last.text:
            dressings.append(_Shape(changed, (*last.repairs, repair(code))))
    return dressings


def _attempt(text: str, repairs: tuple[Repair, ...], wrappings: int) -> Shaped | None:
    try:
        values = read_values(text)
    except json.JSONDecodeError:
        return None
    if values and all(isinstance(value, dict | list) for value in values):
        return Shaped(values, repairs)
    inside = values[0] if len(values) == 1 else None
    if wrappings and isinstance(inside, str) and inside.strip()[:1] in {"{", "["}:
        shaped = _read(inside.strip(), wrappings - 1)
        return Shaped(shaped.values, (*repairs, repair(RepairCode.WRAPPED), *shaped.repairs))
    return None


def _read_form(text: str, wrappings: int) -> Shaped | None:
    if "=" not in text or text[0] in "{[":
        return None
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_KEYS, errors="replace")
    except ValueError:
        return None
    wrapped = [(key, value.strip()) for key, value in pairs if fold_key(key) in _FORM_WRAPPERS]
    for key, value in wrapped:
        if wrappings and value[:1] in {"{", "[", '"'}:
            shaped = _read(value, wrappings - 1)
            return Shaped(shaped.values, (repair(RepairCode.FORM, f"the field {showable(key, 20)}"), *shaped.repairs))
    if sum(canonical_key(key) in MANDATORY for key, _ in pairs) < _FORM_KEYS_NEEDED:
        return None
    message: dict[str, Json] = {}
    for key, value in pairs:
        if key in message:
            raise PayloadError(Reason.DUPLICATE_KEY, field=key[:40])
        message[key] = value
    return Shaped([message], (repair(RepairCode.FORM, "key=value pairs"),))


def _why_unreadable(text: str) -> PayloadError:
    if text[:1] not in {"{", "["} and not _WRAPPED.fullmatch(text) and not _MENTIONS_KEY.search(text):
        return PayloadError(Reason.NOT_A_TRADE)
    placeholder = find_placeholder(text)
    if placeholder is not None:
        return PayloadError(Reason.PLACEHOLDER, found=placeholder.written, cause=placeholder.cause)
    line, column, position = 1, 1, 0
    try:
        read_values(text)
    except json.JSONDecodeError as error:
        line, column, position = error.lineno, error.colno, error.pos
    near = showable(text[max(0, position - 12) : position + 24].strip(), 40)
    return PayloadError(Reason.BAD_JSON, line=str(line), column=str(column), found=near)
