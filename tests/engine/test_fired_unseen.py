"""A stop or profit inside the entry that fires before the exchange ever listed it: found on proof, and on it alone."""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from apps.connectors.bitmart.futures import FuturesExchange
from apps.connectors.exchange import (
    Book,
    Crossing,
    MarginMode,
    OrderReport,
    Side,
    TriggerKind,
    TriggerReport,
    TriggerRequest,
)
from apps.connectors.models import Connector
from apps.trading import firing, protection
from apps.trading.models import (
    AccountWatch,
    Adjustment,
    Fill,
    Incident,
    LedgerEntry,
    Order,
    OrderEvent,
    OrderState,
    Position,
    Protection,
    ProtectionState,
)
from tests.engine.conftest import Bench, bench
from tests.engine.replays import assert_replays
from tests.engine.test_protection import at_exchange, guards
from tests.engine.test_protection import wait as wait_once
from tests.factories import OrderFactory, ago
from tests.matrix.outside import by_hand
from tests.matrix.outside import poll as poll_once
from tests.shared_paper import SharedPaper, hang_up

S, P = OrderState, ProtectionState
LISTED, HISTORY = "/contract/private/current-plan-order", "/contract/private/order-history"
STOP, PROFIT = {"price": 58000}, {"price": 63000}


def wait(bench: Bench, rounds: int = 1) -> None:
    for _ in range(rounds):
        bench.end_windows()
        wait_once(bench)


def poll(bench: Bench, times: int) -> None:
    for _ in range(times):
        bench.end_windows()
        poll_once()


def hide(bench: Bench, route: str = LISTED) -> None:
    """Leave out of a list what is younger than a minute."""
    bench.fault("invisible", route, delay_ms=60_000)


def show(bench: Bench) -> None:
    bench.paper.control("DELETE", "faults")


def set_by_hand(bench: Bench, price: str, size: str, *, reduce_only: bool = True) -> str:
    """Have the owner place an order of his own that waits for a price; return its id."""
    request = TriggerRequest(
        symbol="BTCUSDT",
        side=Side.SELL,
        quantity=Decimal(size),
        trigger_price=Decimal(price),
        crossing=Crossing.FALLS_TO,
        reduce_only=reduce_only,
        book=Book.NET,
        leverage=None if reduce_only else Decimal(1),
        margin_mode=None if reduce_only else MarginMode.ISOLATED,
    )
    exchange = protection.open_connector(bench.connector)
    return exchange.submit_trigger(request, signed_at_ms=int(timezone.now().timestamp() * 1000))


def fired_there(bench: Bench) -> list[tuple[str, str]]:
    """Return the fired orders that the exchange has, by what they are named after and what they traded."""
    rows = bench.paper.orders(bench.account.access_key)
    return [(row["client_order_id"], row["filled_size"]) for row in rows if row["client_order_id"].startswith("PLAN_")]


def ours(bench: Bench) -> list[Order]:
    return [order for order in bench.orders() if order.client_order_id.startswith("PLAN_")]


def presets_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exchange that lists what its owners place and not yet what came with an entry."""
    listed = FuturesExchange.trigger_orders

    def shown(self: FuturesExchange, symbol: str | None = None) -> list[TriggerReport]:
        return [one for one in listed(self, symbol) if one.kind is TriggerKind.PLAN]

    monkeypatch.setattr(FuturesExchange, "trigger_orders", shown)


def take_back_by_hand(bench: Bench, count: int) -> None:
    """Have the owner cancel that many of what waits for its price."""
    show(bench)
    exchange = protection.open_connector(bench.connector)
    for one in list(exchange.trigger_orders("BTCUSDT"))[:count]:
        at_ms = int(timezone.now().timestamp() * 1000)
        exchange.cancel_trigger("BTCUSDT", exchange_order_id=one.exchange_order_id, signed_at_ms=at_ms)
    hide(bench)


def give_up(bench: Bench) -> None:
    wait(bench, protection.MISSING_TIMES + 2)


def as_after_a_trade_by_hand(bench: Bench) -> None:
    """Nothing is taken for ours, now or later, and the position follows."""
    assert ours(bench) == []
    assert (Fill.unscoped.count(), {row.state for row in guards(bench)} & {P.FIRED}) == (1, set())
    poll(bench, 4)
    assert (ours(bench), Fill.unscoped.count(), bench.held()) == ([], 1, 0)
    assert [row.change for row in Adjustment.unscoped.all()] == [-10]
    assert Incident.unscoped.get(kind="position_external").resolved_at is None


def test_stop_that_fires_before_it_is_listed_is_our_order_fill_and_profit(futures: Bench) -> None:
    hide(futures)
    futures.send("buy", "flat", "0.01", stop_loss=STOP, take_profit=PROFIT)
    entry = futures.order()
    assert [(row.state, row.exchange_order_id) for row in guards(futures)] == [(P.WAITING, ""), (P.WAITING, "")]

    futures.paper.set_price("BTCUSDT", "57900")
    wait(futures)

    [(name, _)] = fired_there(futures)
    stop = guards(futures)[0]
    fired = Order.unscoped.get(pk=stop.fired_id)
    assert (stop.state, f"PLAN_{stop.exchange_order_id}", stop.reason) == (P.FIRED, name, "")
    assert (fired.state, fired.client_order_id, fired.parent_id, fired.intent) == (S.FILLED, name, entry.pk, "exit")
    assert (fired.side, fired.filled_quantity, fired.avg_fill_price) == ("sell", 10, 57900)
    assert fired.facts["sentence"] == "The stop loss at 58000 fired"
    position = Position.unscoped.get()
    assert (position.signed_quantity, position.realized_pnl) == (0, Decimal(-21))
    booked = LedgerEntry.unscoped.filter(kind="realized_pnl").values_list("amount", "fill__order_id")
    assert list(booked) == [(Decimal(-21), fired.pk)]
    give_up(futures)
    assert guards(futures)[1].state == P.GONE
    poll(futures, 4)
    assert (Fill.unscoped.count(), Adjustment.unscoped.count(), Incident.unscoped.count()) == (2, 0, 0)


def test_what_it_was_matched_by_stands_in_the_orders_events(futures: Bench) -> None:
    hide(futures)
    futures.send("buy", "flat", "0.01", stop_loss=STOP)
    futures.paper.set_price("BTCUSDT", "57900")

    wait(futures)

    [stop] = guards(futures)
    first = OrderEvent.unscoped.get(order_id=stop.fired_id, version=0)
    made_at = first.evidence.pop("made_at")
    assert first.cause == "fired at the exchange"
    assert first.evidence == {
        "guard": stop.exchange_order_id,
        "matched_by": "the only order that waited for this price on this side: its guard was never listed",
        "trigger_price": "58000",
        "exchange_order_id": stop.fired.exchange_order_id,
        "filled_quantity": "10",
        "missing": "10",
    }
    assert made_at.endswith("+00:00")


def test_profit_that_fires_before_it_is_listed_is_told_from_the_stop_beside_it(futures: Bench) -> None:
    hide(futures)
    futures.send("buy", "flat", "0.01", stop_loss=STOP, take_profit=PROFIT)

    futures.paper.set_price("BTCUSDT", "63100")
    wait(futures)

    stop, profit = guards(futures)
    assert (profit.state, profit.fired.avg_fill_price, stop.fired_id) == (P.FIRED, 63100, None)
    assert (futures.held(), Position.unscoped.get().realized_pnl) == (0, Decimal(31))
    give_up(futures)
    assert [row.state for row in guards(futures)] == [P.GONE, P.FIRED]


def test_stop_of_a_short_on_a_hedge_account_is_found(db: None, paper: SharedPaper, no_waiting: None) -> None:
    hedge = bench(paper, "futures", position_mode="hedge_mode")
    hide(hedge)
    hedge.send("sell", "flat", "0.01", hedgemode="hedge", stop_loss={"price": 62000})

    hedge.paper.set_price("BTCUSDT", "62100")
    wait(hedge)

    [stop] = guards(hedge)
    assert (stop.state, stop.fired.side, stop.fired.book, stop.fired.avg_fill_price) == (P.FIRED, "buy", "short", 62100)
    assert (hedge.held(), Position.unscoped.get().realized_pnl) == (0, Decimal(-21))


def test_firing_that_is_told_late_is_found_before_it_is_taken_for_a_trade_by_hand(futures: Bench) -> None:
    hide(futures)
    futures.send("buy", "flat", "0.01", stop_loss=STOP)
    hide(futures, HISTORY)
    futures.paper.set_price("BTCUSDT", "57900")
    give_up(futures)
    assert ([row.state for row in guards(futures)], futures.held()) == ([P.GONE], 10)
    show(futures)

    poll(futures, 3)

    [stop] = guards(futures)
    assert (stop.state, stop.reason, stop.fired.state, stop.fired.filled_quantity) == (P.FIRED, "", S.FILLED, 10)
    assert (futures.held(), Position.unscoped.get().realized_pnl) == (0, Decimal(-21))
    poll(futures, 4)
    assert (Fill.unscoped.count(), Adjustment.unscoped.count(), Incident.unscoped.count()) == (2, 0, 0)


def test_history_that_cannot_be_read_keeps_everything_as_it_is_and_due(futures: Bench) -> None:
    hide(futures)
    futures.send("buy", "flat", "0.01", stop_loss=STOP)
    futures.paper.set_price("BTCUSDT", "57900")
    futures.fault("status", HISTORY, status=502, times=1000)

    wait(futures, 3)
    poll(futures, 4)

    [stop] = guards(futures)
    assert (stop.state, stop.missing_count, stop.next_at is not None) == (P.WAITING, 0, True)
    assert (futures.held(), Adjustment.unscoped.count()) == (10, 0)
    show(futures)
    hide(futures)
    wait(futures)
    assert (guards(futures)[0].state, futures.held()) == (P.FIRED, 0)


@pytest.fixture
def alone(db: None, tmp_path: Path, settings: Any) -> Iterator[Bench]:
    """An exchange of its own: what accounts of other tests left resting would fill the rest."""
    paper = SharedPaper(tmp_path, faults=True, control_token=secrets.token_hex(16))
    paper.start()
    try:
        paper.prepare()
        settings.PAPER_URL, settings.PAPER_CONTROL_TOKEN = paper.base_url, paper.control_token
        hang_up()
        yield bench(paper, "futures")
        assert_replays()
    finally:
        hang_up()
        paper.stop()


def test_stop_that_fires_in_part_leaves_its_rest_to_be_guarded(alone: Bench) -> None:
    futures = alone
    Connector.unscoped.update(max_order_notional=5000)
    hide(futures)
    futures.send("buy", "flat", "0.08", stop_loss=STOP)
    futures.paper.control("POST", "prices", {"symbol": "BTCUSDT", "price": "57900", "depth": "1"})
    [(name, dealt)] = fired_there(futures)
    assert dealt == "50", "the book was that deep"

    wait(futures)

    base, part = guards(futures)
    assert (base.state, base.exchange_order_id, base.fired_id) == (P.WAITING, "", None)
    assert (part.state, part.replaces_id, part.in_entry) == (P.FIRED, base.pk, True)
    fired = Order.unscoped.get(pk=part.fired_id)
    assert (fired.client_order_id, fired.state, fired.filled_quantity) == (name, S.CANCELED, 50)
    assert futures.held() == 30
    futures.paper.set_price("BTCUSDT", "58500")
    show(futures)
    Protection.unscoped.filter(pk=base.pk).update(proven_by=timezone.now() + timedelta(seconds=4))
    wait(futures, 2)
    assert [(row.state, row.in_entry) for row in guards(futures)] == [(P.LIVE, False), (P.FIRED, True)]
    assert at_exchange(futures) == [("stop_loss", "58000", "all")]
    wait(futures, 3)
    poll(futures, 3)
    assert (len(guards(futures)), futures.held(), Adjustment.unscoped.count()) == (2, 30, 0)


def test_preset_that_fires_unlisted_beside_its_stand_in_is_ours(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protection, "PRESET_SHOWS_WITHIN", timedelta(0))
    hide(futures)
    futures.send("buy", "flat", "0.01", stop_loss=STOP)
    wait(futures)
    [stand_in] = guards(futures)
    assert (stand_in.in_entry, stand_in.exchange_order_id != "") == (False, True)
    monkeypatch.undo()

    futures.paper.set_price("BTCUSDT", "57900")
    give_up(futures)
    poll(futures, 3)

    [(name, _)] = fired_there(futures)
    assert name != f"PLAN_{stand_in.exchange_order_id}", "the preset came first"
    base, fired = guards(futures)
    assert (base.state, base.exchange_order_id) == (P.GONE, stand_in.exchange_order_id)
    assert (fired.state, fired.replaces_id, fired.fired.client_order_id) == (P.FIRED, base.pk, name)
    assert (futures.held(), Position.unscoped.get().realized_pnl, Fill.unscoped.count()) == (0, Decimal(-21), 2)
    poll(futures, 4)
    assert (Adjustment.unscoped.count(), Incident.unscoped.filter(kind="position_external").count()) == (0, 0)


@pytest.mark.parametrize("by_owner", [0, 12])
def test_firing_told_only_after_its_guard_was_taken_for_gone_is_ours(futures: Bench, by_owner: int) -> None:
    """Whichever way the owner's own trades have turned the difference meanwhile."""
    futures.send("buy", "flat", "0.01", stop_loss=STOP)
    wait(futures)
    [stop] = guards(futures)
    assert (stop.state, stop.exchange_order_id != "") == (P.LIVE, True)
    for route in (LISTED, HISTORY, "/contract/private/get-open-orders", "/contract/private/trades"):
        futures.fault("invisible", route, delay_ms=60_000, times=1000)

    futures.paper.set_price("BTCUSDT", "57900")
    give_up(futures)
    assert [row.state for row in guards(futures)] == [P.GONE]
    assert ours(futures) == []
    show(futures)
    futures.paper.set_price("BTCUSDT", "58100")
    if by_owner:
        by_hand(futures, Side.BUY, str(by_owner))
    poll(futures, 3)

    [fired] = ours(futures)
    stop.refresh_from_db()
    assert (stop.state, stop.fired_id, stop.reason) == (P.FIRED, fired.pk, "")
    assert (fired.state, fired.client_order_id) == (S.FILLED, f"PLAN_{stop.exchange_order_id}")
    assert (Fill.unscoped.filter(order=fired).count(), futures.held()) == (1, 0)
    assert Adjustment.unscoped.count() == 0
    poll(futures, 4)
    assert [row.change for row in Adjustment.unscoped.all()] == ([by_owner] if by_owner else [])


def test_firing_told_only_after_the_position_was_taken_over_is_still_ours(futures: Bench) -> None:
    """Both say flat by then: nothing but the name of what fired tells."""
    futures.send("buy", "flat", "0.01", stop_loss=STOP)
    wait(futures)
    for route in (LISTED, HISTORY, "/contract/private/get-open-orders", "/contract/private/trades"):
        futures.fault("invisible", route, delay_ms=60_000, times=1000)
    futures.paper.set_price("BTCUSDT", "57900")
    give_up(futures)
    poll(futures, 4)
    assert ([row.change for row in Adjustment.unscoped.all()], futures.held(), ours(futures)) == ([-10], 0, [])
    show(futures)
    poll(futures, 4)
    assert ours(futures) == [], "it is not looked for at every reading"

    AccountWatch.unscoped.update(swept_at=ago(minutes=6))
    poll(futures, 1)

    [fired], [stop] = ours(futures), guards(futures)
    assert (stop.state, stop.fired_id, fired.client_order_id) == (P.FIRED, fired.pk, f"PLAN_{stop.exchange_order_id}")
    assert Fill.unscoped.filter(order=fired).count() == 1
    poll(futures, 4)
    assert ([row.change for row in Adjustment.unscoped.all()], futures.held()) == ([-10, 10], 0)


def test_position_that_the_owner_closes_by_hand_fired_nothing(futures: Bench) -> None:
    hide(futures)
    futures.send("buy", "flat", "0.01", stop_loss=STOP)

    by_hand(futures, Side.SELL, "10", reduce_only=True)
    give_up(futures)

    assert [(row.state, row.reason) for row in guards(futures)] == [(P.GONE, "The position is closed.")]
    as_after_a_trade_by_hand(futures)


def test_order_of_the_owner_at_another_price_is_his(futures: Bench) -> None:
    hide(futures)
    futures.send("buy", "flat", "0.01", stop_loss=STOP)
    set_by_hand(futures, "59000", "10")

    futures.paper.set_price("BTCUSDT", "58900")
    give_up(futures)

    assert len(fired_there(futures)) == 1
    as_after_a_trade_by_hand(futures)


def test_two_orders_at_the_price_of_one_guard_prove_nothing(futures: Bench) -> None:
    set_by_hand(futures, "58000", "3")
    hide(futures)
    futures.send("buy", "flat", "0.01", stop_loss=STOP)

    futures.paper.set_price("BTCUSDT", "57900")
    give_up(futures)

    assert [size for _, size in fired_there(futures)] == ["3", "7"]
    as_after_a_trade_by_hand(futures)


def test_order_that_was_seen_waiting_at_the_price_of_a_guard_is_the_owners(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = set_by_hand(futures, "58000", "10")
    presets_hidden(monkeypatch)
    futures.send("buy", "flat", "0.01", stop_loss=STOP)

    futures.paper.set_price("BTCUSDT", "57900")
    give_up(futures)

    assert fired_there(futures) == [(f"PLAN_{theirs}", "10")]
    as_after_a_trade_by_hand(futures)


def test_guard_is_told_from_an_order_of_the_owner_that_was_seen_waiting_at_its_price(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = set_by_hand(futures, "58000", "3")
    presets_hidden(monkeypatch)
    futures.send("buy", "flat", "0.01", stop_loss=STOP)

    futures.paper.set_price("BTCUSDT", "57900")
    wait(futures)

    [stop] = guards(futures)
    assert [name for name, _ in fired_there(futures)] == [f"PLAN_{theirs}", f"PLAN_{stop.exchange_order_id}"]
    assert (stop.state, stop.fired.filled_quantity, futures.held()) == (P.FIRED, 7, 3)
    poll(futures, 4)
    assert (futures.held(), [row.change for row in Adjustment.unscoped.all()]) == (0, [-3])


def test_order_of_the_owner_that_was_made_to_open_is_no_guard(futures: Bench) -> None:
    set_by_hand(futures, "58000", "10", reduce_only=False)
    hide(futures)
    futures.send("buy", "flat", "0.01", stop_loss=STOP)

    futures.paper.set_price("BTCUSDT", "57900")
    give_up(futures)

    assert [size for _, size in fired_there(futures)] == ["10"]
    as_after_a_trade_by_hand(futures)


def test_order_that_closed_more_than_the_entry_opened_is_the_owners(futures: Bench) -> None:
    by_hand(futures, Side.BUY, "10")
    set_by_hand(futures, "58000", "20")
    hide(futures)
    futures.send("buy", "long", "0.01", stop_loss=STOP)

    futures.paper.set_price("BTCUSDT", "57900")
    give_up(futures)

    assert [size for _, size in fired_there(futures)] == ["20"]
    as_after_a_trade_by_hand(futures)


def test_order_that_closed_more_than_is_missing_is_the_owners(futures: Bench) -> None:
    set_by_hand(futures, "58000", "10")
    hide(futures)
    futures.send("buy", "flat", "0.01", stop_loss=STOP)
    by_hand(futures, Side.BUY, "5")
    take_back_by_hand(futures, 1)

    futures.paper.set_price("BTCUSDT", "57900")
    wait(futures, 3)

    assert [size for _, size in fired_there(futures)] == ["10"]
    assert (ours(futures), Fill.unscoped.count()) == ([], 1)


def test_order_that_was_to_close_more_than_the_entry_opened_is_the_owners(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = FuturesExchange.order_history

    def larger(self: FuturesExchange, symbol: str, **times: Any) -> list[OrderReport]:
        return [replace(one, quantity=Decimal(11)) for one in history(self, symbol, **times)]

    monkeypatch.setattr(FuturesExchange, "order_history", larger)
    hide(futures)
    futures.send("buy", "flat", "0.01", stop_loss=STOP)

    futures.paper.set_price("BTCUSDT", "57900")
    give_up(futures)

    as_after_a_trade_by_hand(futures)


def test_order_that_fired_before_the_entry_opened_anything_is_the_owners(futures: Bench) -> None:
    by_hand(futures, Side.BUY, "10")
    set_by_hand(futures, "58000", "10")
    futures.paper.set_price("BTCUSDT", "57900")
    futures.paper.set_price("BTCUSDT", "60000")
    hide(futures)
    futures.send("buy", "flat", "0.01", stop_loss=STOP)

    by_hand(futures, Side.SELL, "10", reduce_only=True, name="hand2")
    give_up(futures)

    assert [size for _, size in fired_there(futures)] == ["10"]
    as_after_a_trade_by_hand(futures)


def test_order_made_long_after_the_guard_was_gone_is_the_owners(futures: Bench) -> None:
    hide(futures)
    futures.send("buy", "flat", "0.01", stop_loss=STOP)
    by_hand(futures, Side.SELL, "10", reduce_only=True)
    give_up(futures)
    Protection.unscoped.update(finished_at=ago(minutes=2))

    by_hand(futures, Side.BUY, "10", name="hand2")
    set_by_hand(futures, "58000", "10")
    futures.paper.set_price("BTCUSDT", "57900")

    assert [size for _, size in fired_there(futures)] == ["10"]
    as_after_a_trade_by_hand(futures)


def test_order_made_when_the_preset_would_have_been_listed_long_ago_is_the_owners(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as early:
        early.setattr(protection, "PRESET_SHOWS_WITHIN", timedelta(0))
        hide(futures)
        futures.send("buy", "flat", "0.01", stop_loss=STOP)
        wait(futures)
    take_back_by_hand(futures, 2)
    Protection.unscoped.update(fence_at=ago(seconds=1))

    set_by_hand(futures, "58000", "10")
    futures.paper.set_price("BTCUSDT", "57900")
    give_up(futures)

    assert [size for _, size in fired_there(futures)] == ["10"]
    as_after_a_trade_by_hand(futures)


def test_order_of_the_owner_in_the_place_of_a_guard_that_was_listed_is_his(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01", stop_loss=STOP)
    assert [row.state for row in guards(futures)] == [P.LIVE]
    take_back_by_hand(futures, 1)
    set_by_hand(futures, "58000", "10")

    futures.paper.set_price("BTCUSDT", "57900")
    give_up(futures)

    assert [size for _, size in fired_there(futures)] == ["10"]
    as_after_a_trade_by_hand(futures)


def test_one_order_that_two_guards_may_have_fired_is_that_of_the_newer_entry(futures: Bench) -> None:
    """One of the two was not there any more, and nobody can tell which: what is left open is guarded anew."""
    hide(futures)
    futures.send("buy", "flat", "0.01", stop_loss=STOP)
    futures.send("buy", "long", "0.01", stop_loss=STOP)
    take_back_by_hand(futures, 1)

    futures.paper.set_price("BTCUSDT", "57900")
    wait(futures, 3)

    assert [size for _, size in fired_there(futures)] == ["10"]
    assert [order.filled_quantity for order in ours(futures)] == [10]
    older, newer = (order.pk for order in futures.orders() if order.intent == "entry")
    assert {row.entry_id: row.state for row in guards(futures)} == {older: P.WAITING, newer: P.FIRED}
    assert futures.held() == 10

    show(futures)
    futures.paper.set_price("BTCUSDT", "60000")
    Protection.unscoped.filter(state=P.WAITING).update(proven_by=ago(minutes=10))
    wait(futures, 2)
    assert at_exchange(futures) == [("stop_loss", "58000", "all")]
    assert (futures.held(), Adjustment.unscoped.count()) == (10, 0)


def test_two_guards_of_one_price_that_fire_together_are_both_ours(futures: Bench) -> None:
    hide(futures)
    futures.send("buy", "flat", "0.01", stop_loss=STOP)
    futures.send("buy", "long", "0.004", stop_loss=STOP)

    futures.paper.set_price("BTCUSDT", "57900")
    wait(futures, 4)

    assert sorted(size for _, size in fired_there(futures)) == ["10", "4"]
    assert sorted(order.filled_quantity for order in ours(futures)) == [4, 10]
    assert {row.state for row in guards(futures)} == {P.FIRED}
    assert (futures.held(), Fill.unscoped.count(), Adjustment.unscoped.count()) == (0, 4, 0)


def two_that_fired_on_both_sides(bench: Bench, *, by_owner: int = 0) -> None:
    """A long entry's stop and the stop of the short one after it, neither told of until both were taken for gone."""
    hide(bench)
    bench.send("buy", "flat", "0.003", stop_loss=STOP)
    hide(bench, HISTORY)
    bench.paper.set_price("BTCUSDT", "57900")
    bench.send("sell", "flat", "0.004", stop_loss={"price": 60500})
    bench.paper.set_price("BTCUSDT", "60600")
    give_up(bench)
    assert [size for _, size in fired_there(bench)] == ["3", "4"]
    assert ([row.state for row in guards(bench)], bench.held()) == ([P.GONE, P.GONE], -1)
    if by_owner:
        by_hand(bench, Side.BUY, str(by_owner))
    show(bench)


def test_guards_of_both_sides_that_fired_unseen_are_ours_where_they_explain_the_difference(futures: Bench) -> None:
    two_that_fired_on_both_sides(futures)

    poll(futures, 3)

    assert {(order.side, order.filled_quantity) for order in ours(futures)} == {("sell", 3), ("buy", 4)}
    assert {row.state for row in guards(futures)} == {P.FIRED}
    assert (futures.held(), Fill.unscoped.count()) == (0, 4)
    poll(futures, 4)
    assert (Adjustment.unscoped.count(), Incident.unscoped.filter(kind="position_external").count()) == (0, 0)


def test_guards_of_both_sides_prove_nothing_where_the_difference_is_another(futures: Bench) -> None:
    """One side alone is still held against what the exchange holds less than our fills say."""
    two_that_fired_on_both_sides(futures, by_owner=1)

    poll(futures, 4)

    assert (ours(futures), Fill.unscoped.count(), futures.held()) == ([], 2, 1)
    assert [row.change for row in Adjustment.unscoped.all()] == [2]


def test_three_orders_at_the_price_of_two_guards_prove_nothing(futures: Bench) -> None:
    hide(futures)
    futures.send("buy", "flat", "0.01", stop_loss=STOP)
    set_by_hand(futures, "58000", "3")
    futures.send("buy", "long", "0.01", stop_loss=STOP)

    futures.paper.set_price("BTCUSDT", "57900")
    wait(futures, 4)

    assert len(fired_there(futures)) == 3
    assert (ours(futures), {row.state for row in guards(futures)} & {P.FIRED}) == ([], set())


def test_firing_that_is_on_record_elsewhere_is_not_recorded_again(futures: Bench) -> None:
    """Two connectors of one account see the same orders."""
    hide(futures)
    futures.send("buy", "flat", "0.01", stop_loss=STOP)
    futures.paper.set_price("BTCUSDT", "57900")
    [(name, _)] = fired_there(futures)
    OrderFactory(client_order_id=name)

    give_up(futures)

    as_after_a_trade_by_hand(futures)


def test_firing_that_two_processes_find_is_recorded_once(futures: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    hide(futures)
    futures.send("buy", "flat", "0.01", stop_loss=STOP)
    futures.paper.set_price("BTCUSDT", "57900")
    fired_by, found = firing._fired_by, []

    def overtaken(*asked: Any) -> OrderReport | None:
        report = fired_by(*asked)
        if not found:
            found.append(report)
            wait(futures)
        return report

    monkeypatch.setattr(firing, "_fired_by", overtaken)
    firing.has_fired_unseen(guards(futures)[0], protection.open_connector(futures.connector), missing=Decimal(10))

    assert (len(guards(futures)), len(ours(futures)), Fill.unscoped.count(), futures.held()) == (1, 1, 2, 0)
