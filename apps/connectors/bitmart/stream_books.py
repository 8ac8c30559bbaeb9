"""Order books from a stream: a snapshot, then updates by version. A missing version makes the book worthless."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from apps.connectors.bitmart.wire import Row, amount, text, whole, word
from apps.connectors.exchange import UnreachableError
from apps.connectors.streams import BookPushed, Level

LEVELS = 50


class GapError(Exception):
    """Updates of `symbol` are missing: nothing more is told of its book until a snapshot of it comes."""

    def __init__(self, symbol: str) -> None:
        super().__init__(symbol)
        self.symbol = symbol


@dataclass(frozen=True, slots=True)
class BookChange:
    """Levels as pushed; a quantity of 0 takes the level away."""

    symbol: str
    is_snapshot: bool
    version: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


@dataclass(slots=True)
class _Book:
    version: int
    bids: dict[Decimal, Decimal] = field(default_factory=dict)
    asks: dict[Decimal, Decimal] = field(default_factory=dict)


class Books:
    """The books of one connection; a new connection starts with none."""

    def __init__(self) -> None:
        self._books: dict[str, _Book] = {}
        self._waiting: set[str] = set()

    def apply(self, change: BookChange) -> BookPushed | None:
        """Return the book after the change, None when it changed nothing.

        GapError once for each gap: ask for a snapshot.
        """
        if change.is_snapshot:
            self._waiting.discard(change.symbol)
            book = self._books[change.symbol] = _Book(change.version)
        else:
            known = self._books.get(change.symbol)
            if known is not None and change.version <= known.version:
                # Older, or an empty update that repeats the version as a sign of life.
                return None
            if known is None or change.version != known.version + 1:
                self._drop(change.symbol)
                return None
            book = known
        book.version = change.version
        _put(book.bids, change.bids)
        _put(book.asks, change.asks)
        return BookPushed(
            change.symbol,
            change.version,
            bids=tuple(sorted(book.bids.items(), reverse=True)[:LEVELS]),
            asks=tuple(sorted(book.asks.items())[:LEVELS]),
        )

    def _drop(self, symbol: str) -> None:
        self._books.pop(symbol, None)
        if symbol not in self._waiting:
            self._waiting.add(symbol)
            raise GapError(symbol)


def read_change(row: Row, level: Callable[[object], Level]) -> BookChange | None:
    """Return the change a push tells; None when it cannot be read: the next version shows the gap."""
    kind = text(row, "type")
    if kind not in {"snapshot", "update"}:
        return None
    try:
        return BookChange(
            symbol=word(row, "symbol"),
            is_snapshot=kind == "snapshot",
            version=whole(row, "version"),
            bids=_levels(row.get("bids"), level),
            asks=_levels(row.get("asks"), level),
        )
    except UnreachableError:
        return None


def level_of(price: object, quantity: object) -> Level:
    pair = {"price": price, "quantity": quantity}
    return amount(pair, "price"), amount(pair, "quantity")


def _levels(value: object, level: Callable[[object], Level]) -> tuple[Level, ...]:
    return tuple(level(item) for item in value) if isinstance(value, list) else ()


def _put(side: dict[Decimal, Decimal], levels: Iterable[Level]) -> None:
    for price, quantity in levels:
        if quantity:
            side[price] = quantity
        else:
            side.pop(price, None)
