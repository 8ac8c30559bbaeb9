"""Keep-alive HTTP clients in one process and one loop: each sends its next delivery when the last one is answered.

Run as a process of its own: a JSON object on stdin, one JSON object of results on stdout.
"""

import argparse
import json
import os
import selectors
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

BODY = (
    '{{"ticker":"BTCUSDT.P","action":"buy","prev_position":"flat","quantity":"0.01","id":"b{number:018d}",'
    '"time":"2026-01-01T00:00:00Z","pointer":"{pointer}"}}'
)
HEAD = (
    "POST /webhook HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: Go-http-client/1.1\r\n"
    "Content-Type: application/json; charset=utf-8\r\nContent-Length: {length}\r\n\r\n"
)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 130\r\n\r\n" + b"x" * 130


@dataclass(slots=True)
class Client:
    socket: socket.socket
    sent_at: float = 0.0
    received: bytes = b""


class Load:
    """`clients` connections to 127.0.0.1:`port`; every body differs and names one of `pointers`."""

    def __init__(self, port: int, clients: int, pointers: list[str]) -> None:
        self.port, self.pointers = port, pointers
        self.number = time.time_ns() // 1_000_000_000 * 1_000_000
        length = len(BODY.format(number=0, pointer=pointers[0]))
        self.head = HEAD.format(port=port, length=length)
        self.selector = selectors.DefaultSelector()
        self.statuses: Counter[int] = Counter()
        self.took: list[float] = []
        self.clients = [Client(socket.create_connection(("127.0.0.1", port), timeout=10)) for _ in range(clients)]
        for client in self.clients:
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.socket.setblocking(False)
            self.selector.register(client.socket, selectors.EVENT_READ, client)

    def run(self, seconds: float) -> dict[str, Any]:
        cpu = time.process_time()
        started = time.perf_counter()
        ends = started + seconds
        for client in self.clients:
            self.send(client)
        waiting = len(self.clients)
        while waiting:
            ready = self.selector.select(15)
            if not ready:
                raise SystemExit(f"{waiting} deliveries were not answered within 15 s")
            for key, _ in ready:
                if not self.receive(key.data):
                    continue
                if time.perf_counter() < ends:
                    self.send(key.data)
                else:
                    waiting -= 1
        elapsed = time.perf_counter() - started
        for client in self.clients:
            client.socket.close()
        return {
            "seconds": elapsed,
            "cpu": time.process_time() - cpu,
            "statuses": dict(self.statuses),
            "ms": [round(value * 1000, 3) for value in self.took],
        }

    def send(self, client: Client) -> None:
        self.number += 1
        body = BODY.format(number=self.number, pointer=self.pointers[self.number % len(self.pointers)])
        client.sent_at = time.perf_counter()
        client.socket.sendall((self.head + body).encode())

    def receive(self, client: Client) -> bool:
        """Read what is there; True when the answer is complete."""
        client.received += client.socket.recv(65536)
        head, end, body = client.received.partition(b"\r\n\r\n")
        if not client.received:
            raise SystemExit("the server closed a connection")
        if not end:
            return False
        length = head.lower().partition(b"\r\ncontent-length:")[2].split(b"\r\n", 1)[0]
        is_complete = len(body) >= int(length) if length else body.endswith(b"0\r\n\r\n")
        if not is_complete:
            return False
        self.took.append(time.perf_counter() - client.sent_at)
        self.statuses[int(head[9:12])] += 1
        client.received = b""
        return True


def answer_all(listener: socket.socket) -> None:
    """Answer every request at once with a constant; for the generator's own limit."""
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                connection, _address = listener.accept()
                connection.setblocking(False)
                selector.register(connection, selectors.EVENT_READ)
                continue
            connection = key.fileobj  # type: ignore[assignment]
            if connection.recv(65536):
                connection.sendall(ANSWER)
            else:
                selector.unregister(connection)
                connection.close()


def own_limit(clients: int, seconds: float) -> dict[str, Any]:
    """Return what this generator reaches against a server that only answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        server = os.fork()
        if server == 0:
            answer_all(listener)
        try:
            return Load(port, clients, ["sf_" + "a" * 32]).run(seconds)
        finally:
            os.kill(server, 9)
            os.waitpid(server, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--own-limit", action="store_true", help="against a constant answer instead of a product")
    chosen = parser.parse_args()
    plan = json.load(sys.stdin)
    if chosen.own_limit:
        result = own_limit(plan["clients"], plan["seconds"])
    else:
        result = Load(plan["port"], plan["clients"], plan["pointers"]).run(plan["seconds"])
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
