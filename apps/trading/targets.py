"""The position an alert says its strategy has after the order (`market_position`, `market_position_size`)."""

from dataclasses import dataclass
from decimal import Decimal

from apps.trading.signal import PrevPosition, Signal

# Sizes are compared as people write them: 4.999 held against 5 asked is the same position.
TOLERANCE_RATE = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Target:
    """`size` is unsigned, in the signal's base units; None = only the side was stated; 0 when flat."""

    side: PrevPosition
    size: Decimal | None


class TargetContradictionError(ValueError):
    """The stated sizes do not describe the order beside them, e.g. a typed quantity with live placeholders."""


def stated_side(signal: Signal) -> PrevPosition | None:
    """Return the side that the message states for after the order; a size of 0 alone says flat."""
    if signal.market_position is None and signal.market_position_size == 0:
        return PrevPosition.FLAT
    return signal.market_position


def about_equal(a: Decimal, b: Decimal, *, step: Decimal) -> bool:
    """True within 1 % of the larger or within less than one step."""
    return abs(a - b) < max(step, max(a, b) * TOLERANCE_RATE)


def read_target(signal: Signal, *, own: PrevPosition, step: Decimal) -> Target | None:
    """Return the stated target of an order signal, or None when it states none.

    `own` is the side that the order's action opens; `step` in base units. Raise TargetContradictionError when it cannot
    belong to this order: following it would trade a size nobody asked for.
    """
    size = signal.market_position_size
    if signal.market_position is None and size is None:
        return None
    side = signal.market_position or _side_from_sizes(signal, own=own, step=step)
    if (side is PrevPosition.FLAT) != (size == 0) and size is not None:
        raise TargetContradictionError
    target = Target(side, Decimal(0) if side is PrevPosition.FLAT else size)
    if not _belongs(target, signal, own=own, step=step):
        raise TargetContradictionError
    return target


def _side_from_sizes(signal: Signal, *, own: PrevPosition, step: Decimal) -> PrevPosition:
    size, before, quantity = signal.market_position_size, signal.prev_market_position_size, signal.quantity
    if size is None or quantity is None or signal.prev_position is None:
        raise TargetContradictionError
    if size == 0:
        return PrevPosition.FLAT
    if not signal.is_exit:
        return own
    if before is not None and about_equal(before - quantity, size, step=step):
        return signal.prev_position
    if before is not None and about_equal(quantity - before, size, step=step):
        return own
    raise TargetContradictionError


def _belongs(target: Target, signal: Signal, *, own: PrevPosition, step: Decimal) -> bool:
    before, quantity, size = signal.prev_market_position_size, signal.quantity, target.size
    if quantity is None or signal.prev_position is None:
        return False
    if not signal.is_exit:
        if target.side is not own or size is None:
            return target.side is own
        base = Decimal(0) if signal.prev_position is PrevPosition.FLAT else before
        return about_equal(base + quantity, size, step=step) if base is not None else size >= quantity
    if target.side is PrevPosition.FLAT or size is None:
        return True
    if target.side is own:
        return about_equal(quantity - before, size, step=step) if before is not None else size <= quantity
    return about_equal(before - quantity, size, step=step) if before is not None else True
