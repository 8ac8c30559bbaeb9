"""Where a futures position would be liquidated: an estimate for people, never an input of a decision. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

from apps.connectors.exchange import LeverageBracket, Side

_WIDE = 50
_SHOWN_PCT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Liquidation:
    """`distance_pct` is how far the price may move against the position, in per cent of the entry price."""

    price: Decimal
    distance_pct: Decimal


def estimate(
    side: Side, *, price: Decimal, notional: Decimal, leverage: Decimal, brackets: Sequence[LeverageBracket]
) -> Liquidation | None:
    """Return the estimate for an isolated position opened whole at `price`, or None without a fitting bracket.

    The margin is notional / leverage; it is used up where it equals the maintenance margin, notional at that price x
    rate - deduction. Fees, funding and what is already held are left out. A long of 1,000 at 10x and 0.5 %:
    (1 - 1/10) / (1 - 0.005) = 0.904523 of the entry price, 9.55 % away.
    """
    bracket = next((one for one in brackets if one.notional_floor <= notional < one.notional_cap), None)
    if bracket is None or price <= 0 or leverage <= 0 or notional <= 0:
        return None
    with localcontext(prec=_WIDE):
        sign = 1 if side is Side.BUY else -1
        left = 1 - sign * (1 / leverage + bracket.deduction / notional)
        rate = left / (1 - sign * bracket.maintenance_rate)
        if rate <= 0:
            return None
        distance = (abs(1 - rate) * 100).quantize(_SHOWN_PCT, rounding=ROUND_HALF_EVEN)
        return Liquidation(price * rate, distance)
