"""Time that moves only when it is told, and ids and chance from a seed: the engine's world in a simulator."""

import random
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
_START_S = int(START.timestamp())


class VirtualWorld:
    """`jump` turns our own clock against the venue's, which follows the true time. Waiting is what makes time pass."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        # The true time since START, in microseconds: asked for more often than anything else of a world.
        self.true_us = 0
        self._jumped = timedelta()
        # What `now` was when it was last asked for, and the true time then.
        self._shown, self._shown_us = START, 0
        self.was_turned = False
        # Called with the true time to come to, in microseconds, before it is come to.
        self.on_pass: Callable[[int], None] = lambda until_us: None

    def now(self) -> datetime:
        if self._shown_us != self.true_us:
            self._shown = START + timedelta(microseconds=self.true_us) + self._jumped
            self._shown_us = self.true_us
        return self._shown

    def monotonic(self) -> float:
        return self.true_us / 1_000_000

    def sleep(self, seconds: float) -> None:
        self.go_to(self.true_us + round(seconds * 1_000_000))

    def new_id(self) -> uuid.UUID:
        return uuid.UUID(int=self._dice.getrandbits(128), version=4)

    def random(self) -> float:
        return self._dice.random()

    def go_to(self, true_us: int) -> None:
        self.on_pass(true_us)
        self.true_us = max(self.true_us, true_us)

    def jump(self, seconds: float) -> None:
        self._jumped += timedelta(seconds=seconds)
        self._shown_us = -1
        self.was_turned |= seconds != 0

    @property
    def jumped(self) -> timedelta:
        return self._jumped

    def venue_ms(self) -> int:
        """Return what the venue's clock shows: nobody turns it."""
        return (_START_S * 1_000_000 + self.true_us) // 1000
