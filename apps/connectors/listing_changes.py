"""A listing as read now beside the rows as kept: what is new, what changed, what is gone. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from apps.connectors.exchange import Instrument
from apps.lib.decimals import normalize_text

# Columns that the listing decides, in the words of both the dataclass and the row.
COLUMNS = (
    "base",
    "quote",
    "contract_size",
    "quantity_step",
    "price_tick",
    "min_quantity",
    "max_quantity",
    "min_notional",
    "max_leverage",
    "is_trading",
    "delist_at",
)
# A venue delists a few symbols at a time. More than this share, and more than this many, is a broken answer.
MOST_GONE_RATE = Decimal("0.2")
MOST_GONE = 5
_PLACES = {"max_leverage": 2}
_MOST_PLACES = 18

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """`old` and `new` as people read them; "" stands for none."""

    symbol: str
    field: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Difference:
    """`listed` are the new and changed symbols as rows, `gone` no longer listed ones."""

    listed: Mapping[str, Row]
    gone: Sequence[str]
    changes: Sequence[Change]


def is_suspicious(gone: int, *, known: int) -> bool:
    """True when so many of the `known` symbols would disappear at once that the answer is more likely broken."""
    return gone > MOST_GONE and gone > known * MOST_GONE_RATE


def row_of(instrument: Instrument) -> Row | None:
    """Return the columns as the database keeps them; None when a step is too small to be kept."""
    row = {name: _kept(name, getattr(instrument, name)) for name in COLUMNS}
    if not all(row[name] > 0 for name in ("contract_size", "quantity_step", "price_tick")):
        return None
    return row | {"is_listed": True}


def difference(read: Mapping[str, Row], kept: Mapping[str, Row]) -> Difference:
    """Compare two listings, symbol to columns with `is_listed`; a kept row that is not listed any more stays so."""
    listed: dict[str, Row] = {}
    changes: list[Change] = []
    for symbol, row in read.items():
        old = kept.get(symbol)
        if old is None:
            listed[symbol] = row
            changes.append(Change(symbol, "is_listed", "", as_text(True)))
            continue
        found = [name for name in (*COLUMNS, "is_listed") if row[name] != old[name]]
        if found:
            listed[symbol] = row
            changes += [Change(symbol, name, as_text(old[name]), as_text(row[name])) for name in found]
    gone = sorted(symbol for symbol, row in kept.items() if row["is_listed"] and symbol not in read)
    changes += [Change(symbol, "is_listed", as_text(True), as_text(False)) for symbol in gone]
    return Difference(listed, gone, changes)


def symbols_listed(kept: Mapping[str, Row]) -> Collection[str]:
    return [symbol for symbol, row in kept.items() if row["is_listed"]]


def as_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return normalize_text(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


def _kept(name: str, value: Any) -> Any:
    """Round to what the column holds, so that a kept value equals the one it was made from."""
    if not isinstance(value, Decimal):
        return value
    return round(value, _PLACES.get(name, _MOST_PLACES))
