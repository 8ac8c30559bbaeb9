"""The parser's campaign led by coverage: inputs that reach new code are kept and damaged further.

`python -m tests.torture parser_guided --count N --seed S`; needs Atheris, the dependency group `fuzz`.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from tests.torture.tally import Tally

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 2048


def main(count: int, seed: int) -> Tally:
    """Fuzz in a process of its own: the fuzzer ends the one that it runs in."""
    tally = Tally("alert parser, led by coverage", seed)
    if find_spec("atheris") is None:
        tally.violations.append("Atheris is not installed: pip install --group fuzz")
        return tally
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as corpus:
        for path in (ROOT / "tests/fixtures").glob("tr*/*.txt"):
            shutil.copy(path, corpus)
        command = [sys.executable, "-m", "tests.torture.parser_guided", str(count), str(seed), corpus]
        told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
    tally.histories, tally.seconds = count, time.monotonic() - started
    if told.returncode != 0:
        tally.violations.append(told.stderr[-4000:] or told.stdout[-4000:])
    failures = len(tally.violations)
    sys.stdout.write(f"parser: {count} inputs led by coverage, {failures} failures, seed {seed}\n")
    return tally


def _fuzz(count: int, seed: int, corpus: str) -> None:
    import atheris  # type: ignore[import-not-found]

    with atheris.instrument_imports(include=["apps.alerts"]):
        from tests.torture import parser

    def one(delivery: bytes) -> None:
        wrong = list(parser.wrong_with(delivery, parser.Seen()))
        if wrong:
            raise AssertionError(f"{'; '.join(wrong)}: {delivery!r}")

    options = [f"-runs={count}", f"-seed={seed}", f"-max_len={LONGEST}", f"-artifact_prefix={corpus}/"]
    atheris.Setup([sys.argv[0], *options, corpus], one)
    atheris.Fuzz()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("count", type=int)
    arguments.add_argument("seed", type=int)
    arguments.add_argument("corpus")
    asked = arguments.parse_args()
    _fuzz(asked.count, asked.seed, asked.corpus)
