"""What a flatten says of each account and each position: texts, kept in its row and shown as they are."""

from collections.abc import Collection, Mapping
from typing import Any

from apps.connectors.exchange import Book
from apps.connectors.models import Connector

# A symbol and a book.
Key = tuple[str, Book]
Row = dict[str, str]

CLOSING, CLOSED, FAILED = "closing", "closed", "failed"


class Report:
    """`rows` by what they are about. A row is CLOSING until its position is gone; FAILED is the last word on it."""

    def __init__(self, rows: Mapping[str, Any]) -> None:
        self.rows: dict[str, Row] = {name: dict(row) for name, row in rows.items()}

    @property
    def is_closing(self) -> bool:
        return any(row["state"] == CLOSING for row in self.rows.values())

    def failed(self) -> list[Row]:
        return [row for row in self.rows.values() if row["state"] == FAILED]

    def of(self, connector: Connector) -> "Report":
        """Return what it says of one account."""
        return Report({name: row for name, row in self.rows.items() if name.startswith(f"{connector.pk}|")})

    def say(self, connector: Connector, about: str, why: str, *, state: str, symbol: str = "account") -> None:
        """Say what keeps the account, or the `symbol`, from being closed."""
        self.rows[f"{connector.pk}|{about}"] = _row(connector, symbol, why, state=state)

    def unsay(self, connector: Connector, about: str) -> None:
        self.rows.pop(f"{connector.pk}|{about}", None)

    def position(self, connector: Connector, key: Key, *, found: str) -> Row:
        """Return the row of a position that is there, written when it was first found."""
        return self.rows.setdefault(
            _name(connector, key), {**_row(connector, key[0], "", state=CLOSING), "found": found}
        )

    def close_others(self, connector: Connector, still_there: Collection[Key]) -> None:
        """Call closed what is not there any more."""
        kept = {_name(connector, key) for key in still_there}
        for name, row in self.rows.items():
            if name.startswith(f"{connector.pk}|") and row["state"] == CLOSING and name not in kept:
                row |= {"state": CLOSED, "why": ""}

    def give_up(self, why: str) -> None:
        """Call failed what is not closed; `why` where nothing else was said."""
        for row in self.rows.values():
            if row["state"] == CLOSING:
                row |= {"state": FAILED, "why": row.get("why") or why}


def _name(connector: Connector, key: Key) -> str:
    symbol, book = key
    return f"{connector.pk}|{symbol}|{book.value}"


def _row(connector: Connector, symbol: str, why: str, *, state: str) -> Row:
    return {"connector": connector.label, "symbol": symbol, "found": "", "state": state, "why": why}
