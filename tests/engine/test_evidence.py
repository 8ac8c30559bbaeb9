"""The alert's page proves what happened: times, steps with their proof, and what the fill cost."""

from datetime import timedelta
from decimal import Decimal
from unittest.mock import Mock

import pytest
from django.urls import reverse
from django.utils import timezone

from apps.alerts import queries
from apps.alerts.evidence import evidence_of
from apps.alerts.models import Alert
from apps.connectors.bitmart.futures import FuturesExchange
from apps.connectors.exchange import OrderRejectedError, RejectReason
from apps.connectors.models import MarketPrice
from apps.trading.models import OrderEvent, Protection
from tests.engine.conftest import Bench
from tests.people import Member, member


def viewer_of(bench: Bench) -> Member:
    return member(workspace=bench.connector.workspace)


def quote(bid: str, ask: str, last: str) -> None:
    """The market as it is told to the plan; the exchange itself fills at 60000."""
    MarketPrice.objects.update(
        bid=Decimal(bid), ask=Decimal(ask), last=Decimal(last), at=timezone.now() + timedelta(hours=1)
    )


def test_a_fill_is_split_into_delay_spread_and_impact(futures: Bench) -> None:
    quote("59980", "59990", "59985")

    alert = futures.send("buy", "flat", "0.01", signal_price="59970")

    [cost] = evidence_of(alert.workspace, alert, [futures.order()]).costs
    found = cost.slippage
    assert found.delay is not None
    assert found.spread is not None
    assert found.impact is not None
    assert found.total is not None
    average = futures.order().avg_fill_price
    # Ten contracts of 0.001: a dollar of price is a cent.
    assert (found.delay.amount, found.spread.amount) == (Decimal("0.15"), Decimal("0.05"))
    assert found.impact.amount == (average - 59990) / 100
    assert found.total.amount == (average - 59970) / 100


def test_without_a_signal_price_delay_and_total_are_unknown(futures: Bench) -> None:
    alert = futures.send("buy", "flat", "0.01")

    [cost] = evidence_of(alert.workspace, alert, [futures.order()]).costs
    html = viewer_of(futures).client.get(reverse("alerts:detail", args=[alert.pk])).content.decode()

    assert (cost.slippage.delay, cost.slippage.total) == (None, None)
    assert "not in the message, so delay and total are unknown" in html


def test_what_was_asked_is_kept_before_it_is_sent_and_holds_no_secret(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")

    sending = OrderEvent.unscoped.get(to_state="submitting")
    assert sending.evidence == {
        "attempt": 1,
        "clock_offset_ms": 0,
        "asked": "buy BTCUSDT market",
        "quantity": "10",
        "leverage": "1",
        "margin_mode": "isolated",
        "client_order_id": futures.order().client_order_id,
    }
    assert futures.account.access_key not in str(sending.evidence)


def test_the_stop_and_the_profit_that_travel_in_an_entry_are_told(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01", stop_loss={"price": 58000}, take_profit={"percent": 5})

    asked = OrderEvent.unscoped.get(to_state="submitting").evidence
    assert (asked["stop_loss"], asked["take_profit"]) == ("58000", "63000")


def test_what_a_stop_fired_cost_is_not_measured_against_the_market_of_the_entry(futures: Bench) -> None:
    alert = futures.send("buy", "flat", "0.01", stop_loss={"price": 58000})
    futures.paper.set_price("BTCUSDT", "57900")
    for _ in range(2):
        Protection.unscoped.filter(next_at__gt=timezone.now()).update(next_at=timezone.now())
        futures.wait()
    entry, fired = futures.orders()

    proof = evidence_of(alert.workspace, alert, [entry, fired])

    assert fired.filled_quantity == 10
    assert [cost.order.pk for cost in proof.costs] == [entry.pk]


def test_a_spot_buy_is_asked_for_by_its_amount(spot: Bench) -> None:
    spot.send("buy", "flat", "0.01")

    asked = OrderEvent.unscoped.get(to_state="submitting").evidence
    assert "quantity" not in asked
    assert Decimal(asked["notional"]) == spot.order().notional


def test_the_page_shows_every_step_with_its_proof_and_the_times(futures: Bench) -> None:
    sent_at = timezone.now().replace(microsecond=0) - timedelta(seconds=2)
    alert = futures.send("buy", "flat", "0.01", time=sent_at.isoformat())
    order = futures.order()
    person = viewer_of(futures)

    proof = evidence_of(alert.workspace, alert, [order])
    moments = queries.timeline(alert, [order], proof)
    html = person.client.get(reverse("alerts:detail", args=[alert.pk])).content.decode()

    assert [moment.what for moment in moments if moment.what not in {"Order: first fill", "Order: last fill"}] == [
        "Sent by its source", "Received", "Read", "Claimed by a worker", "Account and prices read", "Planned",
        "Order: written down", "Order: signed and sent", "Order: acknowledged by the exchange", "Order: filled",
        "Finished",
    ]  # fmt: skip
    assert moments[0].at == sent_at
    gaps = {after.what: after.gap_ms for after in moments}
    assert gaps["Received"] == round((alert.received_at - sent_at).total_seconds() * 1000)
    moves = [step.event for step in proof.steps if step.event.from_state != step.event.to_state]
    assert [event.to_state for event in moves] == ["planned", "submitting", "accepted", "filled"]
    for text in (order.client_order_id, order.exchange_order_id, "Its fills add up", proof.steps[1].event.worker):
        assert text in html


def test_an_order_refused_by_a_guard_is_one_step_and_comes_after_the_plan(futures: Bench) -> None:
    alert = futures.send("buy", "flat", "0.9")

    moments = queries.timeline(alert, [futures.order()], evidence_of(alert.workspace, alert, [futures.order()]))

    assert [moment.what for moment in moments] == [
        "Received", "Read", "Claimed by a worker", "Account and prices read", "Planned", "Order: denied", "Finished",
    ]  # fmt: skip
    assert futures.book() == []


def test_a_leg_that_waited_and_was_denied_was_written_down_before(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    futures.send("buy", "flat", "0.01")
    refusal = OrderRejectedError("No.", reason=RejectReason.NO_POSITION, code="40021")
    monkeypatch.setattr(FuturesExchange, "submit", Mock(side_effect=refusal))
    alert = futures.send("sell", "long", "0.025")
    futures.wait(2)
    close, opening = futures.orders()[1:]
    assert (close.state, opening.state) == ("rejected", "denied")

    moments = queries.timeline(alert, [close, opening], evidence_of(alert.workspace, alert, [close, opening]))

    of_opening = [moment.what for moment in moments if moment.order_id == opening.pk]
    assert of_opening == ["Sell entry: written down", "Sell entry: denied"]


def test_an_alert_of_an_earlier_release_still_has_its_page(futures: Bench) -> None:
    alert = Alert.unscoped.get(pk=futures.post("buy", "flat", "0.01").pk)

    proof = evidence_of(alert.workspace, alert, [])

    assert (proof.inputs, proof.steps, proof.costs, proof.source_at) == (None, (), (), None)
