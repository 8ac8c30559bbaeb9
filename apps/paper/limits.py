"""Rate limits per route: a window opens with its first call; calls past the limit get 429, going on earns 418."""

from collections.abc import Callable
from dataclasses import dataclass

from apps.paper.refusals import Refusal

BAN_SECONDS = 60.0
_KEEP = 20_000


@dataclass(frozen=True, slots=True)
class Limit:
    count: int
    seconds: int
    mode: str


DEFAULT_LIMIT = Limit(600, 60, "IP")


@dataclass(slots=True)
class _Window:
    until: float
    used: int = 0


class RateLimiter:
    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` returns seconds that never run back."""
        self._clock = clock
        self._windows: dict[tuple[str, str], _Window] = {}
        self._banned: dict[str, float] = {}

    def use(self, route: str, caller: str, limit: Limit) -> int:
        """Count one call and return how many this window has seen. The caller is the address or the key."""
        now = self._clock()
        window = self._windows.get((route, caller))
        if window is None or now >= window.until:
            self._forget(now)
            window = self._windows[route, caller] = _Window(until=now + limit.seconds)
        window.used += 1
        return window.used

    def check(self, caller: str, used: int, limit: Limit) -> None:
        now = self._clock()
        if self._banned.get(caller, now) > now:
            raise Refusal(30017)
        if used <= limit.count:
            return
        # As many refused calls as the window allows good ones: the caller is not listening.
        if used > 2 * limit.count + 10:
            self._banned[caller] = now + BAN_SECONDS
            raise Refusal(30017)
        raise Refusal(30013)

    def end_windows(self) -> None:
        """Begin new windows everywhere, as if the time of the running ones were over; bans stay."""
        self._windows.clear()

    def _forget(self, now: float) -> None:
        if len(self._windows) < _KEEP:
            return
        self._windows = {key: window for key, window in self._windows.items() if window.until > now}
        self._banned = {caller: until for caller, until in self._banned.items() if until > now}
