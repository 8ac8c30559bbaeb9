"""Futures order rules: sides 1-4 in hedge and one-way accounts, leverage and margin mode, changes, cancels."""

from decimal import Decimal

from apps.paper.amounts import ZERO
from apps.paper.client_ids import check_client_id
from apps.paper.events import Action
from apps.paper.futures_fills import HEDGE, ONE_WAY, REDUCING, FuturesFills, sweep
from apps.paper.futures_request import (
    FuturesRequest,
    Presets,
    changed_presets,
    check_leverage,
    check_size,
    check_tick,
    checked_price,
)
from apps.paper.instruments import Catalogue, FuturesInstrument
from apps.paper.matching import Market, Offer, Plan
from apps.paper.policies import Policies
from apps.paper.prices import Prices
from apps.paper.records import Account, LeverageSetting, Order, Position, Trigger
from apps.paper.refusals import Refusal
from apps.paper.store import Store
from apps.paper.telling import save_order, tell_order
from apps.paper.wallets import FUTURES

POSITION_MODES = (HEDGE, ONE_WAY)
OPEN_TYPES = ("cross", "isolated")


class FuturesDesk:
    def __init__(
        self, store: Store, catalogue: Catalogue, prices: Prices, *, market: Market, policies: Policies
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._prices = prices
        self._market = market
        self._policies = policies
        self.fills = FuturesFills(store, market)
        self.positions = self.fills.positions

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
        if not request.trigger_id:
            check_client_id(
                self._store, self._policies, account, request.client_order_id, market=FUTURES, now_ms=now_ms
            )
        self._check_close(order, account)
        self.set_leverage(order, account, request, instrument)
        plan = self._market.plan(order, instrument, now_ms)
        self._check_money(order, instrument, plan)
        order.id = self._store.new_id(Order)
        # Its arrival saves it, in whatever state that leaves it.
        tell_order(self._store, order, "submit")
        self.fills.arrive(order, instrument, plan, now_ms=now_ms)
        return order

    def modify(self, order: Order, *, price: Decimal | None, size: Decimal | None, now_ms: int) -> None:
        instrument = self._catalogue.futures[order.symbol]
        account = self._account(order.account_id)
        self.fills.release(order)
        order.price = order.price if price is None else price
        order.size = order.size if size is None else size
        check_size(order, instrument)
        check_tick(order.price, instrument)
        if order.size <= order.filled_size:
            raise Refusal(40044)
        self._check_close(order, account)
        order.updated_ms = now_ms
        plan = self._market.plan(order, instrument, now_ms)
        self._check_money(order, instrument, plan)
        save_order(self._store, order, "submit")
        self.fills.arrive(order, instrument, plan, now_ms=now_ms)

    def modify_presets(self, order: Order, presets: Presets, now_ms: int) -> None:
        changed_presets(order, presets).put_on(order)
        order.updated_ms = now_ms
        save_order(self._store, order, "submit")

    def cancel(self, order: Order, *, source: str, now_ms: int) -> None:
        self.fills.end(order, source=source, now_ms=now_ms)

    def live_orders(self, account_id: int, symbol: str = "") -> list[Order]:
        found = self._store.orders.group("owner", (FUTURES, account_id))
        rows = [order for order in found if symbol in {"", order.symbol}]
        return sorted(rows, key=lambda order: -order.id)

    def match_resting(self, symbol: str, now_ms: int) -> None:
        """Fill resting orders that the crowd has reached, at their own price, as far as its sizes go."""
        instrument = self._catalogue.futures[symbol]
        for side in ("buy", "sell"):
            for order in self._store.orders.best_first(FUTURES, symbol, side):
                levels = self._market.crowd_within(instrument, side, order.price, now_ms)
                if not levels:
                    break
                for price, available in levels:
                    size = min(available, order.left)
                    if size and order.is_live:
                        self._market.take(symbol, price, size, now_ms)
                        offer = Offer(order.price, size)
                        self.fills.fill(order, instrument, offer, role="maker", now_ms=now_ms)

    def submit_leverage(self, account: Account, symbol: str, *, leverage: Decimal, open_type: str) -> None:
        """Set both for the symbol's next orders; they must be those of what is open."""
        instrument = self.instrument(symbol)
        check_leverage(leverage, instrument)
        for position in self.positions.held(account.id, symbol):
            if position.open_type != open_type:
                raise Refusal(40012)
            if position.leverage != leverage:
                raise Refusal(40040)
        self._store.save(LeverageSetting(account.id, symbol, leverage, open_type))

    def leverage_setting(self, account_id: int, symbol: str) -> LeverageSetting | None:
        return self._store.get(LeverageSetting, account_id, symbol)

    def set_position_mode(self, account: Account, position_mode: str) -> None:
        waiting = self._store.hot(Trigger).group("owner", (FUTURES, account.id))
        busy = waiting or self.positions.held(account.id) or self.live_orders(account.id)
        if account.position_mode != position_mode and busy:
            raise Refusal(40059)
        if self._policies.of(account, "position_mode") == "ignored":
            return
        account.position_mode = position_mode
        self._store.save(account)

    def close_all(self, account: Account, *, symbol: str, side: str, now_ms: int) -> None:
        """Cancel the orders that close, then close every position that is named at the market."""
        for position in self.positions.held(account.id, symbol):
            if side in {"", position.side}:
                closing = [o for o in self.live_orders(account.id, position.symbol) if o.way in REDUCING]
                sweep(self.fills, closing, source="system", now_ms=now_ms)
                self.place(account, closing_request(position, type="market"), now_ms)

    def force_close(self, position: Position, *, price: Decimal, now_ms: int) -> None:
        """Liquidate: cancel what would trade against the position, then close all of it at `price`."""
        swept: Action = "liquidation_cancel"
        live = self.live_orders(position.account_id, position.symbol)
        sweep(self.fills, live, source="system", now_ms=now_ms, action=swept)
        instrument = self._catalogue.futures[position.symbol]
        account = self._account(position.account_id)
        order = self._draft(account, closing_request(position, type="liquidate"), now_ms)
        order.id = self._store.new_id(Order)
        order.price = price
        self.fills.fill(
            order, instrument, Offer(price, position.amount), role="taker", now_ms=now_ms, action="liquidation"
        )

    def set_leverage(
        self, order: Order, account: Account, request: FuturesRequest, instrument: FuturesInstrument
    ) -> None:
        """Settle leverage and margin mode of an order that may open; they must be those of an open position."""
        if order.way in REDUCING:
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
            raise Refusal(int(self._policies.of(account, "leverage_mismatch")))
        if any(position.open_type != open_type for position in held):
            raise Refusal(40012)
        order.leverage = leverage
        order.open_type = open_type
        self._check_bracket(order, instrument)

    def _check_bracket(self, order: Order, instrument: FuturesInstrument) -> None:
        """Refuse what would grow a position beyond the bracket of its leverage."""
        opening = self.fills.split(order, order.left).opening
        same = self.positions.find(order.account_id, order.symbol, "long" if order.side == "buy" else "short")
        value = instrument.value(opening, order.price) + (same.cost if same else ZERO)
        if opening and value > instrument.notional_cap(order.leverage):
            raise Refusal(40029)

    def _account(self, account_id: int) -> Account:
        account = self._store.get(Account, account_id)
        if account is None:
            raise Refusal(30002)
        return account

    def _draft(self, account: Account, request: FuturesRequest, now_ms: int) -> Order:
        order = Order(
            id=0,
            market=FUTURES,
            account_id=account.id,
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
            position_mode=account.position_mode,
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
        request.presets.put_on(order)
        return order

    def _check_close(self, order: Order, account: Account) -> None:
        if order.way not in REDUCING:
            return
        position = self.fills.opposite(order)
        if position is None:
            raise Refusal(40021)
        pending = sum(
            (other.left for other in self.live_orders(order.account_id, order.symbol) if _also_closes(other, order)),
            ZERO,
        )
        free = position.amount - pending
        if order.left <= free:
            return
        if free <= 0 or self._policies.of(account, "reduce_only") == "refuse":
            raise Refusal(40020)
        order.size = order.filled_size + free

    def _check_money(self, order: Order, instrument: FuturesInstrument, plan: Plan) -> None:
        if not self.fills.can_afford(order, instrument, plan):
            raise Refusal(40027)


def closing_request(position: Position, *, type: str, size: Decimal | None = None) -> FuturesRequest:
    return FuturesRequest(
        symbol=position.symbol,
        way=3 if position.side == "long" else 2,
        type=type,
        mode=1,
        size=position.amount if size is None else size,
        price=None,
        leverage=position.leverage,
        open_type=position.open_type,
        client_order_id="",
        stp_mode="1",
    )


def _also_closes(other: Order, order: Order) -> bool:
    return other.way in REDUCING and other.side == order.side and other.id != order.id
