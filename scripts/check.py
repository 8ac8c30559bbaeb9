#!/usr/bin/env python3
"""Everything that looks at the code without running the product. Runs all of it, then says what failed."""

import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from config import secretfile  # noqa: E402 - found from the root only

MANAGE = [sys.executable, "manage.py"]


def production() -> dict[str, str]:
    """Return an environment as a production machine has it. Nothing listens at its addresses; the checks never ask."""
    return secretfile.new_secrets() | {
        "DEBUG": "0",
        "ALLOWED_HOSTS": "sferica.example",
        "SITE_URL": "https://sferica.example",
        "DATABASE_URL": "postgresql://sferica@127.0.0.1:1/sferica",
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }


def css_reproduces() -> bool:
    """Build the CSS aside and compare it with the committed one."""
    if shutil.which("npm") is None:
        print("npm is not here: whether the committed CSS can be built again was NOT checked.")
        return os.environ.get("REQUIRE_NPM") != "1"
    with tempfile.TemporaryDirectory() as folder:
        # Beside copies of what it reads, so that a build that fails half-way changes nothing here.
        for name in ("assets", "templates", "apps", "static"):
            shutil.copytree(
                ROOT / name, Path(folder) / name, ignore=shutil.ignore_patterns("node_modules", "__pycache__")
            )
        built = Path(folder, "static", "css", "app.css")
        built.unlink(missing_ok=True)
        for command in (["npm", "ci", "--no-audit", "--no-fund", "--silent"], ["npm", "run", "build", "--silent"]):
            if subprocess.run(command, cwd=Path(folder, "assets"), check=False).returncode != 0:
                return False
        same = filecmp.cmp(built, ROOT / "static" / "css" / "app.css", shallow=False)
    if not same:
        print("static/css/app.css is not what assets/ builds: run `make css` and commit it.")
    return same


def main() -> int:
    steps: dict[str, tuple[list[str], dict[str, str]]] = {
        "ruff check": ([sys.executable, "-m", "ruff", "check", "."], {}),
        "ruff format": ([sys.executable, "-m", "ruff", "format", "--check", "."], {}),
        "mypy": ([sys.executable, "-m", "mypy"], {"DJANGO_SETTINGS_MODULE": "config.settings"} | production()),
        "djlint": ([sys.executable, "-m", "djlint", "templates", "--lint", "--quiet"], {}),
        "migrations": ([*MANAGE, "makemigrations", "--check", "--dry-run"], {"DEBUG": "1"}),
        "deployment": ([*MANAGE, "check", "--deploy", "--fail-level", "WARNING"], production()),
    }
    failed = []
    for name, (command, variables) in steps.items():
        started = time.monotonic()
        print(f"--- {name}", flush=True)
        if subprocess.run(command, cwd=ROOT, env=os.environ | variables, check=False).returncode != 0:
            failed.append(name)
        print(f"    {time.monotonic() - started:.0f} s", flush=True)
    print("--- css", flush=True)
    if not css_reproduces():
        failed.append("css")
    print(f"FAILED: {', '.join(failed)}" if failed else "All checks passed.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
