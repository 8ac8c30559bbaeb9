"""Alert in, order at the real paper exchange, fill, position: the whole line inside one test transaction."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from apps.alerts.execution import execute_due
from apps.alerts.models import Alert
from apps.connectors import instruments, pointers
from apps.connectors.models import Connector, Instrument, MarketPrice
from apps.trading.models import Order, Position
from apps.trading.sweeper import sweep
from tests.engine.replays import assert_replays
from tests.factories import ConnectorFactory, PointerFactory
from tests.paper.running import PaperAccount
from tests.shared_paper import SharedPaper


@dataclass(slots=True)
class Desk:
    """One connector with a real account at the paper exchange, and the sender of its alerts."""

    paper: SharedPaper
    account: PaperAccount
    connector: Connector
    pointer: str
    symbol: str

    def message(self, action: str, prev: str, quantity: str, **more: Any) -> dict[str, Any]:
        return {
            "ticker": self.symbol,
            "action": action,
            "prev_position": prev,
            "quantity": quantity,
            "pointer": self.pointer,
            **more,
        }

    def post(self, body: Any, path: str = "/webhook", content_type: str = "application/json") -> Any:
        return Client().post(path, data=body, content_type=content_type)

    def send(self, action: str, prev: str, quantity: str, **more: Any) -> Alert:
        """Post one message, let the workers' code run, and return the alert."""
        answer = self.post(self.message(action, prev, quantity, **more))
        assert answer.status_code == 200, answer.content
        self.work()
        return Alert.unscoped.get(pk=answer.json()["id"])

    def work(self) -> None:
        execute_due()
        sweep()

    def orders(self) -> list[Order]:
        return list(Order.unscoped.filter(connector=self.connector).order_by("created_at", "leg"))

    def position(self) -> Position:
        return Position.unscoped.get(connector=self.connector)

    def set_price(self, price: str) -> None:
        """Move the exchange's price, and forget the one we keep."""
        self.paper.set_price(f"{'BTC_USDT' if self.connector.market == 'spot' else 'BTCUSDT'}", price)
        MarketPrice.objects.all().delete()

    def at_exchange(self) -> list[dict[str, Any]]:
        return self.paper.orders(self.account.access_key)


_listed: dict[tuple[str, str], list[Instrument]] = {}


def list_instruments(paper: SharedPaper, market: str) -> None:
    """Store the listing, read once: the exchange limits how often one address may ask for it."""
    key = (paper.base_url, market)
    if key not in _listed:
        instruments.sync("paper", market)
        _listed[key] = list(Instrument.objects.filter(environment="paper", market=market))
        return
    for row in _listed[key]:
        row.pk = None
    Instrument.objects.bulk_create(_listed[key])


def desk(paper: SharedPaper, market: str, **options: Any) -> Desk:
    account = paper.new_account(
        spot={"USDT": "10000"} if market == "spot" else None,
        futures={"USDT": "10000"} if market == "futures" else None,
        **options,
    )
    list_instruments(paper, market)
    connector = ConnectorFactory(market=market, credentials=(account.access_key, account.secret_key, account.memo))
    pointer = PointerFactory(connector=connector)
    symbol = "BTC_USDT" if market == "spot" else "BTCUSDT"
    paper.set_price(symbol, "60000")
    return Desk(paper, account, connector, pointers.reveal(pointer), "BTCUSDT")


@pytest.fixture
def futures(db: None, paper: SharedPaper) -> Iterator[Desk]:
    yield desk(paper, "futures")
    assert_replays()


@pytest.fixture
def spot(db: None, paper: SharedPaper) -> Iterator[Desk]:
    yield desk(paper, "spot")
    assert_replays()
