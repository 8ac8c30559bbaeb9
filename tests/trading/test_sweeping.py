"""What is due is read in one lot: whoever comes to his turn late, or is to send, reads his row anew."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from apps.accounts.models import TradingState
from apps.connectors.models import Connector
from apps.lib import world
from apps.trading import protection_due, sweeper
from apps.trading.models import Order, OrderState, Protection, ProtectionState
from apps.trading.protection_rows import new_row
from tests.factories import OrderFactory, ago

pytestmark = pytest.mark.django_db

ACTIVE, HALTED = TradingState.ACTIVE, TradingState.HALTED


class Steps(list[Any]):
    """The rows that a step was taken with, and what their connectors said then. `meanwhile` runs within the first."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        super().__init__()
        self._meanwhile = meanwhile

    def __call__(self, row: Any) -> None:
        self.append((row.pk, row.connector.trading_state))
        if len(self) == 1:
            self._meanwhile()


def _halt(row: Any) -> None:
    Connector.unscoped.filter(pk=row.connector_id).update(trading_state=HALTED)


def guard(**columns: Any) -> Protection:
    entry = OrderFactory(state=OrderState.FILLED, filled_quantity=Decimal(10))
    facts = {"kind": "stop_loss", "price": "59000"}
    row = new_row(entry, 0, facts=facts, price=Decimal(59000), in_entry=False)
    for name, value in columns.items():
        setattr(row, name, value)
    row.save(force_insert=True)
    return row


def _two(factory: Any, state: str) -> tuple[Any, Any]:
    return tuple(factory(state=state, next_at=ago(seconds=age)) for age in (9, 8))  # type: ignore[return-value]


ORDERS = (OrderFactory, OrderState.ACCEPTED, OrderState.PLANNED, sweeper, sweeper.sweep, Order)
GUARDS = (guard, ProtectionState.LIVE, ProtectionState.WAITING, protection_due, sweeper.sweep, Protection)
both = pytest.mark.parametrize(("factory", "live", "unsent", "module", "sweep", "model"), [ORDERS, GUARDS])


@both
def test_rows_due_are_read_in_one_statement(
    factory: Any, live: str, unsent: str, module: Any, sweep: Any, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = _two(factory, live)
    steps, began = Steps(lambda: _halt(second)), world.now()
    monkeypatch.setattr(module, "step", steps)
    monkeypatch.setattr(world, "now", lambda: began)

    assert sweep() == 2

    assert steps == [(first.pk, ACTIVE), (second.pk, ACTIVE)]


@both
def test_what_is_to_be_sent_is_read_in_its_turn(
    factory: Any, live: str, unsent: str, module: Any, sweep: Any, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = _two(factory, unsent)
    steps = Steps(lambda: _halt(second))
    monkeypatch.setattr(module, "step", steps)

    assert sweep() == 2

    assert steps == [(first.pk, ACTIVE), (second.pk, HALTED)]


@both
@pytest.mark.parametrize(("waited_ms", "state"), [(40, ACTIVE), (60, HALTED), (-60, HALTED)])
def test_row_whose_turn_comes_late_is_read_anew(
    factory: Any,
    live: str,
    unsent: str,
    module: Any,
    sweep: Any,
    model: Any,
    waited_ms: int,
    state: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = _two(factory, live)
    began = world.now()

    def meanwhile() -> None:
        _halt(second)
        monkeypatch.setattr(world, "now", lambda: began + timedelta(milliseconds=waited_ms))

    steps = Steps(meanwhile)
    monkeypatch.setattr(module, "step", steps)
    monkeypatch.setattr(world, "now", lambda: began)

    assert sweep() == 2

    assert steps == [(first.pk, ACTIVE), (second.pk, state)]


@both
@pytest.mark.parametrize("waited_ms", [0, 60])
@pytest.mark.parametrize("is_unsent", [False, True])
def test_row_that_another_process_took_meanwhile_is_left_to_it(
    factory: Any,
    live: str,
    unsent: str,
    module: Any,
    sweep: Any,
    model: Any,
    waited_ms: int,
    is_unsent: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = _two(factory, unsent if is_unsent else live)
    began = world.now()
    taken_until = began + timedelta(seconds=15)

    def meanwhile() -> None:
        model.unscoped.filter(pk=second.pk).update(next_at=taken_until, version=second.version + 1)
        monkeypatch.setattr(world, "now", lambda: began + timedelta(milliseconds=waited_ms))

    steps = Steps(meanwhile)
    monkeypatch.setattr(module, "step", steps)
    monkeypatch.setattr(world, "now", lambda: began)

    assert sweep() == 2

    second.refresh_from_db()
    assert [pk for pk, _ in steps] == [first.pk]
    assert (second.next_at, second.version) == (taken_until, 1)


@both
def test_rows_due_at_one_moment_come_in_the_order_they_were_made(
    factory: Any, live: str, unsent: str, module: Any, sweep: Any, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = ago(seconds=9)
    made = [factory(state=live, next_at=due, created_at=ago(minutes=age)).pk for age in (3, 5, 1, 4, 2)]
    steps = Steps(lambda: None)
    monkeypatch.setattr(module, "step", steps)

    assert sweep() == 5

    assert [pk for pk, _ in steps] == [made[place] for place in (1, 3, 0, 4, 2)]


def test_sweep_that_finds_nothing_asks_once() -> None:
    OrderFactory(state=OrderState.ACCEPTED, next_at=ago(seconds=-9))
    guard(state=ProtectionState.LIVE, next_at=ago(seconds=-9))
    asked: list[str] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        asked.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        assert sweeper.sweep() == 0

    assert len(asked) == 1
