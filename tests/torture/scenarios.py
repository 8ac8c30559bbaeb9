"""What a worker is killed in: alerts that ran before, what goes wrong, and the alerts it is at when it dies."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.torture.venue import SUBMIT

Message = dict[str, Any]
FUTURES, SPOT = SUBMIT["futures"], SUBMIT["spot"]
TRADES, OPEN = "/contract/private/trades", "/contract/private/get-open-orders"


@dataclass(frozen=True, slots=True)
class Fault:
    route: str
    action: str
    details: Message = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scenario:
    """`before` runs undisturbed, `alerts` are delivered together (a list is one delivery of several messages)."""

    name: str
    alerts: Sequence[Message | list[Message]]
    before: Sequence[Message] = ()
    faults: Sequence[Fault] = ()
    market: str = "futures"
    mode: str = "one_way_mode"
    is_core: bool = False
    unreachable: int = 0


def order(action: str, prev: str, quantity: str, **more: Any) -> Message:
    return {"action": action, "prev_position": prev, "quantity": quantity, **more}


LONG, SHORT = order("buy", "flat", "0.004"), order("sell", "flat", "0.004")
OUT, HALF = order("sell", "long", "0.004"), order("sell", "long", "0.002")
TURN = order("sell", "long", "0.008")
CLOSE_ALL: Message = {"closeall": "true"}
HEDGED = "hedge_mode"


def lost(route: str) -> list[Fault]:
    return [Fault(route, "drop_answer")]


def never(route: str) -> list[Fault]:
    return [Fault(route, "drop_request")]


SCENARIOS: tuple[Scenario, ...] = (
    Scenario("entry", [LONG], is_core=True),
    Scenario("short entry", [SHORT]),
    Scenario("exit", [OUT], [LONG], is_core=True),
    Scenario("partial exit", [HALF], [LONG]),
    Scenario("exit of a short", [order("buy", "short", "0.004")], [SHORT]),
    Scenario("entry on top", [order("buy", "long", "0.002")], [LONG]),
    Scenario("reversal", [TURN], [LONG], is_core=True),
    Scenario("reversal of a short", [order("buy", "short", "0.007")], [SHORT]),
    Scenario("close all", [CLOSE_ALL], [LONG]),
    Scenario("close all while flat", [CLOSE_ALL]),
    Scenario("entry and exit at once", [LONG, OUT]),
    Scenario("two partial exits", [HALF, {**HALF, "id": "second"}], [LONG]),
    Scenario("two messages in one delivery", [[LONG, {**HALF, "id": "b"}]]),
    Scenario("the same delivery twice", [{**LONG, "id": "one"}, {**LONG, "id": "one"}]),
    Scenario("entry, answer lost", [LONG], faults=lost(FUTURES), is_core=True),
    Scenario("exit, answer lost", [OUT], [LONG], lost(FUTURES), is_core=True),
    Scenario("reversal, answer to the close lost", [TURN], [LONG], lost(FUTURES), is_core=True),
    Scenario("exit, request lost", [OUT], [LONG], never(FUTURES), is_core=True),
    Scenario("entry, request lost", [LONG], faults=never(FUTURES)),
    Scenario("entry, 502 after it was taken", [LONG], faults=[Fault(FUTURES, "status", {"status": 502})]),
    Scenario("exit, HTML in place of an answer", [OUT], [LONG], [Fault(FUTURES, "html", {"status": 502})]),
    Scenario("exit, 429 first", [OUT], [LONG], [Fault(FUTURES, "too_many")]),
    Scenario("exit, timestamp refused first", [OUT], [LONG], [Fault(FUTURES, "code", {"code": 30007, "status": 400})]),
    Scenario("exit, connection refused", [OUT], [LONG], unreachable=1),
    Scenario("entry refused for its size", [LONG], faults=[Fault(FUTURES, "code", {"code": 40035, "status": 400})]),
    Scenario("entry, its fills show late", [LONG], faults=[Fault(TRADES, "invisible", {"times": 3, "delay_ms": 2000})]),
    Scenario("hedged entry", [{**LONG, "hedgemode": "hedge"}], mode=HEDGED),
    Scenario("hedged exit", [{**OUT, "hedgemode": "hedge"}], [{**LONG, "hedgemode": "hedge"}], mode=HEDGED),
    Scenario("spot buy", [LONG], market="spot"),
    Scenario("spot sell", [order("sell", "long", "0.002")], [LONG], market="spot", is_core=True),
    Scenario("spot buy, answer lost", [LONG], faults=lost(SPOT), market="spot"),
    Scenario("spot sell, answer lost", [order("sell", "long", "0.002")], [LONG], lost(SPOT), market="spot"),
)
