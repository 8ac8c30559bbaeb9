"""Which rule meets which call, and how a script is read and reported."""

import random
from decimal import Decimal
from typing import Any

import pytest

from apps.paper.faults import Fault, FaultRoom
from tests.paper.desk import Desk

SUBMIT = "/spot/v2/submit_order"


def rule(route: str = SUBMIT, action: str = "drop_answer", **details: Any) -> Fault:
    return Fault(route=route, action=action, **{"times": 1, "delay_ms": 0, "status": 502, "accepted": False} | details)


def room(*rules: Fault) -> FaultRoom:
    filled = FaultRoom(allowed=True)
    filled.arm(*rules)
    return filled


def test_a_rule_is_used_up_and_the_next_takes_over() -> None:
    filled = room(rule(times=2), rule(action="html"))

    taken = [filled.take(SUBMIT) for _ in range(4)]

    assert [fault and fault.action for fault in taken] == ["drop_answer", "drop_answer", "html", None]


@pytest.mark.parametrize(
    ("details", "call", "meets"),
    [
        ({}, {}, True),
        ({"route": "/spot/v2/cancel_order"}, {}, False),
        ({"route": "/spot/*"}, {}, True),
        ({"route": "*"}, {}, True),
        ({"account": "a" * 40}, {"account": "a" * 40}, True),
        ({"account": "a" * 40}, {"account": "b" * 40}, False),
        ({"client_order_id": "z1*"}, {"client_order_ids": ("q", "z12")}, True),
        ({"client_order_id": "z1*"}, {"client_order_ids": ("z2",)}, False),
        ({"client_order_id": "*"}, {}, False),
        ({"action": "gap", "route": "*"}, {}, False),
    ],
)
def test_whom_a_rule_meets(details: dict[str, Any], call: dict[str, Any], meets: bool) -> None:
    assert (room(rule(**details)).take(SUBMIT, **call) is not None) is meets


def test_the_nth_call_counts_what_the_rule_covers() -> None:
    filled = room(rule(client_order_id="a*", nth=3, times=2))

    fired = [filled.take(SUBMIT, client_order_ids=(name,)) is not None for name in ("a1", "b1", "a2", "a3", "b2", "a4")]

    assert fired == [False, False, False, True, False, True]


def test_probability_repeats_by_seed(dice: random.Random) -> None:
    seed = dice.randrange(1_000_000)

    def fired(of_seed: int) -> list[bool]:
        filled = room(rule(times=1_000, probability=Decimal("0.25"), seed=of_seed))
        return [filled.take(SUBMIT) is not None for _ in range(1_000)]

    assert fired(seed) == fired(seed)
    assert fired(seed) != fired(seed + 1)
    assert 180 < sum(fired(seed)) < 320


def test_a_push_is_met_by_stream_actions_only() -> None:
    filled = room(rule("*", "drop_answer"), rule("*", "duplicate"))

    taken = filled.take("futures/order")

    assert taken is not None
    assert taken.action == "duplicate"


def test_a_script_is_taken_in_order_and_reported(desk: Desk) -> None:
    script = {
        "rules": [
            {"route": SUBMIT, "action": "too_many", "nth": 2},
            {"route": "/contract/*", "action": "code", "code": 59_999, "status": 400, "probability": "0.5", "seed": 9},
        ]
    }
    assert desk.control("POST", "faults", script).status == 200

    for name in ("r1", "r2"):
        desk.desks.faults.take(SUBMIT, account="k", client_order_ids=(name,), now_ms=5)

    report = desk.control("GET", "faults").content
    told = [(row["action"], row["code"], row["status"], row["matched"], row["fired"]) for row in report["rules"]]
    assert told == [("too_many", 30013, 429, 2, 1), ("code", 59_999, 400, 0, 0)]
    assert (report["rules"][1]["probability"], report["rules"][1]["seed"]) == ("0.5", 9)
    assert report["fired"] == [
        {"at_ms": 5, "rule": 0, "route": SUBMIT, "action": "too_many", "account": "k", "client_order_ids": ["r2"]}
    ]
    assert desk.control("DELETE", "faults").status == 200
    assert desk.control("GET", "faults").content == {"skew_ms": 0, "rules": [], "fired": []}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"route": SUBMIT},
        {"route": SUBMIT, "action": "explode"},
        {"action": "html"},
        {"route": SUBMIT, "action": "code"},
        {"route": SUBMIT, "action": "html", "times": 0},
        {"route": SUBMIT, "action": "html", "nth": 0},
        {"route": SUBMIT, "action": "html", "probability": "1.1"},
        {"route": SUBMIT, "action": "html", "accepted": "yes"},
        {"route": SUBMIT, "action": "no_data", "data": "some"},
        {"route": SUBMIT, "action": "html", "account": "x" * 201},
        {"skew_ms": 86_400_001},
        {"rules": [{"route": SUBMIT, "action": "html"}, {"route": SUBMIT}]},
        {"rules": ["html"]},
        {"rules": [{"route": SUBMIT, "action": "html"}] * 1_001},
    ],
)
def test_a_bad_script_is_refused_whole(desk: Desk, body: dict[str, Any]) -> None:
    assert desk.control("POST", "faults", body).status == 400
    assert desk.control("GET", "faults").content == {"skew_ms": 0, "rules": [], "fired": []}


def test_nothing_is_read_or_ordered_without_the_switch(desk: Desk) -> None:
    desk.desks.faults.allowed = False

    answers = [
        desk.control(method, "faults", {"route": SUBMIT, "action": "html"}) for method in ("GET", "POST", "DELETE")
    ]

    assert [(answer.status, answer.code) for answer in answers] == [(404, 30000)] * 3
    assert desk.desks.faults.rules == []
