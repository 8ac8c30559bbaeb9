"""Pointers inside delivery bodies: find them, and blank them out before a body is stored.

A pointer is a capability to trade, so no stored body, page or log may carry one whole.
"""

import re

from apps.alerts.encoding import decode
from apps.alerts.typography import plain_characters

MARK = "••••"
_SHAPE = "[sS][fF]_[A-Za-z2-7]{32}"
_LENGTH = 35
_IN_BYTES = re.compile(_SHAPE.encode())
_IN_TEXT = re.compile(_SHAPE)
# Two pointers may share the letters `sf`; a look-ahead sees both.
_EVERY_IN_BYTES = re.compile(f"(?=({_SHAPE}))".encode())
_EVERY_IN_TEXT = re.compile(f"(?=({_SHAPE}))")
_MARKED = re.compile(MARK + "[a-z2-7]{4}")


def find_pointers(body: bytes) -> tuple[str, ...]:
    """Return the distinct pointers of a body in any shape and encoding, lower-case, in order of appearance."""
    found = [match.decode("ascii") for match in _EVERY_IN_BYTES.findall(body)]
    if not found and b"\0" in body:
        found = _EVERY_IN_TEXT.findall(decode(body).text)
    return tuple(dict.fromkeys(pointer.lower() for pointer in found))


def redact(body: bytes) -> bytes:
    """Return the body as UTF-8 with each pointer replaced by its mark. Redacting twice changes nothing."""
    redacted = _redact_once(body)
    # Text written in UTF-16 twice over is UTF-16 still.
    while b"\0" in redacted and redacted != body:
        body, redacted = redacted, _redact_once(redacted)
    return redacted


def _redact_once(body: bytes) -> bytes:
    decoded = decode(body)
    if decoded.encoding.startswith("utf-8"):
        return _blank(body.decode()).encode() if _IN_BYTES.search(body) else body
    return _blank(decoded.text).encode()


def redact_text(text: str) -> str:
    """Return the text with each pointer replaced, one with invisible or full-width characters in it too."""
    if len(text) < _LENGTH and text.isascii():
        return text
    text = _blank(text)
    if not text.isascii() and _IN_TEXT.search(plain := plain_characters(text)):
        return redact_text(plain)
    return text


def _blank(text: str) -> str:
    while _IN_TEXT.search(text):
        text = _IN_TEXT.sub(_mark, text)
    return text


def find_marks(text: str) -> tuple[str, ...]:
    """Return the distinct redacted pointers of a text, in order of appearance."""
    return tuple(dict.fromkeys(_MARKED.findall(text)))


def is_mark(text: str) -> bool:
    return _MARKED.fullmatch(text) is not None


def mark_of(pointer: str) -> str:
    """Return what stands for `pointer` in a redacted body: four dots and its last four characters, lower-case."""
    return MARK + pointer[-4:].lower()


def _mark(match: re.Match[str]) -> str:
    return mark_of(match[0])
