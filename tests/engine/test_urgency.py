"""Exit > question about an order in doubt > entry > reconciliation: also of what is read before and after a sending."""

from typing import Any

import pytest
from django.utils import timezone

from apps.connectors.bitmart.client import Client
from apps.connectors.bitmart.futures import FuturesExchange
from apps.connectors.budget import Priority, standing
from apps.trading.models import OrderState
from tests.engine.conftest import Bench

S = OrderState
REFUSED = {"code": 30007, "status": 401, "accepted": False}
CANCEL = "/contract/private/cancel-order"
TRAILING = "/contract/private/submit-trail-order"


def noted(monkeypatch: pytest.MonkeyPatch, of: type, name: str, seen: list[Priority] | None = None) -> list[Priority]:
    """Return a list, `seen` where there is one, that grows by how urgent each such call was."""
    seen = [] if seen is None else seen
    real = getattr(of, name)

    def call(self: Any, *args: Any, **more: Any) -> Any:
        seen.append(standing().priority)
        return real(self, *args, **more)

    monkeypatch.setattr(of, name, call)
    return seen


@pytest.fixture
def positions(monkeypatch: pytest.MonkeyPatch) -> list[Priority]:
    return noted(monkeypatch, FuturesExchange, "positions")


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> list[Priority]:
    seen = noted(monkeypatch, FuturesExchange, "server_time_ms")
    return noted(monkeypatch, FuturesExchange, "offset_sample_ms", seen)


def test_exit_planned_anew_reads_the_account_as_an_exit(futures: Bench, positions: list[Priority]) -> None:
    futures.send("buy", "flat", "0.01")
    futures.fault("drop_request")
    futures.send("sell", "long", "0.01")
    order = futures.orders()[1]
    order.state, order.finished_at, order.next_at = S.NOT_PLACED, timezone.now(), timezone.now()
    order.save()
    positions.clear()

    futures.wait()

    assert (futures.held(), positions) == (0, [Priority.EXIT])


def test_proof_that_an_order_is_absent_is_asked_for_as_a_question_in_doubt(
    futures: Bench, positions: list[Priority], times: list[Priority]
) -> None:
    futures.fault("drop_request")
    futures.send("buy", "flat", "0.01")
    futures.pass_fence()
    positions.clear()
    times.clear()

    futures.wait(2)

    assert futures.order().state == S.NOT_PLACED
    assert (positions, times) == ([Priority.QUERY], [Priority.QUERY])


def test_stop_and_profits_of_their_own_read_the_position_as_exits(futures: Bench, positions: list[Priority]) -> None:
    profits = [{"price": 61000, "weight": 0.5}, {"price": 62000, "weight": 0.5}]
    futures.send("buy", "flat", "0.01", take_profit=profits)

    # The first reading is the entry's own.
    assert positions == [Priority.ENTRY, Priority.EXIT, Priority.EXIT]


def test_guard_is_proven_as_urgently_as_it_was_sent(futures: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = noted(monkeypatch, FuturesExchange, "trigger_orders")
    profits = [{"price": 61000, "weight": 0.5}, {"price": 62000, "weight": 0.5}]
    futures.send("buy", "flat", "0.01", take_profit=profits)

    assert listed == [Priority.EXIT, Priority.EXIT]


def test_opening_leg_of_a_reversal_reads_the_account_as_an_entry(futures: Bench, positions: list[Priority]) -> None:
    futures.send("buy", "flat", "0.01")
    positions.clear()

    futures.send("sell", "long", "0.02")

    assert (futures.held(), positions[-1]) == (-10, Priority.ENTRY)


def test_trailing_stop_leaves_as_an_exit(futures: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, Priority]] = []
    real = Client.signed_once

    def signed_once(client: Client, path: str, *args: Any, **more: Any) -> Any:
        seen.append((path, standing().priority))
        return real(client, path, *args, **more)

    monkeypatch.setattr(Client, "signed_once", signed_once)
    futures.send("buy", "flat", "0.01", trailing_stop={"percent": 1})

    assert [urgency for path, urgency in seen if path == TRAILING] == [Priority.EXIT]


@pytest.mark.parametrize(
    ("action", "prev", "urgency"), [("sell", "long", Priority.EXIT), ("buy", "long", Priority.ENTRY)]
)
def test_clock_is_measured_as_urgently_as_the_order_that_was_refused_for_it(
    futures: Bench, times: list[Priority], action: str, prev: str, urgency: Priority
) -> None:
    futures.send("buy", "flat", "0.01")
    times.clear()
    futures.fault("code", **REFUSED)

    futures.send(action, prev, "0.01")

    assert times == [urgency] * 5


def test_clock_is_measured_as_an_exit_for_a_stop_that_was_refused_for_it(futures: Bench, times: list[Priority]) -> None:
    futures.fault("code", TRAILING, **REFUSED)

    futures.send("buy", "flat", "0.01", trailing_stop={"percent": 1})

    assert times == [Priority.EXIT] * 5
