"""The real paper exchange in a process of its own, for tests of any room."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 20
STOP_SECONDS = 10


@dataclass(frozen=True, slots=True)
class PaperAccount:
    access_key: str
    secret_key: str
    memo: str


class PaperProcess:
    """One exchange on a port of its own. `kill` is kill -9; `start` after it continues the same state."""

    def __init__(
        self,
        state_dir: Path,
        *,
        seed: int = 1,
        faults: bool = False,
        control_token: str = "",
        port: int = 0,
        options: Sequence[str] = (),
    ) -> None:
        """`options` are further arguments of the command line."""
        self.state_dir = Path(state_dir)
        self.seed = seed
        self.faults = faults
        self.control_token = control_token
        self.options = tuple(options)
        self.port = port or free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._session = requests.Session()
        self._session.trust_env = False
        if control_token:
            self._session.headers["Authorization"] = f"Bearer {control_token}"

    def start(self) -> None:
        """Start the process and return when it answers; raise when it ends or stays silent."""
        command = [sys.executable, "-m", "apps.paper", "--port", str(self.port), "--state", str(self.state_dir)]
        command += ["--seed", str(self.seed)]
        command += ["--faults"] if self.faults else []
        command += self.options
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PAPER_CONTROL_TOKEN": self.control_token}
        process = subprocess.Popen(command, cwd=ROOT, env=environment)
        self._process = process
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if process.poll() is not None:
                raise RuntimeError(f"the paper exchange ended with {process.returncode} while starting")
            if time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"the paper exchange did not answer within {START_SECONDS} s")
            time.sleep(0.03)

    @property
    def process_id(self) -> int:
        if self._process is None:
            raise RuntimeError("the paper exchange is not running")
        return self._process.pid

    def stop(self) -> int:
        """End the process with SIGTERM and return its exit code."""
        if self._process is None:
            return 0
        self._session.close()
        self._process.terminate()
        try:
            code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        self._process = None
        return code

    def kill(self) -> None:
        if self._process is not None:
            self._session.close()
            self._process.kill()
            self._process.wait()
            self._process = None

    def new_account(
        self,
        *,
        spot: dict[str, str] | None = None,
        futures: dict[str, str] | None = None,
        position_mode: str = "one_way_mode",
        permissions: list[str] | None = None,
        label: str = "",
        **details: Any,
    ) -> PaperAccount:
        """Return new keys; without balances each wallet holds 10,000 USDT. `details` as in control_accounts.py."""
        if spot is None and futures is None:
            spot, futures = {"USDT": "10000"}, {"USDT": "10000"}
        body: dict[str, Any] = {
            "balances": {"spot": spot or {}, "futures": futures or {}},
            "position_mode": position_mode,
            "label": label or "test",
            **details,
        }
        if permissions is not None:
            body["permissions"] = permissions
        return PaperAccount(**self.control("POST", "accounts", body))

    def orders(self, access_key: str) -> list[dict[str, Any]]:
        """Return what the exchange has, oldest first: ids and amounts as text."""
        rows: list[dict[str, Any]] = self.control("GET", f"accounts/{access_key}/orders")["orders"]
        return rows

    def fills(self, access_key: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.control("GET", f"accounts/{access_key}/fills")["fills"]
        return rows

    def set_price(
        self, symbol: str, price: str | None, *, bid: str | None = None, ask: str | None = None, mark: str | None = None
    ) -> None:
        """Hold last, bid, ask and mark at exactly `price` (or as given); None lets the price move again.

        Resting orders that the price reaches are filled when this returns.
        """
        self.control("POST", "prices", {"symbol": symbol, "price": price, "bid": bid, "ask": ask, "mark": mark})

    def fault(self, route: str, action: str, **details: Any) -> None:
        """Order a fault (apps/paper/faults.py) for the next `times` calls of the route; needs faults=True."""
        self.control("POST", "faults", {"route": route, "action": action, **details})

    def end_windows(self) -> None:
        """Let no call so far count against a limit; needs faults=True."""
        self.control("DELETE", "limits")

    def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = self._session.request(method, f"{self.base_url}/_paper/{path}", json=body or {}, timeout=10)
        if answer.status_code != 200:
            raise RuntimeError(f"{method} /_paper/{path}: {answer.status_code} {answer.text}")
        content: dict[str, Any] = answer.json()
        return content

    def _is_ready(self) -> bool:
        try:
            return self._session.get(f"{self.base_url}/healthz", timeout=1).status_code == 200
        except requests.RequestException:
            return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running_paper(
    state_dir: Path, *, seed: int = 1, faults: bool = False, control_token: str = "", options: Sequence[str] = ()
) -> Iterator[PaperProcess]:
    paper = PaperProcess(state_dir, seed=seed, faults=faults, control_token=control_token, options=options)
    paper.start()
    try:
        yield paper
    finally:
        paper.stop()
