"""The WebSocket door: which host the caller means, what it may do, and when it is shown out."""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from apps.paper.connections import Connections
from apps.paper.exchange import Exchange
from apps.paper.sockets_futures import FuturesDialect
from apps.paper.sockets_limits import SocketLimits
from apps.paper.sockets_session import Link, Session
from apps.paper.sockets_spot import SpotDialect
from apps.paper.streams import Streams

# The published paths, plain or behind a prefix that says whose they are: /spot-ws/api, /futures-ws/user.
_PATH = re.compile(r"/(?:(spot|futures)-ws/)?(api|user)/?")
_HOSTS = {"ws-manager": "spot", "openapi-ws": "futures"}
_GOING = 1000


@dataclass(frozen=True, slots=True)
class Door:
    """`market` is "" on a plain path of a host of ours: there each message tells."""

    market: str
    private: bool
    deflates: bool


def find_door(path: str, *, query: str, host: str) -> Door | None:
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    by_host = next((market for start, market in _HOSTS.items() if host.startswith(start)), "")
    deflates = "compress" in host or "compress=1" in query.split("&")
    return Door(found[1] or by_host, found[2] == "user", deflates)


class Sockets:
    """All open sockets. One instance is the ASGI application of every WebSocket path."""

    def __init__(
        self,
        exchange: Exchange,
        streams: Streams,
        connections: Connections,
        *,
        limits: SocketLimits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` returns seconds that never run back."""
        self.streams = streams
        self._limits = limits
        self._connections = connections
        self._clock = clock
        self._sessions: dict[Session, None] = {}
        self._dialects: dict[str, SpotDialect | FuturesDialect] = {
            "spot": SpotDialect(exchange, streams),
            "futures": FuturesDialect(exchange, streams),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        query = scope["query_string"].decode("latin-1")
        door = find_door(scope["path"], query=query, host=headers.get("host", ""))
        await receive()
        if door is None:
            await send({"type": "websocket.close"})
            return
        link: Link = scope["state"]["link"]
        address, port = scope["client"] or ("", 0)
        session = self._open(link, door, address)
        await send({"type": "websocket.accept"})
        if door.market:
            self._meet(session, door.market)
        try:
            await self._read(session, receive)
        finally:
            self._close(session)
            self._connections.forget((address, port))
        if link.ending is not None and not link.disconnected:
            code, reason = link.ending
            await send({"type": "websocket.close", "code": code, "reason": reason})

    def sweep(self) -> None:
        """Show out whoever was silent too long, or subscribes to nothing."""
        now = self._clock()
        for session in tuple(self._sessions):
            allowance = self._limits.of(session.market or "spot", private=session.private)
            if session.is_stale(allowance, now):
                session.link.end(_GOING, "")

    def _open(self, link: Link, door: Door, address: str) -> Session:
        now = self._clock()
        deflates = door.deflates or self.streams.manners.deflate
        session = Session(link, address, "", door.private, deflates, opened=now, heard=now)
        session.speaks_both = not door.market

        def heard() -> None:
            session.heard = self._clock()

        link.on_ping = heard
        self._sessions[session] = None
        return session

    def _meet(self, session: Session, market: str) -> None:
        session.market = market
        session.link.answers_pings = market != "spot"
        why = self._limits.admit(session.address, market, private=session.private, now=self._clock())
        if why:
            session.market = ""
            self._dialects[market].turn_away(session, why)

    def _close(self, session: Session) -> None:
        self._sessions.pop(session, None)
        self.streams.leave(session)
        if session.market:
            self._limits.leave(session.address, session.market, private=session.private)

    async def _read(self, session: Session, receive: Receive) -> None:
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if text is None:
                text = (message.get("bytes") or b"").decode("utf-8", "replace")
            self._take(session, text)

    def _take(self, session: Session, text: str) -> None:
        session.heard = now = self._clock()
        if text == "ping":
            session.link.push(session.link.framed(b"pong", binary=False))
            return
        content = _object(text)
        market = self._spoken(session, content)
        if not session.market:
            self._meet(session, market)
            if not session.market:
                return
        dialect = self._dialects[market]
        allowance = self._limits.of(market, private=session.private)
        if session.hears_too_much(allowance, now):
            dialect.flooded(session)
        elif content is None or 0 < allowance.bytes_a_message < len(text.encode()):
            dialect.garbled(session)
        else:
            had_topics = bool(session.topics)
            dialect.take(session, content, allowance)
            if had_topics and not session.topics:
                session.emptied = now

    def _spoken(self, session: Session, content: dict[str, object] | None) -> str:
        """Return whose words these are. On a plain path one connection may speak both hosts' in turn."""
        if not session.speaks_both or content is None:
            return session.market or "spot"
        if "action" in content:
            session.link.answers_pings = True
            return "futures"
        return "spot" if "op" in content else session.market or "spot"


def _object(text: str) -> dict[str, object] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
