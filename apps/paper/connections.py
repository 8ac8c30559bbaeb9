"""Cutting a connection without a byte of answer, which ASGI has no word for."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


class Connections:
    """The open connections of one server, by the peer's address and port."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, int], asyncio.Transport] = {}

    def cut(self, peer: tuple[str, int]) -> None:
        transport = self._open.get(peer)
        if transport is not None:
            transport.abort()

    def forget(self, peer: tuple[str, int]) -> None:
        """Let go of a connection whose end the HTTP protocol is not told of: it became a WebSocket."""
        self._open.pop(peer, None)

    def protocol(self) -> type[H11Protocol]:
        """Return uvicorn's HTTP protocol, telling this object of every connection made and lost."""
        known = self._open

        class TrackedProtocol(H11Protocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                super().connection_made(transport)
                if self.client is not None:
                    known[self.client] = transport

            def connection_lost(self, exc: Exception | None) -> None:
                if self.client is not None:
                    known.pop(self.client, None)
                super().connection_lost(exc)

        return TrackedProtocol
