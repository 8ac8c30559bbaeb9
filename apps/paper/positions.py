"""What fills, funding and liquidation do to futures positions and to the money behind them."""

from dataclasses import dataclass, replace
from decimal import Decimal

from apps.paper.amounts import ZERO
from apps.paper.book import closing_share, increase, initial_margin, reduce, unrealised
from apps.paper.events import PositionChanged
from apps.paper.instruments import QUOTE, FuturesInstrument
from apps.paper.records import Position, Transaction
from apps.paper.store import Store
from apps.paper.wallets import FUTURES, Wallets

FLOW_TYPES = {
    "Transfer": 1,
    "Realized PNL": 2,
    "Funding Fee": 3,
    "Commission Fee": 4,
    "Liquidation Clearance": 5,
}


@dataclass(frozen=True, slots=True)
class Change:
    """A part of a fill that only opens or only closes."""

    side: str
    amount: Decimal
    price: Decimal
    fee_rate: Decimal
    now_ms: int


class PositionBook:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._wallets = Wallets(store)

    def held(self, account_id: int, symbol: str = "") -> list[Position]:
        found = self._store.hot(Position).group("owner", (account_id,))
        rows = [position for position in found if symbol in {"", position.symbol}]
        return sorted(rows, key=lambda position: (position.symbol, position.side))

    def all_held(self) -> list[Position]:
        return self._store.hot(Position).rows()

    def find(self, account_id: int, symbol: str, side: str) -> Position | None:
        return self._store.get(Position, account_id, symbol, side)

    def margin_to_open(self, instrument: FuturesInstrument, value: Decimal, leverage: Decimal) -> Decimal:
        """Return what an opening takes from available money: the deposit and the opening fee at the taker rate."""
        deposit = initial_margin(value, leverage=leverage, fee_rate=instrument.taker_fee_rate)
        return deposit + value * instrument.taker_fee_rate

    def open(
        self,
        account_id: int,
        instrument: FuturesInstrument,
        change: Change,
        *,
        leverage: Decimal,
        open_type: str,
    ) -> Decimal:
        """Grow or start a position and return the fee paid. The caller has seen to it that the money is there."""
        value = instrument.value(change.amount, change.price)
        fee = value * change.fee_rate
        margin = initial_margin(value, leverage=leverage, fee_rate=instrument.taker_fee_rate)
        position = self.find(account_id, instrument.symbol, change.side) or Position(
            account_id=account_id,
            symbol=instrument.symbol,
            side=change.side,
            amount=ZERO,
            leverage=leverage,
            open_type=open_type,
            cost=ZERO,
            margin=ZERO,
            realised=ZERO,
            funding=ZERO,
            opened_volume=ZERO,
            opened_value=ZERO,
            closed_volume=ZERO,
            closed_value=ZERO,
            opened_ms=change.now_ms,
            updated_ms=change.now_ms,
        )
        increase(position, amount=change.amount, value=value, margin=margin, fee=fee)
        position.updated_ms = change.now_ms
        self._save(position)
        self._wallets.change(account_id, FUTURES, QUOTE, available=-margin - fee)
        self.book(account_id, instrument.symbol, kind="Commission Fee", amount=-fee, now_ms=change.now_ms)
        return fee

    def close(self, position: Position, instrument: FuturesInstrument, change: Change) -> tuple[Decimal, Decimal]:
        """Shrink or end a position and return (fee paid, PnL before fees)."""
        value = instrument.value(change.amount, change.price)
        fee = value * change.fee_rate
        pnl, margin = closing_share(position, amount=change.amount, value=value)
        reduce(position, amount=change.amount, value=value, fee=fee)
        position.updated_ms = change.now_ms
        self._save(position)
        self._settle(position, margin + pnl - fee, now_ms=change.now_ms)
        self.book(position.account_id, position.symbol, kind="Realized PNL", amount=pnl, now_ms=change.now_ms)
        self.book(position.account_id, position.symbol, kind="Commission Fee", amount=-fee, now_ms=change.now_ms)
        return fee, pnl

    def pay_funding(
        self, position: Position, instrument: FuturesInstrument, *, mark: Decimal, rate: Decimal, now_ms: int
    ) -> None:
        """Move value at mark × rate: a long pays when the rate is positive, a short receives it."""
        amount = -position.direction * instrument.value(position.amount, mark) * rate
        available = self._wallets.balance(position.account_id, FUTURES, QUOTE).available
        from_available = max(amount, -available)
        position.margin = max(position.margin + amount - from_available, ZERO)
        position.funding += amount
        position.realised += amount
        position.updated_ms = now_ms
        self._save(position)
        self._wallets.change(position.account_id, FUTURES, QUOTE, available=from_available, cause="funding")
        self.book(position.account_id, position.symbol, kind="Funding Fee", amount=amount, now_ms=now_ms)

    def unrealised(self, position: Position, instrument: FuturesInstrument, price: Decimal) -> Decimal:
        return unrealised(position, instrument.value(position.amount, price))

    def maintenance(self, position: Position, instrument: FuturesInstrument) -> Decimal:
        return position.cost * instrument.maintenance_rate(position.cost)

    def book(self, account_id: int, symbol: str, *, kind: str, amount: Decimal, now_ms: int) -> None:
        """Write a transaction row; amount is signed, negative = paid."""
        self._store.save(
            Transaction(
                id=self._store.new_id(Transaction),
                account_id=account_id,
                symbol=symbol,
                type=kind,
                flow_type=FLOW_TYPES[kind],
                amount=amount,
                asset=QUOTE,
                created_ms=now_ms,
            )
        )

    def _save(self, position: Position) -> None:
        if position.amount:
            self._store.save(position)
        else:
            self._store.delete(position)
        if self._store.feed.is_heard:
            self._store.feed.add(PositionChanged(position.account_id, replace(position)))

    def _settle(self, position: Position, amount: Decimal, *, now_ms: int) -> None:
        """Give back what a close leaves. A loss beyond all available money is the insurance fund's, and is shown."""
        available = self._wallets.balance(position.account_id, FUTURES, QUOTE).available
        taken = max(amount, -available)
        self._wallets.change(position.account_id, FUTURES, QUOTE, available=taken)
        if taken != amount:
            kind = "Liquidation Clearance"
            self.book(position.account_id, position.symbol, kind=kind, amount=taken - amount, now_ms=now_ms)
