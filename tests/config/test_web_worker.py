"""gunicorn with our worker, over real sockets."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from config.web_worker import Socket

pytestmark = pytest.mark.process
ROOT = Path(__file__).resolve().parents[2]

Serve = Callable[..., tuple[subprocess.Popen[bytes], int]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start one process of four threads with the product's settings file; gives it and its port."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> tuple[subprocess.Popen[bytes], int]:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = int(probe.getsockname()[1])
        ours = {"HOST": "127.0.0.1", "PORT": str(port), "WEB_CONCURRENCY": "1", "WEB_THREADS": "4"}
        command = [sys.executable, "-m", "gunicorn", "tests.config.web_app", "-c", "config/gunicorn.py", *arguments]
        started.append(subprocess.Popen([*command, "--log-level", "error"], cwd=ROOT, env=os.environ | ours))
        for _ in range(400):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.025)
        return started[-1], port

    yield start
    for process in started:
        process.kill()
        process.wait()


def ask(port: int, path: str, body: bytes = b"", method: str = "POST") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_answers_of_every_shape(serve: Serve) -> None:
    _, port = serve()

    assert ask(port, "/echo", b"hello") == (200, b"hello")
    assert ask(port, "/stream") == (200, b"piece0piece1piece2")
    assert ask(port, "/empty") == (204, b"")
    assert ask(port, "/file") == (200, b"bytes")
    assert ask(port, "/echo", method="HEAD") == (200, b"")
    assert ask(port, "/wrong")[0] == 500


def test_more_connections_than_threads_are_answered_again_and_again(serve: Serve) -> None:
    _, port = serve()
    connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=10) for _ in range(40)]

    def use(connection: http.client.HTTPConnection) -> list[bytes]:
        found = []
        for number in range(20):
            connection.request("POST", "/echo", b"%d" % number)
            found.append(connection.getresponse().read())
        connection.close()
        return found

    with ThreadPoolExecutor(40) as clients:
        answers = list(clients.map(use, connections))

    assert answers == [[b"%d" % number for number in range(20)]] * 40


def test_idle_connections_take_no_thread(serve: Serve) -> None:
    _, port = serve()
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(30)]

    assert ask(port, "/echo", b"hello") == (200, b"hello")

    for connection in idle:
        connection.close()


@pytest.mark.parametrize("start", [b"P", b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n"])
def test_requests_that_do_not_arrive_keep_no_thread(serve: Serve, start: bytes) -> None:
    _, port = serve()
    slow = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(4)]
    for connection in slow:
        connection.sendall(start)
    time.sleep(0.3)

    with ThreadPoolExecutor(1) as clients:
        waiting = clients.submit(ask, port, "/echo", b"hello")
        while not waiting.done():
            # Two of them go on sending, a byte now and then.
            for connection in slow[:2]:
                with suppress(OSError):
                    connection.sendall(b"x")
            time.sleep(0.2)

    assert waiting.result() == (200, b"hello")
    for connection in slow:
        connection.close()


def test_requests_sent_together_are_both_answered(serve: Serve) -> None:
    _, port = serve()
    one = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
    last = b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\n"

    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(one + b"abc" + last + b"def")
        received = b"".join(iter(lambda: connection.recv(65536), b""))

    assert [part.rpartition(b"\r\n")[2] for part in received.split(b"HTTP/1.1 ")[1:]] == [b"abc", b"def"]


def test_body_that_was_not_read_does_not_become_the_next_request(serve: Serve) -> None:
    _, port = serve()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    for body in (b"POST /file HTTP/1.1\r\n\r\n", b""):
        connection.request("POST", "/unread", body)
        assert connection.getresponse().read() == b"ok"

    connection.close()


def test_request_that_arrives_in_pieces_is_answered(serve: Serve) -> None:
    _, port = serve()

    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for piece in (
            b"POST /echo HT",
            b"TP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Enc",
            b"oding: chunked\r\n\r\n",
        ):
            connection.sendall(piece)
            time.sleep(0.05)
        connection.sendall(b"3\r\nabc\r\n0\r\n\r\n")
        received = b"".join(iter(lambda: connection.recv(65536), b""))

    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert received.endswith(b"\r\n\r\nabc")


def test_connection_that_stays_idle_is_closed(serve: Serve) -> None:
    _, port = serve("--keep-alive", "1")

    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        started = time.monotonic()
        assert connection.recv(1) == b""

    assert 0.9 < time.monotonic() - started < 4


def test_full_worker_closes_what_has_been_idle_longest(serve: Serve) -> None:
    _, port = serve("--worker-connections", "8")  # four of them may be idle
    idle = []
    for _ in range(6):
        idle.append(socket.create_connection(("127.0.0.1", port), timeout=10))
        idle[-1].sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert idle[-1].recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
        time.sleep(0.3)  # it is idle once its thread has put it back, which is after the answer

    assert [idle[0].recv(1), idle[1].recv(1)] == [b"", b""]
    idle[5].sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    assert idle[5].recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
    for connection in idle:
        connection.close()


def test_stopping_worker_answers_what_it_has_begun(serve: Serve) -> None:
    process, port = serve()
    with ThreadPoolExecutor(1) as clients, socket.create_connection(("127.0.0.1", port), timeout=10) as idle:
        begun = clients.submit(ask, port, "/slow")
        time.sleep(0.3)
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)

        assert begun.result(10) == (200, b"slow")
        assert process.wait(10) == 0
        assert time.monotonic() - started < 5
        assert idle.recv(1) == b""


def test_head_goes_out_with_the_first_piece_of_body() -> None:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # one packet a send
    with Socket(here) as ours, there:
        ours.hold()
        ours.sendall(b"head ")
        ours.sendall(b"body")
        ours.sendall(b"more")
        ours.flush()
        ours.hold()
        ours.sendall(b"head alone")
        ours.flush()

        assert [there.recv(100) for _ in range(3)] == [b"head body", b"more", b"head alone"]


def test_timeout_is_in_force_when_bytes_are_waited_for() -> None:
    here, there = socket.socketpair()
    with Socket(here) as ours, there:
        ours.settimeout(0.05)
        with pytest.raises(TimeoutError):
            ours.recv(1)
        ours.setblocking(False)
        with pytest.raises(BlockingIOError):
            ours.recv(1)
        ours.setblocking(True)
        there.sendall(b"x")

        assert (ours.gettimeout(), ours.recv(1)) == (None, b"x")


def test_a_client_that_does_not_read_is_given_up() -> None:
    ours, theirs = socket.socketpair()
    with theirs, Socket(ours, taken_within_s=0.2) as answering:
        with pytest.raises(ConnectionResetError, match="does not read"):
            answering.sendall(bytes(50_000_000))
        answering.hold()
        answering.sendall(b"head")
        with pytest.raises(ConnectionResetError, match="does not read"):
            answering.flush()
