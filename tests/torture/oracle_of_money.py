"""What a run of fills comes to, in fractions and without rounding: nothing here is taken from our accounting."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

NOTHING = Fraction(0)


@dataclass(frozen=True, slots=True)
class Match:
    """One fill as the exchange tells it; `sign` is +1 for a buy."""

    trade_id: str
    sign: int
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_currency: str
    at: datetime


@dataclass(slots=True)
class Account:
    """Quantities in exchange units, money in quote currency; `size` is the contract's. `external` in exchange units."""

    is_spot: bool
    side: int  # +1 a book that only knows long, -1 only short, 0 both
    base: str
    quote: str
    size: Fraction
    held: Fraction = NOTHING
    cost: Fraction = NOTHING
    realized: Fraction = NOTHING
    cash: Fraction = NOTHING
    fees: dict[str, Fraction] = field(default_factory=dict)
    external: Fraction = NOTHING
    of_fill: dict[str, Fraction] = field(default_factory=dict)
    opened_at: datetime | None = None
    lots: deque[tuple[Fraction, Fraction]] = field(default_factory=deque)  # quantity, value
    first_in_first_out: Fraction = NOTHING

    def play(self, matches: list[Match]) -> None:
        known = {match.trade_id: match for match in matches}
        for match in sorted(known.values(), key=lambda one: (one.at, len(one.trade_id), one.trade_id)):
            self._take(match)

    def _take(self, match: Match) -> None:
        quantity, fee = Fraction(match.quantity), Fraction(match.fee)
        value = quantity * self.size * Fraction(match.price)
        self.fees[match.fee_currency] = self.fees.get(match.fee_currency, NOTHING) + fee
        self.cash -= match.sign * value
        moved = quantity
        if self.is_spot and match.fee_currency == self.base:
            moved -= match.sign * fee
        against = self.held * match.sign < 0
        closing = min(moved, abs(self.held)) if against else NOTHING
        rest = moved - closing
        if self.side and match.sign != self.side:
            # What was not held here cannot be sold from here: it came from elsewhere.
            self.external -= match.sign * rest
            opening = NOTHING
        else:
            opening = rest
        realized = NOTHING
        if closing:
            brought = value * closing / moved
            taken = self.cost * closing / abs(self.held)
            realized = -match.sign * (brought - taken)
            self.cost -= taken
            self._match_oldest(closing, brought, match.sign)
            if closing == abs(self.held):
                self.opened_at = None
            self.held += match.sign * closing
        if opening:
            if not self.held:
                self.opened_at = match.at
            self.held += match.sign * opening
            self.cost += value * opening / moved
            self.lots.append((opening, value * opening / moved))
        self.realized += realized
        self.of_fill[match.trade_id] = realized

    def _match_oldest(self, closing: Fraction, brought: Fraction, sign: int) -> None:
        left = closing
        while left:
            quantity, value = self.lots.popleft()
            part = min(quantity, left)
            self.first_in_first_out += -sign * (brought * part / closing - value * part / quantity)
            if part < quantity:
                self.lots.appendleft((quantity - part, value * (quantity - part) / quantity))
            left -= part
