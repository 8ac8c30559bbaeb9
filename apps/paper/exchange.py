"""The whole exchange: one store, two desks, and the clockwork that fills, liquidates and pays funding."""

from collections.abc import Callable
from decimal import Decimal

from apps.paper.algo import AlgoDesk
from apps.paper.events import Ticked
from apps.paper.futures import FuturesDesk
from apps.paper.instruments import Catalogue
from apps.paper.liquidation import Liquidator
from apps.paper.listing import Listing, as_text
from apps.paper.matching import Market
from apps.paper.policies import Policies
from apps.paper.prices import STEP_MS, Prices, noise
from apps.paper.records import Countdown, Trigger
from apps.paper.spot import SpotDesk
from apps.paper.store import Store
from apps.paper.triggers import TriggerDesk
from apps.paper.wallets import Wallets

FUNDING_MS = 8 * 3_600_000
FUNDING_DELAY_MS = 2_000
_MOST_MISSED_FUNDINGS = 21
_FUNDING_UNIT = Decimal("0.0000000003")
_MARK_EVERY_MS = 10_000
_MOST_MISSED_STEPS = 2_000


class Exchange:
    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        prices: Prices,
        *,
        clock: Callable[[], int],
        policies: Policies | None = None,
    ) -> None:
        """`clock` returns Unix milliseconds."""
        self.store = store
        self.feed = store.feed
        self.catalogue = catalogue
        self.prices = prices
        self.clock = clock
        self.policies = policies or Policies()
        self.wallets = Wallets(store)
        self.market = Market(store, prices)
        self.spot = SpotDesk(store, catalogue, prices, market=self.market, policies=self.policies)
        self.futures = FuturesDesk(store, catalogue, prices, market=self.market, policies=self.policies)
        self.triggers = TriggerDesk(store, prices, self.futures)
        self.liquidator = Liquidator(store, catalogue, prices, self.futures)
        self.algo = AlgoDesk(store, prices, self.spot, policies=self.policies)
        self.spot_listing = Listing(catalogue.spot)
        self.futures_listing = Listing(catalogue.futures)
        self._fixed_texts: dict[str, str] = {}
        self._last_step = -1
        self._marked_ms = 0

    def fixed_text(self, name: str, make: Callable[[], object]) -> str:
        """Return a list that never changes as JSON text, made once."""
        if name not in self._fixed_texts:
            self._fixed_texts[name] = as_text(make())
        return self._fixed_texts[name]

    def advance(self, now_ms: int) -> None:
        """Bring the book to now: at most once per step of the price."""
        step = now_ms // STEP_MS
        if step != self._last_step:
            self._last_step = step
            self.settle(now_ms)

    def catch_up(self, now_ms: int) -> None:
        """Live through the prices that passed while the process was down."""
        since = self.store.setting("settled_ms")
        if since is None or not self._has_work():
            return
        gap = now_ms - int(since)
        step = max(STEP_MS, gap // _MOST_MISSED_STEPS // STEP_MS * STEP_MS)
        for at_ms in range(max(int(since), self._newest_ms()) + step, now_ms, step):
            self.settle(at_ms)

    def _newest_ms(self) -> int:
        """Return when the latest of what waits or is held came: it must not meet prices from before that."""
        times = [order.created_ms for order in self.store.orders.rows()]
        times += [trigger.created_ms for trigger in self.store.hot(Trigger).rows()]
        times += [position.updated_ms for position in self.futures.positions.all_held()]
        return max(times, default=0)

    def settle(self, now_ms: int) -> None:
        """Fill what the price has reached, fire, liquidate what it has ruined, pay funding that is due."""
        with self.store.transaction():
            for market, symbol in self.store.live_symbols():
                if market == "spot":
                    self.spot.match_resting(symbol, now_ms)
                    self.algo.check(symbol, now_ms)
                else:
                    self.futures.match_resting(symbol, now_ms)
                    self.triggers.check(symbol, now_ms)
            self.liquidator.check(now_ms)
            self._pay_fundings(now_ms)
            self._count_down(now_ms)
            self._mark(now_ms)
            self.feed.add(Ticked(now_ms))

    def _has_work(self) -> bool:
        return bool(self.store.live_symbols() or self.futures.positions.all_held())

    def _mark(self, now_ms: int) -> None:
        """Remember, now and then, how far the prices were followed for those who wait."""
        if now_ms - self._marked_ms >= _MARK_EVERY_MS and self._has_work():
            self._marked_ms = now_ms
            self.store.set_setting("settled_ms", str(now_ms))

    def _count_down(self, now_ms: int) -> None:
        for countdown in self.store.hot(Countdown).rows():
            if countdown.cancel_ms <= now_ms:
                for order in self.futures.live_orders(countdown.account_id, countdown.symbol):
                    self.futures.cancel(order, source="system", now_ms=now_ms)
                self.store.delete(countdown)

    def funding_rate(self, symbol: str, slot: int) -> Decimal:
        """Return the rate of one funding time (slot = Unix ms // 8 h): within ±0.0003, the same for ever."""
        return noise(self.prices.seed, f"{symbol}/funding", slot) * _FUNDING_UNIT

    def _pay_fundings(self, now_ms: int) -> None:
        slot = (now_ms - FUNDING_DELAY_MS) // FUNDING_MS
        paid = self.store.setting("funding_slot")
        if paid is not None and int(paid) >= slot:
            return
        if paid is not None:
            for due in range(max(int(paid), slot - _MOST_MISSED_FUNDINGS) + 1, slot + 1):
                self._pay_funding(due, now_ms)
        self.store.set_setting("funding_slot", str(slot))

    def _pay_funding(self, slot: int, now_ms: int) -> None:
        for position in self.futures.positions.all_held():
            instrument = self.catalogue.futures[position.symbol]
            mark = self.prices.quote(position.symbol, now_ms).mark
            rate = self.funding_rate(position.symbol, slot)
            self.futures.positions.pay_funding(position, instrument, mark=mark, rate=rate, now_ms=now_ms)
