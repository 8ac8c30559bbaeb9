"""Orders at the exchange that carry one of our names and that nobody here remembers."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import uuid4, uuid5

import pytest
from django.utils import timezone

from apps.connectors.exchange import (
    MarginMode,
    OrderRejectedError,
    OrderReport,
    OrderRequest,
    OrderStatus,
    OrderType,
    RejectReason,
    Side,
)
from apps.connectors.models import Connector
from apps.connectors.opening import open_connector
from apps.lib import world
from apps.trading import cancelling, orphans, reconcile
from apps.trading.ids import client_order_id
from apps.trading.models import AccountWatch, Incident, Order, OrderState, Position
from tests.engine.conftest import Bench, forget_limits
from tests.factories import ConnectorFactory, ago
from tests.matrix.outside import by_hand, poll

pytestmark = pytest.mark.django_db


def named_like_ours(leg: str = "o") -> tuple[str, str]:
    named = uuid5(uuid4(), "lost")
    return str(named), client_order_id(named, leg=leg)


def rest_unremembered(bench: Bench) -> str:
    """Have an order of ours wait at the exchange that no row speaks of; return the id that its name stands for."""
    pk, name = named_like_ours()
    is_futures = bench.connector.market == "futures"
    open_connector(bench.connector).submit(
        OrderRequest(
            client_order_id=name,
            symbol="BTCUSDT" if is_futures else "BTC_USDT",
            side=Side.BUY,
            order_type=OrderType.LIMIT,
            price=Decimal(50000),
            quantity=Decimal(5) if is_futures else Decimal("0.005"),
            leverage=Decimal(1) if is_futures else None,
            margin_mode=MarginMode.ISOLATED if is_futures else None,
        ),
        signed_at_ms=int(timezone.now().timestamp() * 1000),
    )
    return pk


@pytest.mark.parametrize("market", ["futures", "spot"])
def test_order_of_ours_without_a_row_is_adopted_followed_and_blocks_entries(
    request: pytest.FixtureRequest, market: str
) -> None:
    bench: Bench = request.getfixturevalue(market)
    pk, name = named_like_ours()
    bench.send("buy", "flat", "0.01")
    before = bench.held()
    by_hand(bench, Side.BUY, "5" if market == "futures" else "0.005", name=name)

    poll()

    orphan = Order.unscoped.get(pk=pk)
    assert (orphan.client_order_id, orphan.intent, orphan.state) == (name, "entry", OrderState.ACCEPTED)
    incident = Incident.unscoped.get()
    assert (incident.kind, incident.order_id) == ("orphan_order", orphan.pk)
    bench.wait()
    orphan.refresh_from_db()
    assert (orphan.state, orphan.order_type) == (OrderState.FILLED, "market")
    assert bench.held() > before
    sent = len(bench.book())
    assert bench.status(bench.send("buy", "long", "0.01"))[1] == "INCIDENT_OPEN"
    assert len(bench.book()) == sent
    assert bench.status(bench.send("sell", "long", "0.015")) == ("executed", "")
    AccountWatch.unscoped.update(swept_at=ago(minutes=6))
    poll(2)
    assert Order.unscoped.filter(client_order_id=name).count() == 1
    assert Incident.unscoped.count() == 1


@pytest.mark.parametrize("market", ["futures", "spot"])
def test_order_of_ours_without_a_row_that_rests_holds_up_no_exit(request: pytest.FixtureRequest, market: str) -> None:
    bench: Bench = request.getfixturevalue(market)
    bench.send("buy", "flat", "0.01")
    pk = rest_unremembered(bench)
    poll()
    orphan = Order.unscoped.get(pk=pk)
    assert (orphan.state, orphan.price) == (OrderState.ACCEPTED, None)
    assert Incident.unscoped.get().kind == "orphan_order"

    leaving = bench.send("sell", "long", "0.01")
    bench.wait(3)

    assert bench.status(leaving) == ("executed", "")
    assert bench.held() == 0
    # It would open again what the exit closed: it is taken back, and the exit did not wait for that.
    orphan.refresh_from_db()
    assert (orphan.state, orphan.order_type) == (OrderState.CANCELED, "limit")


@pytest.mark.parametrize("market", ["futures", "spot"])
def test_market_order_of_ours_without_a_row_that_is_not_filled_yet_is_waited_for(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, market: str
) -> None:
    bench: Bench = request.getfixturevalue(market)
    bench.send("buy", "flat", "0.01")
    pk, name = named_like_ours()
    by_hand(bench, Side.BUY, "5" if market == "futures" else "0.005", name=name)
    venue = type(open_connector(bench.connector))

    def unfilled(report: OrderReport) -> OrderReport:
        if report.client_order_id != name:
            return report
        return replace(report, status=OrderStatus.ACCEPTED, filled_quantity=Decimal(0))

    with monkeypatch.context() as patched:
        history, find = venue.order_history, venue.find_order
        patched.setattr(venue, "order_history", lambda *of, **span: [unfilled(one) for one in history(*of, **span)])
        patched.setattr(venue, "find_order", lambda *of, **which: unfilled(find(*of, **which)))
        poll()
        orphan = Order.unscoped.get(pk=pk)
        assert (orphan.state, orphan.order_type, orphan.is_resting) == (OrderState.ACCEPTED, "market", False)
        leaving = bench.send("sell", "long", "0.015")
        assert (leaving.status, leaving.order_id) == ("queued", None)
        forget_limits()
    bench.wait(2)

    assert bench.status(leaving) == ("executed", "")
    orphan.refresh_from_db()
    assert (orphan.state, abs(bench.held()) < Decimal("0.0001")) == (OrderState.FILLED, True)


def test_position_is_compared_beside_an_order_of_ours_without_a_row_that_rests(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "IN_A_ROW_WHILE_RESTING", 4)
    futures.send("buy", "flat", "0.01")
    rest_unremembered(futures)
    poll()
    by_hand(futures, Side.SELL, "4", reduce_only=True)

    poll(reconcile.IN_A_ROW_WHILE_RESTING - 1)
    assert futures.held() == 10
    poll()

    assert futures.held() == 6


@pytest.mark.parametrize("ends", ["filled", "canceled"])
def test_order_of_ours_without_a_row_that_rests_is_followed_to_its_end(futures: Bench, ends: str) -> None:
    futures.send("buy", "flat", "0.01")
    pk = rest_unremembered(futures)
    poll()
    orphan = Order.unscoped.get(pk=pk)

    if ends == "filled":
        futures.paper.set_price("BTCUSDT", "49990")
    else:
        cancelling.request(orphan, by="owner")
    futures.wait(2)

    orphan.refresh_from_db()
    assert (orphan.state, futures.held()) == (ends, 15 if ends == "filled" else 10)
    assert bool(orphan.filled_quantity) is (ends == "filled")
    poll()
    assert Position.unscoped.get().exchange_quantity == futures.held()


def test_orders_of_others_and_of_ours_on_record_are_no_orphans(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    by_hand(futures, Side.BUY, "1", name="somebody1")
    by_hand(futures, Side.BUY, "1", name=client_order_id(uuid4(), leg="o"))

    poll()

    assert Order.unscoped.count() == 1
    assert AccountWatch.unscoped.get().swept_at is not None
    assert Incident.unscoped.count() == 0


def test_orders_are_compared_every_five_minutes(futures: Bench) -> None:
    poll()
    _, name = named_like_ours()
    futures.send("buy", "flat", "0.01")
    by_hand(futures, Side.BUY, "5", name=name)

    poll()
    assert Incident.unscoped.count() == 0
    AccountWatch.unscoped.update(swept_at=ago(minutes=5, seconds=1))
    poll()

    assert Incident.unscoped.get().kind == "orphan_order"


class Asked:
    """An exchange without orders that remembers since when it was asked for those of a symbol, and refuses some."""

    def __init__(self, refused: Collection[str] = ()) -> None:
        self.refused = refused
        self.since: dict[str, list[datetime]] = {}

    def open_orders(self) -> list[OrderReport]:
        return []

    def order_history(self, symbol: str, *, since: datetime) -> list[OrderReport]:
        self.since.setdefault(symbol, []).append(since)
        if symbol in self.refused:
            raise OrderRejectedError("Not by API at the moment.", reason=RejectReason.SYMBOL_NOT_TRADING)
        return []


def of_last_week() -> Connector:
    connector: Connector = ConnectorFactory()
    connector.created_at = ago(days=9)
    return connector


def swept(connector: Connector, watch: AccountWatch, symbols: set[str], *, refused: Collection[str] = ()) -> Asked:
    exchange = Asked(refused)
    orphans.sweep_account(connector, watch, exchange, symbols=symbols)  # type: ignore[arg-type]
    return exchange


def test_each_of_many_symbols_has_its_turn_and_no_moment_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    connector, watch = of_last_week(), AccountWatch()
    symbols = {f"S{number:03}USDT" for number in range(120)}
    begun, found = timezone.now(), dict[str, list[datetime]]()

    for number in range(3):
        monkeypatch.setattr(world, "now", lambda number=number: begun + number * orphans.EVERY)
        told = swept(connector, watch, symbols).since
        assert len(told) == orphans.MOST_SYMBOLS
        for symbol, since in told.items():
            found.setdefault(symbol, []).extend(since)

    assert found.keys() == symbols
    latest = begun + 2 * orphans.EVERY - orphans.FIRST_LOOK - orphans.OVERLAP
    assert max(max(since) for since in found.values()) == latest


def test_few_symbols_are_asked_for_from_the_last_time_on() -> None:
    connector, at = of_last_week(), ago(minutes=6)

    told = swept(connector, AccountWatch(swept_at=at), {"BTCUSDT"}).since

    assert told == {"BTCUSDT": [at - orphans.OVERLAP]}


def test_symbol_whose_orders_stay_refused_is_asked_for_since_they_were_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connector, at = of_last_week(), timezone.now()
    watch, symbols = AccountWatch(swept_at=at - orphans.EVERY), {"BTCUSDT", "ETHUSDT"}
    moments, told = [at + timedelta(seconds=30 * number) for number in range(12)], []
    for moment in moments:
        monkeypatch.setattr(world, "now", lambda moment=moment: moment)
        assert orphans.is_due(watch)
        told.append(swept(connector, watch, symbols, refused={"ETHUSDT"}).since)

    before = at - orphans.EVERY - orphans.OVERLAP
    assert [one["ETHUSDT"] for one in told] == [[before]] * 12
    # The others every five minutes, as before.
    assert {moment: one["BTCUSDT"] for moment, one in zip(moments, told, strict=True) if "BTCUSDT" in one} == {
        moments[0]: [before],
        moments[10]: [at - orphans.OVERLAP],
    }
    swept(connector, watch, symbols)
    assert (watch.refused_symbols, watch.swept_at, orphans.is_due(watch)) == ({}, moments[10], False)


def test_symbol_whose_orders_stay_refused_and_that_nobody_trades_any_more_is_let_be() -> None:
    connector, watch = of_last_week(), AccountWatch()
    swept(connector, watch, {"BTCUSDT", "ETHUSDT"}, refused={"ETHUSDT"})
    watch.swept_at = ago(minutes=6)

    told = swept(connector, watch, {"BTCUSDT"}, refused={"ETHUSDT"}).since

    assert (list(told), watch.refused_symbols) == (["BTCUSDT"], {})


def test_orders_are_compared_also_after_our_clock_was_turned_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last time lies ahead: nobody knows how long ago it was, so the whole day is asked for."""
    connector, watch = of_last_week(), AccountWatch(swept_at=ago(hours=-1))
    now = timezone.now()
    monkeypatch.setattr(world, "now", lambda: now)

    assert orphans.is_due(watch)
    assert swept(connector, watch, {"BTCUSDT"}).since == {"BTCUSDT": [now - orphans.FIRST_LOOK - orphans.OVERLAP]}
    assert watch.swept_at == now


def test_fills_that_a_finished_order_lacks_are_fetched(futures: Bench) -> None:
    futures.fault("drop_answer")
    futures.send("buy", "flat", "0.01")
    Order.unscoped.update(state="canceled", next_at=None, finished_at=ago(minutes=1))

    poll()

    order = futures.order()
    assert (order.state, order.filled_quantity, order.attempt) == (OrderState.FILLED, 10, 1)
    assert futures.held() == 10
    assert Incident.unscoped.count() == 0
