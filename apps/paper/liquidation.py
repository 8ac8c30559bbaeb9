"""Closing what the mark price has ruined: isolated positions by themselves, cross ones with the wallet behind them."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from apps.paper.amounts import ZERO, ceil_to, floor_to
from apps.paper.futures import FuturesDesk
from apps.paper.instruments import QUOTE, Catalogue
from apps.paper.prices import Prices
from apps.paper.records import Balance, Position
from apps.paper.store import Store
from apps.paper.wallets import FUTURES

# Positions that have gone are forgotten with all others once in a while.
_MOST_LOOKED = 20_000


@dataclass(frozen=True, slots=True)
class _Looked:
    """The rows last looked at, what they had above maintenance, and (symbol, mark then, coins) of each position."""

    rows: tuple[Position | Balance | None, ...]
    slack: Decimal
    marks: tuple[tuple[str, Decimal, Decimal], ...]


class Liquidator:
    def __init__(self, store: Store, catalogue: Catalogue, prices: Prices, futures: FuturesDesk) -> None:
        self._store = store
        self._catalogue = catalogue
        self._prices = prices
        self._futures = futures
        self._looked: dict[tuple[object, ...], _Looked] = {}

    def check(self, now_ms: int) -> None:
        held = self._store.hot(Position)
        if len(self._looked) > _MOST_LOOKED:
            self._looked.clear()
        for owner in held.group_keys("owner"):
            positions = held.untouched("owner", owner)
            for position in positions:
                if position.open_type == "isolated" and not self._is_safe((position,), None, now_ms):
                    closed = held.copy(position)
                    self._futures.force_close(closed, price=self.bankruptcy_price(closed), now_ms=now_ms)
            crossed = tuple(position for position in positions if position.open_type == "cross")
            if crossed and not self._is_safe(crossed, self._spare(owner[0]), now_ms):
                for position in [held.copy(one) for one in crossed]:
                    mark = self._prices.quote(position.symbol, now_ms).mark
                    self._futures.force_close(position, price=mark, now_ms=now_ms)

    def bankruptcy_price(self, position: Position) -> Decimal:
        """Return the price, on the tick and never beyond, at which the position's deposit pays loss and closing fee."""
        instrument = self._catalogue.futures[position.symbol]
        contracts = position.amount * instrument.contract_size
        rate = instrument.taker_fee_rate
        if position.side == "long":
            price = (position.cost - position.margin) / (contracts * (1 - rate))
            return max(ceil_to(price, instrument.tick), instrument.tick)
        price = (position.cost + position.margin) / (contracts * (1 + rate))
        return max(floor_to(price, instrument.tick), instrument.tick)

    def liquidation_price(self, position: Position) -> Decimal:
        """Return the mark at which an isolated position is closed; for a cross one, as if alone with spare money."""
        instrument = self._catalogue.futures[position.symbol]
        contracts = position.amount * instrument.contract_size
        deposit = position.margin
        spare = self._spare(position.account_id)
        if position.open_type == "cross" and spare is not None:
            deposit += spare.available
        room = deposit - self._futures.positions.maintenance(position, instrument)
        price = (position.cost - position.direction * room) / contracts
        return max(floor_to(price, instrument.tick), ZERO)

    def _spare(self, account_id: int) -> Balance | None:
        return self._store.hot(Balance).untouched_row((account_id, FUTURES, QUOTE))

    def _is_safe(self, positions: tuple[Position, ...], spare: Balance | None, now_ms: int) -> bool:
        """Say whether equity is above maintenance; at once while marks have moved less than there is room."""
        key = (positions[0].account_id, *(f"{one.symbol}{one.side}" for one in positions))
        looked = self._looked.get(key)
        rows = (*positions, spare)
        # A change of any figure is another row.
        is_same = looked is not None and all(row is other for row, other in zip(rows, looked.rows, strict=True))
        if looked is not None and is_same and self._moved(looked, now_ms) < looked.slack:
            return True
        slack, marks = self._slack(positions, spare, now_ms)
        if slack <= 0:
            self._looked.pop(key, None)
            return False
        self._looked[key] = _Looked(rows, slack, marks)
        return True

    def _moved(self, looked: _Looked, now_ms: int) -> Decimal:
        moved = ZERO
        for symbol, mark, coins in looked.marks:
            moved += abs(self._prices.quote(symbol, now_ms).mark - mark) * coins
        return moved

    def _slack(
        self, positions: Sequence[Position], spare: Balance | None, now_ms: int
    ) -> tuple[Decimal, tuple[tuple[str, Decimal, Decimal], ...]]:
        slack, marks = spare.available if spare else ZERO, []
        book = self._futures.positions
        for position in positions:
            instrument = self._catalogue.futures[position.symbol]
            mark = self._prices.quote(position.symbol, now_ms).mark
            slack += position.margin + book.unrealised(position, instrument, mark)
            slack -= book.maintenance(position, instrument)
            marks.append((position.symbol, mark, position.amount * instrument.contract_size))
        return slack, tuple(marks)
