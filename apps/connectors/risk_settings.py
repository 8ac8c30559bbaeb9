"""The settings of a connector that limit what its alerts may open: names, words, and what makes one looser."""

from decimal import Decimal
from typing import Any

from apps.connectors.policies import Adds, Direction

NAMES = (
    "allowed_symbols", "direction", "adds", "max_adds", "max_open_positions", "max_daily_loss",
    "max_price_deviation_pct", "low_balance",
)  # fmt: skip
FUTURES_NAMES = ("most_leverage",)

LABELS = {
    "allowed_symbols": "Symbols",
    "direction": "Direction",
    "adds": "Adding to a position",
    "max_adds": "Most adds to one position",
    "max_open_positions": "Most positions open at once",
    "max_daily_loss": "Most lost in a day (USDT)",
    "max_price_deviation_pct": "Price deviation (%)",
    "low_balance": "An entry that costs more than the balance",
    "most_leverage": "Most leverage a message may ask for",
}
HELP_TEXTS = {
    "allowed_symbols": "Only these may be opened, for example BTCUSDT, ETHUSDT. Empty: every symbol of the market.",
    "direction": "Which positions may be opened. What is open already can always be closed.",
    "adds": "An entry on the side that is already held. The alert says which rule applied.",
    "max_adds": "Counts with “run a number of them”: the first entry is none.",
    "max_open_positions": "Counted by symbol; entries under way count. Empty: no limit.",
    "max_daily_loss": "Realised losses, fees and funding since midnight UTC. Once reached, new positions wait until "
    "the next day. Empty: no limit.",
    "max_price_deviation_pct": "How far the market may be from the signal_price in the alert. Without a signal_price "
    "it does not count. Empty: no limit.",
    "low_balance": "Making it smaller keeps the alert's direction, not its size; the alert shows both.",
    "most_leverage": "For alerts with their own leverage. Empty: no more than the leverage above.",
}

# Smallest and largest value that is accepted; the unit it is shown with.
RANGES: dict[str, tuple[Decimal, Decimal, str]] = {
    "max_adds": (Decimal(1), Decimal(100), "adds"),
    "max_open_positions": (Decimal(1), Decimal(1000), "positions"),
    "max_price_deviation_pct": (Decimal("0.01"), Decimal(100), "%"),
    "most_leverage": (Decimal(1), Decimal(125), "x"),
}
MOST_SYMBOLS = 200

_LIMITS = ("max_open_positions", "max_daily_loss", "max_price_deviation_pct")


def is_looser(before: Any, after: dict[str, Any]) -> bool:
    """True when the cleaned values allow an entry that the connector `before` would have refused."""
    if any(_is_raised(getattr(before, name), after[name]) for name in _LIMITS):
        return True
    if before.allowed_symbols and (
        not after["allowed_symbols"] or set(after["allowed_symbols"]) - set(before.allowed_symbols)
    ):
        return True
    if before.direction not in {after.get("direction", before.direction), Direction.BOTH}:
        return True
    if _adds(after["adds"], after["max_adds"]) > _adds(before.adds, before.max_adds):
        return True
    if "most_leverage" not in after:
        return False
    return bool((after["most_leverage"] or after["leverage"]) > (before.most_leverage or before.leverage))


def _is_raised(old: Decimal | None, new: Decimal | None) -> bool:
    return old is not None and (new is None or new > old)


def _adds(rule: str, most: int) -> int:
    if rule == Adds.ALLOW:
        return 10**9
    return most if rule == Adds.UP_TO else 0
