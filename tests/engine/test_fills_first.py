"""A market order whose quantity is known is asked for its fills first: they say in one answer that it is done."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from apps.connectors.bitmart.futures import FuturesExchange
from apps.connectors.bitmart.spot import SpotExchange
from apps.connectors.exchange import FillReport
from apps.trading.models import Fill, OrderEvent, OrderState
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


def test_without_an_answer_the_order_is_asked_about(futures: Bench, asked: list[str]) -> None:
    # Each question is asked three times before it counts as failed.
    futures.fault("status", "/contract/private/trades", status=502, accepted=False, times=3)

    futures.send("buy", "flat", "0.01")

    assert (futures.order().state, asked) == (S.FILLED, ["fills", "find_order", "fills"])
