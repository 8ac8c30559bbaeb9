"""The limit price of a plan's orders. Pure.

A price that is no multiple of the tick is moved to the passive side: a buy never pays more, a sell never gets less than
the message says. A reversal closes at the market and opens at the limit: a closing order that rests would leave the
position open that the message wants gone. Such an order rests until it is filled or taken back; it has no expiry.
"""

from dataclasses import replace
from decimal import Decimal

from apps.connectors.exchange import Instrument, OrderType, Side
from apps.lib.decimals import ceil_to_step, floor_to_step, normalize_text
from apps.trading.denials import Denial, DenialCode
from apps.trading.legs import Leg, Note, NoteCode, Plan
from apps.trading.signal import Signal, SignalKind


def with_limits(plan: Plan, signal: Signal, instrument: Instrument) -> Plan:
    """Return the plan with its legs at the signal's limit price, or a plan that says why that cannot be."""
    if signal.order_type is not OrderType.LIMIT or signal.kind is not SignalKind.ORDER or not plan.legs:
        return plan
    if signal.limit_price is None:
        return _refused(plan, Denial(DenialCode.LIMIT_PRICE_MISSING, {"symbol": instrument.symbol}))
    leads = {leg.after for leg in plan.legs}
    legs = []
    for leg in plan.legs:
        price = passive_price(signal.limit_price, leg.side, tick=instrument.price_tick)
        if price <= 0:
            facts = {
                "found": normalize_text(signal.limit_price),
                "tick": normalize_text(instrument.price_tick),
                "symbol": instrument.symbol,
            }
            return _refused(plan, Denial(DenialCode.LIMIT_PRICE_TOO_SMALL, facts))
        legs.append(leg if leg.code in leads else _at(leg, price, instrument))
    notes = plan.notes if leads == {None} else (*plan.notes, Note(NoteCode.CLOSED_AT_MARKET))
    return replace(plan, legs=tuple(legs), notes=notes)


def passive_price(price: Decimal, side: Side, *, tick: Decimal) -> Decimal:
    return floor_to_step(price, tick) if side is Side.BUY else ceil_to_step(price, tick)


def _at(leg: Leg, price: Decimal, instrument: Instrument) -> Leg:
    sentence = f"{leg.sentence}, at {normalize_text(price)} {instrument.quote} or better"
    return replace(leg, price=price, sentence=sentence)


def _refused(plan: Plan, denial: Denial) -> Plan:
    return replace(plan, legs=(), denial=denial)
