"""What the kernel says about a tree of processes: its members, their CPU time, their memory. Linux only."""

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """Return `pid` and everything below it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for one in found:
        found.extend(children.get(one, []))
    return found


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of the tree of `pid`, with that of the processes that ended in it."""
    return sum(sum(map(int, fields[11:15])) for one in tree(pid) if (fields := _stat(one))) / TICKS


def pss_mb(pid: int) -> float:
    """Return the proportional set size in MiB: shared pages count in parts."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def server_with(text: str) -> int:
    """Return the server program in whose title `text` stands."""
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit():
                title = (entry / "cmdline").read_text(errors="replace")
                if text in title and title.split("\0")[0].split(" ")[0].endswith("-server"):
                    return int(entry.name)
        except OSError:
            continue
    raise LookupError(text)


def name_of(pid: int) -> str:
    """Return what the process calls itself, or the program it runs."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    title = words[0] if ":" in words[0] else Path(words[0]).name
    named = Path(f"/proc/{pid}/comm").read_text().strip()
    scripts = [Path(word).name for word in words[1:] if word.endswith(".py")]
    return named if named.startswith("sferica-") else " ".join([title[:40], *scripts[:1]])


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/<pid>/stat after the name: state, parent, …; empty when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
