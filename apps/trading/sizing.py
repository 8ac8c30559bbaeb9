"""Leg + balance + the market's rules → the exact size to send, or the denial. The one place that rounds an order.

Sizes floor to the step and are never rounded up to a minimum. A spot market buy is sent as a quote amount (`notional`).
BitMart sets its fee aside from that amount first (5.1 asked bought for 5.0949 at a fee of 0.1 %, ccxt PR 19382), so
what `quantity` costs at the best ask is divided by (1 - fee). The amount is rounded up, to the decimals of the price
tick (at least 2, at most 8): rounded down it would buy one step less, and what is left over comes back unspent.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, Decimal, localcontext

from apps.connectors.exchange import FeeRates, Instrument, Market, Side, Ticker
from apps.connectors.policies import LowBalance
from apps.lib.decimals import ceil_to_step, decimal_places, floor_to_step, normalize_text
from apps.trading.denials import Denial, DenialCode
from apps.trading.legs import Intent, Leg
from apps.trading.wording import smallest_quantity, unit_of

# What may be spent of the free balance: prices move between reading and matching.
SPENDABLE_RATE = Decimal("0.998")
_MIN_QUOTE_DECIMALS = 2
_MAX_QUOTE_DECIMALS = 8
_WIDE = 100


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the order is expected to cost, in quote currency, for display. `margin` is None on spot and for exits."""

    price: Decimal
    notional: Decimal
    fee: Decimal
    margin: Decimal | None


@dataclass(frozen=True, slots=True)
class SizedLeg:
    """A leg ready to be sent: `notional` when it is set (spot market buy), else `quantity` in exchange units.

    `remainder` is what an exit could not carry because one order has a maximum; another order carries it. `estimate`
    is None when there is no price, which only an exit survives. `cut` says what an entry would have needed that was
    made smaller.
    """

    leg: Leg
    quantity: Decimal
    notional: Decimal | None
    remainder: Decimal
    estimate: Estimate | None
    cut: Mapping[str, str] = field(default_factory=dict)


def size(
    leg: Leg,
    *,
    instrument: Instrument,
    ticker: Ticker | None,
    available_quote: Decimal,
    fee_rates: FeeRates,
    leverage: Decimal | None,
    low_balance: LowBalance = LowBalance.REFUSE,
) -> SizedLeg | Denial:
    """Return the leg with its exact size, or why it must not be sent.

    `available_quote` is the free quote balance (spot) or the available margin (futures), not yet reduced by anything.
    `leverage` None on a futures entry counts as 1. An exit is never denied for balance, price or a maximum. An entry
    that costs too much is denied, or with LowBalance.REDUCE as large as the balance allows, if that is an order at all.
    """
    with localcontext(prec=_WIDE):
        quantity = floor_to_step(leg.quantity, instrument.quantity_step)
        price = _price(leg, instrument=instrument, ticker=ticker)
        denial = _out_of_bounds(leg, quantity, instrument=instrument, price=price)
        if denial is not None:
            return denial
        if leg.intent is Intent.EXIT:
            return _sized_exit(leg, quantity, instrument=instrument, price=price, fee_rates=fee_rates)
        if price is None:
            return _price_missing(leg, instrument)
        if instrument.market is Market.SPOT:
            unit_cost = price / (1 - fee_rates.taker)

            def entry(quantity: Decimal) -> SizedLeg | Denial:
                return _spot_buy(
                    leg, quantity, instrument=instrument, price=price, free=available_quote, fee_rates=fee_rates
                )
        else:
            unit_cost = instrument.contract_size * price * (1 / (leverage or Decimal(1)) + fee_rates.taker)

            def entry(quantity: Decimal) -> SizedLeg | Denial:
                return _futures_entry(
                    leg,
                    quantity,
                    instrument=instrument,
                    price=price,
                    available=available_quote,
                    fee_rates=fee_rates,
                    leverage=leverage,
                )

        sized = entry(quantity)
        if low_balance is LowBalance.REFUSE or not isinstance(sized, Denial):
            return sized
        if sized.code is not DenialCode.INSUFFICIENT_BALANCE:
            return sized
        usable = available_quote * (SPENDABLE_RATE if instrument.market is Market.SPOT else 1)
        affordable = floor_to_step(max(usable, Decimal(0)) / unit_cost, instrument.quantity_step)
        return _cut(leg, sized, affordable, instrument=instrument, price=price, entry=entry)


def notional_of(leg: Leg, *, instrument: Instrument, ticker: Ticker | None) -> Decimal | None:
    """Return what the leg is worth at the price it would meet, in quote currency; None without a price."""
    price = _price(leg, instrument=instrument, ticker=ticker)
    return None if price is None else _value(leg.quantity, price, instrument)


def quote_step(instrument: Instrument) -> Decimal:
    """Return the step of quote amounts: the decimals of the price tick, at least 2 and at most 8."""
    places = decimal_places(Decimal(normalize_text(instrument.price_tick)))
    return Decimal(1).scaleb(-min(max(places, _MIN_QUOTE_DECIMALS), _MAX_QUOTE_DECIMALS))


def price_met(side: Side, *, instrument: Instrument, ticker: Ticker | None) -> Decimal | None:
    """Return the price a market order would meet; the last price stands in for an empty book, except for a spot buy."""
    if ticker is None:
        return None
    touch = ticker.ask if side is Side.BUY else ticker.bid
    if touch is None and not (instrument.market is Market.SPOT and side is Side.BUY):
        touch = ticker.last
    return touch if touch is not None and touch > 0 else None


def price_at_most(
    side: Side, limit: Decimal | None, *, instrument: Instrument, ticker: Ticker | None
) -> Decimal | None:
    """Return the price that an order is worth no more than. A buy never pays more than its limit; a sell may get as
    much more than its limit as the market pays, so without a price of the market it has none.
    """
    met = price_met(side, instrument=instrument, ticker=ticker)
    if limit is None or (side is Side.SELL and met is None):
        return met
    return limit if side is Side.BUY or met is None else max(limit, met)


def price_expected(
    side: Side, limit: Decimal | None, *, instrument: Instrument, ticker: Ticker | None
) -> Decimal | None:
    """Return the price that an order is filled at: its limit, or the market's where that is better."""
    met = price_met(side, instrument=instrument, ticker=ticker)
    if limit is None or met is None:
        return limit if met is None else met
    return min(limit, met) if side is Side.BUY else max(limit, met)


def _price(leg: Leg, *, instrument: Instrument, ticker: Ticker | None) -> Decimal | None:
    """An exit is not kept back for want of a price of the market."""
    price = price_at_most(leg.side, leg.price, instrument=instrument, ticker=ticker)
    return leg.price if price is None and leg.intent is Intent.EXIT else price


def _price_missing(leg: Leg, instrument: Instrument) -> Denial:
    wanted = "best ask" if leg.side is Side.BUY else "best bid"
    return Denial(DenialCode.PRICE_MISSING, {"wanted": wanted, "symbol": instrument.symbol})


def _out_of_bounds(leg: Leg, quantity: Decimal, *, instrument: Instrument, price: Decimal | None) -> Denial | None:
    if quantity <= 0 or quantity < instrument.min_quantity:
        smallest = smallest_quantity(instrument)
        return _too_small(
            leg, quantity, DenialCode.QUANTITY_BELOW_MINIMUM, smallest, instrument=instrument, price=price
        )
    if price is not None and _value(quantity, price, instrument) < instrument.min_notional:
        per_unit = instrument.contract_size * price
        smallest = max(
            ceil_to_step(instrument.min_notional / per_unit, instrument.quantity_step), smallest_quantity(instrument)
        )
        return _too_small(
            leg, quantity, DenialCode.NOTIONAL_BELOW_MINIMUM, smallest, instrument=instrument, price=price
        )
    if leg.intent is Intent.ENTRY and instrument.max_quantity is not None and quantity > instrument.max_quantity:
        facts = {
            "asked": normalize_text(leg.quantity),
            "maximum": f"{normalize_text(instrument.max_quantity)} {unit_of(instrument)}",
            "unit": unit_of(instrument),
            "symbol": instrument.symbol,
        }
        return Denial(DenialCode.QUANTITY_ABOVE_MAXIMUM, facts)
    return None


def _too_small(
    leg: Leg, quantity: Decimal, code: DenialCode, smallest: Decimal, *, instrument: Instrument, price: Decimal | None
) -> Denial:
    unit = unit_of(instrument)
    if leg.is_whole:
        facts = {
            "held": normalize_text(leg.quantity),
            "unit": unit,
            "symbol": instrument.symbol,
            "minimum": f"{normalize_text(smallest)} {unit}",
        }
        return Denial(DenialCode.DUST_LEFT, facts)
    minimum = f"{normalize_text(smallest)} {unit}"
    facts = {
        "asked": normalize_text(leg.quantity),
        "rounded": normalize_text(quantity),
        "minimum": minimum,
        "smallest": normalize_text(smallest),
        "unit": unit,
        "symbol": instrument.symbol,
    }
    if code is DenialCode.NOTIONAL_BELOW_MINIMUM and price is not None:
        facts |= {
            "notional": normalize_text(_value(quantity, price, instrument)),
            "minimum": normalize_text(instrument.min_notional),
            "quote": instrument.quote,
            "price": normalize_text(price),
        }
    return Denial(code, facts)


def largest_part(quantity: Decimal, instrument: Instrument) -> Decimal:
    """Return as much of an exit as one order may carry, leaving nothing that is too small to be an order too."""
    if instrument.max_quantity is None or quantity <= instrument.max_quantity:
        return quantity
    sent = min(instrument.max_quantity, max(quantity - instrument.min_quantity, instrument.min_quantity))
    return floor_to_step(sent, instrument.quantity_step)


def _sized_exit(
    leg: Leg, quantity: Decimal, *, instrument: Instrument, price: Decimal | None, fee_rates: FeeRates
) -> SizedLeg | Denial:
    if instrument.market is Market.SPOT and leg.side is Side.BUY:
        raise ValueError("spot has no short that a buy could exit")
    sent = largest_part(quantity, instrument)
    estimate = None
    if price is not None:
        notional = _value(sent, price, instrument)
        estimate = Estimate(price, notional, notional * fee_rates.taker, margin=None)
    return SizedLeg(leg, sent, notional=None, remainder=quantity - sent, estimate=estimate)


def _spot_buy(
    leg: Leg, quantity: Decimal, *, instrument: Instrument, price: Decimal, free: Decimal, fee_rates: FeeRates
) -> SizedLeg | Denial:
    cost = _value(quantity, price, instrument)
    with localcontext(prec=_WIDE, rounding=ROUND_CEILING):
        notional = ceil_to_step(cost / (1 - fee_rates.taker), quote_step(instrument))
    spendable = free * SPENDABLE_RATE
    if notional > spendable:
        return _insufficient(notional, spendable, instrument)
    estimate = Estimate(price, cost, cost * fee_rates.taker, margin=None)
    if leg.price is not None:
        # A limit buy is sent as a quantity; the fee comes on top of what it costs.
        return SizedLeg(leg, quantity, notional=None, remainder=Decimal(0), estimate=estimate)
    return SizedLeg(leg, quantity, notional=notional, remainder=Decimal(0), estimate=estimate)


def _futures_entry(
    leg: Leg,
    quantity: Decimal,
    *,
    instrument: Instrument,
    price: Decimal,
    available: Decimal,
    fee_rates: FeeRates,
    leverage: Decimal | None,
) -> SizedLeg | Denial:
    if leverage is not None and leverage <= 0:
        raise ValueError(f"leverage must be positive, not {leverage}")
    if leverage is not None and instrument.max_leverage is not None and leverage > instrument.max_leverage:
        facts = {
            "found": normalize_text(leverage),
            "maximum": normalize_text(instrument.max_leverage),
            "symbol": instrument.symbol,
        }
        return Denial(DenialCode.LEVERAGE_TOO_HIGH, facts)
    notional = _value(quantity, price, instrument)
    fee = notional * fee_rates.taker
    margin = notional / (leverage or Decimal(1))
    if margin + fee > available:
        return _insufficient(margin + fee, available, instrument)
    return SizedLeg(leg, quantity, notional=None, remainder=Decimal(0), estimate=Estimate(price, notional, fee, margin))


def _cut(
    leg: Leg,
    denial: Denial,
    affordable: Decimal,
    *,
    instrument: Instrument,
    price: Decimal,
    entry: Callable[[Decimal], SizedLeg | Denial],
) -> SizedLeg | Denial:
    """Return the largest entry that the balance allows, or the denial where that is no order."""
    sized: SizedLeg | Denial = denial
    # The quote amount is rounded up to its step, which may take the last step of the quantity: once, not in a loop.
    for quantity in (affordable, affordable - instrument.quantity_step):
        if _out_of_bounds(leg, quantity, instrument=instrument, price=price) is not None:
            return denial
        sized = entry(quantity)
        if isinstance(sized, SizedLeg):
            cut = {
                "asked": normalize_text(leg.quantity),
                "sent": normalize_text(quantity),
                "unit": unit_of(instrument),
                **denial.facts,
            }
            return replace(sized, cut=cut)
    return denial


def _insufficient(needed: Decimal, available: Decimal, instrument: Instrument) -> Denial:
    """Shown to 8 decimals: what is needed rounded up, what can be used rounded down."""
    shown = Decimal(1).scaleb(-_MAX_QUOTE_DECIMALS)
    facts = {
        "needed": normalize_text(ceil_to_step(needed, shown)),
        "available": normalize_text(floor_to_step(available, shown)),
        "quote": instrument.quote,
    }
    return Denial(DenialCode.INSUFFICIENT_BALANCE, facts)


def _value(quantity: Decimal, price: Decimal, instrument: Instrument) -> Decimal:
    return quantity * instrument.contract_size * price
