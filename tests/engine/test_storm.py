"""Random alerts under random faults and deaths of workers: whatever happens, the books agree in the end."""

import random
import sys
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone

from apps.alerts.models import WAITING, Alert
from apps.connectors.opening import open_connector
from apps.trading.models import FINAL_STATES, Fill, Lease, Order, OrderState
from tests.engine.conftest import SUBMIT, Bench

S = OrderState
ALERTS = 10
ASKED = (
    "/contract/private/get-open-orders",
    "/contract/private/order-history",
    "/contract/private/order",
    "/contract/private/trades",
    "/contract/private/position-v2",
    "/contract/private/assets-detail",
)
DEATHS = (
    "apps.alerts.execution._drive",
    "apps.trading.executor._acknowledge",
    "apps.trading.executor._follow",
    "apps.trading.executor.settle_legs",
    "apps.trading.executor.waiting_legs",
    "apps.trading.recording.note",
    "apps.trading.recording.move",
    "apps.trading.following.recording.record",
)


class DiedError(BaseException):
    """Ends the worker there: nothing catches it."""


@pytest.mark.parametrize("number", range(2))
def test_books_agree_after_a_storm(futures: Bench, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    seed = random.randrange(10**6)
    sys.stdout.write(f"seed {seed}\n")
    storm(futures, monkeypatch, random.Random(seed))


def storm(futures: Bench, monkeypatch: pytest.MonkeyPatch, dice: random.Random) -> None:
    monkeypatch.setattr("apps.connectors.bitmart.client.RETRY_PAUSES_S", (0,))
    for _ in range(ALERTS):
        futures.post(*dice.choice([("buy", "flat"), ("sell", "long"), ("sell", "flat"), ("buy", "short")]), _size(dice))
        _arm(futures, dice)
        with monkeypatch.context() as patch:
            if dice.random() < 0.3:
                _die_at(patch, dice.choice(DEATHS))
            try:
                futures.wait()
            except DiedError:
                Lease.objects.update(until=timezone.now())
        if dice.random() < 0.3:
            futures.pass_fence()

    futures.paper.control("DELETE", "faults")
    Lease.objects.update(until=timezone.now())
    for _ in range(8):
        futures.pass_fence()
        # A leg whose closing order's worker died is looked for after some seconds.
        Order.unscoped.exclude(finished_at=None).update(finished_at=F("finished_at") - timedelta(seconds=6))
        Order.unscoped.filter(waits_for_parent=True, state=S.PLANNED).update(expires_at=timezone.now())
        futures.wait(2)
        unfinished = Order.unscoped.exclude(state__in=FINAL_STATES)
        if not unfinished.exists() and not Alert.unscoped.filter(status__in=WAITING).exists():
            break
        # The account may be asked for its position six times in two seconds.
        futures.end_windows()
    futures.end_windows()

    assert_books_agree(futures)


def assert_books_agree(futures: Bench) -> None:
    orders = {order.client_order_id: order for order in futures.orders()}
    placed = [name for name, _ in futures.book()]
    assert len(placed) == len(set(placed))
    unfinished = [order for order in orders.values() if order.state not in FINAL_STATES]
    # Not there and the account changed since: only a person may say what became of it.
    assert all(order.state == S.UNKNOWN and order.client_order_id not in placed for order in unfinished)
    if not unfinished:
        assert not Alert.unscoped.filter(status__in=WAITING).exists()
    filled = {name for name, order in orders.items() if order.state == S.FILLED}
    assert filled == set(placed)
    told = futures.paper.fills(futures.account.access_key)
    assert sorted(Fill.unscoped.values_list("trade_id", flat=True)) == sorted(str(row["id"]) for row in told)
    rows = open_connector(futures.connector).positions("BTCUSDT")
    if told:
        assert futures.held() == sum(row.signed_quantity for row in rows)
    assert not Order.unscoped.filter(state=S.FILLED, next_at__isnull=False).exists()


def _size(dice: random.Random) -> str:
    return f"0.00{dice.randint(1, 4)}"


def _arm(futures: Bench, dice: random.Random) -> None:
    if dice.random() < 0.5:
        action = dice.choice(["drop_answer", "drop_request", "status", "html"])
        details: dict[str, Any] = {"accepted": dice.random() < 0.5} if action in {"status", "html"} else {}
        futures.fault(action, SUBMIT["futures"], **details)
    if dice.random() < 0.4:
        futures.fault("status", dice.choice(ASKED), status=502, accepted=False, times=dice.randint(1, 5))


def _die_at(patch: pytest.MonkeyPatch, name: str) -> None:
    def die(*args: Any, **kwargs: Any) -> None:
        raise DiedError

    patch.setattr(name, die)
