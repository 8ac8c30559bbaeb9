"""Prices from a file instead of the walk: lines of symbol,time_ms,price, with or without a heading."""

import csv
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path


@dataclass(frozen=True, slots=True)
class _Series:
    times: tuple[int, ...]
    prices: tuple[Decimal, ...]


@dataclass(frozen=True, slots=True)
class Recording:
    """Each symbol's prices by milliseconds since the earliest time in the file."""

    series: Mapping[str, _Series]

    def has(self, symbol: str) -> bool:
        return symbol in self.series

    def price(self, symbol: str, after_ms: int) -> Decimal | None:
        """Return the last price at or before that time, the first one before it began, None for another symbol."""
        found = self.series.get(symbol)
        if found is None:
            return None
        return found.prices[max(bisect_right(found.times, after_ms) - 1, 0)]


def read_recording(path: Path, known: frozenset[str]) -> Recording:
    """Read the file whole. Raise ValueError, naming the line, for what is not a known symbol, a time or a price."""
    rows: dict[str, list[tuple[int, Decimal]]] = {}
    with path.open(newline="", encoding="utf-8") as lines:
        for number, row in enumerate(csv.reader(lines), start=1):
            if not row or (number == 1 and row[:1] == ["symbol"]):
                continue
            symbol, at_ms, price = _line(row, number, known)
            rows.setdefault(symbol, []).append((at_ms, price))
    if not rows:
        raise ValueError(f"{path} holds no price")
    start = min(at_ms for found in rows.values() for at_ms, _ in found)
    return Recording({symbol: _series(sorted(found), start) for symbol, found in rows.items()})


def _series(found: list[tuple[int, Decimal]], start: int) -> _Series:
    return _Series(tuple(at_ms - start for at_ms, _ in found), tuple(price for _, price in found))


def _line(row: list[str], number: int, known: frozenset[str]) -> tuple[str, int, Decimal]:
    try:
        symbol, at_ms, price = row[0].strip(), int(row[1]), Decimal(row[2].strip())
    except (IndexError, ValueError, InvalidOperation):
        raise ValueError(f"line {number} of the prices is not symbol,time_ms,price: {','.join(row)[:80]}") from None
    if symbol not in known or not price.is_finite() or price <= 0:
        raise ValueError(f"line {number} of the prices names no known symbol or no price above zero: {symbol}")
    return symbol, at_ms, price
