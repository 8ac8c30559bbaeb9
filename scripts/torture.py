#!/usr/bin/env python3
"""Run every campaign of tests/torture and print one table. Ends with 1 when a layer failed or did not run.

`--quick` is what CI runs, `--full` the long one. `--only NAME` runs one layer, `--count N` and `--seed S` set its size
and its seed: a printed seed shows the same histories again. TORTURE_<LAYER>=N sets one layer's size in a whole run.
"""

import argparse
import os
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.torture.tally import Tally, read  # noqa: E402 - found by the line above

PROCESSES = 2


@dataclass(frozen=True, slots=True)
class Layer:
    """`name` is a module of tests/torture. `shards` processes share the count, each with a seed of its own.

    Where `divides` is False each gets the whole count, and TORTURE_SHARD says which part of the work is its own.
    """

    name: str
    what: str
    quick: int
    full: int
    shards: int = 1
    divides: bool = True
    # A quick run ends there: with fewer histories than `quick`, and as a failure with fewer than `least`.
    quick_seconds: int = 0
    least: int = 0

    def count(self, *, full: bool) -> int:
        chosen = os.environ.get(f"TORTURE_{self.name.upper()}")
        return int(chosen) if chosen else self.full if full else self.quick


LAYERS = (
    Layer("protocol", "protocol model, each id policy", 1_000_000, 20_000_000),
    Layer("simulator", "real engine, seeded faults", 10_000, 200_000, PROCESSES, quick_seconds=600, least=1_500),
    Layer("crash_points", "every crash point; full: pairs too", 1, 2, PROCESSES, divides=False),
    Layer("races", "two workers on one row, each way", 1_000, 50_000, PROCESSES),
    Layer("money", "money properties, PostgreSQL", 20_000, 500_000, PROCESSES),
    Layer("kills", "kill -9 and SIGSTOP, each window", 10, 200),
    Layer("parser", "alert parser, damaged messages", 100_000, 5_000_000, PROCESSES),
    Layer("seeded_bugs", "seeded bugs, each caught", 20, 20),
)


def main() -> int:
    parser = argparse.ArgumentParser()
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--quick", action="store_true")
    size.add_argument("--full", action="store_true")
    parser.add_argument("--only", choices=[layer.name for layer in LAYERS], action="append")
    parser.add_argument("--count", type=int)
    parser.add_argument("--seed", type=int)
    asked = parser.parse_args()
    chosen = [layer for layer in LAYERS if not asked.only or layer.name in asked.only]
    seed = secrets.randbelow(10**9) if asked.seed is None else asked.seed
    if asked.full:
        os.environ["TORTURE_FULL"] = "1"
    _boot()
    rows: list[tuple[Layer, Tally | None]] = []
    for layer in chosen:
        count = asked.count or layer.count(full=asked.full)
        print(f"== {layer.name}: {count} from seed {seed}", flush=True)
        if asked.quick and layer.quick_seconds:
            os.environ.setdefault(f"TORTURE_{layer.name.upper()}_SECONDS", str(layer.quick_seconds))
        tally = _run(layer, count, seed)
        if tally is not None and tally.histories < min(count, layer.least):
            tally.violations.append(f"only {tally.histories} histories, {layer.least} at least")
        rows.append((layer, tally))
        _show_violations(tally)
    return _print_table(rows)


def _boot() -> None:
    """Start the servers once for all layers and make the database that each copies."""
    os.environ |= {"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONHASHSEED": "0"}
    import tests.settings  # noqa: F401 - boots PostgreSQL and Redis unless the environment names some
    from tests.torture import database

    os.environ["TORTURE_TEMPLATE"] = database.make_template("torture_template")


def _run(layer: Layer, count: int, seed: int) -> Tally | None:
    """Return what the layer's processes counted together; None when one of them told nothing."""
    started = time.monotonic()
    share = -(-count // layer.shards) if layer.divides else count
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.torture", layer.name, "--count", str(share), "--seed", str(seed + shard)],
            cwd=ROOT,
            env=os.environ | {"TORTURE_SHARD": f"{shard}/{layer.shards}"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for shard in range(layer.shards)
    ]
    whole: Tally | None = None
    failed = False
    for process in running:
        text, _ = process.communicate()
        told = read(text)
        print("".join(f"   {line}\n" for line in text.splitlines() if not line.startswith("tally:")), end="")
        failed |= process.returncode != 0
        if not told:
            print(f"   {layer.name} told nothing and ended with {process.returncode}")
            failed = True
            continue
        for tally in told:
            if whole is None:
                whole = tally
            else:
                whole.add(tally)
    if whole is None:
        return None
    whole.seconds = time.monotonic() - started
    if failed and whole.is_clean:
        whole.violations.append("a process of this layer failed")
    return whole


def _show_violations(tally: Tally | None) -> None:
    for text in tally.violations if tally else []:
        print(f"\n!! {text}", flush=True)


def _print_table(rows: list[tuple[Layer, Tally | None]]) -> int:
    names = ("histories", "faults", "duplicates", "lost", "stuck", "phantoms")
    print(f"\n{'layer':<34}" + "".join(f"{name:>12}" for name in names) + f"{'seed':>12}{'seconds':>10}")
    good = True
    for layer, tally in rows:
        if tally is None:
            print(f"{layer.what:<34}  DID NOT RUN")
            good = False
            continue
        figures = "".join(f"{getattr(tally, name):>12,}" for name in names)
        verdict = "" if tally.is_clean else f"  FAILED ({len(tally.violations)} told above)"
        print(f"{layer.what:<34}{figures}{tally.seed:>12}{tally.seconds:>10.0f}{verdict}")
        good &= tally.is_clean
    print("torture: all layers passed" if good else "torture: FAILED")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
