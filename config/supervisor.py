"""One process tree: children by fork after one boot, restarted when they die, stopped in reverse order.

Fork after `gc.freeze` shares the memory of everything imported so far and starts a child in milliseconds.
"""

import contextlib
import ctypes
import gc
import logging
import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from config.keeper import PR_SET_PDEATHSIG

PR_SET_NAME = 15
TICK = 0.2
STOP_WITHIN = 20.0
LONGEST_BACK_OFF = 30.0
STEADY_AFTER = 60.0  # a child that lived this long starts again without back-off
LARGEST_LOG = 5_000_000
LINES_PER_LOOK = 5
STOPPING = (signal.SIGINT, signal.SIGTERM)
IMPORTANT = re.compile(r"\b(WARNING|ERROR|CRITICAL)\b|^Traceback|^\w+(\.\w+)*Error\b")


class StopRequested(BaseException):
    """SIGINT or SIGTERM arrived. No Exception: nothing on the way up may swallow it."""


class ChildFailedError(Exception):
    """A child that had to give a result ended without one."""


@dataclass
class Child:
    """`run` is called in the child and returns when its work is over; SIGTERM must end it."""

    name: str
    run: Callable[[], None]
    log: Path | None
    pid: int = 0
    started_at: float = 0.0
    due_at: float = 0.0
    back_off: float = 1.0
    read_to: int = field(default=0, repr=False)


class Supervisor:
    """Use as a context: leaving it, for whatever reason, stops the children. SIGINT and SIGTERM raise StopRequested."""

    def __init__(
        self, logs: Path, *, before_fork: Callable[[], None], say: Callable[[str], None], expected: str = "$^"
    ) -> None:
        """`expected` matches log lines that look important and are not."""
        self.logs = logs
        self.before_fork = before_fork
        self.say = say
        self.expected = re.compile(expected)
        self.children: list[Child] = []

    def __enter__(self) -> "Supervisor":
        self.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in STOPPING:
            signal.signal(number, self._request_stop)
        return self

    def __exit__(self, *_: object) -> None:
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)
        if self.children:
            self.say("Stopping …")
        for child in reversed(self.children):
            self._stop(child)
        for number in STOPPING:
            signal.signal(number, signal.SIG_DFL)

    def start(self, name: str, run: Callable[[], None]) -> None:
        log = self.logs / f"{name}.log"
        if log.exists() and log.stat().st_size > LARGEST_LOG:
            log.replace(log.with_suffix(".log.1"))
        child = Child(name, run, log, read_to=log.stat().st_size if log.exists() else 0)
        gc.collect()
        gc.freeze()
        self._fork(child)
        self.children.append(child)

    def result_of(self, name: str, work: Callable[[], str]) -> str:
        """Do `work` in a child of its own, on our terminal, and return what it returns.

        What it opens, caches and starts as threads is then in none of the children forked after it.
        """
        read_end, write_end = os.pipe()

        def answer() -> None:
            with os.fdopen(write_end, "w", encoding="utf-8") as out:
                out.write(work())

        child = Child(name, answer, None)
        self._fork(child)
        self.children.append(child)
        os.close(write_end)
        with os.fdopen(read_end, encoding="utf-8") as answers:
            text = answers.read()
        code = self._ended(child, 0)
        self.children.remove(child)
        if code != 0:
            raise ChildFailedError(f"{name} failed: see the lines above")
        return text

    def watch(self, each_tick: Callable[[], None]) -> None:
        """Restart what dies and show what its log says, until StopRequested."""
        while True:
            self.look()
            each_tick()
            time.sleep(TICK)

    def look(self) -> None:
        now = time.monotonic()
        for child in self.children:
            self._follow(child)
            if child.pid and (code := self._ended(child)) is not None:
                self._note_end(child, code, now)
            elif not child.pid and now >= child.due_at:
                self._fork(child)

    def _fork(self, child: Child) -> None:
        self.before_fork()
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        # No stop request between the fork and the note of its id; in the child none before its handlers are reset.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        child.pid = os.fork()
        if child.pid == 0:
            _become(child, parent)
        child.started_at = time.monotonic()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)

    def _ended(self, child: Child, options: int = os.WNOHANG) -> int | None:
        pid, status = os.waitpid(child.pid, options)
        return os.waitstatus_to_exitcode(status) if pid else None

    def _note_end(self, child: Child, code: int, now: float) -> None:
        child.back_off = 1.0 if now - child.started_at > STEADY_AFTER else min(child.back_off * 2, LONGEST_BACK_OFF)
        child.pid, child.due_at = 0, now + child.back_off
        how = f"by signal {-code}" if code < 0 else f"with code {code}"
        self.say(f"[{child.name}] ended {how}; starts again in {child.back_off:.0f} s. Log: {child.log}")

    def _stop(self, child: Child) -> None:
        """End and join `child`; kill its whole process group when it takes too long."""
        if not child.pid:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_WITHIN
        while self._ended(child) is None:
            if time.monotonic() > deadline:
                self.say(f"[{child.name}] did not stop within {STOP_WITHIN:.0f} s: killed")
                os.killpg(child.pid, signal.SIGKILL)
                self._ended(child, 0)
                break
            time.sleep(0.05)
        self._follow(child)
        child.pid = 0

    def _follow(self, child: Child) -> None:
        """Repeat on the terminal what is important in the log since the last look."""
        if child.log is None or not child.log.exists() or child.log.stat().st_size <= child.read_to:
            return
        with child.log.open("rb") as log:
            log.seek(child.read_to)
            fresh = log.read()
        whole = fresh[: fresh.rfind(b"\n") + 1]
        child.read_to += len(whole)
        lines = [line for line in whole.decode(errors="replace").splitlines() if self._is_important(line)]
        for line in lines[:LINES_PER_LOOK]:
            self.say(f"[{child.name}] {line[:300]}")
        if len(lines) > LINES_PER_LOOK:
            self.say(f"[{child.name}] … {len(lines) - LINES_PER_LOOK} more in {child.log}")

    def _is_important(self, line: str) -> bool:
        return IMPORTANT.search(line) is not None and self.expected.search(line) is None

    def _request_stop(self, signum: int, frame: FrameType | None) -> None:
        raise StopRequested


def _become(child: Child, parent: int) -> None:
    """Run `child` in the process just forked, and end it. Never return."""
    code = 1
    try:
        os.setpgid(0, 0)  # Ctrl-C in the terminal reaches the parent alone, which stops us in order
        _end_with_parent(child.name, parent)
        for number in STOPPING:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        if child.log is not None:
            _write_to(child.log)
        child.run()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    finally:
        if code and sys.exc_info()[0] not in (None, SystemExit):
            traceback.print_exc()
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # not sys.exit: what the parent registered to run at exit is the parent's


def _end_with_parent(name: str, parent: int) -> None:
    """Have the kernel send SIGTERM when the parent dies, however. Linux only; elsewhere Ctrl-C and SIGTERM remain."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    libc.prctl(PR_SET_NAME, f"sferica-{name}"[:15].encode())
    if os.getppid() != parent:
        os._exit(1)


def _write_to(log: Path) -> None:
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)
    os.close(nothing)
