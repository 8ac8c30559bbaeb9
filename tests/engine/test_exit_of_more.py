"""An exit of all the strategy counts while less is held: what was taken off the position opens no other side."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.alerts import release
from apps.alerts.models import Alert, AlertStatus
from apps.alerts.previewing import prepare_preview
from apps.alerts.reading import read_received
from apps.connectors.exchange import Side
from apps.connectors.models import Connector
from apps.connectors.opening import open_connector
from apps.lib import world
from apps.trading import cancelling
from apps.trading.models import Order, OrderEvent, OrderState, Position
from apps.trading.signal import PrevPosition, Signal, SignalKind
from tests.engine.conftest import Bench
from tests.engine.replays import assert_replays
from tests.engine.resting import resting
from tests.engine.test_cancel import reach_partly
from tests.engine.test_protection import TWO_PROFITS, wait
from tests.matrix.outside import by_hand, poll


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelling, "_LOOK_PAUSES_S", (0,))


def told(alert: Alert) -> list[dict[str, Any]]:
    return [note["facts"] for note in alert.notes if note["code"] == "EXIT_OF_MORE_THAN_HELD"]


def there(bench: Bench) -> Decimal:
    """Return what the exchange holds, signed."""
    bench.end_windows()
    return sum((row.signed_quantity for row in open_connector(bench.connector).positions()), Decimal(0))


def let(bench: Bench, **columns: Any) -> None:
    Connector.unscoped.filter(pk=bench.connector.pk).update(**columns)


def half_taken(bench: Bench, message: tuple[str, str] = ("buy", "flat"), price: str = "61100") -> None:
    """Open 0.01 with two targets and let the first fire."""
    sign = 1 if message[0] == "buy" else -1
    targets = [{**one, "price": 60000 + sign * (int(one["price"]) - 60000)} for one in TWO_PROFITS]
    bench.send(*message, "0.01", take_profit=targets)
    bench.paper.set_price("BTCUSDT", price)
    wait(bench, rounds=3)
    assert bench.held() == sign * 5


@pytest.mark.parametrize(
    ("opening", "closing", "price"),
    [(("buy", "flat"), ("sell", "long"), "61100"), (("sell", "flat"), ("buy", "short"), "58900")],
)
def test_the_exit_of_all_closes_what_a_target_left(
    futures: Bench, opening: tuple[str, str], closing: tuple[str, str], price: str
) -> None:
    half_taken(futures, opening, price)

    alert = futures.send(*closing, "0.01")

    assert futures.held() == 0
    assert told(alert) == [{"excess": "5", "kept": "5"}]
    assert assert_replays() == 2


def test_what_is_over_by_less_than_a_contract_opens_nothing(futures: Bench) -> None:
    half_taken(futures)

    alert = futures.send("sell", "long", "0.01005")

    assert (futures.status(alert), futures.held()) == ((AlertStatus.EXECUTED, ""), 0)


def test_what_an_exit_of_the_strategy_closed_is_known_to_it(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    futures.send("sell", "long", "0.004")

    alert = futures.send("sell", "long", "0.01")

    assert futures.held() == -4
    assert told(alert) == []


def test_a_reversal_opens_what_the_strategy_has_after_it(futures: Bench) -> None:
    half_taken(futures)

    alert = futures.send("sell", "long", "0.016")

    assert futures.held() == -6
    assert told(alert) == [{"excess": "11", "kept": "5"}]


def test_a_reversal_that_states_the_side_alone_opens_what_the_strategy_has_after_it(futures: Bench) -> None:
    half_taken(futures)

    alert = futures.send("sell", "long", "0.016", market_position="short")

    assert futures.held() == -6
    assert told(alert) == [{"excess": "11", "kept": "5"}]


def test_a_reversal_sized_in_money_opens_all_that_the_money_buys(futures: Bench) -> None:
    half_taken(futures)
    futures.paper.set_price("BTCUSDT", "60000")

    alert = futures.send("sell", "long", "600", quantity_type="quote", market_position="short")

    assert futures.held() == -10
    assert told(alert) == []


def test_what_a_target_took_of_an_earlier_position_counts_no_more(futures: Bench) -> None:
    half_taken(futures)
    futures.send("sell", "long", "0.005")
    futures.send("buy", "flat", "0.004")

    alert = futures.send("sell", "long", "0.007")

    assert futures.held() == -3
    assert told(alert) == []


def blocked(bench: Bench) -> None:
    let(bench, adds="block")


def too_large(bench: Bench) -> None:
    let(bench, max_open_notional=Decimal(700))


@pytest.mark.parametrize("forbid", [blocked, too_large])
def test_an_add_that_was_refused_is_not_opened_by_its_exit(futures: Bench, forbid: Callable[[Bench], None]) -> None:
    futures.send("buy", "flat", "0.01")
    forbid(futures)
    assert futures.send("buy", "long", "0.005").status == AlertStatus.REJECTED

    alert = futures.send("sell", "long", "0.015")

    assert futures.held() == 0
    assert told(alert) == [{"excess": "5", "kept": "5"}]


def test_an_entry_that_was_cut_to_the_balance_is_not_opened_by_its_exit(futures: Bench) -> None:
    let(futures, low_balance="reduce", max_order_notional=Decimal(10**6), max_open_notional=Decimal(10**6))
    futures.send("buy", "flat", "0.2")
    held = futures.held()
    assert 0 < held < 200

    alert = futures.send("sell", "long", "0.2")

    assert futures.held() == 0
    assert told(alert) == [{"excess": f"{200 - held:f}".rstrip("0").rstrip("."), "kept": f"{200 - held.normalize():f}"}]


def test_what_a_reversal_could_not_open_for_want_of_balance_is_not_opened_by_its_exit(futures: Bench) -> None:
    let(futures, low_balance="reduce", max_order_notional=Decimal(10**6), max_open_notional=Decimal(10**6))
    futures.send("buy", "flat", "0.01")
    reversal = futures.send("sell", "long", "0.21")
    futures.wait(3)
    held = -futures.held()
    opening = Order.unscoped.get(origin_id=reversal.pk, leg="o")
    assert 0 < held < 200
    cut = OrderEvent.unscoped.get(order=opening, cause="sized after the closing order").evidence
    assert (cut["asked"], cut["sent"]) == ("200", f"{held.normalize():f}")

    alert = futures.send("buy", "short", "0.2")

    assert futures.held() == 0
    assert told(alert) == [{"excess": f"{200 - held.normalize():f}", "kept": f"{200 - held.normalize():f}"}]


def test_what_was_closed_by_hand_is_not_opened_by_the_exit(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    by_hand(futures, Side.SELL, "4", reduce_only=True)
    poll(4)
    assert Position.unscoped.get().signed_quantity == 6

    alert = futures.send("sell", "long", "0.01")

    assert futures.held() == 0
    assert told(alert) == [{"excess": "4", "kept": "4"}]


def test_what_was_closed_by_hand_and_opened_again_is_the_strategys(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    by_hand(futures, Side.SELL, "4", reduce_only=True)
    poll(4)
    futures.end_windows()
    by_hand(futures, Side.BUY, "4", name="hand2")
    poll(4)
    assert Position.unscoped.get().signed_quantity == 10

    futures.send("sell", "long", "0.016")

    assert futures.held() == -6


@pytest.mark.parametrize(("quantity", "after"), [("0.01", 0), ("0.013", -3), ("0.004", 2)])
def test_the_size_before_the_order_tells_an_exit_from_a_reversal(futures: Bench, quantity: str, after: int) -> None:
    futures.send("buy", "flat", "0.006")

    alert = futures.send("sell", "long", quantity, prev_market_position_size="0.01")

    assert futures.held() == after
    assert [note["excess"] for note in told(alert)] == {"0.01": ["4"], "0.013": ["7"], "0.004": []}[quantity]


def test_a_size_before_the_order_below_what_is_held_opens_no_more_than_the_message_asks_for(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")

    futures.send("sell", "long", "0.012", prev_market_position_size="0.006")

    assert futures.held() == -2


def test_without_anything_that_explains_it_the_excess_is_a_reversal(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")

    alert = futures.send("sell", "long", "0.015")

    assert futures.held() == -5
    assert told(alert) == []
    assert {order.state for order in Order.unscoped.all()} == {OrderState.FILLED}


def paused(bench: Bench, message: tuple[str, str, str]) -> None:
    let(bench, paused_at=timezone.now())
    assert bench.status(bench.send(*message)) == (AlertStatus.IGNORED, "PAUSED")
    let(bench, paused_at=None)


def held_as_a_repeat(bench: Bench, message: tuple[str, str, str]) -> Alert:
    alert = bench.post(*message)
    read_received()
    Alert.unscoped.filter(pk=alert.pk).update(status=AlertStatus.HELD, next_at=None)
    return alert


def too_old(bench: Bench, message: tuple[str, str, str]) -> None:
    at = timezone.now() - timedelta(hours=1)
    alert = bench.send(*message, time=f"{at:%Y-%m-%dT%H:%M:%SZ}")
    assert bench.status(alert) == (AlertStatus.EXPIRED, "ALERT_TOO_OLD")


def refused_as_an_order(bench: Bench, message: tuple[str, str, str]) -> None:
    let(bench, max_order_notional=Decimal(1))
    assert bench.status(bench.send(*message)) == (AlertStatus.REJECTED, "MAX_ORDER_NOTIONAL")
    let(bench, max_order_notional=None)


KEPT_BACK = [paused, held_as_a_repeat, too_old, refused_as_an_order]


@pytest.mark.parametrize("keep_back", KEPT_BACK)
def test_an_add_that_was_kept_back_is_not_opened_by_its_exit(
    futures: Bench, keep_back: Callable[[Bench, tuple[str, str, str]], object]
) -> None:
    futures.send("buy", "flat", "0.01")
    keep_back(futures, ("buy", "long", "0.005"))

    alert = futures.send("sell", "long", "0.015")

    assert futures.held() == 0
    assert told(alert) == [{"excess": "5", "kept": "5"}]


@pytest.mark.parametrize("keep_back", KEPT_BACK)
@pytest.mark.parametrize("side", [("sell", "short", "buy"), ("buy", "long", "sell")])
def test_the_first_entry_that_was_kept_back_is_not_opened_by_the_exit_of_the_add(
    futures: Bench, keep_back: Callable[[Bench, tuple[str, str, str]], object], side: tuple[str, str, str]
) -> None:
    opening, held, closing = side
    keep_back(futures, (opening, "flat", "0.01"))
    futures.send(opening, held, "0.005")

    alert = futures.send(closing, held, "0.015")

    assert futures.held() == 0
    assert told(alert) == [{"excess": "10", "kept": "10"}]


def test_a_reversal_opens_what_it_says_beyond_the_entries_that_were_kept_back(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    paused(futures, ("buy", "long", "0.005"))

    futures.send("sell", "long", "0.022")

    assert futures.held() == -7


def test_what_was_kept_back_of_an_earlier_position_counts_no_more(futures: Bench) -> None:
    paused(futures, ("buy", "flat", "0.01"))
    futures.send("sell", "long", "0.01")
    futures.send("buy", "flat", "0.004")

    alert = futures.send("sell", "long", "0.007")

    assert (futures.held(), told(alert)) == (-3, [])


def test_an_add_that_finds_the_position_as_large_as_it_says_is_no_entry_kept_back(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    add = futures.send("buy", "long", "0.004", market_position="long", market_position_size="0.01")
    assert futures.status(add) == (AlertStatus.IGNORED, "ALREADY_AT_TARGET")

    futures.send("sell", "long", "0.014")

    assert futures.held() == -4


def test_an_alert_that_was_kept_back_and_run_by_hand_counts_once(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    release.run(held_as_a_repeat(futures, ("buy", "long", "0.005")))
    futures.wait()
    assert futures.held() == 15

    futures.send("sell", "long", "0.02")

    assert futures.held() == -5


def test_a_preview_counts_what_was_kept_back(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    paused(futures, ("buy", "long", "0.005"))
    signal = Signal(
        kind=SignalKind.ORDER,
        ticker="BTCUSDT",
        action=Side.SELL,
        prev_position=PrevPosition.LONG,
        quantity=Decimal("0.015"),
    )

    prepared = prepare_preview(signal, origin_id=world.new_id(), connector=futures.connector, symbol="BTCUSDT")

    assert [order.leg for order in prepared.orders] == ["c"]


@pytest.mark.parametrize("is_cancelled_before", [True, False])
def test_a_limit_add_that_never_filled_is_not_opened_by_the_exit(futures: Bench, is_cancelled_before: bool) -> None:
    futures.send("buy", "flat", "0.01")
    add = resting(futures, "buy", "long", "0.005", "59000")
    if is_cancelled_before:
        cancelling.request(add, by="a person")
        futures.wait(3)

    alert = futures.send("sell", "long", "0.015")
    futures.wait(3)

    alert.refresh_from_db()
    assert (futures.held(), told(alert)) == (0, [{"excess": "5", "kept": "5"}])


def test_what_of_a_limit_entry_was_cancelled_is_not_opened_by_the_exit(futures: Bench) -> None:
    entry = resting(futures, "buy", "flat", "0.01", "59920")
    reach_partly(futures)
    cancelling.request(entry, by="a person")
    futures.wait(3)
    assert futures.held() == 4

    alert = futures.send("sell", "long", "0.01")

    assert (futures.held(), told(alert)) == (0, [{"excess": "6", "kept": "6"}])


def test_a_first_limit_entry_that_never_filled_is_not_opened_by_the_exit_of_the_add(futures: Bench) -> None:
    message = {"order_type": "limit", "limit_price": "59000"}
    first = Order.unscoped.get(origin_id=futures.send("buy", "flat", "0.01", **message).pk)
    futures.send("buy", "long", "0.005")

    alert = futures.send("sell", "long", "0.015")
    futures.wait(3)

    alert.refresh_from_db()
    first.refresh_from_db()
    assert (first.state, futures.held(), told(alert)) == (OrderState.CANCELED, 0, [{"excess": "10", "kept": "10"}])


def test_what_was_closed_by_hand_a_moment_ago_is_not_opened_by_the_exit(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    by_hand(futures, Side.SELL, "4", reduce_only=True)
    assert Position.unscoped.get().signed_quantity == 10

    alert = futures.send("sell", "long", "0.01")

    assert told(alert) == [{"excess": "4", "kept": "4"}]
    assert [order.leg for order in futures.orders()] == ["o", "c"]
    assert there(futures) == 0


def test_a_target_that_fired_a_moment_ago_is_not_opened_by_the_exit(futures: Bench) -> None:
    targets = TWO_PROFITS
    futures.send("sell", "flat", "0.01", take_profit=[{**one, "price": 120000 - int(one["price"])} for one in targets])
    wait(futures, rounds=2)
    futures.paper.set_price("BTCUSDT", "58900")
    assert Position.unscoped.get().signed_quantity == -10

    futures.send("buy", "short", "0.016")

    assert there(futures) == 6


def test_what_is_left_alone_of_trades_by_hand_is_not_opened_by_the_exit(futures: Bench) -> None:
    let(futures, external_trades="ignore")
    futures.send("buy", "flat", "0.01")
    by_hand(futures, Side.SELL, "4", reduce_only=True)
    poll(4)

    futures.send("sell", "long", "0.01")

    assert there(futures) == 0


def test_what_a_reversal_was_refused_to_open_is_not_opened_by_the_exit_of_an_add(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    let(futures, direction="long")
    futures.send("sell", "long", "0.02")
    let(futures, direction="both")
    futures.send("sell", "short", "0.005")
    assert futures.held() == -5

    alert = futures.send("buy", "short", "0.015")

    assert (futures.held(), told(alert)) == (0, [{"excess": "10", "kept": "10"}])


def test_a_reversal_that_found_nothing_to_close_is_not_opened_by_the_exit_of_an_add(futures: Bench) -> None:
    futures.send("sell", "long", "0.02")
    futures.send("sell", "short", "0.005")
    assert futures.held() == -5

    alert = futures.send("buy", "short", "0.015")

    assert (futures.held(), told(alert)) == (0, [{"excess": "10", "kept": "10"}])


def test_a_message_that_only_closes_is_no_entry_that_was_kept_back(futures: Bench) -> None:
    ignored = futures.send("sell", "long", "0.01", reduce_only=True)
    assert futures.status(ignored) == (AlertStatus.IGNORED, "NOTHING_TO_CLOSE")
    futures.send("sell", "short", "0.005")

    futures.send("buy", "short", "0.008")

    assert futures.held() == 3
