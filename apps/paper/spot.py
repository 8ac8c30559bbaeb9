"""Spot account rules: what an order freezes, what a fill moves, when an order is refused."""

from dataclasses import dataclass
from decimal import Decimal

from apps.paper.amounts import ZERO, cut, floor_to, is_multiple
from apps.paper.book import Force, with_fee, without_fee
from apps.paper.client_ids import check_client_id
from apps.paper.events import Action
from apps.paper.instruments import BMX, QUOTE, Catalogue, SpotInstrument
from apps.paper.matching import Market, Plan
from apps.paper.policies import Policies
from apps.paper.prices import Prices, Quote
from apps.paper.records import Account, Fill, Order
from apps.paper.refusals import Refusal
from apps.paper.store import Store
from apps.paper.telling import save_order, tell_order
from apps.paper.wallets import SPOT, Wallets

_FORCES = {"limit": Force.GTC, "limit_maker": Force.POST_ONLY, "ioc": Force.IOC, "market": Force.IOC}
ORDER_TYPES = ("limit", "market", "limit_maker", "ioc")
# Fees paid in BMX are a quarter cheaper.
_BMX_DISCOUNT = Decimal("0.75")


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
    trigger_id: int = 0


@dataclass(frozen=True, slots=True)
class _Fee:
    amount: Decimal
    currency: str


class SpotDesk:
    def __init__(
        self, store: Store, catalogue: Catalogue, prices: Prices, *, market: Market, policies: Policies
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._prices = prices
        self._market = market
        self._policies = policies
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
        if not request.trigger_id:
            check_client_id(self._store, self._policies, account, request.client_order_id, market=SPOT, now_ms=now_ms)
        held = self._amount_to_freeze(order, request, instrument)
        if self._wallets.balance(account.id, SPOT, _pays_with(order, instrument)).available < held:
            raise Refusal(50020)
        plan = self._market.plan(order, instrument, now_ms)
        self._check_post_only(account, order, plan)
        order.id = self._store.new_id(Order)
        order.reserved = held
        pays_with = _pays_with(order, instrument)
        self._wallets.change(account.id, SPOT, pays_with, available=-held, frozen=held, cause="order")
        tell_order(self._store, order, "submit")
        self._arrive(order, instrument, plan, now_ms=now_ms)
        self._store.save(order)
        return order

    def cancel(self, order: Order, *, source: str, now_ms: int, action: Action = "cancel") -> None:
        instrument = self._catalogue.spot[order.symbol]
        order.updated_ms = now_ms
        self._end(order, instrument, source=source, action=action)

    def live_orders(self, account_id: int) -> list[Order]:
        return self._store.orders.group("owner", (SPOT, account_id))

    def match_resting(self, symbol: str, now_ms: int) -> None:
        """Fill resting orders that the crowd has reached, at their own price, as far as its sizes go."""
        instrument = self._catalogue.spot[symbol]
        for side in ("buy", "sell"):
            for order in self._store.orders.best_first(SPOT, symbol, side):
                levels = self._market.crowd_within(instrument, side, order.price, now_ms)
                if not levels:
                    break
                for price, available in levels:
                    size = min(available, order.left)
                    if size:
                        self._market.take(symbol, price, size, now_ms)
                        self._fill(order, instrument, size=size, price=order.price, role="maker", now_ms=now_ms)

    def _check_post_only(self, account: Account, order: Order, plan: Plan) -> None:
        if order.type != "limit_maker" or not (plan.offers or plan.swept):
            return
        if self._policies.of(account, "limit_maker") == "refuse":
            raise Refusal(50034 if order.side == "buy" else 50035)

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
            trigger_id=request.trigger_id,
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

    def _arrive(self, order: Order, instrument: SpotInstrument, plan: Plan, *, now_ms: int) -> None:
        force = _FORCES[order.type]
        if force is Force.POST_ONLY and (plan.offers or plan.swept):
            self._end(order, instrument, source="system")
            return
        for own in plan.swept:
            self.cancel(own, source="stp", now_ms=now_ms)
        for offer in plan.offers:
            if offer.maker is None:
                self._market.take(order.symbol, offer.price, offer.size, now_ms)
            else:
                self._fill(offer.maker, instrument, size=offer.size, price=offer.price, role="maker", now_ms=now_ms)
            self._fill(order, instrument, size=offer.size, price=offer.price, role="taker", now_ms=now_ms)
        if order.is_live and (plan.is_stopped or force is Force.IOC):
            self._end(order, instrument, source="stp" if plan.is_stopped else "system")

    def _fill(
        self, order: Order, instrument: SpotInstrument, *, size: Decimal, price: Decimal, role: str, now_ms: int
    ) -> None:
        notional = size * price
        fee = self._fee(order, instrument, notional=notional, role=role, now_ms=now_ms)
        in_quote = fee.amount if fee.currency == QUOTE else ZERO
        order.filled_size += size
        order.filled_notional += notional
        order.updated_ms = now_ms
        self._take_reserved(order, instrument, spent=notional + in_quote if order.side == "buy" else size)
        gained = size if order.side == "buy" else notional - in_quote
        self._wallets.change(order.account_id, SPOT, _is_paid_with(order, instrument), available=gained)
        if fee.currency != QUOTE:
            self._wallets.change(order.account_id, SPOT, fee.currency, available=-fee.amount)
        if _is_filled(order):
            order.state = "filled"
            self._release(order, instrument)
        else:
            order.state = "partially_filled"
        fill = Fill(
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
            fee=fee.amount,
            fee_currency=fee.currency,
            role=role,
            realised=ZERO,
            created_ms=now_ms,
        )
        save_order(self._store, order, "match", fill)

    def _fee(self, order: Order, instrument: SpotInstrument, *, notional: Decimal, role: str, now_ms: int) -> _Fee:
        """Return the fee in quote, or in BMX when the account wants that and has enough of it."""
        fee = cut(notional * (instrument.taker_fee_rate if role == "taker" else instrument.maker_fee_rate))
        account = self._store.get(Account, order.account_id)
        if account is None or not account.pays_in_bmx or instrument.base.currency == BMX:
            return _Fee(fee, QUOTE)
        price = self._prices.quote(f"{BMX}_{QUOTE}", now_ms).last
        in_bmx = cut(fee * _BMX_DISCOUNT / price)
        enough = self._wallets.balance(order.account_id, SPOT, BMX).available >= in_bmx
        return _Fee(in_bmx, BMX) if enough else _Fee(fee, QUOTE)

    def _take_reserved(self, order: Order, instrument: SpotInstrument, *, spent: Decimal) -> None:
        order.reserved -= spent
        self._wallets.change(order.account_id, SPOT, _pays_with(order, instrument), frozen=-spent)

    def _release(self, order: Order, instrument: SpotInstrument) -> None:
        back = order.reserved
        order.reserved = ZERO
        self._wallets.change(
            order.account_id, SPOT, _pays_with(order, instrument), available=back, frozen=-back, cause="order"
        )

    def _end(self, order: Order, instrument: SpotInstrument, *, source: str, action: Action = "cancel") -> None:
        order.state = "partially_canceled" if order.filled_size else "canceled"
        order.cancel_source = source
        self._release(order, instrument)
        save_order(self._store, order, action)


def _is_filled(order: Order) -> bool:
    """A market buy is filled when it has spent its notional to the last digit: rounding mostly leaves a rest."""
    if order.type == "market" and order.side == "buy":
        return order.filled_notional == order.notional
    return order.filled_size >= order.size


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
