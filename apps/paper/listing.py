"""Long public lists, kept as text: a list of thousands costs a request little more than joining its rows."""

import json
from collections.abc import Callable, Iterable

from apps.paper.prices import Prices

# As many rows are made anew in a second; shorter lists are never older than that second.
_A_SECOND = 250


def as_text(row: object) -> str:
    return json.dumps(row, separators=(",", ":"), allow_nan=False)


class Listing:
    """Rows of market data by symbol. A held or released price shows at once, the rest by turns."""

    def __init__(self, symbols: Iterable[str]) -> None:
        self._symbols = tuple(symbols)
        self._texts: dict[str, str] = {}
        self._second = -1
        self._turn = 0
        self._seen = 0
        self._joined = ""

    def text(self, make: Callable[[str], object], prices: Prices, now_ms: int) -> str:
        """Return the rows joined by commas; `make` returns a row for a symbol."""
        due = self._due(prices, now_ms)
        if due:
            for symbol in due:
                self._texts[symbol] = as_text(make(symbol))
            self._joined = ",".join(self._texts[symbol] for symbol in self._symbols)
        return self._joined

    def _due(self, prices: Prices, now_ms: int) -> set[str]:
        due = {symbol for symbol in self._symbols if symbol not in self._texts} if not self._texts else set()
        changed = {symbol for symbol, number in prices.changes.items() if number > self._seen}
        self._seen = max(prices.changes.values(), default=0)
        due |= changed.intersection(self._texts)
        if now_ms // 1000 != self._second:
            self._second = now_ms // 1000
            turn = self._symbols[self._turn : self._turn + _A_SECOND]
            self._turn = self._turn + _A_SECOND if self._turn + _A_SECOND < len(self._symbols) else 0
            due |= set(turn)
        return due
