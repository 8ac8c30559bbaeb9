"""What the lists of the exchange do not show is proved absent only where nothing it says speaks against that."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.connectors.bitmart.futures import FuturesExchange
from apps.connectors.exchange import Credentials, DuplicateOrderError, OrderReport, OrderRequest
from apps.connectors.lifecycle import replace_credentials
from apps.connectors.models import Connector
from apps.connectors.opening import open_connector
from apps.trading import absence
from apps.trading.executor import step
from apps.trading.models import Incident, Order, OrderEvent, OrderState
from tests.engine.conftest import Bench
from tests.paper.running import PaperAccount

S = OrderState
OPEN = "/contract/private/get-open-orders"
FAR = {"order_type": "limit", "limit_price": "50000"}


def lists_lie(futures: Bench) -> None:
    """Each list of open orders names them wrongly."""
    futures.fault("other_order", OPEN, times=1000)


def rest_by_hand(futures: Bench, *, size: int) -> None:
    client = open_connector(futures.connector)._client  # type: ignore[attr-defined]
    body: dict[str, Any] = {"symbol": "BTCUSDT", "side": 1, "type": "limit", "size": size, "mode": 1, "price": "50000"}
    body |= {"leverage": "1", "open_type": "isolated", "client_order_id": "byhand1"}
    client.signed_once("/contract/private/submit-order", body, signed_at_ms=client.now_ms())


def look_after_the_fence(futures: Bench) -> None:
    futures.pass_fence()
    futures.wait(4)


def why(futures: Bench) -> str:
    return str(Incident.unscoped.get(connector=futures.connector, kind="order_in_doubt").what)


def test_order_whose_id_the_exchange_knows_is_never_taken_for_absent(futures: Bench) -> None:
    futures.fault("code", code=40050, status=400, accepted=True)
    futures.send("buy", "flat", "0.01", **FAR)
    for route in (OPEN, "/contract/private/order-history", "/contract/private/trades"):
        futures.fault("invisible", route, delay_ms=60_000, times=1000)

    look_after_the_fence(futures)

    assert (futures.order().state, futures.order().attempt) == (S.UNKNOWN, 1)
    assert "said that it has an order with this id" in why(futures)
    waiting = futures.send("buy", "flat", "0.02")
    assert (waiting.status, len(futures.book())) == ("queued", 1)

    futures.paper.control("DELETE", "faults")
    futures.wait()

    assert futures.orders()[0].state == S.ACCEPTED
    assert not Incident.unscoped.filter(resolved_at=None).exists()


def test_order_just_like_it_under_another_id_keeps_a_limit_order_in_doubt(futures: Bench) -> None:
    futures.fault("status", status=502, accepted=True)
    futures.send("buy", "flat", "0.01", **FAR)
    lists_lie(futures)

    look_after_the_fence(futures)

    assert (futures.order().state, futures.order().attempt) == (S.UNKNOWN, 1)
    assert "just like it waits there under an id that is not ours" in why(futures)

    futures.paper.control("DELETE", "faults")
    futures.wait()

    order = futures.order()
    assert order.state == S.ACCEPTED
    assert futures.book() == [(order.client_order_id, "10")]
    assert not Incident.unscoped.filter(resolved_at=None).exists()


def test_list_that_cannot_be_read_proves_nothing(futures: Bench) -> None:
    futures.fault("drop_request")
    futures.send("buy", "flat", "0.01", **FAR)
    futures.pass_fence()
    futures.wait()
    # The second absence asks for the list once, the comparison once more: that one is not answered.
    before = futures.order().not_found_count
    futures.fault("status", OPEN, status=502, accepted=False, times=1000)

    futures.wait(3)

    assert (before, futures.order().state) == (1, S.UNKNOWN)
    futures.paper.control("DELETE", "faults")
    futures.wait(2)
    assert (futures.order().state, futures.book()) == (S.NOT_PLACED, [])


@pytest.mark.parametrize(("size", "state"), [(10, S.UNKNOWN), (7, S.NOT_PLACED)])
def test_order_of_the_owner_keeps_it_in_doubt_only_where_it_could_be_ours(
    futures: Bench, size: int, state: OrderState
) -> None:
    futures.fault("drop_request")
    futures.send("buy", "flat", "0.01", **FAR)
    rest_by_hand(futures, size=size)

    look_after_the_fence(futures)

    assert (futures.order().state, futures.order().attempt) == (state, 1)
    assert [size for _, size in futures.book()] == [str(size)]


def test_order_listed_under_the_name_of_another_one_of_ours_keeps_it_in_doubt(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    futures.send("buy", "flat", "0.01", **FAR)
    futures.fault("status", status=502, accepted=True)
    futures.send("buy", "flat", "0.01", **FAR)
    first, lost = futures.orders()
    listed = FuturesExchange._open_rows

    def misnamed(self: FuturesExchange, symbol: str | None) -> list[dict[str, Any]]:
        names = {lost.client_order_id: first.client_order_id}
        return [
            {**row, "client_order_id": names.get(name := row["client_order_id"], name)} for row in listed(self, symbol)
        ]

    monkeypatch.setattr(FuturesExchange, "_open_rows", misnamed)

    look_after_the_fence(futures)

    assert [order.state for order in futures.orders()] == [S.ACCEPTED, S.UNKNOWN]
    assert len(futures.book()) == 2


def test_answer_that_the_id_is_known_counts_also_when_it_comes_late(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = FuturesExchange.submit

    def slow(self: FuturesExchange, request: OrderRequest, **details: Any) -> OrderReport:
        submit(self, request, **details)
        # The sweeper takes the sender for dead.
        step(futures.order())
        raise DuplicateOrderError("known", code="40050", http_status=400)

    monkeypatch.setattr(FuturesExchange, "submit", slow)
    monkeypatch.setattr(FuturesExchange, "find_order", lambda *_, **__: None)
    monkeypatch.setattr(FuturesExchange, "open_orders", lambda *_, **__: [])
    futures.send("buy", "flat", "0.01", **FAR)

    look_after_the_fence(futures)

    assert (futures.order().state, len(futures.book())) == (S.UNKNOWN, 1)
    assert "said that it has an order with this id" in why(futures)


@pytest.mark.parametrize("offset_ms", [0, -60_000])
def test_clock_that_is_measured_anew_makes_no_older_fill_explain_the_account(
    futures: Bench, monkeypatch: pytest.MonkeyPatch, offset_ms: int
) -> None:
    futures.send("buy", "flat", "0.01")
    futures.fault("status", status=502, accepted=True)
    futures.send("buy", "long", "0.01")
    monkeypatch.setattr(FuturesExchange, "find_order", lambda *_, **__: None)
    # Our clock was set forward by a minute; the test's is not: the new offset is all there is of it.
    Connector.unscoped.update(clock_offset_ms=offset_ms)
    Order.unscoped.exclude(fence_at=None).update(fence_at=timezone.now() - timedelta(minutes=5))

    futures.wait(4)

    assert ([size for _, size in futures.book()], futures.orders()[1].state) == (["10", "10"], S.UNKNOWN)


def test_look_that_tells_nothing_new_leaves_no_event(futures: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    futures.fault("status", status=502, accepted=True)
    futures.send("buy", "flat", "0.01")
    monkeypatch.setattr(FuturesExchange, "find_order", lambda *_, **__: None)
    look_after_the_fence(futures)
    before = OrderEvent.unscoped.count()

    futures.end_windows()
    futures.wait(2)

    assert OrderEvent.unscoped.count() == before


def test_another_order_of_ours_keeps_it_in_no_doubt(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01", **FAR)
    futures.fault("drop_request")
    futures.send("buy", "flat", "0.01", **FAR)

    look_after_the_fence(futures)

    assert [order.state for order in futures.orders()] == [S.ACCEPTED, S.NOT_PLACED]
    assert [size for _, size in futures.book()] == ["10"]


def enter_key_of(futures: Bench, account: PaperAccount) -> None:
    connector = Connector.unscoped.get(pk=futures.connector.pk)
    replace_credentials(connector, Credentials(account.access_key, account.secret_key, account.memo))


@pytest.mark.parametrize("traded_before", [False, True])
def test_what_the_key_of_another_account_does_not_show_is_not_proved_absent(
    futures: Bench, traded_before: bool
) -> None:
    """It was filled on the account of the key before; the other account is as flat as that one was."""
    if traded_before:
        futures.send("buy", "flat", "0.02")
        futures.send("sell", "long", "0.02")
    futures.fault("status", status=502, accepted=True)
    futures.send("buy", "flat", "0.01")
    doubtful = futures.orders()[-1]
    other = futures.paper.new_account(futures={"USDT": "10000"})
    enter_key_of(futures, other)

    look_after_the_fence(futures)

    doubtful.refresh_from_db()
    assert (doubtful.state, doubtful.attempt) == (S.UNKNOWN, 1)
    assert "the key was replaced since it was sent, and may be another account's" in why(futures)
    assert futures.paper.orders(other.access_key) == []


def test_exit_in_doubt_is_sent_again_under_a_new_key_of_the_account_that_shows_our_orders(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    futures.fault("drop_request")
    futures.send("sell", "long", "0.01")
    enter_key_of(futures, futures.account)

    look_after_the_fence(futures)

    assert [order.state for order in futures.orders()] == [S.FILLED, S.FILLED]
    assert (futures.held(), [size for _, size in futures.book()]) == (0, ["10", "10"])


@pytest.mark.parametrize(("attempt", "is_doubted"), [(1, True), (2, False)])
def test_what_was_sent_again_after_the_key_was_entered_was_sent_with_it(
    futures: Bench, attempt: int, is_doubted: bool
) -> None:
    """Nothing that was traded before is shown; a first sending may have been under way with the key before."""
    futures.fault("drop_request")
    futures.send("buy", "flat", "0.01")
    order = futures.order()
    assert order.signed_at is not None
    order.attempt, order.created_at = attempt, order.signed_at - timedelta(minutes=2)
    Connector.unscoped.update(credentials_set_at=order.signed_at - timedelta(minutes=1))
    order.connector.refresh_from_db()

    found = absence._may_be_of_another_account(order, open_connector(order.connector))

    assert found is is_doubted
