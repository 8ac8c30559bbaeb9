#!/usr/bin/env python3
"""Measure the product: start times, memory at rest, alert to FILLED, the webhook; each beside its reference.

Everything runs in a temporary directory on free ports, and is stopped at the end. Linux only.
"""

import argparse
import json
import os
import platform
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from config import embedded  # noqa: E402 - found from the root only
from scripts.bench import line, memory  # noqa: E402
from scripts.bench.figures import median, table  # noqa: E402
from scripts.bench.product import free_port, whole  # noqa: E402

POINTERS = 6000
RATE_PER_MINUTE = 1_000_000  # the limit of a pointer must not end a measurement
CLIENTS = [1, 16, 64]
PARTS = ("starts", "memory", "line", "webhook", "throughput")


def starts(folder: Path, runs: int) -> dict[str, Any]:
    """Return the seconds to the first 200 of /healthz and /readyz: on an empty directory, and on the same again."""
    found: dict[str, list[float]] = {"first": [], "first_ready": [], "second": [], "second_ready": []}
    for number in range(runs):
        for kind in ("first", "second"):
            with whole(folder / f"state{number}") as running:
                found[kind].append(running.healthy_s)
                found[f"{kind}_ready"].append(running.ready_s)
    return found


def starts_summary(found: dict[str, Any]) -> str:
    rows = [
        [f"{kind} start", f"{median(found[kind]):.1f}", f"{median(found[f'{kind}_ready']):.1f}"]
        for kind in ("first", "second")
    ]
    return table("Seconds from the command to 200", ["", "/healthz", "/readyz"], rows)


def hold_servers(state_dir: Path) -> None:
    """Only from here on does this process know Django and hold the servers."""
    os.environ |= {
        "DEBUG": "1",
        "WEBHOOK_RATE_PER_MINUTE": str(RATE_PER_MINUTE),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PAPER_URL": f"http://127.0.0.1:{free_port()}",
        "PAPER_CONTROL_TOKEN": secrets.token_hex(16),
    }
    embedded.POSTGRES_OPTIONS["max_connections"] = "200"  # pgbench's clients beside the web's threads
    embedded.prepare(state_dir)
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def webhook_figures(state_dir: Path, chosen: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Run web and database alone."""
    from scripts.bench import people, webhook

    pointers = people.many_pointers(POINTERS, state_dir / "bench-pointers")
    limit = webhook.generator_limit(max(CLIENTS), 2.0)
    result = webhook.measure(
        pointers,
        clients=[max(CLIENTS)] if chosen.quick else CLIENTS,
        runs=chosen.runs,
        seconds=2.0 if chosen.quick else 3.0,
        servers={f"{chosen.processes} × {chosen.threads}": (chosen.processes, chosen.threads)},
    )
    return {"generator_rps": limit, "servers": result}, webhook.summary(result, limit)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs: for a look, not for a figure")
    parser.add_argument("--json", type=Path, help="write every run's figures to this file")
    parser.add_argument("--only", choices=PARTS, action="append", help="one part; may be given several times")
    parser.add_argument("--connectors", type=int, default=200, help="for the orders a second")
    parser.add_argument("--processes", type=int, default=2, help="gunicorn's, for the webhook")
    parser.add_argument("--threads", type=int, default=8, help="of each of them")
    chosen = parser.parse_args()
    chosen.runs = 2 if chosen.quick else 5
    parts = chosen.only or PARTS
    for name in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)  # the product's own servers are part of what is measured
    result: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "runs": chosen.runs,
        "load_average_before": os.getloadavg(),
    }
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sferica-bench-") as name:
        folder = Path(name)
        if "starts" in parts:
            result["starts"] = starts(folder, chosen.runs)
            print(starts_summary(result["starts"]), flush=True)
        state_dir = folder / "state0"
        if {"memory", "line"} & set(parts):
            with whole(state_dir) as running:
                if "memory" in parts:
                    result["memory"] = memory.measure(running.pid, runs=chosen.runs)
                    print(memory.summary(result["memory"]), flush=True)
                if "line" in parts:
                    url = embedded.database_url(state_dir)
                    alerts = 8 if chosen.quick else 20
                    result["line"] = line.measure(running, state_dir, url, runs=chosen.runs, alerts=alerts)
                    print(line.summary(result["line"]), flush=True)
        if {"webhook", "throughput"} & set(parts):
            hold_servers(state_dir)
            try:
                if "webhook" in parts:
                    result["webhook"], text = webhook_figures(state_dir, chosen)
                    print(text, flush=True)
                if "throughput" in parts:
                    from scripts.bench import throughput

                    result["throughput"] = throughput.measure(state_dir, connectors=chosen.connectors, runs=chosen.runs)
                    print(throughput.summary(result["throughput"]), flush=True)
            finally:
                embedded.release(state_dir)
    result["seconds"] = time.monotonic() - started
    result["load_average_after"] = os.getloadavg()
    loads = f"{result['load_average_before'][0]:.1f} before, {result['load_average_after'][0]:.1f} after"
    print(f"\n{result['machine']}; load average {loads}; {result['seconds']:.0f} s")
    if chosen.json:
        chosen.json.write_text(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
