"""Alerts that state the sizes before and after, and do not arrive in the order in which the strategy sent them."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise, permutations, product
from typing import Any

import pytest
from django.test import Client

from apps.alerts.execution import execute_due
from apps.alerts.models import Alert, AlertStatus
from apps.alerts.queue import Queue, next_alert
from apps.lib import world
from apps.trading.models import Position
from tests.engine.conftest import Bench, bench
from tests.engine.test_chain import age, gap_of
from tests.shared_paper import SharedPaper

UNIT = Decimal("0.005")
PAIRS = [chain for chain in product((-1, 0, 1, 2), repeat=3) if all(one != other for one, other in pairwise(chain))]
CONTRACTS = 5


def side(size: int) -> str:
    return "long" if size > 0 else "short" if size < 0 else "flat"


def post(account: Bench, begin: int, end: int, *, at: datetime | None = None, **more: Any) -> Alert:
    """Deliver what a strategy sends that goes from one size to the other, in units; nothing runs yet."""
    return account.post(
        "buy" if end > begin else "sell",
        side(begin),
        str(abs(end - begin) * UNIT),
        prev_market_position_size=str(abs(begin) * UNIT),
        market_position=side(end),
        market_position_size=str(abs(end) * UNIT),
        **({"time": f"{at:%Y-%m-%dT%H:%M:%SZ}"} if at else {}),
        **more,
    )


def hold(account: Bench, size: int) -> Alert:
    """The strategy and the account hold so much since a minute ago."""
    alert = post(account, 0, size)
    execute_due()
    return age(alert)


def held(account: Bench) -> Decimal:
    rows = Position.unscoped.filter(connector=account.connector)
    return sum((row.signed_quantity for row in rows), Decimal(0))


def step(account: Bench, begin: int, end: int, at: datetime | None = None) -> Alert:
    alert = post(account, begin, end, at=at)
    execute_due()
    return alert


def ran(account: Bench, chain: Sequence[int], order: Sequence[int], *, apart: float | None) -> Decimal:
    """Run a strategy's sizes whose alerts arrive in another order; return what is held at the end.

    `apart` None: they wait together; else each is run, and so many seconds later the next one comes.
    """
    if chain[0]:
        hold(account, chain[0])
    at, moves = world.now(), list(pairwise(chain))
    for number in order:
        alert = post(account, *moves[number], at=at)
        if apart is not None:
            execute_due()
            age(alert, apart)
            if apart > 1:
                account.wait()
    execute_due()
    account.wait(2)
    return held(account)


@pytest.mark.parametrize("apart", [None, 0.3])
def test_a_pair_that_arrives_swapped_ends_where_its_strategy_does(
    futures: Bench, paper: SharedPaper, apart: float | None
) -> None:
    ends = {chain: ran(bench(paper, "futures"), chain, (1, 0), apart=apart) for chain in PAIRS}

    assert ends == {chain: chain[-1] * CONTRACTS for chain in PAIRS}


def test_the_one_that_comes_too_late_never_adds_to_what_its_strategy_has(futures: Bench, paper: SharedPaper) -> None:
    ends = {chain: ran(bench(paper, "futures"), chain, (1, 0), apart=1.2) for chain in PAIRS}

    wrong = {chain: end for chain, end in ends.items() if not 0 <= end * chain[-1] <= CONTRACTS * chain[-1] ** 2}
    assert wrong == {}
    less = {chain for chain, end in ends.items() if end != chain[-1] * CONTRACTS}
    assert less == {(-1, 1, 2), (-1, 2, 1), (0, 1, 2), (0, 2, 1)}


@pytest.mark.parametrize("order", list(permutations(range(3)))[1:])
@pytest.mark.parametrize("chain", [(0, 1, 2, -1), (1, 0, 1, 0), (-1, 0, -2, 0), (2, 1, -1, 1)])
def test_three_that_wait_together_end_where_their_strategy_does(
    futures: Bench, chain: tuple[int, ...], order: tuple[int, ...]
) -> None:
    assert ran(futures, chain, order, apart=None) == chain[-1] * CONTRACTS


def test_a_swapped_pair_on_spot_ends_where_its_strategy_does(spot: Bench) -> None:
    assert ran(spot, (1, 0, 2), (1, 0), apart=0.3) == 2 * UNIT


def test_on_spot_one_that_comes_too_late_leaves_no_coins_that_the_strategy_has_not(
    spot: Bench, paper: SharedPaper
) -> None:
    chains = [chain for chain in PAIRS if chain[0] >= 0]
    ends = {chain: ran(bench(paper, "spot"), chain, (1, 0), apart=1.2) for chain in chains}

    assert {chain: end for chain, end in ends.items() if end > max(chain[-1], 0) * UNIT} == {}
    assert {chain for chain, end in ends.items() if end < max(chain[-1], 0) * UNIT} == {(0, 1, 2), (0, 2, 1), (1, 2, 1)}


def test_one_before_which_another_is_missing_waits_a_second_for_it(futures: Bench) -> None:
    hold(futures, 1)

    late = step(futures, 2, 0)

    assert futures.status(late) == (AlertStatus.QUEUED, "")
    assert late.next_at == late.received_at + timedelta(seconds=1)
    assert (gap_of(late) or {})["stated"] == "long 0.01"
    early = step(futures, 1, 2)
    assert (futures.status(early), futures.status(late)) == ((AlertStatus.EXECUTED, ""), (AlertStatus.EXECUTED, ""))
    assert (gap_of(early), gap_of(late)) == (None, None)
    assert [(order.side, order.quantity) for order in futures.orders()] == [("buy", 5), ("buy", 5), ("sell", 10)]


def test_the_one_after_a_swapped_pair_is_no_gap(futures: Bench) -> None:
    hold(futures, 1)
    ends = [post(futures, 2, 1), post(futures, 1, 2)]
    execute_due()
    for alert in ends:
        age(alert, 30)

    following = step(futures, 1, 0)

    assert futures.status(following) == (AlertStatus.EXECUTED, "")
    assert gap_of(following) is None
    assert held(futures) == 0


def test_where_every_alert_comes_after_a_gap_none_waits(futures: Bench) -> None:
    """Two strategies that share a pointer and a symbol: each counts its own sizes."""
    hold(futures, 1)
    first = age(step(futures, 3, 2), 2)
    futures.wait()
    assert gap_of(first) is not None

    second = step(futures, 1, 0)

    assert gap_of(second) is not None
    assert futures.status(second) == (AlertStatus.EXECUTED, "")


@pytest.mark.parametrize("more", [{"hedgemode": "hedge"}, {"cancel": True, "quantity_type": "contracts"}])
def test_books_of_their_own_have_no_common_chain(paper: SharedPaper, futures: Bench, more: dict[str, Any]) -> None:
    account = bench(paper, "futures", position_mode="hedge_mode") if "hedgemode" in more else futures
    alert = post(account, 1, 0, **more)

    execute_due()

    assert (account.status(alert)[0] == AlertStatus.QUEUED) == ("hedgemode" not in more)


def overtaken_entry(futures: Bench, *, sent: float) -> Alert:
    """Flat; what closes comes first, runs, and the entry before it comes five seconds later. `sent`: after the exit."""
    age(hold(futures, 1), 60)
    age(step(futures, 1, 0), 60)
    at = world.now()
    exit_ = age(step(futures, 1, 0, at), 5)
    futures.wait()
    assert futures.status(exit_) == (AlertStatus.IGNORED, "NOTHING_TO_CLOSE")
    return step(futures, 0, 1, at + timedelta(seconds=sent))


@pytest.mark.parametrize("sent", [-1, 0])
def test_an_entry_that_its_own_exit_overtook_opens_nothing(futures: Bench, sent: float) -> None:
    entry = overtaken_entry(futures, sent=sent)

    assert futures.status(entry) == (AlertStatus.IGNORED, "OVERTAKEN")
    assert entry.reason.startswith("Overtaken: the alert that the strategy sent after this one, of ")
    assert [order.side for order in futures.orders()] == ["buy", "sell"]
    exit_ = Alert.unscoped.get(pk=entry.facts["by"])
    assert gap_of(exit_) is None


def test_the_same_entry_made_anew_later_is_run(futures: Bench) -> None:
    entry = overtaken_entry(futures, sent=1)

    assert futures.status(entry) == (AlertStatus.EXECUTED, "")
    assert held(futures) == CONTRACTS


def test_a_person_runs_no_alert_that_another_overtook(futures: Bench) -> None:
    """What a person ran was looked at: it is not taken for one that comes late."""
    age(hold(futures, 1), 60)
    age(step(futures, 1, 0), 60)
    at = world.now()
    age(step(futures, 1, 0, at), 5)
    futures.wait()
    entry = post(futures, 0, 1, at=at)
    Alert.unscoped.filter(pk=entry.pk).update(released_at=world.now())

    execute_due()

    assert futures.status(entry) == (AlertStatus.EXECUTED, "")


def test_an_overtaken_exit_leaves_what_the_strategy_has_since(futures: Bench) -> None:
    """Long 2, down to 1, up to 2 again: the add came first and found its size held."""
    hold(futures, 2)
    at = world.now()
    add = age(step(futures, 1, 2, at), 5)
    futures.wait()
    assert futures.status(add) == (AlertStatus.IGNORED, "ALREADY_AT_TARGET")

    exit_ = step(futures, 2, 1, at)

    assert futures.status(exit_) == (AlertStatus.IGNORED, "ALREADY_AT_TARGET")
    assert [note["code"] for note in exit_.notes][:1] == ["OVERTAKEN"]
    assert held(futures) == 2 * CONTRACTS


def test_an_overtaken_exit_in_other_units_closes_by_its_quantity(futures: Bench) -> None:
    """The sizes are the strategy's own, the quantity was typed: they say nothing about what is held here."""

    def typed(quantity: str, begin: str, end: str, at: datetime) -> Alert:
        sizes = {"prev_market_position_size": begin, "market_position": "long", "market_position_size": end}
        alert = futures.post("sell", "long", quantity, **sizes, time=f"{at:%Y-%m-%dT%H:%M:%SZ}")
        execute_due()
        return alert

    futures.send("buy", "flat", "0.005", prev_market_position_size="0", market_position_size="3")
    at = world.now()
    age(Alert.unscoped.get(), 60)
    age(typed("0.001", "2", "1", at), 5)
    futures.wait()

    exit_ = typed("0.001", "3", "2", at)

    assert "OVERTAKEN" in [note["code"] for note in Alert.unscoped.get(pk=exit_.pk).notes]
    assert held(futures) == 3


def test_a_gap_is_filled_for_a_quarter_of_an_hour(futures: Bench) -> None:
    age(hold(futures, 2), 3600)
    age(step(futures, 1, 3), 15 * 60 + 1)
    futures.wait()

    late = age(step(futures, 2, 1), 1)
    futures.wait()

    assert "OVERTAKEN" not in [note["code"] for note in Alert.unscoped.get(pk=late.pk).notes]
    assert held(futures) == CONTRACTS


def test_the_chain_goes_on_from_what_overtook(futures: Bench) -> None:
    age(overtaken_entry(futures, sent=0), 30)
    age(Alert.unscoped.get(reason_code="NOTHING_TO_CLOSE"), 40)

    broken = step(futures, 1, 0)

    assert (gap_of(broken) or {})["left"] == "nothing"
    age(broken, 30)
    futures.wait()
    following = step(futures, 0, 1)
    assert (futures.status(following), gap_of(following)) == ((AlertStatus.EXECUTED, ""), None)


def test_a_second_swapped_pair_goes_on_from_the_first_one_s_end(futures: Bench) -> None:
    hold(futures, 1)
    for begin, end in ((2, 1), (1, 2)):
        age(post(futures, begin, end), 30)
    execute_due()

    for begin, end in ((0, 1), (1, 0)):
        post(futures, begin, end)
    execute_due()

    assert held(futures) == CONTRACTS


def test_the_sender_s_clock_decides_where_a_burst_can_be_read_two_ways(futures: Bench) -> None:
    hold(futures, 1)
    age(futures.post("buy", "long", "{{strategy.order.contracts}}"), 30)
    execute_due()
    at = world.now()

    later, sooner = post(futures, 1, 2, at=at), post(futures, 2, 1, at=at - timedelta(seconds=1))
    execute_due()

    assert [note["code"] for note in sooner.notes] == [note["code"] for note in later.notes] == []
    assert Alert.unscoped.get(pk=sooner.pk).planned_at < Alert.unscoped.get(pk=later.pk).planned_at


def test_a_delivery_that_came_in_between_is_read_first(futures: Bench) -> None:
    hold(futures, 1)
    late = step(futures, 2, 0)
    late.refresh_from_db()
    early = post(futures, 1, 2)
    Alert.unscoped.filter(pk=early.pk).update(status=AlertStatus.QUEUED, symbol=late.symbol, understood=sizes_of(early))
    key = (futures.connector.pk, "BTCUSDT")
    asked = Queue([early.received_at - timedelta(microseconds=1)], [late], [early.pk], [])

    assert next_alert(*key, asked) is None
    assert next_alert(*key, Queue([], [late], [early.pk], [])) == early


def test_the_messages_of_one_delivery_run_as_they_were_written(futures: Bench) -> None:
    hold(futures, 1)
    parts = [
        sizes_of(post(futures, *move)) | {"pointer": futures.pointer, "id": str(move)} for move in ((2, 1), (1, 2))
    ]
    Alert.unscoped.filter(status=AlertStatus.RECEIVED).delete()

    Client().post("/webhook", data=json.dumps(parts), content_type="application/json")
    execute_due()

    assert [order.side for order in futures.orders()] == ["buy", "buy"]


def sizes_of(alert: Alert) -> dict[str, str]:
    return {name: str(value) for name, value in json.loads(bytes(alert.body)).items()}
