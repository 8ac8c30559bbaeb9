"""One WebSocket connection to BitMart: login, subscriptions, keep-alive, reconnects. For one event loop."""

import asyncio
import logging
import random
import ssl
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from apps.connectors.bitmart import stream_futures, stream_spot
from apps.connectors.bitmart.client import system_clock_ms
from apps.connectors.bitmart.stream_books import BookChange, Books, GapError
from apps.connectors.bitmart.stream_frames import (
    LARGEST_FRAME,
    BooksChanged,
    LoggedIn,
    Pushed,
    Refused,
    Said,
    Subscribed,
    UnreadableFrameError,
    in_lots,
    text_of,
)
from apps.connectors.bitmart.stream_places import Door
from apps.connectors.exchange import Credentials, Market
from apps.connectors.streams import Event, LoginRefused, Lost, Opened

logger = logging.getLogger(__name__)
# At DEBUG the library logs every frame, the login with its key among them.
_quiet = logging.getLogger(f"{__name__}.frames")
_quiet.setLevel(logging.WARNING)

# BitMart hangs up after 20 s without a word from us.
PING_AFTER_S = 12.0
SILENT_AFTER_S = 30.0
ANSWER_WITHIN_S = 10.0
# 100 messages in 10 s are allowed.
BETWEEN_MESSAGES_S = 0.12
STEADY_AFTER_S = 60.0
LONGEST_PAUSE_S = 60.0
# Reconnecting too often, too many connections, too many messages.
_CALM_CODES = frozenset({"94001", "94002", "90007"})
_HARMLESS_CODE = "90008"


class Dialect(Protocol):
    """What differs between the two markets: modules `stream_spot` and `stream_futures`."""

    PING: str
    ORDERS: str

    def login(self, credentials: Credentials, timestamp_ms: int) -> str: ...
    def subscribe(self, topics: Sequence[str]) -> str: ...
    def unsubscribe(self, topics: Sequence[str]) -> str: ...
    def request(self, topics: Sequence[str]) -> str: ...
    def price_topic(self, symbol: str) -> str: ...
    def book_topic(self, symbol: str) -> str: ...
    def blames_key(self, refusal: Refused) -> bool: ...
    def read(self, frame: str) -> Said: ...


DIALECTS: dict[Market, Dialect] = {Market.SPOT: stream_spot, Market.FUTURES: stream_futures}


class _LostError(Exception):
    """The connection is of no more use. `pause_s` is the least wait before the next one."""

    def __init__(self, reason: str, *, pause_s: float = 0.0) -> None:
        super().__init__(reason)
        self.pause_s = pause_s


class _KeyRefusedError(Exception):
    pass


@dataclass(frozen=True, slots=True)
class Line:
    """Where a stream connects to and as whom; without credentials it is public."""

    market: Market
    url: str
    user_agent: str
    door: Door
    credentials: Credentials | None = None


class Stream:
    """`run` keeps one connection until it is cancelled or the key is refused. `on_event` is called on the loop."""

    def __init__(self, line: Line, *, on_event: Callable[[Event], None], clock_offset_ms: int = 0) -> None:
        self.clock_offset_ms = clock_offset_ms
        self.is_open = False
        self._line = line
        self._dialect = DIALECTS[line.market]
        self._on_event = on_event
        self._wanted: frozenset[str] = frozenset() if line.credentials is None else frozenset({self._dialect.ORDERS})
        self._asked: set[str] = set()
        self._confirmed: set[str] = set()
        self._books = Books()
        self._gaps: set[str] = set()
        self._changed = asyncio.Event()
        self._asked_at = self._heard_at = self._sent_at = 0.0

    def want_prices(self, symbols: Iterable[str]) -> None:
        """Carry the prices of these symbols and no others from now on."""
        self.want(symbols, books=())

    def want(self, symbols: Iterable[str], *, books: Iterable[str]) -> None:
        """Carry these prices and order books and nothing else from now on."""
        prices = {self._dialect.price_topic(symbol) for symbol in symbols}
        self._wanted = frozenset(prices | {self._dialect.book_topic(symbol) for symbol in books})
        self._changed.set()

    async def run(self) -> None:
        failures = 0
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            least = 0.0
            try:
                await self._connect_and_listen()
            except _KeyRefusedError as refusal:
                self._on_event(LoginRefused(str(refusal)))
                return
            except _LostError as error:
                reason, least = str(error), error.pause_s
            except (OSError, WebSocketException, TimeoutError) as error:
                reason = type(error).__name__
            failures = 1 if loop.time() - started > STEADY_AFTER_S else failures + 1
            self._on_event(Lost(reason))
            await asyncio.sleep(max(least, pause_after(failures)))

    @property
    def _is_public(self) -> bool:
        return self._line.credentials is None

    async def _connect_and_listen(self) -> None:
        async with self._line.door:
            socket = await self._connect()
            try:
                await self._log_in(socket)
            except BaseException:
                await socket.close()
                raise
        try:
            self.is_open = True
            await self._follow(socket)
        finally:
            self.is_open = False
            await socket.close()

    async def _connect(self) -> ClientConnection:
        # No compression of the protocol's own: BitMart deflates by itself, and a context costs memory per connection.
        options: dict[str, Any] = {}
        if self._line.door.source_address:
            options["local_addr"] = self._line.door.source_address, 0
        if self._line.url.startswith("wss:"):
            options["ssl"] = _tls()
        socket = await connect(
            self._line.url,
            compression=None,
            user_agent_header=self._line.user_agent,
            proxy=None,
            open_timeout=ANSWER_WITHIN_S,
            close_timeout=1,
            ping_interval=None,
            max_size=LARGEST_FRAME,
            logger=_quiet,
            **options,
        )
        self._heard_at = self._sent_at = asyncio.get_running_loop().time()
        return socket

    async def _log_in(self, socket: ClientConnection) -> None:
        if self._line.credentials is None:
            return
        timestamp_ms = system_clock_ms() + self.clock_offset_ms
        await self._send(socket, self._dialect.login(self._line.credentials, timestamp_ms))
        async with asyncio.timeout(ANSWER_WITHIN_S):
            while not isinstance(said := self._read(await socket.recv()), LoggedIn):
                if isinstance(said, Refused):
                    if self._dialect.blames_key(said):
                        raise _KeyRefusedError(said.code)
                    raise _lost_by(said)

    async def _follow(self, socket: ClientConnection) -> None:
        """Listen until the connection is lost; ask for topics as they are wanted, and never be silent for long."""
        self._asked, self._confirmed, self._books, self._gaps = set(), set(), Books(), set()
        loop = asyncio.get_running_loop()
        await self._ask_for_topics(socket)
        while True:
            frame = await self._next_frame(socket)
            now = loop.time()
            if frame is not None:
                self._heard_at = now
                self._take(self._read(frame))
            elif now - self._heard_at > SILENT_AFTER_S:
                raise _LostError("silent")
            self._check_subscriptions(now)
            if self._gaps:
                gaps, self._gaps = self._gaps, set()
                for message in in_lots(sorted(map(self._dialect.book_topic, gaps)), self._dialect.request):
                    await self._send(socket, message)
            if self._changed.is_set():
                await self._ask_for_topics(socket)
            if now - self._sent_at >= PING_AFTER_S:
                await self._send(socket, self._dialect.PING)

    async def _next_frame(self, socket: ClientConnection) -> str | bytes | None:
        """Return the next frame, or None when it is time to look at the clock."""
        # A public stream looks often, for what is wanted of it changes.
        most = 1.0 if self._is_public or self._asked - self._confirmed else PING_AFTER_S
        wait = self._sent_at + PING_AFTER_S - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(min(max(wait, 0.05), most)):
                return await socket.recv()
        except TimeoutError:
            return None

    async def _ask_for_topics(self, socket: ClientConnection) -> None:
        self._changed.clear()
        wanted = self._wanted
        gone, new = sorted(self._asked - wanted), sorted(wanted - self._asked)
        messages = [*in_lots(gone, self._dialect.unsubscribe), *in_lots(new, self._dialect.subscribe)]
        self._asked = set(wanted)
        self._confirmed &= wanted
        for number, message in enumerate(messages):
            if number:
                await asyncio.sleep(BETWEEN_MESSAGES_S)
            await self._send(socket, message)
        self._asked_at = asyncio.get_running_loop().time()

    async def _send(self, socket: ClientConnection, message: str) -> None:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            await socket.send(message)
        self._sent_at = asyncio.get_running_loop().time()

    def _read(self, frame: str | bytes) -> Said:
        try:
            return self._dialect.read(text_of(frame))
        except UnreadableFrameError as error:
            logger.warning("frame of %s left out: %s", self._line.url, error)
            return Pushed(())

    def _take(self, said: Said) -> None:
        match said:
            case Pushed(events):
                for event in events:
                    self._on_event(event)
            case BooksChanged(changes):
                for change in changes:
                    self._apply(change)
            case Subscribed(topic):
                self._confirm(topic)
            case Refused(code=code) if code == _HARMLESS_CODE:
                # Already subscribed: to what is not said.
                for topic in self._asked - self._confirmed:
                    self._confirm(topic)
            case Refused(action="subscribe", topic=topic, code=code) if code not in _CALM_CODES and self._is_public:
                # Without these prices the others still come; who misses them polls.
                logger.warning("refused: subscribe %s %s %s", topic, code, said.said)
                self._confirmed |= {topic} & self._asked
            case Refused(action="unsubscribe"):
                pass
            case Refused():
                raise _lost_by(said)

    def _apply(self, change: BookChange) -> None:
        try:
            event = self._books.apply(change)
        except GapError as gap:
            self._gaps.add(gap.symbol)
            return
        if event is not None:
            self._on_event(event)

    def _confirm(self, topic: str) -> None:
        """Note a confirmed subscription; its pace (`…@100ms`) is not always repeated in the answer."""
        name = topic.partition("@")[0]
        new = {asked for asked in self._asked - self._confirmed if asked.partition("@")[0] == name}
        self._confirmed |= new
        if self._dialect.ORDERS in new:
            self._on_event(Opened())

    def _check_subscriptions(self, now: float) -> None:
        """Raise when BitMart left a subscription unanswered. Prices that it does not carry are polled instead."""
        missing = self._asked - self._confirmed
        if not missing or now - self._asked_at < ANSWER_WITHIN_S:
            return
        if not self._is_public:
            raise _LostError("subscription not confirmed")
        logger.warning("not confirmed: %s", ", ".join(sorted(missing)[:10]))
        self._confirmed |= missing


def pause_after(failures: int) -> float:
    """Return seconds to wait: doubling from one, at most a minute, with half of it by chance."""
    longest = min(LONGEST_PAUSE_S, 2.0 ** min(failures - 1, 10))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads reconnects, guards nothing


def _lost_by(refusal: Refused) -> _LostError:
    pause = LONGEST_PAUSE_S if refusal.code in _CALM_CODES else 0.0
    return _LostError(f"refused: {refusal.action} {refusal.code}".strip(), pause_s=pause)


@cache
def _tls() -> ssl.SSLContext:
    """One for the process: making it takes 28 ms."""
    return ssl.create_default_context()
