import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from config import embedded

pytestmark = pytest.mark.process

FILLED_IN = (
    "DATABASE_URL",
    "REDIS_URL",
    "SECRET_KEY",
    "POINTER_KEY",
    "DISPLAY_KEY",
    "CREDENTIALS_PUBLIC_KEY",
    "CREDENTIALS_PRIVATE_KEY",
    "PAPER_CONTROL_TOKEN",
    "STATE_DIR",
)
USER = "import sys; from pathlib import Path; from config import embedded; embedded.prepare(Path(sys.argv[1])); "


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run with DEBUG on and nothing filled in; put the suite's own values back."""
    before = {name: os.environ.get(name) for name in (*FILLED_IN, "DEBUG")}
    for name in FILLED_IN:
        os.environ.pop(name, None)
    os.environ["DEBUG"] = "1"
    yield
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder the database's own user can reach: pytest shuts its own to others at every start."""
    with tempfile.TemporaryDirectory(prefix="sferica-embedded-") as name:
        yield Path(name)


@pytest.fixture
def state_dir(folder: Path) -> Iterator[Path]:
    yield folder / "state"
    embedded.release(folder / "state")


def running(state_dir: Path) -> list[str]:
    listing = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listing.splitlines() if str(state_dir) in line]


def test_prepared_servers_answer_at_the_addresses_in_the_environment(state_dir: Path) -> None:
    embedded.prepare(state_dir, for_tests=True)

    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        row = connection.execute("SELECT current_user, current_setting('is_superuser')").fetchone()
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        assert client.ping() is True
    assert row == ("sferica", "off")


def test_second_command_shares_the_servers_and_the_last_to_leave_stops_them(state_dir: Path) -> None:
    embedded.prepare(state_dir, for_tests=True)
    before = running(state_dir)

    second = subprocess.run(
        [
            sys.executable,
            "-c",
            USER + "print(open(Path(sys.argv[1]) / 'postgres/postmaster.pid').readline())",
            state_dir,
        ],
        cwd=embedded.ROOT,
        env={name: value for name, value in os.environ.items() if name not in FILLED_IN},
        capture_output=True,
        text=True,
        check=True,
    )

    assert second.stdout.split() == (state_dir / "postgres/postmaster.pid").read_text().split()[:1]
    assert running(state_dir) == before
    embedded.release(state_dir)
    assert running(state_dir) == []


def test_killed_user_leaves_no_server_behind(state_dir: Path) -> None:
    user = subprocess.Popen(
        [sys.executable, "-c", USER + "print('up', flush=True); sys.stdin.read()", state_dir],
        cwd=embedded.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with user:
        assert user.stdout is not None
        assert user.stdout.readline() == b"up\n"

        user.send_signal(signal.SIGKILL)

    deadline = time.monotonic() + 20
    while running(state_dir) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert running(state_dir) == []


def test_data_is_there_after_a_restart(state_dir: Path) -> None:
    embedded.prepare(state_dir)
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        client.set("kept", "7")
    embedded.release(state_dir)

    embedded.boot(state_dir, ["DATABASE_URL", "REDIS_URL"])

    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (7,)
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        assert client.get("kept") == b"7"


def test_state_directory_with_a_path_too_long_for_sockets_works(folder: Path) -> None:
    state_dir = folder / ("long-" * 24)

    embedded.prepare(state_dir, for_tests=True)

    try:
        assert len(str(embedded.redis_socket(state_dir))) <= embedded.LONGEST_SOCKET_PATH
        assert embedded.redis_socket(state_dir).parent.stat().st_mode & 0o777 == 0o700
        with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        embedded.release(state_dir)
        shutil.rmtree(embedded.redis_socket(state_dir).parent.parent)


def test_fakeredis_takes_over_where_no_server_is_found(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "redis_binary", lambda: None)
    os.environ["DATABASE_URL"] = "postgresql://somewhere/else"

    embedded.prepare(state_dir)

    with (
        redis.Redis.from_url(os.environ["REDIS_URL"]) as first,
        redis.Redis.from_url(os.environ["REDIS_URL"]) as second,
    ):
        first.set("key", "value")
        assert second.get("key") == b"value"
    assert [line for line in running(state_dir) if "bin/postgres" in line] == []


def test_debug_off_refuses_and_starts_nothing(tmp_path: Path) -> None:
    os.environ["DEBUG"] = "0"

    with pytest.raises(embedded.EmbeddedServiceError, match="DATABASE_URL and REDIS_URL not set"):
        embedded.prepare(tmp_path / "state")

    assert not (tmp_path / "state").exists()


def test_debug_off_with_both_addresses_given_changes_nothing(tmp_path: Path) -> None:
    os.environ |= {"DEBUG": "0", "DATABASE_URL": "postgresql://a/b", "REDIS_URL": "redis://a/0"}

    embedded.prepare(tmp_path / "state")

    assert "SECRET_KEY" not in os.environ
    assert not (tmp_path / "state").exists()


def test_addresses_without_a_start_are_those_of_a_later_start(state_dir: Path) -> None:
    embedded.prepare(state_dir, start=False)
    announced = os.environ["DATABASE_URL"], os.environ["REDIS_URL"]
    assert running(state_dir) == []

    embedded.boot(state_dir, ["DATABASE_URL", "REDIS_URL"], for_tests=True)

    psycopg.connect(announced[0]).close()
    with redis.Redis.from_url(announced[1]) as client:
        assert client.ping() is True
