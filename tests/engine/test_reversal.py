"""Close, prove flat, open. Flat is the accepted failure; the opening leg never goes without its closing leg filled."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import Subscription
from apps.connectors.bitmart.futures import FuturesExchange
from apps.connectors.exchange import Book, OrderRejectedError, OrderReport, PositionReport, RejectReason
from apps.connectors.models import MarketPrice
from apps.trading import executor
from apps.trading.deciding import OPEN_LEG_WAIT
from apps.trading.models import Lease, Order, OrderState
from apps.trading.reversal import waiting_legs
from tests.engine.conftest import Bench

D = Decimal
S = OrderState
ONLY_CLOSES = "This reversal only closes: its opening order was not sent."


class DiedError(BaseException):
    """Ends the worker there: nothing catches it."""


@pytest.fixture
def long(futures: Bench) -> Bench:
    """Ten contracts long, so that selling 25 closes 10 and opens 15 short."""
    futures.send("buy", "flat", "0.01")
    return futures


def legs(bench: Bench) -> tuple[Order, Order]:
    close, opening = (order for order in bench.orders()[1:])
    assert (close.leg, opening.leg) == ("c", "o")
    return close, opening


def sizes(bench: Bench) -> list[str]:
    return [size for _, size in bench.book()]


def test_rejected_close_gives_the_open_leg_up(long: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> OrderReport:
        raise OrderRejectedError("x" * 5000, reason=RejectReason.NO_POSITION, code="40021")

    monkeypatch.setattr(FuturesExchange, "submit", refuse)

    long.send("sell", "long", "0.025")
    long.wait(2)

    close, opening = legs(long)
    assert (close.state, close.reason_code, len(close.reason)) == (S.REJECTED, "NO_POSITION", 500)
    assert (opening.state, opening.reason_code, opening.attempt) == (S.DENIED, "CLOSE_LEG_FAILED", 0)
    assert sizes(long) == ["10"]


def test_open_leg_waits_while_the_close_is_in_doubt_and_goes_once_it_is_found(long: Bench) -> None:
    long.fault("drop_answer")
    long.send("sell", "long", "0.025")
    close, opening = legs(long)
    assert (close.state, opening.state, sizes(long)) == (S.UNKNOWN, S.PLANNED, ["10", "10"])

    long.wait(2)

    close, opening = legs(long)
    assert (close.state, opening.state) == (S.FILLED, S.FILLED)
    assert sizes(long) == ["10", "10", "15"]
    assert long.held() == -15


def test_open_leg_whose_workspace_stops_paying_while_the_close_is_in_doubt_is_not_sent(long: Bench) -> None:
    """The trial itself would have gone on."""
    long.fault("drop_answer")
    long.send("sell", "long", "0.02")
    close, opening = legs(long)
    assert (close.state, opening.state) == (S.UNKNOWN, S.PLANNED)
    Subscription.objects.update(status="ended", trial_ends_at=timezone.now() + timedelta(days=9))

    long.wait(2)

    close, opening = legs(long)
    assert (close.state, opening.state, opening.reason_code) == (S.FILLED, S.DENIED, "TRIAL_ENDED")
    assert (sizes(long), long.held()) == (["10", "10"], 0)


def test_open_leg_that_waited_too_long_is_not_sent(long: Bench) -> None:
    long.fault("drop_answer")
    long.send("sell", "long", "0.025")
    now = timezone.now()
    Order.unscoped.filter(waits_for_parent=True).update(
        created_at=now - timedelta(seconds=61), expires_at=now - timedelta(seconds=1)
    )

    long.wait(2)

    close, opening = Order.unscoped.get(leg="c"), Order.unscoped.get(waits_for_parent=True)
    assert (close.state, opening.state, opening.reason_code) == (S.FILLED, S.EXPIRED, "ENTRY_EXPIRED")
    assert opening.reason.startswith("Too old: this entry waited 61 s after it reached us, the limit is 60 s.")
    assert ONLY_CLOSES in opening.reason
    assert sizes(long) == ["10", "10"]
    assert long.held() == 0


@pytest.mark.parametrize(("price", "state", "held"), [("58900", S.DENIED, 0), ("59100", S.FILLED, -15)])
def test_open_leg_is_held_against_the_alerts_price_once_more(long: Bench, price: str, state: S, held: int) -> None:
    long.connector.max_price_deviation_pct = D(2)
    long.connector.save(update_fields=["max_price_deviation_pct"])
    long.fault("drop_answer")
    long.send("sell", "long", "0.025", signal_price="60200")
    MarketPrice.objects.update(last=D(price), bid=D(price), ask=D(price))

    long.wait(2)

    close, opening = legs(long)
    assert (close.state, opening.state) == (S.FILLED, state)
    assert (sizes(long), long.held()) == (["10", "10", *(["15"] if held else [])], held)
    if state is S.DENIED:
        assert opening.reason_code == "PRICE_DEVIATION"
        assert opening.reason.startswith("Not opened: the price is 58900, 2.15 % from the 60200 in the alert")


def test_open_leg_that_is_refused_at_once_does_not_say_that_nothing_was_sent(long: Bench) -> None:
    long.send("sell", "long", "0.025", stop_loss={"price": 50000})

    close, opening = legs(long)
    assert (close.state, opening.state, opening.reason_code) == (S.FILLED, S.DENIED, "PROTECTION_WRONG_SIDE")
    assert opening.reason == (
        "Not opened: the stop loss at 50000 lies on the wrong side of 60000, where this short on BTCUSDT opens. "
        f"{ONLY_CLOSES} Correct it in the message, or give a percentage."
    )
    assert (sizes(long), long.held()) == (["10", "10"], 0)


def test_limit_leg_is_held_against_the_alerts_price_by_the_market_not_by_its_own_price(long: Bench) -> None:
    long.connector.max_price_deviation_pct = D("0.5")
    long.connector.save(update_fields=["max_price_deviation_pct"])
    long.send("sell", "long", "0.025", order_type="limit", limit_price="60600", signal_price="60000")
    long.paper.set_price("BTCUSDT", "60600")

    long.wait(2)

    close, opening = legs(long)
    assert (close.state, opening.state, opening.price) == (S.FILLED, S.FILLED, D(60600))
    assert long.held() == -15


@pytest.mark.parametrize(("max_lag", "seconds"), [(20, 20), (300, None)])
def test_open_leg_waits_no_longer_than_its_message_allows(long: Bench, max_lag: int, seconds: int | None) -> None:
    long.fault("drop_answer")

    alert = long.send("sell", "long", "0.025", max_lag=max_lag)

    close, opening = legs(long)
    latest = alert.received_at + timedelta(seconds=seconds) if seconds else close.created_at + OPEN_LEG_WAIT
    assert (close.expires_at, opening.expires_at) == (None, latest)


def test_close_that_was_not_placed_closes_anew_and_opens_nothing(long: Bench) -> None:
    long.fault("drop_request")
    long.send("sell", "long", "0.025")
    long.pass_fence()

    long.wait(4)

    close, opening = legs(long)
    assert (close.state, close.attempt, close.filled_quantity) == (S.FILLED, 2, Decimal(10))
    assert (opening.state, opening.reason_code) == (S.DENIED, "CLOSE_LEG_FAILED")
    assert sizes(long) == ["10", "10"]
    assert long.held() == 0


def test_open_leg_in_doubt_is_not_sent_again(long: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    submit, sent = FuturesExchange.submit, []

    def lose_the_second(self: FuturesExchange, *args: Any, **kwargs: Any) -> OrderReport:
        sent.append(args)
        if len(sent) == 2:
            long.fault("drop_answer")
        return submit(self, *args, **kwargs)

    monkeypatch.setattr(FuturesExchange, "submit", lose_the_second)
    long.send("sell", "long", "0.025")
    assert legs(long)[1].state == S.UNKNOWN

    long.wait(2)

    assert legs(long)[1].state == S.FILLED
    assert sizes(long) == ["10", "10", "15"]
    assert len(sent) == 2


def test_position_not_read_before_the_open_leg_is_no_proof_of_flat(long: Bench) -> None:
    long.fault("drop_answer")
    long.send("sell", "long", "0.025")
    long.fault("status", "/contract/private/position-v2", status=502, accepted=False, times=3)

    long.wait()
    assert (legs(long)[1].state, sizes(long)) == (S.PLANNED, ["10", "10"])
    long.wait(2)

    assert legs(long)[1].state == S.FILLED
    assert sizes(long) == ["10", "10", "15"]


def test_rest_still_open_after_the_close_denies_the_open_leg(long: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    long.fault("drop_answer")
    long.send("sell", "long", "0.025")
    price = Decimal(60000)
    rest = PositionReport("BTCUSDT", Book.NET, Decimal(4), price, price, Decimal(0), Decimal(1), None)
    monkeypatch.setattr(FuturesExchange, "positions", lambda *_: [rest])

    long.wait(2)

    close, opening = legs(long)
    assert (close.state, opening.state, opening.reason_code) == (S.FILLED, S.DENIED, "CLOSE_LEG_FAILED")
    assert sizes(long) == ["10", "10"]


@pytest.mark.parametrize("after", ["close recorded", "leg made due", "leg sized"])
def test_worker_dies_between_close_and_open_and_the_sweeper_goes_on(
    long: Bench, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    with monkeypatch.context() as patch:
        _die(patch, after)
        with pytest.raises(DiedError):
            long.send("sell", "long", "0.025")
    close, opening = legs(long)
    assert (close.state, opening.state, sizes(long)) == (S.FILLED, S.PLANNED, ["10", "10"])
    _release_dead_lease()

    Order.unscoped.filter(pk=close.pk).update(finished_at=timezone.now() - timedelta(seconds=6))
    long.wait(3)

    assert [order.state for order in legs(long)] == [S.FILLED, S.FILLED]
    assert sizes(long) == ["10", "10", "15"]
    assert long.held() == -15


@pytest.mark.parametrize("is_due", [False, True])
def test_worker_dies_after_a_failed_close_and_the_sweeper_gives_the_open_leg_up(
    long: Bench, monkeypatch: pytest.MonkeyPatch, is_due: bool
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> OrderReport:
        raise OrderRejectedError("no", reason=RejectReason.NO_POSITION, code="40021")

    with monkeypatch.context() as patch:
        patch.setattr(FuturesExchange, "submit", refuse)
        _die(patch, "close recorded")
        with pytest.raises(DiedError):
            long.send("sell", "long", "0.025")
    _release_dead_lease()

    Order.unscoped.filter(leg="c").update(finished_at=timezone.now() - timedelta(seconds=6))
    Order.unscoped.filter(waits_for_parent=True).update(next_at=timezone.now() if is_due else None)
    long.wait(2)

    close, opening = legs(long)
    assert (close.state, opening.state, opening.reason_code) == (S.REJECTED, S.DENIED, "CLOSE_LEG_FAILED")
    assert opening.facts["denial"]["state"] == "rejected"
    assert sizes(long) == ["10"]


def _die(patch: pytest.MonkeyPatch, after: str) -> None:
    def die(*args: Any, **kwargs: Any) -> None:
        raise DiedError

    drive, advance = executor.drive, executor.move
    if after == "close recorded":
        patch.setattr("apps.trading.executor.waiting_legs", die)
    elif after == "leg made due":
        patch.setattr("apps.trading.executor.drive", lambda leg: die() if leg.waits_for_parent else drive(leg))
    else:
        patch.setattr(
            "apps.trading.executor.move",
            lambda order, *args, **kwargs: die() if order.waits_for_parent else advance(order, *args, **kwargs),
        )


def _release_dead_lease() -> None:
    """The dead worker's lease has run out."""

    Lease.objects.update(until=timezone.now())


def test_legs_are_looked_for_behind_a_closing_order_only(long: Bench) -> None:
    long.fault("drop_answer")
    long.send("sell", "long", "0.025")
    close, opening = legs(long)

    with CaptureQueriesContext(connection) as queries:
        assert waiting_legs(close) == [opening]
        assert waiting_legs(opening) == []

    assert (len(queries), opening.parent_id, close.intent) == (1, close.pk, "exit")
