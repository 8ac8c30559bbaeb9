"""A position that differs, brought in line by a person, as the page has shown it and not otherwise."""

from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse

from apps.accounts.models import Workspace
from apps.connectors.exchange import Side
from apps.connectors.models import Connector, Instrument, MarketPrice
from apps.trading import leases
from apps.trading.models import Adjustment, Incident, LedgerEntry, Order, OrderState, Position
from tests.engine.conftest import Bench
from tests.factories import ago
from tests.matrix.outside import by_hand, poll
from tests.people import member


@pytest.fixture
def differing(futures: Bench) -> Incident:
    """Ours 10, theirs 14."""
    Connector.unscoped.update(external_trades="ignore")
    futures.send("buy", "flat", "0.01")
    by_hand(futures, Side.BUY, "4")
    poll(3)
    found: Incident = Incident.unscoped.get()
    return found


def press(incident: Incident, **data: str) -> Any:
    person = member(workspace=incident.workspace)
    url = reverse("trading:bring_in_line", args=[incident.pk])
    page = person.client.get(reverse("trading:incident", args=[incident.pk])).content.decode()
    answer = person.client.post(url, data)
    return page, answer, person


def test_page_shows_both_ways_exactly(futures: Bench, differing: Incident) -> None:
    page, _, _ = press(differing)

    assert "Our row becomes long 14 contracts; the ledger gets one entry of 0.004 BTC, taken over by hand." in page
    assert (
        "Sell 4 contracts of BTCUSDT, market, reduce only; our row takes them over first, at the market price" in page
    )
    assert "Afterwards both say long 10 contracts." in page
    assert (futures.held(), len(futures.book())) == (10, 2)


def test_the_figure_is_taken_over_and_nothing_is_sent(futures: Bench, differing: Incident) -> None:
    press(differing, way="take_over", ours="10", theirs="14")

    assert futures.held() == 14
    assert Adjustment.unscoped.get().get_cause_display() == "taken over by hand"
    assert LedgerEntry.unscoped.get(kind="external").amount == Decimal("0.004")
    differing.refresh_from_db()
    assert differing.resolution == "Taken over by hand."
    assert len(futures.book()) == 2


def test_the_difference_is_closed_by_the_order_that_was_shown_once(futures: Bench, differing: Incident) -> None:
    press(differing, way="close", ours="10", theirs="14")
    press(differing, way="close", ours="10", theirs="14")
    futures.wait(2)

    order = Order.unscoped.get(intent="exit")
    assert (order.side, order.quantity, order.reduce_only, order.state) == ("sell", 4, True, OrderState.FILLED)
    assert [size for _, size in futures.book()] == ["10", "4", "4"]


def test_both_say_the_same_after_the_difference_is_closed(futures: Bench, differing: Incident) -> None:
    futures.paper.set_price("BTCUSDT", "61000")
    MarketPrice.objects.update(mark=61000)

    press(differing, way="close", ours="10", theirs="14")
    at_first = futures.held()
    futures.wait(2)
    futures.end_windows()
    poll(3)

    position = Position.unscoped.get()
    assert (at_first, position.signed_quantity, position.exchange_quantity) == (14, 10, 10)
    assert Adjustment.unscoped.get().price == 61000
    differing.refresh_from_db()
    assert differing.resolved_at is not None


def test_a_difference_above_the_largest_order_is_closed_in_steps_each_shown(
    futures: Bench, differing: Incident
) -> None:
    Instrument.objects.update(max_quantity=2)

    first, _, _ = press(differing, way="close", ours="10", theirs="14")
    press(differing, way="close", ours="10", theirs="14")
    futures.wait(2)
    futures.end_windows()
    poll(3)
    last, _, _ = press(differing, way="close", ours="10", theirs="12")
    futures.wait(2)
    futures.end_windows()
    poll(3)

    assert (
        "Sell 2 contracts of BTCUSDT, market, reduce only; our row takes them over first, at the market price" in first
    )
    assert "It is the largest order the exchange takes: the two will still differ by 2 contracts." in first
    assert "for the order to close. Afterwards both say long 10 contracts." in last
    assert [size for _, size in futures.book()] == ["10", "4", "2", "2"]
    position = Position.unscoped.get()
    assert (position.signed_quantity, position.exchange_quantity) == (10, 10)


@pytest.mark.parametrize(
    "data", [{"ours": "10", "theirs": "9"}, {"ours": "", "theirs": ""}, {"ours": "1", "theirs": "14"}]
)
@pytest.mark.parametrize("way", ["take_over", "close"])
def test_what_was_not_shown_is_not_done(futures: Bench, differing: Incident, way: str, data: dict[str, str]) -> None:
    _, answer, person = press(differing, way=way, **data)

    assert "POSITION_MOVED" in person.client.get(answer["Location"]).content.decode()
    assert (futures.held(), len(futures.book()), Order.unscoped.count()) == (10, 2, 1)


def test_old_figures_are_not_acted_on(futures: Bench, differing: Incident) -> None:
    Position.unscoped.update(reconciled_at=ago(minutes=7))

    page, _, _ = press(differing, way="take_over", ours="10", theirs="14")

    assert "Take over" not in page
    assert futures.held() == 10


@pytest.mark.parametrize("way", ["take_over", "close"])
def test_figures_from_before_a_fill_of_ours_are_not_acted_on(futures: Bench, differing: Incident, way: str) -> None:
    futures.send("sell", "long", "0.004")
    assert futures.held() == 6

    # The exchange holds 10 by now and the newest reading says 14: selling 8 would take 4 of our 6.
    page, answer, person = press(differing, way=way, ours="6", theirs="14")

    assert "Sell 8 contracts" not in page
    assert "POSITION_MOVED" in person.client.get(answer["Location"]).content.decode()
    assert (futures.held(), len(futures.book()), Adjustment.unscoped.exists()) == (6, 3, False)


@pytest.mark.parametrize("way", ["take_over", "close"])
def test_nothing_is_done_beside_a_resting_order_that_may_move_the_position(
    futures: Bench, differing: Incident, way: str
) -> None:
    futures.send("buy", "long", "0.005", order_type="limit", limit_price="50000")
    assert len(futures.book()) == 3

    page, answer, person = press(differing, way=way, ours="10", theirs="14")
    futures.wait()

    assert "Sell 4 contracts" in page
    told = person.client.get(answer["Location"]).content.decode()
    assert "ORDER_OPEN: Nothing was done: the order to buy 5 BTCUSDT is sent and may still" in told
    assert (futures.held(), len(futures.book()), Adjustment.unscoped.exists()) == (10, 3, False)


@pytest.mark.parametrize("way", ["take_over", "close"])
def test_nothing_is_done_while_a_worker_has_the_symbol(futures: Bench, differing: Incident, way: str) -> None:
    with leases.held(futures.connector.pk, "BTCUSDT"):
        _, answer, person = press(differing, way=way, ours="10", theirs="14")

    assert "SYMBOL_BUSY: Nothing was done" in person.client.get(answer["Location"]).content.decode()
    assert (futures.held(), Order.unscoped.count(), Adjustment.unscoped.exists()) == (10, 1, False)


def test_what_the_operators_halted_is_not_closed_by_hand_here(futures: Bench, differing: Incident) -> None:
    Workspace.objects.update(staff_state="halted", staff_reason="court order")

    _, answer, person = press(differing, way="close", ours="10", theirs="14")
    futures.wait(2)

    assert (
        "STAFF_HALTED: Halted by the operators: court order." in person.client.get(answer["Location"]).content.decode()
    )
    assert (Order.unscoped.count(), len(futures.book())) == (1, 2)
