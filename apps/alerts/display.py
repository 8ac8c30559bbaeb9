"""A sender's text made safe to store and to show."""

from apps.alerts.redaction import redact_text

SHOWN = 120


def showable(text: str, limit: int = SHOWN) -> str:
    """Return `text` cut to `limit` characters, what cannot be printed or stored (NUL, lone surrogates) as U+FFFD.
    A pointer in it is cut to its last four characters.
    """
    text = redact_text(text)
    short = text if len(text) <= limit else text[: limit - 1] + "…"
    if short.isprintable():
        return str(short)  # of a member of an enumeration, what it says
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in short)
