"""A market order whose quantity is known is asked for its fills first: they say in one answer that it is done."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.connectors.bitmart.futures import FuturesExchange
from apps.connectors.bitmart.spot import SpotExchange
from apps.connectors.exchange import FillReport, OrderReport, OrderRequest
from apps.trading.executor import drive, step
from apps.trading.models import Fill, Incident, Order, OrderEvent, OrderState
from tests.engine.conftest import Bench

S = OrderState
Told = Callable[[FillReport], Sequence[FillReport]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the exchange is asked about orders, in order."""
    calls: list[str] = []
    for kind in (FuturesExchange, SpotExchange):
        for name in ("find_order", "fills"):
            monkeypatch.setattr(kind, name, _noted(calls, name, getattr(kind, name)))
    return calls


def _noted(calls: list[str], name: str, ask: Callable[..., Any]) -> Callable[..., Any]:
    def noted(*args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        return ask(*args, **kwargs)

    return noted


def tells(monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    """Let the first list of fills be made from the exchange's one fill; the later ones are its own."""
    ask, asked_before = FuturesExchange.fills, []

    def fills(exchange: FuturesExchange, *args: Any, **kwargs: Any) -> Sequence[FillReport]:
        (whole,) = ask(exchange, *args, **kwargs)
        asked_before.append(whole)
        return told(whole) if len(asked_before) == 1 else [whole]

    monkeypatch.setattr(FuturesExchange, "fills", fills)


def part(whole: FillReport, quantity: int) -> FillReport:
    return replace(whole, trade_id=f"{whole.trade_id}{quantity}", quantity=Decimal(quantity))


def causes(bench: Bench) -> list[str]:
    return list(OrderEvent.unscoped.filter(order=bench.order()).order_by("version").values_list("cause", flat=True))


def test_fills_that_add_up_are_the_only_question(futures: Bench, asked: list[str]) -> None:
    futures.send("buy", "flat", "0.01")

    order = futures.order()
    assert (order.state, order.filled_quantity, order.next_at) == (S.FILLED, Decimal(10), None)
    assert asked == ["fills"]
    assert causes(futures) == ["planned", "sending", "acknowledged", "its fills add up"]
    assert OrderEvent.unscoped.get(cause="its fills add up").evidence["filled_quantity"] == "10"
    assert futures.held() == 10


def test_spot_sells_a_quantity_and_buys_for_an_amount(spot: Bench, asked: list[str]) -> None:
    spot.send("buy", "flat", "0.01")
    assert (asked, spot.order().state) == (["find_order", "fills"], S.FILLED)
    asked.clear()

    spot.send("sell", "long", "0.009")

    assert (asked, spot.orders()[1].state) == (["fills"], S.FILLED)


@pytest.mark.parametrize(
    ("told", "recorded_first"),
    [
        pytest.param(lambda whole: [part(whole, 7)], 7, id="in part"),
        pytest.param(lambda whole: [part(whole, 7), part(whole, 3)], 10, id="in two parts"),
        pytest.param(lambda whole: [part(whole, 5), part(whole, 5)], 5, id="one of them twice"),
        pytest.param(lambda whole: [replace(whole, exchange_order_id="1")], 0, id="of another order"),
        pytest.param(lambda whole: [], 0, id="none yet"),
    ],
)
def test_only_own_fills_count_each_once(
    futures: Bench, monkeypatch: pytest.MonkeyPatch, told: Told, recorded_first: int
) -> None:
    tells(monkeypatch, told)
    monkeypatch.setattr("apps.trading.executor.FOLLOW_PAUSES_S", ())

    futures.send("buy", "flat", "0.01")

    order = futures.order()
    assert order.filled_quantity == sum(Fill.unscoped.values_list("quantity", flat=True)) == recorded_first
    assert order.state == (S.FILLED if recorded_first == 10 else S.ACCEPTED)


def test_incident_is_closed_when_a_late_acknowledgement_settles_it(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = FuturesExchange.submit

    def slow(self: FuturesExchange, request: OrderRequest, **details: Any) -> OrderReport:
        report = submit(self, request, **details)
        with monkeypatch.context() as blind:
            blind.setattr(FuturesExchange, "find_order", lambda *_, **__: None)
            for _ in range(4):
                # The sweeper takes the sender for dead, and finds nothing where the account has changed.
                step(futures.order())
                Order.unscoped.update(fence_at=timezone.now() - timedelta(seconds=5))
        assert Incident.unscoped.get().kind == "order_in_doubt"
        return report

    monkeypatch.setattr(FuturesExchange, "submit", slow)

    futures.send("buy", "flat", "0.01")

    assert futures.order().state == S.FILLED
    assert not Incident.unscoped.filter(resolved_at=None).exists()


def test_inferred_fill_is_not_counted_beside_the_real_ones(futures: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.trading.executor.FOLLOW_PAUSES_S", (0,))
    with monkeypatch.context() as killed:
        killed.setattr(FuturesExchange, "fills", lambda *_, **__: [])
        killed.setattr("apps.trading.recording.INFER_AFTER", timedelta(0))
        killed.setattr("apps.trading.following.advance", _die)
        with pytest.raises(SystemExit):
            futures.send("buy", "flat", "0.01")
    order = futures.order()
    assert (order.state, order.filled_quantity) == (S.ACCEPTED, 10)

    # Whoever takes the alert over.
    drive(order)
    futures.wait(3)

    assert (futures.order().state, futures.held(), Fill.unscoped.count()) == (S.FILLED, 10, 1)


def _die(*_: Any, **__: Any) -> None:
    raise SystemExit


def test_without_an_answer_the_order_is_asked_about(futures: Bench, asked: list[str]) -> None:
    # Each question is asked three times before it counts as failed.
    futures.fault("status", "/contract/private/trades", status=502, accepted=False, times=3)

    futures.send("buy", "flat", "0.01")

    assert (futures.order().state, asked) == (S.FILLED, ["fills", "find_order", "fills"])
