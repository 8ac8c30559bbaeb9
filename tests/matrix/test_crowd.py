"""Five hundred alerts in a second for one workspace, while others trade: all are kept, nobody is starved.

One worker without threads does it all here, which is the least that others can be left with.
"""

import json
from collections import Counter
from datetime import timedelta

import pytest
from django.test import Client

from apps.alerts.execution import execute_due
from apps.alerts.models import Alert, AlertStatus
from apps.alerts.queue import look
from apps.connectors import pointers
from apps.lib import world
from apps.trading.models import OrderState
from tests.engine.conftest import Bench, _rows_of_migrations, bench, committed
from tests.engine.replays import assert_replays
from tests.factories import ConnectorFactory, PointerFactory
from tests.shared_paper import SharedPaper

__all__ = ["_rows_of_migrations", "committed"]

CROWD = 500
CONNECTORS = 5
QUIET = 3


@pytest.fixture
def quiet(committed: None, paper: SharedPaper) -> list[Bench]:
    """Connectors of as many workspaces."""
    return [bench(paper, "futures") for _ in range(QUIET)]


@pytest.fixture
def crowd(quiet: list[Bench], paper: SharedPaper) -> list[Bench]:
    """Connectors of one workspace."""
    first = bench(paper, "futures")
    return [first, *(_beside(first) for _ in range(CONNECTORS - 1))]


def test_all_of_a_crowd_are_kept_and_others_wait_for_a_turn_of_it_and_not_for_its_end(
    crowd: list[Bench], quiet: list[Bench]
) -> None:
    senders = [one.pointer for one in crowd]
    senders += [pointers.reveal(PointerFactory(connector=one.connector)) for one in crowd]
    second = world.now() - timedelta(seconds=1)
    received = [_deliver(senders[number % len(senders)]) for number in range(CROWD)]
    for number, pk in enumerate(received):
        Alert.unscoped.filter(pk=pk).update(received_at=second + timedelta(milliseconds=2 * number))
    waiting = [one.post("buy", "flat", "0.01").pk for one in quiet]

    execute_due()

    stored = Alert.unscoped.filter(pk__in=received)
    assert (len(set(received)), stored.count(), Alert.unscoped.count()) == (CROWD, CROWD, CROWD + QUIET)
    # The same entry again and again: the first of each pointer is one, the others wait for a person.
    assert Counter(stored.values_list("status", "reason_code")) == {
        (AlertStatus.EXECUTED, ""): len(senders),
        (AlertStatus.HELD, "SUSPECTED_DUPLICATE"): CROWD - len(senders),
    }
    for one, count in [*((one, 2) for one in crowd), *((one, 1) for one in quiet)]:
        orders = one.orders()
        assert [order.state for order in orders] == [OrderState.FILLED] * count
        assert sorted(one.book()) == sorted((order.client_order_id, "10") for order in orders)
        assert one.held() == 10 * count
    claims = list(Alert.unscoped.order_by("claimed_at").values_list("pk", flat=True))
    # They are read in the third lot; in each round until then a connector of the crowd has a turn of four.
    assert max(claims.index(pk) for pk in waiting) < 3 * CONNECTORS * 4 + QUIET
    assert_replays()


@pytest.mark.django_db
def test_no_second_symbol_of_a_connector_comes_before_the_first_of_another() -> None:
    busy, *others = (PointerFactory() for _ in range(4))
    for pointer, symbols in [(busy, "ABCDE"), *((other, "A") for other in others)]:
        for symbol in symbols:
            Alert.unscoped.create(
                workspace=pointer.workspace,
                connector=pointer.connector,
                pointer=pointer,
                body=b"{}",
                symbol=symbol,
                status=AlertStatus.QUEUED,
            )

    _, keys = look()

    assert {connector for connector, _ in keys[:4]} == {pointer.connector_id for pointer in (busy, *others)}
    assert keys[4:] == [(busy.connector_id, symbol) for symbol in "BCDE"]


def _beside(first: Bench) -> Bench:
    """Return another connector of the same workspace, with an account of its own."""
    account = first.paper.new_account(futures={"USDT": "10000"})
    key = (account.access_key, account.secret_key, account.memo)
    connector = ConnectorFactory(workspace=first.connector.workspace, credentials=key)
    return Bench(first.paper, account, connector, pointers.reveal(PointerFactory(connector=connector)))


def _deliver(pointer: str) -> str:
    message = {"ticker": "BTCUSDT", "action": "buy", "prev_position": "flat", "quantity": "0.01", "pointer": pointer}
    answer = Client().post("/webhook", data=json.dumps(message), content_type="application/json")
    assert answer.status_code == 200, answer.content
    return str(answer.json()["id"])
