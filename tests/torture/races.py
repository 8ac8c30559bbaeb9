"""Two workers forced on one row: each contest is run so often, each side ahead in every second race.

Both sides read the row first, run to the statement they contend at, wait there for each other, and go on at once, one
of them a moment ahead. Whoever loses has to take it well: one winner, nothing raised, no event lost.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from tests.torture import database
from tests.torture.contests import CONTESTS, Race, Stage, replayed, stage
from tests.torture.tally import Tally

MOST_AHEAD_S = 0.001
# Before so many races the rows of others go: a worker that plans reads all that lies open at its connector.
EMPTIED_EVERY = 100


class _Gate:
    """Holds the first statement that matches until the other side is at its own, and a moment longer when behind."""

    def __init__(self, pattern: str, barrier: threading.Barrier, wait_s: float) -> None:
        self.pattern, self.barrier, self.wait_s = re.compile(pattern), barrier, wait_s
        self.is_passed = self.has_met = False

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if not self.is_passed and self.pattern.search(sql):
            self.is_passed = True
            try:
                self.barrier.wait(10)
                self.has_met = True
            except threading.BrokenBarrierError:
                pass  # the other side ended without coming here
            if self.wait_s:
                time.sleep(self.wait_s)
        return execute(sql, params, many, context)


class Pair:
    """Two threads with a database connection each, for as long as the block runs."""

    def __enter__(self) -> "Pair":
        self._todo: list[SimpleQueue[Any]] = [SimpleQueue(), SimpleQueue()]
        self._done: SimpleQueue[tuple[int, Any, BaseException | None]] = SimpleQueue()
        self._threads = [threading.Thread(target=self._work, args=(side,)) for side in (0, 1)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for queue in self._todo:
            queue.put(None)
        for thread in self._threads:
            thread.join(30)

    def contest(
        self, works: tuple[Callable[[], Any], Callable[[], Any]], *, at: tuple[str, str], ahead: int, by_s: float
    ) -> tuple[list[Any], list[BaseException], bool]:
        """Run both, `ahead` first from the contested statement on; return results, what was raised, and if they met."""
        barrier = threading.Barrier(2)
        gates = [_Gate(at[side], barrier, by_s if side != ahead else 0) for side in (0, 1)]
        for side in (0, 1):
            self._todo[side].put((works[side], gates[side]))
        results: list[Any] = [None, None]
        raised = []
        for _ in works:
            side, result, error = self._done.get(timeout=60)
            results[side] = result
            if error is not None:
                raised.append(error)
        return results, raised, gates[0].has_met and gates[1].has_met

    def _work(self, side: int) -> None:
        from django.db import connection

        try:
            while (task := self._todo[side].get()) is not None:
                work, gate = task
                result = error = None
                with connection.execute_wrapper(gate):
                    try:
                        result = work()
                    except BaseException as caught:  # noqa: BLE001 - told by contest
                        error = caught
                    if not gate.is_passed:
                        gate.barrier.abort()
                self._done.put((side, result, error))
        finally:
            connection.close()


@dataclass(slots=True)
class Score:
    races: int = 0
    met: int = 0
    violations: list[str] = field(default_factory=list)


def run(contest: Callable[[Stage], Race], stage: Stage, pair: Pair, *, races: int) -> Score:
    """Run one contest so often each way round."""
    score = Score()
    for number in range(2 * races):
        if not number % EMPTIED_EVERY:
            database.empty()
        race = contest(stage)
        ahead = number % 2
        # Every fourth pair of races starts level; the others leave one side a moment ahead.
        by_s = 0 if number % 8 < 2 else MOST_AHEAD_S * stage.dice.random()
        results, raised, met = pair.contest(race.works, at=race.at, ahead=ahead, by_s=by_s)
        score.races += 1
        score.met += met
        wrong = [f"raised {error!r}" for error in raised]
        if not raised:
            wrong += [race.check(results), *(replayed(order) for order in race.orders)]
        score.violations += [f"{contest.__name__}, race {number}: {what}" for what in wrong if what]
    return score


@contextmanager
def quiet() -> Iterator[None]:
    """Losers say so in the log: a line a race."""
    logger = logging.getLogger("apps")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def main(count: int, seed: int) -> Tally:
    """Run `count` races each way round, spread over all contests, in a database of its own."""
    started = time.monotonic()
    tally = Tally("two workers on one row", seed)
    with database.opened(f"races_{seed}"), quiet(), Pair() as pair:
        ground = stage(seed)
        for contest in CONTESTS:
            score = run(contest, ground, pair, races=-(-count // len(CONTESTS)))
            tally.histories += score.races
            tally.faults += score.met
            tally.violations += score.violations
    tally.seconds = time.monotonic() - started
    return tally
