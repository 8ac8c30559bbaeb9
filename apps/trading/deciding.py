"""Frozen inputs → the orders to send, or why there are none. Pure: equal inputs decide equally, today and in a year.

The real run, the preview and the replay all come through `decide`; they differ in where the inputs come from and in
what is done with the answer.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from apps.connectors.exchange import FeeRates, Instrument, MarginMode, Market
from apps.trading import guards, sizing
from apps.trading.denials import Denial, DenialCode
from apps.trading.guards import GuardFacts
from apps.trading.ids import client_order_id, order_id
from apps.trading.inputs import Account, Inputs
from apps.trading.legs import Intent, Leg, Plan
from apps.trading.planner import plan
from apps.trading.signal import SignalKind

# A planned order that nobody sent by then is sent by whoever finds it.
UNSENT_AFTER = timedelta(seconds=5)
# The closing order of a reversal has this long before its opening order is given up.
OPEN_LEG_WAIT = timedelta(seconds=60)
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

    `plan` is None when a guard refused before anything was planned.
    """

    legs: tuple[PlannedLeg, ...] = ()
    denial: Denial | None = None
    plan: Plan | None = None


def decide(inputs: Inputs) -> Planned:
    """Plan, size and guard one signal. NotReadError when the decision depends on what the inputs do not hold."""
    if inputs.account is None and (refused := precheck(inputs)) is not None:
        return Planned(denial=refused)
    planned = plan_of(inputs)
    refused = planned.denial or planned.outcome
    if refused is not None:
        return Planned(denial=_exit_age_denial(inputs) or refused, plan=planned)
    legs = tuple(_planned_leg(inputs, leg) for leg in planned.legs)
    return Planned(legs, legs[0].denial, planned)


def precheck(inputs: Inputs) -> Denial | None:
    """Check what needs no news from the exchange; an exit is stopped by a halt only."""
    facts = _facts(inputs, Intent.EXIT if inputs.signal.is_exit else Intent.ENTRY)
    checks = [guards.check_halted]
    if not inputs.signal.is_exit:
        checks += [guards.check_entry_age, guards.check_reduce_only, guards.check_paused, guards.check_trial]
    limits = inputs.terms.limits
    return next((denial for check in checks if (denial := check(facts, limits)) is not None), None)


def plan_of(inputs: Inputs) -> Plan:
    """Return the legs that are wanted, before they are sized and guarded."""
    account = _account_in(inputs)
    return plan(
        inputs.signal,
        instrument=_instrument_in(inputs),
        holding=account.holding,
        settings=inputs.terms.plan,
        position_mode=account.position_mode,
        shadow=inputs.shadow,
    )


def _planned_leg(inputs: Inputs, leg: Leg) -> PlannedLeg:
    instrument, account, terms = _instrument_in(inputs), _account_in(inputs), inputs.terms
    has_leverage = instrument.market is Market.FUTURES and leg.intent is Intent.ENTRY
    # An open position's leverage cannot be changed by the way: keep it.
    leverage = (account.leverage or terms.leverage) if has_leverage else None
    sized = sizing.size(
        leg,
        instrument=instrument,
        ticker=inputs.ticker,
        available_quote=_ENOUGH if leg.after else account.available_quote,
        fee_rates=_rates_in(inputs),
        leverage=leverage,
    )
    name = order_id(inputs.origin.id, connector_id=inputs.connector_id, leg=leg.code)
    return PlannedLeg(
        leg=leg,
        id=name,
        client_order_id=client_order_id(name, leg=leg.code),
        sized=None if isinstance(sized, Denial) else sized,
        denial=_guard(inputs, leg) or (sized if isinstance(sized, Denial) else None),
        leverage=leverage,
        margin_mode=(account.margin_mode or terms.margin_mode) if has_leverage else None,
        expires_at=_expiry(inputs, leg),
        next_at=None if leg.after else inputs.now + UNSENT_AFTER,
    )


def _expiry(inputs: Inputs, leg: Leg) -> datetime | None:
    if leg.after:
        return inputs.now + OPEN_LEG_WAIT
    if leg.intent is Intent.EXIT:
        return None
    wait = inputs.signal.max_lag_s or inputs.terms.limits.entry_wait_s
    return inputs.origin.received_at + timedelta(seconds=wait)


def _guard(inputs: Inputs, leg: Leg) -> Denial | None:
    counts = inputs.counts
    facts = replace(
        _facts(inputs, leg.intent),
        order_notional=sizing.notional_of(leg, instrument=_instrument_in(inputs), ticker=inputs.ticker),
        open_notional=counts.open_notional_elsewhere if leg.after else counts.open_notional,
    )
    denial = guards.check(facts, inputs.terms.limits)
    if denial is None and leg.intent is Intent.ENTRY and inputs.clock_fault:
        # Its signed time is the fence behind which an entry cannot turn up any more.
        return Denial(DenialCode.CLOCK_UNTRUSTED, {"found": inputs.clock_fault})
    return denial


def _exit_age_denial(inputs: Inputs) -> Denial | None:
    """An old exit that finds nothing to close is told that it is old."""
    if not inputs.signal.is_exit or inputs.signal.kind is not SignalKind.ORDER:
        return None
    facts = replace(_facts(inputs, Intent.EXIT), has_matching_position=False)
    return guards.check_exit_age(facts, inputs.terms.limits)


def _facts(inputs: Inputs, intent: Intent) -> GuardFacts:
    signal, instrument, standing = inputs.signal, inputs.instrument, inputs.standing
    told_at = signal.sent_at or inputs.origin.received_at
    oldest = inputs.counts.oldest_opened_at
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
        paused_label=standing.paused_label,
        trial_ended_at=standing.trial_ended_at,
        sent_at=signal.sent_at,
        signal_max_lag_s=signal.max_lag_s,
        signal_price=signal.signal_price,
        market_price=inputs.ticker.last if inputs.ticker else None,
        is_trading=instrument.is_trading if instrument else True,
        delist_at=instrument.delist_at if instrument else None,
        # False when every open position is younger than the alert: an old exit must not close a new one.
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
