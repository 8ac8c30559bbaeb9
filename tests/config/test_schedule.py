"""Beat starts whatever a kill left of its file."""

from pathlib import Path

import pytest

from config.celery import app
from config.schedule import Scheduler

# What a process leaves that was killed before the values were on the disk: the names, and nothing they lead to.
NAMES = "'entries', (2048, 1266)\n'__version__', (512, 20)\n'tz', (1024, 18)\n'utc_enabled', (1536, 4)\n"


def test_file_whose_values_are_missing_is_begun_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for ending, text in ((".dir", NAMES), (".bak", NAMES), (".dat", "")):
        (tmp_path / f"beat{ending}").write_text(text)

    scheduler = Scheduler(app, schedule_filename=str(tmp_path / "beat"))

    assert set(app.conf.beat_schedule) <= set(scheduler.schedule)
    assert "beginning anew" in caplog.text
    scheduler.close()


def test_beat_takes_it() -> None:
    assert app.conf.beat_scheduler == "config.schedule:Scheduler"
