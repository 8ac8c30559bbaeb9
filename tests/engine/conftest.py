"""One connector with a real account at the paper exchange, and everything due made due now."""

import importlib
import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import redis
from django.apps import apps
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.utils import timezone

from apps.alerts.execution import execute_due
from apps.alerts.models import Alert
from apps.connectors import opening, outages, outcomes, pointers
from apps.connectors.bitmart import client
from apps.connectors.budget import Budget
from apps.connectors.budget_redis import PREFIX, RedisWindows
from apps.connectors.budget_windows import LocalWindows
from apps.connectors.models import Connector, MarketPrice, Outage
from apps.trading.models import Order, OrderEvent, Position
from apps.trading.sweeper import sweep
from tests.engine.replays import assert_replays
from tests.factories import (
    ConnectorFactory,
    InstrumentFactory,
    MarketPriceFactory,
    PointerFactory,
    SpotInstrumentFactory,
)
from tests.paper.running import PaperAccount
from tests.shared_paper import SharedPaper

SUBMIT = {"futures": "/contract/private/submit-order", "spot": "/spot/v2/submit_order"}


@dataclass(slots=True)
class Bench:
    paper: SharedPaper
    account: PaperAccount
    connector: Connector
    pointer: str
    _sent: int = field(default=0)

    def post(self, action: str, prev: str, quantity: str, **more: Any) -> Alert:
        """Deliver one alert with an id of its own; nothing runs yet."""
        self._sent += 1
        message = {
            "ticker": "BTCUSDT",
            "action": action,
            "prev_position": prev,
            "quantity": quantity,
            "pointer": self.pointer,
            "id": f"n{self._sent}",
            **more,
        }
        answer = Client().post("/webhook", data=json.dumps(message), content_type="application/json")
        assert answer.status_code == 200, answer.content
        return Alert.unscoped.get(pk=answer.json()["id"])

    def send(self, action: str, prev: str, quantity: str, **more: Any) -> Alert:
        """Deliver one alert and let the worker's code run once."""
        alert = self.post(action, prev, quantity, **more)
        execute_due()
        alert.refresh_from_db()
        return alert

    def wait(self, rounds: int = 1) -> None:
        """Let time pass for everything that is due some day, and do it: the sweeper's work."""
        for _ in range(rounds):
            forget_limits()
            now = timezone.now()
            Order.unscoped.filter(next_at__gt=now).update(next_at=now)
            sweep()
            Alert.unscoped.filter(next_at__gt=now).update(next_at=now)
            execute_due()

    def end_windows(self) -> None:
        """Let the windows of all request limits be over, here and at the exchange."""
        self.paper.end_windows()
        forget_limits()

    def end_outage(self) -> None:
        """The exchange has answered for a while: what it failed to answer before keeps no entry off."""
        Outage.objects.all().delete()
        outcomes.forget()
        outages.forget()

    def pass_fence(self) -> None:
        """Let every sent order be older than the exchange would still take it."""
        Order.unscoped.exclude(fence_at=None).update(fence_at=timezone.now() - timedelta(seconds=1))

    def fault(self, action: str, route: str = "", **details: Any) -> None:
        self.paper.fault(route or SUBMIT[self.connector.market], action, **details)

    def orders(self) -> list[Order]:
        return list(Order.unscoped.filter(connector=self.connector).order_by("created_at", "leg"))

    def order(self) -> Order:
        return Order.unscoped.get(connector=self.connector)

    def path(self, order: Order) -> list[str]:
        """Return the states the order went through."""
        moves = OrderEvent.unscoped.filter(order=order).order_by("version").values_list("from_state", "to_state")
        return [to_state for from_state, to_state in moves if from_state != to_state]

    def book(self) -> list[tuple[str, str]]:
        """Return what the exchange itself has: our id and the size of every order it took."""
        return [(row["client_order_id"], row["size"]) for row in self.paper.orders(self.account.access_key)]

    def held(self) -> Any:
        return Position.unscoped.get(connector=self.connector).signed_quantity

    def status(self, alert: Alert) -> tuple[str, str]:
        alert.refresh_from_db()
        return alert.status, alert.reason_code


def forget_limits() -> None:
    """Whatever an address was shut out for is over: limits and bans of another test, or of a minute ago."""
    opening.close_all()
    cache.clear()


def bench(paper: SharedPaper, market: str, **options: Any) -> Bench:
    forget_limits()
    account = paper.new_account(
        spot={"USDT": "10000"} if market == "spot" else None,
        futures={"USDT": "10000"} if market == "futures" else None,
        **options,
    )
    instrument = InstrumentFactory() if market == "futures" else SpotInstrumentFactory()
    # Fresh for the whole test: the address's allowance of public calls is for the tests that are about it.
    if not MarketPrice.objects.filter(instrument=instrument).exists():
        price = Decimal(60000)
        MarketPriceFactory(instrument=instrument, bid=price, ask=price, at=timezone.now() + timedelta(hours=1))
    connector = ConnectorFactory(market=market, credentials=(account.access_key, account.secret_key, account.memo))
    paper.set_price(instrument.symbol, "60000")
    return Bench(paper, account, connector, pointers.reveal(PointerFactory(connector=connector)))


@pytest.fixture
def no_waiting(paper: SharedPaper, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a request would have to wait for its turn, the windows of all limits end instead, here and at the exchange.
    Questions are asked again at once. Not for tests in which several threads or processes send.
    """

    class Impatient(Budget):
        def __init__(self, local: LocalWindows, shared: RedisWindows) -> None:
            super().__init__(local, shared, sleep=self._end_windows)

        def _end_windows(self, seconds: float) -> None:
            # What the exchange has shut for a while stays shut.
            time.sleep(min(seconds, 0.01))
            self._local = LocalWindows()
            with redis.Redis.from_url(settings.REDIS_URL) as counted:
                for key in counted.scan_iter(f"{PREFIX}:slots:*"):
                    counted.delete(key)
            paper.end_windows()

    monkeypatch.setattr(opening, "Budget", Impatient)
    monkeypatch.setattr(client, "RETRY_PAUSES_S", (0.0,) * len(client.RETRY_PAUSES_S))


@pytest.fixture
def futures(db: None, paper: SharedPaper, no_waiting: None) -> Iterator[Bench]:
    yield bench(paper, "futures")
    assert_replays()


@pytest.fixture
def spot(db: None, paper: SharedPaper, no_waiting: None) -> Iterator[Bench]:
    yield bench(paper, "spot")
    assert_replays()


@pytest.fixture
def _rows_of_migrations(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Committed tests end with empty tables; put back what migrations had written, once that is done."""
    yield
    with django_db_blocker.unblock():
        importlib.import_module("apps.accounts.migrations.0003_plans").add_plans(apps, None)
        connection.close()


@pytest.fixture
def committed(_rows_of_migrations: None, transactional_db: None) -> None:
    """For tests whose rows other threads and processes have to see."""


@pytest.fixture(autouse=True)
def _nothing_failed_unseen(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Background work logs what it raises and goes on; no test may overlook that."""
    yield
    if "failing" in request.fixturenames:
        return
    raised = [record for record in caplog.get_records("call") if record.exc_info and record.levelno >= logging.ERROR]
    assert [record.getMessage() for record in raised] == []


@pytest.fixture
def failing() -> None:
    """For a test in which something is meant to raise."""
