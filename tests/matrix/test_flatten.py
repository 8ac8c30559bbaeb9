"""Close everything: entries off, our orders back, every position closed once, and a report that says what was not."""

import time
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import AuditEvent, Workspace
from apps.alerts import execution
from apps.connectors import instruments
from apps.connectors.bitmart.futures import FuturesExchange
from apps.connectors.bitmart.spot import SpotExchange
from apps.connectors.exchange import (
    Book,
    MarginMode,
    OrderReport,
    OrderRequest,
    OrderStatus,
    OrderType,
    Side,
    UnreachableError,
)
from apps.connectors.models import Connector, Pointer
from apps.connectors.models import Instrument as InstrumentRow
from apps.connectors.opening import open_connector
from apps.trading import flatten, leases
from apps.trading.denials import Denial, DenialCode
from apps.trading.models import Fill, Flatten, Incident, Lease, Order, OrderState
from apps.trading.sweeper import sweep
from tests.engine.conftest import Bench, bench, forget_limits
from tests.factories import ConnectorFactory, InstrumentFactory, PositionFactory, ago
from tests.matrix.outside import by_hand
from tests.people import Member, member
from tests.shared_paper import SharedPaper

S = OrderState
DENIED = Denial(DenialCode.STAFF_HALTED, {"reason": "we look into it"})
SUBMIT = "/contract/private/submit-order"


def owner_of(bench: Bench) -> Member:
    return member(workspace=bench.connector.workspace)


def ask(bench: Bench) -> Flatten:
    answer = owner_of(bench).client.post(reverse("trading:close_everything"))
    asked: Flatten = Flatten.unscoped.get()
    assert answer["Location"] == reverse("trading:flatten", args=[asked.pk])
    return asked


def run(asked: Flatten, rounds: int = 10) -> Flatten:
    """Let the workers' code run until the report is complete, each step as soon as it is due."""
    for _ in range(rounds):
        forget_limits()
        Flatten.unscoped.filter(finished_at=None).update(next_at=timezone.now())
        flatten.run_due()
        Order.unscoped.filter(next_at__isnull=False).update(next_at=timezone.now())
        sweep()
        asked.refresh_from_db()
        if asked.finished_at:
            break
    return asked


def test_a_page_writes_the_request_and_turns_entries_off_and_sends_nothing(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")

    asked = ask(futures)

    assert len(futures.book()) == 1
    assert Workspace.objects.get(pk=asked.workspace_id).trading_state == "reduce_only"
    assert AuditEvent.unscoped.get(action="workspace.flatten").object_id == asked.pk
    assert futures.status(futures.send("buy", "long", "0.01"))[1] == "WORKSPACE_REDUCE_ONLY"
    assert len(futures.book()) == 1


def test_position_is_closed_reduce_only_once_and_our_resting_order_is_taken_back(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    resting = futures.send("buy", "long", "0.005", order_type="limit", limit_price="50000")
    assert resting.order is not None, resting.reason
    asked = run(ask(futures))

    [row] = asked.rows
    assert (row["symbol"], row["found"], row["state"]) == ("BTCUSDT", "long 10 contracts", "closed")
    closing = Order.unscoped.get(intent="exit")
    assert (closing.state, closing.quantity, closing.side, closing.reduce_only) == (S.FILLED, 10, "sell", True)
    resting.order.refresh_from_db()
    assert resting.order.state == S.CANCELED
    assert futures.held() == 0
    page = owner_of(futures).client.get(reverse("trading:flatten", args=[asked.pk])).content.decode()
    assert "1 position closed" in page


def test_twenty_positions_are_closed_within_ten_seconds(futures: Bench) -> None:
    instruments.sync("paper", "futures")
    exchange = open_connector(futures.connector)
    listed = [row.symbol for row in exchange.instruments() if row.is_trading][:20]
    for number, symbol in enumerate(listed):
        exchange.submit(
            OrderRequest(
                client_order_id=f"hand{number}", symbol=symbol, side=[Side.BUY, Side.SELL][number % 2],
                order_type=OrderType.MARKET, quantity=Decimal(1), leverage=Decimal(1), margin_mode=MarginMode.ISOLATED,
            ),
            signed_at_ms=int(timezone.now().timestamp() * 1000),
        )  # fmt: skip
        time.sleep(0.1)
    held = [report for report in exchange.positions() if report.signed_quantity]
    assert len(held) == len(listed) == 20
    time.sleep(2)

    started = time.monotonic()
    asked = ask(futures)
    while asked.finished_at is None and time.monotonic() - started < 30:
        flatten.run_due()
        time.sleep(0.1)
        asked.refresh_from_db()
    took = time.monotonic() - started

    assert [row["state"] for row in asked.rows] == ["closed"] * 20
    assert [report for report in exchange.positions() if report.signed_quantity] == []
    assert len(futures.book()) == 40
    assert took < 10, took


def test_a_worker_that_dies_on_the_way_leaves_no_second_closing_order(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    futures.send("buy", "flat", "0.01")
    asked = ask(futures)
    send = flatten.send

    def dies(order: Order) -> None:
        send(order)
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(flatten, "send", dies)
        with pytest.raises(KeyboardInterrupt):
            flatten.run_due()
    asked.refresh_from_db()
    assert (asked.report, asked.finished_at) == ({}, None)

    asked = run(asked)

    assert [size for _, size in futures.book()] == ["10", "10"]
    assert futures.held() == 0
    assert asked.finished_at is not None


def test_a_worker_that_was_slow_for_longer_than_its_claim_writes_nothing_over_the_report(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    futures.send("buy", "flat", "0.01")
    asked = ask(futures)
    held = flatten._held

    def slow(*more: Any) -> Any:
        """Read, and meanwhile another worker carries it through to its end."""
        found = held(*more)
        monkeypatch.setattr(flatten, "_held", held)
        run(asked, rounds=4)
        return found

    monkeypatch.setattr(flatten, "_held", slow)
    flatten.run_due()

    before = dict(asked.report), asked.finished_at
    assert asked.finished_at is not None
    assert [row["state"] for row in asked.rows] == ["closed"]
    asked.refresh_from_db()
    assert (asked.report, asked.finished_at) == before
    assert not Incident.unscoped.exists()
    assert futures.held() == 0


def test_position_above_the_largest_order_is_closed_by_several(futures: Bench) -> None:
    futures.send("sell", "flat", "0.01")
    InstrumentRow.objects.update(max_quantity=4, min_quantity=3)

    asked = run(ask(futures))

    assert [row["state"] for row in asked.rows] == ["closed"]
    closing = Order.unscoped.filter(intent="exit").order_by("created_at")
    assert [(order.side, order.quantity, order.state) for order in closing] == [
        ("buy", 4, S.FILLED), ("buy", 3, S.FILLED), ("buy", 3, S.FILLED),
    ]  # fmt: skip
    assert futures.held() == 0


def test_on_spot_too_and_no_more_than_is_ours(spot: Bench) -> None:
    spot.paper.control("POST", f"accounts/{spot.account.access_key}", {"balances": {"spot": {"BTC": "3"}}})
    spot.send("buy", "flat", "0.01")
    InstrumentRow.objects.update(max_quantity=Decimal("0.004"))

    asked = run(ask(spot))

    assert [row["state"] for row in asked.rows] == ["closed"]
    sold = Order.unscoped.filter(intent="exit").order_by("created_at").values_list("filled_quantity", flat=True)
    assert list(sold) == [Decimal("0.004"), Decimal("0.004"), Decimal("0.002")]
    left = {balance.currency: balance.total for balance in open_connector(spot.connector).balances()}
    assert left["BTC"] == Decimal(3)


def test_a_worker_that_dies_between_two_parts_leaves_a_rest_that_is_closed(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    futures.send("buy", "flat", "0.01")
    InstrumentRow.objects.update(max_quantity=4)
    asked = ask(futures)
    monkeypatch.setattr(flatten, "AGAIN", timedelta(0))
    close, made = flatten.close, []

    def dies(*more: Any, **named: Any) -> Order:
        if len(made) == 1:
            raise KeyboardInterrupt
        made.append(close(*more, **named))
        return made[-1]

    with monkeypatch.context() as broken:
        broken.setattr(flatten, "close", dies)
        with pytest.raises(KeyboardInterrupt):
            flatten.run_due()

    asked = run(asked)

    assert [row["state"] for row in asked.rows] == ["closed"]
    assert [size for _, size in futures.book()] == ["10", "4", "4", "2"]
    assert futures.held() == 0


def test_rest_that_all_rounds_leave_is_told(futures: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    futures.send("buy", "flat", "0.01")
    InstrumentRow.objects.update(max_quantity=2)
    monkeypatch.setattr(flatten, "MOST_PARTS", 1)
    monkeypatch.setattr(flatten, "AGAIN", timedelta(0))

    asked = run(ask(futures))

    [row] = asked.rows
    assert (row["state"], row["why"]) == ("failed", "long 4 contracts are still held after 3 closing orders")
    assert Incident.unscoped.get().what == "Close everything ended with 1 of 1 not closed."
    assert futures.held() == 4


def test_what_cannot_be_closed_is_told_with_its_reason_and_an_incident(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    futures.fault("code", SUBMIT, code=40014, status=400, accepted=False, times=100)

    asked = run(ask(futures))

    [row] = asked.rows
    assert (row["state"], asked.failed_count) == ("failed", 1)
    assert "40014" in row["why"]
    incident = Incident.unscoped.get()
    assert incident.what == "Close everything ended with 1 of 1 not closed."
    assert [size for _, size in futures.book()] == ["10"]
    assert Order.unscoped.filter(intent="exit").count() == flatten.MOST_ROUNDS


def test_of_several_accounts_the_one_is_told_that_is_not_closed(futures: Bench, paper: SharedPaper) -> None:
    other = bench(paper, "futures")
    Connector.unscoped.filter(pk=other.connector.pk).update(workspace=futures.connector.workspace)
    Pointer.unscoped.filter(connector=other.connector).update(workspace=futures.connector.workspace)
    other.send("buy", "flat", "0.01")
    futures.fault("code", SUBMIT, code=40014, status=400, accepted=False, times=100)

    asked = run(ask(futures))

    incident = Incident.unscoped.get()
    assert (incident.connector, incident.facts) == (
        other.connector, {"failed": "1", "found": "1", "report": str(asked.pk)},
    )  # fmt: skip


def test_closing_order_that_the_exchange_put_off_waits_for_its_time(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    futures.fault("code", SUBMIT, code=30019, status=403, accepted=False)
    asked = ask(futures)

    for _ in range(2):
        Flatten.unscoped.update(next_at=timezone.now())
        flatten.run_due()

    closing = Order.unscoped.get(intent="exit")
    assert (closing.state, closing.attempt) == (S.PLANNED, 1)
    assert closing.next_at - timezone.now() > timedelta(seconds=50)
    assert [size for _, size in futures.book()] == ["10"]
    # Positions may be asked for six times in two seconds.
    futures.end_windows()
    asked = run(asked, rounds=5)
    assert [row["state"] for row in asked.rows] == ["closed"]
    assert Order.unscoped.get(intent="exit").attempt == 2
    assert futures.held() == 0


def test_what_the_operators_halted_is_not_closed_behind_their_back(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    Workspace.objects.update(staff_state="halted", staff_reason="court order")

    asked = run(ask(futures))

    [row] = asked.rows
    assert row["state"] == "failed"
    assert row["why"].startswith("Halted by the operators: court order.")
    assert [size for _, size in futures.book()] == ["10"]


def test_on_spot_only_our_own_position_is_sold(spot: Bench) -> None:
    spot.paper.control("POST", f"accounts/{spot.account.access_key}", {"balances": {"spot": {"BTC": "3"}}})
    spot.send("buy", "flat", "0.01")

    asked = run(ask(spot))

    assert [row["state"] for row in asked.rows] == ["closed"]
    closing = Order.unscoped.get(intent="exit")
    assert (closing.state, closing.side, closing.quantity) == (S.FILLED, "sell", Decimal("0.01"))
    left = {balance.currency: balance.total for balance in open_connector(spot.connector).balances()}
    assert left["BTC"] == Decimal(3)


def test_on_spot_what_another_exit_may_have_sold_is_not_sold_again(spot: Bench) -> None:
    """A sale on spot is not reduce-only: the second one would take the owner's own coins."""
    spot.paper.control("POST", f"accounts/{spot.account.access_key}", {"balances": {"spot": {"BTC": "3"}}})
    spot.send("buy", "flat", "0.01")
    spot.fault("drop_answer")
    leaving = spot.send("sell", "long", "0.01")
    assert leaving.order is not None
    assert leaving.order.state == S.UNKNOWN

    asked = ask(spot)
    flatten.run_due()

    assert len(spot.book()) == 2
    asked.refresh_from_db()
    assert [(row["state"], row["why"]) for row in asked.rows] == [("closing", "another exit of it is under way")]
    asked = run(asked)
    assert [(row["state"], row["why"]) for row in asked.rows] == [("closed", "")]
    assert len(spot.book()) == 2
    left = {balance.currency: balance.total for balance in open_connector(spot.connector).balances()}
    assert left["BTC"] == Decimal(3)


def test_an_entry_that_fills_after_the_account_was_read_is_closed_too(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    resting = futures.send("buy", "flat", "0.01", order_type="limit", limit_price="50000")
    asked = ask(futures)
    held = flatten._held

    def fills(*more: Any) -> Any:
        found = held(*more)
        monkeypatch.setattr(flatten, "_held", held)
        futures.paper.set_price("BTCUSDT", "49000")
        futures.wait()
        return found

    monkeypatch.setattr(flatten, "_held", fills)
    flatten.run_due()
    assert resting.order is not None
    resting.order.refresh_from_db()
    assert (resting.order.state, futures.held()) == (S.FILLED, 10)

    asked = run(asked)

    assert [(row["found"], row["state"]) for row in asked.rows] == [("long 10 contracts", "closed")]
    assert futures.held() == 0


def test_an_entry_that_was_being_planned_when_entries_went_off_is_closed_too(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Flatten] = []
    prepare = execution.prepare

    def slow(*more: Any, **named: Any) -> Any:
        """Read that entries are on; then they go off, and all that was open is looked for."""
        prepared = prepare(*more, **named)
        asked.append(ask(futures))
        flatten.run_due()
        return prepared

    with monkeypatch.context() as slowly:
        slowly.setattr(execution, "prepare", slow)
        futures.send("buy", "flat", "0.01")
    assert futures.held() == 10

    report = run(asked[0])

    assert [(row["found"], row["state"]) for row in report.rows] == [("long 10 contracts", "closed")]
    assert futures.held() == 0


def test_an_entry_that_is_still_in_doubt_after_a_minute_is_told(futures: Bench) -> None:
    futures.fault("drop_request")
    entry = futures.send("buy", "flat", "0.01")
    assert entry.order is not None
    assert entry.order.state == S.UNKNOWN
    asked = ask(futures)
    flatten.run_due()
    Flatten.unscoped.update(requested_at=ago(seconds=61), next_at=timezone.now())

    flatten.run_due()

    asked.refresh_from_db()
    assert asked.finished_at is not None
    [row] = asked.rows
    why = "the order to buy 10 is unknown: checking and may still open a position"
    assert (row["symbol"], row["state"], row["why"]) == ("BTCUSDT", "failed", why)
    assert Incident.unscoped.get().kind == "flatten_incomplete"


def settle() -> None:
    """Let what was traded so far be older than any reading."""
    Order.unscoped.exclude(finished_at=None).update(finished_at=ago(minutes=1))
    Fill.unscoped.update(recorded_at=ago(minutes=1))


def test_position_that_the_list_leaves_out_by_mistake_is_closed(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    futures.send("buy", "flat", "0.01")
    settle()
    positions = FuturesExchange.positions
    monkeypatch.setattr(
        FuturesExchange, "positions", lambda self, symbol=None: positions(self, symbol) if symbol else []
    )

    asked = run(ask(futures))

    assert [(row["found"], row["state"]) for row in asked.rows] == [("long 10 contracts", "closed")]
    assert [size for _, size in futures.book()] == ["10", "10"]
    assert futures.held() == 0


def test_position_that_the_exchange_does_not_show_yet_is_waited_for(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    futures.send("buy", "flat", "0.01")
    asked = ask(futures)
    with monkeypatch.context() as late:
        late.setattr(FuturesExchange, "positions", lambda self, symbol=None: [])
        flatten.run_due()
    asked.refresh_from_db()
    assert [(row["found"], row["state"]) for row in asked.rows] == [("long 10 contracts", "closing")]

    asked = run(asked)

    assert [(row["state"], row["why"]) for row in asked.rows] == [("closed", "")]
    assert futures.held() == 0


def test_position_in_a_symbol_that_we_have_no_listing_of_is_told(futures: Bench) -> None:
    by_hand(futures, Side.BUY, "4")
    InstrumentRow.objects.update(symbol="OTHERUSDT")

    asked = run(ask(futures))

    [row] = asked.rows
    why = "it is not in the listing that orders are made by: close it at BitMart by hand"
    assert (row["symbol"], row["found"], row["state"], row["why"]) == ("BTCUSDT", "long 4 contracts", "failed", why)
    assert Incident.unscoped.get().kind == "flatten_incomplete"


@pytest.fixture
def fills_told_late(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Orders that traded on spot are told as cancelled with nothing filled, as long as the list is empty."""
    told: list[str] = []
    find = SpotExchange.find_order

    def found(*more: Any, **named: Any) -> OrderReport | None:
        report = find(*more, **named)
        if report is None or told or report.status is not OrderStatus.FILLED:
            return report
        return replace(report, status=OrderStatus.CANCELED, filled_quantity=Decimal(0))

    monkeypatch.setattr(SpotExchange, "find_order", found)
    return told


def owned(spot: Bench) -> Decimal:
    return next(row.total for row in open_connector(spot.connector).balances() if row.currency == "BTC")


def test_on_spot_what_a_cancelled_exit_may_have_sold_is_not_sold_again(spot: Bench, fills_told_late: list[str]) -> None:
    fills_told_late.append("the entry")
    spot.paper.control("POST", f"accounts/{spot.account.access_key}", {"balances": {"spot": {"BTC": "3"}}})
    spot.send("buy", "flat", "0.01")
    leaving = spot.send("sell", "long", "0.01", order_type="limit", limit_price="61000")
    assert leaving.order is not None
    fills_told_late.clear()
    spot.paper.set_price("BTC_USDT", "62000")
    spot.wait()
    leaving.order.refresh_from_db()
    assert (leaving.order.state, leaving.order.filled_quantity, owned(spot)) == (S.CANCELED, 0, 3)

    asked = ask(spot)
    flatten.run_due()
    asked.refresh_from_db()
    assert [(row["state"], row["why"]) for row in asked.rows] == [("closing", "another exit of it is under way")]
    fills_told_late.append("all")
    asked = run(asked)

    assert [(row["state"], row["why"]) for row in asked.rows] == [("closed", "")]
    assert (len(spot.book()), owned(spot)) == (2, 3)


def test_on_spot_what_its_own_cancelled_order_may_have_sold_is_not_sold_again(
    spot: Bench, fills_told_late: list[str]
) -> None:
    fills_told_late.append("the entry")
    spot.paper.control("POST", f"accounts/{spot.account.access_key}", {"balances": {"spot": {"BTC": "3"}}})
    spot.send("buy", "flat", "0.01")
    fills_told_late.clear()
    asked = ask(spot)
    flatten.run_due()
    Order.unscoped.filter(intent="exit").update(next_at=timezone.now())
    sweep()
    closing = Order.unscoped.get(intent="exit")
    assert (closing.state, closing.filled_quantity, owned(spot)) == (S.CANCELED, 0, 3)

    forget_limits()
    Flatten.unscoped.update(next_at=timezone.now())
    flatten.run_due()
    fills_told_late.append("all")
    asked = run(asked)

    assert [(row["state"], row["why"]) for row in asked.rows] == [("closed", "")]
    assert (len(spot.book()), owned(spot)) == (2, 3)


def test_asked_twice_it_is_one_until_it_is_over(futures: Bench) -> None:
    person = owner_of(futures)
    close_all, close_one = (
        reverse("trading:close_everything"),
        reverse("trading:close_connector", args=[futures.connector.pk]),
    )

    first, second = [person.client.post(close_all)["Location"] for _ in range(2)]
    one, again = [person.client.post(close_one)["Location"] for _ in range(2)]
    assert (first, one) == (second, again)
    assert first != one

    Connector.unscoped.update(trading_state="active")
    assert person.client.post(close_one)["Location"] not in {first, one}
    Workspace.objects.update(trading_state="active")
    third = person.client.post(close_all)["Location"]
    assert third not in {first, one}
    assert person.client.post(close_all)["Location"] == third
    for asked in Flatten.unscoped.filter(connector=None):
        run(asked)

    assert person.client.post(close_all)["Location"] not in {first, third}


@pytest.mark.parametrize("since", ["a while", "failed"])
def test_asked_again_it_tries_what_was_given_up(futures: Bench, since: str) -> None:
    futures.send("buy", "flat", "0.01")
    first = ask(futures)
    if since == "failed":
        key = f"{futures.connector.pk}|BTCUSDT|net"
        Flatten.unscoped.update(report={key: {"symbol": "BTCUSDT", "state": "failed", "why": "refused"}})
    else:
        Flatten.unscoped.update(requested_at=ago(seconds=16))

    owner_of(futures).client.post(reverse("trading:close_everything"))

    second = Flatten.unscoped.exclude(pk=first.pk).get()
    assert run(second).rows[0]["state"] == "closed"
    assert [size for _, size in futures.book()] == ["10", "10"]


def test_a_symbol_that_nobody_answers_for_keeps_nothing_else_open(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    gone = PositionFactory(
        connector=futures.connector, instrument=InstrumentFactory(symbol="GONEUSDT", base="GONE", is_trading=False)
    )
    Order.unscoped.exclude(finished_at=None).update(finished_at=ago(minutes=1))
    Fill.unscoped.update(recorded_at=ago(minutes=1))

    asked = run(ask(futures), rounds=3)
    assert [(row["symbol"], row["state"]) for row in asked.rows] == [("BTCUSDT", "closed"), ("GONEUSDT", "closing")]
    assert len(futures.book()) == 2

    Flatten.unscoped.update(requested_at=ago(seconds=61))
    asked = run(asked)
    row = next(row for row in asked.rows if row["symbol"] == "GONEUSDT")
    assert row["state"] == "failed"
    assert row["why"].startswith("BitMart does not know this symbol on this market.")
    gone.delete()


def test_an_account_that_cannot_be_read_keeps_no_other_one_open(
    futures: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    futures.send("buy", "flat", "0.01")
    other = ConnectorFactory(workspace=futures.connector.workspace, label="Other")
    Connector.unscoped.filter(pk=other.pk).update(created_at=ago(days=9))
    held = flatten._held

    def read(connector: Connector, *more: Any) -> Any:
        if connector.pk == other.pk:
            raise ValueError("an answer that nobody thought of")
        return held(connector, *more)

    monkeypatch.setattr(flatten, "_held", read)
    asked = run(ask(futures), rounds=3)

    told = {(row["connector"], row["symbol"], row["state"], row["why"]) for row in asked.rows}
    assert told == {
        ("Other", "account", "closing", "it could not be read"),
        (futures.connector.label, "BTCUSDT", "closed", ""),
    }
    assert [size for _, size in futures.book()] == ["10", "10"]
    assert asked.finished_at is None
    assert "an answer that nobody thought of" in caplog.text
    caplog.clear()

    monkeypatch.setattr(flatten, "_held", lambda connector, *more: flatten._Found({}))
    asked = run(asked)
    assert [(row["connector"], row["state"]) for row in asked.rows] == [(futures.connector.label, "closed")]
    assert asked.finished_at is not None


def test_an_account_is_closed_before_another_one_answers(futures: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    futures.send("buy", "flat", "0.01")
    other = ConnectorFactory(workspace=futures.connector.workspace, label="Slow")

    def in_turn(work: Any, connectors: list[Connector]) -> Any:
        quick, slow = sorted(connectors, key=lambda connector: connector.pk == other.pk)
        yield quick, work(quick)
        assert [size for _, size in futures.book()] == ["10", "10"]
        yield slow, flatten._Silent("no answer within 8 s", "closing")

    monkeypatch.setattr(flatten, "as_done", in_turn)
    asked = ask(futures)
    flatten.run_due()

    asked.refresh_from_db()
    told = {(row["connector"], row["state"], row["why"]) for row in asked.rows}
    assert told == {("Slow", "closing", "no answer within 8 s"), (futures.connector.label, "closing", "")}


def test_orders_of_all_accounts_leave_before_any_of_them_is_waited_for(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    futures.send("buy", "flat", "0.01")
    other = ConnectorFactory(workspace=futures.connector.workspace, label="Other")
    instrument = InstrumentRow.objects.get(symbol="BTCUSDT", market="futures")
    held = {
        connector.pk: flatten._Found({("BTCUSDT", Book.NET): (instrument, Decimal(10))})
        for connector in (other, futures.connector)
    }
    monkeypatch.setattr(flatten, "_read", lambda connector: held[connector.pk])
    started: list[Any] = []
    monkeypatch.setattr(flatten, "start", lambda work, names: started.append(names) or [])
    ask(futures)

    flatten.run_due()

    closing = Order.unscoped.filter(intent="exit")
    assert {order.connector_id for order in closing} == {other.pk, futures.connector.pk}
    assert sorted(started) == sorted([[order.pk]] for order in closing)


def test_an_account_whose_halt_is_lifted_is_closed_and_not_told_as_left(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    futures.send("buy", "flat", "0.01")
    other = ConnectorFactory(workspace=futures.connector.workspace, label="Other")
    monkeypatch.setattr(flatten, "halted", lambda connector: None if connector == other else DENIED)
    read = flatten._read
    monkeypatch.setattr(flatten, "_read", lambda one: flatten._Silent("busy", "closing") if one == other else read(one))
    asked = run(ask(futures), rounds=1)
    assert {(row["symbol"], row["state"]) for row in asked.rows} == {("account", "failed"), ("account", "closing")}

    monkeypatch.setattr(flatten, "halted", lambda connector: None)
    monkeypatch.setattr(flatten, "_read", lambda one: flatten._Found({}) if one == other else read(one))
    asked = run(asked)

    assert [(row["symbol"], row["state"]) for row in asked.rows] == [("BTCUSDT", "closed")]
    assert not Incident.unscoped.exists()


def test_what_ended_while_the_account_was_read_closes_nothing_more(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    futures.send("buy", "flat", "0.01")
    held = flatten._held

    def ended_meanwhile(*more: Any) -> Any:
        found = held(*more)
        Flatten.unscoped.update(finished_at=timezone.now())
        return found

    monkeypatch.setattr(flatten, "_held", ended_meanwhile)
    ask(futures)
    flatten.run_due()

    assert [size for _, size in futures.book()] == ["10"]
    assert not Order.unscoped.filter(intent="exit").exists()


def test_an_account_that_cannot_be_written_for_keeps_no_other_one_open(
    futures: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    futures.send("buy", "flat", "0.01")
    other = ConnectorFactory(workspace=futures.connector.workspace, label="Other")
    written = flatten._written

    def write(asked: Flatten, connector: Connector, *more: Any) -> Any:
        if connector.pk == other.pk:
            raise ValueError("a row that nobody thought of")
        return written(asked, connector, *more)

    monkeypatch.setattr(flatten, "_written", write)
    monkeypatch.setattr(
        flatten,
        "as_done",
        lambda work, all_: (
            (one, work(one) if one != other else flatten._Found({}))
            for one in sorted(all_, key=lambda one: one != other)
        ),
    )
    asked = run(ask(futures), rounds=3)

    assert [size for _, size in futures.book()] == ["10", "10"]
    told = {(row["connector"], row["state"], row["why"]) for row in asked.rows}
    assert told == {
        ("Other", "closing", "what closes it could not be written"),
        (futures.connector.label, "closed", ""),
    }
    assert "a row that nobody thought of" in caplog.text
    caplog.clear()


def test_a_halt_that_comes_while_the_account_is_read_keeps_it_open(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    futures.send("buy", "flat", "0.01")
    held = flatten._held

    def halted_meanwhile(*more: Any) -> Any:
        found = held(*more)
        Connector.unscoped.update(staff_state="halted", staff_reason="the exchange asks us to wait")
        return found

    monkeypatch.setattr(flatten, "_held", halted_meanwhile)
    asked = ask(futures)
    flatten.run_due()

    asked.refresh_from_db()
    assert [size for _, size in futures.book()] == ["10"]
    assert [(row["symbol"], row["state"]) for row in asked.rows] == [("account", "failed")]
    assert "the exchange asks us to wait" in asked.rows[0]["why"]


def test_an_entry_whose_fills_were_inferred_opens_nothing_more(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01", order_type="limit", limit_price="50000")
    order = futures.order()
    Order.unscoped.update(state=S.CANCELED, next_at=ago(minutes=-1), finished_at=ago(minutes=2), version=9)
    connectors = [futures.connector]
    assert flatten._entries(connectors).exists()

    Fill(
        workspace=order.workspace,
        connector=order.connector,
        order=order,
        trade_id=f"inferred:{order.client_order_id}",
        symbol=order.symbol,
        book=order.book,
        side=order.side,
        price=Decimal(50000),
        quantity=Decimal(10),
        fee=Decimal(0),
        fee_currency="USDT",
        filled_at=ago(minutes=2),
    ).save(force_insert=True)
    assert not flatten._entries(connectors).exists()


def test_a_symbol_taken_by_a_worker_whose_clock_is_ahead_is_waited_for(futures: Bench) -> None:
    asked = ask(futures)
    ahead = asked.requested_at + leases.length() + timedelta(seconds=4)
    Lease.objects.create(connector=futures.connector, symbol="BTCUSDT", owner="worker-2", until=ahead, token=1)

    assert not run(asked, rounds=2).finished_at

    Lease.objects.update(until=ahead + timedelta(seconds=2))
    assert run(asked).finished_at


def test_a_worker_that_dies_before_it_tells_leaves_it_to_the_next(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    futures.send("buy", "flat", "0.01")
    Workspace.objects.update(staff_state="halted", staff_reason="court order")
    asked = ask(futures)

    def dies(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(flatten, "_tell", dies)
        with pytest.raises(KeyboardInterrupt):
            flatten.run_due()
    asked.refresh_from_db()
    assert asked.finished_at is None

    asked = run(asked)

    assert asked.finished_at is not None
    assert Incident.unscoped.get().kind == "flatten_incomplete"


def test_it_ends_after_a_minute_although_every_worker_is_slower_than_its_claim(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    futures.send("buy", "flat", "0.01")
    asked = ask(futures)

    def slow(*_: Any) -> Any:
        """Wait for the exchange until the claim is over; meanwhile another worker takes it up."""
        Flatten.unscoped.update(next_at=timezone.now() + flatten.CLAIM)
        raise UnreachableError("BitMart does not answer.")

    monkeypatch.setattr(flatten, "_held", slow)
    flatten.run_due()
    asked.refresh_from_db()
    assert asked.finished_at is None
    Flatten.unscoped.update(requested_at=ago(seconds=61), next_at=timezone.now())
    flatten.run_due()

    asked.refresh_from_db()
    assert asked.finished_at is not None
    assert [(row["state"], row["why"]) for row in asked.rows] == [("failed", "BitMart does not answer.")]
    assert Incident.unscoped.get().kind == "flatten_incomplete"


@pytest.mark.parametrize(("word", "state"), [("", "reduce_only"), ("Desk", "reduce_only"), (None, "active")])
def test_lifting_asks_for_the_workspaces_name(futures: Bench, word: str | None, state: str) -> None:
    person = owner_of(futures)
    run(ask(futures))
    name = person.workspace.name

    person.client.post(reverse("accounts:stop"), {"state": "active", "word": name if word is None else word})

    assert Workspace.objects.get(pk=person.workspace.pk).trading_state == state


def test_one_connector_is_closed_and_its_name_lifts_it(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    person = owner_of(futures)
    pk = futures.connector.pk
    person.client.post(reverse("trading:close_connector", args=[pk]))
    run(Flatten.unscoped.get())

    assert futures.held() == 0
    assert futures.status(futures.send("buy", "flat", "0.01"))[1] == "CONNECTOR_REDUCE_ONLY"
    states = []
    for word in ("", futures.connector.label):
        person.client.post(reverse("trading:lift_connector", args=[pk]), {"word": word})
        states.append(Connector.unscoped.get(pk=pk).trading_state)
    assert states == ["reduce_only", "active"]


def test_connector_deleted_with_a_position_asks_for_an_acknowledgement_that_lists_it(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    person = owner_of(futures)
    person.confirm()
    url = reverse("connectors:delete", args=[futures.connector.pk])
    typed: dict[str, Any] = {"label": futures.connector.label}

    page = person.client.get(url).content.decode()
    refused = person.client.post(url, typed)
    assert "Position: BTCUSDT long" in page
    assert (refused.status_code, Connector.unscoped.get().deleted_at) == (422, None)
    person.client.post(url, {**typed, "acknowledge": "on"})

    assert Connector.unscoped.get().deleted_at is not None
    assert [size for _, size in futures.book()] == ["10"]
