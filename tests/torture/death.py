"""Where a worker may die or freeze: around every commit, send and receive."""

import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, connections

_WRITES = ("INSERT", "UPDATE", "DELETE")
_WRITES_WITHIN = re.compile(r"\b(INSERT INTO|UPDATE|DELETE FROM) ")


class DiedError(BaseException):
    """Ends the worker there: nothing catches it, and nothing it does afterwards reaches the database or the venue."""


class Reaper:
    """Counts the points a worker passes. `death_in` points from now it dies, `freeze_in` points from now it freezes.

    `passed` names every point since `watch` was set: a clean run tells there which deaths can be died.
    """

    def __init__(self) -> None:
        self.death_in = self.freeze_in = 0
        self.is_dead = False
        self.on_freeze: Callable[[], None] = lambda: None
        self.passed: list[str] | None = None
        self.deaths = self.freezes = 0

    def point(self, name: str) -> None:
        """Die, freeze or go on."""
        if self.is_dead:
            raise DiedError(name)
        if self.passed is not None:
            self.passed.append(name)
        if self.freeze_in:
            self.freeze_in -= 1
            if not self.freeze_in:
                # Another process would wait for what this one has locked; one connection cannot show that.
                if connection.in_atomic_block or not connection.autocommit:
                    self.freeze_in = 1
                else:
                    self.freezes += 1
                    self.on_freeze()
        if self.death_in:
            self.death_in -= 1
            if not self.death_in:
                self.die(name)

    def die(self, name: str) -> None:
        self.is_dead = True
        self.deaths += 1
        raise DiedError(name)

    def bury(self) -> None:
        """Another process takes the dead one's place."""
        self.is_dead = False
        self.death_in = 0

    def run(self, work: Callable[[], Any]) -> bool:
        """Run `work` as one process does; False when it died."""
        try:
            work()
        except DiedError:
            if connection.in_atomic_block or connection.needs_rollback:
                raise RuntimeError("a dead worker left a transaction open") from None
            self.bury()
            return False
        return True


@contextmanager
def tapped(reaper: Reaper) -> Iterator[None]:
    """Lead every commit of this connection past the reaper."""
    # This thread's own: to look it up costs as much as the rest of what is done at a statement.
    database = connections[DEFAULT_DB_ALIAS]
    commit = database._commit

    def committed() -> None:
        try:
            reaper.point("before commit")
        except DiedError:
            database._rollback()
            raise
        commit()
        reaper.point("after commit")

    def executed(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if reaper.is_dead:
            raise DiedError("dead")
        if database.in_atomic_block or not _is_write(sql):
            return execute(sql, params, many, context)
        reaper.point("before write")
        result = execute(sql, params, many, context)
        reaper.point("after write")
        return result

    database._commit = committed  # type: ignore[method-assign]
    try:
        with database.execute_wrapper(executed):
            yield
    finally:
        database._commit = commit  # type: ignore[method-assign]


@lru_cache(maxsize=4096)
def _is_write(sql: str) -> bool:
    """`sql` is one statement or several that go together."""
    for one in sql.split("; "):
        begun = one.lstrip()
        if begun.startswith(_WRITES) or (begun.startswith("WITH ") and _WRITES_WITHIN.search(begun)):
            return True
    return False


def draw_points(dice: random.Random) -> int:
    """Return after how many points: mostly within one order's life, now and then later."""
    return dice.randint(1, 24) if dice.random() < 0.7 else dice.randint(1, 200)
