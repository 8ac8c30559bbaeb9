"""Planning on spot, where nothing can be sold short: what the strategy shorts meanwhile is kept as a shadow.

A long/short strategy sends doubled buys (`buy`, previous `short`, quantity = its short + its new long); buying the
whole of it would double the spend. The stated target says how much is the new long, else the shadow, else nobody knows.

The free balance may hold coins that are no business of the strategy's, so here a target never enlarges a sell and never
stops a buy: it only tells the two halves of a reversal apart.
"""

from decimal import Decimal

from apps.connectors.exchange import Book, Instrument, Side
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
from apps.trading.signal import PrevPosition, Signal, SignalKind
from apps.trading.targets import Target, TargetContradictionError, read_target, stated_side
from apps.trading.wording import (
    describe_holding,
    exact_units,
    is_dust,
    own_side,
    smallest_quantity,
    target_contradicts,
    too_small,
)

_FLAT, _LONG, _SHORT = PrevPosition.FLAT, PrevPosition.LONG, PrevPosition.SHORT
_NO_SHORT = ShadowPosition()


def plan_spot(
    signal: Signal,
    *,
    instrument: Instrument,
    holding: Holding,
    settings: PlanSettings,
    shadow: ShadowPosition | None,
    unheard: Holding = NOTHING,
) -> Plan:
    """Return the plan of a signal on spot; `holding.long` is the free base balance, `shadow` None = no history."""
    return _SpotPlanner(signal, instrument, holding, settings, shadow, unheard).plan()


class _SpotPlanner:
    def __init__(
        self,
        signal: Signal,
        instrument: Instrument,
        holding: Holding,
        settings: PlanSettings,
        shadow: ShadowPosition | None,
        unheard: Holding,
    ) -> None:
        self.signal = signal
        self.instrument = instrument
        self.holding = holding
        self.settings = settings
        self.shadow = shadow
        self.unheard = unheard
        self.notes: list[Note] = []
        # Coins below the step stay in every spot account; they are not a position.
        self.sellable = floor_to_step(holding.long, instrument.quantity_step)

    def plan(self) -> Plan:
        if self.signal.kind is SignalKind.CLOSE_ALL:
            return self._close_all()
        own = own_side(self.signal)
        self.quantity = exact_units(self.signal, self.instrument)
        self.target = self._target(own)
        if self.signal.reduce_only:
            return self._reduce(own)
        if own is _LONG:
            return self._cover() if self.signal.prev_position is _SHORT else self._buy_as_asked()
        return self._sell() if self.signal.prev_position is _LONG else self._no_short()

    def _reduce(self, own: PrevPosition) -> Plan:
        """A sell of what is held; a buy has nothing on spot to reduce, and only covers what the strategy is short."""
        if own is _SHORT:
            return self._sell()
        shadow = self.shadow
        if shadow is not None and self.signal.prev_position is _SHORT:
            shadow = ShadowPosition(max(shadow.short - self.quantity, Decimal(0)))
        return self._outcome(DenialCode.NOTHING_TO_CLOSE, self._sides(), shadow=shadow)

    # buys

    def _buy_as_asked(self) -> Plan:
        stated = stated_side(self.signal)
        if stated is not None and stated is not _LONG and self.settings.mismatch is not Mismatch.FOLLOW:
            shadow = self._short_after_cover(Target(stated, self.signal.market_position_size))
            return self._answer(denial=target_contradicts(self.signal, stated, self.instrument), shadow=shadow)
        if self.signal.prev_position is _LONG and self.sellable == 0:
            if self.settings.mismatch is Mismatch.REJECT:
                return self._denied(DenialCode.POSITION_MISMATCH, self._sides())
            self._note(NoteCode.POSITION_MISMATCH, self._sides())
        return self._buy(self.quantity)

    def _cover(self) -> Plan:
        """Buy the new long that is part of a covering buy, or nothing when it only covers."""
        if self.target is not None and self.target.side is not _LONG:
            return self._nothing_bought(self._short_after_cover(self.target))
        new_long = self._new_long()
        if new_long is None:
            facts = {
                "asked": normalize_text(self.quantity),
                "unit": self.instrument.base,
                "symbol": self.instrument.symbol,
            }
            return self._denied(DenialCode.SPOT_REVERSAL_SIZE_UNKNOWN, facts, shadow=None)
        if new_long <= 0 or self._is_dust(new_long):
            return self._nothing_bought(ShadowPosition(max(-new_long, Decimal(0))))
        if self.settings.exit_excess is ExitExcess.CLOSE_ONLY:
            self._note_figures(NoteCode.EXCESS_NOT_OPENED, excess=new_long)
            return self._nothing_bought(_NO_SHORT)
        self._note_figures(NoteCode.SHORT_PART_SUBTRACTED, asked=self.quantity, short=self.quantity - new_long)
        return self._buy(new_long)

    def _new_long(self) -> Decimal | None:
        """Return how much of a covering buy is new long (negative: still short by that much); None when unknowable."""
        if self.target is not None and self.target.size is not None:
            return min(self.target.size, self.quantity)
        if self.signal.prev_market_position_size is not None:
            return self.quantity - self.signal.prev_market_position_size
        if self.shadow is not None and self.shadow.short > 0:
            return self.quantity - self.shadow.short
        return None

    def _short_after_cover(self, target: Target) -> ShadowPosition | None:
        if target.side is _FLAT:
            return _NO_SHORT
        if target.size is not None:
            return ShadowPosition(target.size)
        return ShadowPosition(max(self.shadow.short - self.quantity, Decimal(0))) if self.shadow else None

    def _nothing_bought(self, shadow: ShadowPosition | None) -> Plan:
        return self._outcome(DenialCode.SPOT_NO_SHORT, {"symbol": self.instrument.symbol}, shadow=shadow)

    # sells

    def _no_short(self) -> Plan:
        shadow = self.shadow
        if self.target is not None and self.target.size is not None:
            shadow = ShadowPosition(self.target.size)
        elif self.signal.prev_position is _FLAT:
            shadow = ShadowPosition(self.quantity)
        elif self.shadow is not None:
            shadow = ShadowPosition(self.shadow.short + self.quantity)
        return self._outcome(DenialCode.SPOT_NO_SHORT, {"symbol": self.instrument.symbol}, shadow=shadow)

    def _sell(self) -> Plan:
        if self.sellable == 0:
            shadow = self._short_after_sell(None)
            if self.settings.mismatch is Mismatch.REJECT:
                return self._denied(DenialCode.POSITION_MISMATCH, self._sides(), shadow=shadow)
            self._note(NoteCode.POSITION_MISMATCH, self._sides())
            return self._outcome(DenialCode.NOTHING_TO_CLOSE, self._sides(), shadow=shadow)
        excess = self.quantity - self.holding.long
        shadow = self._short_after_sell(excess - self.unheard.long)
        if excess > 0:
            self._note_figures(NoteCode.CLAMPED_TO_HELD, asked=self.quantity, held=self.holding.long)
        if shadow is not None and shadow.short > 0:
            self._note_figures(NoteCode.SHORT_NOT_OPENED, short=shadow.short)
        return self._one_leg(self._selling(min(self.quantity, self.sellable)), shadow=shadow)

    def _short_after_sell(self, excess: Decimal | None) -> ShadowPosition | None:
        """What the strategy is short after this sell; `excess` is what tops the balance, None when nothing is held."""
        if self.signal.reduce_only or (self.target is not None and self.target.side is not _SHORT):
            return _NO_SHORT
        if self.target is not None and self.target.size is not None:
            return ShadowPosition(self.target.size)
        if self.signal.prev_market_position_size is not None:
            excess = self.quantity - self.signal.prev_market_position_size
        if excess is None:
            # Nothing held and nothing stated: the sell may be an exit or a reversal, and no guess is kept.
            return None
        if excess <= 0 or self._is_dust(excess):
            return _NO_SHORT
        if self.target is None and self.settings.exit_excess is ExitExcess.CLOSE_ONLY:
            return _NO_SHORT
        return ShadowPosition(excess)

    def _close_all(self) -> Plan:
        if self.sellable == 0:
            return self._outcome(DenialCode.NOTHING_TO_CLOSE, self._sides(), shadow=_NO_SHORT)
        if self._is_below_minimum(self.sellable):
            facts = {
                "held": normalize_text(self.holding.long),
                "unit": self.instrument.base,
                "symbol": self.instrument.symbol,
                "minimum": f"{normalize_text(smallest_quantity(self.instrument))} {self.instrument.base}",
            }
            return self._outcome(DenialCode.DUST_LEFT, facts, shadow=_NO_SHORT)
        return self._one_leg(self._selling(self.sellable), shadow=_NO_SHORT)

    # legs and answers

    def _buy(self, quantity: Decimal) -> Plan:
        floored = floor_to_step(quantity, self.instrument.quantity_step)
        self._note_residue(quantity - floored)
        sentence = f"Buy {normalize_text(floored)} {self.instrument.base} on {self.instrument.symbol}"
        leg = Leg("o", Intent.ENTRY, Side.BUY, Book.NET, floored, reduce_only=False, sentence=sentence)
        return self._one_leg(leg, shadow=_NO_SHORT)

    def _selling(self, quantity: Decimal) -> Leg:
        floored = floor_to_step(quantity, self.instrument.quantity_step)
        is_whole = floored == self.sellable
        if not is_whole:
            self._note_residue(quantity - floored)
        amount = f"{normalize_text(floored)} {self.instrument.base}"
        rest = ", the whole free balance," if is_whole else ""
        sentence = f"Sell {amount}{rest} on {self.instrument.symbol}"
        # Spot orders have no reduce-only flag: the size, never above the free balance, is the guarantee.
        return Leg(
            "c", Intent.EXIT, Side.SELL, Book.NET, floored, reduce_only=False, sentence=sentence, is_whole=is_whole
        )

    def _one_leg(self, leg: Leg, *, shadow: ShadowPosition | None) -> Plan:
        if leg.quantity == 0:
            denial = too_small(self.signal, self.instrument)
            return self._answer(denial=denial, shadow=shadow)
        return self._answer(legs=(leg,), shadow=shadow)

    def _denied(self, code: DenialCode, facts: dict[str, str], *, shadow: ShadowPosition | None = _NO_SHORT) -> Plan:
        return self._answer(denial=Denial(code, facts), shadow=shadow)

    def _outcome(self, code: DenialCode, facts: dict[str, str], *, shadow: ShadowPosition | None) -> Plan:
        return self._answer(outcome=Denial(code, facts), shadow=shadow)

    def _answer(
        self,
        *,
        shadow: ShadowPosition | None,
        legs: tuple[Leg, ...] = (),
        denial: Denial | None = None,
        outcome: Denial | None = None,
    ) -> Plan:
        return Plan(
            claimed=self.signal.prev_position,
            actual=self.holding,
            legs=legs,
            denial=denial,
            outcome=outcome,
            notes=tuple(self.notes),
            shadow_after=shadow,
        )

    # reading the message

    def _target(self, own: PrevPosition) -> Target | None:
        # "buy only if market_position_size is supplied": a covering buy with the size alone names the new long.
        if (
            self.signal.prev_position is _SHORT
            and own is _LONG
            and self.signal.market_position is None
            and self.signal.prev_market_position_size is None
            and self.signal.market_position_size
            and self.signal.market_position_size <= self.quantity
        ):
            return Target(_LONG, self.signal.market_position_size)
        try:
            return read_target(self.signal, own=own, step=self.instrument.quantity_step)
        except TargetContradictionError:
            if self.signal.is_exit or stated_side(self.signal) in {None, own}:
                self._note(NoteCode.TARGET_DISREGARDED, {})
            return None

    def _is_dust(self, quantity: Decimal) -> bool:
        return is_dust(quantity, of=self.quantity, instrument=self.instrument, price=self.signal.signal_price)

    def _is_below_minimum(self, quantity: Decimal) -> bool:
        return quantity < self.instrument.min_quantity

    def _sides(self) -> dict[str, str]:
        claimed = self.signal.prev_position
        return {
            "claimed": claimed.value if claimed else "any",
            "actual": describe_holding(self.holding, self.instrument),
            "symbol": self.instrument.symbol,
        }

    def _note_residue(self, residue: Decimal) -> None:
        if residue:
            facts = {"residue": normalize_text(residue), "unit": self.instrument.base}
            self._note(NoteCode.RESIDUE_DROPPED, facts)

    def _note_figures(self, code: NoteCode, **figures: Decimal) -> None:
        self._note(code, {name: normalize_text(value) for name, value in figures.items()})

    def _note(self, code: NoteCode, facts: dict[str, str]) -> None:
        self.notes.append(Note(code, facts))
