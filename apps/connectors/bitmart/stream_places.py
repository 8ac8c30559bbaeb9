"""BitMart's limits on connections, kept for each of our outgoing addresses. For one event loop."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType

from apps.connectors.exchange import Market

# Handshakes in progress at once, so that a mass reconnect leaves room for everything else on the loop.
_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Connections per address, topics per public connection, and seconds between two connects of one address."""

    private: int
    public: int
    topics: int
    connect_interval_s: float


LIMITS = {
    # 30 connects a minute.
    Market.SPOT: Limits(private=10, public=20, topics=115, connect_interval_s=2.1),
    # 500 connections in all; no limit on topics is stated.
    Market.FUTURES: Limits(private=480, public=20, topics=100, connect_interval_s=0.0),
}


class Door:
    """One outgoing address at one venue address: a context that lets connects through at the pace BitMart allows."""

    def __init__(self, source_address: str, connect_interval_s: float) -> None:
        self.source_address = source_address
        self._interval = connect_interval_s
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._next_at = 0.0

    async def __aenter__(self) -> None:
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        at = max(loop.time(), self._next_at)
        self._next_at = at + self._interval
        try:
            await asyncio.sleep(at - loop.time())
        except asyncio.CancelledError:
            self._free.release()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._free.release()


@dataclass(eq=False)
class Places:
    """The connections that one venue address allows us. `source_addresses` are ours; "" is the system's choice."""

    market: Market
    source_addresses: Sequence[str]
    _doors: dict[str, Door] = field(default_factory=dict)
    _taken: Counter[tuple[str, bool]] = field(default_factory=Counter)

    def take(self, *, is_private: bool) -> Door | None:
        """Return the door of the address with the most room, its place taken; None when every address is full."""
        limits = LIMITS[self.market]
        most = limits.private if is_private else limits.public
        address = min(self.source_addresses, key=lambda name: self._taken[name, is_private])
        if self._taken[address, is_private] >= most:
            return None
        self._taken[address, is_private] += 1
        if address not in self._doors:
            self._doors[address] = Door(address, limits.connect_interval_s)
        return self._doors[address]

    def give_back(self, door: Door, *, is_private: bool) -> None:
        self._taken[door.source_address, is_private] -= 1
