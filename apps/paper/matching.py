"""What an order meets: the crowd's levels, thinned by what was taken from them, and the orders that rest here."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from apps.paper.amounts import ZERO, floor_to
from apps.paper.instruments import SpotInstrument
from apps.paper.market_data import LEVEL_MS, Instrument, Level, side_levels, size_step
from apps.paper.prices import Prices
from apps.paper.records import Order
from apps.paper.store import Store

OPPOSITE = {"buy": "sell", "sell": "buy"}
# A held price without a depth of its own takes whatever comes.
ENDLESS = Decimal(10) ** 15
_STP = {"1": "cancel_maker", "2": "cancel_taker", "3": "cancel_both"}


@dataclass(frozen=True, slots=True)
class Offer:
    """A size at a price; `maker` is the resting order behind it, None for the crowd."""

    price: Decimal
    size: Decimal
    maker: Order | None = None


@dataclass(slots=True)
class Plan:
    """What an order would trade at once.

    `swept` are resting orders of its own account that it takes out of its way, `is_stopped` says that it ends there.
    """

    offers: list[Offer] = field(default_factory=list)
    swept: list[Order] = field(default_factory=list)
    is_stopped: bool = False

    @property
    def size(self) -> Decimal:
        return sum((offer.size for offer in self.offers), ZERO)


def is_within(side: str, price: Decimal, limit: Decimal) -> bool:
    """Say whether an order of this side with this limit may trade at the price."""
    return price <= limit if side == "buy" else price >= limit


class Market:
    def __init__(self, store: Store, prices: Prices) -> None:
        self._store = store
        self._prices = prices
        self._taken: dict[str, tuple[int, dict[Decimal, Decimal]]] = {}

    def plan(self, order: Order, instrument: Instrument, now_ms: int) -> Plan:
        """Return what the order trades on arrival: what is left of it or, on a market buy of spot, its notional."""
        plan = Plan()
        stp = _STP.get(order.stp_mode, order.stp_mode)
        left, money = order.left, order.notional - order.filled_notional
        by_notional = order.market == "spot" and order.type == "market" and order.side == "buy"
        for offer in self._offers(order, instrument, now_ms):
            if order.type != "market" and not is_within(order.side, offer.price, order.price):
                break
            wanted = floor_to(money / offer.price, size_step(instrument)) if by_notional else left
            if not wanted:
                # Filled: what rests further down is not in its way, its own orders neither.
                break
            if offer.maker is not None and offer.maker.account_id == order.account_id and stp != "none":
                if stp != "cancel_taker":
                    plan.swept.append(offer.maker)
                if stp != "cancel_maker":
                    plan.is_stopped = True
                    break
                continue
            size = min(wanted, offer.size)
            if not size:
                break
            plan.offers.append(Offer(offer.price, size, offer.maker))
            left -= size
            money -= size * offer.price
        return plan

    def crowd_within(self, instrument: Instrument, side: str, limit: Decimal, now_ms: int) -> list[Level]:
        """Return the crowd's levels that an order of this side and limit can trade with."""
        found = []
        for price, size in self._crowd(instrument, OPPOSITE[side], now_ms):
            if not is_within(side, price, limit):
                break
            found.append((price, size))
        return found

    def take(self, symbol: str, price: Decimal, size: Decimal, now_ms: int) -> None:
        """Thin the crowd's level until its next second."""
        if self._is_endless(symbol):
            return
        second = now_ms // LEVEL_MS
        known, taken = self._taken.get(symbol, (second, {}))
        if known != second:
            taken = {}
        taken[price] = taken.get(price, ZERO) + size
        self._taken[symbol] = (second, taken)

    def book(self, instrument: Instrument, side: str, now_ms: int, *, count: int) -> list[Level]:
        """Return what the public sees of one side: the crowd and the resting orders by price, best first."""
        sizes: dict[Decimal, Decimal] = {}
        for price, size in side_levels(self._prices, instrument, now_ms, side=side):
            left = size - self._taken_at(instrument.symbol, price, now_ms)
            if left > 0:
                sizes[price] = left
        market = "spot" if isinstance(instrument, SpotInstrument) else "futures"
        worst = min(sizes, default=ZERO) if side == "buy" else max(sizes, default=ENDLESS)
        for order in self._store.orders.best_first(market, instrument.symbol, side):
            if not is_within(OPPOSITE[side], order.price, worst):
                break
            sizes[order.price] = sizes.get(order.price, ZERO) + order.left
        return sorted(sizes.items(), reverse=side == "buy")[:count]

    def _offers(self, order: Order, instrument: Instrument, now_ms: int) -> Iterator[Offer]:
        """Yield both kinds, best price first; at one price the crowd was there before."""
        theirs = OPPOSITE[order.side]
        crowd = self._crowd(instrument, theirs, now_ms)
        level = next(crowd, None)
        for maker in self._store.orders.best_first(order.market, order.symbol, theirs):
            while level is not None and is_within(order.side, level[0], maker.price):
                yield Offer(*level)
                level = next(crowd, None)
            yield Offer(maker.price, maker.left, maker)
        while level is not None:
            yield Offer(*level)
            level = next(crowd, None)

    def _crowd(self, instrument: Instrument, side: str, now_ms: int) -> Iterator[Level]:
        if self._is_endless(instrument.symbol):
            quote = self._prices.quote(instrument.symbol, now_ms)
            yield (quote.bid if side == "buy" else quote.ask), ENDLESS
            return
        for price, size in side_levels(self._prices, instrument, now_ms, side=side):
            left = size - self._taken_at(instrument.symbol, price, now_ms)
            if left > 0:
                yield price, left

    def _is_endless(self, symbol: str) -> bool:
        pin = self._prices.pinned(symbol)
        return pin is not None and bool(pin.price) and not pin.depth

    def _taken_at(self, symbol: str, price: Decimal, now_ms: int) -> Decimal:
        known = self._taken.get(symbol)
        if known is None or known[0] != now_ms // LEVEL_MS:
            return ZERO
        return known[1].get(price, ZERO)
