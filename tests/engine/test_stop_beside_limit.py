"""A limit exit that rests holds the volume that a stop wants to sell: what the stop leaves open is not left alone."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from apps.alerts.models import Alert
from apps.alerts.queries import cause_of
from apps.connectors.exchange import Side
from apps.connectors.models import Connector
from apps.trading import cancelling, queries, unguarded
from apps.trading.legs import Holding
from apps.trading.models import Incident, Order, OrderState, Protection, ProtectionState
from tests.engine.conftest import Bench
from tests.engine.test_fired_unseen import poll, wait
from tests.engine.test_protection import at_exchange, guards
from tests.matrix.outside import by_hand

S, P = OrderState, ProtectionState
SUBMIT = "/contract/private/submit-order"
ROUNDS = 12


@pytest.fixture(autouse=True)
def _large_orders(futures: Bench) -> None:
    Connector.unscoped.update(max_order_notional=100_000, max_open_notional=100_000)
    futures.connector.refresh_from_db()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelling, "_LOOK_PAUSES_S", (0,))
    monkeypatch.setattr(unguarded, "PAUSES", (timedelta(0),))


def beside_limit(bench: Bench, exit_quantity: str, *, chosen: str = "close") -> Order:
    """Open 50 with a stop at 59400 and let a limit exit rest at 61000; return that."""
    Connector.unscoped.update(unprotected=chosen)
    bench.send("buy", "flat", "0.05", stop_loss={"percent": 1})
    bench.send("sell", "long", exit_quantity, order_type="limit", limit_price="61000")
    [resting] = [order for order in bench.orders() if order.order_type == "limit"]
    assert (resting.state, guards(bench)[0].state) == (S.ACCEPTED, P.LIVE)
    return resting


def closing_orders(bench: Bench) -> list[Order]:
    return [order for order in bench.orders() if order.leg in unguarded.CLOSING_LEGS]


def closing(bench: Bench) -> list[tuple[str, Decimal]]:
    return [(order.state, order.filled_quantity) for order in closing_orders(bench)]


def refused_for_a_minute(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the closing of what a limit exit kept the stop from refused once, and wait before the next."""
    monkeypatch.setattr(unguarded, "PAUSES", (timedelta(minutes=1),))
    beside_limit(bench, "0.05")
    bench.fault("code", SUBMIT, code=40020, status=400)
    bench.paper.set_price("BTCUSDT", "59300")
    wait(bench, ROUNDS)
    assert closing(bench) == [(S.REJECTED, 0)]


def held_there(bench: Bench) -> Decimal:
    bench.end_windows()
    positions = unguarded.open_connector(bench.connector).positions("BTCUSDT")
    return sum((one.signed_quantity for one in positions), Decimal(0))


def held(bench: Bench) -> tuple[Decimal, Decimal]:
    """Return what is held by our fills, and at the exchange."""
    return bench.held(), held_there(bench)


def test_stop_that_a_limit_exit_of_it_all_switched_off_is_made_good(futures: Bench) -> None:
    resting = beside_limit(futures, "0.05")

    futures.paper.set_price("BTCUSDT", "59300")
    wait(futures, ROUNDS)

    assert at_exchange(futures) == []
    assert held(futures) == (0, 0)
    resting.refresh_from_db()
    assert (resting.state, resting.filled_quantity) == (S.CANCELED, 0)
    assert resting.reason.startswith("Taken back, for the stop of its position is not in place")
    assert closing(futures) == [(S.FILLED, 50)]
    incident = Incident.unscoped.get(kind="protection_missing")
    assert incident.facts["did"] == "It is closed at the market, as chosen on the connector."
    assert (incident.resolved_at is None, incident.resolution) == (False, incident.facts["did"])


def test_incident_says_only_what_is_done(futures: Bench) -> None:
    beside_limit(futures, "0.05")
    futures.paper.set_price("BTCUSDT", "59300")
    said: list[tuple[str, Decimal]] = []

    for _ in range(ROUNDS):
        wait(futures)
        for incident in Incident.unscoped.all():
            said.append((incident.facts["did"], held_there(futures)))

    assert said[0][0].startswith("It is being closed")
    assert {size for did, size in said if did.startswith("It is closed")} == {0}


def test_closing_that_is_refused_is_tried_again(futures: Bench) -> None:
    beside_limit(futures, "0.05")
    futures.fault("code", SUBMIT, code=40020, status=400, times=2)
    futures.paper.set_price("BTCUSDT", "59300")
    said: list[str] = []

    for _ in range(ROUNDS):
        wait(futures)
        said += [incident.facts["did"] for incident in Incident.unscoped.all()]

    assert closing(futures) == [(S.REJECTED, 0), (S.REJECTED, 0), (S.FILLED, 50)]
    assert held(futures) == (0, 0)
    assert Incident.unscoped.get().resolution.startswith("It is closed at the market")


def test_orders_that_close_are_all_found_with_the_alert_that_opened(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unguarded, "CLOSING_LEGS", unguarded.CLOSING_LEGS[:3])
    beside_limit(futures, "0.05")
    futures.fault("code", SUBMIT, code=40020, status=400, times=3)
    futures.paper.set_price("BTCUSDT", "59300")

    wait(futures, ROUNDS)

    orders = closing_orders(futures)
    assert closing(futures) == [*[(S.REJECTED, 0)] * 3, (S.FILLED, 50)]
    alert = Alert.unscoped.get(pk=orders[0].origin_id)
    # Only so many have a name there.
    assert [cause_of(order) for order in orders] == [alert, alert, alert, None]
    assert queries.by_origin(alert.workspace, [alert.pk])[alert.pk][1:] == orders[:3]
    assert len({order.client_order_id for order in orders}) == 4


def test_refused_closing_waits_and_says_so(futures: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    refused_for_a_minute(futures, monkeypatch)

    incident = Incident.unscoped.get()
    assert incident.resolved_at is None
    assert incident.facts["did"].startswith("The order to close it ended rejected:")
    assert incident.facts["did"].endswith("It is tried again while it is open.")
    monkeypatch.setattr(unguarded, "PAUSES", (timedelta(0),))
    wait(futures, 3)
    assert (held(futures), closing(futures)[1:]) == ((0, 0), [(S.FILLED, 50)])


def test_position_that_the_exchange_shows_late_is_not_taken_for_closed(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside_limit(futures, "0.05")
    futures.paper.set_price("BTCUSDT", "59300")
    read = unguarded.read_account
    with monkeypatch.context() as late:
        late.setattr(unguarded, "read_account", lambda *asked: replace(read(*asked), holding=Holding()))
        wait(futures, ROUNDS)
        assert (closing(futures), Incident.unscoped.get().resolved_at) == ([], None)

    wait(futures, 3)

    assert (held(futures), closing(futures)) == ((0, 0), [(S.FILLED, 50)])


def test_stop_that_closed_only_what_was_free_has_its_rest_closed(futures: Bench) -> None:
    resting = beside_limit(futures, "0.04")

    futures.paper.set_price("BTCUSDT", "59300")
    wait(futures, ROUNDS)

    [stop] = guards(futures)
    assert (stop.state, Order.unscoped.get(pk=stop.fired_id).filled_quantity) == (P.FIRED, 10)
    assert held(futures) == (0, 0)
    resting.refresh_from_db()
    assert (resting.state, closing(futures)) == (S.CANCELED, [(S.FILLED, 40)])
    incident = Incident.unscoped.get(kind="protection_missing")
    assert incident.facts["why"] == "its stop loss at 59400 fired and closed only 10 of 50"
    assert incident.facts["did"] == "It is closed at the market, as chosen on the connector."
    assert Protection.unscoped.exclude(next_at=None).count() == 0


def test_rest_that_is_to_be_kept_is_told(futures: Bench) -> None:
    resting = beside_limit(futures, "0.04", chosen="keep")

    futures.paper.set_price("BTCUSDT", "59300")
    wait(futures, ROUNDS)

    resting.refresh_from_db()
    assert (held(futures), resting.state, closing(futures)) == ((40, 40), S.ACCEPTED, [])
    incident = Incident.unscoped.get(kind="protection_missing")
    assert (incident.resolved_at, incident.facts["did"]) == (None, "It was kept open, as chosen on the connector.")
    assert incident.facts["why"] == "its stop loss at 59400 fired and closed only 10 of 50"


def test_stop_that_fired_for_all_that_was_left_is_no_matter(futures: Bench) -> None:
    futures.send("buy", "flat", "0.05", stop_loss={"percent": 1})
    with pytest.MonkeyPatch.context() as late:
        late.setattr("apps.trading.protection._replace", lambda *_: None)
        futures.send("sell", "long", "0.04")
        futures.paper.set_price("BTCUSDT", "59300")
        wait(futures, 4)

    [stop] = guards(futures)
    assert (stop.state, Order.unscoped.get(pk=stop.fired_id).filled_quantity) == (P.FIRED, 10)
    assert (held(futures), closing(futures), stop.next_at) == ((0, 0), [], None)
    assert not Incident.unscoped.exists()


def test_halt_leaves_the_limit_exit_where_it_is(futures: Bench) -> None:
    resting = beside_limit(futures, "0.05")
    Connector.unscoped.update(trading_state="halted")

    futures.paper.set_price("BTCUSDT", "59300")
    wait(futures, ROUNDS)

    resting.refresh_from_db()
    assert (held(futures), resting.cancel_requested_at, closing(futures)) == ((50, 50), None, [(S.DENIED, 0)])
    incident = Incident.unscoped.get()
    assert (incident.resolved_at, incident.facts["did"][:25]) == (None, "It was kept open. Halted:")
    assert incident.facts["did"].endswith("Once that is over, its stop is placed or it is closed.")


def test_closing_goes_on_once_the_halt_is_lifted(futures: Bench) -> None:
    resting = beside_limit(futures, "0.05")
    Connector.unscoped.update(trading_state="halted")
    futures.paper.set_price("BTCUSDT", "59300")
    wait(futures, ROUNDS)
    assert closing(futures) == [(S.DENIED, 0)]

    Connector.unscoped.update(trading_state="active")
    wait(futures, 5)

    resting.refresh_from_db()
    assert (held(futures), resting.state) == ((0, 0), S.CANCELED)
    assert closing(futures) == [(S.DENIED, 0), (S.FILLED, 50)]
    incident = Incident.unscoped.get()
    assert incident.resolution == "It is closed at the market, as chosen on the connector."
    assert Protection.unscoped.exclude(next_at=None).count() == 0


def test_what_is_closed_otherwise_during_a_halt_is_over(futures: Bench) -> None:
    beside_limit(futures, "0.04")
    Connector.unscoped.update(trading_state="halted")
    futures.paper.set_price("BTCUSDT", "59300")
    wait(futures, ROUNDS)
    assert (closing(futures), futures.held()) == ([(S.DENIED, 0)], 40)

    futures.paper.set_price("BTCUSDT", "61100")
    wait(futures, 4)

    assert held(futures) == (0, 0)
    assert Incident.unscoped.get(kind="protection_missing").resolution == "It is not open any more."
    assert closing(futures) == [(S.DENIED, 0)]


def test_position_that_was_opened_later_is_not_closed_for_a_stop_of_an_earlier_one(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused_for_a_minute(futures, monkeypatch)

    by_hand(futures, Side.SELL, "50", reduce_only=True)
    poll(futures, 4)
    futures.send("buy", "flat", "0.03")
    monkeypatch.setattr(unguarded, "PAUSES", (timedelta(0),))
    wait(futures, 4)

    assert held(futures) == (30, 30)
    assert closing(futures) == [(S.REJECTED, 0)]


def test_add_of_another_entry_is_left_to_its_own_stop(futures: Bench) -> None:
    beside_limit(futures, "0.04")
    futures.send("buy", "long", "0.02", stop_loss={"price": 55000})

    # What is free now is 30 of 70, less than the first stop guards.
    futures.paper.set_price("BTCUSDT", "59300")
    wait(futures, ROUNDS)

    assert closing(futures) == [(S.FILLED, 20)]
    assert held(futures) == (20, 20)
    assert at_exchange(futures) == [("stop_loss", "55000", "20")]


@pytest.mark.parametrize(("asked_ago", "is_closed"), [(50, False), (70, True)])
def test_limit_exit_in_doubt_holds_the_closing_up_for_a_minute_only(
    futures: Bench, asked_ago: int, is_closed: bool
) -> None:
    resting = beside_limit(futures, "0.05")
    futures.paper.set_price("BTCUSDT", "59300")

    for _ in range(ROUNDS):
        asked_at = timezone.now() - timedelta(seconds=asked_ago)
        doubt = {"state": S.UNKNOWN, "cancel_requested_at": asked_at, "next_at": None}
        Order.unscoped.filter(pk=resting.pk).update(**doubt)
        wait(futures, 1)

    assert bool(closing(futures)) is is_closed
