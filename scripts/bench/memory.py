"""Memory of the idle product: every process of the tree, PostgreSQL and Redis with it."""

import time
from collections import defaultdict
from typing import Any

from scripts.bench.figures import median, table
from scripts.bench.processes import name_of, pss_mb, tree

LIMIT_MB = 600
SETTLE_S = 5.0


def measure(pid: int, *, runs: int) -> dict[str, Any]:
    """Return per run the MiB of each kind of process and how many there are."""
    rounds = []
    for _ in range(runs):
        time.sleep(SETTLE_S if not rounds else 1.0)
        sizes: dict[str, list[float]] = defaultdict(list)
        for one in tree(pid):
            sizes[name_of(one)].append(pss_mb(one))
        rounds.append({name: {"count": len(each), "mb": sum(each)} for name, each in sizes.items()})
    return {"rounds": rounds, "total_mb": median([sum(one["mb"] for one in each.values()) for each in rounds])}


def summary(result: dict[str, Any]) -> str:
    last = result["rounds"][-1]
    rows = [
        [name, str(one["count"]), f"{one['mb']:.0f}"]
        for name, one in sorted(last.items(), key=lambda item: -item[1]["mb"])
    ]
    rows.append(["together (median)", str(sum(one["count"] for one in last.values())), f"{result['total_mb']:.0f}"])
    return table(f"Memory at rest, MiB (PSS), of {LIMIT_MB}", ["process", "number", "MiB"], rows)
