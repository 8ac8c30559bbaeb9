"""Signed market orders a second at the paper exchange, beside a bare echo server of the same kind in the same run.

    python scripts/bench_paper.py [--rounds 5] [--seconds 3]

The echo server is uvicorn with the same protocol class and settings; it reads the same signed requests and sends a
ready-made answer of the same length. Both get the same client: raw sockets, keep-alive, one request in flight each.
"""

import argparse
import asyncio
import hashlib
import hmac
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import uvicorn
from starlette.types import Receive, Scope, Send

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from apps.paper.connections import Connections  # noqa: E402
from tests.paper.running import PaperProcess, free_port  # noqa: E402

# At 24 orders in 2 s a key, enough keys that no limit is met.
ACCOUNTS = 400
PATH = "/contract/private/submit-order"
ECHO = b'{"message":"Ok","code":1000,"trace":"","data":{"order_id":118100034543076010,"price":"market price"}}'
IN_FLIGHT = (1, 16)


@dataclass(frozen=True, slots=True)
class Key:
    access_key: str
    secret_key: str
    memo: str


@dataclass(frozen=True, slots=True)
class Round:
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(ECHO)).encode())]
    headers += [(b"x-bm-ratelimit-%d" % number, b"24") for number in range(4)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ECHO})


def serve_echo(port: int) -> None:
    uvicorn.run(
        echo,
        port=port,
        http=Connections().protocol(),
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )


@contextmanager
def running_echo() -> Iterator[tuple[int, int]]:
    """Yield port and process id."""
    port = free_port()
    process = subprocess.Popen([sys.executable, __file__, "--echo", str(port)])
    try:
        wait_for(port)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def cpu_seconds(process_id: int) -> float:
    fields = Path(f"/proc/{process_id}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the echo server did not start")


def signed_order(key: Key, side: int) -> bytes:
    body = json.dumps(
        {"symbol": "BTCUSDT", "side": side, "type": "market", "size": 1, "leverage": "5", "open_type": "cross"}
    ).encode()
    stamp = str(time.time_ns() // 1_000_000)
    message = f"{stamp}#{key.memo}#".encode() + body
    sign = hmac.new(key.secret_key.encode(), message, hashlib.sha256).hexdigest()
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-BM-KEY: {key.access_key}\r\nX-BM-TIMESTAMP: {stamp}\r\n"
        f"X-BM-SIGN: {sign}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def caller(port: int, keys: list[Key], *, until: float, times: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    place = 0
    while time.perf_counter() < until:
        # Every key opens with a buy and closes with a sell: positions stay small.
        request = signed_order(keys[place % len(keys)], 1 if place // len(keys) % 2 == 0 else 4)
        place += 1
        before = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        times.append(time.perf_counter() - before)
        if b'"code":1000' not in body:
            raise RuntimeError(body.decode())
    writer.close()


async def measure(server: tuple[int, int], keys: list[Key], *, in_flight: int, seconds: float) -> Round:
    port, process_id = server
    times: list[float] = []
    cpu = cpu_seconds(process_id)
    started = time.perf_counter()
    shares = [keys[number::in_flight] for number in range(in_flight)]
    await asyncio.gather(*(caller(port, share, until=started + seconds, times=times) for share in shares))
    took = time.perf_counter() - started
    cpu = (cpu_seconds(process_id) - cpu) / len(times) * 1_000_000
    times.sort()
    return Round(len(times) / took, times[len(times) // 2] * 1000, times[len(times) * 99 // 100] * 1000, cpu)


def middle(rounds: list[Round]) -> Round:
    return Round(*(statistics.median(getattr(one, field.name) for one in rounds) for field in fields(Round)))


def show(in_flight: int, name: str, found: Round, base: Round) -> None:
    ratio, cpu = found.per_second / base.per_second, base.cpu_us / found.cpu_us
    print(
        f"{in_flight:>9} {name:<6} {found.per_second:>7.0f} {found.p50_ms:>8.2f} {found.p99_ms:>8.2f}"
        f" {found.cpu_us:>8.0f} {ratio:>8.2f} {cpu:>10.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--echo", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.echo:
        serve_echo(options.echo)
        return
    with tempfile.TemporaryDirectory() as state, running_echo() as echo_server:
        paper = PaperProcess(Path(state))
        paper.start()
        try:
            made = [paper.new_account(futures={"USDT": "100000"}) for _ in range(ACCOUNTS)]
            servers = (echo_server, (paper.port, paper.process_id))
            keys = [Key(one.access_key, one.secret_key, one.memo) for one in made]
            print("in flight server orders/s   p50 ms   p99 ms   CPU µs    ratio  CPU ratio")
            for in_flight in IN_FLIGHT:
                pairs = []
                for _ in range(options.rounds):
                    pairs.append(
                        [
                            asyncio.run(measure(server, keys, in_flight=in_flight, seconds=options.seconds))
                            for server in servers
                        ]
                    )
                base, found = middle([pair[0] for pair in pairs]), middle([pair[1] for pair in pairs])
                show(in_flight, "echo", base, base)
                show(in_flight, "paper", found, base)
        finally:
            paper.stop()


if __name__ == "__main__":
    main()
