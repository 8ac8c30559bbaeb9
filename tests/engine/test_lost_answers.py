"""No answer is not "rejected": the order is looked for, and only a proof decides."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from apps.alerts.models import AlertStatus
from apps.connectors.bitmart.futures import FuturesExchange
from apps.connectors.exchange import OrderReport, OrderRequest
from apps.connectors.opening import open_connector
from apps.trading import executor, fencing
from apps.trading.models import Fill, Lease, Order, OrderEvent, OrderState
from tests.engine.conftest import Bench

S = OrderState
# What the book holds in the end when the first request for an entry, and for an exit, came to nothing.
EITHER_WAY = pytest.mark.parametrize(("action", "prev", "sizes"), [("buy", "flat", []), ("sell", "long", ["10", "10"])])
LOST_BUT_PLACED = {
    "cut": ("drop_answer", {}),
    "502": ("status", {"status": 502, "accepted": True}),
    "500": ("status", {"status": 500, "accepted": True}),
    "html": ("html", {"accepted": True}),
    "429 of a gateway": ("status", {"status": 429, "accepted": True}),
}
LOST_AND_NOT_PLACED = {
    "cut": ("drop_request", {}),
    "502": ("status", {"status": 502, "accepted": False}),
    "html": ("html", {"accepted": False}),
    "429 of a gateway": ("status", {"status": 429, "accepted": False}),
}


@pytest.mark.parametrize(("action", "details"), LOST_BUT_PLACED.values(), ids=LOST_BUT_PLACED)
def test_placed_order_with_a_lost_answer_is_found_and_filled(
    futures: Bench, action: str, details: dict[str, object]
) -> None:
    futures.fault(action, **details)
    alert = futures.send("buy", "flat", "0.01")
    assert futures.order().state == S.UNKNOWN

    futures.wait()

    order = futures.order()
    assert (order.state, order.filled_quantity, order.next_at) == (S.FILLED, Decimal(10), None)
    assert futures.path(order) == [S.PLANNED, S.SUBMITTING, S.UNKNOWN, S.FILLED]
    assert futures.book() == [(order.client_order_id, "10")]
    assert futures.held() == 10
    assert futures.status(alert) == (AlertStatus.EXECUTED, "")


def test_placed_spot_order_with_a_lost_answer_is_found_and_filled(spot: Bench) -> None:
    spot.fault("drop_answer")
    spot.send("buy", "flat", "0.01")

    spot.wait()

    order = spot.order()
    assert (order.state, order.filled_quantity) == (S.FILLED, Decimal("0.01"))
    assert [name for name, _ in spot.book()] == [order.client_order_id]
    assert Fill.unscoped.filter(order=order).count() == len(spot.paper.fills(spot.account.access_key))


@pytest.mark.parametrize(("action", "details"), LOST_AND_NOT_PLACED.values(), ids=LOST_AND_NOT_PLACED)
def test_entry_that_was_not_placed_is_proved_absent_and_never_sent_again(
    futures: Bench, action: str, details: dict[str, object]
) -> None:
    futures.fault(action, **details)
    futures.send("buy", "flat", "0.01")

    futures.wait(3)
    assert futures.order().state == S.UNKNOWN
    futures.pass_fence()
    futures.wait(5)

    order = futures.order()
    assert (order.state, order.attempt, order.reason_code) == (S.NOT_PLACED, 1, "NOT_PLACED")
    assert order.next_at is None
    assert futures.book() == []


def test_before_the_fence_an_absence_proves_nothing(futures: Bench) -> None:
    futures.fault("drop_request")
    futures.send("buy", "flat", "0.01")

    futures.wait(8)

    order = futures.order()
    assert (order.state, order.not_found_count, order.query_count) == (S.UNKNOWN, 0, 8)
    assert order.next_at is not None


def test_after_the_fence_one_absence_is_not_enough(futures: Bench) -> None:
    futures.fault("drop_request")
    futures.send("buy", "flat", "0.01")
    futures.pass_fence()

    futures.wait()

    assert (futures.order().state, futures.order().not_found_count) == (S.UNKNOWN, 1)


def test_exit_that_was_not_placed_is_sent_again_under_the_same_id_for_what_is_held(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    futures.fault("drop_request")
    alert = futures.send("sell", "long", "0.006")
    first = futures.orders()[1]
    futures.pass_fence()

    futures.wait(4)

    order = futures.orders()[1]
    assert (order.state, order.attempt, order.filled_quantity) == (S.FILLED, 2, Decimal(6))
    assert order.client_order_id == first.client_order_id
    assert futures.path(order) == [
        *(S.PLANNED, S.SUBMITTING, S.UNKNOWN, S.NOT_PLACED),
        *(S.PLANNED, S.SUBMITTING, S.ACCEPTED, S.FILLED),
    ]
    assert [size for _, size in futures.book()] == ["10", "6"]
    assert futures.held() == 4
    assert futures.status(alert) == (AlertStatus.EXECUTED, "")


def test_exit_sent_again_is_clamped_to_what_is_still_held(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    futures.fault("drop_request")
    futures.send("sell", "long", "0.01")
    futures.pass_fence()
    futures.wait(1)
    order = futures.orders()[1]
    assert order.not_found_count == 1
    # The proof is complete and the exit is planned anew; by then the trader has closed 7 of the 10 by hand.
    order.state, order.quantity = S.NOT_PLACED, Decimal(10)
    order.save()
    _close_by_hand(futures, "7")

    futures.wait(2)

    order.refresh_from_db()
    assert (order.state, order.quantity, order.filled_quantity) == (S.FILLED, Decimal(3), Decimal(3))
    assert [size for _, size in futures.book()] == ["10", "7", "3"]


def test_exit_that_was_not_placed_and_has_nothing_left_to_close_stays_unsent(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    futures.fault("drop_request")
    futures.send("sell", "long", "0.01")
    order = futures.orders()[1]
    order.state, order.quantity = S.NOT_PLACED, Decimal(10)
    order.save()
    _close_by_hand(futures, "10")

    futures.wait(2)

    order.refresh_from_db()
    assert (order.state, order.attempt, order.next_at) == (S.NOT_PLACED, 1, None)
    assert [size for _, size in futures.book()] == ["10", "10"]


@pytest.mark.parametrize("is_due", [False, True])
def test_entry_proved_absent_is_not_sent_even_when_somebody_makes_it_due(futures: Bench, is_due: bool) -> None:
    futures.fault("drop_request")
    futures.send("buy", "flat", "0.01")
    futures.pass_fence()
    futures.wait(3)
    # The trader goes short by hand: the entry's side could now be taken for a closing one.
    _by_hand(futures, side=4, size="10")
    Order.unscoped.update(next_at=timezone.now() if is_due else None)

    futures.wait(2)

    order = futures.order()
    assert (order.state, order.attempt, order.next_at) == (S.NOT_PLACED, 1, None)
    assert [size for _, size in futures.book()] == ["10"]


@EITHER_WAY
def test_worker_that_wakes_up_after_the_fence_places_nothing(
    futures: Bench, monkeypatch: pytest.MonkeyPatch, action: str, prev: str, sizes: list[str]
) -> None:
    """Frozen between its claim and the bytes: by now the order is proved absent, and an exit was sent anew."""
    _hold(futures, prev)
    submit, signed = FuturesExchange.submit, []

    def frozen(self: FuturesExchange, request: OrderRequest, *, signed_at_ms: int) -> OrderReport:
        signed.append(signed_at_ms)
        if len(signed) > 1:
            return submit(self, request, signed_at_ms=signed_at_ms)
        Lease.objects.update(until=timezone.now())
        futures.pass_fence()
        futures.wait(5)
        return submit(self, request, signed_at_ms=signed_at_ms - 61_000)

    monkeypatch.setattr(FuturesExchange, "submit", frozen)

    order = _sent_once(futures, action, prev, sizes)

    claims = OrderEvent.unscoped.filter(order=order, to_state=S.SUBMITTING)
    assert claims.count() == len(signed) == order.attempt
    assert signed[-1] == int(order.signed_at.timestamp() * 1000)


@EITHER_WAY
def test_worker_that_wakes_up_before_it_sends_lets_no_byte_leave(
    futures: Bench, monkeypatch: pytest.MonkeyPatch, action: str, prev: str, sizes: list[str]
) -> None:
    """Frozen right after its claim: an exit that was sent anew meanwhile may still be on its way."""
    _hold(futures, prev)
    sent = _freeze_first_claim(monkeypatch, 100, lambda: (futures.pass_fence(), futures.wait(5)))

    _sent_once(futures, action, prev, sizes)

    assert sent == ([2] if action == "sell" else [])


@pytest.mark.parametrize(("seconds", "attempts"), [(19, [1]), (20, [2])])
def test_worker_that_stood_still_unseen_sends_with_a_new_signature(
    futures: Bench, monkeypatch: pytest.MonkeyPatch, seconds: int, attempts: list[int]
) -> None:
    sent = _freeze_first_claim(monkeypatch, seconds, lambda: None)

    alert = futures.send("buy", "flat", "0.01")
    futures.wait(3)

    causes = OrderEvent.unscoped.filter(order=futures.order()).values_list("cause", flat=True)
    assert sent == attempts
    assert ("not sent" in causes) == (attempts == [2])
    assert (futures.order().state, [size for _, size in futures.book()]) == (S.FILLED, ["10"])
    assert futures.status(alert) == (AlertStatus.EXECUTED, "")


def _hold(futures: Bench, prev: str) -> None:
    if prev == "long":
        futures.send("buy", "flat", "0.01")


def _sent_once(futures: Bench, action: str, prev: str, sizes: list[str]) -> Order:
    """Send the alert whose worker freezes: its entry is given up, its exit is sent anew, and the book holds `sizes`."""
    alert = futures.send(action, prev, "0.01")
    futures.wait(2)

    order = futures.orders()[-1]
    assert order.state == (S.FILLED if action == "sell" else S.NOT_PLACED)
    assert [size for _, size in futures.book()] == sizes
    assert futures.status(alert) == (AlertStatus.EXECUTED, "")
    return order


def _freeze_first_claim(monkeypatch: pytest.MonkeyPatch, seconds: int, meanwhile: Callable[[], object]) -> list[int]:
    """Let time pass between the first claim of the last order and its bytes; return the attempts whose bytes leave."""
    check, submit = fencing.check_awake, FuturesExchange.submit
    claims: list[datetime] = []
    sent: list[int] = []

    def frozen(claimed_at: datetime, *, within: timedelta) -> None:
        claims.append(claimed_at)
        if len(claims) > 1:
            check(claimed_at, within=within)
            return
        Lease.objects.update(until=timezone.now())
        meanwhile()
        check(claimed_at - timedelta(seconds=seconds), within=within)

    def leaving(self: FuturesExchange, request: OrderRequest, *, signed_at_ms: int) -> OrderReport:
        sent.append(Order.unscoped.get(client_order_id=request.client_order_id).attempt)
        return submit(self, request, signed_at_ms=signed_at_ms)

    monkeypatch.setattr(executor, "check_awake", frozen)
    monkeypatch.setattr(FuturesExchange, "submit", leaving)
    return sent


def test_absent_order_on_a_changed_account_stays_unknown(futures: Bench) -> None:
    futures.fault("drop_request")
    futures.send("buy", "flat", "0.01")
    _open_by_hand(futures, "3")
    futures.pass_fence()

    futures.wait(4)

    order = futures.order()
    assert (order.state, order.attempt) == (S.UNKNOWN, 1)
    assert order.next_at is not None
    assert [size for _, size in futures.book()] == ["3"]


def test_failed_query_is_no_news(futures: Bench) -> None:
    futures.fault("drop_request")
    futures.send("buy", "flat", "0.01")
    futures.pass_fence()
    # Each question is asked three times before it counts as failed.
    futures.fault("status", "/contract/private/order-history", status=502, accepted=False, times=12)

    futures.wait(4)

    assert (futures.order().state, futures.order().not_found_count) == (S.UNKNOWN, 0)
    futures.wait(2)
    assert futures.order().state == S.NOT_PLACED


def test_failed_position_query_proves_no_unchanged_account(futures: Bench) -> None:
    futures.fault("drop_request")
    futures.send("buy", "flat", "0.01")
    futures.pass_fence()
    futures.wait()
    futures.fault("status", "/contract/private/position-v2", status=502, accepted=False, times=3)

    futures.wait()

    assert futures.order().state == S.UNKNOWN
    futures.wait()
    assert futures.order().state == S.NOT_PLACED


def _close_by_hand(futures: Bench, size: str) -> None:
    _by_hand(futures, side=3, size=size)


def _open_by_hand(futures: Bench, size: str) -> None:
    _by_hand(futures, side=1, size=size)


def _by_hand(futures: Bench, *, side: int, size: str) -> None:
    """Trade past us, as a person on the exchange's own page does."""
    exchange = open_connector(futures.connector)
    body = {"symbol": "BTCUSDT", "side": side, "type": "market", "size": int(size), "mode": 1}
    if side in {1, 4}:
        body |= {"leverage": "1", "open_type": "isolated"}
    client = exchange._client  # type: ignore[attr-defined]
    client.signed_once("/contract/private/submit-order", body, signed_at_ms=client.now_ms())
