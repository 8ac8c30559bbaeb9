"""What ASGI has no word for on a WebSocket: frames made once for many sockets, and protocol pings that are heard."""

from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request

# A peer that leaves this much unread is cut off: one slow reader must not fill the memory of all.
_MOST_UNREAD = 4 * 1024 * 1024


def _nothing() -> None:
    return None


class SocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket connection, handed to the application in `scope["state"]["link"]`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.on_ping: Callable[[], None] = _nothing
        self.answers_pings = True
        self.ending: tuple[int, str] | None = None

    @staticmethod
    def framed(content: bytes, *, binary: bool) -> bytes:
        """Return the frame of a message: unmasked and without extensions, so the same for every socket."""
        return Frame(Opcode.BINARY if binary else Opcode.TEXT, content).serialize(mask=False)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            self.scope["state"]["link"] = self

    def handle_ping(self) -> None:
        self.on_ping()
        if self.answers_pings:
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def push(self, framed: bytes) -> None:
        """Write a frame made by `framed`; a connection that is going down takes none."""
        if self.close_sent or self.disconnected or self.transport.is_closing():
            return
        self.transport.write(framed)
        if self.transport.get_write_buffer_size() > _MOST_UNREAD:
            self.transport.abort()

    def end(self, code: int, reason: str) -> None:
        """Have the application leave its reading and close with this code."""
        if self.ending is None:
            self.ending = (code, reason)
            self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})

    def cut(self) -> None:
        """Drop the connection without a closing frame."""
        self.transport.abort()
