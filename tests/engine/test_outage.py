"""An exchange whose answers are mostly ambiguous: nobody opens a position there, exits go on, and it comes back."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_django
from django.urls import reverse
from django.utils import timezone

from apps.connectors import opening, outages, outcomes
from apps.connectors.budget import Budget
from apps.connectors.budget_windows import LocalWindows
from apps.connectors.exchange import NotSentError, UnreachableError
from apps.connectors.models import CallCount, Outage
from apps.trading import cancelling
from apps.trading.models import OrderState
from tests.engine.conftest import Bench, bench, forget_limits
from tests.people import member
from tests.shared_paper import SharedPaper

S = OrderState
OFF = "EXCHANGE_FAILING"


def _ask(bench: Bench, times: int) -> None:
    """So many tries of a public question."""
    for _ in range(times // 3):
        bench.end_windows()
        with pytest.raises(UnreachableError):
            opening.open_public("paper", "futures").server_time_ms()


def _fail(bench: Bench, action: str = "status", **details: Any) -> None:
    """Let twelve calls, all that are on record, end without a certain answer."""
    outcomes.forget()
    if action == "status":
        details = {"status": 502, "accepted": False}
    bench.fault(action, "/system/time", times=12, **details)
    _ask(bench, 12)
    outages.settle()


AMBIGUOUS: dict[str, tuple[str, dict[str, Any]]] = {
    "html": ("html", {"status": 502, "accepted": False}),
    "502": ("status", {}),
    "lost": ("drop_request", {}),
    "no answer": ("drop_answer", {}),
    "cut answer": ("cut_answer", {}),
    "truncated": ("truncated", {}),
    "maintenance": ("maintenance", {}),
}


@pytest.mark.parametrize("cause", AMBIGUOUS)
def test_entries_are_refused_by_name_and_the_exit_goes_out(futures: Bench, cause: str) -> None:
    futures.send("buy", "flat", "0.01")
    orders = len(futures.orders())
    action, details = AMBIGUOUS[cause]
    _fail(futures, action, **details)

    entry = futures.send("buy", "long", "0.005")

    assert futures.status(entry) == ("rejected", OFF)
    assert entry.reason.startswith("Not sent: 12 of the last 12 calls to the paper exchange had no certain answer, so")
    assert [size for _, size in futures.book()] == ["10"]
    # Refused before the account was asked for anything.
    assert len(futures.orders()) == orders
    leaving = futures.send("sell", "long", "0.01")
    assert futures.status(leaving) == ("executed", "")
    assert futures.held() == 0
    assert [size for _, size in futures.book()] == ["10", "10"]


def test_reversal_closes_and_opens_nothing(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    _fail(futures)

    futures.send("sell", "long", "0.02")

    assert futures.held() == 0
    assert [size for _, size in futures.book()] == ["10", "10"]
    assert [(order.intent, order.state, order.reason_code) for order in futures.orders()[1:]] == [
        ("exit", S.FILLED, ""),
        ("entry", S.DENIED, OFF),
    ]


@pytest.mark.parametrize("age_s", [0, 10], ids=["just planned", "older than its guards"])
def test_planned_entry_that_was_not_sent_yet_is_not_sent(futures: Bench, age_s: int) -> None:
    futures.fault("too_many")
    futures.send("buy", "flat", "0.01")
    order = futures.order()
    assert (order.state, order.attempt) == (S.PLANNED, 1)
    _fail(futures)
    order.created_at = timezone.now() - timedelta(seconds=age_s)
    order.save(update_fields=["created_at"])

    futures.wait()

    order.refresh_from_db()
    assert (order.state, order.reason_code, order.attempt) == (S.DENIED, OFF, 1)
    assert futures.book() == []


def test_open_order_is_cancelled_meanwhile(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01", order_type="limit", limit_price="50000")
    assert futures.order().state == S.ACCEPTED
    _fail(futures)

    cancelling.request(futures.order(), by="test")
    futures.wait(2)

    assert futures.order().state == S.CANCELED
    assert Outage.objects.get().closed_at is None


def test_what_never_left_is_no_call(futures: Bench, paper: SharedPaper) -> None:
    outcomes.forget()
    paper.stop()
    for _ in range(4):
        forget_limits()
        with pytest.raises(NotSentError):
            opening.open_public("paper", "futures").server_time_ms()
    paper.start()

    assert outcomes.outcomes_of(opening.venue_of("paper", "futures")).tell() == []


def test_refusals_and_limits_are_answers(futures: Bench) -> None:
    outcomes.forget()
    futures.fault("too_many", times=1)
    futures.send("buy", "flat", "0.01")
    futures.wait()

    counts = outcomes.outcomes_of(opening.venue_of("paper", "futures")).tell()
    calls, ambiguous = outcomes.total(counts)
    assert calls > 3
    assert ambiguous == 0


def test_half_open_one_entry_tries_and_closes_it(futures: Bench, paper: SharedPaper) -> None:
    other = bench(paper, "futures")
    _fail(futures)
    assert futures.status(futures.send("buy", "flat", "0.01"))[1] == OFF
    _pass_thirty_seconds()
    for _ in range(3):
        outages.tend()
    assert Outage.objects.get().probed_at is not None

    alert = futures.send("buy", "flat", "0.01")

    assert futures.status(alert) == ("executed", "")
    assert Outage.objects.get().closed_how == "An entry got a certain answer."
    assert other.status(other.send("buy", "flat", "0.01")) == ("executed", "")


def test_half_open_an_ambiguous_entry_opens_it_again(futures: Bench, paper: SharedPaper) -> None:
    other = bench(paper, "futures")
    _fail(futures)
    _pass_thirty_seconds()
    for _ in range(3):
        outages.tend()
    futures.fault("drop_answer")

    futures.send("buy", "flat", "0.01")

    assert futures.order().state == S.UNKNOWN
    row = Outage.objects.get()
    assert (row.closed_at, row.reopened, row.probed_at) == (None, 1, None)
    assert other.status(other.send("buy", "flat", "0.01"))[1] == OFF
    assert other.book() == []
    futures.wait()
    assert futures.order().state == S.FILLED


def test_without_redis_it_opens_all_the_same(
    futures: Bench, settings: pytest_django.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Alone(Budget):
        def __init__(self, local: LocalWindows, shared: Any) -> None:
            super().__init__(local, shared, sleep=self._end_windows)

        def _end_windows(self, seconds: float) -> None:
            self._local = LocalWindows()
            futures.paper.end_windows()

    monkeypatch.setattr(opening, "Budget", Alone)
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    _fail(futures)

    assert futures.status(futures.send("buy", "flat", "0.01"))[1] == OFF
    assert futures.book() == []
    assert CallCount.objects.count() == 1


def test_members_see_why_on_their_pages(futures: Bench) -> None:
    trader, stranger = member(workspace=futures.connector.workspace), member()
    home = reverse("dashboard:home")
    assert "New positions are off" not in trader.client.get(home).content.decode()
    _fail(futures)

    page = trader.client.get(home).content.decode()

    assert "New positions are off at the paper exchange" in page
    assert "12 of the last 12 calls to it had no certain answer" in page
    assert "New positions are off" not in stranger.client.get(home).content.decode()
    alert = futures.send("buy", "flat", "0.01")
    page = trader.client.get(reverse("alerts:detail", args=[alert.pk])).content.decode()
    assert "12 of the last 12 calls to the paper exchange had no certain answer" in page


@pytest.fixture(autouse=True)
def _closed_before_and_after(futures: Bench) -> Iterator[None]:
    outages.forget()
    outcomes.forget()
    yield
    outages.forget()
    outcomes.forget()


def _pass_thirty_seconds() -> None:
    """The pause is over; what was counted is of before."""
    Outage.objects.update(half_open_at=timezone.now())
    outages.forget()
    outcomes.forget()
