"""What a message's `quantity` counts → base units, once, at the price and balance of now. Pure.

    quantity_type      in an entry                                     in an exit
    -----------------  ----------------------------------------------  -------------------------------------------------
    base               base units                                      base units; what tops the position may reverse it
    contracts          × contract size (futures only)                  the same
    percent_position   of what is held on that side: an add            of what is held, never more than all of it
    quote              position value                                  reduces by that value, never opens
    margin             value = margin × leverage (futures only)        only with a stated position after the order
    percent_equity     value, of the account's equity                  only with a stated position after the order
    percent_balance    value, of the free balance after head-room      only with a stated position after the order
    risk_percent       equity × percent ÷ distance to the stop-loss    only with a stated position after the order

An amount of money says what a position is opened with. For an exit it does not say how much of what is held is meant,
unless `market_position` does: flat closes the whole; the other side closes the whole and opens the amount, or nothing
where the amount cannot be told. Without it such an exit is refused by name (EXIT_SIZE_AMBIGUOUS), except for `quote`,
which can only mean "this much of it".

Leverage never multiplies a percentage: `percent_equity` 50 is a position worth half of the equity at any leverage. Only
`margin` is multiplied, and says so by its name.

The sizes that a message states beside such a quantity (`market_position_size` …) are in the strategy's own units, which
are not ours; only the side it states is used. With `contracts` they are contracts too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal, localcontext

from apps.connectors.exchange import Instrument, Market, Side
from apps.lib.decimals import FINEST, ceil_to_step, floor_to_step, normalize_text
from apps.trading.denials import Denial, DenialCode
from apps.trading.legs import Holding, Note, NoteCode
from apps.trading.signal import PrevPosition, QuantityType, Signal, SignalKind
from apps.trading.sizing import SPENDABLE_RATE
from apps.trading.targets import stated_side
from apps.trading.wording import describe_holding, own_side, smallest_quantity, unit_of

_Q = QuantityType
_LONG, _SHORT, _FLAT = PrevPosition.LONG, PrevPosition.SHORT, PrevPosition.FLAT
_OPPOSITE = {_LONG: _SHORT, _SHORT: _LONG}
_FUTURES_ONLY = {_Q.CONTRACTS, _Q.MARGIN}
_MONEY = {_Q.QUOTE, _Q.MARGIN, _Q.PERCENT_EQUITY, _Q.PERCENT_BALANCE, _Q.RISK_PERCENT}
_OF_EQUITY = {_Q.PERCENT_EQUITY, _Q.RISK_PERCENT}
_SHOWN = Decimal(1).scaleb(-8)
_ALL = Decimal(100)
# In exchange units: a stop a hair's breadth from the price asks for more than any column holds.
_MOST = Decimal(10) ** 18
_WIDE = 100


@dataclass(frozen=True, slots=True)
class AmountFacts:
    """What an amount is converted with, all of one moment. Money in quote currency.

    `price` is what the order is worth no more than, `expected` what it is filled at as things stand, which stops in per
    cent count from (None = no price was found). `equity` is the account's, open PnL included (None
    = not read). `available` is the free quote balance (spot) or the available margin. `taker` is the fee rate.
    """

    price: Decimal | None
    equity: Decimal | None
    available: Decimal
    leverage: Decimal
    taker: Decimal
    expected: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Converted:
    """The signal with its quantity in base units, and how it came to it (plain texts for the order's record)."""

    signal: Signal
    record: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()


def needs_price(signal: Signal, market: Market) -> bool:
    """True when the amount cannot be converted without a price. A whole or relative exit never waits for one."""
    if signal.kind is not SignalKind.ORDER or signal.quantity_type not in _MONEY:
        return False
    return not (signal.is_exit and _is_whole(signal, market))


def needs_equity(signal: Signal, market: Market) -> bool:
    return needs_price(signal, market) and signal.quantity_type in _OF_EQUITY


def to_base(signal: Signal, *, instrument: Instrument, holding: Holding, facts: AmountFacts) -> Converted | Denial:
    """Return the signal with a quantity in base units (to 18 decimals, not stepped), or why it has none.

    A signal in base units and one without a quantity come back as they are. ValueError as in `own_side`.
    """
    if signal.kind is not SignalKind.ORDER or signal.quantity_type is _Q.BASE:
        return Converted(signal)
    with localcontext(prec=_WIDE):
        return _Conversion(signal, instrument, holding, facts).convert()


class _Conversion:
    def __init__(self, signal: Signal, instrument: Instrument, holding: Holding, facts: AmountFacts) -> None:
        if signal.quantity is None or signal.quantity <= 0:
            raise ValueError(f"an order signal needs a positive quantity, not {signal.quantity}")
        self.signal = signal
        self.asked: Decimal = signal.quantity
        self.kind = signal.quantity_type
        self.instrument = instrument
        self.holding = holding
        self.facts = facts
        self.own = own_side(signal)

    def convert(self) -> Converted | Denial:
        if self.instrument.market is Market.SPOT and self.kind in _FUTURES_ONLY:
            return Denial(DenialCode.AMOUNT_NOT_ON_SPOT, {"type": self.kind.value, "symbol": self.instrument.symbol})
        if self.kind is _Q.CONTRACTS:
            return self._contracts()
        if self.signal.is_exit:
            return self._exit(self._held(_OPPOSITE[self.own]))
        if self.kind is _Q.PERCENT_POSITION:
            return self._add(self._held(self.own))
        amount = self._opened()
        if isinstance(amount, Denial):
            return amount
        return self._too_small(amount) or self._converted(amount)

    def _contracts(self) -> Converted:
        size = self.instrument.contract_size
        stated = {
            name: None if value is None else value * size
            for name, value in (
                ("market_position_size", self.signal.market_position_size),
                ("prev_market_position_size", self.signal.prev_market_position_size),
            )
        }
        base = replace(self.signal, quantity=self.asked * size, quantity_type=_Q.BASE, **stated)  # type: ignore[arg-type]
        return Converted(base, self._record(self.asked * size))

    def _add(self, held: Decimal) -> Converted | Denial:
        if held == 0:
            facts = {"side": self.own.value, "symbol": self.instrument.symbol, "actual": self._actual()}
            return Denial(DenialCode.PERCENT_OF_NOTHING, facts)
        amount = held * self.asked / _ALL
        return self._too_small(amount) or self._converted(amount)

    # exits

    def _exit(self, held: Decimal) -> Converted | Denial:
        after = stated_side(self.signal)
        if _is_whole(self.signal, self.instrument.market):
            return self._whole(held)
        if self.kind is _Q.PERCENT_POSITION:
            return self._part(held, held * min(self.asked, _ALL) / _ALL, is_whole=self.asked >= _ALL)
        if after is self.own:
            return self._reversal(held)
        if self.kind is not _Q.QUOTE:
            facts = {"type": self.kind.value, "symbol": self.instrument.symbol}
            return Denial(DenialCode.EXIT_SIZE_AMBIGUOUS, facts)
        amount = self._amount()
        if isinstance(amount, Denial):
            return amount
        return self._part(held, min(amount, held), is_whole=amount >= held)

    def _whole(self, held: Decimal) -> Converted | Denial:
        return self._converted(held, reduce_only=True) if held else self._nothing_to_close()

    def _part(self, held: Decimal, amount: Decimal, *, is_whole: bool) -> Converted | Denial:
        if held == 0:
            return self._nothing_to_close()
        notes: tuple[Note, ...] = ()
        if self.asked > _ALL and self.kind is _Q.PERCENT_POSITION:
            figures = {"asked": f"{normalize_text(self.asked)} %", "held": f"100 % ({self._actual()})"}
            notes = (Note(NoteCode.CLAMPED_TO_HELD, figures),)
        if not is_whole and (denial := self._too_small(amount)) is not None:
            return denial
        return self._converted(amount, reduce_only=True, notes=notes)

    def _reversal(self, held: Decimal) -> Converted | Denial:
        """Close the whole and open the amount: to the planner that is one order of both, as TradingView sends it."""
        amount = self._opened()
        if isinstance(amount, Denial):
            # What cannot be sized is not opened; that keeps nobody in what it closes.
            note = Note(NoteCode.OPENING_NOT_SIZED, {"code": amount.code.value})
            return self._converted(held, reduce_only=True, notes=(note,)) if held else amount
        if (denial := self._too_small(amount)) is not None and not self.signal.reduce_only and held == 0:
            return denial
        if self.instrument.market is Market.SPOT and self.own is _LONG:
            # The spot planner asks how much of a covering buy is new: all of it.
            return self._converted(amount, market_position_size=_kept(amount))
        # Money says what is opened; what is closed is what we hold, whatever the strategy counts.
        return self._converted(held + amount, prev_market_position_size=_kept(held))

    def _nothing_to_close(self) -> Denial:
        facts = {
            "claimed": self.signal.prev_position.value if self.signal.prev_position else "any",
            "actual": self._actual(),
            "symbol": self.instrument.symbol,
        }
        return Denial(DenialCode.NOTHING_TO_CLOSE, facts)

    # money

    def _opened(self) -> Decimal | Denial:
        """Return the amount to open, no larger than a quantity that can be written down."""
        amount = self._amount()
        if isinstance(amount, Denial) or amount <= _MOST * self.instrument.contract_size:
            return amount
        unit = unit_of(self.instrument)
        facts = {
            "asked": normalize_text(floor_to_step(amount / self.instrument.contract_size, Decimal(1))),
            "maximum": f"{normalize_text(self.instrument.max_quantity or _MOST)} {unit}",
            "unit": unit,
            "symbol": self.instrument.symbol,
        }
        return Denial(DenialCode.QUANTITY_ABOVE_MAXIMUM, facts)

    def _amount(self) -> Decimal | Denial:
        """Return the amount in base units."""
        price = self.facts.price
        if price is None or price <= 0:
            wanted = "best ask" if self.signal.action is Side.BUY else "best bid"
            return Denial(DenialCode.PRICE_MISSING, {"wanted": wanted, "symbol": self.instrument.symbol})
        if self.kind in _OF_EQUITY and (self.facts.equity is None or self.facts.equity <= 0):
            return self._no_funds("equity", self.facts.equity)
        if self.kind is _Q.PERCENT_BALANCE and self.facts.available <= 0:
            return self._no_funds("free balance", self.facts.available)
        if self.kind is _Q.RISK_PERCENT:
            return self._at_risk(price)
        return self._value() / price

    def _value(self) -> Decimal:
        """Return the position's value in quote currency."""
        equity = self.facts.equity or Decimal(0)
        match self.kind:
            case _Q.MARGIN:
                return self.asked * self.facts.leverage
            case _Q.PERCENT_EQUITY:
                return equity * self.asked / _ALL
            case _Q.PERCENT_BALANCE:
                # What is left for the position once fee and price movement have their share: 100 can be traded.
                return self.facts.available * SPENDABLE_RATE * (1 - self.facts.taker) * self.asked / _ALL
        return self.asked

    def _no_funds(self, of: str, found: Decimal | None) -> Denial:
        shown = "unknown" if found is None else f"{normalize_text(found)} {self.instrument.quote}"
        return Denial(DenialCode.PERCENT_OF_NO_FUNDS, {"type": self.kind.value, "of": of, "found": shown})

    def _at_risk(self, price: Decimal) -> Decimal | Denial:
        """No more than asked is lost where the order is filled at its limit, the worst that it can be."""
        stop, worst = self.signal.stop_loss, self.signal.limit_price or price
        if stop is None:
            return Denial(DenialCode.RISK_NEEDS_STOP, {"symbol": self.instrument.symbol})
        if stop.price is not None:
            if (stop.price >= price) if self.own is _LONG else (stop.price <= price):
                facts = {
                    "stop": normalize_text(stop.price),
                    "price": normalize_text(price),
                    "side": self.own.value,
                    "where": "below" if self.own is _LONG else "above",
                }
                return Denial(DenialCode.STOP_ON_WRONG_SIDE, facts)
            distance = abs(worst - stop.price)
        else:
            expected = self.facts.expected or price
            distance = expected * (stop.percent or Decimal(0)) / _ALL
            if distance <= 0:
                return Denial(DenialCode.RISK_NEEDS_STOP, {"symbol": self.instrument.symbol})
            distance += abs(worst - expected)
        return (self.facts.equity or Decimal(0)) * self.asked / _ALL / distance

    # answers

    def _too_small(self, amount: Decimal) -> Denial | None:
        """The refusal for an amount below the smallest order, in the message's own unit."""
        step = self.instrument.quantity_step * self.instrument.contract_size
        rounded = floor_to_step(amount, step)
        smallest = self._smallest()
        if rounded >= smallest:
            return None
        facts = {
            "asked": self._named(self.asked),
            "base": normalize_text(floor_to_step(amount, _SHOWN)),
            "rounded": normalize_text(rounded),
            "unit": self.instrument.base,
            "minimum": normalize_text(smallest),
            "smallest": self._named(ceil_to_step(self.asked * smallest / amount, _SHOWN)),
            "symbol": self.instrument.symbol,
        }
        return Denial(DenialCode.AMOUNT_BELOW_MINIMUM, facts)

    def _smallest(self) -> Decimal:
        """Return the smallest order in base units, at the price of now where there is one."""
        size = self.instrument.contract_size
        least = smallest_quantity(self.instrument) * size
        if self.facts.price is None or self.instrument.min_notional <= 0:
            return least
        by_value = ceil_to_step(self.instrument.min_notional / self.facts.price, self.instrument.quantity_step * size)
        return max(least, by_value)

    def _converted(
        self,
        amount: Decimal,
        *,
        reduce_only: bool = False,
        market_position_size: Decimal | None = None,
        prev_market_position_size: Decimal | None = None,
        notes: tuple[Note, ...] = (),
    ) -> Converted:
        signal = replace(
            self.signal,
            quantity=_kept(amount),
            quantity_type=_Q.BASE,
            reduce_only=self.signal.reduce_only or reduce_only,
            market_position=stated_side(self.signal),
            market_position_size=market_position_size,
            prev_market_position_size=prev_market_position_size,
        )
        return Converted(signal, self._record(amount), notes)

    def _record(self, amount: Decimal) -> dict[str, str]:
        """What was asked and what it was converted with; the order's own quantity is what the step left of it."""
        step = self.instrument.quantity_step * self.instrument.contract_size
        kept = _kept(amount)
        record = {
            "quantity": normalize_text(self.asked),
            "quantity_type": self.kind.value,
            "base": normalize_text(kept),
            "residue": normalize_text(kept - floor_to_step(kept, step)),
        }
        used: dict[str, Decimal | None] = {}
        if self.kind in _MONEY:
            used["price"] = self.facts.price
        if self.kind in _OF_EQUITY:
            used["equity"] = self.facts.equity
        if self.kind is _Q.PERCENT_BALANCE:
            used["available"] = self.facts.available
        if self.kind is _Q.MARGIN:
            used["leverage"] = self.facts.leverage
        return record | {name: normalize_text(value) for name, value in used.items() if value is not None}

    def _held(self, side: PrevPosition) -> Decimal:
        """Return what is held on a side, in base units and whole steps: the rest cannot be traded."""
        floored = floor_to_step(self.holding.of(side), self.instrument.quantity_step)
        return floored * self.instrument.contract_size

    def _named(self, asked: Decimal) -> str:
        """The number as the sender counts it, with its unit."""
        if self.kind is _Q.PERCENT_POSITION:
            return f"{normalize_text(asked)} % of the position"
        if self.kind is _Q.RISK_PERCENT:
            return f"{normalize_text(asked)} % at risk"
        if self.kind in {_Q.PERCENT_EQUITY, _Q.PERCENT_BALANCE}:
            of = "equity" if self.kind is _Q.PERCENT_EQUITY else "the free balance"
            return f"{normalize_text(asked)} % of {of}"
        return f"{normalize_text(asked)} {self.instrument.quote}"

    def _actual(self) -> str:
        return describe_holding(self.holding, self.instrument)


def _is_whole(signal: Signal, market: Market) -> bool:
    """True for an exit after which nothing may be left: flat is stated, a short that spot cannot hold, or another side
    that the message must not open.
    """
    after = stated_side(signal)
    if after is None or after is _FLAT:
        return after is _FLAT
    if market is Market.SPOT:
        return after is _SHORT and signal.action is Side.SELL
    return signal.reduce_only and after is own_side(signal)


def _kept(amount: Decimal) -> Decimal:
    return floor_to_step(amount, FINEST)
