"""A connector in a world whose time is turned by hand: for rows of the matrix about clocks, ages and crowds."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import connection

from apps.alerts.models import Alert
from apps.connectors.models import Connector
from apps.trading.models import Order
from tests.torture import database, tenants
from tests.torture.simulated import Scene, staged
from tests.torture.steps import History


@dataclass(slots=True)
class Desk:
    scene: Scene
    history: History

    def deliver(self, action: str, prev: str, quantity: str, **more: Any) -> Alert:
        message = {"action": action, "prev_position": prev, "quantity": quantity, **more}
        named = {"ticker": self.history.tenant.symbol, "pointer": self.history.tenant.pointer}
        assert self.history.deliver(json.dumps({**named, **message}).encode()) == ""
        return Alert.unscoped.get(pk=self.history.sent[-1])

    def send(self, action: str, prev: str, quantity: str, **more: Any) -> Alert:
        """Deliver one alert and wake a worker."""
        alert = self.deliver(action, prev, quantity, **more)
        self.scene.engine.wake()
        alert.refresh_from_db()
        return alert

    def wait(self, seconds: float, *, every: float = 5) -> None:
        """Let time pass; whoever has work does it."""
        passed = 0.0
        while passed < seconds:
            self.scene.clock.sleep(every)
            passed += every
            self.scene.engine.wake()
            self.scene.engine.sweep()

    def orders(self) -> list[Order]:
        return list(Order.unscoped.filter(connector=self.history.connector).order_by("created_at", "leg"))

    def book(self) -> list[tuple[str, Decimal]]:
        return [(order.client_order_id, order.size) for order in self.scene.venue.orders(self.history.account_id)]

    def held(self) -> Decimal:
        positions = self.scene.venue.positions(self.history.account_id)
        return sum((position.amount * position.direction for position in positions), Decimal(0))

    def violations(self) -> list[str]:
        return [f"{kind}: {sentence}" for kind, _, sentence in self.scene.judge().rows]


@contextmanager
def desks(count: int) -> Iterator[list[Desk]]:
    """Give futures connectors that follow what an alert says; prices stand at 60,000."""
    database.add_names()
    people = [tenant for tenant in tenants.found(count + count // 3 + 1) if tenant.market == "futures"][:count]
    with staged(people, "matrix") as scene:
        settings = {"suspected_duplicate": "run", "mismatch": "close_only", "exit_excess": "reverse", "leverage": 1}
        Connector.unscoped.update(**settings)
        for symbol in tenants.SYMBOLS.values():
            scene.venue.set_price(symbol, Decimal(60_000))
        for history in scene.histories:
            scene.venue.choose(history.account_id, mode="one_way_mode", policies="client_ids=live")
        yield [Desk(scene, history) for history in scene.histories]
    # The ids of the seed are this connection's.
    connection.close()
