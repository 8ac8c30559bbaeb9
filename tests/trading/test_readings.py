"""What is read of an account, how fresh the row that it is read for has to be, and what is noted of it."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.connectors.models import Connector
from apps.connectors.policies import ExternalTrades
from apps.connectors.sealing import SealError
from apps.lib import world
from apps.lib.statements import ask
from apps.trading import reconcile
from apps.trading.models import AccountWatch, Position
from apps.trading.readings import Reading, beside, noting
from tests.factories import ConnectorFactory, OrderFactory, PositionFactory, ago

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("number", [1, 2, 3, 5])
def test_each_position_is_noted_with_its_own_figure(number: int) -> None:
    connector, started = ConnectorFactory(), ago(minutes=1)
    rows = {(f"S{n}", "net"): PositionFactory(connector=connector, symbol=f"S{n}") for n in range(number)}
    other = PositionFactory(connector=connector, symbol="OTHER")
    held = {(f"S{n}", "net"): Decimal(n) / 8 for n in range(1, number)}

    ask(noting(Reading(started, held, {}, rows, frozenset(), has_open_orders=False)))

    noted = Position.unscoped.filter(reconciled_at=started).order_by("symbol")
    assert list(noted.values_list("symbol", "exchange_quantity")) == [(f"S{n}", Decimal(n) / 8) for n in range(number)]
    other.refresh_from_db()
    assert (other.exchange_quantity, other.reconciled_at) == (None, None)


@pytest.mark.parametrize(("waited_ms", "policy"), [(40, ExternalTrades.ADOPT), (60, ExternalTrades.PAUSE)])
def test_account_whose_turn_comes_late_is_read_anew(
    waited_ms: int, policy: ExternalTrades, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (ConnectorFactory(external_trades=ExternalTrades.ADOPT) for _ in range(2))
    for age, connector in ((2, first), (1, second)):
        AccountWatch.unscoped.create(connector=connector, workspace_id=connector.workspace_id, next_at=ago(minutes=age))
    began, shown = world.now(), []

    def read(connector: Connector) -> Any:
        shown.append((connector.pk, connector.external_trades))
        Connector.unscoped.filter(pk=second.pk).update(external_trades=ExternalTrades.PAUSE)
        monkeypatch.setattr(world, "now", lambda: began + timedelta(milliseconds=waited_ms))
        raise SealError("not here")

    monkeypatch.setattr(world, "now", lambda: began)
    monkeypatch.setattr(reconcile, "open_connector", read)

    reconcile.poll_due()

    assert shown == [(first.pk, ExternalTrades.ADOPT), (second.pk, policy)]


def test_symbols_are_those_we_hold_or_traded_since() -> None:
    connector, since = ConnectorFactory(), ago(hours=1)
    for symbol, age in (("NEW", 1), ("NEW", 2), ("OLD", 70)):
        OrderFactory(connector=connector, symbol=symbol, created_at=ago(minutes=age))
    OrderFactory(symbol="ANOTHERS")
    PositionFactory(connector=connector, symbol="HELD")
    PositionFactory(connector=connector, symbol="CLOSED", signed_quantity=0, cost=0, exchange_quantity=3)

    reading = beside(connector, ago(), {}, {}, traded_since=since)
    unasked = beside(connector, ago(), {}, {})

    assert reading.traded == {"NEW"}
    assert reading.symbols == {"NEW", "HELD"}
    assert unasked.symbols == {"HELD"}
