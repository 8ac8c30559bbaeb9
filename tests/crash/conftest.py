from collections.abc import Iterator

import pytest

from tests.crash.processes import Process
from tests.engine.conftest import Bench, _rows_of_migrations, bench, committed
from tests.shared_paper import SharedPaper

__all__ = ["_rows_of_migrations", "committed"]


@pytest.fixture
def futures(committed: None, paper: SharedPaper) -> Bench:
    return bench(paper, "futures")


@pytest.fixture(scope="module")
def grave(_paper_process: SharedPaper, django_db_setup: None) -> Iterator[Process]:
    """Makes workers that die at a point; see POINTS in tests/crash/launch.py."""
    _paper_process.prepare()
    process = Process("points", PAPER_URL=_paper_process.base_url)
    process.wait_for("ready")
    yield process
    process.kill()
