"""Faults on order, for tests of the other side. Nothing runs unless the process was started with faults allowed."""

from dataclasses import dataclass
from typing import Literal, get_args

Action = Literal["drop_answer", "drop_request", "delay", "status", "html"]
ACTIONS: tuple[str, ...] = get_args(Action)
MOST_TIMES = 100_000
LONGEST_DELAY_MS = 600_000


@dataclass(slots=True)
class Fault:
    """What happens to the next `times` requests of a route.

    drop_answer   the request is carried out, then the connection is cut without a byte
    drop_request  the connection is cut and nothing is carried out
    delay         carried out at once, answered delay_ms later
    status        carried out when `accepted`, answered with an empty body and this HTTP status
    html          carried out when `accepted`, answered with a blocking page (403 unless a status is given)
    """

    route: str
    action: str
    times: int
    delay_ms: int
    status: int
    accepted: bool

    @property
    def carries_out(self) -> bool:
        return self.action in {"drop_answer", "delay"} or (self.action in {"status", "html"} and self.accepted)


HTML_PAGE = (
    "<!DOCTYPE html><html><head><title>Attention Required! | Cloudflare</title></head>"
    "<body><h1>Sorry, you have been blocked</h1></body></html>"
)


class FaultRoom:
    def __init__(self, *, allowed: bool) -> None:
        self.allowed = allowed
        self._waiting: list[Fault] = []

    def arm(self, fault: Fault) -> None:
        self._waiting.append(fault)

    def clear(self) -> None:
        self._waiting.clear()

    def take(self, route: str) -> Fault | None:
        """Return the oldest fault waiting for the route and count it down."""
        for fault in self._waiting:
            if fault.route == route:
                fault.times -= 1
                if fault.times <= 0:
                    self._waiting.remove(fault)
                return fault
        return None
