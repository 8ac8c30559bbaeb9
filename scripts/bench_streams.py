#!/usr/bin/env python3
"""1,000 connectors on one stream process: memory, CPU, and how soon a fill is in our row with the stream and without.

    python scripts/bench_streams.py [--connectors 1000] [--spot 10] [--runs 7]      (QUICK=1 or --quick: 100, 5 runs)

Everything is real and runs here: paper exchange, PostgreSQL, broker, stream process, one worker, sweeper. Each
connector has an account of its own, so that each has a connection of its own. The exchange allows 500 futures
connections to an address, so the streams connect from several addresses of the loopback network.
"""

import argparse
import os
import random
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from config import embedded  # noqa: E402
from tests.paper.running import PaperProcess  # noqa: E402

SYMBOL, ABOVE, BELOW = "BTCUSDT", "60000", "59000"
LIMIT = Decimal("59500")
PER_ADDRESS = 400
TICKS = os.sysconf("SC_CLK_TCK")
# The longest pause between two looks at a resting order (transitions.LOOK_PAUSES_S), and the sweeper's own half second.
POLL_EVERY_S = 15


@dataclass(frozen=True, slots=True)
class Used:
    """`cpu_s` of user and system together since the process started."""

    pss_mb: float
    cpu_s: float
    at: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", default=os.environ.get("QUICK") == "1")
    parser.add_argument("--connectors", type=int, default=0)
    parser.add_argument("--spot", type=int, default=10, help="how many of them trade spot")
    parser.add_argument("--runs", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0, help="length of each measurement of CPU")
    options = parser.parse_args()
    connectors = options.connectors or (100 if options.quick else 1000)
    runs = max(options.runs or (5 if options.quick else 7), 5)
    seconds = options.seconds or (10 if options.quick else 30)
    with tempfile.TemporaryDirectory(prefix="bench-streams-") as folder, ExitStack() as stack:
        paper = PaperProcess(Path(folder) / "paper", faults=False, control_token=secrets.token_hex(16))
        stack.callback(embedded.release, Path(folder))
        prepare(Path(folder), paper, addresses=connectors // PER_ADDRESS + 1)
        stack.callback(close_connections)
        paper.start()
        stack.callback(paper.stop)
        bench = Bench(paper)
        bench.fill(connectors, options.spot)
        print(f"{connectors} connectors ({options.spot} spot), each with its own account; {runs} runs\n", flush=True)
        bench.measure_streams(seconds)
        bench.measure_latency(runs)


def prepare(folder: Path, paper: PaperProcess, *, addresses: int) -> None:
    """Set the environment of every process of the run, boot the servers, and migrate."""
    for name in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)
    os.environ |= {
        "DEBUG": "1",
        "PAPER_URL": paper.base_url,
        "PAPER_CONTROL_TOKEN": paper.control_token,
        "STREAM_SOURCE_ADDRESSES": ",".join(f"127.0.0.{number}" for number in range(1, addresses + 1)),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "LOG_LEVEL": "WARNING",
        "BENCH_LOGS": str(folder),
    }
    embedded.prepare(folder)
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def close_connections() -> None:
    from django.db import connections

    connections.close_all()


class Bench:
    def __init__(self, paper: PaperProcess) -> None:
        self.paper = paper
        self.connectors: list[Any] = []
        self._open_now = 0

    def fill(self, count: int, spot: int) -> None:
        """Make one workspace with `count` connectors, each with a new paper account."""
        from django.utils import timezone

        from apps.accounts.models import User
        from apps.accounts.signup import open_workspace
        from apps.connectors import instruments
        from apps.connectors.models import Connector
        from apps.connectors.opening import seal_credentials

        workspace = open_workspace(User.objects.create_user("bench@example.com", "bench"))
        for number in range(count):
            market = "spot" if number < spot else "futures"
            account = self.paper.new_account(**{market: {"USDT": "1000000"}})
            connector = Connector(
                workspace=workspace,
                label=f"Bench {number}",
                market=market,
                environment="paper",
                check_status="ok",
                clock_offset_ms=0,
                clock_measured_at=timezone.now(),
            )
            seal_credentials(connector, account.access_key, account.secret_key, account.memo)
            self.connectors.append(connector)
        Connector.unscoped.bulk_create(self.connectors)
        started = time.monotonic()
        for market in ("spot", "futures"):
            instruments.sync("paper", market)
        first = time.monotonic() - started
        self.paper.set_price(SYMBOL, ABOVE)
        print(f"accounts and connectors made; both listings read and stored in {first:.2f} s")

    def measure_streams(self, seconds: float) -> None:
        with running("stream") as alone:
            self._wait_until_open(0)
            opened_in = self._wait_until_open(len(self.connectors))
            time.sleep(2)
            idle, is_open = cpu_between(alone, seconds), self._open_now
            with_all = used(alone)
        bare = self._bare_process()
        rows = [
            ("connectors / streams open", f"{len(self.connectors)} / {is_open}"),
            ("all open after start", f"{opened_in:.1f} s"),
            ("PSS of the process without connectors", f"{bare.pss_mb:.0f} MB"),
            ("PSS of the process with all", f"{with_all.pss_mb:.0f} MB"),
            ("a connector", f"{(with_all.pss_mb - bare.pss_mb) * 1024 / len(self.connectors):.0f} KB"),
            ("CPU, nothing happening (keep-alive, rereading)", f"{idle:.1%} of a core"),
            ("CPU until all were open (TLS not included)", f"{with_all.cpu_s - idle * seconds:.1f} s"),
        ]
        table(rows)

    def measure_latency(self, runs: int) -> None:
        """Fill resting orders by moving the price, and wait for our rows."""
        rows: list[tuple[str, str]] = []
        with running("worker"), running("sweeper"):
            with running("stream") as process:
                self._wait_until_open(len(self.connectors))
                self._wait_for_workers()
                before = used(process)
                single = [self._fills(1)[0] for _ in range(runs)]
                herd = [delay for _ in range(runs) for delay in self._fills(50)]
                after = used(process)
                rows.append(("a fill in our row, with the stream", spread(single)))
                rows.append(("50 fills at once, with the stream", spread(herd)))
                rows.append(("CPU of the stream process meanwhile", f"{share(before, after):.1%} of a core"))
            phases = [POLL_EVERY_S * (number + 0.5) / runs for number in range(runs)]
            single = [self._fills(1, due_in_s=phase)[0] for phase in phases]
            rows.append(("a fill in our row, without the stream", spread(single)))
            rows.append(("the polling interval", f"{POLL_EVERY_S} s, looked for every 0.5 s"))
        table(rows)

    def _fills(self, count: int, *, due_in_s: float = POLL_EVERY_S) -> list[float]:
        """Return the seconds until each of `count` orders, filled by one move of the price, is FILLED in our row.

        The orders are as if they rested long: looked at every 15 s, the next time `due_in_s` after the fill.
        """
        from django.utils import timezone

        from apps.trading.executor import send
        from apps.trading.models import Order

        futures = [connector for connector in self.connectors if connector.market == "futures"]
        self.paper.set_price(SYMBOL, ABOVE)
        orders = [self._order(connector) for connector in random.sample(futures, count)]
        for order in orders:
            send(order)
        ids = [order.pk for order in orders]
        time.sleep(1)
        next_at = timezone.now() + timedelta(seconds=due_in_s)
        Order.unscoped.filter(pk__in=ids).update(query_count=5, next_at=next_at)
        resting = Order.unscoped.filter(pk__in=ids, state="accepted").count()
        if resting != count:
            raise SystemExit(f"{count - resting} of {count} orders do not rest at the exchange")
        started = time.monotonic()
        self.paper.set_price(SYMBOL, BELOW)
        done: dict[Any, float] = {}
        while len(done) < count:
            if time.monotonic() - started > 3 * POLL_EVERY_S:
                raise SystemExit(f"{count - len(done)} of {count} fills never reached their rows")
            for pk in Order.unscoped.filter(pk__in=ids, state="filled").values_list("pk", flat=True):
                done.setdefault(pk, time.monotonic() - started)
            time.sleep(0.003)
        return list(done.values())

    def _order(self, connector: Any) -> Any:
        import uuid

        from apps.connectors.models import Instrument
        from apps.trading.models import Order
        from apps.trading.transitions import born

        order = Order(
            workspace_id=connector.workspace_id, connector=connector, origin_id=uuid.uuid4(), leg="o", intent="entry",
            instrument=Instrument.objects.get(environment="paper", market="futures", symbol=SYMBOL), symbol=SYMBOL,
            side="buy", order_type="limit", price=LIMIT, quantity=Decimal(1), client_order_id=uuid.uuid4().hex,
            leverage=Decimal(1), margin_mode="isolated",
        )  # fmt: skip
        born(order, cause="bench")
        return order

    def _bare_process(self) -> Used:
        from django.utils import timezone

        from apps.connectors.models import Connector

        Connector.unscoped.update(deleted_at=timezone.now())
        with running("stream") as process:
            self._wait_until_open(0)
            time.sleep(3)
            measured = used(process)
        Connector.unscoped.update(deleted_at=None)
        return measured

    def _wait_for_workers(self) -> None:
        from apps.trading.models import WorkerHeartbeat

        deadline = time.monotonic() + 60
        while set(WorkerHeartbeat.objects.values_list("kind", flat=True)) < {"stream", "worker", "sweeper"}:
            if time.monotonic() > deadline:
                raise SystemExit("worker or sweeper did not start")
            time.sleep(0.2)

    def _wait_until_open(self, count: int) -> float:
        """Wait until the heartbeat of a process started now counts so many open streams; return the seconds."""
        from django.utils import timezone

        from apps.trading.models import WorkerHeartbeat

        since, started = timezone.now(), time.monotonic()
        while time.monotonic() - started < 300:
            beat = WorkerHeartbeat.objects.filter(kind="stream", at__gt=since).first()
            if beat is not None and beat.facts["open"] >= count:
                self._open_now = beat.facts["open"]
                return time.monotonic() - started
            time.sleep(0.2)
        raise SystemExit(f"{count} streams were not open within 300 s: {beat and beat.facts}")


COMMANDS = {
    "stream": ["manage.py", "stream"],
    "sweeper": ["manage.py", "sweeper"],
    "worker": ["-m", "celery", "-A", "config.celery", "worker", "-P", "threads", "-c", "8"],
}


@contextmanager
def running(name: str) -> Iterator[subprocess.Popen[bytes]]:
    with Path(os.environ["BENCH_LOGS"], f"{name}.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, *COMMANDS[name]], cwd=ROOT, stdout=log, stderr=log)
    try:
        yield process
        if process.poll() is not None:
            raise SystemExit(f"{name} ended with {process.returncode}: {Path(log.name).read_text()[-2000:]}")
    finally:
        process.terminate()
        process.wait(30)


def used(process: subprocess.Popen[bytes]) -> Used:
    rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    pss_kb = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return Used(pss_kb / 1024, (int(fields[11]) + int(fields[12])) / TICKS, time.monotonic())


def share(before: Used, after: Used) -> float:
    return (after.cpu_s - before.cpu_s) / (after.at - before.at)


def cpu_between(process: subprocess.Popen[bytes], seconds: float) -> float:
    before = used(process)
    time.sleep(seconds)
    return share(before, used(process))


def spread(delays: list[float]) -> str:
    shown: Callable[[float], str] = lambda value: f"{value * 1000:.0f} ms" if value < 2 else f"{value:.1f} s"  # noqa: E731
    return f"median {shown(statistics.median(delays))}, {shown(min(delays))} to {shown(max(delays))}"


def table(rows: list[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in rows)
    print("\n".join(f"| {name:<{width}} | {value}" for name, value in rows), "\n", flush=True)


if __name__ == "__main__":
    main()
