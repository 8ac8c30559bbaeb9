"""design: identical alerts. One body delivered several times, and several firings with one body."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.alerts import reading, release
from apps.alerts.models import Alert, AlertStatus
from apps.connectors.models import Connector
from apps.connectors.policies import Mismatch, SuspectedDuplicate
from apps.trading.models import OrderState
from tests.line.conftest import Desk, desk
from tests.shared_paper import SharedPaper


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Say when the next deliveries arrive, in seconds after now."""
    start = timezone.now() - timedelta(seconds=30)

    def at(seconds: float) -> None:
        monkeypatch.setattr("apps.alerts.receiving.world", _Clock(start + timedelta(seconds=seconds)))

    return at


class _Clock:
    def __init__(self, moment: Any) -> None:
        self.now = lambda: moment


def statuses(desk: Desk) -> list[str]:
    return list(
        Alert.unscoped.filter(connector=desk.connector).order_by("received_at", "id").values_list("status", flat=True)
    )


def test_four_deliveries_five_seconds_apart_make_one_order(futures: Desk, clock: Any) -> None:
    answers = []
    for seconds in (0, 5, 10, 15):
        clock(seconds)
        answers.append(futures.post(futures.message("buy", "flat", "0.01")).status_code)
    futures.work()

    assert answers == [200, 200, 200, 200]
    assert statuses(futures) == ["executed", "duplicate", "duplicate", "duplicate"]
    assert [order.state for order in futures.orders()] == [OrderState.FILLED]
    assert len(futures.at_exchange()) == 1


def test_two_entries_at_the_same_instant_make_one_order_and_hold_the_other(futures: Desk, clock: Any) -> None:
    clock(0)
    for _ in range(2):
        futures.post(futures.message("buy", "flat", "0.01"))
    futures.work()

    assert sorted(statuses(futures)) == ["executed", "held"]
    assert len(futures.at_exchange()) == 1


def test_held_entry_runs_when_a_person_says_so(futures: Desk, clock: Any) -> None:
    clock(0)
    for _ in range(2):
        futures.post(futures.message("buy", "flat", "0.001"))
    futures.work()
    held = Alert.unscoped.get(connector=futures.connector, status=AlertStatus.HELD)

    release.run(held)
    futures.work()

    held.refresh_from_db()
    assert held.status == AlertStatus.EXECUTED
    assert len(futures.at_exchange()) == 2
    with pytest.raises(release.NotHeldError):
        release.run(held)


def test_two_equal_partial_exits_in_one_instant_both_run(futures: Desk, clock: Any) -> None:
    clock(0)
    futures.send("buy", "flat", "0.01")
    clock(20)
    for _ in range(2):
        futures.post(futures.message("sell", "long", "0.005"))
    futures.work()

    assert statuses(futures)[1:] == ["executed", "executed"]
    assert futures.position().signed_quantity == 0
    assert len(futures.at_exchange()) == 3


def test_redelivery_is_one_whatever_came_between(futures: Desk, clock: Any) -> None:
    Connector.unscoped.filter(pk=futures.connector.pk).update(suspected_duplicate=SuspectedDuplicate.RUN)
    for seconds in (0, 3, 5, 8):
        clock(seconds)
        futures.post(futures.message("buy", "flat", "0.001"))
        futures.work()

    assert statuses(futures) == ["executed", "executed", "duplicate", "duplicate"]
    first, *_, last = Alert.unscoped.filter(connector=futures.connector).order_by("received_at")
    assert (last.duplicate_of_id, last.facts["after_s"]) == (first.pk, "8.000")
    assert len(futures.at_exchange()) == 2


def test_of_exits_less_than_four_seconds_apart_each_runs(futures: Desk, clock: Any) -> None:
    """The third comes 6 s after the first, and 3 s after the second: one more firing, sooner than one that is lost."""
    clock(0)
    futures.post(futures.message("buy", "flat", "0.01"))
    futures.work()
    for seconds in (10, 13, 16, 21):
        clock(seconds)
        futures.post(futures.message("sell", "long", "0.002"))
        futures.work()

    assert statuses(futures) == ["executed", "executed", "executed", "executed", "duplicate"]
    assert [order["size"] for order in futures.at_exchange()] == ["10", "2", "2", "2"]


REVERSAL = {"market_position": "short", "market_position_size": "0.005"}


@pytest.mark.parametrize(
    ("hedged", "mismatch", "more"),
    [
        (False, Mismatch.FOLLOW, {}),
        (False, Mismatch.FOLLOW, REVERSAL),
        (True, Mismatch.CLOSE_ONLY, {"hedgemode": "hedge", **REVERSAL}),
    ],
)
def test_two_equal_reversals_in_one_instant_reverse_once(
    paper: SharedPaper, db: None, clock: Any, hedged: bool, mismatch: Mismatch, more: dict[str, str]
) -> None:
    futures = desk(paper, "futures", position_mode="hedge_mode" if hedged else "one_way_mode")
    Connector.unscoped.filter(pk=futures.connector.pk).update(mismatch=mismatch)
    clock(0)
    futures.send("buy", "flat", "0.005", **({"hedgemode": "hedge"} if hedged else {}))
    for seconds in (20, 20.005):
        clock(seconds)
        futures.post(futures.message("sell", "long", "0.01", **more))
        futures.work()

    second = Alert.unscoped.filter(connector=futures.connector).order_by("received_at", "id").last()
    assert second is not None
    assert (second.status, second.reason_code) == (AlertStatus.IGNORED, "NOTHING_TO_CLOSE")
    assert second.notes[0] == {"code": "REPEATED_EXIT", "facts": {"after_s": "0.005"}}
    assert [(order.leg, order.side, order.quantity) for order in futures.orders()] == [
        *(("o", "buy", 5), ("c", "sell", 5), ("o", "sell", 5)),
    ]
    assert len(futures.at_exchange()) == 3


def test_two_equal_covering_buys_on_spot_buy_once(spot: Desk, clock: Any) -> None:
    for seconds in (0, 0.005):
        clock(seconds)
        spot.post(spot.message("buy", "short", "0.01", prev_market_position_size="0.005"))
        spot.work()

    assert statuses(spot) == ["executed", "ignored"]
    assert [(order.side, order.quantity) for order in spot.orders()] == [("buy", Decimal("0.005"))]
    assert len(spot.at_exchange()) == 1


def test_two_equal_sells_on_spot_leave_the_short_of_the_strategy_as_it_was(spot: Desk, clock: Any) -> None:
    clock(0)
    spot.send("buy", "flat", "0.005")
    for seconds in (20, 20.005):
        clock(seconds)
        spot.post(spot.message("sell", "long", "0.01", prev_market_position_size="0.005"))
        spot.work()
    spot.send("buy", "short", "0.01")

    assert [(order.side, order.quantity) for order in spot.orders()][-1] == ("buy", Decimal("0.005"))


def test_two_equal_reversals_both_run_where_that_is_set(futures: Desk, clock: Any) -> None:
    Connector.unscoped.filter(pk=futures.connector.pk).update(
        suspected_duplicate=SuspectedDuplicate.RUN, mismatch=Mismatch.FOLLOW
    )
    clock(0)
    futures.send("buy", "flat", "0.005")
    for seconds in (20, 20.005):
        clock(seconds)
        futures.post(futures.message("sell", "long", "0.01"))
        futures.work()

    assert futures.position().signed_quantity == -15


def test_an_id_counts_once_for_ever(futures: Desk, clock: Any) -> None:
    clock(-100)
    futures.post(futures.message("sell", "long", "0.01", id="exit-7"))
    futures.work()
    clock(0)
    futures.post(futures.message("buy", "flat", "0.01", id="exit-7"))
    futures.work()

    assert statuses(futures) == ["ignored", "duplicate"]
    assert futures.at_exchange() == []


def test_a_test_leaves_its_id_to_the_alert_that_is_meant(futures: Desk, clock: Any) -> None:
    for number, more in enumerate(({"test": True}, {}, {"test": True}, {})):
        clock(number)
        futures.post(futures.message("buy", "flat", "0.001", id="entry-1", **more))
        futures.work()

    assert statuses(futures) == ["tested", "executed", "tested", "duplicate"]
    first, real, second, last = Alert.unscoped.filter(connector=futures.connector).order_by("received_at")
    assert [alert.external_id for alert in (first, real, second, last)] == ["", "entry-1", "", "entry-1"]
    assert last.duplicate_of_id == real.pk
    assert len(futures.at_exchange()) == 1


def test_known_ids_among_many_leave_the_others_to_be_read_together(
    futures: Desk, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock(0)
    futures.post(futures.message("buy", "flat", "0.001", id="known"))
    futures.work()
    read_together, lots = reading._read_together, []

    def counted(*args: Any, **kwargs: Any) -> list[Alert]:
        read: list[Alert] = read_together(*args, **kwargs)
        lots.append(len(read))
        return read

    monkeypatch.setattr(reading, "_read_together", counted)
    for number, name in enumerate(("new", "known", "new", "another")):
        clock(5 + number / 10)
        futures.post(futures.message("buy", "flat", "0.001", id=name))
    reading.read_received()

    assert lots == [4]
    assert statuses(futures) == ["executed", "queued", "duplicate", "duplicate", "queued"]
    first, second, *again = Alert.unscoped.filter(connector=futures.connector).order_by("received_at")
    assert [alert.duplicate_of_id for alert in again] == [first.pk, second.pk, None]
    assert [alert.facts.get("after_s") for alert in again] == ["5.100", "0.200", None]


def test_equal_bodies_with_their_own_ids_both_run(futures: Desk, clock: Any) -> None:
    clock(0)
    for name in ("a", "b"):
        futures.post(futures.message("buy", "flat", "0.001", id=name))
    futures.work()

    assert statuses(futures) == ["executed", "executed"]
    assert len(futures.at_exchange()) == 2


def test_same_body_after_a_minute_is_a_new_firing(futures: Desk, clock: Any) -> None:
    clock(-45)
    futures.post(futures.message("buy", "flat", "0.001"))
    futures.work()
    clock(20)
    futures.post(futures.message("buy", "flat", "0.001"))
    futures.work()

    assert statuses(futures) == ["executed", "executed"]
