"""Fill → position, fees, funding, PnL, at average cost per (connector, symbol, book). Pure and exact.

A position keeps the *cost* of what is open, not its average price: a close takes the whole remaining cost, so that a
position that went back to flat has realised exactly cash in minus cash out. Two things are rounded, half-even at the 18
decimals that are stored: the notional of a fill, and the share of the cost that a partial reduction takes with it. What
one reduction gains by rounding the last one gives back.

A fee in quote currency reduces PnL and is kept in `fees`. A fee in base coin (spot) is quantity that never arrived, or
that left as well: it changes the position and so is already inside `realized_pnl`. A fee in a third coin is a ledger
row in its own coin and touches neither.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from enum import StrEnum

from apps.connectors.exchange import Book, Market, Side
from apps.lib.decimals import FINEST

# Digits to reckon with: two stored figures of 38 multiplied, and room. Python's own 28 would round a large one.
WIDE = 100
_ZERO = Decimal(0)


class LedgerKind(StrEnum):
    REALIZED_PNL = "realized_pnl"
    FEE = "fee"
    FUNDING = "funding"
    EXTERNAL = "external"


@dataclass(frozen=True, slots=True)
class Contract:
    """What of an instrument the accounts need; `contract_size` is base units in one unit of quantity (1 on spot)."""

    market: Market
    base: str
    quote: str
    contract_size: Decimal


@dataclass(frozen=True, slots=True)
class FillFacts:
    """One match. `quantity` in exchange units; `fee` positive when it costs."""

    trade_id: str
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_currency: str
    filled_at: datetime


@dataclass(frozen=True, slots=True)
class AdjustmentFacts:
    """A change of the position that is no fill: signed, in exchange units; what came in is taken at `price`.

    `realises`: what left was closed at `price` for the trader's account, as by a liquidation.
    """

    change: Decimal
    price: Decimal
    at: datetime
    realises: bool = False


@dataclass(frozen=True, slots=True)
class PositionState:
    """`cost` is what the open quantity cost, in quote currency, never negative and 0 when flat.

    `realized_pnl` is gross of quote fees; `fees` are quote fees paid (negative = rebates); `funding` is received.
    """

    book: Book = Book.NET
    signed_quantity: Decimal = _ZERO
    cost: Decimal = _ZERO
    realized_pnl: Decimal = _ZERO
    fees: Decimal = _ZERO
    funding: Decimal = _ZERO
    opened_at: datetime | None = None
    last_fill_at: datetime | None = None
    last_trade_id: str = ""

    @property
    def net_realized_pnl(self) -> Decimal:
        with localcontext(prec=WIDE):
            return self.realized_pnl - self.fees + self.funding

    def avg_entry_price(self, contract_size: Decimal) -> Decimal:
        """Return quote per base unit to 18 decimals; 0 when flat."""
        if self.signed_quantity == 0:
            return _ZERO
        with localcontext(prec=WIDE):
            return _stored(self.cost / (abs(self.signed_quantity) * contract_size))


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """`amount` signed, positive = received."""

    kind: LedgerKind
    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class Effects:
    """What one fill did. `realized` gross, in quote; `cash` = minus signed notional minus quote fee, in quote.

    `external_quantity` (exchange units, unsigned) is what was sold or closed beyond what our fills account for: it came
    from outside, is taken in at the fill's price and realises nothing. Above 0, the trader should be told.
    """

    rows: tuple[LedgerRow, ...]
    realized: Decimal
    cash: Decimal
    external_quantity: Decimal = _ZERO


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """`effects` by trade id, in the order of the fills."""

    state: PositionState
    effects: Mapping[str, Effects]


def apply_fill(state: PositionState, fill: FillFacts, *, contract: Contract) -> tuple[PositionState, Effects]:
    """Return the position after `fill` and what it did. The caller sees to it that each trade id comes once.

    A fill older than the last one applied gives another average cost than `rebuild` would: see `is_late`.
    ValueError for a quantity, price or base fee that no exchange could report.
    """
    with localcontext(prec=WIDE):
        moved = _moved_quantity(fill, contract)
        notional = _stored(fill.quantity * contract.contract_size * fill.price)
        held = abs(state.signed_quantity)
        closing = min(moved, held) if _is_against(state, fill.side) else _ZERO
        opening = moved - closing if _may_open(state.book, fill.side, contract.market) else _ZERO
        external = moved - closing - opening

        closing_value = notional if closing == moved else _stored(notional * closing / moved)
        removed_cost = state.cost if closing == held else _stored(state.cost * closing / held)
        realized = closing_value - removed_cost if fill.side is Side.SELL else removed_cost - closing_value
        if not closing:
            removed_cost = realized = _ZERO

        quote_fee = fill.fee if fill.fee_currency == contract.quote else _ZERO
        after = replace(
            state,
            signed_quantity=state.signed_quantity + _signed(closing + opening, fill.side),
            cost=state.cost - removed_cost + (notional - closing_value if opening else _ZERO),
            realized_pnl=state.realized_pnl + realized,
            fees=state.fees + quote_fee,
            opened_at=_opened_at(state, closing=closing, opening=opening, at=fill.filled_at),
            last_fill_at=fill.filled_at,
            last_trade_id=fill.trade_id,
        )
        rows: list[LedgerRow] = []
        if closing:
            rows.append(LedgerRow(LedgerKind.REALIZED_PNL, realized, contract.quote))
        if fill.fee:
            rows.append(LedgerRow(LedgerKind.FEE, -fill.fee, fill.fee_currency))
        if external:
            # What left without ever having come in here must have come in elsewhere: the opposite sign of the fill.
            taken_in = -_signed(external, fill.side) * contract.contract_size
            rows.append(LedgerRow(LedgerKind.EXTERNAL, taken_in, contract.base))
        cash = -_signed(notional, fill.side) - quote_fee
        return after, Effects(tuple(rows), realized, cash, external)


def is_late(state: PositionState, fill: FillFacts) -> bool:
    """True when `fill` belongs before one that was already applied: rebuild instead of applying."""
    if state.last_fill_at is None:
        return False
    return _moment(fill.filled_at, fill.trade_id) < _moment(state.last_fill_at, state.last_trade_id)


def rebuild(
    fills: Iterable[FillFacts],
    *,
    contract: Contract,
    book: Book = Book.NET,
    adjustments: Iterable[AdjustmentFacts] = (),
) -> Rebuilt:
    """Return what `fills` and `adjustments` add up to, whatever their order and however often each fill comes.

    Funding is neither: add it to the result again.
    """
    state = PositionState(book=book)
    effects: dict[str, Effects] = {}
    waiting = sorted(adjustments, key=lambda one: one.at)
    for fill in sorted(fills, key=lambda fill: _moment(fill.filled_at, fill.trade_id)):
        if fill.trade_id not in effects:
            while waiting and waiting[0].at < fill.filled_at:
                state = adjust_by(state, waiting.pop(0), contract=contract)
            state, effects[fill.trade_id] = apply_fill(state, fill, contract=contract)
    for adjustment in waiting:
        state = adjust_by(state, adjustment, contract=contract)
    return Rebuilt(state, effects)


def adjust_by(state: PositionState, adjustment: AdjustmentFacts, *, contract: Contract) -> PositionState:
    """Return the position changed by what is no fill; a book that knows one side ends at zero, not beyond."""
    target = state.signed_quantity + adjustment.change
    if contract.market is Market.SPOT or state.book is Book.LONG:
        target = max(target, _ZERO)
    if state.book is Book.SHORT:
        target = min(target, _ZERO)
    after, _ = adjust_external(
        state, target, price=adjustment.price, at=adjustment.at, contract=contract, realises=adjustment.realises
    )
    return after


def apply_funding(state: PositionState, amount: Decimal, *, contract: Contract) -> tuple[PositionState, Effects]:
    """Return the position after a funding payment; `amount` in quote, positive = received."""
    row = LedgerRow(LedgerKind.FUNDING, amount, contract.quote)
    with localcontext(prec=WIDE):
        return replace(state, funding=state.funding + amount), Effects((row,), realized=_ZERO, cash=amount)


def adjust_external(
    state: PositionState,
    signed_quantity: Decimal,
    *,
    price: Decimal,
    at: datetime,
    contract: Contract,
    realises: bool = False,
) -> tuple[PositionState, Effects]:
    """Return the position set to what the exchange holds. What left, left at its own cost and realised nothing, unless
    it `realises` at `price`; what came in is taken at `price`. ValueError for a short on spot or the wrong sign for a
    hedge book.
    """
    if signed_quantity < 0 and (contract.market is Market.SPOT or state.book is Book.LONG):
        raise ValueError(f"{state.book} on {contract.market} cannot be short: {signed_quantity}")
    if signed_quantity > 0 and state.book is Book.SHORT:
        raise ValueError(f"the short book cannot be long: {signed_quantity}")
    with localcontext(prec=WIDE):
        held, target = abs(state.signed_quantity), abs(signed_quantity)
        kept = min(held, target) if state.signed_quantity * signed_quantity > 0 else _ZERO
        kept_cost = state.cost if kept == held else _stored(state.cost * kept / held)
        cost = kept_cost + _stored((target - kept) * contract.contract_size * price)
        change = signed_quantity - state.signed_quantity
        realized = _ZERO
        if realises:
            value = _stored((held - kept) * contract.contract_size * price)
            realized = (value - (state.cost - kept_cost)) * (1 if state.signed_quantity > 0 else -1)
        opened_at = (state.opened_at if kept else at) if target else None
        after = replace(
            state,
            signed_quantity=signed_quantity,
            cost=cost,
            realized_pnl=state.realized_pnl + realized,
            opened_at=opened_at,
        )
        rows: list[LedgerRow] = []
        if change:
            rows.append(LedgerRow(LedgerKind.EXTERNAL, change * contract.contract_size, contract.base))
        if realized:
            rows.append(LedgerRow(LedgerKind.REALIZED_PNL, realized, contract.quote))
        return after, Effects(tuple(rows), realized=realized, cash=_ZERO, external_quantity=abs(change))


def unrealized_pnl(state: PositionState, mark_price: Decimal, *, contract_size: Decimal) -> Decimal:
    """Return open PnL at `mark_price`, in quote, before closing fees, to 18 decimals; 0 when flat."""
    with localcontext(prec=WIDE):
        value = abs(state.signed_quantity) * contract_size * mark_price
        return _stored(value - state.cost if state.signed_quantity >= 0 else state.cost - value)


def _moved_quantity(fill: FillFacts, contract: Contract) -> Decimal:
    """Return the unsigned quantity that came or left, a base fee on spot included."""
    if fill.quantity <= 0 or fill.price <= 0:
        raise ValueError(f"a fill has a positive quantity and price: {fill}")
    if contract.market is not Market.SPOT or fill.fee_currency != contract.base:
        return fill.quantity
    moved = fill.quantity - fill.fee if fill.side is Side.BUY else fill.quantity + fill.fee
    if moved <= 0:
        raise ValueError(f"the base fee takes the whole fill: {fill}")
    return moved


def _is_against(state: PositionState, side: Side) -> bool:
    return state.signed_quantity > 0 if side is Side.SELL else state.signed_quantity < 0


def _may_open(book: Book, side: Side, market: Market) -> bool:
    """Only the net futures position goes through zero; spot and the hedge books each know one side."""
    if side is Side.BUY:
        return book is not Book.SHORT
    return market is Market.FUTURES and book is not Book.LONG


def _opened_at(state: PositionState, *, closing: Decimal, opening: Decimal, at: datetime) -> datetime | None:
    is_closed = closing == abs(state.signed_quantity)
    if opening and is_closed:
        return at
    return None if is_closed else state.opened_at


def _signed(amount: Decimal, side: Side) -> Decimal:
    return amount if side is Side.BUY else -amount


def _moment(at: datetime, trade_id: str) -> tuple[datetime, int, str]:
    # By length first: trade ids are numbers written as text.
    return (at, len(trade_id), trade_id)


def _stored(value: Decimal) -> Decimal:
    return value.quantize(FINEST, rounding=ROUND_HALF_EVEN)
