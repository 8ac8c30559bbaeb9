"""A small WebSocket server that speaks BitMart's words of one market, built from the published samples."""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from apps.connectors.bitmart.signing import signature
from apps.connectors.exchange import Credentials, Market


@dataclass(eq=False)
class FakeVenue:
    """`accounts` are those whose login is taken. `is_mute` answers nothing at all; `deflates` sends binary frames."""

    market: Market
    accounts: list[Credentials] = field(default_factory=list)
    deflates: bool = False
    is_mute: bool = False
    login_error: str = ""
    url: str = ""
    received: list[str] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    open: list[ServerConnection] = field(default_factory=list)
    connects: int = 0
    user_agents: list[str] = field(default_factory=list)

    async def push(self, message: Any) -> None:
        """Send to every peer that is there: one of a refused login may be closing."""
        for peer in list(self.open):
            with suppress(ConnectionClosed):
                await self._send(peer, message)

    async def hang_up(self) -> None:
        for peer in list(self.open):
            await peer.close()

    async def until(self, what: str) -> None:
        """Wait for a received frame that contains `what`."""
        while not any(what in frame for frame in self.received):
            await asyncio.sleep(0.005)

    def topics(self) -> list[list[str]]:
        messages = [json.loads(frame) for frame in self.received if frame.startswith("{")]
        return [m["args"] for m in messages if (m.get("op") or m.get("action")) == "subscribe"]

    async def serve_one(self, peer: ServerConnection) -> None:
        self.connects += 1
        self.open.append(peer)
        assert peer.request is not None
        self.user_agents.append(peer.request.headers["User-Agent"])
        try:
            async for frame in peer:
                assert isinstance(frame, str)
                self.received.append(frame)
                if not self.is_mute:
                    await self._answer(peer, frame)
        except ConnectionClosed:
            return
        finally:
            self.open.remove(peer)

    async def _answer(self, peer: ServerConnection, frame: str) -> None:
        if frame == "ping":
            await peer.send("pong")
            return
        message = json.loads(frame)
        match message.get("op") or message["action"]:
            case "ping":
                await self._send(peer, {"group": "System", "data": "pong"})
            case "login" | "access":
                await self._log_in(peer, message["args"])
            case "subscribe":
                for topic in message["args"]:
                    await self._send(peer, self._subscribed(topic, message))

    async def _log_in(self, peer: ServerConnection, args: list[str]) -> None:
        key, at, sign = args[:3]
        self.logins.append(key)
        is_good = not self.login_error and any(
            account.access_key == key
            and sign
            == signature(
                secret_key=account.secret_key, memo=account.memo, timestamp_ms=int(at), body=b"bitmart.WebSocket"
            )
            for account in self.accounts
        )
        if self.market is Market.SPOT:
            error = {"event": "login", "errorMessage": "sign is wrong", "errorCode": self.login_error or "91011"}
            await self._send(peer, {"event": "login"} if is_good else error)
        else:
            text = self.login_error or f"access failed: openapi auth: apiKey {key[:10]}**** failed: openapi auth failed"
            error = {"action": "access", "success": False, "error": text}
            await self._send(peer, {"action": "access", "success": True} if is_good else error)
        if not is_good:
            await peer.close()

    def _subscribed(self, topic: str, request: Any) -> Any:
        if self.market is Market.SPOT:
            return {"event": "subscribe", "topic": topic}
        return {"action": "subscribe", "group": topic, "success": True, "request": request}

    async def _send(self, peer: ServerConnection, message: Any) -> None:
        text = json.dumps(message)
        if not self.deflates:
            await peer.send(text)
            return
        deflater = zlib.compressobj(wbits=-15)
        await peer.send(deflater.compress(text.encode()) + deflater.flush())


@asynccontextmanager
async def venue(market: Market, **options: Any) -> AsyncIterator[FakeVenue]:
    fake = FakeVenue(market, **options)
    async with serve(fake.serve_one, "127.0.0.1", 0, ping_interval=None, close_timeout=1) as server:
        fake.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield fake
