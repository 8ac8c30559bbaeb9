#!/usr/bin/env python
import os
import sys

import environ
from django.core.management import execute_from_command_line

from config import embedded

# These look at the code only. They get the addresses of the embedded servers and do not boot them.
WITHOUT_SERVERS = {"check", "collectstatic", "diffsettings", "help", "spectacular", "version", "--help", "--version"}
DEMO_COMMANDS = {"demo", "demo_data", "demo_facts"}


def main() -> None:
    """Fill in the environment before the settings read it; then Django."""
    command = sys.argv[1] if len(sys.argv) > 1 else "help"
    if (embedded.ROOT / ".env").is_file():
        environ.Env.read_env(embedded.ROOT / ".env")
    if command in DEMO_COMMANDS:
        os.environ.setdefault("DEBUG", "1")
    if command == "demo":
        os.environ.setdefault("SITE_URL", f"http://127.0.0.1:{os.environ.get('PORT') or 8000}")
        os.environ.setdefault("PAPER_URL", f"http://127.0.0.1:{os.environ.get('PAPER_PORT') or 8801}")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    code_only = command in WITHOUT_SERVERS or not {"--help", "-h"}.isdisjoint(sys.argv)
    try:
        embedded.prepare(embedded.default_state_dir(), start=not code_only)
    except embedded.EmbeddedServiceError as error:
        sys.exit(str(error))
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
