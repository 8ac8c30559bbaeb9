"""Keeps the embedded servers of one state directory running while somebody uses them.

Started by `config.embedded` as its own process, in its own session, so that Ctrl-C in a terminal does not reach it.
Every user of the servers holds a shared lock on `in-use.lock`; the kernel lets go of it however the user ends, kill -9
included. When this process gets that lock exclusively, nobody is left: it stops the servers and ends. It imports the
standard library only, to stay small.
"""

import ctypes
import fcntl
import json
import os
import pwd
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

LOOK_EVERY = 0.25
RESTART_AFTER = 1.0
STOP_WITHIN = 15.0
PR_SET_PDEATHSIG = 1


@dataclass
class Server:
    """One server process. `stop_signal` asks it to end cleanly; `user` is the system user to run as, None for ours."""

    name: str
    argv: list[str]
    stop_signal: int
    log: str
    user: str | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    died_at: float = 0.0

    def start(self) -> None:
        with Path(self.log).open("ab") as log:
            # The child ends with us even when we are killed: set between fork and exec, in a process of one thread.
            self.process = subprocess.Popen(  # noqa: S603 - the arguments are ours, see config.embedded
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self.user,
                group=pwd.getpwnam(self.user).pw_gid if self.user else None,
                extra_groups=[] if self.user else None,
                cwd="/",
                preexec_fn=self.end_with_parent,
            )

    def end_with_parent(self) -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, self.stop_signal)

    def ensure_running(self) -> None:
        if self.process is None or self.process.poll() is None:
            return
        now = time.monotonic()
        if not self.died_at:
            self.died_at = now
            note(f"{self.name} ended with code {self.process.returncode}, see {self.log}")
        elif now - self.died_at >= RESTART_AFTER:
            self.died_at = 0.0
            self.start()

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            note(f"{self.name} did not stop within {STOP_WITHIN:.0f} s: killed")
            self.process.kill()
            self.process.wait()


def note(text: str) -> None:
    print(time.strftime("%Y-%m-%d %H:%M:%S"), text, flush=True)  # noqa: T201 - this process's output is its log


def leave(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def nobody_left(in_use: IO[bytes]) -> bool:
    try:
        fcntl.flock(in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def keep(state_dir: Path, servers: list[Server]) -> None:
    with (state_dir / "keeper.lock").open("ab") as alive, (state_dir / "in-use.lock").open("ab") as in_use:
        fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            for server in servers:
                server.start()
            while not nobody_left(in_use):
                for server in servers:
                    server.ensure_running()
                time.sleep(LOOK_EVERY)
        finally:
            for server in reversed(servers):
                server.stop()
            note("stopped")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, leave)
    os.umask(0o077)
    keep(Path(sys.argv[1]), [Server(**facts) for facts in json.loads(sys.argv[2])])
