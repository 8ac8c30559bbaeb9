"""Ears for the streams: one in this process on the desk's clock, one on a real socket."""

import json
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader
from websockets.sync.client import ClientConnection, connect

from apps.paper.auth import sign
from apps.paper.records import Account
from apps.paper.sockets_protocol import SocketProtocol
from apps.paper.sockets_session import Session
from apps.paper.streams import Streams
from tests.paper.desk import Desk, Trader
from tests.paper.running import PaperAccount, PaperProcess

PATIENCE_SECONDS = 8.0
TIMES = ("ms_t", "s_t", "ts")


class Ear:
    """What one socket would be sent, as parsed JSON."""

    def __init__(self) -> None:
        self.on_ping: Callable[[], None] = lambda: None
        self.answers_pings = True
        self.disconnected = False
        self.frames: list[bytes] = []
        self.ending: tuple[int, str] | None = None
        self.was_cut = False

    framed = staticmethod(SocketProtocol.framed)

    def push(self, framed: bytes) -> None:
        self.frames.append(framed)

    def end(self, code: int, reason: str) -> None:
        self.ending = (code, reason)

    def cut(self) -> None:
        self.was_cut = True

    def heard(self) -> list[Any]:
        """Return and forget what came."""
        frames, self.frames = self.frames, []
        return [unframed(framed) for framed in frames]


def unframed(framed: bytes) -> Any:
    opcode, content = _parsed(framed)
    text = zlib.decompress(content, -15) if opcode is Opcode.BINARY else content
    return text.decode() if text == b"pong" else json.loads(text)


def _parsed(framed: bytes) -> tuple[Opcode, bytes]:
    reader = StreamReader()
    reader.feed_data(framed)
    parsing = Frame.parse(reader.read_exact, mask=False)
    try:
        next(parsing)
    except StopIteration as done:
        return done.value.opcode, bytes(done.value.data)
    raise AssertionError("half a frame")


class Listening:
    """The streams of a desk, with sessions that hear in this process."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.deferred: list[Callable[[], None]] = []
        exchange, control = desk.exchange, desk.desks.control
        self.streams = Streams(exchange, desk.desks.faults, control.manners, later=self.deferred.append)

    def session(self, *topics: str, trader: Trader | None = None, deflates: bool = False) -> tuple[Session, Ear]:
        ear = Ear()
        session = Session(ear, "127.0.0.1", "", trader is not None, deflates, opened=0, heard=0)
        if trader is not None:
            session.account = self.desk.exchange.store.one(Account, "access_key = ?", trader.access_key)
        for topic in topics:
            self.streams.subscribe(session, topic)
        return session, ear

    def ear(self, *topics: str, trader: Trader | None = None) -> Ear:
        return self.session(*topics, trader=trader)[1]

    def pass_ms(self, ms: int) -> None:
        """Turn the clock and have the book and the topics follow."""
        self.desk.clock.ms += ms
        self.desk.exchange.advance(self.desk.clock.ms)
        self.streams.tick(self.desk.clock.ms)

    def flush(self) -> None:
        """Do what was put off until the answer had left."""
        while self.deferred:
            self.deferred.pop(0)()


class Line:
    """A real socket. `wait` returns the first message that fits and drops those before it."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def send(self, content: object) -> None:
        self.socket.send(content if isinstance(content, str) else json.dumps(content))

    def next(self, seconds: float = PATIENCE_SECONDS) -> Any:
        content = self.socket.recv(timeout=seconds)
        text = zlib.decompress(content, -15) if isinstance(content, bytes) else content.encode()
        return "pong" if text == b"pong" else json.loads(text)

    def wait(self, fits: Callable[[Any], bool]) -> Any:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            content = self.next(deadline - time.monotonic())
            if fits(content):
                return content

    def push(self, label: str) -> Any:
        """Return the data of the next push of this table or group."""
        return self.wait(lambda m: label in (m.get("table"), m.get("group")) and "success" not in m)["data"]

    def log_in_spot(self, account: PaperAccount) -> Any:
        self.send({"op": "login", "args": credentials(account)})
        return self.next()

    def log_in_futures(self, account: PaperAccount) -> Any:
        self.send({"action": "access", "args": [*credentials(account), "web"]})
        return self.next()


def credentials(account: PaperAccount) -> list[str]:
    stamp = str(time.time_ns() // 1_000_000)
    signature = sign(account.secret_key, timestamp=stamp, memo=account.memo, body=b"bitmart.WebSocket")
    return [account.access_key, stamp, signature]


@contextmanager
def line(paper: PaperProcess, path: str, **headers: str) -> Iterator[Line]:
    address = paper.base_url.replace("http", "ws", 1) + path
    with connect(address, compression=None, ping_interval=None, proxy=None, additional_headers=headers) as socket:
        yield Line(socket)
