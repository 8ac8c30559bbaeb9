"""What one address and one socket may do: BitMart's figures, and the windows that count against them."""

from collections import defaultdict, deque
from dataclasses import dataclass, replace

SILENCE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Allowance:
    """Zero means that no figure is known and none is kept."""

    connections: int
    connects_a_minute: int
    channels: int
    topics_a_message: int
    bytes_a_message: int
    messages_in_ten_seconds: int
    seconds_without_topic: float


_SPOT_PUBLIC = Allowance(
    connections=20,
    connects_a_minute=30,
    channels=115,
    topics_a_message=20,
    bytes_a_message=4096,
    messages_in_ten_seconds=100,
    seconds_without_topic=300.0,
)
_SPOT_PRIVATE = replace(_SPOT_PUBLIC, connections=10, channels=100)
_FUTURES = Allowance(
    connections=500,
    connects_a_minute=0,
    channels=0,
    topics_a_message=0,
    bytes_a_message=0,
    messages_in_ten_seconds=0,
    seconds_without_topic=5.0,
)


class SocketLimits:
    def __init__(self, *, connections: int = 0) -> None:
        """`connections` replaces every figure for connections of one address; 0 leaves BitMart's."""
        self._replaced = connections
        self._open: defaultdict[tuple[str, str, bool], int] = defaultdict(int)
        self._connects: defaultdict[tuple[str, str], deque[float]] = defaultdict(deque)

    def of(self, market: str, *, private: bool) -> Allowance:
        if market != "spot":
            found = _FUTURES
        else:
            found = _SPOT_PRIVATE if private else _SPOT_PUBLIC
        if self._replaced:
            return replace(found, connections=self._replaced, connects_a_minute=0)
        return found

    def admit(self, address: str, market: str, *, private: bool, now: float) -> str:
        """Count a connection in and return "", or "often" or "many" when the address has used its share."""
        allowance = self.of(market, private=private)
        if allowance.connects_a_minute:
            recent = self._connects[address, market]
            forget_before(recent, now - 60)
            if len(recent) >= allowance.connects_a_minute:
                return "often"
            recent.append(now)
        if self._open[address, market, private] >= allowance.connections:
            return "many"
        self._open[address, market, private] += 1
        return ""

    def leave(self, address: str, market: str, *, private: bool) -> None:
        key = (address, market, private)
        self._open[key] -= 1
        if self._open[key] <= 0:
            del self._open[key]


def forget_before(times: deque[float], start: float) -> None:
    while times and times[0] <= start:
        times.popleft()
