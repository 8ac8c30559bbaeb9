"""What the exchange refuses, and what it only puts off."""

import time
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.accounts.models import PlatformState, Subscription, Workspace
from apps.alerts.execution import execute_due
from apps.alerts.models import Alert, AlertStatus
from apps.connectors.bitmart.futures import FuturesExchange
from apps.connectors.exchange import OrderReport, OrderRequest
from apps.connectors.models import Connector, Instrument
from apps.connectors.opening import forget_credentials, seal_credentials
from apps.trading import placing
from apps.trading.executor import settle_legs
from apps.trading.models import Order, OrderState, Position
from tests.engine.conftest import Bench, bench
from tests.factories import OrderFactory
from tests.shared_paper import SharedPaper

S = OrderState
STOPS = {
    "halted": "SITE_HALTED",
    "reduce_only": "SITE_REDUCE_ONLY",
    "paused": "PAUSED",
    "trial ended": "TRIAL_ENDED",
    "payment ended": "TRIAL_ENDED",
    "workspace": "WORKSPACE_REDUCE_ONLY",
    "connector": "CONNECTOR_REDUCE_ONLY",
    "staff on connector": "STAFF_REDUCE_ONLY",
}
HALTS = {"workspace halted": "WORKSPACE_HALTED", "connector halted": "CONNECTOR_HALTED", "staff": "STAFF_HALTED"}


def test_rate_limited_order_is_sent_once_more_after_the_wait(futures: Bench) -> None:
    futures.fault("too_many")
    alert = futures.send("buy", "flat", "0.01")
    order = futures.order()
    assert (order.state, order.attempt, order.reason_code) == (S.PLANNED, 1, "RATELIMIT")
    assert timezone.now() < order.next_at <= timezone.now() + timedelta(seconds=60)
    assert futures.book() == []

    futures.wait()

    sent = futures.order()
    assert (sent.state, sent.attempt, sent.filled_quantity, sent.reason) == (S.FILLED, 2, Decimal(10), "")
    assert futures.path(sent) == [S.PLANNED, S.SUBMITTING, S.PLANNED, S.SUBMITTING, S.ACCEPTED, S.FILLED]
    assert futures.book() == [(order.client_order_id, "10")]
    assert futures.status(alert) == (AlertStatus.EXECUTED, "")


def test_worker_that_takes_an_alert_over_sends_nothing_before_its_time(futures: Bench) -> None:
    """The one before it died after the exchange had put the order off, before the alert was done."""
    futures.fault("too_many")
    alert = futures.send("buy", "flat", "0.01")
    Alert.unscoped.update(status=AlertStatus.EXECUTING, next_at=timezone.now(), finished_at=None)

    execute_due()

    order = futures.order()
    assert (order.state, order.attempt, futures.book()) == (S.PLANNED, 1, [])
    assert order.next_at > timezone.now()
    assert futures.status(alert) == (AlertStatus.EXECUTED, "")
    futures.wait()
    assert (futures.order().state, futures.book()) == (S.FILLED, [(order.client_order_id, "10")])


def test_leg_that_was_put_off_is_not_sent_again_with_the_close_before_it(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    futures.send("buy", "flat", "0.01")
    submit = FuturesExchange.submit

    def too_many_openings(self: FuturesExchange, request: OrderRequest, *, signed_at_ms: int) -> OrderReport:
        if not request.reduce_only:
            futures.fault("too_many")
        return submit(self, request, signed_at_ms=signed_at_ms)

    monkeypatch.setattr(FuturesExchange, "submit", too_many_openings)
    futures.send("sell", "long", "0.02")
    monkeypatch.undo()
    closing, opening = futures.orders()[1:]
    assert (closing.state, opening.state, opening.attempt) == (S.FILLED, S.PLANNED, 1)

    settle_legs(closing)

    opening.refresh_from_db()
    assert (opening.state, opening.attempt, len(futures.book())) == (S.PLANNED, 1, 2)
    futures.wait()
    assert [order.state for order in futures.orders()] == [S.FILLED] * 3


def test_refused_timestamp_is_measured_and_sent_again(futures: Bench) -> None:
    Connector.unscoped.update(clock_offset_ms=-4000)
    futures.fault("code", code=30007, status=401, accepted=False)

    futures.send("buy", "flat", "0.01")
    assert (futures.order().state, futures.order().reason_code) == (S.PLANNED, "CLOCK")
    assert abs(Connector.unscoped.get().clock_offset_ms) < 2000
    futures.wait()

    order = futures.order()
    assert (order.state, order.attempt, order.filled_quantity) == (S.FILLED, 2, Decimal(10))
    assert futures.book() == [(order.client_order_id, "10")]


def test_entry_waiting_to_be_sent_again_expires_unsent(futures: Bench) -> None:
    futures.fault("code", code=30007, status=401, accepted=False)
    futures.send("buy", "flat", "0.01")
    order = futures.order()
    order.expires_at = timezone.now() - timedelta(seconds=1)
    order.save()

    futures.wait(2)

    assert (futures.order().state, futures.order().reason_code) == (S.EXPIRED, "ENTRY_EXPIRED")
    assert futures.book() == []


def test_expired_entry_tells_its_limit_from_when_its_alert_came(futures: Bench) -> None:
    """It was planned half a minute after that."""
    futures.fault("code", code=30007, status=401, accepted=False)
    futures.send("buy", "flat", "0.01")
    now = timezone.now()
    Order.unscoped.update(created_at=now - timedelta(seconds=91), expires_at=now - timedelta(seconds=1))

    futures.wait(2)

    told = "Too old: this entry waited 121 s after it reached us, the limit is 120 s. Nothing was sent."
    assert (futures.order().state, futures.order().reason[: len(told)]) == (S.EXPIRED, told)
    assert futures.book() == []


@pytest.mark.parametrize("stop", [*STOPS, *HALTS])
def test_entry_waiting_to_be_sent_again_is_stopped_by_what_came_in_between(futures: Bench, stop: str) -> None:
    futures.fault("code", code=30007, status=401, accepted=False)
    futures.send("buy", "flat", "0.01")
    order = futures.order()
    order.created_at -= timedelta(seconds=5)
    order.save()
    _stop(stop)

    futures.wait(2)

    assert (futures.order().state, futures.order().reason_code) == (S.DENIED, (STOPS | HALTS)[stop])
    assert futures.book() == []


@pytest.mark.parametrize("stop", ["reduce_only", "paused", "trial ended"])
def test_entries_are_denied_and_exits_run(futures: Bench, stop: str) -> None:
    futures.send("buy", "flat", "0.01")
    _stop(stop)

    entry = futures.send("buy", "flat", "0.01")
    leaving = futures.send("sell", "long", "0.01")

    assert entry.status in {AlertStatus.REJECTED, AlertStatus.IGNORED}
    assert entry.order_id is None
    assert leaving.status == AlertStatus.EXECUTED
    assert [size for _, size in futures.book()] == ["10", "10"]
    assert futures.held() == 0


def test_halt_stops_exits_too_and_nothing_is_sent(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    _stop("halted")

    leaving = futures.send("sell", "long", "0.01")

    assert (leaving.reason_code, leaving.order_id) == ("SITE_HALTED", None)
    assert [size for _, size in futures.book()] == ["10"]


def test_order_refused_by_the_exchange_is_rejected_with_its_sentence(futures: Bench) -> None:
    # The price we know lags behind: at the exchange the order needs more than the account has.
    futures.paper.set_price("BTCUSDT", "6000000")

    alert = futures.send("buy", "flat", "0.01")
    futures.wait(2)

    order = futures.order()
    assert (order.state, order.reason_code, order.attempt) == (S.REJECTED, "INSUFFICIENT_BALANCE", 1)
    assert order.reason.startswith("The balance is too low for this order. Nothing was traded.")
    assert futures.book() == []
    assert futures.status(alert) == (AlertStatus.EXECUTED, "")


def test_refused_credentials_trade_nothing_and_say_so(futures: Bench) -> None:
    seal_credentials(futures.connector, "0" * 40, "1" * 64, "memo")
    futures.connector.save()

    alert = futures.send("buy", "flat", "0.01")
    futures.wait(2)

    assert futures.status(alert) == (AlertStatus.REJECTED, "KEY_UNKNOWN")
    assert alert.reason.count("Nothing was traded.") == 1
    assert futures.orders() == []
    assert futures.book() == []


def test_key_that_cannot_be_opened_trades_nothing(futures: Bench) -> None:
    connector = Connector.unscoped.get()
    forget_credentials(connector)
    connector.credentials_set_at = timezone.now()
    connector.save()

    alert = futures.send("buy", "flat", "0.01")

    assert (alert.status, alert.reason_code) == (AlertStatus.REJECTED, "KEY_UNREADABLE")
    assert futures.book() == []


def test_key_that_can_no_longer_be_opened_leaves_the_sent_order_in_doubt_and_due(futures: Bench) -> None:
    futures.fault("drop_answer")
    alert = futures.send("buy", "flat", "0.01")
    connector = Connector.unscoped.get()
    sealed = connector.sealed_access_key
    connector.sealed_access_key, connector.credentials_set_at = "", timezone.now()
    connector.save()

    futures.wait(2)

    order = futures.order()
    assert order.state == S.UNKNOWN
    assert order.next_at > timezone.now()
    assert futures.status(alert) == (AlertStatus.EXECUTED, "")

    connector.sealed_access_key, connector.credentials_set_at = sealed, timezone.now()
    connector.save()
    futures.wait()

    assert futures.order().state == S.FILLED
    assert futures.book() == [(order.client_order_id, "10")]


def test_answer_that_the_id_is_known_makes_the_order_looked_for(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = FuturesExchange.submit

    def placed_before(self: FuturesExchange, request: OrderRequest, *, signed_at_ms: int) -> OrderReport:
        """As after a copy of the request that the network delivered twice."""
        place(self, request, signed_at_ms=signed_at_ms)
        return place(self, request, signed_at_ms=signed_at_ms)

    monkeypatch.setattr(FuturesExchange, "submit", placed_before)

    futures.send("buy", "flat", "0.01")
    assert futures.order().state == S.UNKNOWN
    futures.wait()

    order = futures.order()
    assert (order.state, order.filled_quantity, order.attempt) == (S.FILLED, Decimal(10), 1)
    assert futures.path(order) == [S.PLANNED, S.SUBMITTING, S.UNKNOWN, S.FILLED]
    assert futures.book() == [(order.client_order_id, "10")]


@pytest.mark.parametrize("what", [*STOPS, *HALTS])
def test_stop_that_comes_while_the_account_is_read_keeps_the_entry_back(
    futures: Bench, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    read = placing.read_account

    def read_slowly(*args: Any, **options: Any) -> Any:
        found = read(*args, **options)
        _stop(what)
        time.sleep(placing.Rows.HOLDS_S + 0.01)
        return found

    monkeypatch.setattr(placing, "read_account", read_slowly)

    alert = futures.send("buy", "flat", "0.01")

    assert (futures.status(alert)[1], futures.book()) == ((STOPS | HALTS)[what], [])


@pytest.mark.parametrize("what", HALTS)
def test_halt_that_comes_while_the_account_is_read_keeps_the_exit_back(
    futures: Bench, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    futures.send("buy", "flat", "0.01")
    held = futures.book()
    read = placing.read_account

    def read_slowly(*args: Any, **options: Any) -> Any:
        found = read(*args, **options)
        _stop(what)
        return found

    monkeypatch.setattr(placing, "read_account", read_slowly)

    alert = futures.send("sell", "long", "0.01")

    assert (futures.status(alert)[1], futures.book()) == (HALTS[what], held)


def test_entry_sees_the_order_that_was_sent_in_another_symbol_while_the_account_was_read(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    Connector.unscoped.filter(pk=futures.connector.pk).update(max_orders_per_minute=1)
    read = placing.read_account

    def read_meanwhile(*args: Any, **options: Any) -> Any:
        OrderFactory(connector=futures.connector, symbol="ETHUSDT", state=S.FILLED, signed_at=timezone.now())
        return read(*args, **options)

    monkeypatch.setattr(placing, "read_account", read_meanwhile)

    alert = futures.send("buy", "flat", "0.01")

    assert (futures.status(alert)[1], futures.book()) == ("ORDER_RATE", [])


def test_old_exit_leaves_a_position_alone_that_opened_while_the_account_was_read(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    futures.send("buy", "flat", "0.01")
    position = Position.unscoped.get(connector=futures.connector)
    Position.unscoped.filter(pk=position.pk).update(signed_quantity=0, opened_at=None)
    read = placing.read_account

    def read_meanwhile(*args: Any, **options: Any) -> Any:
        # A stream records what a resting entry filled; it needs no lease.
        Position.unscoped.filter(pk=position.pk).update(
            signed_quantity=position.signed_quantity, opened_at=timezone.now()
        )
        return read(*args, **options)

    monkeypatch.setattr(placing, "read_account", read_meanwhile)
    alert = futures.post("sell", "long", "0.01")
    Alert.unscoped.filter(pk=alert.pk).update(received_at=timezone.now() - timedelta(hours=13))
    execute_due()

    assert (futures.status(alert)[1], len(futures.book()), futures.held()) == ("EXIT_TOO_OLD", 1, 10)
    assert alert.reason.endswith(", and no long position on BTCUSDT is open from before it. Nothing was sent.")


@pytest.mark.parametrize(("older", "status", "held"), [("short", "EXIT_TOO_OLD", 10), ("long", "", 0)])
def test_old_exit_on_a_hedge_account_goes_by_the_age_of_its_own_side(
    db: None, paper: SharedPaper, older: str, status: str, held: int
) -> None:
    hedge = bench(paper, "futures", position_mode="hedge_mode")
    hedge.send("buy", "flat", "0.01", hedgemode="hedge")
    hedge.send("sell", "flat", "0.01", hedgemode="hedge")
    day = timezone.now() - timedelta(hours=14)
    Position.unscoped.filter(connector=hedge.connector, book=older).update(opened_at=day)

    alert = hedge.post("sell", "long", "0.01", hedgemode="hedge")
    Alert.unscoped.filter(pk=alert.pk).update(received_at=timezone.now() - timedelta(hours=13))
    execute_due()
    hedge.wait(2)

    assert hedge.status(alert)[1] == status
    assert [p.signed_quantity for p in Position.unscoped.order_by("book")] == [held, -10]


def test_exit_that_waited_to_be_sent_again_names_what_it_was_to_close(futures: Bench) -> None:
    futures.send("sell", "flat", "0.01")
    futures.fault("code", code=30007, status=401, accepted=False)
    futures.send("buy", "short", "0.01")
    [leg] = Order.unscoped.filter(intent="exit")
    Order.unscoped.filter(pk=leg.pk).update(created_at=timezone.now() - timedelta(hours=13))

    futures.wait(2)

    leg.refresh_from_db()
    assert (leg.state, leg.reason_code, futures.held()) == (S.DENIED, "EXIT_TOO_OLD", -10)
    assert ", and no short position on BTCUSDT is open from before it." in leg.reason


def test_entry_planned_in_another_symbol_while_the_account_was_read_keeps_its_money(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = placing.read_account

    def read_meanwhile(*args: Any, **options: Any) -> Any:
        found = read(*args, **options)
        margin = f"{found.available_quote - 1:f}"
        OrderFactory(
            connector=futures.connector,
            instrument=Instrument.objects.get(environment="paper", market="futures", symbol="BTCUSDT"),
            symbol="ETHUSDT",
            state=S.PLANNED,
            intent="entry",
            facts={"estimate": {"margin": margin, "notional": "1", "fee": "0"}},
        )
        return found

    monkeypatch.setattr(placing, "read_account", read_meanwhile)

    alert = futures.send("buy", "flat", "0.01")

    assert (futures.status(alert)[1], futures.book()) == ("INSUFFICIENT_BALANCE", [])


def _stop(what: str) -> None:
    if what in {"halted", "reduce_only"}:
        PlatformState.objects.update_or_create(pk=1, defaults={"trading_state": what})
    elif what == "paused":
        Connector.unscoped.update(paused_at=timezone.now())
    elif what == "staff":
        Workspace.objects.update(staff_state="halted")
    elif what == "staff on connector":
        Connector.unscoped.update(staff_state="reduce_only")
    elif what in {"workspace", "workspace halted"}:
        Workspace.objects.update(trading_state="halted" if "halted" in what else "reduce_only")
    elif what in {"connector", "connector halted"}:
        Connector.unscoped.update(trading_state="halted" if "halted" in what else "reduce_only")
    elif what == "payment ended":
        # The trial itself would have gone on.
        Subscription.objects.update(status="ended", trial_ends_at=timezone.now() + timedelta(days=9))
    else:
        Subscription.objects.update(trial_ends_at=timezone.now() - timedelta(days=1))
