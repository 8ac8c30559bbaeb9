"""The key stops working, or can suddenly do too much."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.connectors.models import Connector
from apps.connectors.tasks import check_keys_daily, run_checks
from apps.trading import incidents, reconcile
from apps.trading.models import AccountWatch, Incident, OrderState
from tests.engine.conftest import Bench, forget_limits
from tests.factories import ago
from tests.matrix.outside import poll

S = OrderState

pytestmark = pytest.mark.django_db


def freeze(bench: Bench, state: str = "frozen") -> None:
    bench.paper.control("POST", f"accounts/{bench.account.access_key}", {"state": state})
    forget_limits()


def poll_slowly(bench: Bench, times: int) -> None:
    """As often as the exchange lets the signed question be asked."""
    for _ in range(times):
        poll()
        bench.end_windows()


def refuse_for_over_a_minute(bench: Bench) -> None:
    poll_slowly(bench, 2)
    assert Incident.unscoped.count() == 0
    AccountWatch.unscoped.update(refused_since=ago(seconds=61))
    poll()


def test_three_refusals_within_a_minute_are_no_breaker_yet(futures: Bench) -> None:
    freeze(futures)

    poll_slowly(futures, 3)

    assert (AccountWatch.unscoped.get().refused_count, Incident.unscoped.count()) == (3, 0)


def test_key_revoked_while_flat_switches_entries_off_and_comes_back_by_itself(futures: Bench) -> None:
    freeze(futures)
    refuse_for_over_a_minute(futures)

    incident = Incident.unscoped.get(resolved_at=None)
    assert incident.kind == "key_refused"
    assert futures.status(futures.send("buy", "flat", "0.01"))[1] == "INCIDENT_OPEN"
    freeze(futures, "active")
    futures.end_windows()
    poll()

    incident.refresh_from_db()
    assert incident.resolution == "The exchange accepts the key again."
    futures.send("buy", "flat", "0.01")
    assert [size for _, size in futures.book()] == ["10"]


def test_a_worker_that_dies_as_the_key_is_accepted_again_leaves_entries_off_for_no_longer_than_the_next_reading(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    freeze(futures)
    refuse_for_over_a_minute(futures)
    freeze(futures, "active")
    futures.end_windows()

    def dies(*_: Any, **__: Any) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(incidents, "resolve", dies)
        with pytest.raises(KeyboardInterrupt):
            poll()
    futures.end_windows()
    poll()

    assert Incident.unscoped.get().resolution == "The exchange accepts the key again."


def test_key_revoked_with_a_position_keeps_trying_its_exit_each_minute(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    freeze(futures)
    refuse_for_over_a_minute(futures)

    leaving = futures.send("sell", "long", "0.01")
    assert leaving.status == "queued"
    assert timedelta(seconds=55) < leaving.next_at - timezone.now() <= timedelta(seconds=60)
    futures.wait(2)
    assert futures.status(leaving)[0] == "queued"
    assert len(futures.book()) == 1
    freeze(futures, "active")
    futures.wait(2)

    assert futures.status(leaving) == ("executed", "")
    assert futures.held() == 0


def test_exit_order_refused_for_its_key_waits_and_is_sent_once_the_key_is_right(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    futures.fault("code", code=30019, status=403, accepted=False)
    futures.send("sell", "long", "0.01")

    order = futures.orders()[1]
    assert (order.state, order.attempt) == (S.PLANNED, 1)
    assert order.next_at - timezone.now() > timedelta(seconds=55)
    futures.wait(2)

    assert futures.orders()[1].state == S.FILLED
    assert futures.orders()[1].attempt == 2
    assert [size for _, size in futures.book()] == ["10", "10"]


def may(bench: Bench, *permissions: str) -> None:
    told = {"permissions": list(permissions), "policies": {"permission_code": "30019"}}
    bench.paper.control("POST", f"accounts/{bench.account.access_key}", told)
    forget_limits()


def refuse_orders(bench: Bench) -> None:
    """Three entries are refused for the key, the last over a minute after the first; every reading succeeds."""
    for number in range(3):
        alert = bench.send("buy", "flat", "0.01")
        assert alert.order is not None
        assert (alert.order.state, alert.order.reason_code) == (S.REJECTED, "PERMISSION")
        poll()
        assert not Incident.unscoped.exists() or number == 2
        AccountWatch.unscoped.filter(orders_refused_count=2).update(orders_refused_since=ago(seconds=61))


def test_key_that_reads_and_may_not_trade_switches_entries_off_until_an_order_is_taken(futures: Bench) -> None:
    may(futures, "read")
    refuse_orders(futures)

    incident = Incident.unscoped.get(resolved_at=None)
    assert incident.kind == "key_refused"
    assert incident.what.startswith("The exchange refuses this connector's key: Orders are refused.")
    may(futures, "read", "future_trade")
    poll(2)
    assert futures.status(futures.send("buy", "flat", "0.01"))[1] == "INCIDENT_OPEN"
    assert futures.book() == []
    # The trader has the key checked: the next order tells.
    Connector.unscoped.update(check_status="ok", checked_at=timezone.now())
    poll()
    incident.refresh_from_db()
    assert incident.resolution == "The key was checked anew: the next order tells whether it may trade."
    futures.send("buy", "flat", "0.01")
    assert [size for _, size in futures.book()] == ["10"]
    poll()
    assert AccountWatch.unscoped.get().orders_refused_count == 0


def test_check_that_proves_only_reading_lets_one_order_try(futures: Bench) -> None:
    may(futures, "read")
    refuse_orders(futures)
    Connector.unscoped.update(check_status="ok", checked_at=timezone.now())
    poll()
    assert not Incident.unscoped.filter(resolved_at=None).exists()

    first, second = futures.send("buy", "flat", "0.01"), futures.send("buy", "flat", "0.01")

    assert first.order is not None
    assert first.order.reason_code == "PERMISSION"
    assert futures.status(second)[1] == "INCIDENT_OPEN"
    assert futures.book() == []


def test_order_that_is_taken_between_refused_ones_starts_the_count_anew(futures: Bench) -> None:
    refused = {"code": 30019, "status": 403, "accepted": False}
    futures.fault("code", times=2, **refused)
    for _ in range(3):
        futures.send("buy", "flat", "0.001")
    AccountWatch.unscoped.update(orders_refused_since=ago(seconds=61))
    futures.fault("code", **refused)
    futures.send("buy", "flat", "0.001")

    assert [order.state for order in futures.orders()] == [S.REJECTED, S.REJECTED, S.FILLED, S.REJECTED]
    assert (AccountWatch.unscoped.get().orders_refused_count, Incident.unscoped.count()) == (1, 0)


def test_exits_refused_for_the_key_open_the_switch_and_the_exit_that_is_taken_closes_it(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    poll()
    futures.fault("code", code=30019, status=403, accepted=False, times=3)
    futures.send("sell", "long", "0.01")
    for _ in range(2):
        poll()
        AccountWatch.unscoped.update(orders_refused_since=ago(seconds=61))
        futures.wait()

    assert Incident.unscoped.get(resolved_at=None).kind == "key_refused"
    futures.wait()
    assert futures.held() == 0
    poll()
    assert Incident.unscoped.get().resolution == "The exchange accepts the key again."


def test_a_refused_call_has_the_account_read_at_once(futures: Bench) -> None:
    poll()
    assert AccountWatch.unscoped.get().next_at > timezone.now() + timedelta(minutes=4)
    freeze(futures)

    futures.send("buy", "flat", "0.01")

    assert AccountWatch.unscoped.get().next_at <= timezone.now()


@pytest.mark.parametrize("market", ["futures", "spot"])
def test_withdrawal_permission_appearing_is_found_by_the_daily_check_and_blocks_entries(
    request: pytest.FixtureRequest, market: str
) -> None:
    bench: Bench = request.getfixturevalue(market)
    Connector.unscoped.update(checked_at=ago(hours=25), check_status="ok")
    bench.send("buy", "flat", "0.01")
    told = {"permissions": ["read", "spot_trade", "future_trade", "withdraw"]}
    bench.paper.control("POST", f"accounts/{bench.account.access_key}", told)
    forget_limits()

    assert check_keys_daily() == 1
    assert run_checks() == 1
    reconcile.poll_due()

    incident = Incident.unscoped.get()
    assert (incident.kind, incident.severity) == ("withdrawal_allowed", "error")
    sent = len(bench.book())
    assert bench.status(bench.send("buy", "long", "0.01"))[1] == "INCIDENT_OPEN"
    assert len(bench.book()) == sent
    assert bench.status(bench.send("sell", "long", "0.01")) == ("executed", "")
    told = {"permissions": ["read", "spot_trade", "future_trade"]}
    bench.paper.control("POST", f"accounts/{bench.account.access_key}", told)
    Connector.unscoped.update(checked_at=ago(hours=25))
    # The exchange lets a key ask for some of it twice in two seconds.
    bench.end_windows()
    assert (check_keys_daily(), run_checks()) == (1, 1)
    assert Connector.unscoped.get().check_status == "ok"
    reconcile.poll_due()
    incident.refresh_from_db()
    assert incident.resolution == "The newest check found no such permission."


def test_the_check_of_a_frozen_key_says_once_that_nothing_was_traded(futures: Bench) -> None:
    freeze(futures)
    forget_limits()
    Connector.unscoped.update(checked_at=ago(hours=25), check_status="ok")

    assert (check_keys_daily(), run_checks()) == (1, 1)

    [sentence] = [line["sentence"] for line in Connector.unscoped.get().check_lines if not line["ok"]]
    assert sentence.startswith("BitMart has frozen this access key.")
    assert sentence.count("Nothing was traded.") == 1


def test_a_key_checked_within_the_day_is_not_checked_again(futures: Bench) -> None:
    Connector.unscoped.update(checked_at=ago(hours=23), check_status="ok")

    assert check_keys_daily() == 0
