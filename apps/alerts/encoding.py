"""Bytes of a delivery to text, whatever the sender's encoding. Never raises."""

import codecs
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Decoded:
    """`encoding` is "utf-8", "utf-8-sig", "utf-16" or "cp1252"; bytes without meaning in it became U+FFFD."""

    text: str
    encoding: str


def decode(body: bytes) -> Decoded:
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return Decoded(body.decode("utf-16", "replace"), "utf-16")
    if body.startswith(codecs.BOM_UTF8):
        return _utf8_or_windows(body[len(codecs.BOM_UTF8) :], "utf-8-sig")
    wide = _unmarked_utf16(body)
    if wide:
        return Decoded(body.decode(wide, "replace"), "utf-16")
    return _utf8_or_windows(body, "utf-8")


def _utf8_or_windows(body: bytes, name: str) -> Decoded:
    try:
        return Decoded(body.decode(), name)
    except UnicodeDecodeError:
        return Decoded(body.decode("cp1252", "replace"), "cp1252")


def _unmarked_utf16(body: bytes) -> str:
    """Return the byte order when NULs stand where ASCII written in UTF-16 has them, else ""."""
    if b"\0" not in body:
        return ""
    even, odd = body[::2].count(0), body[1::2].count(0)
    if odd * 4 > len(body) and odd > even:
        return "utf-16-le"
    if even * 4 > len(body):
        return "utf-16-be"
    return ""
