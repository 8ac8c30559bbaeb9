"""Orders a second through one worker: stored alerts of many connectors, all due at once, at a paper exchange that
answers at once or as from far away; beside them bare signed orders at the same exchange, and bare all that an alert
asks of it: what is held, the balance, the order, its fills. No engine that asks as much costs less than the last."""

import hmac
import http.client
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.utils import timezone

from apps.alerts.intake import store
from apps.alerts.receiving import EXECUTE
from apps.connectors import instruments
from apps.connectors.exchange import Credentials
from apps.connectors.models import Connector, Environment
from apps.lib import wakeups
from config import embedded
from scripts.bench import people
from scripts.bench.figures import median, table
from scripts.bench.processes import cpu_seconds, server_with
from scripts.bench.product import ROOT, BenchError

FAR_MS = 100
IN_FLIGHT = 64  # of the bare orders
BARE_ACCOUNTS = 150
DONE_WITHIN_S = 90.0
READY_WITHIN_S = 60.0
ACTIONS = (("buy", "flat"), ("sell", "long"))
DONE = """
    SELECT count(o.acknowledged_at), count(*) FILTER (WHERE o.state = 'filled'),
           max(o.acknowledged_at), max(o.finished_at)
    FROM alerts_alert a LEFT JOIN trading_order o ON o.id = a.order_id WHERE a.id = ANY(%s)
"""
LEFT = """
    SELECT a.status, a.reason, o.state, count(*)
    FROM alerts_alert a LEFT JOIN trading_order o ON o.id = a.order_id WHERE a.id = ANY(%s) GROUP BY 1, 2, 3
"""


Ask = Callable[[http.client.HTTPConnection, Credentials, int], None]


@dataclass(frozen=True, slots=True)
class Crew:
    """The processes whose CPU time counts, by name."""

    pids: dict[str, int]

    def cpu(self) -> dict[str, float]:
        return {name: cpu_seconds(pid) for name, pid in self.pids.items()}


def measure(state_dir: Path, *, connectors: int, runs: int) -> dict[str, Any]:
    """Return per delay in ms the runs: orders a second of ours and of bare ones, and the CPU of an alert."""
    paper = Paper(settings.PAPER_URL, settings.PAPER_CONTROL_TOKEN)
    with _crew(paper, state_dir) as crew, psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as database:
        for market in ("spot", "futures"):
            instruments.sync(Environment.PAPER, market)
        texts = people.desks(connectors, lambda: paper.account("100000"))
        bare, asking = ([paper.account("100000") for _ in range(BARE_ACCOUNTS)] for _ in range(2))
        step = 0
        result: dict[str, Any] = {"connectors": connectors, "delays": {}}
        for _ in range(2):  # a warm worker, as in a running product
            _ours(database, crew, texts, step)
            step += 1
        for delay_ms in (0, FAR_MS):
            paper.answer_after(delay_ms)
            rounds = []
            for _ in range(runs):
                one = _ours(database, crew, texts, step)
                one["bare/s"], _ = _bare(paper, bare, step, paper.signed_order)
                one["asked/s"], one["asked_cpu_ms"] = _bare(paper, asking, step, paper.all_of_an_alert, crew)
                rounds.append(one)
                step += 1
            result["delays"][delay_ms] = rounds
    return result


def _ours(database: psycopg.Connection, crew: Crew, pointers: list[str], step: int) -> dict[str, Any]:
    """Store one alert of every connector, wake the worker up, and wait until the last order is filled."""
    # As beat has it, once a minute.
    Connector.unscoped.update(clock_offset_ms=0, clock_measured_at=timezone.now())
    action, prev_position = ACTIONS[step % 2]
    ids = []
    for pointer in pointers:
        message = {"ticker": "BTCUSDT.P", "action": action, "prev_position": prev_position, "quantity": "0.001"}
        body = json.dumps(message | {"id": uuid.uuid4().hex, "pointer": pointer}).encode()
        receipt = store(body, content_type="application/json", sender="bench", ip="127.0.0.1", now=timezone.now())
        ids += receipt.alert_ids
    before, started = crew.cpu(), timezone.now()
    wakeups.publish(EXECUTE)
    acknowledged, finished = _until_filled(database, ids)
    used = {name: (after - before[name]) / len(ids) * 1000 for name, after in crew.cpu().items()}
    return {
        "acknowledged/s": len(ids) / (acknowledged - started).total_seconds(),
        "filled/s": len(ids) / (finished - started).total_seconds(),
        "cpu_ms": used,
    }


def _until_filled(database: psycopg.Connection, ids: list[Any]) -> tuple[Any, Any]:
    deadline = time.monotonic() + DONE_WITHIN_S
    while True:
        acknowledged, filled, last_acknowledged, last_finished = database.execute(DONE, [ids]).fetchone()  # type: ignore[misc]
        if acknowledged == filled == len(ids):
            return last_acknowledged, last_finished
        left = database.execute(LEFT, [ids]).fetchall()
        if time.monotonic() > deadline or any(status == "rejected" for status, *_ in left):
            raise BenchError(f"{filled} of {len(ids)} are filled: {left}")
        time.sleep(0.1)


def _bare(
    paper: "Paper", accounts: list[Credentials], step: int, ask: Ask, crew: Crew | None = None
) -> tuple[float, dict[str, float]]:
    """Ask over warm connections with nothing around it, once for each account; return how many a second, and the CPU of
    one in ms: of this process and of the exchange."""
    side = (1, 3)[step % 2]
    connections = [paper.connection() for _ in range(IN_FLIGHT)]

    def some(number: int) -> int:
        mine = accounts[number::IN_FLIGHT]
        for account in mine:
            ask(connections[number], account, side)
        return len(mine)

    def used() -> dict[str, float]:
        return {"client": time.process_time(), "exchange": crew.cpu()["paper exchange"] if crew else 0.0}

    with ThreadPoolExecutor(IN_FLIGHT) as threads:
        list(threads.map(lambda one: one.connect(), connections))
        before, started = used(), time.perf_counter()
        sent = sum(threads.map(some, range(IN_FLIGHT)))
        took, after = time.perf_counter() - started, used()
    for one in connections:
        one.close()
    return sent / took, {name: (after[name] - before[name]) / sent * 1000 for name in after}


class Paper:
    """The paper exchange's control address, and bare orders to it."""

    def __init__(self, url: str, token: str) -> None:
        self._address = url.rpartition("/")[2]
        self._bearer = {"Authorization": f"Bearer {token}"}

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._address, timeout=30)

    def account(self, usdt: str) -> Credentials:
        found = self._control("POST", "accounts", {"balances": {"futures": {"USDT": usdt}}})
        return Credentials(found["access_key"], found["secret_key"], found["memo"])

    def answer_after(self, delay_ms: int) -> None:
        """Have every answer come so much later."""
        self._control("DELETE", "faults", None)
        if delay_ms:
            self._control("POST", "faults", {"route": "*", "action": "delay", "delay_ms": delay_ms, "times": 100_000})

    def is_up(self) -> bool:
        try:
            self._control("GET", "faults", None)
        except OSError:
            return False
        return True

    def signed_order(self, connection: http.client.HTTPConnection, account: Credentials, side: int) -> None:
        order: dict[str, Any] = {"symbol": "BTCUSDT", "side": side, "type": "market", "size": 1}
        order["client_order_id"] = f"b{uuid.uuid4().hex[:24]}"
        if side == 1:
            order |= {"open_type": "cross", "leverage": "1"}
        body, now_ms = json.dumps(order).encode(), int(time.time() * 1000)
        signed = f"{now_ms}#{account.memo}#".encode() + body
        headers = {
            "Content-Type": "application/json",
            "X-BM-KEY": account.access_key,
            "X-BM-TIMESTAMP": str(now_ms),
            "X-BM-SIGN": hmac.new(account.secret_key.encode(), signed, "sha256").hexdigest(),
        }
        connection.request("POST", "/contract/private/submit-order", body, headers)
        answer = json.loads(connection.getresponse().read())
        if answer.get("code") != 1000:
            raise BenchError(f"the paper exchange refuses the bare order: {answer}")

    def all_of_an_alert(self, connection: http.client.HTTPConnection, account: Credentials, side: int) -> None:
        """Ask what a market order of known size on futures is decided, sent and followed by."""
        self._get(connection, account, "/contract/private/position-v2?symbol=BTCUSDT")
        self._get(connection, account, "/contract/private/assets-detail")
        self.signed_order(connection, account, side)
        self._get(connection, account, "/contract/private/trades?symbol=BTCUSDT")

    def _get(self, connection: http.client.HTTPConnection, account: Credentials, path: str) -> None:
        connection.request("GET", path, headers={"X-BM-KEY": account.access_key})
        answer = json.loads(connection.getresponse().read())
        if answer.get("code") != 1000:
            raise BenchError(f"the paper exchange refuses {path}: {answer}")

    def _control(self, method: str, what: str, body: dict[str, Any] | None) -> Any:
        connection = self.connection()
        try:
            content = None if body is None else json.dumps(body).encode()
            connection.request(method, f"/_paper/{what}", content, {"Content-Type": "application/json"} | self._bearer)
            response = connection.getresponse()
            answer = response.read()
            if response.status >= 300:
                raise BenchError(f"the paper exchange answers {response.status} {answer[:200]!r} to {what}")
            return json.loads(answer) if answer else None
        finally:
            connection.close()


@contextmanager
def _crew(paper: Paper, state_dir: Path) -> Iterator[Crew]:
    """One worker, the sweeper, which keeps prices fresh, and the paper exchange, with faults allowed."""
    port = settings.PAPER_URL.rpartition(":")[2]
    exchange = ["-m", "apps.paper", "--port", port, "--state", str(state_dir / "paper-far"), "--faults"]
    exchange += ["--control-token", settings.PAPER_CONTROL_TOKEN]
    worker = ["-m", "celery", "-A", "config.celery", "worker", "-P", "threads", "-c", "8"]
    with ExitStack() as stack, (state_dir.parent / "throughput.log").open("ab") as log:

        def run(arguments: list[str]) -> int:
            process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=os.environ, stdout=log, stderr=log)
            stack.callback(process.wait, 60)
            stack.callback(process.terminate)
            return process.pid

        pids = {"paper exchange": run(exchange)}
        until = time.monotonic() + READY_WITHIN_S
        while not paper.is_up():
            if time.monotonic() > until:
                raise BenchError(f"the paper exchange did not come up: {log.name}")
            time.sleep(0.1)
        pids |= {"worker": run(worker), "sweeper": run(["manage.py", "sweeper"])}
        pids["database"] = int(Path(state_dir, "postgres", "postmaster.pid").read_text().split()[0])
        pids["broker"] = server_with(str(embedded.redis_socket(state_dir)))
        yield Crew(pids)


def summary(result: dict[str, Any]) -> str:
    rows, asked = [], []
    for delay_ms, rounds in result["delays"].items():
        name = f"exchange {delay_ms} ms away"
        ratio = median([one["acknowledged/s"] / one["bare/s"] for one in rounds])
        rates = (_rate(rounds, rate) for rate in ("acknowledged/s", "filled/s", "bare/s"))
        rows.append([name, *rates, f"{ratio:.3f}", _cpu(rounds, "cpu_ms", 0)])
        asked.append([name, _rate(rounds, "asked/s"), _cpu(rounds, "asked_cpu_ms", 1)])
    names = " + ".join(next(iter(result["delays"].values()))[0]["cpu_ms"])
    head = ["", "acknowledged/s", "filled/s", f"bare/s, {IN_FLIGHT} in flight", "ratio", "CPU ms an alert"]
    title = f"Orders through one worker, {result['connectors']} connectors, one alert each at once (CPU: {names})"
    floor = f"The four calls of such an alert, bare, {IN_FLIGHT} in flight (CPU: client + paper exchange)"
    return f"{table(title, head, rows)}\n{table(floor, ['', 'alerts/s', 'CPU ms an alert'], asked)}"


def _rate(rounds: list[dict[str, Any]], name: str) -> str:
    return f"{median([one[name] for one in rounds]):.1f}"


def _cpu(rounds: list[dict[str, Any]], name: str, places: int) -> str:
    used = (median([one[name][process] for one in rounds]) for process in rounds[0][name])
    return " + ".join(f"{ms:.{places}f}" for ms in used)
