"""Fixtures of every test. What needs Django is imported where it is used: the pure tests also run without it."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_django
from django.conf import settings

if TYPE_CHECKING:
    from tests.people import Member
    from tests.shared_paper import SharedPaper


def pytest_configure(config: pytest.Config) -> None:
    # whitenoise warns that nothing was collected; tests serve no collected files.
    config.addinivalue_line("filterwarnings", "ignore:No directory at:UserWarning")


@pytest.fixture(scope="session", autouse=True)
def _taps() -> Iterator[None]:
    if not settings.configured:
        yield
        return
    from tests.canary import guard

    with guard.taps():
        yield


@pytest.fixture(autouse=True)
def _no_secret_leaves(_taps: None) -> Iterator[None]:
    """Fail a test in which a marked credential or a whole pointer left the process: see tests/canary/guard.py."""
    if not settings.configured:
        yield
        return
    from tests.canary.guard import Guard

    with Guard() as guard:
        yield
    if guard.leaks:
        pytest.fail("a secret left the process:\n" + "\n".join(str(leak) for leak in guard.leaks))


@pytest.fixture(autouse=True)
def _empty_cache(request: pytest.FixtureRequest) -> None:
    """Rate limits live in the cache. Only tests that may touch the database can reach it."""
    if {"db", "transactional_db", "live_server"} & set(request.fixturenames) or request.node.get_closest_marker(
        "django_db"
    ):
        from django.core.cache import cache

        cache.clear()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Name the threads and processes that still hold a connection when the database is dropped, instead of hanging."""
    yield
    from django.db import connection

    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid), application_name, query FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        left = [f"{name or 'unnamed'}: {query[:200]}" for _, name, query in cursor.fetchall()]
    if left:
        raise RuntimeError("connections were left open by threads or processes of the tests:\n" + "\n".join(left))


@pytest.fixture
def owner(db: None) -> "Member":
    from tests.people import member

    return member()


@pytest.fixture
def stranger(db: None) -> "Member":
    """Owner of another workspace."""
    from tests.people import member

    return member()


@pytest.fixture(scope="session")
def _paper_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator["SharedPaper"]:
    from tests.shared_paper import SharedPaper

    folder: Path = tmp_path_factory.mktemp("paper")
    process = SharedPaper(folder, faults=True, control_token=secrets.token_hex(16))
    process.start()
    yield process
    process.stop()


@pytest.fixture
def paper(_paper_process: "SharedPaper", settings: pytest_django.Settings) -> Iterator["SharedPaper"]:
    """The real paper exchange behind PAPER_URL. Its accounts are for `ConnectorFactory(credentials=…)`."""
    from tests.shared_paper import hang_up

    _paper_process.prepare()
    settings.PAPER_URL = _paper_process.base_url
    settings.PAPER_CONTROL_TOKEN = _paper_process.control_token
    hang_up()
    yield _paper_process
    hang_up()
    _paper_process.reset()
