"""What happens to a futures order once it is accepted: margin held while it rests, fills, and its end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from apps.paper.amounts import ZERO
from apps.paper.book import Force, closing_share
from apps.paper.events import Action
from apps.paper.instruments import QUOTE, FuturesInstrument
from apps.paper.matching import Market, Offer, Plan
from apps.paper.positions import Change, PositionBook
from apps.paper.records import Fill, Order, Position
from apps.paper.store import Store
from apps.paper.telling import save_order
from apps.paper.wallets import FUTURES, Wallets

HEDGE = "hedge_mode"
ONE_WAY = "one_way_mode"
REDUCING = (2, 3)
FORCES = {1: Force.GTC, 2: Force.FOK, 3: Force.IOC, 4: Force.POST_ONLY}


@dataclass(frozen=True, slots=True)
class Split:
    """How much of a fill closes the position opposite to the order, and how much opens."""

    closing: Decimal
    opening: Decimal


class FuturesFills:
    def __init__(self, store: Store, market: Market) -> None:
        self._store = store
        self._market = market
        self._wallets = Wallets(store)
        self.positions = PositionBook(store)
        # Called with the order and the fill after each fill that leaves an order changed: presets hang on it.
        self.on_fill: Callable[[Order, Fill], None] = lambda order, fill: None

    def force_of(self, order: Order) -> Force:
        return Force.IOC if order.type != "limit" else FORCES[order.mode]

    def opposite(self, order: Order) -> Position | None:
        return self.positions.find(order.account_id, order.symbol, "short" if order.side == "buy" else "long")

    def split(self, order: Order, size: Decimal) -> Split:
        opposite = self.opposite(order)
        held = opposite.amount if opposite else ZERO
        if order.way in REDUCING:
            return Split(closing=min(size, held), opening=ZERO)
        if order.position_mode == HEDGE:
            return Split(closing=ZERO, opening=size)
        return Split(closing=min(size, held), opening=max(size - held, ZERO))

    def can_afford(self, order: Order, instrument: FuturesInstrument, plan: Plan) -> bool:
        """Say whether free money pays for what trades at once and for the margin of what then rests."""
        money = self._wallets.balance(order.account_id, FUTURES, QUOTE).available
        closing = self.split(order, order.left).closing
        left = order.left
        for offer in plan.offers:
            part = min(closing, offer.size)
            money = self._left_after(order, instrument, offer, closing=part, money=money)
            if money < 0:
                return False
            closing -= part
            left -= offer.size
        if self.force_of(order) in {Force.GTC, Force.POST_ONLY} and order.way not in REDUCING:
            money -= self._to_open(order, instrument, order.price, left - min(closing, left))
        return money >= 0

    def arrive(self, order: Order, instrument: FuturesInstrument, plan: Plan, *, now_ms: int) -> None:
        """Trade what can trade; rest, or end, with what is left."""
        force = self.force_of(order)
        blocked = force is Force.POST_ONLY and bool(plan.offers or plan.swept)
        if blocked or (force is Force.FOK and plan.size < order.left):
            self.end(order, source="system", now_ms=now_ms)
            return
        for own in plan.swept:
            self.end(own, source="stp", now_ms=now_ms)
        for offer in plan.offers:
            if order.is_live:
                self._trade(order, instrument, offer, now_ms=now_ms)
        if not order.is_live:
            return
        if plan.is_stopped or force in {Force.IOC, Force.FOK}:
            self.end(order, source="stp" if plan.is_stopped else "system", now_ms=now_ms)
            return
        if self._hold(order, instrument):
            self._store.save(order)
        else:
            self.end(order, source="system", now_ms=now_ms)

    def fill(
        self,
        order: Order,
        instrument: FuturesInstrument,
        offer: Offer,
        *,
        role: str,
        now_ms: int,
        action: Action = "match",
    ) -> bool:
        """Fill that much of the order, or end it when that can neither close nor be paid for. Say which it was."""
        self.release(order)
        split = self.split(order, offer.size)
        done = split.closing + split.opening
        if not done or not self._can_pay(order, instrument, offer, split=split):
            self.end(order, source="system", now_ms=now_ms)
            return False
        rate = instrument.taker_fee_rate if role == "taker" else instrument.maker_fee_rate
        fee, pnl = self._apply(order, instrument, split=split, price=offer.price, fee_rate=rate, now_ms=now_ms)
        order.filled_size += done
        order.filled_notional += done * offer.price
        order.updated_ms = now_ms
        if done < offer.size:
            order.state, order.cancel_source = "partially_canceled", "system"
        else:
            order.state = "filled" if order.filled_size == order.size else "partially_filled"
        holds = order.is_live and role == "maker"
        is_held = self._hold(order, instrument) if holds else True
        fill = self._fill_of(order, instrument, size=done, price=offer.price, fee=fee, pnl=pnl, role=role)
        fill.created_ms = now_ms
        save_order(self._store, order, action, fill)
        self.on_fill(order, fill)
        if not is_held:
            self.end(order, source="system", now_ms=now_ms)
        return True

    def _hold(self, order: Order, instrument: FuturesInstrument) -> bool:
        """Freeze deposit and fee of the part that would open now; say whether there was money for it."""
        amount = self._to_open(order, instrument, order.price, self.split(order, order.left).opening)
        if self._wallets.balance(order.account_id, FUTURES, QUOTE).available < amount:
            return False
        order.reserved = amount
        self._wallets.change(order.account_id, FUTURES, QUOTE, available=-amount, frozen=amount, cause="order")
        return True

    def release(self, order: Order) -> None:
        back, order.reserved = order.reserved, ZERO
        self._wallets.change(order.account_id, FUTURES, QUOTE, available=back, frozen=-back, cause="order")

    def end(self, order: Order, *, source: str, now_ms: int, action: Action = "cancel") -> None:
        order.state = "partially_canceled" if order.filled_size else "canceled"
        order.cancel_source = source
        order.updated_ms = now_ms
        self.release(order)
        save_order(self._store, order, action)

    def _trade(self, order: Order, instrument: FuturesInstrument, offer: Offer, *, now_ms: int) -> None:
        if offer.maker is None:
            if self.fill(order, instrument, offer, role="taker", now_ms=now_ms):
                self._market.take(order.symbol, offer.price, offer.size, now_ms)
            return
        # Closing orders before it may have left the other side without a position to close.
        if self.fill(offer.maker, instrument, offer, role="maker", now_ms=now_ms):
            self.fill(order, instrument, offer, role="taker", now_ms=now_ms)

    def _left_after(
        self, order: Order, instrument: FuturesInstrument, offer: Offer, *, closing: Decimal, money: Decimal
    ) -> Decimal:
        """Return what one match leaves of free money; below zero when its opening part cannot be paid."""
        opposite = self.opposite(order)
        if closing and opposite is not None:
            value = instrument.value(closing, offer.price)
            pnl, margin = closing_share(opposite, amount=closing, value=value)
            # A loss beyond all money is cleared, never owed.
            money = max(money + margin + pnl - value * instrument.taker_fee_rate, ZERO)
        opening = ZERO if order.way in REDUCING else offer.size - closing
        return money - self._to_open(order, instrument, offer.price, opening)

    def _to_open(self, order: Order, instrument: FuturesInstrument, price: Decimal, opening: Decimal) -> Decimal:
        if not opening:
            return ZERO
        return self.positions.margin_to_open(instrument, instrument.value(opening, price), order.leverage)

    def _can_pay(self, order: Order, instrument: FuturesInstrument, offer: Offer, *, split: Split) -> bool:
        if not split.opening:
            return True
        money = self._wallets.balance(order.account_id, FUTURES, QUOTE).available
        return self._left_after(order, instrument, offer, closing=split.closing, money=money) >= 0

    def _apply(
        self,
        order: Order,
        instrument: FuturesInstrument,
        *,
        split: Split,
        price: Decimal,
        fee_rate: Decimal,
        now_ms: int,
    ) -> tuple[Decimal, Decimal]:
        fee, pnl = ZERO, ZERO
        opposite = self.opposite(order)
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

    def _fill_of(
        self,
        order: Order,
        instrument: FuturesInstrument,
        *,
        size: Decimal,
        price: Decimal,
        fee: Decimal,
        pnl: Decimal,
        role: str,
    ) -> Fill:
        return Fill(
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
            created_ms=order.updated_ms,
        )


def sweep(fills: FuturesFills, orders: Sequence[Order], *, source: str, now_ms: int, action: Action = "cancel") -> None:
    for order in orders:
        fills.end(order, source=source, now_ms=now_ms, action=action)
