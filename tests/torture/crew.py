"""The product's processes, forked from one that has Django loaded: a new one takes a fraction of a second."""

import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class Member:
    """`wakes_at`: when it is to go on, while it is stopped."""

    name: str
    work: Callable[[], None]
    pid: int = 0
    wakes_at: float = 0


class Crew:
    """Keeps every member running: the dead are replaced, the stopped go on after a while."""

    def __init__(self, dice: Random, *, longest_stop_s: float, log: Path) -> None:
        self.members: list[Member] = []
        self.dice = dice
        self.longest_stop_s = longest_stop_s
        self.log = log
        self.killed = self.stopped = self.ended = 0

    def hire(self, name: str, work: Callable[[], None]) -> Member:
        member = Member(name, work)
        member.pid = fork(work, log=self.log)
        self.members.append(member)
        return member

    def look_after(self) -> None:
        """See who died or was stopped since the last look."""
        now = time.monotonic()
        for member in self.members:
            pid, status = os.waitpid(member.pid, os.WNOHANG | os.WUNTRACED)
            if pid and os.WIFSTOPPED(status):
                self.stopped += 1
                member.wakes_at = now + self.dice.uniform(0.2, self.longest_stop_s)
            elif pid:
                killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
                self.killed += killed
                self.ended += not killed
                member.wakes_at = 0
                member.pid = fork(member.work, log=self.log)
            elif member.wakes_at and now >= member.wakes_at:
                member.wakes_at = 0
                os.kill(member.pid, signal.SIGCONT)

    def strike(self, number: signal.Signals) -> str:
        """Hit one of the workers, whatever it is doing."""
        standing = [member for member in self.members if not member.wakes_at and member.name != "web"]
        if not standing:
            return ""
        member = self.dice.choice(standing)
        os.kill(member.pid, number)
        return member.name

    def wake_all(self) -> None:
        for member in self.members:
            if member.wakes_at:
                member.wakes_at = 0
                os.kill(member.pid, signal.SIGCONT)

    def dismiss(self) -> None:
        """End them all, by their own ids."""
        self.wake_all()
        for member in self.members:
            os.kill(member.pid, signal.SIGTERM if member.name == "web" else signal.SIGKILL)
        for member in self.members:
            os.waitpid(member.pid, 0)
        self.members.clear()


def fork(work: Callable[[], None], *, log: Path | None = None) -> int:
    """Run `work` in a child that shares no connection with us and dies when we do; what it says goes to `log`."""
    from django.db import connections

    connections.close_all()
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if log is not None:
            said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(said, 1)
            os.dup2(said, 2)
        work()
        code = 0
    except SystemExit:
        code = 0
    except BaseException:  # noqa: BLE001 - a child must never go on as its parent
        traceback.print_exc()
    finally:
        os._exit(code)
    raise AssertionError("a child that lived on")
