"""Damaged answers: whatever comes back, a call gives a report or an ExchangeError, and never a rejection unproved."""

import copy
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from apps.connectors.bitmart.client import Client
from apps.connectors.bitmart.errors import CODES
from apps.connectors.bitmart.futures import FuturesExchange
from apps.connectors.bitmart.spot import SpotExchange
from apps.connectors.bitmart.transport import RawAnswer
from apps.connectors.exchange import (
    Exchange,
    ExchangeError,
    MarginMode,
    OrderRejectedError,
    OrderRequest,
    OrderType,
    PositionMode,
    Side,
)
from tests.connectors.bitmart.test_samples import READ
from tests.connectors.bitmart.venue import FIXTURES, NOW_MS, client

# A campaign: MUTATIONS=100000 pytest -n 0 tests/connectors/bitmart/test_mutations.py
EXAMPLES = int(os.environ.get("MUTATIONS", "2000"))
PATHS = [str(path.relative_to(FIXTURES).with_suffix("")) for path in sorted(FIXTURES.glob("*/*.json"))]
RECORDS: dict[str, dict[str, Any]] = {name: json.loads((FIXTURES / f"{name}.json").read_text()) for name in PATHS}


class OneAnswer:
    """A transport that answers everything with the same bytes."""

    def __init__(self, status: int, content: bytes) -> None:
        self.answer = RawAnswer(status, {}, content)

    def send(self, request: requests.PreparedRequest) -> RawAnswer:
        return self.answer

    def close(self) -> None: ...


def market_order(symbol: str) -> OrderRequest:
    return OrderRequest("tv1", symbol, Side.SELL, OrderType.MARKET, quantity=Decimal(1))


CALLS: dict[str, Callable[[Exchange], object]] = {
    "time": lambda x: x.server_time_ms(),
    "offset": lambda x: x.offset_sample_ms(),
    "instruments": lambda x: x.instruments(),
    "tickers": lambda x: x.tickers(),
    "ticker": lambda x: x.tickers(["BTCUSDT"]),
    "balances": lambda x: x.balances(),
    "fee_rates": lambda x: x.fee_rates("BTCUSDT"),
    "submit": lambda x: x.submit(market_order("BTCUSDT"), signed_at_ms=NOW_MS),
    "cancel": lambda x: x.cancel("BTCUSDT", exchange_order_id="1", signed_at_ms=NOW_MS),
    "find": lambda x: x.find_order("BTCUSDT", client_order_id="tv00000002", exchange_order_id="1"),
    "open": lambda x: x.open_orders(),
    "fills": lambda x: x.fills("BTCUSDT", since=datetime(2020, 1, 1, tzinfo=UTC)),
    "order_fills": lambda x: x.fills("BTC_USDT", exchange_order_id="118100034543076010"),
    "positions": lambda x: x.positions(),
    "mode": lambda x: x.position_mode(),
    "leverage": lambda x: x.set_leverage("ETHUSDT", leverage=Decimal(5), margin_mode=MarginMode.ISOLATED),
    "one_way": lambda x: x.set_position_mode(PositionMode.ONE_WAY),
    "find_spot": lambda x: x.find_order("BTC_USDT", client_order_id="118100034543076010"),
    "find_futures": lambda x: x.find_order("LTCUSDT", client_order_id="x", exchange_order_id="3000013086011694"),
    "find_finished": lambda x: x.find_order("LTCUSDT", client_order_id="tv00000002"),
    **{name: call for name, (call, _) in READ.items()},
    "verify": lambda x: x.verify_signature(),
    "key": lambda x: x.key_info(),
}

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        [
            "",
            "0",
            "-1",
            "1e40",
            "1e-99",
            "NaN",
            "Infinity",
            "0x10",
            "１",
            "1_0",
            " 1",
            "\ud800",
            10**50,
            [],
            {},
            [[]],
            [{}],
        ]
    ),
    st.sampled_from([1000, "1000", 1000.0, True, *list(CODES)[::7]]),
)


def places(value: object, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to every value inside a JSON document, itself included."""
    found = [at]
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        found += places(inner, (*at, key))
    return found


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, int, bytes]:
    name = draw(st.sampled_from(PATHS))
    body = copy.deepcopy(RECORDS[name]["response"])
    for _ in range(draw(st.integers(1, 3))):
        body = change(draw, body)
    content = json.dumps(body).encode()
    if draw(st.integers(0, 9)) == 0:
        content = content[: draw(st.integers(0, len(content)))]
    return name, draw(st.sampled_from([200, 200, 200, 400, 403, 418, 429, 500, 503])), content


def change(draw: st.DrawFn, body: Any) -> Any:
    way = draw(st.sampled_from(places(body)))
    if not way:
        return copy.deepcopy(draw(ODD))
    inside = body
    for key in way[:-1]:
        inside = inside[key]
    if isinstance(inside, dict) and draw(st.booleans()) and draw(st.booleans()):
        del inside[way[-1]]
    else:
        inside[way[-1]] = copy.deepcopy(draw(ODD))
    return body


def answering(market: str, status: int, content: bytes) -> Exchange:
    wire: Client = client()
    wire._transport.close()
    wire._transport = OneAnswer(status, content)  # type: ignore[assignment]
    return SpotExchange(wire) if market == "spot" else FuturesExchange(wire)


def code_of(content: bytes) -> str:
    try:
        body = json.loads(content)
    except ValueError:
        return ""
    code = body.get("code") if isinstance(body, dict) else None
    return "" if isinstance(code, bool | float) else str(code)


LISTED = {str(code) for code in CODES}
# What may change something at the venue, and is done only if the venue said so.
MOVES = {"submit", "cancel", "leverage", "one_way"} | {
    name
    for name in READ
    if RECORDS[name]["method"] == "POST" and not any(part in RECORDS[name]["path"] for part in ("/query/", "-list"))
}


def judge(call: str, exchange: Exchange, status: int, content: bytes) -> None:
    """Make the call: it is carried out, refused with a listed code, or in doubt, and raises nothing else."""
    try:
        CALLS[call](exchange)
    except OrderRejectedError:
        assert code_of(content) in LISTED
    except ExchangeError:
        pass
    else:
        assert call not in MOVES or (code_of(content) == "1000" and status < 400)


@settings(max_examples=EXAMPLES // 2, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
@given(damage=damaged(), call=st.sampled_from(sorted(CALLS)))
@example(damage=("spot/ticker", 200, b'{"code":50020.0}'), call="submit")
def test_damaged_answers_give_a_report_or_an_exchange_error(damage: tuple[str, int, bytes], call: str) -> None:
    name, status, content = damage
    exchange = answering(name.split("/")[0], status, content)

    judge(call, exchange, status, content)


FITTING = {
    "spot/system-time": "time",
    "spot/account-info": "key",
    "spot/symbols-details": "instruments",
    "spot/ticker": "ticker",
    "spot/tickers": "tickers",
    "spot/wallet": "balances",
    "spot/trade-fee": "fee_rates",
    "spot/submit-order": "submit",
    "spot/cancel-order": "cancel",
    "spot/open-orders": "open",
    "spot/order-trades": "order_fills",
    "futures/details": "instruments",
    "futures/assets-detail": "balances",
    "futures/trade-fee-rate": "fee_rates",
    "futures/position-mode": "mode",
    "futures/submit-order": "submit",
    "futures/cancel-order": "cancel",
    "futures/submit-leverage": "leverage",
    "futures/get-open-orders": "open",
    "futures/trades": "fills",
    "futures/position-v2": "positions",
    "futures/position-v2-hedge": "positions",
    "futures/order": "find_futures",
    "futures/order-history": "find_finished",
    "spot/client-order": "find_spot",
    "spot/withdraw-charge": "key",
    "futures/set-position-mode": "one_way",
    **{name: name for name in READ},
}


@settings(max_examples=EXAMPLES // 2, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
@given(damage=damaged().filter(lambda damage: damage[0] in FITTING))
def test_damage_in_the_answer_a_call_expects_is_a_report_or_an_exchange_error(damage: tuple[str, int, bytes]) -> None:
    name, status, content = damage
    exchange = answering(name.split("/")[0], status, content)

    judge(FITTING[name], exchange, status, content)


@pytest.mark.parametrize(("name", "call"), sorted(FITTING.items()))
def test_the_undamaged_answer_is_a_report(name: str, call: str) -> None:
    exchange = answering(name.split("/")[0], 200, json.dumps(RECORDS[name]["response"]).encode())

    CALLS[call](exchange)
