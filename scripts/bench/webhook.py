"""The webhook against pgbench doing the same insert: same database, same number of clients, one after the other."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
from django.conf import settings

from config import embedded
from scripts.bench.figures import median, percentile, table
from scripts.bench.load import BODY
from scripts.bench.processes import cpu_seconds
from scripts.bench.product import BenchError, Running, web

LOAD = Path(__file__).with_name("load.py")
COPY = "bench_alert"  # the alert's columns, checks and indexes; not its references to other tables
INSERT = """
\\set n random(1, 1000000000)
\\set p random(1, :pointers)
INSERT INTO bench_alert (
    id, workspace_id, connector_id, pointer_id, received_at, next_at, body, content_type, source_ip, sender,
    part, status, reason_code, reason, facts, understood, repairs, notes, symbol, is_exit, external_id, attempts
) VALUES (
    gen_random_uuid(), '00000000-0000-4000-8000-000000000001',
    ('00000000-0000-4000-8001-' || lpad((:p)::text, 12, '0'))::uuid,
    ('00000000-0000-4000-8002-' || lpad((:p)::text, 12, '0'))::uuid,
    now(), now(), convert_to(rpad((:n)::text, :length, 'x'), 'UTF8'),
    'application/json; charset=utf-8', '127.0.0.1', 'Go-http-client/1.1',
    0, 'received', '', '', '{}', '{}', '[]', '[]', '', false, '', 0
);
"""
STORED_LENGTH = len(BODY.format(number=0, pointer="x" * 16))  # four dots of three bytes, four characters


def measure(
    pointers: list[str], *, clients: list[int], runs: int, seconds: float, servers: dict[str, tuple[int, int]]
) -> dict[str, Any]:
    """Return per number of clients the runs of pgbench and of each server (name: processes, threads)."""
    url = os.environ["DATABASE_URL"]
    result: dict[str, Any] = {}
    with psycopg.connect(url, autocommit=True) as database:
        _make_copy(database)
        try:
            for name, (processes, threads) in servers.items():
                with web(processes, threads) as running:
                    _deliver(running.port, 64, pointers, 1.0)  # every thread has its connection and its statement
                    for number in clients:
                        rounds = [_round(database, running, number, pointers, seconds) for _ in range(runs)]
                        result[f"{name}, {number} in flight"] = {"clients": number, "rounds": rounds}
        finally:
            database.execute(f"DROP TABLE {COPY}")
            database.execute("TRUNCATE alerts_alert CASCADE")
    return result


def _round(
    database: psycopg.Connection, running: Running, clients: int, pointers: list[str], seconds: float
) -> dict[str, Any]:
    database.execute(f"TRUNCATE alerts_alert, {COPY} CASCADE")
    reference = _pgbench(clients, len(pointers), seconds)
    web_cpu, database_cpu = cpu_seconds(running.pid), cpu_seconds(_postmaster())
    load = _deliver(running.port, clients, pointers, seconds)
    web_cpu, database_cpu = cpu_seconds(running.pid) - web_cpu, cpu_seconds(_postmaster()) - database_cpu
    row = database.execute("SELECT count(*) FROM alerts_alert").fetchone()
    if row != (len(load["ms"]),):
        raise BenchError(f"{len(load['ms'])} deliveries were answered with 200, {row} alerts are stored")
    rate = len(load["ms"]) / load["seconds"]
    return {
        "pgbench_rps": reference["rps"],
        "pgbench_cpu_us": reference["cpu_us"],
        "pgbench_p50_ms": percentile(reference["ms"], 0.5),
        "pgbench_p99_ms": percentile(reference["ms"], 0.99),
        "rps": rate,
        "web_cpu_us": web_cpu / len(load["ms"]) * 1e6,
        "database_cpu_us": database_cpu / len(load["ms"]) * 1e6,
        "ratio": rate / reference["rps"],
        "p50_ms": percentile(load["ms"], 0.5),
        "p99_ms": percentile(load["ms"], 0.99),
    }


def _make_copy(database: psycopg.Connection) -> None:
    database.execute(f"DROP TABLE IF EXISTS {COPY}")
    database.execute(f"CREATE TABLE {COPY} (LIKE alerts_alert INCLUDING ALL)")


def _deliver(port: int, clients: int, pointers: list[str], seconds: float) -> dict[str, Any]:
    plan = {"port": port, "clients": clients, "pointers": pointers, "seconds": seconds}
    result = _generator(plan)
    refused = Counter(result["statuses"])
    refused.pop("200", None)
    if refused:
        raise BenchError(f"deliveries were not stored, by status: {dict(refused)}")
    return result


def generator_limit(clients: int, seconds: float) -> float:
    """Return the requests a second of the load's own process against a constant answer."""
    result = _generator({"clients": clients, "seconds": seconds}, "--own-limit")
    return float(len(result["ms"]) / result["seconds"])


def _generator(plan: dict[str, Any], *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(LOAD), *arguments], input=json.dumps(plan), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BenchError(f"the load ended: {done.stderr[-500:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _pgbench(clients: int, pointers: int, seconds: float) -> dict[str, Any]:
    """Return rps and the latency of each transaction in ms."""
    parts = urlsplit(os.environ["DATABASE_URL"])
    host = parse_qs(parts.query).get("host", [parts.hostname or ""])[0]
    whole_seconds = max(1, round(seconds))
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "insert.sql")
        script.write_text(INSERT)
        # The stricter reference, as our own statement is prepared too; docs/benchmarks.md quotes `simple` as well.
        protocol = os.environ.get("PGBENCH_PROTOCOL", "prepared")
        command = [_pgbench_binary(), "-n", "-M", protocol, "-f", str(script), "-D", f"pointers={pointers}"]
        command += ["-D", f"length={STORED_LENGTH}"]
        command += ["-c", str(clients), "-j", str(min(clients, 2)), "-T", str(whole_seconds), "-l"]
        command += ["-h", host, "-U", parts.username or "", parts.path.lstrip("/")]
        password = {"PGPASSWORD": parts.password} if parts.password else {}
        used = os.times().children_user + os.times().children_system + cpu_seconds(_postmaster())
        done = subprocess.run(
            command, cwd=folder, env=os.environ | password, capture_output=True, text=True, check=False
        )
        used = os.times().children_user + os.times().children_system + cpu_seconds(_postmaster()) - used
        rate = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
        if done.returncode or rate is None:
            raise BenchError(f"pgbench ended with {done.returncode}: {done.stderr[-500:]}")
        logs = Path(folder).glob("pgbench_log.*")
        times = [int(line.split()[2]) / 1000 for log in logs for line in log.read_text().splitlines()]
    return {"rps": float(rate[1]), "ms": times, "cpu_us": used / len(times) * 1e6}


def _postmaster() -> int:
    return int(Path(settings.STATE_DIR, "postgres", "postmaster.pid").read_text().split()[0])


def _pgbench_binary() -> str:
    state_dir = Path(settings.STATE_DIR)
    return str(embedded.get_server(state_dir / "postgres", start=False).bin_path / "pgbench")


def summary(result: dict[str, Any], limit: float) -> str:
    rows = []
    for name, one in result.items():
        figures = {key: median([each[key] for each in one["rounds"]]) for key in one["rounds"][0]}
        rows.append(
            [
                name,
                f"{figures['pgbench_rps']:.0f}",
                f"{figures['pgbench_p50_ms']:.1f} / {figures['pgbench_p99_ms']:.1f}",
                f"{figures['pgbench_cpu_us']:.0f}",
                f"{figures['rps']:.0f}",
                f"{figures['ratio']:.2f}",
                f"{figures['p50_ms']:.1f} / {figures['p99_ms']:.1f}",
                f"{figures['web_cpu_us']:.0f} + {figures['database_cpu_us']:.0f}",
            ]
        )
    head = ["webhook", "pgbench/s", "p50 / p99 ms", "CPU µs", "alerts/s", "ratio", "p50 / p99 ms", "CPU µs"]
    return table(f"Webhook against the same insert by pgbench (the load alone: {limit:.0f}/s)", head, rows)
