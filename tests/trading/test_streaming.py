"""What a push does to our rows: it moves forward when an order is looked at, and nothing else."""

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import OperationalError, connections
from django.utils import timezone

from apps.connectors.exchange import Market, Ticker
from apps.connectors.models import CheckStatus, Connector, MarketPrice
from apps.connectors.stream_pool import Addresses
from apps.connectors.streams import OrderPushed
from apps.lib import wakeups
from apps.trading import prices, pushes, streaming
from apps.trading.models import Order, OrderState, WorkerHeartbeat
from apps.trading.pushes import Push
from apps.trading.streaming import Streaming
from tests.factories import (
    CREDENTIALS,
    ConnectorFactory,
    InstrumentFactory,
    MarketPriceFactory,
    OrderFactory,
    PositionFactory,
    SpotInstrumentFactory,
)

pytestmark = pytest.mark.django_db


def later() -> datetime:
    return timezone.now() + timedelta(seconds=15)


def order_at_exchange(**columns: Any) -> Order:
    """Return an order that is looked at in 15 seconds."""
    signed_at = timezone.now()
    given = {"state": OrderState.ACCEPTED, "next_at": later(), "signed_at": signed_at, "fence_at": signed_at}
    order: Order = OrderFactory(exchange_order_id="220906179895578", **given | columns)
    return order


def push(order: Order, **told: Any) -> Push:
    given = {
        "symbol": order.symbol,
        "exchange_order_id": "",
        "client_order_id": order.client_order_id,
        "filled_quantity": Decimal(0),
        "is_final": False,
    }
    return Push(frozenset({order.connector_id}), OrderPushed(**given | told))


def is_due(order: Order) -> bool:
    return Order.unscoped.filter(pk=order.pk, next_at__lte=timezone.now()).exists()


@pytest.mark.parametrize("told", [{"filled_quantity": Decimal(3)}, {"is_final": True}])
@pytest.mark.parametrize("state", [OrderState.ACCEPTED, OrderState.PARTIAL, OrderState.CANCELLING])
def test_an_order_that_moved_at_the_exchange_is_due_now_and_unchanged(state: OrderState, told: Any) -> None:
    order = order_at_exchange(state=state)

    behind = pushes.mark_due([push(order, **told)])

    after = Order.unscoped.get(pk=order.pk)
    assert behind == [push(order, **told)]
    assert is_due(order)
    assert (after.state, after.version, after.filled_quantity) == (state, 0, Decimal(0))


def test_it_is_found_by_the_exchanges_id_when_ours_is_not_told() -> None:
    order = order_at_exchange()

    pushes.mark_due([push(order, client_order_id="", exchange_order_id="220906179895578", is_final=True)])

    assert is_due(order)


def test_an_echo_of_what_we_know_costs_no_query() -> None:
    order = order_at_exchange(state=OrderState.PARTIAL, filled_quantity=Decimal(3))

    behind = pushes.mark_due([push(order, filled_quantity=Decimal(3))])

    assert behind == []
    assert not is_due(order)


@pytest.mark.parametrize("state", [OrderState.PLANNED, OrderState.SUBMITTING, OrderState.FILLED, OrderState.CANCELED])
def test_what_is_not_sent_or_is_over_is_left_alone(state: OrderState) -> None:
    order = order_at_exchange(state=state)

    assert pushes.mark_due([push(order, is_final=True)]) == []
    assert not is_due(order)


def test_another_connectors_order_of_that_id_is_left_alone() -> None:
    order = order_at_exchange()
    other = order_at_exchange(client_order_id=order.client_order_id)

    # One lot may hold pushes of both accounts.
    echo = push(order_at_exchange(connector=other.connector))
    pushes.mark_due([push(order, is_final=True), echo])

    assert is_due(order)
    assert not is_due(other)


def test_a_sign_of_life_of_an_unknown_order_voids_the_absences_counted() -> None:
    order = order_at_exchange(state=OrderState.UNKNOWN, not_found_count=1)

    pushes.mark_due([push(order)])

    assert is_due(order)
    assert Order.unscoped.get(pk=order.pk).not_found_count == 0


def test_a_sign_of_life_of_an_unknown_order_that_is_due_already_voids_them_too() -> None:
    due_at = timezone.now() - timedelta(seconds=1)
    order = order_at_exchange(state=OrderState.UNKNOWN, not_found_count=1, next_at=due_at)

    pushes.mark_due([push(order)])

    after = Order.unscoped.get(pk=order.pk)
    assert (after.not_found_count, after.next_at) == (0, due_at)


def test_a_batch_is_marked_in_two_statements(django_assert_num_queries: Any) -> None:
    orders = [order_at_exchange() for _ in range(5)]

    with django_assert_num_queries(2):
        behind = pushes.mark_due([push(order, is_final=True) for order in orders])

    assert len(behind) == 5
    assert all(is_due(order) for order in orders)


def test_after_a_gap_the_accounts_live_orders_are_due_and_unknown_ones_keep_their_pace() -> None:
    live = order_at_exchange()
    unknown = order_at_exchange(connector=live.connector, state=OrderState.UNKNOWN, not_found_count=1)
    elsewhere = order_at_exchange()

    count = pushes.mark_all_due({live.connector_id})

    assert count == 1
    assert [is_due(order) for order in (live, unknown, elsewhere)] == [True, False, False]
    assert Order.unscoped.get(pk=unknown.pk).not_found_count == 1


def test_a_refused_login_has_the_connector_checked_once() -> None:
    fine = ConnectorFactory(check_status=CheckStatus.OK)
    failed = ConnectorFactory(check_status=CheckStatus.FAILED)

    first = pushes.request_checks({fine.pk, failed.pk})
    again = pushes.request_checks({fine.pk, failed.pk})

    assert (first, again) == (1, 0)
    assert Connector.unscoped.get(pk=fine.pk).check_status == CheckStatus.RUNNING
    assert Connector.unscoped.get(pk=failed.pk).check_requested_at is None


def test_accounts_are_those_in_use_with_live_orders_first() -> None:
    idle = ConnectorFactory()
    busy = order_at_exchange().connector
    ConnectorFactory(deleted_at=timezone.now())
    damaged = ConnectorFactory()
    Connector.unscoped.filter(pk=damaged.pk).update(sealed_memo=idle.sealed_memo)
    accounts = pushes.Accounts()

    read = accounts.read()

    assert [one.connector_id for one in read] == [busy.pk, idle.pk]
    assert read[0].credentials.access_key == CREDENTIALS[0]
    assert (read[0].environment, read[0].market) == ("paper", Market.FUTURES)


def test_keys_are_opened_once_until_they_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    connector = ConnectorFactory()
    opened: list[UUID] = []
    real = pushes.credentials_of
    monkeypatch.setattr(pushes, "credentials_of", lambda row: opened.append(row.pk) or real(row))
    accounts = pushes.Accounts()

    accounts.read()
    accounts.read()
    Connector.unscoped.filter(pk=connector.pk).update(credentials_set_at=timezone.now() + timedelta(seconds=1))
    accounts.read()

    assert opened == [connector.pk, connector.pk]


def test_wanted_are_the_symbols_that_somebody_holds_or_trades() -> None:
    PositionFactory()
    PositionFactory(instrument=InstrumentFactory(symbol="ETHUSDT"), signed_quantity=Decimal(0))
    order_at_exchange(instrument=SpotInstrumentFactory(), created_at=timezone.now() - timedelta(days=3))
    order_at_exchange(
        instrument=InstrumentFactory(symbol="LTCUSDT"),
        created_at=timezone.now() - timedelta(days=3),
        state=OrderState.FILLED,
    )

    assert pushes.wanted_symbols() == {("paper", Market.FUTURES): {"BTCUSDT"}, ("paper", Market.SPOT): {"BTC_USDT"}}


def test_polling_leaves_out_what_the_stream_just_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh, old = InstrumentFactory(), InstrumentFactory(symbol="ETHUSDT")
    PositionFactory(instrument=fresh)
    PositionFactory(instrument=old)
    MarketPriceFactory(instrument=fresh)
    MarketPriceFactory(instrument=old, at=timezone.now() - timedelta(seconds=1))
    asked: list[Any] = []
    monkeypatch.setattr(prices.instruments, "refresh_prices", lambda wanted: asked.append(wanted) or 1)

    prices.refresh()

    assert asked == [{("paper", "futures"): {"ETHUSDT"}}]


class Woken:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tasks: list[str] = []
        monkeypatch.setattr(wakeups, "publish", self.tasks.append)


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> Woken:
    return Woken(monkeypatch)


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Both lanes to the database work inside the test's transaction, one at a time."""
    ours, lock = connections["default"], threading.Lock()

    def within(work: Any, *arguments: Any) -> Any:
        with lock:
            connections["default"] = ours
            return work(*arguments)

    ours.inc_thread_sharing()
    monkeypatch.setattr(streaming, "_with_live_connection", within)
    monkeypatch.setattr(streaming, "_hang_up", lambda: None)
    # Nobody answers at this address.
    monkeypatch.setattr(streaming, "addresses", lambda: Addresses(lambda *_: "ws://127.0.0.1:9", [""], "Sferica/test"))
    yield
    ours.dec_thread_sharing()


def during(work: Any) -> None:
    """Run the process while `work(process)` runs; no pauses are as long as the test."""

    async def both() -> None:
        process, stop = Streaming(), asyncio.Event()
        running = asyncio.create_task(process.run(stop))
        async with asyncio.timeout(10):
            working = asyncio.create_task(work(process))
            await asyncio.wait({running, working}, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                await working
            stop.set()
            await running

    asyncio.run(both())


async def until(condition: Any) -> None:
    loop = asyncio.get_running_loop()
    while not await loop.run_in_executor(None, streaming._with_live_connection, condition):
        await asyncio.sleep(0.01)


@pytest.mark.usefixtures("inside")
def test_a_push_wakes_the_follower(woken: Woken) -> None:
    order = order_at_exchange()

    async def work(process: Streaming) -> None:
        process.order_pushed(frozenset({order.connector_id}), push(order, is_final=True).order)
        await until(lambda: woken.tasks)

    during(work)

    assert woken.tasks == ["apps.trading.tasks.follow_orders"]
    assert is_due(order)


@pytest.mark.usefixtures("inside")
def test_an_echo_wakes_nobody(woken: Woken) -> None:
    order = order_at_exchange()
    seen: list[int] = []

    async def work(process: Streaming) -> None:
        process.order_pushed(frozenset({order.connector_id}), push(order).order)
        await until(lambda: not process._pushes)
        seen.append(1)

    during(work)

    assert (seen, woken.tasks) == ([1], [])


@pytest.mark.usefixtures("inside")
def test_it_looks_again_when_the_row_did_not_follow(woken: Woken, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "LOOK_AGAIN_AFTER_S", (0.01, 0.01))
    order = order_at_exchange()
    marks: list[bool] = []
    real = pushes.mark_due

    def mark_due(told: list[Push]) -> list[Push]:
        Order.unscoped.filter(pk=order.pk).update(next_at=later())
        behind = real(told)
        marks.append(is_due(order))
        return behind

    monkeypatch.setattr(pushes, "mark_due", mark_due)

    async def work(process: Streaming) -> None:
        process.order_pushed(frozenset({order.connector_id}), push(order, is_final=True).order)
        await until(lambda: len(marks) == 3)
        await asyncio.sleep(0.1)

    during(work)

    assert marks == [True, True, True]
    assert woken.tasks == ["apps.trading.tasks.follow_orders"] * 3


@pytest.mark.usefixtures("inside")
def test_pushes_wait_for_a_database_that_is_away(woken: Woken, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "AFTER_FAILURE_S", 0.01)
    order = order_at_exchange()
    real, failures = pushes.mark_due, iter([OperationalError("away")])

    def mark_due(told: list[Push]) -> list[Push]:
        for failure in failures:
            raise failure
        return real(told)

    monkeypatch.setattr(pushes, "mark_due", mark_due)

    async def work(process: Streaming) -> None:
        process.order_pushed(frozenset({order.connector_id}), push(order, is_final=True).order)
        await until(lambda: woken.tasks)

    during(work)

    assert is_due(order)


@pytest.mark.usefixtures("inside")
def test_what_was_passed_on_before_the_database_went_away_is_not_passed_on_again(
    woken: Woken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "AFTER_FAILURE_S", 0.01)
    monkeypatch.setattr(streaming, "LOOK_AGAIN_AFTER_S", ())
    order, opened = order_at_exchange(), order_at_exchange()
    pushed, failures = [], iter([OperationalError("away")])
    mark_due, mark_all_due = pushes.mark_due, pushes.mark_all_due

    def noted(told: list[Push]) -> list[Push]:
        pushed.extend(told)
        return mark_due(told)

    def away_once(connector_ids: set[UUID]) -> int:
        for failure in failures:
            raise failure
        return mark_all_due(connector_ids)

    monkeypatch.setattr(pushes, "mark_due", noted)
    monkeypatch.setattr(pushes, "mark_all_due", away_once)

    async def work(process: Streaming) -> None:
        process.order_pushed(frozenset({order.connector_id}), push(order, is_final=True).order)
        process.opened(frozenset({opened.connector_id}))
        await until(lambda: is_due(opened))

    during(work)

    assert len(pushed) == 1
    assert (is_due(order), is_due(opened)) == (True, True)


@pytest.mark.usefixtures("inside")
def test_pushes_that_wait_for_the_database_are_bounded_and_beyond_all_open_orders_are_looked_at(
    woken: Woken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "AFTER_FAILURE_S", 0.01)
    monkeypatch.setattr(streaming, "MOST_PUSHES", 10)
    ours, others = order_at_exchange(), order_at_exchange()
    real, is_away = pushes.mark_due, [True]

    def mark_due(told: list[Push]) -> list[Push]:
        if is_away:
            raise OperationalError("away")
        return real(told)

    monkeypatch.setattr(pushes, "mark_due", mark_due)
    kept: list[int] = []

    async def work(process: Streaming) -> None:
        for _ in range(30):
            process.order_pushed(frozenset({others.connector_id}), push(others).order)
            await asyncio.sleep(0.003)
        process.order_pushed(frozenset({ours.connector_id}), push(ours).order)
        kept.append(len(process._pushes))
        is_away.clear()
        await until(lambda: is_due(ours))

    during(work)

    assert kept[0] <= 10
    assert is_due(others)


@pytest.mark.usefixtures("inside")
def test_an_opened_stream_and_a_refused_login_are_passed_on(woken: Woken) -> None:
    order = order_at_exchange()
    refused = ConnectorFactory(check_status=CheckStatus.OK)

    async def work(process: Streaming) -> None:
        process.opened(frozenset({order.connector_id}))
        process.login_refused(frozenset({refused.pk}))
        await until(lambda: len(woken.tasks) == 2)

    during(work)

    assert woken.tasks == ["apps.trading.tasks.follow_orders", "apps.connectors.tasks.run_checks"]
    assert is_due(order)


@pytest.mark.usefixtures("inside", "woken")
def test_the_newest_price_of_a_second_is_written_with_its_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "PRICES_EVERY_S", 0.02)
    instrument = InstrumentFactory()
    at = timezone.now()

    async def work(process: Streaming) -> None:
        for last, mark in (("60000", "60001"), ("60010", "60011")):
            ticker = Ticker("BTCUSDT", Decimal(last), Decimal("60009"), None, Decimal(mark), at)
            process.price_pushed("paper", Market.FUTURES, ticker)
        process.price_pushed("paper", Market.FUTURES, Ticker("NOSUCH", Decimal(1), None, None, None, at))
        await until(MarketPrice.objects.exists)

    during(work)

    price = MarketPrice.objects.get()
    assert (price.instrument_id, price.last, price.bid, price.ask, price.mark) == (
        instrument.pk, Decimal(60010), Decimal(60009), None, Decimal(60011),
    )  # fmt: skip


@pytest.mark.usefixtures("inside", "woken")
def test_a_price_that_waited_for_the_database_is_not_written_as_one_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "PRICES_EVERY_S", 0.02)
    monkeypatch.setattr(streaming, "PRICE_HOLDS_S", 0.2)
    waited, fresh = InstrumentFactory(), InstrumentFactory(symbol="ETHUSDT", base="ETH")
    price = Decimal(60000)

    async def work(process: Streaming) -> None:
        process._slow.submit(time.sleep, 0.5)
        process.price_pushed("paper", Market.FUTURES, Ticker(waited.symbol, price, None, None, price, timezone.now()))
        await asyncio.sleep(0.6)
        process.price_pushed("paper", Market.FUTURES, Ticker(fresh.symbol, price, None, None, price, timezone.now()))
        await until(MarketPrice.objects.exists)

    during(work)

    assert [row.instrument_id for row in MarketPrice.objects.all()] == [fresh.pk]


@pytest.mark.usefixtures("inside", "woken")
def test_its_heartbeat_counts_the_streams() -> None:
    ConnectorFactory(credentials=(f"canary-access-key-{uuid4().hex}", "canary-secret-key-0", "canary-memo-0000"))

    async def work(process: Streaming) -> None:
        await until(WorkerHeartbeat.objects.filter(kind="stream").exists)

    during(work)

    beat = WorkerHeartbeat.objects.get(kind="stream")
    assert set(beat.facts) == {"connectors", "accounts", "open", "polled", "public"}
