"""Futures orders that wait for a price: plan, take-profit and stop-loss, presets of an entry, trailing."""

from dataclasses import dataclass
from decimal import Decimal

from apps.paper.amounts import ZERO
from apps.paper.futures import FuturesDesk
from apps.paper.futures_fills import REDUCING
from apps.paper.futures_request import NO_PRESETS, FuturesRequest, Presets
from apps.paper.prices import Prices, Quote
from apps.paper.records import Account, Fill, Order, Position, Trigger
from apps.paper.refusals import Refusal
from apps.paper.store import Store
from apps.paper.telling import save_trigger
from apps.paper.wallets import FUTURES

RISES, FALLS = 1, 2
LAST, MARK = 1, 2
PROTECTIVE = ("take_profit", "stop_loss")
WHOLE_POSITION = 2
_MOST_WAITING = 200
_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class TriggerRequest:
    """`size` 0 is the whole position, `executive_price` 0 the market, `activation_price` 0 at once."""

    symbol: str
    kind: str
    way: int
    order_type: str = "market"
    size: Decimal = ZERO
    trigger_price: Decimal = ZERO
    executive_price: Decimal = ZERO
    price_way: int = 0
    price_type: int = LAST
    mode: int = 1
    plan_category: int = 0
    leverage: Decimal | None = None
    open_type: str | None = None
    client_order_id: str = ""
    callback_rate: Decimal = ZERO
    presets: Presets = NO_PRESETS
    parent_id: int = 0


@dataclass(frozen=True, slots=True)
class TriggerChange:
    """None leaves a field as it is."""

    trigger_price: Decimal | None = None
    executive_price: Decimal | None = None
    price_type: int | None = None
    order_type: str | None = None
    plan_category: int | None = None


class TriggerDesk:
    def __init__(self, store: Store, prices: Prices, futures: FuturesDesk) -> None:
        self._store = store
        self._prices = prices
        self._futures = futures
        futures.fills.on_fill = self._hang_presets

    def submit(self, account: Account, request: TriggerRequest, now_ms: int) -> Trigger:
        if len(self.waiting(account.id)) >= _MOST_WAITING:
            raise Refusal(40028)
        if request.kind in PROTECTIVE and self._position(account.id, request.symbol, request.way) is None:
            raise Refusal(40021)
        trigger = self._draft(account, request, now_ms)
        save_trigger(self._store, trigger, "submit")
        return trigger

    def modify(self, trigger: Trigger, change: TriggerChange, now_ms: int) -> None:
        if change.trigger_price is not None:
            trigger.trigger_price = change.trigger_price
        if change.executive_price is not None:
            trigger.executive_price = change.executive_price
        if change.price_type is not None:
            trigger.price_type = change.price_type
        if change.order_type is not None:
            trigger.order_type = change.order_type
        if change.plan_category is not None:
            trigger.plan_category = change.plan_category
        trigger.updated_ms = now_ms
        save_trigger(self._store, trigger, "submit")

    def modify_presets(self, parent_id: int, presets: Presets, now_ms: int) -> int:
        """Change the waiting halves of an entry's presets and return how many there were."""
        found = [trigger for trigger in self._store.hot(Trigger).rows() if trigger.parent_id == parent_id]
        for trigger in found:
            take = trigger.kind == "take_profit"
            price = presets.take_profit_price if take else presets.stop_loss_price
            if price:
                kind = presets.take_profit_type if take else presets.stop_loss_type
                change = TriggerChange(trigger_price=price, price_type=kind or trigger.price_type)
                self.modify(trigger, change, now_ms)
        return len(found)

    def cancel(self, trigger: Trigger, now_ms: int, *, state: str = "canceled") -> None:
        trigger.state = state
        trigger.updated_ms = now_ms
        save_trigger(self._store, trigger, "cancel")

    def waiting(self, account_id: int, symbol: str = "") -> list[Trigger]:
        """Return the newest first."""
        found = self._store.hot(Trigger).group("owner", (FUTURES, account_id))
        return sorted((one for one in found if symbol in {"", one.symbol}), key=lambda one: -one.id)

    def check(self, symbol: str, now_ms: int) -> None:
        """Fire what the price has reached; drop protection that has nothing left to protect."""
        quote = self._prices.quote(symbol, now_ms)
        for trigger in self._store.hot(Trigger).group("symbol", (FUTURES, symbol)):
            if trigger.kind in PROTECTIVE and self._position(trigger.account_id, symbol, trigger.way) is None:
                self.cancel(trigger, now_ms)
            elif trigger.kind == "trailing":
                self._trail(trigger, seen(trigger, quote), now_ms)
            elif is_reached(trigger, quote):
                self._fire(trigger, now_ms)

    def _draft(self, account: Account, request: TriggerRequest, now_ms: int) -> Trigger:
        trigger = Trigger(
            id=self._store.new_id(Trigger),
            market=FUTURES,
            account_id=account.id,
            symbol=request.symbol,
            client_order_id=request.client_order_id,
            kind=request.kind,
            side="buy" if request.way in {1, 2} else "sell",
            way=request.way,
            order_type=request.order_type,
            mode=request.mode,
            size=request.size,
            notional=ZERO,
            trigger_price=request.trigger_price,
            executive_price=request.executive_price,
            price_way=request.price_way or self._usual_way(request, now_ms),
            price_type=request.price_type,
            plan_category=request.plan_category,
            leverage=request.leverage or ZERO,
            open_type=request.open_type or "",
            position_mode=account.position_mode,
            callback_rate=request.callback_rate,
            extreme=ZERO,
            take_profit_price=ZERO,
            take_profit_type=0,
            stop_loss_price=ZERO,
            stop_loss_type=0,
            parent_id=request.parent_id,
            order_id=0,
            state="waiting",
            created_ms=now_ms,
            updated_ms=now_ms,
        )
        request.presets.put_on(trigger)
        return trigger

    def _usual_way(self, request: TriggerRequest, now_ms: int) -> int:
        if request.kind in PROTECTIVE:
            closes_long = request.way == 3
            return RISES if closes_long == (request.kind == "take_profit") else FALLS
        last = self._prices.quote(request.symbol, now_ms).last
        return RISES if request.trigger_price > last else FALLS

    def _position(self, account_id: int, symbol: str, way: int) -> Position | None:
        """Return the position that an order of this way closes."""
        return self._futures.positions.find(account_id, symbol, "long" if way in {3, 4} else "short")

    def _trail(self, trigger: Trigger, price: Decimal, now_ms: int) -> None:
        sells = trigger.side == "sell"
        if not trigger.extreme:
            is_active = price >= trigger.trigger_price if sells else price <= trigger.trigger_price
            if trigger.trigger_price and not is_active:
                return
        best = max(trigger.extreme, price) if sells else min(trigger.extreme or price, price)
        rate = trigger.callback_rate / _HUNDRED
        if price <= best * (1 - rate) if sells else price >= best * (1 + rate):
            self._fire(trigger, now_ms)
        elif best != trigger.extreme:
            trigger.extreme = best
            self._store.save(trigger)

    def _fire(self, trigger: Trigger, now_ms: int) -> None:
        account = self._store.get(Account, trigger.account_id)
        size = self._size(trigger)
        if account is None or not size:
            self.cancel(trigger, now_ms, state="failed")
            return
        request = FuturesRequest(
            symbol=trigger.symbol,
            way=trigger.way,
            type=trigger.order_type,
            mode=trigger.mode,
            size=size,
            price=trigger.executive_price or None,
            leverage=trigger.leverage or None,
            open_type=trigger.open_type or None,
            client_order_id=f"PLAN_{trigger.id}",
            stp_mode="1",
            presets=Presets(
                trigger.take_profit_price, trigger.take_profit_type, trigger.stop_loss_price, trigger.stop_loss_type
            ),
            trigger_id=trigger.id,
        )
        try:
            order = self._futures.place(account, request, now_ms)
        except Refusal:
            self.cancel(trigger, now_ms, state="failed")
            return
        trigger.state, trigger.order_id, trigger.updated_ms = "fired", order.id, now_ms
        save_trigger(self._store, trigger, "match")

    def _size(self, trigger: Trigger) -> Decimal:
        """Return how much to order: a closing one never more than what is held and not yet promised."""
        if trigger.way not in REDUCING:
            return trigger.size
        position = self._position(trigger.account_id, trigger.symbol, trigger.way)
        if position is None:
            return ZERO
        closing = self._futures.live_orders(trigger.account_id, trigger.symbol)
        promised = sum((o.left for o in closing if o.way in REDUCING and o.side == trigger.side), ZERO)
        free = max(position.amount - promised, ZERO)
        whole = not trigger.size or (trigger.kind in PROTECTIVE and trigger.plan_category == WHOLE_POSITION)
        return free if whole else min(trigger.size, free)

    def _hang_presets(self, order: Order, fill: Fill) -> None:
        """Give every fill of an entry its share of take-profit and stop-loss."""
        wanted = {
            "take_profit": (order.take_profit_price, order.take_profit_type),
            "stop_loss": (order.stop_loss_price, order.stop_loss_type),
        }
        if order.way in REDUCING or not (order.take_profit_price or order.stop_loss_price):
            return
        account = self._store.get(Account, order.account_id)
        way = 3 if order.side == "buy" else 2
        if account is None or self._position(account.id, order.symbol, way) is None:
            return
        hung = {t.kind: t for t in self.waiting(account.id, order.symbol) if t.parent_id == order.id}
        for kind, (price, price_type) in wanted.items():
            if kind in hung:
                hung[kind].size += fill.size
                save_trigger(self._store, hung[kind], "submit")
            elif price:
                request = TriggerRequest(
                    symbol=order.symbol,
                    kind=kind,
                    way=way,
                    size=fill.size,
                    trigger_price=price,
                    price_type=price_type or LAST,
                    plan_category=1,
                    leverage=order.leverage,
                    open_type=order.open_type,
                    parent_id=order.id,
                )
                save_trigger(self._store, self._draft(account, request, fill.created_ms), "submit")


def seen(trigger: Trigger, quote: Quote) -> Decimal:
    return quote.mark if trigger.price_type == MARK else quote.last


def is_reached(trigger: Trigger, quote: Quote) -> bool:
    price = seen(trigger, quote)
    return price >= trigger.trigger_price if trigger.price_way == RISES else price <= trigger.trigger_price
