#!/usr/bin/env python3
"""Install what pyproject.toml pins into `.venv`, from any Python 3.11 or newer. Standard library only.

    python3 scripts/bootstrap.py [--dev] [--no-uv]

uv is used when it can be had, plain pip otherwise. A second run finds its stamp and costs nothing.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - an older one must reach this line to be told
    sys.exit(
        "Python {}.{} is too old: 3.11 or newer is needed.\n"
        "Name another: make run PYTHON=python3.12 (or install one, e.g. apt-get install python3)".format(
            *sys.version_info
        )
    )

import argparse
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PROJECT = ROOT / "pyproject.toml"
UV = "uv>=0.9,<1"


def main() -> None:
    options = arguments()
    python = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wanted = stamp(PROJECT.read_bytes())
    if installed(python, wanted, dev=options.dev):
        return
    started = time.monotonic()
    make_environment(python)
    lists = pinned(PROJECT.read_text(), dev=options.dev)
    print(f"Installing {len(lists['requirements'])} packages into {VENV} …", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.txt" for name in lists}
        for name, lines in lists.items():
            files[name].write_text("".join(f"{line}\n" for line in lines))
        install(python, files, use_uv=not options.no_uv)
    for name in ("run", "dev") if options.dev else ("run",):
        stamp_file(name).write_text(wanted)
    print(f"Installed in {time.monotonic() - started:.0f} s.", flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dev", action="store_true", help="also what tests and checks need")
    parser.add_argument("--no-uv", action="store_true", help="install with pip even when uv could be had")
    return parser.parse_args()


def stamp(project: bytes) -> str:
    """Name what an installation was made from: the pins and the interpreter."""
    return hashlib.sha256(project + sys.version.encode()).hexdigest()


def stamp_file(name: str) -> Path:
    return VENV / f"installed-{name}"


def installed(python: Path, wanted: str, *, dev: bool) -> bool:
    file = stamp_file("dev" if dev else "run")
    return python.exists() and file.exists() and file.read_text() == wanted


def make_environment(python: Path) -> None:
    """Make `.venv` from this interpreter; make it anew when it was made from another version or build."""
    if python.exists():
        code = "import sys; print(sys.version)"
        result = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
        if result.stdout.rstrip("\n") == sys.version:
            return
        print(f"Making {VENV} anew for Python {sys.version.split()[0]} …", flush=True)
    if VENV.is_symlink():
        VENV.unlink()
    shutil.rmtree(VENV, ignore_errors=True)
    try:
        venv.create(VENV, with_pip=True)
    except subprocess.CalledProcessError:
        shutil.rmtree(VENV, ignore_errors=True)
        sys.exit(
            "This Python cannot make a virtual environment with pip in it (Debian ships that apart).\n"
            f"Install it and try again: apt-get install python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        )


def pinned(text: str, *, dev: bool) -> dict[str, list[str]]:
    """Return the lines of a requirements and of a constraints file, as `pip install -r … -c …` takes them."""
    project = tomllib.loads(text)
    requirements = list(project["project"]["dependencies"])
    if dev:
        requirements += project["dependency-groups"]["dev"]
    return {"requirements": requirements, "constraints": project["tool"]["uv"]["constraint-dependencies"]}


def install(python: Path, files: dict[str, Path], *, use_uv: bool) -> None:
    arguments = ["install", "-r", str(files["requirements"]), "-c", str(files["constraints"])]
    uv = find_uv(python) if use_uv else None
    if uv is not None:
        command = [*uv, "pip", *arguments, "--python", str(python)]
        # The project's [tool.uv] is already in the two files; a hard link cannot leave the cache's file system.
        if subprocess.run(command, env=os.environ | {"UV_LINK_MODE": "copy"}, check=False).returncode == 0:
            return
        print("uv could not install; trying pip …", flush=True)
    command = [str(python), "-m", "pip", *arguments, "--disable-pip-version-check", "--no-input", "--quiet"]
    if subprocess.run(command, check=False).returncode != 0:
        sys.exit("The packages could not be installed: see the lines above. Is a package registry within reach?")


def find_uv(python: Path) -> list[str] | None:
    """Return the command for uv: the one in `.venv`, the machine's, or one that pip brings into `.venv` now."""
    inside = [str(python), "-m", "uv"]
    if subprocess.run([*inside, "--version"], capture_output=True, check=False).returncode == 0:
        return inside
    found = shutil.which("uv")
    if found is not None:
        return [found]
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", UV]
    return inside if subprocess.run(pip, check=False).returncode == 0 else None


if __name__ == "__main__":
    main()
