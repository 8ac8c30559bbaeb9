"""Spot orders that wait for a price: trigger and tp/sl. They freeze nothing until they fire."""

from decimal import Decimal

from apps.paper.amounts import ZERO
from apps.paper.client_ids import check_client_id
from apps.paper.policies import Policies
from apps.paper.prices import Prices
from apps.paper.records import Account, Trigger
from apps.paper.refusals import Refusal
from apps.paper.spot import SpotDesk, SpotRequest
from apps.paper.store import Store
from apps.paper.telling import save_trigger
from apps.paper.triggers import FALLS, LAST, RISES, is_reached
from apps.paper.wallets import SPOT

KINDS = ("tp/sl", "trigger")


class AlgoDesk:
    def __init__(self, store: Store, prices: Prices, spot: SpotDesk, *, policies: Policies) -> None:
        self._store = store
        self._prices = prices
        self._spot = spot
        self._policies = policies

    def submit(
        self, account: Account, request: SpotRequest, *, kind: str, trigger_price: Decimal, now_ms: int
    ) -> Trigger:
        """Take the order that `request` describes and place it once the price comes to trigger_price."""
        self._spot.instrument(request.symbol)
        check_client_id(self._store, self._policies, account, request.client_order_id, market=SPOT, now_ms=now_ms)
        buys_for = request.type == "market" and request.side == "buy"
        if (request.notional if buys_for else request.size) is None:
            raise Refusal(50012 if buys_for else 50010)
        if request.type == "limit" and request.price is None:
            raise Refusal(50011)
        last = self._prices.quote(request.symbol, now_ms).last
        trigger = Trigger(
            id=self._store.new_id(Trigger),
            market=SPOT,
            account_id=account.id,
            symbol=request.symbol,
            client_order_id=request.client_order_id,
            kind=kind,
            side=request.side,
            way=0,
            order_type=request.type,
            mode=0,
            size=request.size or ZERO,
            notional=request.notional or ZERO,
            trigger_price=trigger_price,
            executive_price=request.price or ZERO,
            price_way=RISES if trigger_price > last else FALLS,
            price_type=LAST,
            plan_category=0,
            leverage=ZERO,
            open_type="",
            position_mode="",
            callback_rate=ZERO,
            extreme=ZERO,
            take_profit_price=ZERO,
            take_profit_type=0,
            stop_loss_price=ZERO,
            stop_loss_type=0,
            parent_id=0,
            order_id=0,
            state="waiting",
            created_ms=now_ms,
            updated_ms=now_ms,
        )
        save_trigger(self._store, trigger, "submit")
        return trigger

    def cancel(self, trigger: Trigger, now_ms: int, *, state: str = "canceled") -> None:
        trigger.state = state
        trigger.updated_ms = now_ms
        save_trigger(self._store, trigger, "cancel")

    def waiting(self, account_id: int) -> list[Trigger]:
        return self._store.hot(Trigger).group("owner", (SPOT, account_id))

    def check(self, symbol: str, now_ms: int) -> None:
        quote = self._prices.quote(symbol, now_ms)
        for trigger in self._store.hot(Trigger).group("symbol", (SPOT, symbol)):
            if is_reached(trigger, quote):
                self._fire(trigger, now_ms)

    def _fire(self, trigger: Trigger, now_ms: int) -> None:
        account = self._store.get(Account, trigger.account_id)
        request = SpotRequest(
            symbol=trigger.symbol,
            side=trigger.side,
            type=trigger.order_type,
            client_order_id=trigger.client_order_id,
            size=trigger.size or None,
            price=trigger.executive_price or None,
            notional=trigger.notional or None,
            stp_mode="none",
            trigger_id=trigger.id,
        )
        try:
            if account is None:
                raise Refusal(30002)
            order = self._spot.place(account, request, now_ms)
        except Refusal:
            self.cancel(trigger, now_ms, state="failed")
            return
        trigger.state, trigger.order_id, trigger.updated_ms = "fired", order.id, now_ms
        save_trigger(self._store, trigger, "match")
