"""Placeholders that nobody replaced: which one, and the usual cause."""

import re
from dataclasses import dataclass

_PATTERN = re.compile(
    r"""
      \{\{(?P<tradingview>[^{}]{1,100})\}\}
    | %(?P<trendspider>[A-Za-z][A-Za-z_]{2,40})%
    | \#(?P<script>[A-Za-z][A-Za-z0-9_. -]{0,40})\#
    | (?P<sample>REPLACE_WITH_\w{1,60}|replace[ ]with[ ][\w ]{1,60})
    """,
    re.VERBOSE | re.IGNORECASE,
)
_STRATEGY_ONLY = (
    "TradingView fills it only in alerts on a strategy's order fills. On an indicator, type the value instead; "
    "text sent by alert() in the script is never filled in."
)
_NOT_EXPANDED = (
    "TradingView fills it only in the alert's Message box: text sent by alert() in the script, and misspelt "
    "names, stay as they are."
)
_TRENDSPIDER = (
    "TrendSpider fills %bot_…% only in Trading Bots and %alert_…% only in alerts. Use the variable of the kind "
    "you have, or type the value."
)
_SCRIPT = "The script has to fill it, TradingView does not. Use a script that knows this word, or type the value."
_SAMPLE = "It is a sample word of the message to copy. Put your own value in its place."


@dataclass(frozen=True, slots=True)
class Placeholder:
    written: str
    cause: str


def find_placeholder(text: str) -> Placeholder | None:
    """Return the first placeholder in `text`, as written, with a sentence or two on why it may still be there."""
    match = _PATTERN.search(text)
    if match is None:
        return None
    if match["tradingview"] is not None:
        return Placeholder(match[0], _tradingview_cause(match["tradingview"]))
    if match["trendspider"] is not None:
        return Placeholder(match[0], _TRENDSPIDER)
    return Placeholder(match[0], _SCRIPT if match["script"] is not None else _SAMPLE)


def _tradingview_cause(name: str) -> str:
    return _STRATEGY_ONLY if name.strip().startswith("strategy.") else _NOT_EXPANDED
