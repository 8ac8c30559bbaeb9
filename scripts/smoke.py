#!/usr/bin/env python3
"""Clone the committed project elsewhere, `make run` it, send alerts over HTTP alone, stop it, start it again.

Proves what a first user meets: nothing of this checkout but git history is used. `--here` runs this checkout's
`manage.py demo` instead, with an empty state directory. Prints a row for each thing that must hold.
"""

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).resolve().parent.parent
FIRST_START_WITHIN = 600.0  # with the installation
SECOND_START_WITHIN = 8.0
FILLED_WITHIN = 3.0
SHOWN_WITHIN = 5.0
SETTLED_WITHIN = 10.0
STOPPED_WITHIN = 40.0
TICKERS = {"spot": "BTCUSDT", "futures": "BTCUSDT.P"}
SYMBOLS = {"spot": "BTC_USDT", "futures": "BTCUSDT"}
CONTRACT_SIZE = Decimal("0.001")  # of the BTC contract
BUSY = {"PLANNED", "SUBMITTING", "ACCEPTED", "PARTIAL", "CANCELLING", "UNKNOWN"}
WAITING = {"RECEIVED", "QUEUED", "EXECUTING"}
ROW = re.compile(r"<tr>.*?</tr>", re.DOTALL)
PNL = re.compile(r'<td class="text-right font-medium">\s*<span[^>]*>\s*([+−]?[\d,]+\.\d\d)\s*<')


class SmokeError(Exception):
    pass


@dataclass(slots=True)
class Table:
    """What was looked at, what was found, and whether it holds."""

    rows: list[tuple[bool, str, str]] = field(default_factory=list)

    def add(self, what: str, found: str, *, holds: bool) -> None:
        self.rows.append((holds, what, found))
        print(f"smoke: {'holds ' if holds else 'FAILED'}  {what:<52} {found}", flush=True)

    @property
    def holds(self) -> bool:
        return bool(self.rows) and all(row[0] for row in self.rows)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Installation:
    """The product of one folder, started by `command`, with its state in `state_dir`."""

    folder: Path
    python: Path
    command: list[str]
    state_dir: Path
    port: int
    paper_port: int
    process: subprocess.Popen[bytes] | None = None
    sessions: set[int] = field(default_factory=set)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        dropped = {"DATABASE_URL", "REDIS_URL", "DEBUG", "SITE_URL", "PAPER_URL", "DJANGO_SETTINGS_MODULE"}
        clean = {name: value for name, value in os.environ.items() if name not in dropped}
        return clean | {
            "PORT": str(self.port), "PAPER_PORT": str(self.paper_port), "STATE_DIR": str(self.state_dir),
        }  # fmt: skip

    def start(self, path: str, within: float) -> float:
        """Start it, and return the seconds until `path` answered 200."""
        started = time.monotonic()
        self.process = subprocess.Popen(self.command, cwd=self.folder, env=self.environment(), start_new_session=True)
        self.sessions.add(self.process.pid)
        while True:
            waited = time.monotonic() - started
            try:
                status = requests.get(f"{self.base_url}{path}", timeout=5).status_code
            except requests.RequestException:
                status = 0
            if status == 200:
                return waited
            if self.process.poll() is not None:
                raise SmokeError(f"{self.command[0]} ended with code {self.process.returncode} after {waited:.0f} s")
            if waited > within:
                raise SmokeError(f"{path} answers {status or 'nothing'} after {waited:.0f} s")
            time.sleep(0.05)

    def stop(self) -> float:
        """Send the SIGINT of a Ctrl-C, to the whole foreground group as a terminal does. Return the seconds it took."""
        if self.process is None or self.process.poll() is not None:
            return 0.0
        started = time.monotonic()
        os.killpg(self.process.pid, signal.SIGINT)
        try:
            self.process.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired as error:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise SmokeError(f"still running {STOPPED_WITHIN:.0f} s after SIGINT") from error
        return time.monotonic() - started

    def left_behind(self) -> list[str]:
        """Return the command lines of processes of our sessions, and of those that name our state directory."""
        listing = subprocess.run(["ps", "-eo", "sid=,args="], capture_output=True, text=True, check=True).stdout
        rows = [line.strip().partition(" ") for line in listing.splitlines()]
        return [args for sid, _, args in rows if int(sid) in self.sessions or str(self.state_dir) in args]

    def read_facts(self) -> None:
        result = subprocess.run(
            [self.python, "manage.py", "demo_facts"],
            cwd=self.folder,
            env=self.environment() | {"DEBUG": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise SmokeError(f"manage.py demo_facts failed: {result.stderr}")
        self.facts = json.loads(result.stdout)

    def message(self, market: str, quantity: str) -> str:
        pointer = next(c["pointer"] for c in self.facts["connectors"] if c["market"] == market)
        return json.dumps(
            {
                "ticker": TICKERS[market],
                "action": "buy",
                "prev_position": "flat",
                "quantity": quantity,
                "pointer": pointer,
            }
        )

    def post(self, body: str, path: str = "/webhook") -> str:
        """Deliver, and return the alert's id."""
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        answer = requests.post(f"{self.base_url}{path}", body.encode(), headers=headers, timeout=3)
        if answer.status_code != 200:
            raise SmokeError(f"{path} answers {answer.status_code} {answer.text[:300]}")
        alert_id: str = answer.json()["id"]
        return alert_id

    def api(self, path: str) -> Any:
        headers = {"Authorization": f"Token {self.facts['api_token']}"}
        answer = requests.get(f"{self.base_url}/api/v1/{path}", headers=headers, timeout=5)
        if answer.status_code != 200:
            raise SmokeError(f"/api/v1/{path} answers {answer.status_code} {answer.text[:300]}")
        return answer.json()

    def orders(self, alert_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.api(f"orders/?alert={alert_id}")["results"]
        return found

    def settled_orders(self, alert_ids: list[str]) -> list[dict[str, Any]]:
        """Return the orders of these alerts once nothing about them is under way."""
        deadline = time.monotonic() + SETTLED_WITHIN
        while time.monotonic() < deadline:
            statuses = {str(self.api(f"alerts/{alert_id}/")["status"]).upper() for alert_id in alert_ids}
            orders = [order for alert_id in alert_ids for order in self.orders(alert_id)]
            if not statuses & WAITING and not {order["state"].upper() for order in orders} & BUSY:
                return orders
            time.sleep(0.1)
        raise SmokeError(f"alerts still under way after {SETTLED_WITHIN:.0f} s: {alert_ids}")


def look_at_fills(at: Installation, table: Table) -> None:
    for market in TICKERS:
        started = time.monotonic()
        alert_id = at.post(at.message(market, "0.01"))
        states: list[str] = []
        while states != ["FILLED"] and time.monotonic() - started < FILLED_WITHIN:
            time.sleep(0.05)
            states = [order["state"].upper() for order in at.orders(alert_id)]
        took = time.monotonic() - started
        table.add(f"{market} alert to FILLED within {FILLED_WITHIN:.0f} s", f"{took:.2f} s, {states}",
                  holds=states == ["FILLED"] and took <= FILLED_WITHIN)  # fmt: skip


def look_at_dashboard(at: Installation, table: Table) -> None:
    session = requests.Session()
    log_in = f"{at.base_url}/accounts/login/"
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', session.get(log_in, timeout=5).text)
    if token is None:
        raise SmokeError("the log-in page has no form")
    form = {"login": at.facts["email"], "password": at.facts["password"], "csrfmiddlewaretoken": token[1]}
    page = session.post(log_in, form, headers={"Referer": log_in}, timeout=10)
    table.add("log-in leads to the dashboard", page.url, holds=page.url == f"{at.base_url}/app/")
    deadline = time.monotonic() + SHOWN_WITHIN
    shown: dict[str, str] = {}
    while len(shown) < len(SYMBOLS) and time.monotonic() < deadline:
        shown = positions_of(session.get(f"{at.base_url}/app/", timeout=5).text)
        time.sleep(0.2)
    for market, symbol in SYMBOLS.items():
        pnl = shown.get(symbol, "not there")
        table.add(f"dashboard shows the {market} position and its PnL", f"{symbol} {pnl}", holds=symbol in shown)


def positions_of(html: str) -> dict[str, str]:
    """Return the PnL figure of each open position on the dashboard, by symbol."""
    table = html.partition('id="open-positions"')[2].partition("</table>")[0]
    figures = {}
    for row in ROW.findall(table):
        symbol, pnl = re.search(r'<span class="font-medium">([^<]+)<', row), PNL.search(row)
        if symbol and pnl:
            figures[symbol[1]] = pnl[1]
    return figures


def look_at_addresses(at: Installation, table: Table) -> None:
    """Curly quotes, as word processors make them, at each address that users of other products know."""
    for path, quantity in (("/webhook", "0.002"), ("/webhook/", "0.003"), ("/", "0.004")):
        body = re.sub(r'"([^"]*)"', "“\\1”", at.message("futures", quantity))
        orders = at.settled_orders([at.post(body, path)])
        found = [(order["state"].upper(), Decimal(order["filled_quantity"]) * CONTRACT_SIZE) for order in orders]
        said = ", ".join(f"{state} {filled.normalize():f} BTC" for state, filled in found)
        table.add(f"curly quotes at {path}: one order of {quantity} BTC", said or "no order",
                  holds=found == [("FILLED", Decimal(quantity))])  # fmt: skip


def look_at_repetitions(at: Installation, table: Table) -> None:
    body = at.message("spot", "0.0015")
    with ThreadPoolExecutor(2) as pool:
        pair = list(pool.map(at.post, [body, body]))
    orders = at.settled_orders(pair)
    table.add("two deliveries at once: one order", one_filled(orders), holds=one_filled(orders) == "1 order, FILLED")
    body = at.message("spot", "0.0025")
    alert_ids = [at.post(body)]
    for _ in range(3):
        time.sleep(5)
        alert_ids.append(at.post(body))
    orders = at.settled_orders(alert_ids)
    table.add("four deliveries 5 s apart: one order", one_filled(orders), holds=one_filled(orders) == "1 order, FILLED")


def one_filled(orders: list[dict[str, Any]]) -> str:
    states = ", ".join(order["state"].upper() for order in orders)
    return f"{len(orders)} order{'' if len(orders) == 1 else 's'}, {states or 'none'}"


def look_at_end(at: Installation, table: Table, which: str) -> None:
    took = at.stop()
    code = at.process.returncode if at.process else None
    time.sleep(1)
    orphans = at.left_behind()
    # make hears the Ctrl-C as well and ends by it, once the product below it has ended.
    table.add(f"{which} stop", f"{took:.1f} s, code {code}", holds=code in {0, -signal.SIGINT})
    table.add(f"{which} stop leaves no process", "; ".join(orphans)[:300] or "none", holds=not orphans)


def installation(folder: Path, *, here: bool) -> Installation:
    state_dir, port, paper_port = folder / "state", free_port(), free_port()
    if here:
        python = Path(sys.executable)
        return Installation(ROOT, python, [str(python), "manage.py", "demo"], state_dir, port, paper_port)
    clone = folder / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    command = ["make", "run", f"PORT={port}", f"PAPER_PORT={paper_port}", f"STATE_DIR={state_dir}"]
    if chosen := os.environ.get("PYTHON"):
        command.append(f"PYTHON={chosen}")
    return Installation(clone, clone / ".venv" / "bin" / "python", command, state_dir, port, paper_port)


def run(at: Installation, table: Table) -> None:
    looks: list[Callable[[Installation, Table], None]] = [
        look_at_fills, look_at_dashboard, look_at_addresses, look_at_repetitions,
    ]  # fmt: skip
    try:
        first = at.start("/readyz", FIRST_START_WITHIN)
        table.add("first start, installation included", f"{first:.1f} s", holds=True)
        at.read_facts()
        for look in looks:
            look(at, table)
        look_at_end(at, table, "first")
        second = at.start("/healthz", FIRST_START_WITHIN)
        table.add(f"second start within {SECOND_START_WITHIN:.0f} s", f"{second:.1f} s",
                  holds=second <= SECOND_START_WITHIN)  # fmt: skip
        look_at_end(at, table, "second")
    finally:
        at.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--here", action="store_true", help="run this checkout instead of a clone")
    options = parser.parse_args()
    table = Table()
    # Not the shared temporary directory's own name: a service user has to pass through it.
    with tempfile.TemporaryDirectory(prefix="sferica-smoke-", ignore_cleanup_errors=True) as folder:
        try:
            run(installation(Path(folder), here=options.here), table)
        except (SmokeError, requests.RequestException) as error:
            print(f"smoke: FAILED: {error}", file=sys.stderr)
            return 1
    print("smoke: passed" if table.holds else "smoke: FAILED: see the rows above", flush=True)
    return 0 if table.holds else 1


if __name__ == "__main__":
    sys.exit(main())
