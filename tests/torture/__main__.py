"""Run one layer: `python -m tests.torture NAME --count N --seed S`."""

import argparse
import secrets
import sys
from importlib import import_module


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("layer", help="a module of tests/torture with main(count, seed)")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seed", type=int, default=None, help="drawn and printed when left out")
    asked = parser.parse_args()
    seed = secrets.randbelow(10**9) if asked.seed is None else asked.seed
    tally = import_module(f"tests.torture.{asked.layer}").main(asked.count, seed)
    sys.stdout.write(tally.line() + "\n")
    return 0 if tally.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
