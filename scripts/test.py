#!/usr/bin/env python3
"""Run the suite; arguments go to pytest. Browser tests need a Chromium; REQUIRE_BROWSER=1 insists on one.

`--servers` runs all that uses PostgreSQL and Redis as DATABASE_URL and REDIS_URL name them, and says what is left out.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Neither uses the suite's servers: browser tests start the product on its own, the paper exchange has no database.
SERVERLESS = ("tests/e2e", "tests/paper")
WITHOUT = "NO CHROMIUM FOUND: the browser tests did NOT run. Debian: apt-get install chromium; or set CHROMIUM."


def main() -> int:
    chromium = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), "")
    if not chromium and os.environ.get("REQUIRE_BROWSER") == "1":
        print(WITHOUT, file=sys.stderr)
        return 1
    chosen = sys.argv[1:]
    all_of_it = ["-n", str(min(os.cpu_count() or 1, 4)), "-p", "tests.e2e.scheduling"]
    if chosen == ["--servers"]:
        print(f"All but {' and '.join(SERVERLESS)}, which use neither of the two servers.", flush=True)
        chosen = [*all_of_it, *(f"--ignore={folder}" for folder in SERVERLESS)]
    command = [sys.executable, "-m", "pytest", *(chosen or all_of_it)]
    if not chromium:
        print(f"\n*** {WITHOUT}\n", file=sys.stderr)
        command += ["-m", "not browser"]
    code = subprocess.run(command, cwd=ROOT, env=os.environ | {"CHROMIUM": chromium}, check=False).returncode
    if not chromium:
        print(f"\n*** {WITHOUT}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
