"""What guards a position from the moment it opens: stop loss, take profits, trailing stop. Pure.

A percentage counts from the price the entry is expected at: its limit, or the price of the market where that is better;
of what is sent after the first fill, from the entry's average price.
A price that is no multiple of the tick moves towards the entry, so that a stop fires no later and a profit no later
than asked.

    asked                        how it gets to the exchange
    ---------------------------  ------------------------------------------------------------------------------
    one stop loss                inside the entry request: it exists as soon as the entry has a fill; one of a
                                 percentage is moved to its distance from the average price once the entry has ended
    one take profit of it all    the same
    several take profits         an order each for its share, sent after the first fill
    trailing stop                the same
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from apps.connectors.exchange import Instrument, Market, OrderRequest, PresetPrice, Side
from apps.lib.decimals import ceil_to_step, floor_to_step, normalize_text
from apps.trading.denials import Denial, DenialCode
from apps.trading.signal import ExitTarget, Signal

LEAST_TRAIL_PERCENT, MOST_TRAIL_PERCENT = Decimal("0.1"), Decimal(5)
_HUNDRED = Decimal(100)


class ProtectionKind(StrEnum):
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    TRAILING_STOP = "trailing_stop"

    @property
    def words(self) -> str:
        return self.value.replace("_", " ")


@dataclass(frozen=True, slots=True)
class Guard:
    """`price` fires it, or activates a trailing stop; `rate` is a trailing stop's distance, a fraction.

    `percent` is what was asked for when no price was; `weight` the share of the position, 1 = all.
    """

    kind: ProtectionKind
    price: Decimal
    weight: Decimal = Decimal(1)
    percent: Decimal | None = None
    rate: Decimal | None = None
    in_entry: bool = False

    def as_facts(self) -> dict[str, str]:
        figures = {"price": self.price, "weight": self.weight, "percent": self.percent, "rate": self.rate}
        facts = {name: normalize_text(value) for name, value in figures.items() if value is not None}
        return {"kind": self.kind.value, **facts, **({"in_entry": "yes"} if self.in_entry else {})}


def guard_of(facts: Mapping[str, str]) -> Guard:
    return Guard(
        ProtectionKind(facts["kind"]),
        Decimal(facts["price"]),
        Decimal(facts["weight"]),
        Decimal(facts["percent"]) if "percent" in facts else None,
        Decimal(facts["rate"]) if "rate" in facts else None,
        in_entry="in_entry" in facts,
    )


def is_asked(signal: Signal) -> bool:
    return bool(signal.take_profits or signal.stop_loss or signal.trailing_stop)


def guards_for(
    signal: Signal, side: Side, *, quantity: Decimal, instrument: Instrument, price: Decimal | None
) -> tuple[Guard, ...] | Denial:
    """Return what guards an entry of this side and quantity at `price`, or why it cannot be guarded as asked."""
    if not is_asked(signal):
        return ()
    if instrument.market is Market.SPOT:
        return Denial(DenialCode.PROTECTION_ON_SPOT, {"symbol": instrument.symbol})
    if price is None:
        return Denial(DenialCode.PRICE_MISSING, {"wanted": "price", "symbol": instrument.symbol})
    guards = []
    if signal.stop_loss is not None:
        guards.append(_guard(ProtectionKind.STOP_LOSS, signal.stop_loss, in_entry=True))
    is_single = len(signal.take_profits) == 1 and signal.take_profits[0].weight == 1
    guards += [_guard(ProtectionKind.TAKE_PROFIT, one, in_entry=is_single) for one in signal.take_profits]
    if signal.trailing_stop is not None:
        percent = signal.trailing_stop.percent
        if not LEAST_TRAIL_PERCENT <= percent <= MOST_TRAIL_PERCENT:
            return Denial(DenialCode.TRAILING_OUT_OF_RANGE, {"found": normalize_text(percent)})
        # From the start: activated at the very price where it would fire at first, so that it is active at once.
        activation = signal.trailing_stop.activation
        start = _guard(ProtectionKind.TRAILING_STOP, activation or ExitTarget(percent=-percent), in_entry=False)
        guards.append(replace(start, rate=percent / _HUNDRED))
    priced = tuple(priced_from(guard, price, side=side, tick=instrument.price_tick) for guard in guards)
    for guard in priced:
        if not _is_right(guard, price, side=side):
            facts = {
                "what": guard.kind.replace("_", " "),
                "found": normalize_text(guard.price),
                "price": normalize_text(price),
                "side": "long" if side is Side.BUY else "short",
                "symbol": instrument.symbol,
            }
            return Denial(DenialCode.PROTECTION_WRONG_SIDE, facts)
        if share_of(guard, quantity, step=instrument.quantity_step) < instrument.min_quantity:
            facts = {"weight": normalize_text(guard.weight * _HUNDRED), "symbol": instrument.symbol}
            return Denial(DenialCode.PROTECTION_TOO_SMALL, facts)
    return priced


def priced_from(guard: Guard, price: Decimal, *, side: Side, tick: Decimal) -> Guard:
    """Return the guard at its distance from `price`, rounded towards the entry."""
    wanted = guard.price
    if guard.percent is not None:
        up = (guard.kind is not ProtectionKind.STOP_LOSS) == (side is Side.BUY)
        wanted = price * (1 + (guard.percent if up else -guard.percent) / _HUNDRED)
    is_below = wanted < price
    return replace(guard, price=(ceil_to_step if is_below else floor_to_step)(wanted, tick))


def share_of(guard: Guard, quantity: Decimal, *, step: Decimal) -> Decimal:
    return floor_to_step(guard.weight * quantity, step)


def shared(total: Decimal, measures: Sequence[Decimal], *, step: Decimal, least: Decimal) -> list[Decimal]:
    """Share `total` by `measures`, each part rounded down to the step, 0 below `least`; the last one takes the rest."""
    whole = sum(measures, Decimal(0))
    parts = [floor_to_step(total * measure / whole, step) for measure in measures[:-1]]
    parts = [part if part >= least else Decimal(0) for part in parts]
    return [*parts, total - sum(parts, Decimal(0))]


def with_presets(request: OrderRequest, guards: list[Guard]) -> OrderRequest:
    """Return the entry request with the guards that travel in it."""
    by_kind = {guard.kind: PresetPrice(guard.price) for guard in guards if guard.in_entry}
    return replace(
        request,
        take_profit=by_kind.get(ProtectionKind.TAKE_PROFIT),
        stop_loss=by_kind.get(ProtectionKind.STOP_LOSS),
    )


def _guard(kind: ProtectionKind, target: ExitTarget, *, in_entry: bool) -> Guard:
    return Guard(kind, target.price or Decimal(0), target.weight, target.percent, in_entry=in_entry)


def _is_right(guard: Guard, price: Decimal, *, side: Side) -> bool:
    """A stop lies on the losing side of the entry, a profit on the winning one; where trailing starts is free."""
    if guard.price <= 0:
        return False
    if guard.kind is ProtectionKind.TRAILING_STOP:
        return True
    above = guard.price > price
    return guard.price != price and above == ((guard.kind is ProtectionKind.TAKE_PROFIT) == (side is Side.BUY))
