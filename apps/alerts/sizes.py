"""What the sender's strategy holds before and after an order, as its alert states both."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

# Scripts print what floats leave of a size.
_TOLERANCE = Decimal("0.000001")
_NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Held:
    """`size` is unsigned, in the sender's own units; `side` is "" where only the size was stated."""

    side: str
    size: Decimal

    def agrees(self, other: "Held") -> bool:
        if not _equal(self.size, other.size):
            return False
        return self.size == 0 or not self.side or not other.side or self.side == other.side

    @classmethod
    def read(cls, text: str) -> "Held":
        """Return what `str` of it said."""
        side, _, size = text.rpartition(" ")
        return FLAT if text == _NOTHING else cls(side, Decimal(size))

    @property
    def signed(self) -> Decimal:
        return -self.size if self.side == "short" else self.size

    def __str__(self) -> str:
        return f"{self.side} {self.size:f}".strip() if self.size else _NOTHING


FLAT = Held("flat", Decimal(0))


def before(understood: Mapping[str, str]) -> Held | None:
    return _held(understood, "prev_position", "prev_market_position_size")


def after(understood: Mapping[str, str]) -> Held | None:
    return _held(understood, "market_position", "market_position_size")


def fits_quantity(understood: Mapping[str, str]) -> bool:
    """Whether the order's quantity leads from one to the other: all three are in the same units, not one typed."""
    left, right = before(understood), after(understood)
    if left is None or right is None or not _is_plain(understood):
        return False
    return _equal(abs(right.signed - left.signed), Decimal(understood.get("quantity") or 0))


def _is_plain(understood: Mapping[str, str]) -> bool:
    return understood.get("quantity_type", "base") == "base"


def _equal(one: Decimal, other: Decimal) -> bool:
    return abs(one - other) <= max(one, other) * _TOLERANCE


def _held(understood: Mapping[str, str], side: str, size: str) -> Held | None:
    return Held(understood.get(side, ""), Decimal(understood[size])) if understood.get(size) else None
