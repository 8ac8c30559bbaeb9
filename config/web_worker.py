"""gunicorn's gthread worker, with less passing around: a free thread waits for the connections itself.

gthread's main thread waits for every socket, hands each request to a pool and takes the connection back over a pipe.
Here the threads wait in `epoll` together; the one that is woken reads, answers and puts the connection back. The main
thread accepts, closes what is idle and tells gunicorn that it lives. Parsing, environment and answers stay gunicorn's.
"""

import contextlib
import errno
import select
import socket
import struct
import threading
import time
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

# So long a request may take to arrive; a client that sends it byte by byte must not keep a thread.
ARRIVES_WITHIN_S = 5.0
# So long a client may take nothing of its answer.
TAKEN_WITHIN_S = 20.0

_ONCE = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLONESHOT


class Socket(socket.socket):
    """A connection that spares the kernel what gunicorn tells it too often. Every call saved is one time less that a
    thread gives up the interpreter and waits to get it back.

    A timeout is set when the next byte is waited for, not before. The head of an answer waits for its first piece of
    body, from `hold` until `flush`.
    """

    def __init__(self, opened: socket.socket, taken_within_s: float = TAKEN_WITHIN_S) -> None:
        super().__init__(opened.family, opened.type, opened.proto, fileno=opened.detach())
        # The kernel's own limit: one call a connection, where a timeout of Python's would be two a request.
        seconds, rest = divmod(taken_within_s, 1)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(seconds), int(rest * 1e6)))
        self._timeout = self._timeout_set = super().gettimeout()
        self._is_holding = False
        self._held = b""
        self.is_receiving = False

    def settimeout(self, value: float | None) -> None:
        self._timeout = value

    def setblocking(self, flag: bool) -> None:
        self._timeout = None if flag else 0.0

    def gettimeout(self) -> float | None:
        return self._timeout

    def recv(self, *arguments: Any) -> bytes:
        self._set_timeout()
        self.is_receiving = True
        try:
            return super().recv(*arguments)
        finally:
            self.is_receiving = False

    def hold(self) -> None:
        self._is_holding = True

    def flush(self) -> None:
        held, self._held, self._is_holding = self._held, b"", False
        if held:
            self._send(held)

    def sendall(self, data: Any, flags: int = 0) -> None:
        if self._is_holding:
            self._is_holding = False
            self._held = bytes(data)
            return
        if self._held:
            data, self._held = self._held + data, b""
        self._send(data, flags)

    def sendfile(self, *arguments: Any, **named: Any) -> int:
        self.flush()
        return super().sendfile(*arguments, **named)

    def _send(self, data: Any, flags: int = 0) -> None:
        self._set_timeout()
        try:
            super().sendall(data, flags)
        except BlockingIOError:
            # What gunicorn takes for a client that is gone.
            raise ConnectionResetError(errno.ECONNRESET, "the client does not read its answer") from None

    def _set_timeout(self) -> None:
        if self._timeout != self._timeout_set:
            super().settimeout(self._timeout)
            self._timeout_set = self._timeout


class WebWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # Settings are asked for some twenty times a request, each time by searching: make them plain attributes.
        self.cfg.__dict__.update({name: setting.get() for name, setting in self.cfg.settings.items()})
        self._open: set[TConn] = set()
        # By file descriptor, the one that waits longest first. Who takes a connection out of it owns it.
        self._waiting: dict[int, TConn] = {}
        # Since when a thread has the request that it reads or answers.
        self._begun: dict[TConn, float] = {}

    @property
    def nr_conns(self) -> int:
        return len(self._open)

    @nr_conns.setter
    def nr_conns(self, _: int) -> None:
        """gthread counts for itself."""

    def init_process(self) -> None:
        self._ready = select.epoll()
        super().init_process()

    def run(self) -> None:
        for number in range(self.cfg.threads):
            threading.Thread(target=self._serve, name=f"web-{number}", daemon=True).start()
        super().run()

    def accept(self, listener: socket.socket) -> None:
        try:
            accepted, client = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        if len(self._open) >= self.max_keepalived:
            self._close_longest_waiting()
        connection = TConn(self.cfg, Socket(accepted), client, listener.getsockname())
        connection.data_ready = True  # when a thread gets it
        self._open.add(connection)
        self._ready.register(connection.sock, 0)
        self._wait_for(connection)

    def murder_keepalived(self, force: bool = False) -> None:
        now = time.monotonic()
        self._end_what_arrives_too_slowly(now)
        for connection in self._waiting.copy().values():
            if connection.timeout > now and not force:
                return
            if self._waiting.pop(connection.sock.fileno(), None) is None:
                continue
            if connection.timeout > now and not force:
                # A thread answered it meanwhile and put it back.
                self._wait_for(connection)
                continue
            self._close(connection)

    def _end_what_arrives_too_slowly(self, now: float) -> None:
        """To the thread that waits for the rest it looks as if the client had hung up."""
        for connection, since in self._begun.copy().items():
            if now - since > ARRIVES_WITHIN_S and connection.sock.is_receiving:
                with contextlib.suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RD)

    def _cap_keepalive(self, deadline: float) -> None:
        for connection in self._waiting.copy().values():
            connection.timeout = min(connection.timeout, deadline)

    def handle_request(self, req: Any, conn: TConn) -> Any:
        conn.sock.hold()
        try:
            return super().handle_request(req, conn)
        finally:
            conn.sock.flush()

    def _serve(self) -> None:
        while True:
            for descriptor, _ in self._ready.poll(maxevents=1):
                connection = self._waiting.pop(descriptor, None)
                if connection is not None:
                    self._answer(connection)

    def _answer(self, connection: TConn) -> None:
        """Answer what has arrived on the connection; afterwards it waits again, or is closed."""
        try:
            while self._handle_one(connection):
                # What came along with the last request does not wake anybody any more.
                if not connection.parser.unreader.buf.getvalue():
                    self._wait_for(connection)
                    return
        except Exception:
            self.log.exception("connection ended by an error")
        self._close(connection, graceful=True)

    def _handle_one(self, connection: TConn) -> bool:
        self._begun[connection] = time.monotonic()
        try:
            return bool(self.handle(connection))
        finally:
            del self._begun[connection]

    def _wait_for(self, connection: TConn) -> None:
        connection.set_timeout()
        self._waiting[connection.sock.fileno()] = connection
        self._ready.modify(connection.sock, _ONCE)

    def _close_longest_waiting(self) -> None:
        for descriptor, connection in self._waiting.copy().items():
            if self._waiting.pop(descriptor, None) is not None:
                self._close(connection)
                return

    def _close(self, connection: TConn, *, graceful: bool = False) -> None:
        connection.close(graceful=graceful)
        self._open.discard(connection)
        if not self.alive:
            self.method_queue.defer(lambda: None)
