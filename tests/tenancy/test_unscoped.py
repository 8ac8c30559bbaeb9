"""Who reads across all tenants. `unscoped` is right for workers and staff; each use was a decision."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ALLOWED = Path(__file__).with_name("unscoped.txt")


def test_every_read_across_tenants_is_on_the_list() -> None:
    found = {}
    for path in sorted((ROOT / "apps").rglob("*.py")):
        count = len(re.findall(r"\.unscoped\b|_base_manager\b|_default_manager\b", path.read_text()))
        if count and "migrations" not in path.parts:
            found[str(path.relative_to(ROOT))] = count
    allowed = {}
    for line in ALLOWED.read_text().splitlines():
        path_text, _, number = line.partition(" ")
        allowed[path_text] = int(number)

    assert found == allowed, f"is the new one right? Then write its file and count into {ALLOWED.relative_to(ROOT)}"
