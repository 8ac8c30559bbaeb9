"""The figures that the guards judge, against the plainest way to add them up, and while an order fills in between."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from apps.connectors.models import Connector, Instrument
from apps.lib.statements import run
from apps.trading.exposure import (
    asked_counts,
    counts_from,
    open_elsewhere,
    open_notional,
    orders_last_minute,
    reserved,
)
from apps.trading.inputs import Counts
from apps.trading.models import Fill, LedgerEntry, Order, OrderState, Position
from tests.factories import (
    ConnectorFactory,
    FillFactory,
    InstrumentFactory,
    LedgerEntryFactory,
    OrderFactory,
    PositionFactory,
    SpotInstrumentFactory,
)

pytestmark = pytest.mark.django_db(transaction=True)

D = Decimal
SYMBOLS = ("AUSDT", "BUSDT", "CUSDT", "DUSDT")
UNDER_WAY = {"submitting", "unknown", "accepted", "partial", "cancelling"}


def scatter(chance: random.Random, connector: Connector, instruments: list[Instrument]) -> None:
    now = timezone.now()
    for instrument in instruments:
        for book in chance.sample(("net", "long", "short"), chance.randint(0, 3)):
            sign = {"net": chance.choice((-1, 1)), "long": 1, "short": -1}[book]
            size = chance.choice((D(0), D("0.4"), D(1), D(7)))
            opened_at = chance.choice((None, now - timedelta(hours=chance.randint(1, 9))))
            PositionFactory(
                connector=connector, instrument=instrument, book=book, signed_quantity=sign * size,
                cost=chance.choice((D(3), D(90))), opened_at=opened_at,
            )  # fmt: skip
    for _ in range(chance.randint(0, 12)):
        signed_at = now - timedelta(seconds=chance.choice((5, 55, 65)))
        facts: dict[str, Any] = {"estimate": {"notional": "12.5", "fee": "0.01"}}
        if chance.random() < 0.3:
            facts["estimate"]["margin"] = "2.5"
        order = OrderFactory(
            connector=connector, instrument=chance.choice(instruments), state=chance.choice(list(OrderState)),
            waits_for_parent=chance.random() < 0.3, intent=chance.choice(("entry", "entry", "exit")),
            side=chance.choice(("buy", "sell")), quantity=D(8), filled_quantity=D(chance.randint(0, 9)),
            notional=chance.choice((None, D(20))), facts=chance.choice((facts, {})), signed_at=signed_at,
            fence_at=signed_at,
        )  # fmt: skip
        for _ in range(chance.randint(0, 2)):
            FillFactory(order=order, filled_at=now - timedelta(hours=chance.randint(0, 9)))
    for kind in LedgerEntry.Kind:
        at = chance.choice((now, now - timedelta(days=2)))
        currency = chance.choice(("USDT", "BTC"))
        LedgerEntryFactory(connector=connector, kind=kind, amount=D(chance.randint(-9, 9)), at=at, currency=currency)


def plainly(connector: Connector, instrument: Instrument) -> dict[str, Any]:
    """Row by row, from everything there is."""
    now, symbol = timezone.now(), instrument.symbol
    held = [p for p in Position.unscoped.select_related("instrument") if p.connector == connector and p.signed_quantity]
    orders = [o for o in Order.unscoped.select_related("instrument") if o.connector_id == connector.pk]
    entries = [o for o in orders if o.intent == "entry"]
    under_way = [o for o in entries if o.state in UNDER_WAY or (o.state == "planned" and not o.waits_for_parent)]
    pending = D(0)
    for order in under_way:
        notional = D(order.facts.get("estimate", {}).get("notional", 0))
        left = order.quantity - order.filled_quantity
        pending += notional * left / order.quantity if 0 < order.filled_quantity <= order.quantity else notional
    taken = D(0)
    for order in under_way:
        if order.state in {"planned", "submitting", "unknown"} and order.instrument.quote == instrument.quote:
            told = order.facts.get("estimate", {})
            estimated = D(told.get("margin", told.get("notional", 0))) + D(told.get("fee", 0))
            taken += estimated if order.notional is None else order.notional
    elsewhere = {o.symbol for o in under_way} | {
        p.symbol
        for p in held
        if abs(p.signed_quantity) >= p.instrument.min_quantity
        and (connector.market == "futures" or p.cost >= p.instrument.min_notional)
    }
    here = [p for p in held if p.symbol == symbol]
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    counted = ("realized_pnl", "fee", "funding", "correction")

    def adds(side: str, sign: int) -> int | None:
        since = [p.opened_at for p in here if p.signed_quantity * sign > 0]
        if len(since) > 1:
            return None  # one of two books: which one is not said
        if not since or since[0] is None:
            return 0
        fills = Fill.unscoped.filter(connector=connector, symbol=symbol, side=side, order__intent="entry")
        filled = {fill.order_id for fill in fills if fill.filled_at >= since[0]}
        waiting = {o.pk for o in under_way if o.symbol == symbol and o.side == side}
        return max(len(filled) - 1, 0) + len(waiting - filled)

    return {
        "orders_last_minute": sum(o.signed_at > now - timedelta(minutes=1) for o in orders),
        "open_notional": sum((p.cost for p in held), pending),
        "open_notional_elsewhere": sum((p.cost for p in held if p.symbol != symbol), pending),
        "oldest_opened_at": min((p.opened_at for p in here if p.opened_at), default=None),
        "open_elsewhere": len(elsewhere - {symbol}),
        "spot_quantity": sum((p.signed_quantity for p in here), D(0)) if instrument.market == "spot" else D(0),
        "adds_long": adds("buy", 1),
        "adds_short": adds("sell", -1),
        "lost_today": -sum(
            (
                row.amount
                for row in LedgerEntry.unscoped.filter(connector=connector)
                if row.kind in counted and row.at >= midnight and row.currency == instrument.quote
            ),
            D(0),
        ),
        "reserved": taken,
    }


def counts_of(connector: Connector, instrument: Instrument) -> Counts:
    """One after the other, so that something can happen in between, as it may when they are asked together."""
    told = [asked.read(run(asked.sql, asked.parameters)) for asked in asked_counts(connector)]
    return counts_from(connector, instrument, told)


@pytest.mark.parametrize("seed", range(6))
def test_the_figures_are_those_of_a_plain_count(seed: int) -> None:
    chance = random.Random(seed)
    market = ("futures", "spot")[seed % 2]
    factory = SpotInstrumentFactory if market == "spot" else InstrumentFactory
    instruments = [factory(symbol=symbol, min_quantity=D(1)) for symbol in SYMBOLS]
    connector, other = ConnectorFactory(market=market), ConnectorFactory(market=market)
    scatter(chance, connector, instruments)
    scatter(chance, other, instruments)

    for instrument in instruments:
        counts, wanted = counts_of(connector, instrument), plainly(connector, instrument)
        assert reserved(connector, instrument.quote) == wanted.pop("reserved")
        for name, value in wanted.items():
            assert (value is None and name.startswith("adds_")) or getattr(counts, name) == value, name
        assert open_elsewhere(connector, instrument.symbol) == wanted["open_elsewhere"]
        assert open_notional(connector) == wanted["open_notional"]
        assert orders_last_minute(connector) == wanted["orders_last_minute"]


@contextmanager
def fills_after_the_first_look(order_id: UUID) -> Iterator[list[str]]:
    """An entry fills once the first of positions and orders was read, before the other one is."""
    read: list[str] = []

    def watch(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        found = execute(sql, params, many, context)
        if not read and ('FROM "trading_position"' in sql or 'FROM "trading_order"' in sql):
            read.append(sql)
            order = Order.unscoped.select_related("connector", "instrument").get(pk=order_id)
            Order.unscoped.filter(pk=order_id).update(state="filled", filled_quantity=order.quantity)
            PositionFactory(connector=order.connector, instrument=order.instrument, cost=D(50))
        return found

    with ExitStack() as stack:
        stack.enter_context(connection.execute_wrapper(watch))
        yield read


@pytest.mark.parametrize("figure", ["counts", "elsewhere", "notional"])
def test_an_entry_that_fills_while_it_is_counted_is_not_lost(figure: str) -> None:
    here, there = InstrumentFactory(), InstrumentFactory(symbol="ETHUSDT", base="ETH")
    connector = ConnectorFactory()
    order = OrderFactory(
        connector=connector, instrument=there, state="accepted", facts={"estimate": {"notional": "50"}}
    )

    with fills_after_the_first_look(order.pk) as read:
        if figure == "counts":
            counts = counts_of(connector, here)
            seen = (counts.open_elsewhere, counts.open_notional >= 50)
        elif figure == "elsewhere":
            seen = (open_elsewhere(connector, here.symbol), True)
        else:
            seen = (1, open_notional(connector) >= 50)

    assert (seen, len(read)) == ((1, True), 1)
