"""What a delivery says: bytes to signals, or to the reasons why not. Pure, total: no body makes it raise."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from apps.alerts.body_shapes import read_shape
from apps.alerts.encoding import decode
from apps.alerts.json_values import Json, check_limits, has_not_finite
from apps.alerts.keys import NOT_EXECUTED
from apps.alerts.messages import MessageReader
from apps.alerts.normalizing import canonical_text
from apps.alerts.reasons import PayloadError, Reason, Refusal
from apps.alerts.redaction import find_marks, redact_text
from apps.alerts.repairs import Repair, RepairCode, repair
from apps.trading.signal import Signal

MAX_MESSAGES = 10
# The webhook reads 64 KiB; the same text in UTF-8 may be longer.
MAX_BODY_BYTES = 4 * 64 * 1024


@dataclass(frozen=True, slots=True)
class Item:
    """One message of a delivery: exactly one of `signal` and `error` is set.

    `pointer` is redacted, "" when the message shows none. `fields` is what was understood, in canonical text.
    `normalized` is equal for two messages that ask the same: compare it (hashed) to find re-deliveries.
    """

    pointer: str
    signal: Signal | None
    error: Refusal | None
    repairs: tuple[Repair, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    normalized: str = ""
    ignored_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """At least one item, in the order in which they must run."""

    items: tuple[Item, ...]


def parse(
    body: bytes,
    *,
    strict: bool = False,
    max_items: int = MAX_MESSAGES,
    not_executed: frozenset[str] = NOT_EXECUTED,
) -> Reading:
    """Read a delivery. `strict` refuses every message that needs a repair; more than `max_items` messages run none;
    `not_executed` names the keys that are refused because nothing carries them out yet.

    Pointers may already be redacted; those that are not will be in everything returned.
    """
    if len(body) > MAX_BODY_BYTES:
        facts = {"found": str(len(body)), "accepted": str(MAX_BODY_BYTES)}
        return Reading((Item("", None, Refusal(Reason.BODY_TOO_LARGE, facts)),))
    decoded = decode(body)
    text = redact_text(decoded.text)
    try:
        shaped = read_shape(text)
        messages = _messages(shaped.values, max_items)
    except PayloadError as error:
        return Reading((_unread(text, error.refusal),))
    repairs = _encoding_repairs(decoded.encoding) + shaped.repairs
    return Reading(
        tuple(_item(message, text, repairs, strict=strict, not_executed=not_executed) for message in messages)
    )


def _messages(values: list[Json], max_items: int) -> list[Json]:
    messages = [item for value in values for item in (value if isinstance(value, list) else [value])]
    if not messages:
        raise PayloadError(Reason.NOT_A_TRADE)
    if len(messages) > max_items:
        raise PayloadError(Reason.TOO_MANY_MESSAGES, found=str(len(messages)), accepted=str(max_items))
    return messages


def _item(message: Json, text: str, repairs: tuple[Repair, ...], *, strict: bool, not_executed: frozenset[str]) -> Item:
    if not isinstance(message, dict):
        return _beside(message, text, Refusal(Reason.NOT_A_TRADE))
    try:
        check_limits(message)
    except PayloadError as error:
        return _beside(message, text, error.refusal)
    reader = MessageReader(message, not_executed)
    signal: Signal | None = None
    refusal: Refusal | None = None
    try:
        signal = reader.read()
    except PayloadError as error:
        refusal = error.refusal
    if has_not_finite(message):
        repairs = (*repairs, repair(RepairCode.NAN, "NaN or Infinity"))
    repairs = tuple(dict.fromkeys((*repairs, *reader.values.repairs)))
    if strict:
        refusal = refusal or _strict_refusal(repairs)
        repairs = tuple(change for change in repairs if change.is_remark)
    return Item(
        pointer=reader.pointer or _only_mark(text),
        signal=None if refusal else signal,
        error=refusal,
        repairs=repairs,
        fields=reader.values.fields,
        normalized=canonical_text(message),
        ignored_keys=tuple(reader.values.ignored),
    )


def _strict_refusal(repairs: tuple[Repair, ...]) -> Refusal | None:
    needed = [change.code.value for change in repairs if not change.is_remark]
    return Refusal(Reason.STRICT_JSON, {"repairs": ", ".join(needed), "accepted": "strict JSON"}) if needed else None


def _unread(text: str, refusal: Refusal) -> Item:
    # PostgreSQL keeps no NUL in text.
    return Item(_only_mark(text), None, refusal, normalized=text.strip().replace("\0", "\N{REPLACEMENT CHARACTER}"))


def _beside(message: Json, text: str, refusal: Refusal) -> Item:
    """Return the item of one unreadable message; the digest can never be read as a message."""
    try:
        written = json.dumps(message)
    except RecursionError:
        written = text
    return Item(_only_mark(text), None, refusal, normalized=f"unread {hashlib.sha256(written.encode()).hexdigest()}")


def _only_mark(text: str) -> str:
    """Return the delivery's pointer when it shows exactly one, else ""."""
    marks = find_marks(text)
    return marks[0] if len(marks) == 1 else ""


def _encoding_repairs(encoding: str) -> tuple[Repair, ...]:
    if encoding == "utf-8":
        return ()
    if encoding == "utf-8-sig":
        return (repair(RepairCode.BOM),)
    return (repair(RepairCode.ENCODING, {"utf-16": "UTF-16", "cp1252": "Windows-1252"}[encoding]),)
