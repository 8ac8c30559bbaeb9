"""The kill campaign itself runs beside the suite (make torture-quick); here it is kept fit to run."""

import inspect
import os
import signal
from pathlib import Path
from pkgutil import resolve_name

import pytest

from tests.torture import mines
from tests.torture.mines import WINDOWS, Field


@pytest.mark.parametrize("window", WINDOWS)
def test_window_is_somewhere_on_the_way_of_an_alert(window: str) -> None:
    module, attribute = WINDOWS[window].target.rsplit(".", 1)

    assert inspect.isfunction(getattr(resolve_name(module), attribute))


@pytest.mark.parametrize(("when", "did"), [("before", []), ("after", ["work"])])
def test_first_to_step_on_a_mine_is_killed_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, did: list[str]
) -> None:
    done: list[str] = []
    hit: list[tuple[list[str], int]] = []
    monkeypatch.setattr(mines, "WINDOWS", {"one": mines.Point(when, "tests.torture.test_kills.work")})
    monkeypatch.setattr("tests.torture.test_kills.work", lambda: done.append("work"))
    monkeypatch.setattr(os, "kill", lambda _, number: hit.append((list(done), number)))
    field = Field(tmp_path / "mines")
    field.lay_out()
    work()
    assert hit == []
    done.clear()

    mine = field.lay("one", signal.SIGKILL)
    work()
    work()

    assert hit == [(did, signal.SIGKILL)]
    assert (done, mine.exists()) == (["work", "work"], False)


def work() -> None: ...
