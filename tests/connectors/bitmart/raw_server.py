"""A listening socket that does to each connection exactly what a test says."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

Behaviour = Callable[[socket.socket, bytes], None]


@dataclass
class RawServer:
    base_url: str
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)


def read_request(peer: socket.socket) -> bytes:
    """Return one request, body included; b"" when the peer is gone."""
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = peer.recv(65536)
        if not chunk:
            return b""
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    while len(body) < length:
        body += peer.recv(65536)
    return head + b"\r\n\r\n" + body


def reply(body: bytes, *, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def reset(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


@contextmanager
def serving(behaviour: Behaviour, *, scheme: str = "http", wait_for_request: bool = True) -> Iterator[RawServer]:
    """Serve on 127.0.0.1, one thread a connection, requests one after the other on each."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    server = RawServer(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}")

    def converse(peer: socket.socket) -> None:
        with suppress(OSError), peer:
            if not wait_for_request:
                behaviour(peer, b"")
                return
            while request := read_request(peer):
                server.requests.append(request)
                behaviour(peer, request)

    def accept() -> None:
        with suppress(OSError):
            while True:
                peer, _ = listener.accept()
                server.connections += 1
                peer.settimeout(5)
                threading.Thread(target=converse, args=(peer,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield server
    finally:
        listener.close()
