"""Faults on order, for tests of the other side. Nothing runs unless the process was started with faults allowed."""

import random
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Literal, get_args

Action = Literal[
    "drop_answer",
    "drop_request",
    "delay",
    "hold",
    "status",
    "html",
    "code",
    "too_many",
    "banned",
    "maintenance",
    "retired",
    "no_data",
    "truncated",
    "cut_answer",
    "other_order",
    "odd_state",
    "ignore_filter",
    "not_applied",
    "invisible",
    "twice",
    "reversed",
    "push_first",
]
StreamAction = Literal["gap", "duplicate", "out_of_order", "empty_data", "disconnect"]
HTTP_ACTIONS: tuple[str, ...] = get_args(Action)
STREAM_ACTIONS: tuple[str, ...] = (*get_args(StreamAction), "delay")
ACTIONS: tuple[str, ...] = tuple(dict.fromkeys((*HTTP_ACTIONS, *STREAM_ACTIONS)))
STREAM_PREFIXES = ("spot/", "futures/")
MOST_TIMES = 100_000
MOST_RULES = 1_000
LONGEST_DELAY_MS = 600_000
LARGEST_SKEW_MS = 86_400_000
_KEPT = 1_000

# These act on what the exchange says, so the exchange has to be asked first.
_ALWAYS_CARRIED_OUT = frozenset(
    {"drop_answer", "delay", "hold", "no_data", "truncated", "cut_answer", "other_order", "odd_state", "ignore_filter"}
    | {"not_applied", "invisible", "twice", "reversed", "push_first"}
)


@dataclass(slots=True)
class Fault:
    """One rule: what happens to the requests, or pushes, it matches. The first rule that matches and fires wins.

    `route` is an HTTP path, or a stream's channel such as futures/order; `*` in it stands for anything. `account` is an
    access key, `client_order_id` a pattern; empty matches all. It fires from the `nth` match on, `times` times, each
    with `probability` by the dice of `seed`.

    drop_answer    carried out, then the connection is cut without a byte
    drop_request   the connection is cut and nothing is carried out
    delay          carried out at once, answered delay_ms later; of a push: sent delay_ms later
    hold           carried out delay_ms later, even when the caller has gone
    status         carried out when `accepted`, answered with an empty body and this HTTP status
    html           carried out when `accepted`, answered with a blocking page (403 unless a status is given)
    code           carried out when `accepted`, answered with this `code`, HTTP `status` and `message`
    too_many       `code` 30013 with 429
    banned         `code` 30017 with 418
    maintenance    `code` 30016 with 200
    retired        carried out when `accepted`, answered in the shape without message and data, 30031
    no_data        carried out, answered 1000 with data absent, null, empty ({}) or text ("")
    truncated      carried out, answered with half of the JSON
    cut_answer     carried out, answered with half of the JSON, then the connection is cut
    other_order    carried out, answered with the ids of another order
    odd_state      carried out, orders are in a state that no page names
    ignore_filter  a GET is carried out as if it named no order
    not_applied    answered as if carried out, and nothing is
    invisible      carried out, rows younger than delay_ms are missing from the answer
    twice          carried out, each row of the answer comes twice
    reversed       carried out, the rows come in the other order
    push_first     carried out, answered once the pushes have left

    gap            the push is not sent
    duplicate      the push is sent twice
    out_of_order   the push is sent after the next one of its topic
    empty_data     the push is sent with "" for data
    disconnect     the connection is cut in place of the push
    """

    route: str
    action: str
    times: int
    delay_ms: int
    status: int
    accepted: bool
    account: str = ""
    client_order_id: str = ""
    nth: int = 1
    probability: Decimal = Decimal(1)
    seed: int = 1
    code: int = 0
    message: str = ""
    data: str = "absent"
    matched: int = 0
    fired: int = 0
    dice: random.Random = field(default_factory=random.Random, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)  # noqa: S311

    @property
    def carries_out(self) -> bool:
        return self.accepted or self.action in _ALWAYS_CARRIED_OUT

    def covers(self, route: str, account: str, client_order_ids: Collection[str]) -> bool:
        if self.fired >= self.times or not fnmatchcase(route, self.route):
            return False
        if self.account and self.account != account:
            return False
        return not self.client_order_id or any(fnmatchcase(name, self.client_order_id) for name in client_order_ids)

    def fires(self) -> bool:
        """Count a match and throw the dice."""
        self.matched += 1
        if self.matched < self.nth:
            return False
        if self.probability < 1 and Decimal(self.dice.random()) >= self.probability:
            return False
        self.fired += 1
        return True


@dataclass(frozen=True, slots=True)
class Fired:
    at_ms: int
    rule: int
    route: str
    action: str
    account: str
    client_order_ids: tuple[str, ...]


class FaultRoom:
    def __init__(self, *, allowed: bool) -> None:
        self.allowed = allowed
        self.rules: list[Fault] = []
        self.log: deque[Fired] = deque(maxlen=_KEPT)
        self.skew_ms = 0
        self.has_stream_rules = False

    def arm(self, *faults: Fault) -> None:
        self.rules.extend(faults)
        self.has_stream_rules = any(_may_be_stream(fault.route) for fault in self.rules)

    def clear(self) -> None:
        self.rules.clear()
        self.log.clear()
        self.skew_ms = 0
        self.has_stream_rules = False

    def skewed(self, clock: Callable[[], int]) -> Callable[[], int]:
        """Return the clock put forward, or back, by what was ordered."""
        return lambda: clock() + self.skew_ms

    def take(
        self, route: str, *, account: str = "", client_order_ids: Collection[str] = (), now_ms: int = 0
    ) -> Fault | None:
        """Return the first rule that fires for the call or push, and write it down."""
        stream = route.startswith(STREAM_PREFIXES)
        for number, fault in enumerate(self.rules):
            if fault.action not in (STREAM_ACTIONS if stream else HTTP_ACTIONS):
                continue
            if fault.covers(route, account, client_order_ids) and fault.fires():
                self.log.append(Fired(now_ms, number, route, fault.action, account, tuple(client_order_ids)))
                return fault
        return None


def _may_be_stream(route: str) -> bool:
    return not route.startswith("/")
