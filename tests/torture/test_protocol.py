"""The model of the protocol: ours places every leg once, known bad ones do not, and it decides as the engine does."""

import os
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from apps.connectors.exchange import (
    BudgetError,
    ClockError,
    DuplicateOrderError,
    ExchangeError,
    NotSentError,
    OrderRejectedError,
    RateLimitError,
    RejectReason,
    UnreachableError,
)
from apps.trading import absence, executor, following, leases, models, sweeper, transitions
from apps.trading.models import Order
from tests.factories import OrderFactory
from tests.torture import protocol
from tests.torture.protocol import ANSWERS, KNOWN_BAD, STATES, VERDICTS, Counts, Rules

HISTORIES = int(os.environ.get("PROTOCOL_HISTORIES", "6000"))
SEED = int(os.environ.get("TORTURE_SEED", "4"))
RARE = {"a late word puts the row back", "an old attempt's word is believed"}


def test_every_leg_is_placed_once_and_comes_to_its_end() -> None:
    for policy, counts in protocol.campaign(HISTORIES, seed=SEED, processes=1).items():
        assert counts.histories == HISTORIES
        assert (counts.duplicates, counts.lost, counts.stuck) == (0, 0, 0), f"chunk of seed {counts.first_bad}"
        # It was worth the name: doubts, proofs of absence and second sends all happened.
        assert counts.faults > 3 * HISTORIES
        assert min(counts.unknown, counts.absent, counts.resent) > HISTORIES / 20
        assert (counts.refused > 0) == (policy == "forever")


def test_layer_tells_what_it_counted() -> None:
    tally = protocol.main(100, 3)

    assert (tally.layer, tally.seed, tally.histories, tally.is_clean) == ("protocol model", 3, 300, True)


@pytest.mark.parametrize("name", KNOWN_BAD)
def test_known_bad_protocol_is_caught(name: str) -> None:
    histories = 20_000 if name in RARE else 2_000
    policy = "forever" if "known id" in name else "never"

    tally = protocol.play(histories, policy=policy, seed=SEED, protocol=KNOWN_BAD[name])

    assert tally.bad > 0
    if "rejected" not in name:
        assert tally.duplicates > 0


def test_same_seed_plays_the_same() -> None:
    first, second = (protocol.play(500, policy="never", seed=11) for _ in range(2))

    assert first == second
    assert protocol.play(500, policy="never", seed=12) != first


def test_tables_are_the_engines() -> None:
    engine = {str(state.value): frozenset(str(to.value) for to in moves) for state, moves in models.MOVES.items()}

    assert engine == protocol.MOVES
    assert {state.value for state in models.FINAL_STATES} == protocol.FINAL


def test_figures_are_the_engines() -> None:
    rules = Rules()

    assert (rules.window, rules.skew, rules.visibility) == (
        *(settings.FENCE_WINDOW_S, settings.FENCE_SKEW_S, settings.FENCE_VISIBILITY_S),
    )
    assert timedelta(seconds=rules.fence) == executor.fence()
    assert rules.look_pauses == transitions.LOOK_PAUSES_S
    assert timedelta(seconds=rules.not_found_apart) == following.NOT_FOUND_APART
    assert (rules.send_limit, rules.entry_max_age) == (settings.SEND_LIMIT_S, settings.ENTRY_MAX_AGE_S)
    assert (timedelta(seconds=rules.lease), timedelta(seconds=rules.claim)) == (leases.length(), sweeper.CLAIM)


HEARD: dict[str, list[ExchangeError]] = {
    "rejected": [OrderRejectedError("no", reason=RejectReason.BELOW_MINIMUM)],
    "not sent": [NotSentError("refused"), BudgetError("ours", retry_after=1)],
    "busy": [RateLimitError("slower", code="30013")],
    "clock refused": [ClockError("late", code="30007")],
    "id known": [DuplicateOrderError("twice", code="40050")],
    "no answer": [UnreachableError("timeout"), RateLimitError("a gateway's"), ExchangeError("unlisted", code="99")],
}


@pytest.mark.parametrize("answer", HEARD)
def test_answers_lead_where_the_engine_goes(answer: str) -> None:
    order = Order(attempt=1)

    assert {executor._verdict(order, error).to.value for error in HEARD[answer]} == {VERDICTS[answer]}
    assert {"accepted", *HEARD} == set(ANSWERS)


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exchange that answers and has no order of ours; the account is as it was."""

    class Nothing:
        clock_offset_ms = 0

        def server_time_ms(self) -> int:
            return int(timezone.now().timestamp() * 1000)

        def find_order(self, *_: Any, **__: Any) -> None:
            return None

    monkeypatch.setattr(following, "open_connector", lambda _: Nothing())
    monkeypatch.setattr(absence, "_account_is_unchanged", lambda *_: True)


@pytest.mark.parametrize("seen", [0, 1])
@pytest.mark.parametrize("past", [False, True])
@pytest.mark.parametrize("state", ["submitting", "unknown", "accepted", "partial", "cancelling"])
def test_absence_proves_what_it_proves_to_the_engine(db: None, absent: None, state: str, past: bool, seen: int) -> None:
    now = timezone.now()
    fence_at = now + timedelta(seconds=-1 if past else 60)
    order = OrderFactory(state=state, signed_at=now, fence_at=fence_at, not_found_count=seen, query_count=2)

    following.look(order)

    order = Order.unscoped.get(pk=order.pk)
    assert order.next_at is not None or order.state == "not_placed"
    expected = {"wait": (state, seen), "again": (state, seen + 1), "absent": ("not_placed", seen)}
    assert (order.state, order.not_found_count) == expected[
        protocol.after_absence(state, past_fence=past, seen_before=seen)
    ]
    if order.state == state:
        wanted = Rules().not_found_apart if order.not_found_count > seen else Rules().look_pauses[2]
        assert now <= order.next_at - timedelta(seconds=wanted) <= timezone.now()


@pytest.fixture
def row(db: None) -> Order:
    now = timezone.now()
    return OrderFactory(state="planned", signed_at=now, fence_at=now)


@pytest.mark.parametrize("same_attempt", [True, False])
@pytest.mark.parametrize("to", ["planned", "unknown", "accepted", "filled", "rejected", "not_placed"])
def test_late_word_counts_where_the_engine_lets_it(row: Order, to: str, same_attempt: bool) -> None:
    moved, modelled = set(), set()
    for number, state in enumerate(STATES):
        version = 10 * number + 7
        Order.unscoped.filter(pk=row.pk).update(state=state, version=version, attempt=1 if same_attempt else 2)
        late = Order.unscoped.get(pk=row.pk)
        # As its bearer read it: being sent, at the first attempt, before others moved it.
        late.state, late.version, late.attempt = models.OrderState.SUBMITTING, version - 1, 1
        if to == "not_placed":
            late.state = models.OrderState.UNKNOWN
        transitions.advance(late, models.OrderState(to), cause="late word")
        if Order.unscoped.get(pk=row.pk).version != version:
            moved.add(state)
        if protocol.late_word(state, to, same_attempt=same_attempt):
            modelled.add(state)

    assert moved == modelled


def test_first_bad_history_names_its_chunk() -> None:
    found = Counts(histories=1, first_bad=5)
    found.add(Counts(histories=1, duplicates=1, first_bad=9))

    assert (found.histories, found.bad, found.first_bad) == (2, 1, 5)
