"""Futures order rules: sides 1-4 in hedge and one-way accounts, margin held by resting orders, fills, cancels."""

from dataclasses import dataclass
from decimal import Decimal

from apps.paper.amounts import ZERO
from apps.paper.book import Arrival, Force, arrive, closing_share, crosses, taker_price
from apps.paper.client_ids import check_client_id
from apps.paper.futures_request import FuturesRequest, check_leverage, check_size, check_tick, checked_price
from apps.paper.instruments import QUOTE, Catalogue, FuturesInstrument
from apps.paper.positions import Change, PositionBook
from apps.paper.prices import Prices, Quote
from apps.paper.records import Account, Fill, LeverageSetting, Order, Position
from apps.paper.refusals import Refusal
from apps.paper.store import Store
from apps.paper.wallets import FUTURES, Wallets

HEDGE = "hedge_mode"
ONE_WAY = "one_way_mode"
POSITION_MODES = (HEDGE, ONE_WAY)
OPEN_TYPES = ("cross", "isolated")
_REDUCING = (2, 3)
_FORCES = {1: Force.GTC, 2: Force.FOK, 3: Force.IOC, 4: Force.POST_ONLY}


@dataclass(frozen=True, slots=True)
class _Split:
    """How much of a fill closes the position opposite to the order, and how much opens."""

    closing: Decimal
    opening: Decimal


class FuturesDesk:
    def __init__(self, store: Store, catalogue: Catalogue, prices: Prices) -> None:
        self._store = store
        self._catalogue = catalogue
        self._prices = prices
        self._wallets = Wallets(store)
        self.positions = PositionBook(store)

    def instrument(self, symbol: str) -> FuturesInstrument:
        found = self._catalogue.futures.get(symbol)
        if found is None:
            raise Refusal(40034)
        return found

    def place(self, account: Account, request: FuturesRequest, now_ms: int) -> Order:
        """Accept the order, fill or rest it. Nothing is written when it is refused."""
        instrument = self.instrument(request.symbol)
        quote = self._prices.quote(request.symbol, now_ms)
        order = self._draft(account, request, now_ms)
        check_size(order, instrument)
        order.price = checked_price(request, instrument, quote=quote)
        check_client_id(self._store, account, request.client_order_id, market=FUTURES, now_ms=now_ms)
        self._check_close(order)
        self._set_leverage(order, request, instrument)
        outcome = _arrival(order, quote)
        self._check_money(order, instrument, outcome=outcome, quote=quote)
        order.id = self._store.new_id(Order)
        self._arrive(order, instrument, outcome=outcome, quote=quote, now_ms=now_ms)
        self._store.save(order)
        return order

    def modify(self, order: Order, *, price: Decimal | None, size: Decimal | None, now_ms: int) -> None:
        instrument = self._catalogue.futures[order.symbol]
        quote = self._prices.quote(order.symbol, now_ms)
        self._release(order)
        order.price = order.price if price is None else price
        order.size = order.size if size is None else size
        check_size(order, instrument)
        check_tick(order.price, instrument)
        if order.size <= order.filled_size:
            raise Refusal(40044)
        self._check_close(order)
        outcome = _arrival(order, quote)
        self._check_money(order, instrument, outcome=outcome, quote=quote)
        order.updated_ms = now_ms
        self._arrive(order, instrument, outcome=outcome, quote=quote, now_ms=now_ms)
        self._store.save(order)

    def cancel(self, order: Order, *, source: str, now_ms: int) -> None:
        self._end(order, source=source)
        order.updated_ms = now_ms
        self._store.save(order)

    def live_orders(self, account_id: int, symbol: str = "") -> list[Order]:
        found = self._store.hot(Order).group("owner", (FUTURES, account_id))
        rows = [order for order in found if symbol in {"", order.symbol}]
        return sorted(rows, key=lambda order: -order.id)

    def match_resting(self, symbol: str, now_ms: int) -> None:
        """Fill every resting order of the symbol that the price has reached, at its own price, as maker."""
        quote = self._prices.quote(symbol, now_ms)
        instrument = self._catalogue.futures[symbol]
        for order in self._store.hot(Order).group("symbol", (FUTURES, symbol)):
            if crosses(order.side, order.price, quote):
                self._fill(order, instrument, price=order.price, role="maker", now_ms=now_ms)
                self._store.save(order)

    def submit_leverage(self, account: Account, symbol: str, *, leverage: Decimal, open_type: str) -> None:
        check_leverage(leverage, self.instrument(symbol))
        self._store.save(LeverageSetting(account.id, symbol, leverage, open_type))

    def leverage_setting(self, account_id: int, symbol: str) -> LeverageSetting | None:
        return self._store.get(LeverageSetting, account_id, symbol)

    def set_position_mode(self, account: Account, position_mode: str) -> None:
        if account.position_mode != position_mode and (self.positions.held(account.id) or self.live_orders(account.id)):
            raise Refusal(40059)
        account.position_mode = position_mode
        self._store.save(account)

    def force_close(self, position: Position, *, price: Decimal, now_ms: int) -> None:
        """Liquidate: cancel what would trade against the position, then close all of it at `price`."""
        for resting in self.live_orders(position.account_id, position.symbol):
            self.cancel(resting, source="system", now_ms=now_ms)
        instrument = self._catalogue.futures[position.symbol]
        account = self._store.get(Account, position.account_id)
        order = self._draft_for(
            position.account_id,
            FuturesRequest(
                symbol=position.symbol,
                way=3 if position.side == "long" else 2,
                type="liquidate",
                mode=1,
                size=position.amount,
                price=price,
                leverage=position.leverage,
                open_type=position.open_type,
                client_order_id="",
                stp_mode="1",
            ),
            position_mode=account.position_mode if account else ONE_WAY,
            now_ms=now_ms,
        )
        order.id = self._store.new_id(Order)
        order.price = price
        self._fill(order, instrument, price=price, role="taker", now_ms=now_ms)
        self._store.save(order)

    def _draft(self, account: Account, request: FuturesRequest, now_ms: int) -> Order:
        return self._draft_for(account.id, request, position_mode=account.position_mode, now_ms=now_ms)

    def _draft_for(self, account_id: int, request: FuturesRequest, *, position_mode: str, now_ms: int) -> Order:
        return Order(
            id=0,
            market=FUTURES,
            account_id=account_id,
            symbol=request.symbol,
            client_order_id=request.client_order_id,
            side="buy" if request.way in {1, 2} else "sell",
            way=request.way,
            type=request.type,
            mode=request.mode,
            price=ZERO,
            size=request.size,
            notional=ZERO,
            leverage=request.leverage or ZERO,
            open_type=request.open_type or "",
            position_mode=position_mode,
            stp_mode=request.stp_mode,
            state="new",
            cancel_source="",
            filled_size=ZERO,
            filled_notional=ZERO,
            reserved=ZERO,
            created_ms=now_ms,
            updated_ms=now_ms,
        )

    def _opposite(self, order: Order) -> Position | None:
        return self.positions.find(order.account_id, order.symbol, "short" if order.side == "buy" else "long")

    def _split(self, order: Order, size: Decimal) -> _Split:
        opposite = self._opposite(order)
        held = opposite.amount if opposite else ZERO
        if order.way in _REDUCING:
            return _Split(closing=min(size, held), opening=ZERO)
        if order.position_mode == HEDGE:
            return _Split(closing=ZERO, opening=size)
        return _Split(closing=min(size, held), opening=max(size - held, ZERO))

    def _check_close(self, order: Order) -> None:
        if order.way not in _REDUCING:
            return
        position = self._opposite(order)
        if position is None:
            raise Refusal(40021)
        pending = sum(
            (other.left for other in self.live_orders(order.account_id, order.symbol) if _also_closes(other, order)),
            ZERO,
        )
        if order.left > position.amount - pending:
            raise Refusal(40020)

    def _set_leverage(self, order: Order, request: FuturesRequest, instrument: FuturesInstrument) -> None:
        """Settle leverage and margin mode of an order that may open; they must be those of an open position."""
        if order.way in _REDUCING:
            return
        held = self.positions.held(order.account_id, order.symbol)
        setting = self.leverage_setting(order.account_id, order.symbol)
        fallback = setting or (held[0] if held else None)
        leverage = request.leverage or (fallback.leverage if fallback else None)
        open_type = request.open_type or (fallback.open_type if fallback else None)
        if leverage is None:
            raise Refusal(40040)
        if open_type is None:
            raise Refusal(40045)
        check_leverage(leverage, instrument)
        if any(position.leverage != leverage for position in held):
            raise Refusal(40040)
        if any(position.open_type != open_type for position in held):
            raise Refusal(40012)
        order.leverage = leverage
        order.open_type = open_type

    def _check_money(self, order: Order, instrument: FuturesInstrument, *, outcome: Arrival, quote: Quote) -> None:
        if outcome is Arrival.FILL:
            split = self._split(order, order.left)
            enough = self._can_pay(order, instrument, split=split, price=taker_price(order.side, quote))
        else:
            available = self._wallets.balance(order.account_id, FUTURES, QUOTE).available
            enough = available >= self._margin(order, instrument)
        if not enough:
            raise Refusal(40027)

    def _margin(self, order: Order, instrument: FuturesInstrument) -> Decimal:
        """Return what a resting order holds back: deposit and fee of the part that would open now."""
        opening = self._split(order, order.left).opening
        if not opening:
            return ZERO
        return self.positions.margin_to_open(instrument, instrument.value(opening, order.price), order.leverage)

    def _arrive(
        self, order: Order, instrument: FuturesInstrument, *, outcome: Arrival, quote: Quote, now_ms: int
    ) -> None:
        if outcome is Arrival.FILL:
            price = taker_price(order.side, quote)
            self._fill(order, instrument, price=price, role="taker", now_ms=now_ms)
        elif outcome is Arrival.REST:
            self._reserve(order, self._margin(order, instrument))
        else:
            self._end(order, source="system")

    def _fill(self, order: Order, instrument: FuturesInstrument, *, price: Decimal, role: str, now_ms: int) -> None:
        """Fill what is left of the order. What can no longer close, or be paid for, is cancelled."""
        self._release(order)
        size = order.left
        split = self._split(order, size)
        done = split.closing + split.opening
        if not done or not self._can_pay(order, instrument, split=split, price=price):
            self._end(order, source="system")
            return
        rate = instrument.taker_fee_rate if role == "taker" else instrument.maker_fee_rate
        fee, pnl = self._apply(order, instrument, split=split, price=price, fee_rate=rate, now_ms=now_ms)
        order.filled_size += done
        order.filled_notional += done * price
        order.updated_ms = now_ms
        order.state = "filled" if done == size else "partially_canceled"
        self._record_fill(order, instrument, size=done, price=price, fee=fee, pnl=pnl, role=role, now_ms=now_ms)

    def _can_pay(self, order: Order, instrument: FuturesInstrument, *, split: _Split, price: Decimal) -> bool:
        """Say whether free money and what the closing part brings pay for the opening part."""
        if not split.opening:
            return True
        money = self._wallets.balance(order.account_id, FUTURES, QUOTE).available
        opposite = self._opposite(order)
        if split.closing and opposite is not None:
            value = instrument.value(split.closing, price)
            pnl, margin = closing_share(opposite, amount=split.closing, value=value)
            money += margin + pnl - value * instrument.taker_fee_rate
        value = instrument.value(split.opening, price)
        return money >= self.positions.margin_to_open(instrument, value, order.leverage)

    def _apply(
        self,
        order: Order,
        instrument: FuturesInstrument,
        *,
        split: _Split,
        price: Decimal,
        fee_rate: Decimal,
        now_ms: int,
    ) -> tuple[Decimal, Decimal]:
        fee, pnl = ZERO, ZERO
        opposite = self._opposite(order)
        if split.closing and opposite is not None:
            change = Change(opposite.side, split.closing, price, fee_rate, now_ms)
            fee, pnl = self.positions.close(opposite, instrument, change)
        if split.opening:
            side = "long" if order.side == "buy" else "short"
            change = Change(side, split.opening, price, fee_rate, now_ms)
            fee += self.positions.open(
                order.account_id, instrument, change, leverage=order.leverage, open_type=order.open_type
            )
        return fee, pnl

    def _record_fill(
        self,
        order: Order,
        instrument: FuturesInstrument,
        *,
        size: Decimal,
        price: Decimal,
        fee: Decimal,
        pnl: Decimal,
        role: str,
        now_ms: int,
    ) -> None:
        self._store.save(
            Fill(
                id=self._store.new_id(Fill),
                order_id=order.id,
                account_id=order.account_id,
                market=FUTURES,
                symbol=order.symbol,
                client_order_id=order.client_order_id,
                side=order.side,
                way=order.way,
                order_type=order.type,
                stp_mode=order.stp_mode,
                price=price,
                size=size,
                notional=instrument.value(size, price),
                fee=fee,
                fee_currency=QUOTE,
                role=role,
                realised=pnl,
                created_ms=now_ms,
            )
        )

    def _reserve(self, order: Order, amount: Decimal) -> None:
        order.reserved = amount
        self._wallets.change(order.account_id, FUTURES, QUOTE, available=-amount, frozen=amount)

    def _release(self, order: Order) -> None:
        back = order.reserved
        order.reserved = ZERO
        self._wallets.change(order.account_id, FUTURES, QUOTE, available=back, frozen=-back)

    def _end(self, order: Order, *, source: str) -> None:
        order.state = "partially_canceled" if order.filled_size else "canceled"
        order.cancel_source = source
        self._release(order)


def _arrival(order: Order, quote: Quote) -> Arrival:
    if order.type == "market":
        return Arrival.FILL
    return arrive(order.side, order.price, force=_FORCES[order.mode], quote=quote)


def _also_closes(other: Order, order: Order) -> bool:
    return other.way in _REDUCING and other.side == order.side and other.id != order.id
