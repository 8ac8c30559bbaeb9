"""From the webhook to the paper exchange: stop loss, take profit and trailing stop of an entry, and their faults."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Q
from django.utils import timezone

from apps.accounts.models import PlatformState, Workspace
from apps.alerts.models import AlertStatus
from apps.connectors.bitmart.futures import FuturesExchange
from apps.connectors.exchange import Protection as ProtectionWord
from apps.connectors.exchange import ProtectionRequest, Side
from apps.connectors.models import Connector
from apps.trading import cancelling, executor, fencing, protection, protection_rows
from apps.trading.models import Fill, Incident, Order, OrderState, Protection, ProtectionState
from tests.engine.conftest import Bench, bench
from tests.matrix.outside import by_hand, poll
from tests.shared_paper import SharedPaper

S, P = OrderState, ProtectionState
TP_SL, TRAIL = "/contract/private/submit-tp-sl-order", "/contract/private/submit-trail-order"
LISTED = "/contract/private/current-plan-order"
TWO_PROFITS = [{"price": 61000, "weight": 0.5}, {"price": 62000, "weight": 0.5}]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelling, "_LOOK_PAUSES_S", (0,))


def guards(bench: Bench) -> list[Protection]:
    return list(Protection.unscoped.filter(connector=bench.connector).order_by("number"))


def told(bench: Bench) -> list[tuple[str, str, str]]:
    return [(row.kind, row.state, f"{row.price.normalize():f}") for row in guards(bench)]


def at_exchange(bench: Bench) -> list[tuple[str, str, str]]:
    """Return what waits for its price there: kind, price and size."""
    exchange = protection.open_connector(bench.connector)
    listed = [
        (one.kind.value, f"{one.trigger_price.normalize():f}", f"{one.quantity:f}" if one.quantity else "all")
        for one in exchange.trigger_orders("BTCUSDT")
    ]
    return sorted(listed)


def trailing_there(bench: Bench) -> int:
    return len(protection.open_connector(bench.connector).open_orders("BTCUSDT"))


def wait(bench: Bench, rounds: int = 1) -> None:
    for _ in range(rounds):
        Protection.unscoped.filter(next_at__gt=timezone.now()).update(next_at=timezone.now())
        bench.wait()


def enter_and_die(futures: Bench, monkeypatch: pytest.MonkeyPatch, **guards: Any) -> None:
    """Fill an entry whose worker dies before it sends a guard."""
    with monkeypatch.context() as dead:
        dead.setattr("apps.trading.executor.protect", lambda order: None)
        futures.send("buy", "flat", "0.01", **guards)


def run_late(bench: Bench) -> None:
    """Let the ten seconds be over in which a guard has to be proven."""
    past = timezone.now() - timedelta(seconds=1)
    Protection.unscoped.exclude(proven_by=None).update(proven_by=past)


def preset_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exchange that takes the prices of an entry and shows no guard for them."""
    monkeypatch.setattr(FuturesExchange, "trigger_orders", lambda *_: [])


def test_stop_and_profit_travel_in_the_entry_and_are_proven(futures: Bench) -> None:
    alert = futures.send("buy", "flat", "0.01", stop_loss={"price": 58000}, take_profit={"percent": 5})

    assert futures.status(alert) == (AlertStatus.EXECUTED, "")
    assert told(futures) == [("stop_loss", P.LIVE, "58000"), ("take_profit", P.LIVE, "63000")]
    assert at_exchange(futures) == [("stop_loss", "58000", "10"), ("take_profit", "63000", "10")]
    assert [row.in_entry for row in guards(futures)] == [True, True]
    assert not Incident.unscoped.exists()


def test_prices_move_to_the_tick_towards_the_entry(futures: Bench) -> None:
    futures.send("sell", "flat", "0.01", stop_loss={"price": "61000.17"}, take_profit={"price": "59000.13"})

    assert [price for _, _, price in told(futures)] == ["61000.1", "59000.2"]


def test_stop_that_fires_becomes_our_order_fill_and_position(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01", stop_loss={"price": 58000}, take_profit={"price": 63000})
    entry = futures.order()

    futures.paper.set_price("BTCUSDT", "57900")
    wait(futures, 2)

    stop = guards(futures)[0]
    assert stop.state == P.FIRED
    fired = Order.unscoped.get(pk=stop.fired_id)
    assert (fired.state, fired.filled_quantity, fired.side, fired.parent_id) == (S.FILLED, 10, "sell", entry.pk)
    assert fired.client_order_id == f"PLAN_{stop.exchange_order_id}"
    assert (futures.held(), Fill.unscoped.count()) == (0, 2)
    wait(futures, protection.MISSING_TIMES + 1)
    assert guards(futures)[1].state in {P.GONE, P.CANCELED}
    assert at_exchange(futures) == []
    assert not Incident.unscoped.exists()


def test_stop_on_a_hedge_account_closes_its_own_book(db: None, paper: SharedPaper) -> None:
    hedge = bench(paper, "futures", position_mode="hedge_mode")
    hedge.send("sell", "flat", "0.01", hedgemode="hedge", stop_loss={"price": 62000})
    assert told(hedge) == [("stop_loss", P.LIVE, "62000")]

    hedge.paper.set_price("BTCUSDT", "62100")
    wait(hedge, 2)

    assert (guards(hedge)[0].state, hedge.held()) == (P.FIRED, 0)


def test_several_profits_share_the_position(futures: Bench) -> None:
    profits = [{"price": 61000, "weight": 0.5}, {"price": 62000, "weight": 0.5}]
    futures.send("buy", "flat", "0.01", take_profit=profits, stop_loss={"percent": 5})

    assert at_exchange(futures) == [
        ("stop_loss", "57000", "10"),
        ("take_profit", "61000", "5"),
        ("take_profit", "62000", "5"),
    ]
    assert [row.state for row in guards(futures)] == [P.LIVE] * 3

    futures.paper.set_price("BTCUSDT", "61100")
    wait(futures, 2)

    assert futures.held() == 5
    assert [row.state for row in guards(futures)[:3]] == [P.LIVE, P.FIRED, P.LIVE]
    wait(futures, 3)
    # The stop covered ten of five: a smaller one is proven, then the old one goes.
    assert at_exchange(futures) == [("stop_loss", "57000", "5"), ("take_profit", "62000", "5")]


def test_trailing_stop_follows_and_fires(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01", trailing_stop={"percent": 1})
    assert told(futures) == [("trailing_stop", P.LIVE, "59400")]

    for price in ("61000", "62000", "61300"):
        futures.paper.set_price("BTCUSDT", price)
    wait(futures, 2)

    assert guards(futures)[0].state == P.FIRED
    assert futures.held() == 0


def test_alert_that_closes_takes_the_guards_back(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01", stop_loss={"price": 58000}, trailing_stop={"percent": 2})

    futures.send("sell", "long", "0.01")
    wait(futures, protection.MISSING_TIMES + 2)

    assert futures.held() == 0
    assert [row.state in {P.GONE, P.CANCELED} for row in guards(futures)] == [True, True]
    assert at_exchange(futures) == []
    assert [row.client_order_id for row in protection.open_connector(futures.connector).open_orders("BTCUSDT")] == []


def test_cancellation_is_not_believed_of_one_list_that_leaves_the_guard_out(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    futures.send("buy", "flat", "0.01", stop_loss={"price": 58000})
    shown = FuturesExchange.trigger_orders
    asked: list[int] = []

    def cut_short(*more: Any) -> Any:
        asked.append(1)
        return [] if len(asked) == 1 else shown(*more)

    with monkeypatch.context() as lossy:
        lossy.setattr(FuturesExchange, "cancel_trigger", lambda *_, **__: None)
        lossy.setattr(FuturesExchange, "trigger_orders", cut_short)
        protection._cancel(guards(futures)[0], protection.open_connector(futures.connector))
        [stop] = guards(futures)
        assert (stop.state, stop.missing_count) == (P.CANCELLING, 1)
        assert stop.next_at is not None
        assert stop.next_at - timezone.now() > timedelta(seconds=4)
        wait(futures)

    assert [(row.state, row.missing_count) for row in guards(futures)] == [(P.CANCELLING, 0)]
    assert at_exchange(futures) == [("stop_loss", "58000", "10")]
    Protection.unscoped.update(cancel_sent_at=timezone.now() - timedelta(seconds=6))
    wait(futures, 2)
    assert [row.state for row in guards(futures)] == [P.LIVE]


def test_preset_that_is_not_shown_is_placed_as_an_order_of_its_own(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as hidden:
        preset_hidden(hidden)
        futures.send("buy", "flat", "0.01", stop_loss={"price": 58000})
        assert told(futures) == [("stop_loss", P.WAITING, "58000")]
        hidden.setattr(protection, "PRESET_SHOWS_WITHIN", timedelta(0))
        hidden.setattr(FuturesExchange, "trigger_orders", lambda *_: [])
        wait(futures)
        assert told(futures) == [("stop_loss", P.UNKNOWN, "58000")]
    wait(futures)

    [stop] = guards(futures)
    assert (stop.state, stop.in_entry) == (P.LIVE, False)
    assert ("stop_loss", "58000", "all") in at_exchange(futures)


def shown_late(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a stop of its own placed beside a preset that the exchange shows only now."""
    with monkeypatch.context() as hidden:
        preset_hidden(hidden)
        bench.send("buy", "flat", "0.01", stop_loss={"price": 58000})
        hidden.setattr(protection, "PRESET_SHOWS_WITHIN", timedelta(0))
        wait(bench)
    assert at_exchange(bench) == [("stop_loss", "58000", "10"), ("stop_loss", "58000", "all")]


def test_preset_that_is_shown_after_its_stand_in_was_placed_is_taken_back(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown_late(futures, monkeypatch)

    wait(futures, 4)

    assert at_exchange(futures) == [("stop_loss", "58000", "all")]
    assert [(row.state, row.in_entry) for row in guards(futures)] == [(P.LIVE, False), (P.CANCELED, True)]
    assert futures.held() == 10
    assert not Incident.unscoped.exists()


def test_preset_shown_late_whose_cancellation_gets_lost_is_taken_back_again(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown_late(futures, monkeypatch)
    with monkeypatch.context() as lossy:
        lossy.setattr(FuturesExchange, "cancel_trigger", lambda *_, **__: None)
        wait(futures, 2)
    assert [row.state for row in guards(futures)] == [P.LIVE, P.CANCELLING]

    Protection.unscoped.exclude(cancel_sent_at=None).update(cancel_sent_at=timezone.now() - timedelta(seconds=6))
    wait(futures, 4)

    assert at_exchange(futures) == [("stop_loss", "58000", "all")]
    assert [row.state for row in guards(futures)] == [P.LIVE, P.CANCELED]


def test_preset_shown_late_that_fires_first_is_our_fill(futures: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    shown_late(futures, monkeypatch)
    with monkeypatch.context() as lossy:
        lossy.setattr(FuturesExchange, "cancel_trigger", lambda *_, **__: None)
        wait(futures, 2)

    futures.paper.set_price("BTCUSDT", "57900")
    wait(futures, protection.MISSING_TIMES + 3)

    assert futures.held() == 0
    assert sorted(row.state for row in guards(futures)) in ([P.CANCELED, P.FIRED], [P.FIRED, P.GONE])
    assert at_exchange(futures) == []


def test_stop_that_the_trader_has_set_later_at_the_same_price_is_left_alone(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown_late(futures, monkeypatch)
    wait(futures, 4)
    exchange = protection.open_connector(futures.connector)
    exchange.submit_protection(
        ProtectionRequest(
            client_order_id="byhand1", symbol="BTCUSDT", kind=ProtectionWord.STOP_LOSS, side=Side.SELL,
            trigger_price=Decimal(58000), quantity=Decimal(3),
        ),
        signed_at_ms=int(timezone.now().timestamp() * 1000),
    )  # fmt: skip

    wait(futures, 3)

    assert at_exchange(futures) == [("stop_loss", "58000", "3"), ("stop_loss", "58000", "all")]


@pytest.mark.parametrize(("choice", "held", "did"), [("close", 0, "It is closed"), ("keep", 10, "It was kept open")])
def test_refused_stop_raises_the_alarm_and_does_what_was_chosen(
    futures: Bench, choice: str, held: int, did: str
) -> None:
    futures.connector.unprotected = choice
    futures.connector.save()
    futures.fault("code", TRAIL, code=40031, status=400)

    futures.send("buy", "flat", "0.01", trailing_stop={"percent": 1})
    wait(futures, 2)

    [trail] = guards(futures)
    assert trail.state == P.FAILED
    [incident] = Incident.unscoped.all()
    assert (incident.kind, incident.facts["did"].startswith(did)) == ("protection_missing", True)
    assert futures.held() == held
    closing = [(order.state, order.filled_quantity) for order in futures.orders() if order.leg == "x"]
    assert closing == ([(S.FILLED, 10)] if choice == "close" else [])


@pytest.mark.parametrize(
    ("state", "held", "closing"),
    [("halted", 10, (S.DENIED, "CONNECTOR_HALTED")), ("reduce_only", 0, (S.FILLED, ""))],
)
def test_halt_stops_the_closing_of_what_has_no_stop_from_the_first_moment(
    futures: Bench, monkeypatch: pytest.MonkeyPatch, state: str, held: int, closing: tuple[str, str]
) -> None:
    monkeypatch.setattr(executor, "GUARDS_HOLD", timedelta(hours=1))
    futures.send("buy", "flat", "0.01", trailing_stop={"percent": 1})
    Protection.unscoped.update(state=P.WAITING, exchange_order_id="", next_at=timezone.now())
    Connector.unscoped.update(trading_state=state)
    futures.fault("code", TRAIL, code=40031, status=400)
    # Halted, the guard is not even sent, and what is not proven in time is told.
    run_late(futures)

    wait(futures, 2)

    [order] = [order for order in futures.orders() if order.leg == "x"]
    assert (order.state, order.reason_code) == closing
    assert futures.held() == held
    assert [size for _, size in futures.book()] == ["10", "10"][: 1 if held else 2]
    did = Incident.unscoped.get().facts["did"]
    assert did.startswith("It was kept open. Halted: connector" if held else "It is closed at the market")


HALTS: dict[str, Any] = {
    "connector": lambda state: Connector.unscoped.update(trading_state=state),
    "workspace": lambda state: Workspace.objects.update(trading_state=state),
    "staff": lambda state: Workspace.objects.update(staff_state=state, staff_reason="drill"),
    "site": lambda state: PlatformState.objects.update_or_create(pk=1, defaults={"trading_state": state}),
}


@pytest.mark.parametrize("who", HALTS)
def test_guard_is_an_order_and_waits_while_everything_is_halted(
    futures: Bench, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    enter_and_die(futures, monkeypatch, trailing_stop={"percent": 1}, take_profit=TWO_PROFITS)
    HALTS[who]("halted")

    wait(futures, 3)

    assert [(row.state, row.signed_at, row.reason[:6]) for row in guards(futures)] == [(P.WAITING, None, "Halted")] * 3
    assert (at_exchange(futures), trailing_there(futures)) == ([], 0)
    assert not Incident.unscoped.exists()
    HALTS[who]("active")
    wait(futures, 2)

    assert [(row.state, row.reason) for row in guards(futures)] == [(P.LIVE, "")] * 3
    assert at_exchange(futures) == [("take_profit", "61000", "5"), ("take_profit", "62000", "5")]
    assert trailing_there(futures) == 1


def test_halt_that_outlives_the_time_for_proof_is_told_and_trades_nothing(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter_and_die(futures, monkeypatch, trailing_stop={"percent": 1})
    Connector.unscoped.update(trading_state="halted")
    wait(futures)
    run_late(futures)

    wait(futures, 2)

    facts = Incident.unscoped.get(kind="protection_missing").facts
    assert facts["why"].startswith("its trailing stop at 59400 was not placed: Halted: connector")
    assert facts["did"].startswith("It was kept open. Halted: connector")
    assert (futures.held(), [size for _, size in futures.book()], trailing_there(futures)) == (10, ["10"], 0)

    Connector.unscoped.update(trading_state="active")
    wait(futures, 3)

    assert (futures.held(), [size for _, size in futures.book()], trailing_there(futures)) == (10, ["10"], 1)
    assert Incident.unscoped.get(kind="protection_missing").resolution == "It was found at the exchange."


def test_guard_that_nothing_halts_is_placed_on_a_connector_that_only_reduces(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter_and_die(futures, monkeypatch, trailing_stop={"percent": 1})
    Connector.unscoped.update(trading_state="reduce_only")

    wait(futures, 2)

    assert [row.state for row in guards(futures)] == [P.LIVE]
    assert trailing_there(futures) == 1


def test_take_profit_that_is_refused_is_told_and_closes_nothing(futures: Bench) -> None:
    futures.fault("code", TP_SL, code=40031, status=400, times=2)

    futures.send("buy", "flat", "0.01", take_profit=[{"price": 61000, "weight": 0.5}, {"price": 62000, "weight": 0.5}])
    wait(futures, 2)

    assert [row.state for row in guards(futures)] == [P.FAILED, P.FAILED]
    assert futures.held() == 10
    assert Incident.unscoped.get().facts["did"].startswith("It was kept open: a take profit")


def test_lost_answer_on_the_guard_is_found_and_not_placed_twice(futures: Bench) -> None:
    futures.fault("drop_answer", TP_SL)
    profits = [{"price": 61000, "weight": 0.5}, {"price": 62000, "weight": 0.5}]

    futures.send("buy", "flat", "0.01", take_profit=profits)
    wait(futures, 2)

    assert [row.state for row in guards(futures)] == [P.LIVE, P.LIVE]
    assert at_exchange(futures) == [("take_profit", "61000", "5"), ("take_profit", "62000", "5")]


def test_lost_answer_on_a_trailing_stop_is_found_and_not_placed_twice(futures: Bench) -> None:
    futures.fault("drop_answer", TRAIL)

    futures.send("buy", "flat", "0.01", trailing_stop={"percent": 1})
    wait(futures, 2)

    assert [row.state for row in guards(futures)] == [P.LIVE]
    assert len(protection.open_connector(futures.connector).open_orders("BTCUSDT")) == 1


def test_guard_is_not_given_up_before_its_fence_by_the_exchanges_clock(futures: Bench) -> None:
    futures.fault("drop_request", TRAIL)
    futures.send("buy", "flat", "0.01", trailing_stop={"percent": 1})
    Protection.unscoped.update(fence_at=timezone.now() - timedelta(seconds=24))
    Connector.unscoped.update(clock_offset_ms=-120_000)

    wait(futures)
    assert [row.state for row in guards(futures)] == [P.UNKNOWN]
    Connector.unscoped.update(clock_offset_ms=0)
    wait(futures)

    assert [row.state for row in guards(futures)] == [P.FAILED]
    assert trailing_there(futures) == 0


def test_gateway_that_says_too_many_does_not_have_a_guard_placed_twice(futures: Bench) -> None:
    futures.fault("status", TRAIL, status=429, accepted=True)

    futures.send("buy", "flat", "0.01", trailing_stop={"percent": 1})
    wait(futures, 3)

    assert [row.state for row in guards(futures)] == [P.LIVE]
    assert len(protection.open_connector(futures.connector).open_orders("BTCUSDT")) == 1


def test_guard_that_another_process_placed_meanwhile_is_not_placed_again(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was slow for longer than its claim comes back to a guard that another one has sent."""
    sent: list[str] = []
    submit, held = protection._submit, protection.held_there

    def counted(row: Protection, *more: Any) -> str:
        sent.append(str(row.pk))
        return submit(row, *more)

    def slow(row: Protection, *more: Any) -> Decimal:
        monkeypatch.setattr(protection, "held_there", held)
        protection.step(protection.rows_with(Q(pk=row.pk)).get())
        return held(row, *more)

    preset_hidden(monkeypatch)
    futures.send("buy", "flat", "0.01", stop_loss={"price": 58000})
    monkeypatch.setattr(protection, "PRESET_SHOWS_WITHIN", timedelta(0))
    monkeypatch.setattr(protection, "_submit", counted)
    monkeypatch.setattr(protection, "held_there", slow)
    protection.step(protection.rows_with(Q()).get())

    assert len(sent) == 1


@pytest.mark.parametrize(("seconds", "is_sent"), [(14, True), (15, False)])
def test_guard_of_a_worker_that_stood_still_since_its_claim_is_left_to_the_next_one(
    futures: Bench, monkeypatch: pytest.MonkeyPatch, seconds: int, is_sent: bool
) -> None:
    check, sent = fencing.check_awake, []
    submit = FuturesExchange.submit_trailing

    def leaving(self: FuturesExchange, request: Any, **details: Any) -> str:
        sent.append(request)
        return submit(self, request, **details)

    monkeypatch.setattr(FuturesExchange, "submit_trailing", leaving)
    monkeypatch.setattr(
        protection, "check_awake", lambda at, *, within: check(at - timedelta(seconds=seconds), within=within)
    )
    futures.send("buy", "flat", "0.01", trailing_stop={"percent": 2})
    assert (len(sent), trailing_there(futures)) == ((1, 1) if is_sent else (0, 0))
    assert [row.state for row in guards(futures)] == [P.LIVE if is_sent else P.WAITING]

    monkeypatch.setattr(protection, "check_awake", check)
    wait(futures, 2)
    assert (len(sent), trailing_there(futures)) == (1, 1)
    assert [row.state for row in guards(futures)] == [P.LIVE]


def test_stop_that_is_not_proven_in_time_raises_the_alarm(futures: Bench) -> None:
    futures.fault("drop_request", TRAIL)
    futures.send("buy", "flat", "0.01", trailing_stop={"percent": 1})
    wait(futures)
    assert not Incident.unscoped.exists()

    run_late(futures)
    wait(futures, 3)

    assert Incident.unscoped.get().kind == "protection_missing"
    assert futures.held() == 0
    assert [order.leg for order in futures.orders()] == ["o", "x"]


def test_position_that_is_shown_later_than_its_fill_gets_its_stop(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as late:
        late.setattr(FuturesExchange, "positions", lambda *_: [])
        futures.send("buy", "flat", "0.01", trailing_stop={"percent": 1}, take_profit=TWO_PROFITS)
        wait(futures, protection.MISSING_TIMES + 2)
        assert [row.state for row in guards(futures)] == [P.WAITING] * 3

    wait(futures, 2)

    assert ([row.state for row in guards(futures)], futures.held()) == ([P.LIVE] * 3, 10)
    assert not Incident.unscoped.exists()


def test_position_that_was_closed_by_hand_before_its_stop_was_placed_is_told_and_over(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter_and_die(futures, monkeypatch, trailing_stop={"percent": 1})
    by_hand(futures, Side.SELL, "10", reduce_only=True)
    wait(futures, 1)
    run_late(futures)

    wait(futures, 2)

    facts = Incident.unscoped.get(kind="protection_missing").facts
    assert facts["did"] == "The exchange does not show it now, and our fills say that it is open."
    for _ in range(4):
        futures.end_windows()
        poll()
    wait(futures, 2)
    assert ([row.state for row in guards(futures)], futures.held()) == ([P.GONE], 0)
    told = Incident.unscoped.get(kind="protection_missing")
    assert told.resolution == "The position was closed before the guard was placed."
    assert [size for _, size in futures.book()] == ["10", "10"]


def test_crash_between_fill_and_guard_is_made_good_by_the_sweeper(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter_and_die(futures, monkeypatch, trailing_stop={"percent": 1})
    assert (told(futures), futures.held()) == ([("trailing_stop", P.WAITING, "59400")], 10)

    wait(futures)

    assert guards(futures)[0].state == P.LIVE


def test_resting_entry_is_guarded_as_it_fills(futures: Bench) -> None:
    profits = [{"price": 61000, "weight": 0.5}, {"price": 62000, "weight": 0.5}]
    # A price that no order of another test rests at, or above: that one would be filled first.
    futures.send("buy", "flat", "0.01", order_type="limit", limit_price="59900", take_profit=profits)
    assert [row.state for row in guards(futures)] == [P.WAITING, P.WAITING]

    futures.paper.control("POST", "prices", {"symbol": "BTCUSDT", "price": "59900", "depth": "4"})
    futures.paper.set_price("BTCUSDT", "60000")
    wait(futures, 2)
    assert at_exchange(futures) == [("take_profit", "61000", "2"), ("take_profit", "62000", "2")]
    futures.paper.set_price("BTCUSDT", "58900")
    wait(futures, 3)

    assert futures.held() == 10
    assert sorted(size for _, price, size in at_exchange(futures) if price == "61000") == ["2", "3"]
    assert sorted(size for _, price, size in at_exchange(futures) if price == "62000") == ["2", "3"]


def test_piece_for_which_no_guard_can_be_named_is_told(futures: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protection_rows, "LEGS", protection_rows.LEGS[:2])
    profits = [{"price": 61000, "weight": 0.5}, {"price": 62000, "weight": 0.5}]
    # As above, and a price of its own: what another test took of a level within the second is gone.
    futures.send("buy", "flat", "0.01", order_type="limit", limit_price="59910", take_profit=profits)
    futures.paper.control("POST", "prices", {"symbol": "BTCUSDT", "price": "59910", "depth": "4"})
    futures.paper.set_price("BTCUSDT", "60000")
    wait(futures, 2)
    assert not Incident.unscoped.exists()
    futures.paper.set_price("BTCUSDT", "58900")
    wait(futures, 3)

    assert futures.held() == 10
    assert [size for _, price, size in at_exchange(futures)] == ["2", "2"]
    incident = Incident.unscoped.get()
    assert incident.kind == "protection_missing"
    assert incident.facts["why"].endswith("leaves 3 uncovered")


def test_entry_that_opens_nothing_needs_no_guard(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01", order_type="limit", limit_price="50000", stop_loss={"price": 49000})
    cancelling.request(futures.order(), by="user 1")

    wait(futures, 2)

    assert told(futures) == [("stop_loss", P.GONE, "49000")]
    assert not Incident.unscoped.exists()


def test_reversal_guards_the_new_side_at_the_price_of_now(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")

    futures.send("sell", "long", "0.02", stop_loss={"percent": 2})
    wait(futures)

    assert futures.held() == -10
    assert at_exchange(futures) == [("stop_loss", "61200", "10")]


@pytest.mark.parametrize(
    ("action", "limit", "stop", "profit"),
    [
        ("buy", "63000", "58800", "61200"),
        ("buy", "59000", "57820", "60180"),
        ("sell", "57000", "61200", "58800"),
        ("sell", "61000", "62220", "59780"),
    ],
)
def test_percentages_of_a_limit_order_count_from_where_it_is_filled(
    futures: Bench, action: str, limit: str, stop: str, profit: str
) -> None:
    futures.send(
        *(action, "flat", "0.01"),
        order_type="limit",
        limit_price=limit,
        stop_loss={"percent": 2},
        take_profit={"percent": 2},
    )

    priced = [(guard["kind"], guard["price"]) for guard in futures.order().facts["guards"]]
    assert priced == [("stop_loss", stop), ("take_profit", profit)]


def test_reversal_at_a_limit_that_the_market_betters_guards_from_the_market(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")

    futures.send("sell", "long", "0.02", order_type="limit", limit_price="57000", stop_loss={"percent": 2})
    wait(futures)

    assert futures.held() == -10
    assert at_exchange(futures) == [("stop_loss", "61200", "10")]


def test_stop_between_the_market_and_a_limit_above_it_is_refused(futures: Bench) -> None:
    code = refused(futures, order_type="limit", limit_price="63000", stop_loss={"price": 61000})

    assert code == "PROTECTION_WRONG_SIDE"


def refused(bench: Bench, **more: Any) -> str:
    alert = bench.send("buy", "flat", "0.01", **more)
    assert (bench.book(), Protection.unscoped.count()) == ([], 0)
    return bench.status(alert)[1]


def test_spot_is_refused_by_name(spot: Bench) -> None:
    assert refused(spot, stop_loss={"percent": 2}) == "PROTECTION_ON_SPOT"


def test_spot_exit_with_a_stop_still_sells(spot: Bench) -> None:
    spot.send("buy", "flat", "0.01")

    alert = spot.send("sell", "long", "0.01", stop_loss={"percent": 2})

    assert (spot.status(alert)[0], spot.held()) == (AlertStatus.EXECUTED, 0)


def test_stop_on_the_wrong_side_is_refused(futures: Bench) -> None:
    assert refused(futures, stop_loss={"price": 61000}) == "PROTECTION_WRONG_SIDE"


def test_profit_on_the_wrong_side_is_refused(futures: Bench) -> None:
    assert refused(futures, take_profit={"price": 59000}) == "PROTECTION_WRONG_SIDE"


def test_trailing_distance_that_the_exchange_does_not_take_is_refused(futures: Bench) -> None:
    assert refused(futures, trailing_stop={"percent": 6}) == "TRAILING_OUT_OF_RANGE"


def test_share_below_the_smallest_order_is_refused(futures: Bench) -> None:
    profits = [{"price": 61000 + n, "weight": 0.2} for n in range(5)]
    alert = futures.send("buy", "flat", "0.004", take_profit=profits)

    assert (futures.status(alert)[1], futures.book()) == ("PROTECTION_TOO_SMALL", [])


def test_message_that_only_closes_notes_that_nothing_is_guarded(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")

    alert = futures.send("sell", "long", "0.01", stop_loss={"percent": 2})

    alert.refresh_from_db()
    assert (futures.held(), [note["code"] for note in alert.notes]) == (0, ["PROTECTION_UNUSED"])
    assert not Protection.unscoped.exists()
