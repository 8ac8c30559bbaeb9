"""Characters that word processors and keyboards put where plain ones belong."""

import re
import unicodedata
from itertools import groupby

_DOUBLE = "“”„‟«»″＂"
_SINGLE = "‘’‚‛′＇"
_STRAIGHT = str.maketrans(dict.fromkeys(_DOUBLE, '"') | dict.fromkeys(_SINGLE, "'"))
# Soft hyphen, zero-width and direction marks, byte order mark.
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")


def straight_quotes(text: str) -> str:
    return text if text.isascii() else text.translate(_STRAIGHT)


def plain_characters(text: str) -> str:
    """Return `text` in NFKC (full-width digits, special spaces become plain ones) without invisible characters.

    What stands for a number without being a digit stays: a superscript two behind a 2 does not make 22.
    """
    if text.isascii():
        return text
    text = _INVISIBLE.sub("", text)
    if not any(map(_is_number_sign, set(text))):
        return unicodedata.normalize("NFKC", text)
    runs = groupby(text, key=_is_number_sign)
    return "".join("".join(run) if is_kept else unicodedata.normalize("NFKC", "".join(run)) for is_kept, run in runs)


def _is_number_sign(character: str) -> bool:
    return unicodedata.category(character) == "No"
