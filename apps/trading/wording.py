"""Small readings of a signal and an instrument that planning, sizing and their sentences share."""

from decimal import Decimal

from apps.connectors.exchange import Instrument, Market, Side
from apps.lib.decimals import ceil_to_step, floor_to_step, normalize_text
from apps.trading.denials import Denial, DenialCode
from apps.trading.legs import Holding
from apps.trading.signal import PrevPosition, QuantityType, Signal
from apps.trading.targets import TOLERANCE_RATE


def unit_of(instrument: Instrument) -> str:
    return instrument.base if instrument.market is Market.SPOT else "contracts"


def own_side(signal: Signal) -> PrevPosition:
    """Return the side that the signal's action opens. ValueError when it names no action or no previous position."""
    if signal.action is None or signal.prev_position is None:
        raise ValueError("an order signal needs action and prev_position")
    return PrevPosition.LONG if signal.action is Side.BUY else PrevPosition.SHORT


def exact_units(signal: Signal, instrument: Instrument) -> Decimal:
    """Return the asked quantity in exchange units, not floored. ValueError unless positive and in base units."""
    if signal.quantity is None or signal.quantity <= 0 or signal.quantity_type is not QuantityType.BASE:
        raise ValueError(f"an order signal needs a positive quantity in base units, not {signal.quantity}")
    return signal.quantity / instrument.contract_size


def is_dust(quantity: Decimal, *, of: Decimal, instrument: Instrument, price: Decimal | None) -> bool:
    """True for a remainder that must not become an order: below a step, 1 % of `of`, or the smallest order.

    `price` is the message's own, when it has one: only then can the smallest notional be judged here.
    """
    if quantity < instrument.quantity_step or quantity < of * TOLERANCE_RATE or quantity < instrument.min_quantity:
        return True
    return price is not None and quantity * instrument.contract_size * price < instrument.min_notional


def smallest_quantity(instrument: Instrument) -> Decimal:
    """Return the least multiple of the step that the minimum quantity allows, in exchange units."""
    return ceil_to_step(max(instrument.min_quantity, instrument.quantity_step), instrument.quantity_step)


def too_small(signal: Signal, instrument: Instrument) -> Denial:
    """The refusal for a signal's quantity below one step or below the minimum, in the message's own (base) units."""
    asked = signal.quantity or Decimal(0)
    step = instrument.quantity_step * instrument.contract_size
    smallest = smallest_quantity(instrument)
    facts = {
        "asked": normalize_text(asked),
        "rounded": normalize_text(floor_to_step(asked, step)),
        "minimum": f"{normalize_text(smallest)} {unit_of(instrument)}",
        "smallest": normalize_text(smallest * instrument.contract_size),
        "unit": instrument.base,
        "symbol": instrument.symbol,
    }
    return Denial(DenialCode.QUANTITY_BELOW_MINIMUM, facts)


def target_contradicts(signal: Signal, stated: PrevPosition, instrument: Instrument) -> Denial:
    """The refusal for an entry whose message states that the strategy is not on the side that it opens."""
    facts = {
        "action": signal.action.value if signal.action else "",
        "claimed": signal.prev_position.value if signal.prev_position else "any",
        "stated": stated.value,
        "symbol": instrument.symbol,
    }
    return Denial(DenialCode.TARGET_CONTRADICTS, facts)


def describe_holding(holding: Holding, instrument: Instrument) -> str:
    """Return "long 5 contracts", "flat", or both sides of a hedge account."""
    sides = ((PrevPosition.LONG, holding.long), (PrevPosition.SHORT, holding.short))
    parts = [f"{side} {normalize_text(size)} {unit_of(instrument)}" for side, size in sides if size]
    return " and ".join(parts) or PrevPosition.FLAT.value
