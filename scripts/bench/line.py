"""From the alert to its filled order at the real paper exchange, one alert at a time, split by the rows' own times."""

import hmac
import http.client
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from scripts.bench.figures import median, percentile, table
from scripts.bench.processes import cpu_seconds
from scripts.bench.product import ROOT, BenchError, Running

PACE_S = 0.5
IDLE_S = 5.0
# As in a running product: each of the worker's eight threads has its connection and has run six alerts, of both
# markets; the server keeps a statement's plan from its sixth time on.
WARM_ROUNDS = 12
FILLED_WITHIN_S = 10.0
MESSAGES = {
    "spot": ({"ticker": "BTCUSDT"}, [("buy", "flat"), ("sell", "long")]),
    "futures": ({"ticker": "BTCUSDT.P"}, [("buy", "flat"), ("sell", "long")]),
}
STAGES = ("received", "read", "claimed", "planned", "signed", "acknowledged", "first fill", "finished")
TIMES = """
    SELECT a.received_at, a.read_at, a.claimed_at, a.planned_at,
           o.signed_at, o.acknowledged_at, o.first_fill_at, o.finished_at, a.status, a.reason, o.state
    FROM alerts_alert a LEFT JOIN trading_order o ON o.id = a.order_id WHERE a.id = %s
"""


@dataclass(frozen=True, slots=True)
class Key:
    access_key: str
    secret_key: str
    memo: str


def measure(running: Running, state_dir: Path, database_url: str, *, runs: int, alerts: int) -> dict[str, Any]:
    """Return per run the stages in ms of each alert, and beside each alert a bare commit and a bare signed order."""
    pointers = {one["market"]: one["pointer"] for one in _facts(running)}
    reference = Reference(running, state_dir, database_url)
    try:
        for _ in range(WARM_ROUNDS):
            _one_alert(running, reference, pointers, "futures", 0)
            _one_alert(running, reference, pointers, "futures", 1)
            _one_alert(running, reference, pointers, "spot", 0)
            _one_alert(running, reference, pointers, "spot", 1)
        rounds = [_round(running, reference, pointers, alerts) for _ in range(runs)]
        return {"rounds": rounds, "cpu_ms": [_cpu_of_one(running, reference, pointers, alerts) for _ in range(runs)]}
    finally:
        reference.close()


def _round(running: Running, reference: "Reference", pointers: dict[str, str], alerts: int) -> dict[str, list[Any]]:
    measured: list[dict[str, float]] = []
    for number in range(alerts):
        market = ("spot", "futures")[number % 2]
        measured.append(_one_alert(running, reference, pointers, market, number // 2 % 2))
    return {name: [one[name] for one in measured] for name in measured[0]}


def _one_alert(
    running: Running, reference: "Reference", pointers: dict[str, str], market: str, step: int
) -> dict[str, float]:
    """Send one alert, wait for its fill, and measure the references half a pace later."""
    started = time.monotonic()
    alert_id = _send(running, pointers, market, step)
    time.sleep(PACE_S / 2)
    measured = {"commit": reference.commit(), "signed order": reference.signed_order()}
    times = reference.times_of(alert_id)
    first = times[0]
    for name, at in zip(STAGES, times, strict=True):
        measured[name] = (at - first).total_seconds() * 1000
    time.sleep(max(0.0, PACE_S - (time.monotonic() - started)))
    return measured


def _cpu_of_one(running: Running, reference: "Reference", pointers: dict[str, str], alerts: int) -> float:
    """Return the CPU ms of an alert up to its fill, in all processes of the product with database, broker and paper
    exchange, less what they take while nothing happens."""
    idle = _cpu_while(running, lambda: time.sleep(IDLE_S))[0] / IDLE_S

    def work() -> None:
        for number in range(alerts):
            alert_id = _send(running, pointers, ("spot", "futures")[number % 2], number // 2 % 2)
            time.sleep(PACE_S)
            reference.times_of(alert_id)

    used, took = _cpu_while(running, work)
    return (used - idle * took) / alerts * 1000


def _cpu_while(running: Running, work: Callable[[], None]) -> tuple[float, float]:
    before, started = cpu_seconds(running.pid), time.monotonic()
    work()
    return cpu_seconds(running.pid) - before, time.monotonic() - started


def _send(running: Running, pointers: dict[str, str], market: str, step: int) -> str:
    """Send one alert and return its id."""
    fixed, actions = MESSAGES[market]
    action, prev_position = actions[step]
    message = fixed | {
        "action": action,
        "prev_position": prev_position,
        "quantity": "0.01",
        "id": uuid.uuid4().hex,
        "pointer": pointers[market],
    }
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
    connection.request("POST", "/webhook", json.dumps(message))
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    if response.status != 200:
        raise BenchError(f"the webhook answers {response.status} {answer}")
    return str(answer["id"])


class Reference:
    """One durable commit, one signed order to the exchange: over warm connections, with nothing around them."""

    def __init__(self, running: Running, state_dir: Path, database_url: str) -> None:
        self.database = psycopg.connect(database_url, autocommit=True, prepare_threshold=0)
        self.database.execute("CREATE TABLE IF NOT EXISTS bench_commit (id uuid PRIMARY KEY, body bytea)")
        self.exchange = http.client.HTTPConnection("127.0.0.1", running.paper_port, timeout=10)
        secrets = dict(line.split("=", 1) for line in (state_dir / "secrets.env").read_text().splitlines())
        account = self._post(
            "/_paper/accounts",
            json.dumps({"balances": {"futures": {"USDT": "1000000"}}}).encode(),
            {"Authorization": f"Bearer {secrets['PAPER_CONTROL_TOKEN']}"},
        )
        self.key = Key(account["access_key"], account["secret_key"], account["memo"])
        self.side = 1

    def close(self) -> None:
        self.database.execute("DROP TABLE bench_commit")
        self.database.close()
        self.exchange.close()

    def commit(self) -> float:
        started = time.perf_counter()
        self.database.execute("INSERT INTO bench_commit VALUES (%s, %s)", [uuid.uuid4(), b"x" * 200])
        return (time.perf_counter() - started) * 1000

    def signed_order(self) -> float:
        """Open and close one contract in turn."""
        order = {"symbol": "BTCUSDT", "side": self.side, "type": "market", "size": 1, "leverage": "1"}
        order["client_order_id"] = f"b{uuid.uuid4().hex[:24]}"
        if self.side == 1:
            order["open_type"] = "cross"
        else:
            del order["leverage"]
        self.side = 3 if self.side == 1 else 1
        started = time.perf_counter()
        body = json.dumps(order).encode()
        now_ms = int(time.time() * 1000)
        signed = f"{now_ms}#{self.key.memo}#".encode() + body
        headers = {
            "X-BM-KEY": self.key.access_key,
            "X-BM-TIMESTAMP": str(now_ms),
            "X-BM-SIGN": hmac.new(self.key.secret_key.encode(), signed, "sha256").hexdigest(),
        }
        answer = self._post("/contract/private/submit-order", body, headers)
        took = (time.perf_counter() - started) * 1000
        if answer.get("code") != 1000:
            raise BenchError(f"the paper exchange refuses the bare order: {answer}")
        return took

    def times_of(self, alert_id: str) -> list[datetime]:
        """Return the times of STAGES, waiting until the order is filled."""
        deadline = time.monotonic() + FILLED_WITHIN_S
        while True:
            row = self.database.execute(TIMES, [alert_id]).fetchone()
            if row is not None and row[-1] == "filled":
                return list(row[: len(STAGES)])
            if time.monotonic() > deadline:
                raise BenchError(f"alert {alert_id} is not filled: {row[-3:] if row else None}")
            time.sleep(0.05)

    def _post(self, path: str, body: bytes, headers: dict[str, str]) -> dict[str, Any]:
        self.exchange.request("POST", path, body, {"Content-Type": "application/json"} | headers)
        response = self.exchange.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
        return answer


def _facts(running: Running) -> list[dict[str, str]]:
    done = subprocess.run(
        [sys.executable, "manage.py", "demo_facts"],
        capture_output=True,
        text=True,
        check=False,
        env=running.environment,
        cwd=ROOT,
    )
    if done.returncode:
        raise BenchError(f"demo_facts failed: {done.stderr[-500:]}")
    found: list[dict[str, str]] = json.loads(done.stdout)["connectors"]
    return found


def summary(result: dict[str, Any]) -> str:
    rounds = result["rounds"]

    def row(name: str, key: str) -> list[str]:
        halves = [median([percentile(one[key], share) for one in rounds]) for share in (0.5, 0.95, 0.99)]
        return [name, *(f"{value:.1f}" for value in halves)]

    rows = [row(f"received → {name}", name) for name in STAGES[1:]]
    rows += [row("a bare durable commit", "commit"), row("a bare signed order", "signed order")]
    text = table("Alert to FILLED, one alert at a time, ms since it was received", ["up to", "p50", "p95", "p99"], rows)
    return (
        f"{text}\n  received → signed is {floor_ratio(result, 'signed'):.1f} × (commit + signed order), "
        f"received → acknowledged {floor_ratio(result, 'acknowledged'):.1f} ×\n  the first byte leaves between, a "
        f"bare order before the acknowledgement: {first_byte_ratio(result):.1f} ×"
        f"\n  CPU of all processes, alert to FILLED: {median(result['cpu_ms']):.0f} ms"
    )


def first_byte_ratio(result: dict[str, Any]) -> float:
    """Return the same for the moment that lies one bare signed order before the acknowledgement."""
    ratios = [
        (median(one["acknowledged"]) - median(one["signed order"]))
        / (median(one["commit"]) + median(one["signed order"]))
        for one in result["rounds"]
    ]
    return median(ratios)


def floor_ratio(result: dict[str, Any], stage: str) -> float:
    """Return how many times the bare commit and the bare order the stage takes, the median of the runs."""
    ratios = [median(one[stage]) / (median(one["commit"]) + median(one["signed order"])) for one in result["rounds"]]
    return median(ratios)
