"""Does the account hold what our fills add up to? Pure."""

from decimal import Decimal

from apps.connectors.exchange import Instrument, Market
from apps.lib.decimals import floor_to_step, normalize_text
from apps.trading.wording import unit_of


def differs(ours: Decimal, theirs: Decimal, *, instrument: Instrument) -> bool:
    """True when the two are a step or more apart after both were cut to the lot.

    `theirs` on spot is the whole balance of the coin: what is there beyond our position is the owner's own affair.
    """
    step = instrument.quantity_step
    apart = _cut(theirs, step) - _cut(ours, step)
    if instrument.market is Market.SPOT:
        return apart <= -step
    return abs(apart) >= step


def described(signed_quantity: Decimal, instrument: Instrument) -> str:
    """Return "long 5 contracts", "short 2 contracts", "flat", or on spot "0.5 BTC"."""
    size = f"{normalize_text(abs(signed_quantity))} {unit_of(instrument)}"
    if instrument.market is Market.SPOT:
        return size
    if not signed_quantity:
        return "flat"
    return f"{'long' if signed_quantity > 0 else 'short'} {size}"


def _cut(signed_quantity: Decimal, step: Decimal) -> Decimal:
    size = floor_to_step(abs(signed_quantity), step)
    return size if signed_quantity >= 0 else -size
