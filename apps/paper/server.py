"""Starting and stopping the paper exchange. Importing this does nothing."""

import decimal
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import uvicorn

from apps.paper.app import Desks, build_app
from apps.paper.connections import Connections
from apps.paper.control import ControlDesk
from apps.paper.exchange import Exchange
from apps.paper.faults import FaultRoom
from apps.paper.instruments import KNOWN, build_catalogue
from apps.paper.limits import RateLimiter
from apps.paper.policies import Policies
from apps.paper.prices import Prices
from apps.paper.recording import read_recording
from apps.paper.rest import Wire
from apps.paper.store import Store

PRECISION = 40
_STOP_SECONDS = 2
_KEEP_ALIVE_SECONDS = 75
_LONGEST_MESSAGE = 65_536
_SOCKETS = "apps.paper.sockets_protocol:SocketProtocol"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Choices:
    """What a process offers: how many instruments a market, prices from a file, what nobody could confirm.

    `sockets_of_one_address` replaces BitMart's figures for WebSocket connections, 0 keeps them.
    """

    instruments: int = KNOWN
    prices_file: Path | None = None
    policies: Mapping[str, str] = field(default_factory=dict)
    sockets_of_one_address: int = 0


def open_desks(
    state_dir: Path | None,
    *,
    seed: int,
    control_token: str,
    faults: bool,
    choices: Choices | None = None,
    clock: Callable[[], int] = now_ms,
    monotonic: Callable[[], float] = time.monotonic,
) -> Desks:
    """Open the store under `state_dir`, make it when it is new, and set up everything but the socket.

    None keeps the store in memory. `clock` returns Unix milliseconds, `monotonic` seconds.
    """
    chosen = choices or Choices()
    catalogue = build_catalogue(chosen.instruments)
    known = frozenset((*catalogue.spot, *catalogue.futures))
    recording = read_recording(chosen.prices_file, known) if chosen.prices_file else None
    policies = Policies(chosen.policies)
    if state_dir is not None:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = Store(Path(":memory:") if state_dir is None else state_dir / "paper.sqlite3")
    prices = Prices(store, catalogue, seed=seed, now_ms=clock(), recording=recording)
    room = FaultRoom(allowed=faults)
    exchange = Exchange(store, catalogue, prices, clock=room.skewed(clock), policies=policies)
    exchange.catch_up(exchange.clock())
    limiter = RateLimiter(monotonic)
    return Desks(
        exchange=exchange,
        wire=Wire(exchange, limiter),
        control=ControlDesk(exchange, room, limiter, token=control_token),
        faults=room,
        connections=Connections(),
    )


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGINT and SIGTERM and return; uvicorn would raise the signal again after its clean stop."""
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.should_exit = True


def serve(
    host: str = "127.0.0.1",
    port: int = 8801,
    state_dir: str | Path = "paper-state",
    seed: int = 1,
    control_token: str = "",
    *,
    faults: bool = False,
    choices: Choices | None = None,
) -> None:
    """Run the paper exchange until SIGINT or SIGTERM. Call it from the main thread of its own process.

    An empty control token leaves the control routes to loopback callers. `seed` counts on the first start only:
    the state directory remembers it.
    """
    decimal.getcontext().prec = PRECISION
    desks = open_desks(Path(state_dir), seed=seed, control_token=control_token, faults=faults, choices=choices)
    config = uvicorn.Config(
        build_app(desks, sockets_of_one_address=choices.sockets_of_one_address if choices else 0),
        host=host,
        port=port,
        http=desks.connections.protocol(),
        ws=_SOCKETS,
        ws_max_size=_LONGEST_MESSAGE,
        # Silence is judged by what the caller sends, and a frame is made once for all that listen.
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        loop="asyncio",
        lifespan="on",
        log_level="warning",
        access_log=False,
        # The control routes look at the real peer: a forwarded header must not pass for a loopback caller.
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_STOP_SECONDS,
    )
    _Server(config).run()
