"""Start and stop the product as its user does: `manage.py demo` for the whole, gunicorn alone for the webhook."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN = 90.0
STOPPED_WITHIN = 60.0


class BenchError(Exception):
    pass


@dataclass(frozen=True, slots=True)
class Running:
    """Seconds from the start of the process to the first 200 of /healthz, and of /readyz (0 when not asked)."""

    pid: int
    port: int
    paper_port: int
    healthy_s: float
    ready_s: float
    environment: dict[str, str]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def whole(state_dir: Path) -> Iterator[Running]:
    """Run everything on free ports until the context is left; the servers' addresses come from `state_dir` alone."""
    port, paper_port = free_port(), free_port()
    ours = {"PORT": str(port), "PAPER_PORT": str(paper_port), "STATE_DIR": str(state_dir), "DEBUG": "1"}
    left_out = {"DATABASE_URL", "REDIS_URL", "SITE_URL", "PAPER_URL", "DJANGO_SETTINGS_MODULE"}
    environment = {name: value for name, value in os.environ.items() if name not in left_out} | ours
    with (state_dir.parent / f"{state_dir.name}.log").open("ab") as log:
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "manage.py", "demo"],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        with _stopped_after(process, signal.SIGINT):
            healthy = _until_200(process, port, "/healthz", started)
            ready = _until_200(process, port, "/readyz", started)
            yield Running(process.pid, port, paper_port, healthy, ready, environment)


@contextmanager
def web(processes: int, threads: int) -> Iterator[Running]:
    """Run gunicorn alone with its settings file, in this process's environment."""
    port = free_port()
    ours = {"HOST": "127.0.0.1", "PORT": str(port), "WEB_CONCURRENCY": str(processes), "WEB_THREADS": str(threads)}
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "config.wsgi", "-c", "config/gunicorn.py", "--log-level", "warning"],
        cwd=ROOT,
        env=os.environ | ours,
        start_new_session=True,
    )
    with _stopped_after(process, signal.SIGTERM):
        healthy = _until_200(process, port, "/healthz", started)
        yield Running(process.pid, port, 0, healthy, 0.0, os.environ | ours)


@contextmanager
def _stopped_after(process: subprocess.Popen[bytes], number: signal.Signals) -> Iterator[None]:
    try:
        yield
    finally:
        process.send_signal(number)
        try:
            process.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise


def _until_200(process: subprocess.Popen[bytes], port: int, path: str, started: float) -> float:
    while _status(port, path) != 200:
        if process.poll() is not None:
            raise BenchError(f"the product ended with code {process.returncode} before {path} answered")
        if time.monotonic() - started > READY_WITHIN:
            raise BenchError(f"{path} does not answer 200 within {READY_WITHIN:.0f} s")
        time.sleep(0.02)
    return time.monotonic() - started


def _status(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
