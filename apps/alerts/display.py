"""A sender's text made safe to store and to show."""

SHOWN = 120


def showable(text: str, limit: int = SHOWN) -> str:
    """Return `text` cut to `limit` characters, what cannot be printed or stored (NUL, lone surrogates) as U+FFFD."""
    short = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in short)
