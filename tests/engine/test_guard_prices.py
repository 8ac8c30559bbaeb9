"""Stops and profits of a percentage lie that far from what was paid, also where the market moved since it was read."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.connectors.bitmart.futures import FuturesExchange
from apps.connectors.exchange import ProtectionChange
from apps.trading import cancelling, protection
from apps.trading.models import Incident, Protection, ProtectionState
from tests.engine.conftest import Bench
from tests.engine.test_protection import TP_SL, at_exchange, guards, told, wait

P = ProtectionState
TWO_PERCENTS = [{"percent": "0.5", "weight": "0.5"}, {"percent": 2, "weight": "0.5"}]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelling, "_LOOK_PAUSES_S", (0,))


def bought_at(bench: Bench, price: str, action: str = "buy", **more: Any) -> None:
    """Enter at a price that nobody has read: the bench's stored one is 60000."""
    bench.paper.set_price("BTCUSDT", price)
    bench.send(action, "flat", "0.01", **more)
    assert bench.order().avg_fill_price == Decimal(price)


@pytest.mark.parametrize(
    ("action", "price", "near", "far"),
    [("buy", "60600", "60903", "61812"), ("sell", "59400", "59103", "58212"), ("buy", "59400", "59697", "60588")],
)
def test_profits_sent_after_the_fill_count_from_what_was_paid(
    futures: Bench, action: str, price: str, near: str, far: str
) -> None:
    bought_at(futures, price, action, take_profit=TWO_PERCENTS)

    wait(futures, 2)

    assert sorted(at_exchange(futures)) == sorted([("take_profit", near, "5"), ("take_profit", far, "5")])
    assert sorted(price for _, _, price in told(futures)) == sorted([near, far])
    assert abs(futures.held()) == 10


def test_profits_at_a_price_stay_where_they_were_asked(futures: Bench) -> None:
    profits = [{"price": 61000, "weight": 0.5}, {"price": 62000, "weight": 0.5}]
    bought_at(futures, "60600", take_profit=profits)

    assert at_exchange(futures) == [("take_profit", "61000", "5"), ("take_profit", "62000", "5")]


def test_trailing_stop_of_a_percentage_starts_from_what_was_paid(futures: Bench) -> None:
    bought_at(futures, "60600", trailing_stop={"percent": 1, "activation": {"percent": "0.5"}})

    assert told(futures) == [("trailing_stop", P.LIVE, "60903")]


@pytest.mark.parametrize(
    ("action", "price", "stop", "profit"),
    [("buy", "60600", "57570", "63630"), ("sell", "59400", "62370", "56430"), ("buy", "59400", "56430", "62370")],
)
def test_guards_inside_the_entry_are_moved_to_their_distance_from_what_was_paid(
    futures: Bench, action: str, price: str, stop: str, profit: str
) -> None:
    bought_at(futures, price, action, stop_loss={"percent": 5}, take_profit={"percent": 5})
    wait(futures, 6)

    assert at_exchange(futures) == [("stop_loss", stop, "10"), ("take_profit", profit, "10")]
    states = sorted((row.kind, row.state, row.in_entry) for row in guards(futures))
    assert states == [
        ("stop_loss", P.CANCELED, True),
        ("stop_loss", P.LIVE, False),
        ("take_profit", P.CANCELED, True),
        ("take_profit", P.LIVE, False),
    ]
    assert (abs(futures.held()), Incident.unscoped.count()) == (10, 0)


def test_position_has_the_old_stop_until_the_moved_one_is_proven(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    cancel = FuturesExchange.cancel_trigger

    def looking(self: FuturesExchange, *names: Any, **details: Any) -> None:
        seen.append([price for _, price, _ in at_exchange(futures)])
        cancel(self, *names, **details)

    monkeypatch.setattr(FuturesExchange, "cancel_trigger", looking)
    bought_at(futures, "60600", stop_loss={"percent": 5})
    wait(futures, 6)

    assert seen == [["57000", "57570"]]


def test_moved_stop_fires_as_ours(futures: Bench) -> None:
    bought_at(futures, "60600", stop_loss={"percent": 5})
    wait(futures, 6)

    futures.paper.set_price("BTCUSDT", "57500")
    wait(futures, 3)

    assert (futures.held(), [row.state for row in guards(futures)]) == (0, [P.CANCELED, P.FIRED])


def test_moved_stop_that_the_exchange_refuses_leaves_the_old_one(futures: Bench) -> None:
    futures.fault("code", TP_SL, code=40031, status=400, times=9)
    bought_at(futures, "60600", stop_loss={"percent": 5})

    wait(futures, 9)

    assert at_exchange(futures) == [("stop_loss", "57000", "10")]
    assert [row.state for row in guards(futures)] == [P.LIVE, P.FAILED, P.FAILED, P.FAILED]
    assert (futures.held(), Incident.unscoped.count()) == (10, 0)


def test_moved_stop_whose_sending_got_lost_is_sent_again(futures: Bench) -> None:
    futures.fault("drop_request", TP_SL)
    bought_at(futures, "60600", stop_loss={"percent": 5})
    wait(futures, 2)
    Protection.unscoped.exclude(fence_at=None).update(fence_at=timezone.now() - timedelta(minutes=1))

    wait(futures, 6)

    assert at_exchange(futures) == [("stop_loss", "57570", "10")]
    assert [row.state for row in guards(futures)] == [P.CANCELED, P.FAILED, P.LIVE]


def test_old_stop_that_fires_before_the_moved_one_is_sent_leaves_nothing_behind(
    futures: Bench,
) -> None:
    bought_at(futures, "60600", stop_loss={"percent": 5})
    later = timezone.now() + timedelta(minutes=5)
    assert Protection.unscoped.filter(state=P.WAITING).update(next_at=later) == 1
    futures.paper.set_price("BTCUSDT", "56900")
    old = guards(futures)[0]
    protection.step(old)
    # Held again, by another entry.
    futures.paper.set_price("BTCUSDT", "60000")
    again = futures.send("buy", "flat", "0.012")
    assert futures.status(again) == ("executed", "")

    wait(futures, 4)

    assert [row.state for row in guards(futures)] == [P.FIRED, P.GONE]
    assert (at_exchange(futures), futures.held()) == ([], 12)


@pytest.mark.parametrize(("price", "is_moved"), [("60059", False), ("60062", True)])
def test_stop_that_is_off_by_a_hair_of_its_distance_stays(futures: Bench, price: str, is_moved: bool) -> None:
    bought_at(futures, price, stop_loss={"percent": 5})
    wait(futures, 6)

    assert (at_exchange(futures) != [("stop_loss", "57000", "10")]) is is_moved


def test_stop_at_a_price_stays(futures: Bench) -> None:
    bought_at(futures, "60600", stop_loss={"price": 57000})
    wait(futures, 4)

    assert at_exchange(futures) == [("stop_loss", "57000", "10")]


def test_stop_that_the_trader_has_moved_stays(futures: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as before:
        before.setattr(protection, "_move", lambda *_: None)
        bought_at(futures, "60600", stop_loss={"percent": 5})
    moved = ProtectionChange(
        symbol="BTCUSDT",
        trigger_price=Decimal(57100),
        whole_position=False,
        exchange_order_id=guards(futures)[0].exchange_order_id,
    )
    exchange = protection.open_connector(futures.connector)
    exchange.modify_protection(moved, signed_at_ms=int(timezone.now().timestamp() * 1000))

    wait(futures, 4)

    assert at_exchange(futures) == [("stop_loss", "57100", "10")]


def test_stop_of_an_entry_that_still_fills_is_moved_once_it_has_ended(futures: Bench) -> None:
    # Priced from the market of 60000, which its limit betters as far as is known.
    futures.paper.control("POST", "prices", {"symbol": "BTCUSDT", "price": "60600", "depth": "4"})
    futures.send("buy", "flat", "0.01", order_type="limit", limit_price="60600", stop_loss={"percent": 5})
    futures.paper.set_price("BTCUSDT", "61000")
    wait(futures, 3)
    # The book may have been filled up once more before the price went.
    held = int(futures.held())
    assert held in {4, 8}
    assert at_exchange(futures) == [("stop_loss", "57000", str(held))]

    futures.paper.set_price("BTCUSDT", "60500")
    wait(futures, 8)

    assert futures.held() == 10
    assert at_exchange(futures) == [("stop_loss", "57570", "10")]


def test_moved_stop_shrinks_with_the_position(futures: Bench) -> None:
    bought_at(futures, "60600", stop_loss={"percent": 5})
    wait(futures, 6)

    futures.send("sell", "long", "0.004")
    wait(futures, 6)

    assert at_exchange(futures) == [("stop_loss", "57570", "6")]


def test_guard_whose_cancellation_was_lost_goes_all_the_same_once_another_took_its_place(futures: Bench) -> None:
    """Both would fire, and the second close what another entry opened."""
    futures.fault("drop_request", "/contract/private/cancel-plan-order", times=1)
    bought_at(futures, "60600", stop_loss={"percent": 5})

    wait(futures, 4)
    Protection.unscoped.exclude(cancel_sent_at=None).update(cancel_sent_at=timezone.now() - timedelta(minutes=1))
    wait(futures, 8)

    assert at_exchange(futures) == [("stop_loss", "57570", "10")]
    assert told(futures) == [("stop_loss", P.CANCELED, "57000"), ("stop_loss", P.LIVE, "57570")]
