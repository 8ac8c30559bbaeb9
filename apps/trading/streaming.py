"""The stream process: many accounts' streams on one event loop; what they tell becomes due orders and fresh prices.

Nothing depends on it. A push only moves forward when an order is looked at; who looks is the worker or the sweeper.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from uuid import UUID

import django.db

from apps.connectors import instruments
from apps.connectors.exchange import Market, Ticker
from apps.connectors.lifecycle import RUN_CHECKS
from apps.connectors.stream_opening import addresses
from apps.connectors.stream_pool import Addresses, StreamPool, Venue
from apps.connectors.streams import OrderPushed
from apps.lib import wakeups, world
from apps.lib.process import process_name
from apps.trading import pushes
from apps.trading.models import WorkerHeartbeat
from apps.trading.pushes import Push

T = TypeVar("T")

logger = logging.getLogger(__name__)

FOLLOW_ORDERS = "apps.trading.tasks.follow_orders"
# Pushes of one match come together, and what its sender follows is recorded by then: nobody is woken for that.
TOGETHER_S = 0.05
# The venue's REST may show what its stream told only a moment later.
LOOK_AGAIN_AFTER_S = (0.3, 1.0, 3.0)
PRICES_EVERY_S = 1.0
# So long a price may have waited to be written as one of now.
PRICE_HOLDS_S = 2.0
# More than come while the database answers.
MOST_PUSHES = 10_000
WANTED_EVERY_S = 5.0
AFTER_FAILURE_S = 1.0


class Streaming:
    """One run of the process. Two lanes to the database, so that slow reading does not hold up a push."""

    def __init__(self, where: Addresses | None = None) -> None:
        self._pool = StreamPool(self, where or addresses())
        self._accounts = pushes.Accounts()
        self._pushes: list[tuple[Push, int]] = []
        self._opened: set[UUID] = set()
        self._refused: set[UUID] = set()
        # With the moment they were told.
        self._prices: dict[Venue, dict[str, tuple[float, Ticker]]] = defaultdict(dict)
        self._news = asyncio.Event()
        self._fast = ThreadPoolExecutor(1, thread_name_prefix="pushes")
        self._slow = ThreadPoolExecutor(1, thread_name_prefix="reading")

    async def run(self, stop: asyncio.Event) -> None:
        """Stream until `stop` is set."""
        work = (self._pass_on_pushes, self._keep_streams, self._write_prices, self._show_life)
        try:
            async with asyncio.TaskGroup() as tasks:
                for one in work:
                    tasks.create_task(self._repeat(one, stop))
                await stop.wait()
                self._news.set()
        finally:
            await self._pool.close()
            for lane in (self._fast, self._slow):
                lane.submit(_hang_up)
                lane.shutdown()

    def opened(self, connector_ids: frozenset[UUID]) -> None:
        self._opened |= connector_ids
        self._news.set()

    def order_pushed(self, connector_ids: frozenset[UUID], push: OrderPushed) -> None:
        self._keep(Push(connector_ids, push), 0)
        self._news.set()

    def login_refused(self, connector_ids: frozenset[UUID]) -> None:
        self._refused |= connector_ids
        self._news.set()

    def price_pushed(self, environment: str, market: Market, ticker: Ticker) -> None:
        self._prices[environment, market][ticker.symbol] = world.monotonic(), ticker

    async def _pass_on_pushes(self, stop: asyncio.Event) -> None:
        await self._news.wait()
        await asyncio.sleep(TOGETHER_S)
        self._news.clear()
        told, self._pushes = self._pushes, []
        opened, self._opened = self._opened, set()
        refused, self._refused = self._refused, set()
        try:
            if told:
                await self._pass_on(told)
                told = []
            if opened:
                await self._wake(FOLLOW_ORDERS, pushes.mark_all_due, opened)
                opened = set()
            if refused:
                await self._wake(RUN_CHECKS, pushes.request_checks, refused)
        except django.db.Error:
            # Kept until the database is back: a lost push costs a polling interval, a lost opening perhaps a fill.
            kept, self._pushes = [*told, *self._pushes], []
            for push, looks in kept:
                self._keep(push, looks)
            self._opened |= opened
            self._refused |= refused
            self._news.set()
            raise

    async def _wake(self, task: str, work: Callable[[set[UUID]], int], connector_ids: set[UUID]) -> None:
        if await self._in(self._fast, work, connector_ids):
            wakeups.publish(task)

    async def _pass_on(self, told: list[tuple[Push, int]]) -> None:
        behind = await self._in(self._fast, pushes.mark_due, [push for push, _ in told])
        if not behind:
            return
        wakeups.publish(FOLLOW_ORDERS)
        still = {id(push) for push in behind}
        for push, looks in told:
            if id(push) in still and looks < len(LOOK_AGAIN_AFTER_S):
                asyncio.get_running_loop().call_later(LOOK_AGAIN_AFTER_S[looks], self._tell_again, push, looks + 1)

    def _tell_again(self, push: Push, looks: int) -> None:
        self._keep(push, looks)
        self._news.set()

    def _keep(self, push: Push, looks: int) -> None:
        if len(self._pushes) < MOST_PUSHES:
            self._pushes.append((push, looks))
        else:
            # The database is away, and somebody trades all day: as after a gap, all that is open is looked at.
            self._opened |= push.connector_ids

    async def _keep_streams(self, stop: asyncio.Event) -> None:
        accounts = await self._in(self._slow, self._accounts.read)
        symbols = await self._in(self._slow, pushes.wanted_symbols)
        self._pool.keep(accounts, symbols)
        await _pause(WANTED_EVERY_S, stop)

    async def _write_prices(self, stop: asyncio.Event) -> None:
        fresh, self._prices = self._prices, defaultdict(dict)
        for (environment, market), told in fresh.items():
            await self._in(self._slow, _write_prices, environment, market, list(told.values()))
        await _pause(PRICES_EVERY_S, stop)

    async def _show_life(self, stop: asyncio.Event) -> None:
        await self._in(self._slow, _heartbeat, self._pool.facts())
        await _pause(WANTED_EVERY_S, stop)

    async def _repeat(self, work: Callable[[asyncio.Event], Coroutine[Any, Any, None]], stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await work(stop)
            except django.db.Error as error:
                logger.error("%s: database: %s", work.__name__, type(error).__name__)
                await _pause(AFTER_FAILURE_S, stop)

    async def _in(self, lane: ThreadPoolExecutor, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(lane, _with_live_connection, work, *arguments)


def _with_live_connection(work: Callable[..., T], *arguments: Any) -> T:
    django.db.close_old_connections()
    return work(*arguments)


def _write_prices(environment: str, market: str, told: Sequence[tuple[float, Ticker]]) -> None:
    """Write what was told just now. It is dated by the writing: what waited for the database is no price of now."""
    since = world.monotonic() - PRICE_HOLDS_S
    instruments.write_prices(environment, market, [ticker for told_at, ticker in told if told_at >= since])


def _hang_up() -> None:
    django.db.connections.close_all()


def _heartbeat(facts: dict[str, int]) -> None:
    name = f"stream@{process_name().split(':')[0]}"
    WorkerHeartbeat.objects.update_or_create(name=name, defaults={"kind": "stream", "at": world.now(), "facts": facts})


async def _pause(seconds: float, stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
