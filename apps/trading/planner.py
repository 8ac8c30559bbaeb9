"""Signal + what is held + settings → the orders to send. Pure: no clock, no network, no database.

    message             held on the claimed side      becomes
    ------------------  ----------------------------  -----------------------------------------------------------
    entry               nothing opposite              o: open or add
    entry               opposite position             c: close it, then o: open (FOLLOW: o as written)
    exit, q <= held     yes                           c: reduce by q
    exit, q > held      yes                           c: close; then o: open the rest (CLOSE_ONLY pointer: nothing more)
    exit                no                            nothing (FOLLOW: o as written on a net position)
    close all           yes                           c: close; on a hedge account l and s, one for each book

An entry whose message states another side for after it opens nothing (FOLLOW: o as written): it closes what is held on
the opposite side, down to what is stated.

A reduce-only message is an exit of what its action is against, and neither setting makes it open anything.

A message without the hedge key means one net position. On an account in hedge mode, which has no net book, it is run
with orders on the long and short books: entries close the opposite book first, so it never leaves both sides open.
A message with the hedge key touches each book by itself and is refused on an account that has no books.
"""

from dataclasses import replace
from decimal import Decimal, localcontext

from apps.connectors.exchange import Book, Instrument, Market, PositionMode, Side
from apps.connectors.policies import ExitExcess, Mismatch
from apps.lib.decimals import floor_to_step, normalize_text
from apps.trading.denials import Denial, DenialCode
from apps.trading.legs import (
    NOTHING,
    Holding,
    Intent,
    Leg,
    Note,
    NoteCode,
    Plan,
    PlanSettings,
    ShadowPosition,
)
from apps.trading.shadow import plan_spot
from apps.trading.signal import PrevPosition, Signal, SignalKind
from apps.trading.targets import Target, TargetContradictionError, about_equal, read_target, stated_side
from apps.trading.wording import (
    describe_holding,
    exact_units,
    is_dust,
    own_side,
    target_contradicts,
    too_small,
    unit_of,
)

__all__ = [
    "Holding",
    "Intent",
    "Leg",
    "Note",
    "NoteCode",
    "Plan",
    "PlanSettings",
    "ShadowPosition",
    "plan",
]

_FLAT, _LONG, _SHORT = PrevPosition.FLAT, PrevPosition.LONG, PrevPosition.SHORT
_OPPOSITE = {_LONG: _SHORT, _SHORT: _LONG}
_CLOSING = {_LONG: Side.SELL, _SHORT: Side.BUY}
_OPENING = {_LONG: Side.BUY, _SHORT: Side.SELL}
_WIDE = 100


def plan(
    signal: Signal,
    *,
    instrument: Instrument,
    holding: Holding,
    settings: PlanSettings,
    position_mode: PositionMode,
    shadow: ShadowPosition | None = None,
    unheard: Holding = NOTHING,
) -> Plan:
    """Return the legs for one signal, or why there are none.

    `holding` is what the exchange holds now; `shadow` what is stored for the (pointer, ticker) on spot, None = unknown;
    `unheard` what the strategy has beyond that for all it knows (see Counts).
    ValueError when an order signal lacks action, previous position or a positive quantity in base units.
    """
    if signal.reduce_only:
        settings = _reducing(settings)
    with localcontext(prec=_WIDE):
        is_spot = instrument.market is Market.SPOT
        has_books = position_mode is PositionMode.HEDGE and not is_spot
        if signal.kind is SignalKind.ORDER and signal.hedge and not has_books:
            found = "a spot account" if is_spot else "in one-way mode"
            denial = Denial(DenialCode.HEDGE_MODE_MISMATCH, {"found": found, "symbol": instrument.symbol})
            return Plan(signal.prev_position, holding, denial=denial, shadow_after=shadow)
        if is_spot:
            return plan_spot(
                signal, instrument=instrument, holding=holding, settings=settings, shadow=shadow, unheard=unheard
            )
        return _FuturesPlanner(signal, instrument, holding, settings, has_books=has_books, unheard=unheard).plan()


def _reducing(settings: PlanSettings) -> PlanSettings:
    mismatch = Mismatch.CLOSE_ONLY if settings.mismatch is Mismatch.FOLLOW else settings.mismatch
    return replace(settings, exit_excess=ExitExcess.CLOSE_ONLY, mismatch=mismatch)


class _FuturesPlanner:
    """One signal against one futures holding. Quantities without a suffix are contracts, not yet floored."""

    def __init__(
        self,
        signal: Signal,
        instrument: Instrument,
        holding: Holding,
        settings: PlanSettings,
        *,
        has_books: bool,
        unheard: Holding,
    ) -> None:
        self.signal = signal
        self.instrument = instrument
        self.holding = holding
        self.settings = settings
        self.has_books = has_books
        self.unheard = unheard
        self.notes: list[Note] = []

    def plan(self) -> Plan:
        if self.signal.kind is SignalKind.CLOSE_ALL:
            return self._close_all()
        self.own = own_side(self.signal)
        self.quantity = exact_units(self.signal, self.instrument)
        self.target = self._target()
        self._note_residue()
        if self.signal.is_exit:
            return self._exit(_OPPOSITE[self.own])
        return self._entry(_OPPOSITE[self.own])

    # entries

    def _entry(self, opposite: PrevPosition) -> Plan:
        stated = stated_side(self.signal)
        if stated is not None and stated is not self.own and self.settings.mismatch is not Mismatch.FOLLOW:
            return self._entry_to_other_side(opposite, Target(stated, self.signal.market_position_size))
        if floor_to_step(self.quantity, self.instrument.quantity_step) < self.instrument.min_quantity:
            return self._too_small()
        held = self.holding.of(self.own)
        against = Decimal(0) if self.signal.hedge else self.holding.of(opposite)
        is_mismatch = against > 0 or (self.signal.prev_position is not _FLAT and held == 0)
        if is_mismatch and self.settings.mismatch is Mismatch.REJECT:
            return self._mismatch_denial()
        if self._has_gap(held) and not is_mismatch and self.settings.mismatch is Mismatch.REJECT:
            return self._mismatch_denial()
        if is_mismatch:
            self._note_mismatch()
        if is_mismatch and self.settings.mismatch is Mismatch.FOLLOW:
            return self._legs(self._opening(self.quantity, after=None))
        if held > 0 and self.signal.prev_position is _FLAT:
            self._note(NoteCode.ADDED_TO_HELD, held=held)
        wanted = self._entry_quantity(held)
        if wanted <= 0 and not against:
            return self._at_target()
        closing = self._closing(opposite, against) if against else None
        if wanted <= 0 or (closing and self._is_dust(wanted)):
            return self._legs(closing)
        return self._legs(closing, self._opening(wanted, after=closing.code if closing else None))

    def _entry_to_other_side(self, opposite: PrevPosition, target: Target) -> Plan:
        """A typed previous position beside the strategy's own state: what it would open is not what it has after it."""
        against = Decimal(0) if self.signal.hedge else self.holding.of(opposite)
        if against and self.settings.mismatch is Mismatch.REJECT:
            return self._mismatch_denial()
        if not against:
            denial = target_contradicts(self.signal, target.side, self.instrument)
            return Plan(self.signal.prev_position, self.holding, denial=denial, notes=tuple(self.notes))
        self._note_mismatch()
        self.target = target
        if target.side is _FLAT:
            return self._legs(self._closing(opposite, against))
        return self._reduce_to(opposite, against, target.size)

    def _entry_quantity(self, held: Decimal) -> Decimal:
        """Never more than the message asks for: a target alone may not enlarge an order."""
        if self.target is None or self.target.size is None:
            return self.quantity
        missing = self._contracts(self.target.size) - held
        if about_equal(missing, self.quantity, step=self.instrument.quantity_step):
            return self.quantity
        self._note(NoteCode.TARGET_USED, target=self._contracts(self.target.size), held=held)
        return Decimal(0) if missing > 0 and self._is_dust(missing) else min(missing, self.quantity)

    # exits

    def _exit(self, claimed: PrevPosition) -> Plan:
        held = self.holding.of(claimed)
        if held == 0:
            return self._exit_without_position()
        self._has_gap(held)
        if self.target is not None:
            return self._exit_to_target(claimed, held, self.target)
        excess = self.quantity - held
        if excess < 0:
            return self._legs(self._closing(claimed, self.quantity))
        closing = self._closing(claimed, held)
        if excess == 0:
            return self._legs(closing)
        if self._is_dust(excess):
            self._note(NoteCode.EXCESS_WITHIN_TOLERANCE, excess=excess)
            return self._legs(closing)
        if self.settings.exit_excess is ExitExcess.CLOSE_ONLY:
            self._note(NoteCode.EXCESS_NOT_OPENED, excess=excess)
            return self._legs(closing)
        meant = self.quantity - self._believed(claimed, held)
        if meant <= 0 or self._is_dust(meant):
            meant = Decimal(0)
        if meant < excess:
            self._note(NoteCode.EXIT_OF_MORE_THAN_HELD, excess=excess, kept=excess - meant)
        return self._legs(closing, self._opening(meant, after="c") if meant else None)

    def _believed(self, claimed: PrevPosition, held: Decimal) -> Decimal:
        """Return what the strategy closes when it closes all: as it says, else what it cannot know of is added."""
        before = self.signal.prev_market_position_size
        return held + self.unheard.of(claimed) if before is None else max(held, self._contracts(before))

    def _exit_to_target(self, claimed: PrevPosition, held: Decimal, target: Target) -> Plan:
        if target.side is claimed:
            return self._reduce_to(claimed, held, target.size)
        closing = self._closing(claimed, held)
        if target.side is _FLAT:
            if held != self.quantity:
                self._note(NoteCode.TARGET_USED, target=Decimal(0), held=held)
            return self._legs(closing)
        excess, meant = self.quantity - held, self.quantity - self._believed(claimed, held)
        if target.size is None and meant < excess:
            self._note(NoteCode.EXIT_OF_MORE_THAN_HELD, excess=excess, kept=excess - max(meant, Decimal(0)))
        return self._legs(closing, self._reversal_opening(target, default=meant, after="c"))

    def _reduce_to(self, claimed: PrevPosition, held: Decimal, size: Decimal | None) -> Plan:
        """A partial exit: down to the stated size, whatever the quantity; never through zero."""
        if size is None:
            return self._legs(self._closing(claimed, min(self.quantity, held)))
        rest = self._contracts(size)
        if self._is_dust(held - rest):
            return self._at_target()
        if not about_equal(held - rest, self.quantity, step=self.instrument.quantity_step):
            self._note(NoteCode.TARGET_USED, target=rest, held=held)
            return self._legs(self._closing(claimed, held - rest))
        return self._legs(self._closing(claimed, min(self.quantity, held)))

    def _exit_without_position(self) -> Plan:
        if self.settings.mismatch is Mismatch.REJECT:
            return self._mismatch_denial()
        self._note_mismatch()
        # On a book of its own an exit cannot be sent "as written": the exchange has nothing there to reduce.
        if self.settings.mismatch is Mismatch.FOLLOW and not self.signal.hedge:
            return self._legs(self._opening(self.quantity, after=None))
        if self.target is not None and self.target.side is self.own:
            opening = self._reversal_opening(self.target, default=None, after=None)
            return self._legs(opening) if opening else self._nothing_to_close()
        return self._nothing_to_close()

    def _reversal_opening(self, target: Target, *, default: Decimal | None, after: str | None) -> Leg | None:
        """The opening half of a reversal whose target is stated; None where there is nothing to open."""
        wanted = min(self._contracts(target.size), self.quantity) if target.size is not None else default
        if wanted is None:
            return None
        if target.size is not None and not self.signal.hedge:
            wanted -= self.holding.of(self.own)
        if wanted <= 0 or self._is_dust(wanted):
            return None
        if self.settings.exit_excess is ExitExcess.CLOSE_ONLY:
            self._note(NoteCode.EXCESS_NOT_OPENED, excess=wanted)
            return None
        if default is None or wanted != default:
            self._note(NoteCode.TARGET_USED, target=wanted, held=self.holding.of(_OPPOSITE[self.own]))
        return self._opening(wanted, after=after)

    # close all

    def _close_all(self) -> Plan:
        codes = {_LONG: "l", _SHORT: "s"} if self.has_books else {_LONG: "c", _SHORT: "c"}
        legs = [
            self._closing(side, self.holding.of(side), code=codes[side])
            for side in (_LONG, _SHORT)
            if self.holding.of(side) > 0
        ]
        return self._legs(*legs) if legs else self._nothing_to_close()

    # legs

    def _book(self, side: PrevPosition) -> Book:
        if not self.has_books:
            return Book.NET
        return Book.LONG if side is _LONG else Book.SHORT

    def _closing(self, side: PrevPosition, quantity: Decimal, *, code: str = "c") -> Leg:
        held = self.holding.of(side)
        floored = floor_to_step(min(quantity, held), self.instrument.quantity_step)
        is_whole = floored == floor_to_step(held, self.instrument.quantity_step)
        how_much = "the whole" if is_whole else f"{normalize_text(floored)} {unit_of(self.instrument)} of the"
        size = f" of {normalize_text(held)} {unit_of(self.instrument)}" if is_whole else ""
        return Leg(
            code=code,
            intent=Intent.EXIT,
            side=_CLOSING[side],
            book=self._book(side),
            quantity=floored,
            reduce_only=True,
            sentence=f"Close {how_much} {side} position{size} on {self.instrument.symbol}",
            is_whole=is_whole,
        )

    def _opening(self, quantity: Decimal, *, after: str | None) -> Leg:
        floored = floor_to_step(quantity, self.instrument.quantity_step)
        size = f"{normalize_text(floored)} {unit_of(self.instrument)}"
        then = " when the closing order is filled" if after else ""
        return Leg(
            code="o",
            intent=Intent.ENTRY,
            side=_OPENING[self.own],
            book=self._book(self.own),
            quantity=floored,
            reduce_only=False,
            sentence=f"Open {self.own} {size} on {self.instrument.symbol}{then}",
            after=after,
        )

    # answers

    def _legs(self, *legs: Leg | None) -> Plan:
        present = tuple(leg for leg in legs if leg is not None)
        if any(leg.quantity == 0 for leg in present):
            return self._too_small()
        return Plan(self.signal.prev_position, self.holding, legs=present, notes=tuple(self.notes))

    def _too_small(self) -> Plan:
        denial = too_small(self.signal, self.instrument)
        return Plan(self.signal.prev_position, self.holding, denial=denial, notes=tuple(self.notes))

    def _mismatch_denial(self) -> Plan:
        denial = Denial(DenialCode.POSITION_MISMATCH, self._sides())
        return Plan(self.signal.prev_position, self.holding, denial=denial, notes=tuple(self.notes))

    def _nothing_to_close(self) -> Plan:
        outcome = Denial(DenialCode.NOTHING_TO_CLOSE, self._sides())
        return Plan(self.signal.prev_position, self.holding, outcome=outcome, notes=tuple(self.notes))

    def _at_target(self) -> Plan:
        size = self.target.size if self.target and self.target.size is not None else Decimal(0)
        target = f"{self.target.side if self.target else _FLAT} {normalize_text(size)}"
        facts = {**self._sides(), "target": f"{target} {self.instrument.base}"}
        outcome = Denial(DenialCode.ALREADY_AT_TARGET, facts)
        return Plan(self.signal.prev_position, self.holding, outcome=outcome, notes=tuple(self.notes))

    # reading the message

    def _target(self) -> Target | None:
        try:
            return read_target(self.signal, own=self.own, step=self._base_step())
        except TargetContradictionError:
            if self.signal.is_exit or stated_side(self.signal) in {None, self.own}:
                self._note(NoteCode.TARGET_DISREGARDED)
            return None

    def _has_gap(self, held: Decimal) -> bool:
        """The stated size before the order differs from what is held: an alert was missed or somebody else traded."""
        before = self.signal.prev_market_position_size
        if before is None or self.target is None:
            return False
        before_contracts = self._contracts(before)
        if about_equal(before_contracts, held, step=self.instrument.quantity_step):
            return False
        self._note(NoteCode.POSITION_GAP, stated=before_contracts, held=held)
        return True

    def _contracts(self, base: Decimal) -> Decimal:
        return base / self.instrument.contract_size

    def _base_step(self) -> Decimal:
        return self.instrument.quantity_step * self.instrument.contract_size

    def _is_dust(self, quantity: Decimal) -> bool:
        return is_dust(quantity, of=self.quantity, instrument=self.instrument, price=self.signal.signal_price)

    def _sides(self) -> dict[str, str]:
        claimed = self.signal.prev_position
        return {
            "claimed": claimed.value if claimed else "any",
            "actual": describe_holding(self.holding, self.instrument),
            "symbol": self.instrument.symbol,
        }

    def _note_residue(self) -> None:
        residue = self.quantity - floor_to_step(self.quantity, self.instrument.quantity_step)
        if residue:
            base = residue * self.instrument.contract_size
            self.notes.append(
                Note(NoteCode.RESIDUE_DROPPED, {"residue": normalize_text(base), "unit": self.instrument.base})
            )

    def _note_mismatch(self) -> None:
        self.notes.append(Note(NoteCode.POSITION_MISMATCH, self._sides()))

    def _note(self, code: NoteCode, **figures: Decimal) -> None:
        self.notes.append(Note(code, {name: normalize_text(value) for name, value in figures.items()}))
