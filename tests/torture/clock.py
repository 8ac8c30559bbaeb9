"""Time that moves only when it is told, and ids and chance from a seed: the engine's world in a simulator."""

import random
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 2, 12, tzinfo=UTC)


class VirtualWorld:
    """`jump` turns our own clock against the venue's, which follows the true time. Waiting is what makes time pass."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._true = timedelta()
        self._jumped = timedelta()
        self.was_turned = False
        # Called with the true time to come to, in microseconds, before it is come to.
        self.on_pass: Callable[[int], None] = lambda until_us: None

    def now(self) -> datetime:
        return START + self._true + self._jumped

    def monotonic(self) -> float:
        return self._true / timedelta(seconds=1)

    def sleep(self, seconds: float) -> None:
        self.go_to(self.true_us + round(seconds * 1_000_000))

    def new_id(self) -> uuid.UUID:
        return uuid.UUID(int=self._dice.getrandbits(128), version=4)

    def random(self) -> float:
        return self._dice.random()

    @property
    def true_us(self) -> int:
        return self._true // timedelta(microseconds=1)

    def go_to(self, true_us: int) -> None:
        self.on_pass(true_us)
        self._true = max(self._true, timedelta(microseconds=true_us))

    def jump(self, seconds: float) -> None:
        self._jumped += timedelta(seconds=seconds)
        self.was_turned |= seconds != 0

    @property
    def jumped(self) -> timedelta:
        return self._jumped

    def venue_ms(self) -> int:
        """Return what the venue's clock shows: nobody turns it."""
        return int((START + self._true).timestamp() * 1000)
