"""The product's own processes on the database of the test, to be frozen and killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from django.conf import settings
from django.db import connection

from tests.paper.running import ROOT, free_port

PATIENCE_S = 30
# What these tests wait for, made short: how long a sender and its lease live, how long the exchange may hide an order.
SHORT = {"SEND_LIMIT_S": "2", "LEASE_S": "3", "FENCE_WINDOW_S": "1", "FENCE_SKEW_S": "0", "FENCE_VISIBILITY_S": "1"}


def environment(**replaced: str) -> dict[str, str]:
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
    own = {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": urlunsplit(database),
        "REDIS_URL": settings.REDIS_URL,
        "PAPER_URL": settings.PAPER_URL,
        "INNER_THREADS": "4",
        "LOG_LEVEL": "WARNING",
        "PYTHONPATH": str(ROOT),
    }
    return os.environ | own | SHORT | replaced


def until(is_so: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {PATIENCE_S} s: {what}")
        time.sleep(0.05)


class Process:
    """One process of ours, by its own id; nothing else is ever signalled."""

    def __init__(self, *arguments: str, **replaced: str) -> None:
        command = [sys.executable, "-m", "tests.crash.launch", *arguments]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment(**replaced), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def wait_for(self, line: str) -> None:
        """Return when the process has said so."""
        said = self.read()
        if said != line:
            raise AssertionError(f"said {said!r}, not {line!r}")

    def read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as the kernel would, out of memory: no handler runs, nothing is said to anybody."""
        self._process.kill()
        self.join()

    def end(self) -> None:
        """Leave nothing behind, whatever the test did to it."""
        if self._process.poll() is None:
            self.send(signal.SIGCONT)
            self._process.kill()
        self.join()

    def join(self) -> int:
        code = self._process.wait(PATIENCE_S)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        return code


@contextmanager
def running(*arguments: str, **replaced: str) -> Iterator[Process]:
    """Start a process, wait until it works, and see that it is gone in the end."""
    process = Process(*arguments, **replaced)
    try:
        process.wait_for("ready")
        yield process
    finally:
        process.end()


@contextmanager
def running_web(**replaced: str) -> Iterator[str]:
    """Start the web process and give its address."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with running("web", str(port), **replaced):
        until(lambda: _answers(address), "the web process answers")
        yield address


def _answers(address: str) -> bool:
    try:
        return requests.get(f"{address}/healthz", timeout=1).status_code == 200
    except requests.RequestException:
        return False
