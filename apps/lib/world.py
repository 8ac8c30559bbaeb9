"""What the engine takes from outside: the time, waiting, new ids and chance.

Engine code asks here and nowhere else (lint says so), so that a test can put another world in place and let whole
histories run in virtual time, the same again for the same seed.
"""

import random as _random
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol


class World(Protocol):
    """`now` is aware UTC; `monotonic` and `sleep` are in seconds; `random` is in [0, 1)."""

    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...
    def new_id(self) -> uuid.UUID: ...
    def random(self) -> float: ...


class RealWorld:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def new_id(self) -> uuid.UUID:
        return uuid.uuid4()

    def random(self) -> float:
        return _random.random()  # noqa: S311 - spreads retries, guards nothing


_world: World = RealWorld()


@contextmanager
def replaced(world: World) -> Iterator[World]:
    """Put another world in place for the whole process, all its threads, while the block runs."""
    global _world
    before, _world = _world, world
    try:
        yield world
    finally:
        _world = before


def now() -> datetime:
    return _world.now()


def now_ms() -> int:
    """Return Unix milliseconds."""
    return int(_world.now().timestamp() * 1000)


def monotonic() -> float:
    return _world.monotonic()


def sleep(seconds: float) -> None:
    _world.sleep(seconds)


def new_id() -> uuid.UUID:
    return _world.new_id()


def random() -> float:
    return _world.random()
