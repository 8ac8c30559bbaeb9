#!/usr/bin/env python3
"""Fail unless every test marked `browser` is in a JUnit file and was not skipped."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def collected() -> set[str]:
    """Return `module.name` of every browser test."""
    # Quiet once, by pyproject.toml: said twice, pytest prints counts and no names.
    command = [sys.executable, "-m", "pytest", "--collect-only", "-m", "browser"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        print(result.stdout[-2000:], result.stderr[-2000:], sep="\n")
    nodes = [line for line in result.stdout.splitlines() if "::" in line]
    return {junit_name(node) for node in nodes}


def junit_name(node: str) -> str:
    """Return `module.name` of a node; what stands in a parameter's brackets stays as it is."""
    path, _, name = node.partition("::")
    return f"{path.removesuffix('.py').replace('/', '.')}.{name}"


def main() -> int:
    cases = ET.parse(sys.argv[1]).iter("testcase")  # noqa: S314
    ran = {f"{case.get('classname')}.{case.get('name')}" for case in cases if case.find("skipped") is None}
    wanted = collected()
    missing = sorted(wanted - ran)
    if not wanted:
        print("There is no browser test.")
    if missing:
        print("Browser tests that did not run:", *missing, sep="\n  ")
    if wanted and not missing:
        print(f"{len(wanted)} browser tests ran.")
    return 0 if wanted and not missing else 1


if __name__ == "__main__":
    sys.exit(main())
