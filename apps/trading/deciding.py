"""Frozen inputs → the orders to send, or why there are none. Pure: equal inputs decide equally, today and in a year.

The real run, the preview and the replay all come through `decide`; they differ in where the inputs come from and in
what is done with the answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from apps.connectors.exchange import FeeRates, Instrument, MarginMode, Market, Side
from apps.lib.decimals import normalize_text
from apps.trading import amounts, guards, sizing
from apps.trading.amounts import AmountFacts, Converted
from apps.trading.denials import Denial, DenialCode
from apps.trading.guards import GuardFacts
from apps.trading.ids import client_order_id, order_id
from apps.trading.inputs import Account, Counts, Inputs
from apps.trading.legs import Intent, Leg, Note, NoteCode, Plan
from apps.trading.limits import with_limits
from apps.trading.planner import plan
from apps.trading.protecting import Guard, guards_for, is_asked
from apps.trading.setup import Setup, SetupFacts, choose_setup, will_be_flat
from apps.trading.signal import PrevPosition, SignalKind
from apps.trading.wording import smallest_quantity, unit_of

# A planned order that nobody sent by then is sent by whoever finds it.
UNSENT_AFTER = timedelta(seconds=5)
# The closing order of a reversal has this long before its opening order is given up.
OPEN_LEG_WAIT = timedelta(seconds=60)
# Names of the orders that carry what an exit's first order cannot.
_REST_CODES = {"c": "1234", "l": "1234", "s": "5678"}
_LAST_CODES = frozenset(codes[-1] for codes in _REST_CODES.values())
# Stands for the balance where a leg is sized again once the leg before it is filled.
_ENOUGH = Decimal(10) ** 30


class NotReadError(Exception):
    """The decision needs something that was not read."""


@dataclass(frozen=True, slots=True)
class PlannedLeg:
    """One order as it is to be written down: sent when `denial` is None.

    `sized` is None when it could not be sized; the order then shows what the plan wanted.
    """

    leg: Leg
    id: UUID
    client_order_id: str
    sized: sizing.SizedLeg | None
    denial: Denial | None
    leverage: Decimal | None
    margin_mode: MarginMode | None
    guards: tuple[Guard, ...]
    expires_at: datetime | None
    next_at: datetime | None

    @property
    def quantity(self) -> Decimal:
        """In exchange units: what is sent, or what the plan wanted when it could not be sized."""
        return self.sized.quantity if self.sized else self.leg.quantity

    @property
    def notional(self) -> Decimal | None:
        """Quote amount of a spot market buy, which is sent in place of the quantity."""
        return self.sized.notional if self.sized else None


@dataclass(frozen=True, slots=True)
class Planned:
    """Legs in the order they are to be sent, the first one the root; `denial` says why nothing is sent at all.

    `plan` is None when a guard refused before anything was planned. `asked` is how the message's quantity became the
    plan's, empty when it came in base units.
    """

    legs: tuple[PlannedLeg, ...] = ()
    denial: Denial | None = None
    plan: Plan | None = None
    asked: Mapping[str, str] = field(default_factory=dict)


def decide(inputs: Inputs) -> Planned:
    """Plan, size and guard one signal. NotReadError when the decision depends on what the inputs do not hold."""
    if inputs.account is None and (refused := precheck(inputs)) is not None:
        return Planned(denial=refused)
    planned = plan_of(inputs)
    refused = planned.denial or planned.outcome
    if refused is not None:
        return Planned(denial=_exit_age_denial(inputs) or refused, plan=planned)
    legs = tuple(part for leg in planned.legs for part in _parts(inputs, leg))
    converted = _converted(inputs)
    asked = {} if isinstance(converted, Denial) else converted.record
    return Planned(legs, legs[0].denial, _noted(inputs, planned, legs), asked)


def _parts(inputs: Inputs, leg: Leg) -> list[PlannedLeg]:
    """Return the leg as one order, or an exit above the largest order as several, each for what the others leave."""
    parts = [_planned_leg(inputs, leg)]
    for code in _REST_CODES.get(leg.code, ""):
        sized = parts[-1].sized
        if sized is None or not sized.remainder:
            break
        rest = replace(leg, code=code, quantity=sized.remainder, sentence=f"{leg.sentence}: the rest")
        parts.append(_planned_leg(inputs, rest))
    return parts


def precheck(inputs: Inputs) -> Denial | None:
    """Check what needs no news from the exchange; an exit is stopped by a halt only, a cancellation by nothing."""
    facts = _facts(inputs, Intent.EXIT if inputs.signal.is_exit else Intent.ENTRY)
    # Taking orders back is what a halt leaves possible.
    checks = [] if inputs.signal.kind is SignalKind.CANCEL else [guards.check_halted]
    if not inputs.signal.is_exit:
        checks += [
            guards.check_entry_age,
            guards.check_reduce_only,
            guards.check_trouble,
            guards.check_incident,
            guards.check_deleted,
            guards.check_paused,
            guards.check_trial,
        ]
    limits = inputs.terms.limits
    return next((denial for check in checks if (denial := check(facts, limits)) is not None), None)


def plan_of(inputs: Inputs) -> Plan:
    """Return the legs that are wanted, before they are sized and guarded. `needs_price` says what it has to know."""
    account, claimed = _account_in(inputs), inputs.signal.prev_position
    if inputs.signal.kind is SignalKind.CANCEL:
        facts = {"symbol": _instrument_in(inputs).symbol}
        return Plan(None, account.holding, outcome=Denial(DenialCode.CANCELS_ONLY, facts), shadow_after=inputs.shadow)
    converted = _converted(inputs)
    if isinstance(converted, Denial):
        if converted.is_error:
            return Plan(claimed, account.holding, denial=converted, shadow_after=inputs.shadow)
        return Plan(claimed, account.holding, outcome=converted, shadow_after=inputs.shadow)
    planned = plan(
        converted.signal,
        instrument=_instrument_in(inputs),
        holding=account.holding,
        settings=inputs.terms.plan,
        position_mode=account.position_mode,
        shadow=inputs.shadow,
        unheard=inputs.counts.unheard,
    )
    planned = with_limits(planned, inputs.signal, _instrument_in(inputs))
    setup = _setup(inputs)
    opens = any(leg.intent is Intent.ENTRY for leg in planned.legs)
    kept = setup.notes if opens and isinstance(setup, Setup) else ()
    unused = (Note(NoteCode.PROTECTION_UNUSED),) if planned.legs and not opens and is_asked(inputs.signal) else ()
    return replace(planned, notes=(*converted.notes, *planned.notes, *kept, *unused))


def needs_price(inputs: Inputs) -> bool:
    """True when the plan depends on ticker and fee rates, which legs need in any case."""
    return amounts.needs_price(inputs.signal, _instrument_in(inputs).market)


def counts_from_price(inputs: Inputs) -> bool:
    """True for an entry with a guard inside at a percentage from the price: of an old one it may fire at once."""
    signal = inputs.signal
    if signal.is_exit or _instrument_in(inputs).market is Market.SPOT:
        return False
    inside = (signal.stop_loss, *(signal.take_profits if len(signal.take_profits) == 1 else ()))
    return any(guard is not None and guard.percent is not None for guard in inside)


def _converted(inputs: Inputs) -> Converted | Denial:
    instrument, account, setup = _instrument_in(inputs), _account_in(inputs), _setup(inputs)
    price = expected = taker = None
    if inputs.signal.action is not None and needs_price(inputs):
        asked = inputs.signal.action, inputs.signal.limit_price
        price = sizing.price_at_most(*asked, instrument=instrument, ticker=inputs.ticker)
        expected = sizing.price_expected(*asked, instrument=instrument, ticker=inputs.ticker)
        if price is None and inputs.signal.is_exit:
            price = inputs.signal.limit_price
        taker = _rates_in(inputs).taker
    facts = AmountFacts(
        price=price,
        equity=account.equity,
        available=_available(inputs),
        leverage=(setup.leverage if isinstance(setup, Setup) else None) or Decimal(1),
        taker=taker or Decimal(0),
        expected=expected,
    )
    return amounts.to_base(inputs.signal, instrument=instrument, holding=account.holding, facts=facts)


def _setup(inputs: Inputs) -> Setup | Denial:
    """Return what an entry of this signal is sent with."""
    account, terms = _account_in(inputs), inputs.terms
    facts = SetupFacts(
        leverage=terms.leverage,
        margin_mode=terms.margin_mode,
        most_leverage=terms.most_leverage,
        held_leverage=account.leverage,
        held_margin_mode=account.margin_mode,
    )
    is_flat = will_be_flat(inputs.signal, holding=account.holding, mismatch=terms.plan.mismatch)
    return choose_setup(inputs.signal, instrument=_instrument_in(inputs), facts=facts, is_flat=is_flat)


def _planned_leg(inputs: Inputs, leg: Leg) -> PlannedLeg:
    instrument = _instrument_in(inputs)
    setup = _setup(inputs) if leg.intent is Intent.ENTRY else None
    leverage = setup.leverage if isinstance(setup, Setup) else None
    sized = sizing.size(
        leg,
        instrument=instrument,
        ticker=inputs.ticker,
        available_quote=_ENOUGH if leg.after else _available(inputs),
        fee_rates=_rates_in(inputs),
        leverage=leverage,
        low_balance=inputs.terms.low_balance,
    )
    wanted: tuple[Guard, ...] | Denial = ()
    if leg.intent is Intent.ENTRY:
        price = sizing.price_expected(leg.side, leg.price, instrument=instrument, ticker=inputs.ticker)
        quantity = leg.quantity if isinstance(sized, Denial) else sized.quantity
        wanted = guards_for(inputs.signal, leg.side, quantity=quantity, instrument=instrument, price=price)
    name = order_id(inputs.origin.id, connector_id=inputs.connector_id, leg=leg.code)
    return PlannedLeg(
        leg=leg,
        id=name,
        client_order_id=client_order_id(name, leg=leg.code),
        sized=None if isinstance(sized, Denial) else sized,
        denial=_guard(inputs, _as_sized(leg, sized))
        or next((one for one in (setup, sized, wanted) if isinstance(one, Denial)), None),
        leverage=leverage,
        margin_mode=setup.margin_mode if isinstance(setup, Setup) else None,
        guards=() if isinstance(wanted, Denial) else wanted,
        expires_at=_expiry(inputs, leg),
        next_at=None if leg.after else inputs.now + UNSENT_AFTER,
    )


def _available(inputs: Inputs) -> Decimal:
    """Return the quote balance that nothing else may still take; 0 when all of it is spoken for."""
    # Of spot only a share is spent, and what is spoken for is no part of the rest's head-room.
    share = sizing.SPENDABLE_RATE if _instrument_in(inputs).market is Market.SPOT else 1
    return max(_account_in(inputs).available_quote - inputs.reserved / share, Decimal(0))


def _expiry(inputs: Inputs, leg: Leg) -> datetime | None:
    if leg.intent is Intent.EXIT:
        return None
    received_at, most = inputs.origin.received_at, inputs.signal.max_lag_s
    if leg.after:
        at_most = inputs.now + OPEN_LEG_WAIT
        return at_most if most is None else min(at_most, received_at + timedelta(seconds=most))
    return received_at + timedelta(seconds=inputs.terms.limits.entry_wait_s if most is None else most)


def _guard(inputs: Inputs, leg: Leg) -> Denial | None:
    counts = inputs.counts
    opens = PrevPosition.LONG if leg.side is Side.BUY else PrevPosition.SHORT
    facts = replace(
        _facts(inputs, leg.intent, guards.closed_by(leg.side) if leg.intent is Intent.EXIT else None),
        order_notional=sizing.notional_of(leg, instrument=_instrument_in(inputs), ticker=inputs.ticker),
        open_notional=counts.open_notional_elsewhere if leg.after else counts.open_notional,
        opens=opens,
        held=_held(inputs, opens),
        adds_made=counts.adds_long if opens is PrevPosition.LONG else counts.adds_short,
        open_elsewhere=counts.open_elsewhere,
        lost_today=counts.lost_today,
    )
    denial = guards.check(facts, inputs.terms.limits)
    if denial is None and leg.intent is Intent.ENTRY and inputs.clock_fault:
        # Its signed time is the fence behind which an entry cannot turn up any more.
        return Denial(DenialCode.CLOCK_UNTRUSTED, {"found": inputs.clock_fault})
    return denial


def _as_sized(leg: Leg, sized: sizing.SizedLeg | Denial) -> Leg:
    """The leg as large as it is going to be sent."""
    return leg if isinstance(sized, Denial) else replace(leg, quantity=sized.quantity)


def _held(inputs: Inputs, side: PrevPosition) -> str:
    """Return what an entry on the side would add to, in words; "" when that is no position."""
    instrument, account = _instrument_in(inputs), _account_in(inputs)
    is_spot = instrument.market is Market.SPOT
    # On spot the account may hold coins that were bought elsewhere, and always holds crumbs of what was sold.
    quantity = inputs.counts.spot_quantity if is_spot else account.holding.of(side)
    if quantity < smallest_quantity(instrument):
        return ""
    price = inputs.ticker.last if inputs.ticker else None
    if is_spot and price is not None and quantity * price < instrument.min_notional:
        return ""
    return f"{side} {normalize_text(quantity)} {unit_of(instrument)}"


def _noted(inputs: Inputs, planned: Plan, legs: tuple[PlannedLeg, ...]) -> Plan:
    """Return the plan with what sizing and guards did to its entries, where they run, and what no exit carries."""
    notes: list[Note] = []
    for leg in legs:
        if leg.leg.code in _LAST_CODES and leg.denial is None and leg.sized is not None and leg.sized.remainder:
            left, unit = normalize_text(leg.sized.remainder), unit_of(_instrument_in(inputs))
            notes.append(Note(NoteCode.EXIT_REST_LEFT, {"left": left, "unit": unit}))
        if leg.leg.intent is not Intent.ENTRY or leg.denial is not None:
            continue
        side = PrevPosition.LONG if leg.leg.side is Side.BUY else PrevPosition.SHORT
        if _held(inputs, side):
            made = inputs.counts.adds_long if side is PrevPosition.LONG else inputs.counts.adds_short
            rule = guards.add_rule(inputs.terms.limits)
            notes.append(Note(NoteCode.ADD_ALLOWED, {"number": str(made + 1), "rule": rule}))
        if leg.sized is not None and leg.sized.cut:
            notes.append(Note(NoteCode.CUT_TO_BALANCE, leg.sized.cut))
    return replace(planned, notes=(*planned.notes, *notes))


def _exit_age_denial(inputs: Inputs) -> Denial | None:
    """An old exit that finds nothing to close is told that it is old."""
    if not inputs.signal.is_exit or inputs.signal.kind is not SignalKind.ORDER:
        return None
    closes = guards.closed_by(inputs.signal.action) if inputs.signal.action is not None else None
    facts = replace(_facts(inputs, Intent.EXIT, closes), has_matching_position=False)
    return guards.check_exit_age(facts, inputs.terms.limits)


def _opened_at(counts: Counts, side: PrevPosition | None) -> datetime | None:
    """Return when what an exit closes was opened; of either side where that is not known."""
    if side is None or (counts.opened_long_at is None and counts.opened_short_at is None):
        return counts.oldest_opened_at
    return counts.opened_long_at if side is PrevPosition.LONG else counts.opened_short_at


def _facts(inputs: Inputs, intent: Intent, closes: PrevPosition | None = None) -> GuardFacts:
    signal, instrument, standing = inputs.signal, inputs.instrument, inputs.standing
    told_at = signal.sent_at or inputs.origin.received_at
    oldest = _opened_at(inputs.counts, closes)
    return GuardFacts(
        intent=intent,
        now=inputs.now,
        received_at=inputs.origin.received_at,
        symbol=instrument.symbol if instrument else signal.ticker,
        quote=instrument.quote if instrument else "",
        connector_label=standing.connector_label,
        site=standing.site,
        workspace=standing.workspace,
        connector=standing.connector,
        staff=standing.staff,
        staff_reason=standing.staff_reason,
        incident=standing.incident,
        trouble=standing.trouble,
        deleted_label=standing.deleted_label,
        paused_label=standing.paused_label,
        trial_ended_at=standing.trial_ended_at,
        sent_at=signal.sent_at,
        signal_max_lag_s=signal.max_lag_s,
        signal_price=signal.signal_price,
        market_price=inputs.ticker.last if inputs.ticker else None,
        is_trading=instrument.is_trading if instrument else True,
        delist_at=instrument.delist_at if instrument else None,
        closes=closes,
        # False when the open position is younger than the alert: an old exit must not close a new one.
        has_matching_position=oldest is None or oldest <= told_at,
        orders_last_minute=inputs.counts.orders_last_minute,
    )


def _instrument_in(inputs: Inputs) -> Instrument:
    if inputs.instrument is None:
        raise NotReadError("the instrument was not read")
    return inputs.instrument


def _account_in(inputs: Inputs) -> Account:
    if inputs.account is None:
        raise NotReadError("the account was not read")
    return inputs.account


def _rates_in(inputs: Inputs) -> FeeRates:
    if inputs.fee_rates is None:
        raise NotReadError("the fee rates were not read")
    return inputs.fee_rates
