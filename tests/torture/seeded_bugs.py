"""Are these tests able to fail? Twenty bugs, put into a copy of the tree one at a time: each has to be caught.

Each patch of tests/torture/bugs names the test that has to fail with it, and says whether the simulator can see it.
A patch that no longer fits the code is a failure of the run, as is one that nothing catches.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.torture.tally import Tally, read

ROOT = Path(__file__).resolve().parents[2]
BUGS = Path(__file__).parent / "bugs"
LAYER = "seeded bugs caught"
EXPECTED = 20
HISTORIES = 40
SIMULATED_FOR_S = 240


@dataclass(frozen=True, slots=True)
class Bug:
    path: Path
    what: str
    test: str
    is_simulated: bool


@dataclass(frozen=True, slots=True)
class Result:
    bug: Bug
    seen_by: list[str]
    why: str


@dataclass(frozen=True, slots=True)
class Bench:
    """A copy of the tree with a database and a Redis of its own."""

    number: int
    tree: Path

    @property
    def database(self) -> str:
        return f"test_bugs_{self.number}"

    def environment(self, *, keeps_bytecode: bool = False) -> dict[str, str]:
        own = {"TEST_DATABASE": self.database, "PYTEST_XDIST_WORKER": f"gw{self.number + 8}", "PYTHONHASHSEED": "0"}
        return os.environ | own | {"PYTHONDONTWRITEBYTECODE": "" if keeps_bytecode else "1"}


def main(count: int, seed: int) -> Tally:
    """Try this process's share of the first `count` bugs. `histories` counts bugs, `faults` those that were caught."""
    tally = Tally(LAYER, seed)
    started = time.monotonic()
    bugs = [_read(path) for path in sorted(BUGS.glob("*.patch"))]
    if len(bugs) != EXPECTED:
        tally.violations.append(f"{len(bugs)} patches, {EXPECTED} expected")
    shard, shards = map(int, os.environ.get("TORTURE_SHARD", "0/1").split("/"))
    chosen = bugs[:count][shard::shards]
    with tempfile.TemporaryDirectory(prefix="sferica-bugs-") as folder:
        results = _try_all(Bench(shard, _copy(Path(folder) / "tree")), chosen, seed, tally)
    tally.histories = len(results)
    tally.faults = sum(bool(result.seen_by) for result in results)
    for result in results:
        sys.stdout.write(f"  {result.bug.what}: {'; '.join(result.seen_by) or 'NOT CAUGHT'}\n")
        if not result.seen_by:
            tally.violations.append(f"{result.bug.path.name} is not caught\n{result.why}")
    sys.stdout.write(f"{tally.faults} of {len(chosen)} caught\n")
    tally.seconds = time.monotonic() - started
    return tally


def _read(path: Path) -> Bug:
    head = dict(line.split(": ", 1) for line in path.read_text().split("\n\n", 1)[0].splitlines())
    return Bug(path, head["Bug"], head["Caught by"], head["Simulator"] == "yes")


def _copy(tree: Path) -> Path:
    """Copy what git knows of the tree, as it lies here, and link the environment."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
    subprocess.run(["git", "init", "-q"], cwd=tree, check=True)
    return tree


def _make_database(bench: Bench) -> None:
    """Copy the database that is there for that; without one the first test makes it."""
    if "TORTURE_TEMPLATE" in os.environ:
        from tests.torture.database import copy_template

        copy_template(bench.database)


def _check_sound(bench: Bench, bugs: list[Bug], tally: Tally) -> None:
    """Without a bug every one of the tests passes: else a failure would prove nothing.

    Only here bytecode is kept, of the code as it is. A file that a patch changed is newer than that: it is read anew.
    """
    code, text = _test(bench, sorted({bug.test for bug in bugs}), bench.environment(keeps_bytecode=True))
    if code != 0:
        tally.violations.append(f"the tests fail without a bug:\n{text[-3000:]}")


def _try_all(bench: Bench, bugs: list[Bug], seed: int, tally: Tally) -> list[Result]:
    if bugs:
        _make_database(bench)
        _check_sound(bench, bugs, tally)
    return [_try(bench, bug, seed) for bug in bugs]


def _try(bench: Bench, bug: Bug, seed: int) -> Result:
    # One line of context is enough: the code around a bug may change.
    apply = ["git", "apply", "-C1", str(bug.path)]
    applied = subprocess.run(apply, cwd=bench.tree, capture_output=True, text=True, check=False)
    if applied.returncode:
        return Result(bug, [], f"the patch does not fit any more: {applied.stderr.strip()}")
    try:
        code, text = _test(bench, [bug.test], bench.environment())
        # 1: tests failed. Anything else is a run that came to nothing, and no proof.
        seen_by = [bug.test] if code == 1 else []
        # A quick run asks the simulator only for what no test sees: that takes longer than all the tests.
        is_asked = bug.is_simulated and (not seen_by or "TORTURE_FULL" in os.environ)
        if is_asked and (seen := _simulate(bench, seed)):
            seen_by.append(f"simulator ({seen})")
    finally:
        subprocess.run([*apply, "-R"], cwd=bench.tree, check=True)
    return Result(bug, seen_by, f"{bug.test} ended with {code}\n{text[-1500:]}")


def _test(bench: Bench, tests: list[str], environment: dict[str, str]) -> tuple[int, str]:
    # Left out is what takes long to load and none of the tests use.
    without = [f"-pno:{plugin}" for plugin in ("cacheprovider", "playwright", "xdist")]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--reuse-db", *without, "--no-header", *tests],
        cwd=bench.tree, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return run.returncode, run.stdout + run.stderr


def _simulate(bench: Bench, seed: int) -> str:
    """Return what the simulator found, in a few words; "" when it saw nothing."""
    command = [sys.executable, "-m", "tests.torture", "simulator", "--count", str(HISTORIES), "--seed", str(seed)]
    try:
        run = subprocess.run(
            command, cwd=bench.tree, env=bench.environment(), capture_output=True, text=True, check=False,
            timeout=SIMULATED_FOR_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return ""
    told = read(run.stdout)
    if not told or told[0].is_clean:
        # A simulator that broke down proves nothing.
        return ""
    kinds = {line.split(":", 1)[0] for text in told[0].violations for line in text.splitlines()[1:2]}
    return ", ".join(sorted(kinds))
