#!/usr/bin/env python3
"""Run every campaign of tests/torture and print one table. Ends with 1 when a layer failed or did not run.

`--quick` is what CI runs, `--full` the long one. `--only NAME` runs one layer, `--count N` and `--seed S` set its size
and its seed: a printed seed shows the same histories again. TORTURE_<LAYER>=N sets one layer's size in a whole run.

Without a seed it is drawn from the committed code: one commit is always judged by the same histories, each new one by
new ones. With changes that are not committed, or outside of a repository, by chance.
"""

import argparse
import atexit
import hashlib
import os
import platform
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.torture.tally import Tally, read  # noqa: E402 - found by the line above

SEEDS = 10**9
JUDGED = ("apps", "tests/torture")
# One for each core. Of the simulator's processes a third cost the other two more than it gained (docs/reliability.md).
AT_ONCE = 2
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
# The log alone may come to 256 MB, and each process of a layer has a database of its own.
ROOM_IN_MEMORY = 4 * 2**30


@dataclass(frozen=True, slots=True)
class Layer:
    """`name` is a module of tests/torture. `shards` processes share the count, each with a seed of its own.

    Where `divides` is False each gets the whole count, and TORTURE_SHARD says which part of the work is its own.
    A layer that mostly waits runs `beside` the others. Of these, AT_ONCE processes run at a time, in the order of the
    layers: where one ends, the next one begins, so that no core waits for the last process of a layer.
    """

    name: str
    what: str
    quick: int
    full: int
    shards: int = 1
    divides: bool = True
    beside: bool = False
    # So many seconds after it began a quick run ends: with fewer histories than `quick`, and as a failure with fewer
    # than `least`.
    quick_until: int = 0
    least: int = 0

    def count(self, *, full: bool) -> int:
        chosen = os.environ.get(f"TORTURE_{self.name.upper()}")
        return int(chosen) if chosen else self.full if full else self.quick


LAYERS = (
    Layer("kills", "kill -9 and SIGSTOP, each window", 10, 200, beside=True),
    Layer("protocol", "protocol model, each id policy", 1_000_000, 20_000_000, 2),
    Layer("crash_points", "every crash point; full: pairs too", 1, 2, 2, divides=False),
    Layer("races", "two workers on one row, each way", 1_000, 50_000, 2),
    Layer("money", "money properties, PostgreSQL", 20_000, 500_000, 2),
    Layer("parser", "alert parser, damaged messages", 100_000, 5_000_000, 2),
    Layer("seeded_bugs", "seeded bugs, each caught", 20, 20, 2, divides=False),
    # Last, so that it may have what the others leave of the 25 minutes.
    Layer("simulator", "real engine, seeded faults", 10_000, 200_000, 2, quick_until=1_480, least=1_000),
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
    seed = _seed_of_code() if asked.seed is None else asked.seed
    if asked.full:
        os.environ["TORTURE_FULL"] = "1"
    started = time.monotonic()
    _boot()

    with ThreadPoolExecutor() as aside, ThreadPoolExecutor(AT_ONCE) as cores, ThreadPoolExecutor(len(LAYERS)) as tells:

        def begin(layer: Layer) -> Future[Tally | None]:
            count = asked.count or layer.count(full=asked.full)
            until = started + layer.quick_until if asked.quick and layer.quick_until else None
            running = _start(layer, count, seed, aside if layer.beside else cores, until=until)
            return tells.submit(_tell, layer, count, seed, running)

        found = [telling.result() for telling in [begin(layer) for layer in chosen]]
    return _print_table(list(zip(chosen, found, strict=True)), time.monotonic() - started)


def _seed_of_code() -> int:
    """Return what the trees of the engine and of the campaigns come to; by chance where that says nothing."""
    changed = _git("status", "--porcelain", "--", *JUDGED)
    names = _git("rev-parse", *(f"HEAD:{folder}" for folder in JUDGED))
    if changed or names is None:
        return secrets.randbelow(SEEDS)
    return int(hashlib.sha256(names.encode()).hexdigest(), 16) % SEEDS


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def _boot() -> None:
    """Start the servers once for all layers and make the database that each copies."""
    os.environ |= {"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONHASHSEED": "0"}
    _keep_bytecode()
    _keep_servers_in_memory()
    import tests.settings  # noqa: F401 - boots PostgreSQL and Redis unless the environment names some
    from tests.torture import database

    os.environ["TORTURE_TEMPLATE"] = database.make_template("torture_template")


def _keep_servers_in_memory() -> None:
    """Put the servers' files into memory where that has room: emptying its tables, a world makes 130 files anew.

    The kill campaign's servers, which are to write to the disk as they would, are its own.
    """
    has_room = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ROOM_IN_MEMORY
    folder = tempfile.mkdtemp(prefix="sferica-torture-", dir=MEMORY if has_room else None)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["TEST_STATE_DIR"] = folder


def _keep_bytecode() -> None:
    """Compile each module once a run: where nobody keeps bytecode, every process spends three seconds on it."""
    folder = tempfile.mkdtemp(prefix="sferica-torture-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = folder
    sys.dont_write_bytecode = False


@dataclass(frozen=True, slots=True)
class Ended:
    """What one process of a layer said, and when it ran."""

    text: str
    code: int
    began: float
    ended: float


def _start(
    layer: Layer, count: int, seed: int, cores: ThreadPoolExecutor, *, until: float | None
) -> list[Future[Ended]]:
    """Let the layer's processes run when it is their turn, `until` then at the latest."""
    share = -(-count // layer.shards) if layer.divides else count

    def run(shard: int) -> Ended:
        began = time.monotonic()
        environment = os.environ | {"TORTURE_SHARD": f"{shard}/{layer.shards}"}
        if until is not None:
            environment.setdefault(f"TORTURE_{layer.name.upper()}_SECONDS", f"{max(until - began, 0):.0f}")
        process = subprocess.run(
            [sys.executable, "-m", "tests.torture", layer.name, "--count", str(share), "--seed", str(seed + shard)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        return Ended(process.stdout, process.returncode, began, time.monotonic())

    return [cores.submit(run, shard) for shard in range(layer.shards)]


def _tell(layer: Layer, count: int, seed: int, running: list[Future[Ended]]) -> Tally | None:
    """Return what the layer's processes counted together; None when one of them told nothing."""
    processes = [process.result() for process in running]
    print(f"== {layer.name}: {count} from seed {seed}\n", end="", flush=True)
    whole: Tally | None = None
    failed = False
    for process in processes:
        told = read(process.text)
        said = [line for line in process.text.splitlines() if not line.startswith("tally:")]
        print("".join(f"   {layer.name}: {line.strip()}\n" for line in said), end="", flush=True)
        failed |= process.code != 0
        if not told:
            print(f"   {layer.name} told nothing and ended with {process.code}")
            failed = True
            continue
        for tally in told:
            if whole is None:
                whole = tally
            else:
                whole.add(tally)
    if whole is None:
        return None
    whole.seconds = max(one.ended for one in processes) - min(one.began for one in processes)
    if failed and whole.is_clean:
        whole.violations.append("a process of this layer failed")
    if whole.histories < min(count, layer.least):
        whole.violations.append(f"only {whole.histories} histories, {layer.least} at least")
    for violation in whole.violations:
        print(f"\n!! {layer.name}: {violation}", flush=True)
    return whole


def _print_table(rows: list[tuple[Layer, Tally | None]], seconds: float) -> int:
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
    where = f"{os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"torture: {'all layers passed in' if good else 'FAILED after'} {seconds:.0f} s; {where}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
