"""Spot account rules: what an order freezes, what a fill moves, when an order is refused."""

from dataclasses import dataclass
from decimal import Decimal

from apps.paper.amounts import ZERO, cut, floor_to, is_multiple
from apps.paper.book import (
    Arrival,
    Force,
    arrive,
    crosses,
    market_buy_size,
    taker_price,
    with_fee,
    without_fee,
)
from apps.paper.client_ids import check_client_id
from apps.paper.instruments import QUOTE, Catalogue, SpotInstrument
from apps.paper.prices import Prices, Quote
from apps.paper.records import Account, Fill, Order
from apps.paper.refusals import Refusal
from apps.paper.store import Store
from apps.paper.wallets import SPOT, Wallets

_FORCES = {"limit": Force.GTC, "limit_maker": Force.POST_ONLY, "ioc": Force.IOC}
ORDER_TYPES = ("limit", "market", "limit_maker", "ioc")


@dataclass(frozen=True, slots=True)
class SpotRequest:
    symbol: str
    side: str
    type: str
    client_order_id: str
    size: Decimal | None
    price: Decimal | None
    notional: Decimal | None
    stp_mode: str


class SpotDesk:
    def __init__(self, store: Store, catalogue: Catalogue, prices: Prices) -> None:
        self._store = store
        self._catalogue = catalogue
        self._prices = prices
        self._wallets = Wallets(store)

    def instrument(self, symbol: str) -> SpotInstrument:
        found = self._catalogue.spot.get(symbol)
        if found is None:
            raise Refusal(50001)
        return found

    def place(self, account: Account, request: SpotRequest, now_ms: int) -> Order:
        """Accept the order, fill or rest it. Nothing is written when it is refused."""
        instrument = self.instrument(request.symbol)
        quote = self._prices.quote(request.symbol, now_ms)
        order = self._draft(account, request, now_ms)
        self._size(order, request, instrument, quote=quote)
        check_client_id(self._store, account, request.client_order_id, market=SPOT, now_ms=now_ms)
        held = self._amount_to_freeze(order, request, instrument)
        if self._wallets.balance(account.id, SPOT, _pays_with(order, instrument)).available < held:
            raise Refusal(50020)
        order.id = self._store.new_id(Order)
        order.reserved = held
        self._wallets.change(account.id, SPOT, _pays_with(order, instrument), available=-held, frozen=held)
        self._arrive(order, instrument, quote=quote, now_ms=now_ms)
        self._store.save(order)
        return order

    def cancel(self, order: Order, *, source: str, now_ms: int) -> None:
        instrument = self._catalogue.spot[order.symbol]
        self._end(order, instrument, state="canceled", source=source)
        order.updated_ms = now_ms
        self._store.save(order)

    def match_resting(self, symbol: str, now_ms: int) -> None:
        """Fill every resting order of the symbol that the price has reached, at its own price, as maker."""
        quote = self._prices.quote(symbol, now_ms)
        instrument = self._catalogue.spot[symbol]
        for order in self._store.hot(Order).group("symbol", (SPOT, symbol)):
            if crosses(order.side, order.price, quote):
                self._fill(order, instrument, size=order.left, price=order.price, role="maker", now_ms=now_ms)
                self._store.save(order)

    def _draft(self, account: Account, request: SpotRequest, now_ms: int) -> Order:
        return Order(
            id=0,
            market=SPOT,
            account_id=account.id,
            symbol=request.symbol,
            client_order_id=request.client_order_id,
            side=request.side,
            way=0,
            type=request.type,
            mode=0,
            price=ZERO,
            size=ZERO,
            notional=ZERO,
            leverage=ZERO,
            open_type="",
            position_mode="",
            stp_mode=request.stp_mode,
            state="new",
            cancel_source="",
            filled_size=ZERO,
            filled_notional=ZERO,
            reserved=ZERO,
            created_ms=now_ms,
            updated_ms=now_ms,
        )

    def _size(self, order: Order, request: SpotRequest, instrument: SpotInstrument, *, quote: Quote) -> None:
        if order.type == "market" and order.side == "buy":
            if request.notional is None:
                raise Refusal(50021 if request.size is not None else 50012, "Invalid notional")
            if request.notional < instrument.min_notional:
                raise Refusal(51012)
            order.notional = without_fee(request.notional, instrument.taker_fee_rate)
            return
        order.size = _checked_size(request.size, instrument)
        price = quote.bid
        if order.type != "market":
            price = order.price = _checked_price(request.price, instrument)
            order.notional = order.size * order.price
        if order.size * price < instrument.min_notional:
            raise Refusal(51011)

    def _amount_to_freeze(self, order: Order, request: SpotRequest, instrument: SpotInstrument) -> Decimal:
        if order.side == "sell":
            return order.size
        if order.type == "market":
            return request.notional or ZERO
        return with_fee(order.notional, instrument.taker_fee_rate)

    def _arrive(self, order: Order, instrument: SpotInstrument, *, quote: Quote, now_ms: int) -> None:
        if order.type == "market":
            self._fill_market(order, instrument, quote=quote, now_ms=now_ms)
            return
        outcome = arrive(order.side, order.price, force=_FORCES[order.type], quote=quote)
        if outcome is Arrival.FILL:
            price = taker_price(order.side, quote)
            self._fill(order, instrument, size=order.size, price=price, role="taker", now_ms=now_ms)
        elif outcome is Arrival.CANCEL:
            self._end(order, instrument, state="canceled", source="system")

    def _fill_market(self, order: Order, instrument: SpotInstrument, *, quote: Quote, now_ms: int) -> None:
        price = taker_price(order.side, quote)
        size = order.size
        if order.side == "buy":
            size = market_buy_size(order.notional, price, instrument.step)
            if size == 0:
                self._end(order, instrument, state="canceled", source="system")
                return
        self._fill(order, instrument, size=size, price=price, role="taker", now_ms=now_ms)
        # The quote left over after rounding to the size step is what BitMart calls cancelled.
        if order.side == "buy" and order.filled_notional < order.notional:
            order.state = "partially_canceled"
            order.cancel_source = "system"

    def _fill(
        self, order: Order, instrument: SpotInstrument, *, size: Decimal, price: Decimal, role: str, now_ms: int
    ) -> None:
        notional = size * price
        rate = instrument.taker_fee_rate if role == "taker" else instrument.maker_fee_rate
        fee = cut(notional * rate)
        spent = notional + fee if order.side == "buy" else size
        order.filled_size += size
        order.filled_notional += notional
        order.updated_ms = now_ms
        self._take_reserved(order, instrument, spent=spent)
        gained = size if order.side == "buy" else notional - fee
        self._wallets.change(order.account_id, SPOT, _is_paid_with(order, instrument), available=gained)
        self._store.save(
            Fill(
                id=self._store.new_id(Fill),
                order_id=order.id,
                account_id=order.account_id,
                market=SPOT,
                symbol=order.symbol,
                client_order_id=order.client_order_id,
                side=order.side,
                way=0,
                order_type=order.type,
                stp_mode=order.stp_mode,
                price=price,
                size=size,
                notional=notional,
                fee=fee,
                fee_currency=QUOTE,
                role=role,
                realised=ZERO,
                created_ms=now_ms,
            )
        )
        if order.filled_size >= order.size:
            order.state = "filled"
            self._release(order, instrument)
        else:
            order.state = "partially_filled"

    def _take_reserved(self, order: Order, instrument: SpotInstrument, *, spent: Decimal) -> None:
        order.reserved -= spent
        self._wallets.change(order.account_id, SPOT, _pays_with(order, instrument), frozen=-spent)

    def _release(self, order: Order, instrument: SpotInstrument) -> None:
        back = order.reserved
        order.reserved = ZERO
        self._wallets.change(order.account_id, SPOT, _pays_with(order, instrument), available=back, frozen=-back)

    def _end(self, order: Order, instrument: SpotInstrument, *, state: str, source: str) -> None:
        order.state = "partially_canceled" if order.filled_size else state
        order.cancel_source = source
        self._release(order, instrument)


def _pays_with(order: Order, instrument: SpotInstrument) -> str:
    return QUOTE if order.side == "buy" else instrument.base.currency


def _is_paid_with(order: Order, instrument: SpotInstrument) -> str:
    return instrument.base.currency if order.side == "buy" else QUOTE


def _checked_size(size: Decimal | None, instrument: SpotInstrument) -> Decimal:
    if size is None:
        raise Refusal(50010)
    if size < instrument.step:
        raise Refusal(50006)
    if size > instrument.max_size:
        raise Refusal(50007)
    if not is_multiple(size, instrument.step):
        raise Refusal(50021, "Invalid size")
    return size


def _checked_price(price: Decimal | None, instrument: SpotInstrument) -> Decimal:
    """Return the price with the decimals beyond the market's cut off, as the server does without a word."""
    if price is None:
        raise Refusal(50011)
    if price > instrument.base.level * 1000:
        raise Refusal(50025)
    price = floor_to(price, instrument.tick)
    if price < instrument.tick:
        raise Refusal(50008)
    return price
