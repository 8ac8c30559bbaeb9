"""What would happen now is what then happens, byte for byte; and the asking sends nothing."""

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from random import Random

import pytest
from django.template.loader import render_to_string
from django.utils import timezone

from apps.alerts import previewing
from apps.alerts.execution import execute_due
from apps.alerts.models import Alert, Preview
from apps.alerts.previewing import PreviewLimitError, answer_due, answer_in, prepare_preview
from apps.alerts.reading import read_received, signal_of
from apps.connectors.exchange import UnreachableError
from apps.connectors.looking import Look
from apps.connectors.models import Connector
from apps.trading.models import Order, OrderState, PlanRecord
from apps.trading.outline import outline_of
from apps.trading.records import outline_in
from tests.engine.conftest import SUBMIT, Bench, forget_limits
from tests.engine.resting import resting
from tests.engine.wiretap import Wiretap, bytes_of, tapped

SIDES = [("buy", "flat"), ("sell", "flat"), ("buy", "long"), ("sell", "long"), ("buy", "short"), ("sell", "short")]


@pytest.fixture
def tap(paper: object) -> Iterator[Wiretap]:
    with tapped() as tap:
        yield tap


@pytest.fixture
def bench(request: pytest.FixtureRequest, tap: Wiretap) -> Bench:
    bench: Bench = request.getfixturevalue(request.param)
    # The fixture opened connections before the tap was there.
    forget_limits()
    return bench


both = pytest.mark.parametrize("bench", ["futures", "spot"], indirect=True)


@both
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_is_sent_is_what_was_previewed_byte_for_byte(bench: Bench, tap: Wiretap, seed: int) -> None:
    random = Random(seed)
    sent_in_all = denied = 0
    for _ in range(18):
        choose_settings(bench.connector, random)
        action, prev = random.choice(SIDES)
        quantity = f"{random.choice([1, 2, 3, 5, 8, 13, 17, 40]) / 1000 + random.choice([0, 0.00001, 0.00049]):.5f}"
        more = random.choice([{}, {}, {"signal_price": "60010"}, {"market_position_size": "0.004"}])
        alert = bench.post(action, prev, quantity, **more)
        read_received()
        alert.refresh_from_db()
        prepared = prepare_preview(
            signal_of(alert), origin_id=alert.pk, connector=Connector.unscoped.get(pk=bench.connector.pk),
            symbol=alert.symbol,
        )  # fmt: skip
        assert tap.take() == []
        wanted = bytes_of(
            tap, bench.connector, [order for order in prepared.orders if order.state == OrderState.PLANNED]
        )

        execute_due()

        sent = [(path, body) for path, body in tap.take() if path == SUBMIT[bench.connector.market]]
        root_denied = prepared.planned.denial is not None
        assert sent == ([] if root_denied else wanted)
        record = PlanRecord.unscoped.get(origin_id=alert.pk)
        assert outline_in(record) == outline_of(prepared.planned)
        sent_in_all += len(sent)
        denied += root_denied
    assert sent_in_all >= 3
    assert denied >= 2


def choose_settings(connector: Connector, random: Random) -> None:
    Connector.unscoped.filter(pk=connector.pk).update(
        exit_excess=random.choice(["reverse", "close_only"]),
        mismatch=random.choice(["close_only", "reject", "follow"]),
        leverage=random.choice([1, 3, 10]),
        max_order_notional=random.choice([None, None, 600]),
        paused_at=random.choice([None, None, None, timezone.now()]),
    )


def request(bench: Bench, **message: str) -> Preview:
    text = json.dumps({"ticker": "BTCUSDT", "prev_position": "flat", "pointer": bench.pointer, **message})
    return previewing.request(bench.connector, text)


def ask(bench: Bench, **message: str) -> Preview:
    preview = request(bench, **message)
    assert answer_due() == 1
    preview.refresh_from_db()
    return preview


@both
def test_an_answer_has_the_legs_their_cost_and_the_account(bench: Bench, tap: Wiretap) -> None:
    Connector.unscoped.filter(pk=bench.connector.pk).update(leverage=10)

    preview = ask(bench, action="buy", quantity="0.01")

    answer = answer_in(preview)
    assert answer is not None
    [message] = answer.messages
    assert message.outline is not None
    assert message.inputs is not None
    assert message.inputs.account is not None
    [leg] = message.outline.legs
    is_spot = bench.connector.market == "spot"
    assert (leg.sentence.split()[0], leg.side, leg.value, message.inputs.account.available_quote) == (
        "Buy" if is_spot else "Open", "buy", 600, 10000,
    )  # fmt: skip
    if not is_spot:
        assert (leg.quantity, leg.margin, leg.leverage) == (10, 60, 10)
        assert message.liquidation is not None
        assert (round(message.liquidation.price, 2), str(message.liquidation.distance_pct)) == (
            Decimal("54244.10"), "9.59",
        )  # fmt: skip
    assert tap.take() == []
    assert (Order.unscoped.count(), Alert.unscoped.count(), bench.book()) == (0, 0, [])
    assert preview.next_at is None


def test_an_answer_names_limit_and_stops(futures: Bench) -> None:
    limit = {"order_type": "limit", "limit_price": "59000", "stop_loss_price": "57000"}
    preview = ask(futures, action="buy", quantity="0.01", **limit)

    answer = answer_in(preview)
    assert answer is not None
    [message] = answer.messages
    html = render_to_string("alerts/_preview_message.html", {"message": message, "connector": futures.connector})

    assert message.code == ""
    assert ">limit " in html
    assert "59,000.0" in html
    assert "stop loss at" in html
    assert "57,000.0" in html
    assert (Order.unscoped.count(), futures.book()) == (0, [])


@pytest.mark.parametrize(
    ("held", "quantity", "is_told"), [("0.01", "0.01", True), ("0.01", "0.004", False), ("", "0.01", True)]
)
def test_an_answer_names_the_entries_that_an_exit_takes_back(
    futures: Bench, held: str, quantity: str, is_told: bool
) -> None:
    if held:
        futures.send("buy", "flat", held)
    entry = resting(futures, "buy", "flat", "0.005", "59000")

    preview = ask(futures, action="sell", prev_position="long", quantity=quantity)

    answer = answer_in(preview)
    assert answer is not None
    assert answer.messages[0].taken_back == ((str(entry),) if is_told else ())
    assert Order.unscoped.get(pk=entry.pk).cancel_requested_at is None


@both
def test_a_refused_message_says_why_and_sends_nothing(bench: Bench, tap: Wiretap) -> None:
    Connector.unscoped.filter(pk=bench.connector.pk).update(paused_at=timezone.now())
    paused, unread, unknown = (
        ask(bench, action="buy", quantity="0.01"), ask(bench, action="buy", quantity="0"),
        ask(bench, action="buy", quantity="1", ticker="NOPE"),
    )  # fmt: skip

    [first], [second], [third] = (answer_in(one).messages for one in (paused, unread, unknown))
    assert first.outline.denial.code == "PAUSED"
    assert (second.code, second.outline) == ("ZERO", None)
    assert (third.code, third.inputs) == ("UNKNOWN_SYMBOL", None)
    assert tap.take() == []
    assert bench.book() == []


def test_a_pasted_pointer_is_cut_before_it_is_stored(futures: Bench) -> None:
    preview = ask(futures, action="buy", quantity="0.01")

    assert futures.pointer not in json.dumps([preview.text, preview.answer])
    assert f"••••{futures.pointer[-4:].lower()}" in preview.text


def test_a_preview_that_the_exchange_does_not_answer_gives_up_and_says_so(futures: Bench) -> None:
    futures.fault("status", "/contract/private/position-v2", status=502, accepted=False, times=20)
    preview = request(futures, action="buy", quantity="1")
    for _ in range(previewing.MOST_TRIES):
        Preview.unscoped.update(next_at=timezone.now() - timedelta(seconds=1))
        answer_due()

    preview.refresh_from_db()
    assert preview.reason_code == "EXCHANGE_UNREACHABLE"
    assert preview.reason.endswith("Nothing was sent.")
    assert (preview.next_at, preview.is_waiting) == (None, False)


def test_a_preview_that_another_worker_answered_meanwhile_is_not_asked_again(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    preview = request(futures, action="buy", quantity="1")

    def hangs(*_: object) -> None:
        """Longer than the claim: whoever came next has answered it by now."""
        Preview.unscoped.update(next_at=None, answered_at=timezone.now(), answer={"messages": []})
        raise UnreachableError("no answer")

    monkeypatch.setattr(previewing, "_message", hangs)

    assert answer_due() == 1

    preview.refresh_from_db()
    assert (preview.next_at, preview.reason_code, preview.answer) == (None, "", {"messages": []})


def test_a_preview_on_which_our_own_code_fails_is_put_aside_and_says_so(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(previewing, "resolve", broken)
    preview = request(futures, action="buy", quantity="1")
    for _ in range(previewing.MOST_TRIES):
        with pytest.raises(RuntimeError):
            answer_due()
        Preview.unscoped.update(next_at=timezone.now() - timedelta(seconds=1))

    assert answer_due() == 1

    preview.refresh_from_db()
    assert (preview.reason_code, preview.next_at, preview.is_waiting) == ("INTERNAL_ERROR", None, False)
    assert preview.reason == "Something went wrong on our side. Please tell support. Nothing was sent."


def test_questions_are_limited_because_each_asks_the_exchange(futures: Bench) -> None:
    for _ in range(previewing.MOST_A_MINUTE):
        previewing.request(futures.connector, "{}")

    with pytest.raises(PreviewLimitError):
        previewing.request(futures.connector, "{}")
    assert Preview.unscoped.count() == previewing.MOST_A_MINUTE


@both
def test_a_test_alert_is_answered_and_sends_nothing(bench: Bench, tap: Wiretap) -> None:
    alert = bench.send("sell", "long", "0.01", test="true")
    assert (alert.status, tap.take()) == ("tested", [])

    answer_due()

    preview = Preview.unscoped.get(alert=alert)
    [message] = answer_in(preview).messages
    assert message.outline.denial.code in {"NOTHING_TO_CLOSE", "SPOT_NO_SHORT"}
    assert tap.take() == []
    assert bench.book() == []


def test_what_a_preview_opens_cannot_trade() -> None:
    trading = {"submit", "cancel", "cancel_all", "submit_batch", "set_leverage", "transfer", "submit_trigger"}

    assert not trading & set(dir(Look))
    assert Look.__slots__ == ("balances", "fee_rates", "position_mode", "positions")
