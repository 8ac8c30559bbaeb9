import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from config.embedded import ROOT

pytestmark = pytest.mark.process

# Two children that note their end; the second dies once, two seconds of life being left to it by its own clock.
TREE = """
import signal, sys, time
from pathlib import Path
from config.supervisor import StopRequested, Supervisor
folder = Path(sys.argv[1])
def note(text):
    with (folder / "notes").open("a") as notes:
        notes.write(text + "\\n")
def steady(name):
    def end(*_):
        note(name + " stopped")
        raise SystemExit(0)
    signal.signal(signal.SIGTERM, end)
    note(name + " started")
    while True:
        time.sleep(0.05)
def once_broken():
    if not (folder / "broken").exists():
        (folder / "broken").touch()
        raise RuntimeError("first life")
    steady("second")
def announce():
    if (folder / "notes").exists() and (folder / "notes").read_text().count("started") == 2:
        print("UP", flush=True)
try:
    with Supervisor(folder / "logs", before_fork=lambda: None, say=lambda text: print(text, flush=True)) as supervisor:
        print("RESULT", supervisor.result_of("sum", lambda: str(1 + 1)), flush=True)
        supervisor.start("first", lambda: steady("first"))
        supervisor.start("second", once_broken)
        supervisor.watch(announce)
except StopRequested:
    print("END", flush=True)
"""


def tree(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", TREE, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )


def lines_until(process: "subprocess.Popen[str]", last: str) -> list[str]:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip())
        if line.rstrip() == last:
            return lines
    raise AssertionError(f"no {last!r} in {lines}")


def children_of(process: "subprocess.Popen[str]") -> list[int]:
    listing = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True, check=True
    )
    return [int(pid) for pid in listing.stdout.split()]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z" if sys.platform == "linux" else True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_dead_child_starts_again_and_a_stop_ends_all_in_reverse_order(tmp_path: Path, number: signal.Signals) -> None:
    with tree(tmp_path) as process:
        seen = lines_until(process, "UP")

        process.send_signal(number)

        lines_until(process, "END")
    assert process.returncode == 0
    assert "RESULT 2" in seen
    assert [line for line in seen if "ended with code 1; starts again in 2 s" in line] != []
    assert "[second] RuntimeError: first life" in seen
    notes = (tmp_path / "notes").read_text().split("\n")
    assert notes == ["first started", "second started", "second stopped", "first stopped", ""]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_killed_parent_takes_its_children_along(tmp_path: Path) -> None:
    with tree(tmp_path) as process:
        lines_until(process, "UP")
        children = children_of(process)
        assert len(children) == 2

        process.kill()

    deadline = time.monotonic() + 10
    while any(map(is_alive, children)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [pid for pid in children if is_alive(pid)] == []
