"""The whole product as a stranger starts it: `manage.py demo` on free ports, with a state directory of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_string
from email.message import Message
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import requests

from config import secretfile
from tests.paper.running import ROOT, free_port

START_SECONDS = 120
STOP_SECONDS = 40
WAIT_SECONDS = 20
# Nothing else of the environment: the suite's own servers must not become the product's.
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "VIRTUAL_ENV")
# What TradingView puts in place of its placeholders when a strategy on BTCUSDT.P buys from flat.
PLACEHOLDERS = {
    "{{ticker}}": "BTCUSDT.P",
    "{{strategy.order.action}}": "buy",
    "{{strategy.prev_market_position}}": "flat",
    "{{strategy.order.contracts}}": "0.01",
    "{{strategy.position_size}}": "0.01",
    "{{strategy.market_position}}": "long",
    "{{strategy.market_position_size}}": "0.01",
    "{{strategy.prev_market_position_size}}": "0",
}

Found = TypeVar("Found")


class ProductError(Exception):
    pass


@dataclass
class Product:
    """A running installation. `facts` are those of `manage.py demo_facts`: address, logins, token, pointers."""

    folder: Path
    port: int = field(default_factory=free_port)
    paper_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    @property
    def log(self) -> Path:
        return self.folder / "demo.log"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        return kept | {
            "PORT": str(self.port),
            "PAPER_PORT": str(self.paper_port),
            "STATE_DIR": str(self.state_dir),
            "EMAIL_URL": f"filemail:///{self.folder / 'mail'}",
        }

    def start(self) -> None:
        """Start everything and return when `/readyz` says so."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "demo"], cwd=ROOT, env=self.environment, stdout=log, stderr=log
            )
        try:
            self.wait("the product", self._is_ready, seconds=START_SECONDS)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it as Ctrl-C does. ProductError unless it ends by itself, with code 0."""
        if self.process is None:
            return
        process, self.process = self.process, None
        process.send_signal(signal.SIGINT)
        try:
            code = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise ProductError(f"still there {STOP_SECONDS} s after SIGINT:\n{self.last_lines()}") from None
        if code != 0:
            raise ProductError(f"ended with code {code}:\n{self.last_lines()}")

    def _is_ready(self) -> bool:
        if self.process is not None and self.process.poll() is not None:
            raise ProductError(f"ended with code {self.process.returncode}:\n{self.last_lines()}")
        try:
            return requests.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def last_lines(self) -> str:
        """Return the ends of the logs, for the message of a failure."""
        logs = [self.log, self.state_dir / "logs" / "web.log", self.state_dir / "logs" / "worker.log"]
        return "\n".join(
            line for log in logs if log.exists() for line in log.read_text(errors="replace").splitlines()[-25:]
        )

    @cached_property
    def facts(self) -> dict[str, Any]:
        answer = self.manage("demo_facts")
        found: dict[str, Any] = json.loads(answer)
        return found

    def manage(self, *arguments: str) -> str:
        """Run a management command beside the running product and return what it prints."""
        result = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment | {"DEBUG": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise ProductError(f"manage.py {' '.join(arguments)}: {result.stderr}")
        return result.stdout

    @cached_property
    def control_token(self) -> str:
        found = secretfile.read(self.state_dir / "secrets.env").get("PAPER_CONTROL_TOKEN")
        if not found:
            raise ProductError("the state directory keeps no token of the paper exchange")
        return found

    def set_price(self, symbol: str, price: str | None) -> None:
        """Hold the paper exchange's price at exactly `price`; None lets it move again."""
        answer = requests.post(
            f"http://127.0.0.1:{self.paper_port}/_paper/prices",
            json={"symbol": symbol, "price": price},
            headers={"Authorization": f"Bearer {self.control_token}"},
            timeout=10,
        )
        answer.raise_for_status()

    def pointer(self, market: str) -> str:
        """Return the pointer of the demo user's connector."""
        found: str = next(c["pointer"] for c in self.facts["connectors"] if c["market"] == market)
        return found

    def post(self, message: str | dict[str, str], path: str = "/webhook") -> str:
        """Deliver as TradingView does, and return the alert's id."""
        body = message if isinstance(message, str) else json.dumps(message)
        answer = requests.post(
            f"{self.url}{path}",
            data=body.encode(),
            headers={"Content-Type": "application/json; charset=utf-8", "User-Agent": "Go-http-client/1.1"},
            timeout=3,  # TradingView's
        )
        if answer.status_code != 200:
            raise ProductError(f"{path} answers {answer.status_code} {answer.text}")
        alert_id: str = answer.json()["id"]
        return alert_id

    def api(self, path: str) -> Any:
        answer = requests.get(
            f"{self.url}/api/v1/{path}", headers={"Authorization": f"Token {self.facts['api_token']}"}, timeout=5
        )
        answer.raise_for_status()
        return answer.json()

    def alert_settles(self, alert_id: str) -> dict[str, Any]:
        """Return the demo user's alert once nobody is working on it."""

        def settled() -> dict[str, Any] | None:
            alert: dict[str, Any] = self.api(f"alerts/{alert_id}/")
            orders = self.api(f"orders/?alert={alert_id}")["results"]
            waits = {"RECEIVED", "QUEUED", "EXECUTING"}
            busy = {"PLANNED", "SUBMITTING", "ACCEPTED", "PARTIAL", "CANCELLING", "UNKNOWN"}
            is_over = str(alert["status"]).upper() not in waits
            return alert if is_over and not busy & {str(order["state"]).upper() for order in orders} else None

        return self.wait(f"alert {alert_id}", settled)

    def mail_to(self, address: str, subject: str) -> Message:
        """Return the newest mail to `address` whose subject holds `subject`, waiting for it."""
        return self.wait(f"mail {subject!r} to {address}", lambda: self._mail(address, subject))

    def _mail(self, address: str, subject: str) -> Message | None:
        files = sorted((self.folder / "mail").glob("*.log"), key=lambda file: file.stat().st_mtime_ns)
        for file in reversed(files):
            for text in reversed(file.read_text().split(f"\n{'-' * 79}\n")):
                message = message_from_string(text.lstrip())
                if message["To"] == address and subject in str(message["Subject"]):
                    return message
        return None

    def wait(self, what: str, look: Callable[[], Found | None], *, seconds: float = WAIT_SECONDS) -> Found:
        """Return what `look` finds. ProductError when it finds nothing in time."""
        deadline = time.monotonic() + seconds
        while not (found := look()):
            if time.monotonic() > deadline:
                raise ProductError(f"waited {seconds:.0f} s for {what}; last lines of the log:\n{self.last_lines()}")
            time.sleep(0.1)
        return found


def fired(template: str, **replaced: str) -> str:
    """Return a copied message as TradingView sends it: its placeholders filled in."""
    values = PLACEHOLDERS | {"{{timenow}}": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
    values |= {f"{{{{{name.replace('__', '.')}}}}}": value for name, value in replaced.items()}
    for placeholder, value in values.items():
        template = template.replace(placeholder, value)
    return template


def text_of(mail: Message) -> str:
    """Return the plain text of a mail."""
    part = next(part for part in mail.walk() if part.get_content_type() == "text/plain")
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()
