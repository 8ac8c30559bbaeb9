"""An order that asking does not settle: a person is told, and a person's word settles it without sending anything."""

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from apps.connectors.bitmart.futures import FuturesExchange
from apps.connectors.models import Connector
from apps.trading import doubts
from apps.trading.following import look
from apps.trading.models import Incident, Order, OrderState
from tests.engine.conftest import Bench
from tests.factories import IncidentFactory
from tests.people import Member, member

S = OrderState


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """While it holds anything, the exchange shows no order unless it is asked for by its own id."""
    found = FuturesExchange.find_order

    def hidden(exchange: FuturesExchange, *args: Any, **kwargs: Any) -> Any:
        if covered and not kwargs.get("exchange_order_id"):
            return None
        return found(exchange, *args, **kwargs)

    covered = [True]
    monkeypatch.setattr(FuturesExchange, "find_order", hidden)
    return covered


def trader(bench: Bench) -> Member:
    return member(workspace=bench.connector.workspace)


def settle(bench: Bench, **data: str) -> Any:
    incident = Incident.unscoped.get(connector=bench.connector, resolved_at=None)
    return trader(bench).client.post(reverse("trading:settle_order", args=[incident.pk]), data)


def test_unknown_order_whose_account_changed_opens_an_incident_and_its_id_settles_it(
    futures: Bench, blind: list[bool]
) -> None:
    futures.fault("drop_answer")
    futures.send("buy", "flat", "0.01")
    futures.pass_fence()
    futures.wait(2)
    futures.pass_fence()
    futures.wait()

    incident = Incident.unscoped.get(connector=futures.connector)
    order = futures.order()
    assert (order.state, incident.kind, incident.order_id) == (S.UNKNOWN, "order_in_doubt", order.pk)
    assert "not to be found there, yet the account changed" in incident.what
    waiting = futures.send("sell", "long", "0.01")
    assert waiting.status == "queued"

    [placed] = futures.paper.orders(futures.account.access_key)
    answer = settle(futures, found="placed", exchange_order_id=placed["id"])
    assert answer.status_code == 302
    assert futures.order().state == S.UNKNOWN
    futures.wait(2)

    states = [order.state for order in futures.orders()]
    assert states == [S.FILLED, S.FILLED]
    assert futures.held() == 0
    assert [size for _, size in futures.book()] == ["10", "10"]
    incident.refresh_from_db()
    assert incident.resolved_at is not None


def test_a_persons_word_that_it_was_not_placed_frees_the_symbol_and_sends_nothing_again(
    futures: Bench, blind: list[bool]
) -> None:
    futures.fault("drop_request")
    futures.send("buy", "flat", "0.01")
    Order.unscoped.update(signed_at=timezone.now() - timedelta(minutes=6))
    futures.fault("status", "/contract/private/position-v2", status=502, accepted=False, times=1000)
    futures.pass_fence()
    futures.wait(3)
    assert futures.order().state == S.UNKNOWN
    incident = Incident.unscoped.get(connector=futures.connector)
    assert "no certain answer for 6 minutes" in incident.what

    answer = settle(futures, found="not_placed")

    assert answer.status_code == 302
    order = futures.order()
    assert (order.state, order.next_at, order.reason_code) == (S.NOT_PLACED, None, "SETTLED_BY_PERSON")
    event = order.events.order_by("-version")[0]
    assert (event.cause, event.evidence["said"]) == ("a person looked: not there", "not placed")
    assert "@" in event.evidence["person"]
    futures.wait(2)
    assert futures.book() == []
    assert futures.order().state == S.NOT_PLACED
    futures.paper.control("DELETE", "faults")
    futures.end_outage()
    futures.send("buy", "flat", "0.005")
    assert [size for _, size in futures.book()] == ["5"]


def test_before_the_fence_nobodys_word_counts(futures: Bench, blind: list[bool]) -> None:
    futures.fault("drop_request")
    futures.send("buy", "flat", "0.01")
    order = futures.order()
    doubts.not_told(order, contradiction="its account changed")

    answer = settle(futures, found="not_placed")

    assert answer.status_code == 422
    assert "ORDER_MAY_STILL_ARRIVE" in answer.content.decode()
    assert futures.order().state == order.state == S.UNKNOWN
    assert futures.book() == []


@pytest.mark.parametrize(("offset_ms", "status"), [(-120_000, 422), (0, 302)])
def test_the_fence_that_nobodys_word_counts_before_is_of_the_exchanges_clock(
    futures: Bench, blind: list[bool], offset_ms: int, status: int
) -> None:
    futures.fault("drop_request")
    futures.send("buy", "flat", "0.01")
    Order.unscoped.update(fence_at=timezone.now() - timedelta(seconds=24))
    doubts.not_told(futures.order(), contradiction="its account changed")
    Connector.unscoped.update(clock_offset_ms=offset_ms)

    answer = settle(futures, found="not_placed")

    assert answer.status_code == status
    assert futures.order().state == (S.UNKNOWN if offset_ms else S.NOT_PLACED)


def test_accepted_order_that_is_never_shown_again_opens_an_incident(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.trading.executor.FOLLOW_PAUSES_S", (0,))
    with monkeypatch.context() as nothing:
        nothing.setattr(FuturesExchange, "find_order", lambda *_, **__: None)
        nothing.setattr(FuturesExchange, "fills", lambda *_, **__: [])
        futures.send("buy", "flat", "0.01")
        futures.wait(2)
        assert Incident.unscoped.count() == 0
        Order.unscoped.update(acknowledged_at=timezone.now() - timedelta(minutes=5, seconds=1))
        futures.wait()
    incident = Incident.unscoped.get(connector=futures.connector)
    assert (incident.kind, futures.order().state) == ("order_not_shown", S.ACCEPTED)
    assert "has not shown it for 5 minutes" in incident.what

    # Shown after all: it closes by itself.
    futures.wait()
    incident.refresh_from_db()
    assert (futures.order().state, incident.resolution) == (S.FILLED, "The exchange told what became of it: filled.")


def test_an_id_of_another_order_of_the_connector_is_refused(futures: Bench, blind: list[bool]) -> None:
    blind.clear()
    futures.send("buy", "flat", "0.01")
    [first] = futures.orders()
    blind.append(True)
    futures.fault("drop_answer")
    futures.send("buy", "long", "0.005")
    futures.pass_fence()
    futures.wait(2)

    answer = settle(futures, found="placed", exchange_order_id=first.exchange_order_id)

    assert answer.status_code == 422
    assert "ORDER_ID_TAKEN" in answer.content.decode()
    assert futures.orders()[1].state == S.UNKNOWN


@pytest.mark.parametrize("taken_for", [S.NOT_PLACED, S.REJECTED])
def test_order_alive_after_it_was_taken_for_dead_is_an_incident_and_blocks_entries(
    futures: Bench, taken_for: OrderState
) -> None:
    futures.fault("drop_answer")
    futures.send("buy", "flat", "0.01")
    order = futures.order()
    Order.unscoped.update(state=taken_for, next_at=None, finished_at=timezone.now())
    order.refresh_from_db()

    look(order)

    incident = Incident.unscoped.get()
    assert (incident.kind, incident.order_id, futures.order().state) == ("order_alive", order.pk, S.FILLED)
    assert futures.status(futures.send("buy", "long", "0.005"))[1] == "INCIDENT_OPEN"
    assert futures.status(futures.send("sell", "long", "0.01")) == ("executed", "")
    assert [size for _, size in futures.book()] == ["10", "10"]


@pytest.mark.parametrize("kind", ["orphan_order", "order_in_doubt"])
def test_word_about_an_order_that_the_exchange_still_tells_of_changes_nothing(futures: Bench, kind: str) -> None:
    """A live order must not be called gone: one found as a stranger, or one whose doubt is over."""
    futures.send("buy", "flat", "0.01", order_type="limit", limit_price="50000")
    order = futures.order()
    resolved_at = timezone.now() if kind == "order_in_doubt" else None
    incident = IncidentFactory(connector=futures.connector, order=order, kind=kind, resolved_at=resolved_at)

    url = reverse("trading:settle_order", args=[incident.pk])
    answer = trader(futures).client.post(url, {"found": "not_placed"})

    assert answer.status_code == 422
    assert "NOTHING_IN_DOUBT" in answer.content.decode()
    order.refresh_from_db()
    assert order.state == S.ACCEPTED
