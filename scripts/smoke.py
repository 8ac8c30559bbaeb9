#!/usr/bin/env python3
"""Clone the committed project elsewhere, `make run` it, fill alerts on paper over HTTP alone, stop it, start it again.

Proves what a first user meets: nothing of this checkout but git history is used.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
FIRST_START_WITHIN = 600.0  # with the installation
SECOND_START_WITHIN = 8.0
FILLED_WITHIN = 3.0
STOPPED_WITHIN = 40.0
TICKERS = {"spot": "BTCUSDT", "futures": "BTCUSDT.P"}


class SmokeError(Exception):
    pass


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(method: str, url: str, body: Any = None, token: str = "") -> tuple[int, str]:
    """Return status and text; status 0 when nobody answered."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Token {token}"} if token else {})
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error)
    finally:
        connection.close()


def start(clone: Path, variables: list[str]) -> subprocess.Popen[bytes]:
    clean = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL", "DEBUG"}}
    return subprocess.Popen(["make", "run", *variables], cwd=clone, env=clean, start_new_session=True)


def wait_for(process: subprocess.Popen[bytes], url: str, within: float) -> float:
    """Return how many seconds it took until `url` answered 200."""
    started = time.monotonic()
    while True:
        status, text = ask("GET", url)
        waited = time.monotonic() - started
        if status == 200:
            return waited
        if process.poll() is not None:
            raise SmokeError(f"make run ended with code {process.returncode} after {waited:.0f} s")
        if waited > within:
            raise SmokeError(f"{url} answers {status} {text[:200]} after {waited:.0f} s")
        time.sleep(0.05)


def stop(process: subprocess.Popen[bytes]) -> float:
    """Send the SIGINT of a Ctrl-C, to the whole foreground group as a terminal does. Return the seconds it took."""
    started = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(STOPPED_WITHIN)
    except subprocess.TimeoutExpired as error:
        raise SmokeError(f"still running {STOPPED_WITHIN:.0f} s after SIGINT") from error
    return time.monotonic() - started


def demo_facts(clone: Path, state_dir: Path) -> dict[str, Any]:
    result = subprocess.run(
        [clone / ".venv" / "bin" / "python", "manage.py", "demo_facts"],
        cwd=clone,
        env=os.environ | {"STATE_DIR": str(state_dir), "DEBUG": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise SmokeError(f"manage.py demo_facts failed: {result.stderr}")
    facts: dict[str, Any] = json.loads(result.stdout)
    return facts


def order_fills(facts: dict[str, Any], market: str) -> float:
    """Send the standard message to the paper connector of `market`. Return the seconds from the POST to FILLED."""
    connector = next(c for c in facts["connectors"] if c["market"] == market and c["environment"] == "paper")
    orders = f"{facts['base_url']}/api/v1/orders/"
    before = known_orders(orders, facts["api_token"])
    message = {
        "ticker": TICKERS[market],
        "action": "buy",
        "prev_position": "flat",
        "quantity": "0.01",
        "pointer": connector["pointer"],
    }
    started = time.monotonic()
    status, text = ask("POST", f"{facts['base_url']}/webhook", message)
    if status != 200:
        raise SmokeError(f"the webhook answers {status} {text[:300]}")
    while True:
        fresh = {key: order for key, order in known_orders(orders, facts["api_token"]).items() if key not in before}
        if any(order["state"].upper() == "FILLED" for order in fresh.values()):
            return time.monotonic() - started
        if time.monotonic() - started > FILLED_WITHIN:
            raise SmokeError(
                f"no FILLED {market} order within {FILLED_WITHIN:.0f} s; new orders: {list(fresh.values())}"
            )
        time.sleep(0.05)


def known_orders(url: str, token: str) -> dict[str, dict[str, Any]]:
    status, text = ask("GET", url, token=token)
    if status != 200:
        raise SmokeError(f"{url} answers {status} {text[:300]}")
    return {order["id"]: order for order in json.loads(text)["results"]}


def left_behind(folder: Path) -> list[str]:
    """Return the command lines of processes that still name `folder`."""
    listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listing.splitlines() if str(folder) in line and "smoke.py" not in line]


def run(folder: Path) -> None:
    clone, state_dir = folder / "clone", folder / "state"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    port, paper_port = free_port(), free_port()
    variables = [f"PORT={port}", f"PAPER_PORT={paper_port}", f"STATE_DIR={state_dir}"]
    if python := os.environ.get("PYTHON"):
        variables.append(f"PYTHON={python}")
    base_url = f"http://127.0.0.1:{port}"
    process = start(clone, variables)
    try:
        first = wait_for(process, f"{base_url}/readyz", FIRST_START_WITHIN)
        print(f"smoke: first start, installation included: {first:.1f} s")
        facts = demo_facts(clone, state_dir)
        for market in TICKERS:
            print(f"smoke: {market} alert to FILLED: {order_fills(facts, market):.2f} s")
        print(f"smoke: stopped in {stop(process):.1f} s")
        process = start(clone, variables)
        second = wait_for(process, f"{base_url}/healthz", FIRST_START_WITHIN)
        print(f"smoke: second start: {second:.1f} s")
        print(f"smoke: stopped in {stop(process):.1f} s")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(STOPPED_WITHIN)
    time.sleep(1)
    if orphans := left_behind(folder):
        raise SmokeError("still running after the stop: " + "; ".join(orphans))
    if second > SECOND_START_WITHIN:
        raise SmokeError(f"the second start took {second:.1f} s, {SECOND_START_WITHIN:.0f} s are allowed")


def main() -> int:
    # Not the shared temporary directory's own name: a service user has to pass through it.
    with tempfile.TemporaryDirectory(prefix="sferica-smoke-", ignore_cleanup_errors=True) as folder:
        try:
            run(Path(folder))
        except SmokeError as error:
            print(f"smoke: FAILED: {error}", file=sys.stderr)
            return 1
    print("smoke: passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
