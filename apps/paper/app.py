"""The ASGI application: reads the request whole, sends it to the wire or the control desk, and applies faults."""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route as HttpRoute
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from apps.paper.commits import GroupCommit
from apps.paper.connections import Connections
from apps.paper.control import PREFIX, ControlDesk
from apps.paper.exchange import Exchange
from apps.paper.faults import FaultRoom
from apps.paper.faults_wire import FaultyWire
from apps.paper.prices import STEP_MS
from apps.paper.rest import LONGEST_BODY, Request, Wire
from apps.paper.sockets import Sockets
from apps.paper.sockets_limits import SocketLimits
from apps.paper.streams import Streams

HEALTH = "/healthz"
logger = logging.getLogger("apps.paper")


@dataclass(frozen=True, slots=True)
class Desks:
    exchange: Exchange
    wire: Wire
    control: ControlDesk
    faults: FaultRoom
    connections: Connections


class _EveryPath:
    """One endpoint for every path and method: an unknown path is an answer of the exchange, not of the framework."""

    def __init__(self, desks: Desks, commits: GroupCommit, flush: Callable[[], None]) -> None:
        self._desks = desks
        self._wire = FaultyWire(desks.wire, desks.faults, desks.exchange)
        self._flush = flush
        self._commits = commits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read(receive)
        if body is None:
            return
        client = scope["client"]
        asked = Request(
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"].decode("latin-1"),
            headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
            body=body,
            address=client[0] if client else "",
        )
        if asked.path.startswith(PREFIX):
            answer = self._desks.control.answer(asked)
            await self._commits.wait()
            await answer(scope, receive, send)
            return
        left = await self._wire.answer(asked, self._push)
        await self._commits.wait()
        if isinstance(left, Response):
            await left(scope, receive, send)
            return
        if left is not None:
            await left.send_part(send)
        if client:
            self._desks.connections.cut((client[0], client[1]))
        while (await receive())["type"] != "http.disconnect":
            pass

    def _push(self) -> None:
        """Send what streams have to say before the answer goes out."""
        self._desks.exchange.store.commit()
        self._flush()


class _Door:
    """Hands calls straight to the wire, past the routing and the layers that it has no use for."""

    def __init__(self, every_path: _EveryPath, others: Starlette) -> None:
        self._every_path = every_path
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_call = scope["type"] == "http" and scope["path"] != HEALTH
        await (self._every_path if is_call else self._others)(scope, receive, send)


async def _read(receive: Receive) -> bytes | None:
    """Return the body, cut a byte past the longest allowed: the wire then refuses it. None: the caller has gone."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        if size <= LONGEST_BODY:
            parts.append(part)
        size += len(part)
        if not message.get("more_body"):
            return b"".join(parts)[: LONGEST_BODY + 1]


async def _healthz(request: HttpRequest) -> Response:
    return PlainTextResponse("ok")


async def _tick(exchange: Exchange, sockets: Sockets) -> None:
    while True:
        await asyncio.sleep(STEP_MS / 1000)
        try:
            exchange.advance(exchange.clock())
        except (sqlite3.Error, ArithmeticError):
            # The step is rolled back whole; the next one tries again.
            logger.exception("the book could not be brought to now")
        sockets.streams.tick(exchange.clock())
        sockets.sweep()


def build_app(desks: Desks, *, sockets_of_one_address: int = 0) -> ASGIApp:
    """`sockets_of_one_address` replaces BitMart's figures for WebSocket connections; 0 keeps them."""
    streams = Streams(desks.exchange, desks.faults, desks.control.manners)
    limits = SocketLimits(connections=sockets_of_one_address)
    sockets = Sockets(desks.exchange, streams, desks.connections, limits=limits)
    commits = GroupCommit(desks.exchange.store)

    @contextlib.asynccontextmanager
    async def ticking(app: Starlette) -> AsyncIterator[None]:
        commits.start()
        ticker = asyncio.create_task(_tick(desks.exchange, sockets))
        yield
        ticker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await ticker
        commits.stop()
        desks.exchange.store.close()

    routes = [HttpRoute(HEALTH, _healthz), WebSocketRoute("/{path:path}", sockets)]
    return _Door(_EveryPath(desks, commits, streams.flush), Starlette(routes=routes, lifespan=ticking))
