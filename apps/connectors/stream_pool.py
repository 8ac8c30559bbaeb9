"""Which streams are open: one for each account, as many public ones as the wanted prices need. For one event loop."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol
from uuid import UUID

from apps.connectors.bitmart.stream import Line, Stream
from apps.connectors.bitmart.stream_places import LIMITS, Door, Places
from apps.connectors.exchange import Credentials, Market, Ticker
from apps.connectors.streams import Event, LoginRefused, Lost, Opened, OrderPushed, PricePushed

logger = logging.getLogger(__name__)

# A refused key may be accepted again: a freeze lifted, an address added to its list.
ASK_REFUSED_AGAIN_S = 900.0

Venue = tuple[str, Market]


@dataclass(frozen=True, slots=True)
class Account:
    """One connector as a stream needs it."""

    connector_id: UUID
    environment: str
    market: Market
    credentials: Credentials = field(repr=False)
    clock_offset_ms: int = 0


@dataclass(frozen=True, slots=True)
class Addresses:
    """`url_of` gives the address of (environment, market, is_private); `ours` are the addresses we connect from."""

    url_of: Callable[[str, Market, bool], str]
    ours: Sequence[str]
    user_agent: str


class Hearer(Protocol):
    """Called on the event loop; must not wait. `connector_ids` are all connectors that use the account's key."""

    def opened(self, connector_ids: frozenset[UUID]) -> None: ...
    def order_pushed(self, connector_ids: frozenset[UUID], push: OrderPushed) -> None: ...
    def price_pushed(self, environment: str, market: Market, ticker: Ticker) -> None: ...
    def login_refused(self, connector_ids: frozenset[UUID]) -> None: ...


@dataclass(frozen=True, slots=True)
class _Key:
    """Connectors of one key share a stream; one with another secret or memo has its own, that it alone can spoil."""

    environment: str
    market: Market
    credentials: Credentials = field(repr=False)


@dataclass(eq=False, slots=True)
class _Running:
    stream: Stream
    task: "asyncio.Task[None]"
    places: Places
    door: Door
    is_private: bool

    def stop(self) -> "asyncio.Task[None]":
        self.task.cancel()
        self.places.give_back(self.door, is_private=self.is_private)
        return self.task


class StreamPool:
    def __init__(self, hearer: Hearer, addresses: Addresses) -> None:
        self._hearer = hearer
        self._addresses = addresses
        self._places: dict[Venue, Places] = {}
        self._private: dict[_Key, _Running] = {}
        self._public: dict[Venue, list[_Running]] = defaultdict(list)
        self._connectors: dict[_Key, frozenset[UUID]] = {}
        self._refused_at: dict[_Key, float] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def keep(self, accounts: Sequence[Account], symbols: Mapping[Venue, Collection[str]]) -> None:
        """Open and close streams until these are served; who finds no place polls. The first accounts come first."""
        by_key: dict[_Key, list[Account]] = defaultdict(list)
        for account in accounts:
            by_key[_Key(account.environment, account.market, account.credentials)].append(account)
        self._connectors = {key: frozenset(account.connector_id for account in of) for key, of in by_key.items()}
        for key in [key for key in self._private if key not in by_key]:
            self._end(self._private.pop(key))
        # A key is kept with its secret: one that nobody uses any more is not.
        self._refused_at = {key: at for key, at in self._refused_at.items() if key in by_key}
        for key, of in by_key.items():
            self._keep_private(key, of[0].clock_offset_ms)
        for venue in {*self._public, *symbols}:
            self._keep_public(venue, sorted(symbols.get(venue, ())))

    def facts(self) -> dict[str, int]:
        """Return counts for people: accounts, those with an open stream, those that only poll, public streams."""
        is_open = [running for running in self._private.values() if running.stream.is_open]
        return {
            "connectors": sum(len(ids) for ids in self._connectors.values()),
            "accounts": len(self._connectors),
            "open": len(is_open),
            "polled": len(self._connectors) - len(is_open),
            "public": sum(running.stream.is_open for group in self._public.values() for running in group),
        }

    async def close(self) -> None:
        for running in [*self._private.values(), *(one for group in self._public.values() for one in group)]:
            self._end(running)
        self._private.clear()
        self._public.clear()
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _keep_private(self, key: _Key, clock_offset_ms: int) -> None:
        running = self._private.get(key)
        if running is not None and not running.task.done():
            running.stream.clock_offset_ms = clock_offset_ms
            return
        if running is not None:
            self._end(self._private.pop(key))
        refused_at = self._refused_at.get(key)
        if refused_at is not None and asyncio.get_running_loop().time() - refused_at < ASK_REFUSED_AGAIN_S:
            return
        venue = key.environment, key.market
        started = self._start(venue, key.credentials, partial(self._hear_private, key))
        if started is not None:
            started.stream.clock_offset_ms = clock_offset_ms
            self._private[key] = started

    def _keep_public(self, venue: Venue, symbols: Sequence[str]) -> None:
        most = LIMITS[venue[1]].topics
        lots = [symbols[start : start + most] for start in range(0, len(symbols), most)]
        group = self._public[venue]
        for failed in [running for running in group if running.task.done()]:
            group.remove(failed)
            self._end(failed)
        while len(group) > len(lots):
            self._end(group.pop())
        while len(group) < len(lots):
            started = self._start(venue, None, partial(self._hear_public, venue))
            if started is None:
                break
            group.append(started)
        for running, lot in zip(group, lots, strict=False):
            running.stream.want_prices(lot)

    def _start(
        self, venue: Venue, credentials: Credentials | None, on_event: Callable[[Event], None]
    ) -> _Running | None:
        environment, market = venue
        is_private = credentials is not None
        places = self._places.setdefault(venue, Places(market, self._addresses.ours))
        door = places.take(is_private=is_private)
        if door is None:
            return None
        url = self._addresses.url_of(environment, market, is_private)
        stream = Stream(Line(market, url, self._addresses.user_agent, door, credentials), on_event=on_event)
        return _Running(stream, asyncio.create_task(stream.run()), places, door, is_private)

    def _end(self, running: _Running) -> None:
        task = running.stop()
        self._ending.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._ending.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a stream failed: %s", type(error).__name__, exc_info=error)

    def _hear_private(self, key: _Key, event: Event) -> None:
        connector_ids = self._connectors.get(key, frozenset())
        match event:
            case OrderPushed():
                self._hearer.order_pushed(connector_ids, event)
            case Opened():
                self._hearer.opened(connector_ids)
            case LoginRefused(code=code):
                logger.warning("stream login refused (%s): connectors %s", code, ", ".join(map(str, connector_ids)))
                self._refused_at[key] = asyncio.get_running_loop().time()
                self._hearer.login_refused(connector_ids)
            case Lost(reason=reason):
                logger.info("stream of %s %s lost: %s", key.environment, key.market, reason)

    def _hear_public(self, venue: Venue, event: Event) -> None:
        match event:
            case PricePushed(ticker=ticker):
                self._hearer.price_pushed(*venue, ticker)
            case Lost(reason=reason):
                logger.info("public stream of %s %s lost: %s", *venue, reason)
