"""What a fill cost beyond the price the alert was sent at, split by cause. Pure.

    signal price ──delay──▶ middle of the market when planned ──spread──▶ best price ──impact──▶ average fill

Signs: positive = it cost the trader, negative = it came in better. For a buy a higher price costs, for a sell a lower
one. The three add up to the total. What cannot be told is None, never 0: without a signal price there is no delay and
no total, without a two-sided market there is neither spread nor impact, and the delay is measured to the last price.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

from apps.connectors.exchange import Side

_WIDE = 50
_AMOUNT = Decimal(1).scaleb(-8)
_BASIS_POINTS = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Cost:
    """`amount` in quote currency for the whole fill; `bps` in hundredths of a per cent of the reference price."""

    amount: Decimal
    bps: Decimal


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The market when the order was planned; None = not told."""

    bid: Decimal | None
    ask: Decimal | None
    last: Decimal | None


@dataclass(frozen=True, slots=True)
class Slippage:
    delay: Cost | None = None
    spread: Cost | None = None
    impact: Cost | None = None
    total: Cost | None = None


def split(
    side: Side,
    *,
    signal_price: Decimal | None,
    market: Snapshot,
    avg_fill_price: Decimal | None,
    filled_quantity: Decimal,
    contract_size: Decimal,
) -> Slippage:
    """Return the cost of a fill and its parts. `filled_quantity` in exchange units; nothing filled, nothing told.

    Basis points count from the signal price, or from the middle of the market without one.
    """
    if avg_fill_price is None or filled_quantity <= 0:
        return Slippage()
    middle = touch = None
    with localcontext(prec=_WIDE):
        if market.bid is not None and market.ask is not None and 0 < market.bid <= market.ask:
            middle = (market.bid + market.ask) / 2
            touch = market.ask if side is Side.BUY else market.bid
        seen = middle if middle is not None else market.last
        reference = signal_price or middle
        sign = 1 if side is Side.BUY else -1

        def cost(start: Decimal | None, end: Decimal | None) -> Cost | None:
            if start is None or end is None or not reference:
                return None
            moved = sign * (end - start)
            return Cost(
                (moved * filled_quantity * contract_size).quantize(_AMOUNT, rounding=ROUND_HALF_EVEN),
                (moved / reference * 10_000).quantize(_BASIS_POINTS, rounding=ROUND_HALF_EVEN),
            )

        return Slippage(
            delay=cost(signal_price, seen),
            spread=cost(middle, touch),
            impact=cost(touch, avg_fill_price),
            total=cost(signal_price, avg_fill_price),
        )
