"""Any alert run again against its frozen inputs gives the same plan; with another setting the difference is shown."""

import io
import re
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from apps.alerts.models import Alert
from apps.connectors.models import Connector
from apps.trading.models import PlanRecord
from apps.trading.records import inputs_in, outline_in
from apps.trading.replaying import Replay, SettingError, replay
from tests.engine.conftest import Bench
from tests.engine.replays import assert_replays
from tests.people import member

# Each line meets what the ones before it left: entries, adds, reversals, exits too large, shorts that spot cannot hold.
STORY = [
    ("buy", "flat", "0.01"), ("buy", "long", "0.004"), ("sell", "long", "0.005"), ("sell", "long", "0.015"),
    ("buy", "short", "0.002"), ("buy", "short", "0.009"), ("sell", "flat", "0.003"), ("buy", "flat", "0.00000001"),
    ("buy", "flat", "0.9"), ("sell", "long", "0.02"), ("sell", "long", "0.02"),
]  # fmt: skip


def again(alert: Alert, **changes: str) -> Replay:
    record = PlanRecord.unscoped.get(origin_id=alert.pk)
    return replay(inputs_in(record), outline_in(record), changes=changes)


@pytest.mark.parametrize("market", ["futures", "spot"])
@pytest.mark.parametrize("mismatch", ["close_only", "reject", "follow"])
def test_a_whole_story_is_decided_the_same_again(market: str, mismatch: str, request: pytest.FixtureRequest) -> None:
    bench: Bench = request.getfixturevalue(market)
    Connector.unscoped.filter(pk=bench.connector.pk).update(mismatch=mismatch)

    for action, prev, quantity in STORY:
        bench.send(action, prev, quantity)
    # What holds today does not count: only what was frozen does.
    Connector.unscoped.filter(pk=bench.connector.pk).update(trading_state="halted", leverage=50, mismatch="reject")

    assert assert_replays() == len(STORY)
    outlines = [outline_in(record) for record in PlanRecord.unscoped.all()]
    assert sum(bool(outline.legs) for outline in outlines) >= 3
    assert sum(outline.denial is not None for outline in outlines) >= 2


def test_an_exit_too_large_with_the_excess_left_out(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    alert = futures.send("sell", "long", "0.015")
    posted = len(futures.book())

    found = again(alert, exit_excess="close_only")

    assert not found.is_same
    assert [(pair.code, pair.is_same, pair.after is None) for pair in found.pairs] == [
        ("c", True, False), ("o", False, True),
    ]  # fmt: skip
    assert [note.code for note in found.after.notes] == ["EXCESS_NOT_OPENED"]
    assert len(futures.book()) == posted


def test_a_limit_raised_lets_the_alert_through_and_one_lowered_stops_it(futures: Bench) -> None:
    refused, sent = futures.send("buy", "flat", "0.02"), futures.send("buy", "flat", "0.01")

    raised = again(refused, max_order_notional="2000")
    lowered = again(sent, max_order_notional="599", leverage="10")

    assert raised.before.denial is not None
    assert raised.before.denial.code == "MAX_ORDER_NOTIONAL"
    assert (raised.after.denial, raised.after.legs[0].quantity) == (None, 20)
    assert lowered.before.denial is None
    assert lowered.after.denial is not None
    assert lowered.after.denial.code == "MAX_ORDER_NOTIONAL"
    assert (lowered.before.legs[0].margin, lowered.after.legs[0].margin) == (Decimal(600), Decimal(60))
    assert len(futures.book()) == 1


def test_what_nobody_read_then_is_not_made_up(futures: Bench) -> None:
    alert = futures.send("sell", "long", "0.01")
    assert alert.reason_code == "NOTHING_TO_CLOSE"

    found = again(alert, mismatch="follow")

    assert (found.is_same, found.missing) == (False, "the fee rates were not read")


@pytest.mark.parametrize(
    "change",
    [
        {"mismatch": "maybe"}, {"leverage": "much"}, {"leverage": "0"}, {"leverage": "NaN"}, {"leverage": "Infinity"},
        {"max_order_notional": "NaN"}, {"colour": "red"},
    ],
)  # fmt: skip
def test_a_setting_that_is_none_is_refused(futures: Bench, change: dict[str, str]) -> None:
    alert = futures.send("buy", "flat", "0.01")

    with pytest.raises(SettingError):
        again(alert, **change)


def test_the_command_says_same_or_shows_both(futures: Bench) -> None:
    alert = futures.send("buy", "flat", "0.01")
    out = io.StringIO()

    call_command("replay_alert", str(alert.pk), stdout=out)
    with pytest.raises(CommandError, match="the plans differ"):
        call_command("replay_alert", str(alert.pk), "--set", "max_order_notional=500", stdout=out)

    name = futures.order().client_order_id
    assert out.getvalue().splitlines() == [
        "before: 1 orders", f"  o buy 10 {name}", "again: the same plan",
        "before: 1 orders", f"  o buy 10 {name}",
        "again: MAX_ORDER_NOTIONAL", f"  o buy 10 {name} not sent: MAX_ORDER_NOTIONAL",
    ]  # fmt: skip
    assert len(futures.book()) == 1


def test_the_page_shows_the_plans_side_by_side_and_sends_nothing(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    alert = futures.send("sell", "long", "0.015")
    person = member(workspace=futures.connector.workspace)
    address = reverse("alerts:replay", args=[alert.pk])

    same = person.client.get(address).content.decode()
    other = person.client.get(address, {"exit_excess": "close_only", "leverage": "5"})

    assert "every figure and every order id is the same" in same
    assert other.context["changes"] == {"exit_excess": "close_only", "leverage": "5"}
    assert [len(outline.legs) for outline in (other.context["replay"].before, other.context["replay"].after)] == [2, 1]
    assert "Another plan" in other.content.decode()
    assert re.findall(r'aria-label="(Planned orders[^"]*)"', same) == ["Planned orders, then", "Planned orders, again"]
    assert len(futures.book()) == 3


def test_a_setting_that_is_not_accepted_gets_no_verdict(futures: Bench) -> None:
    alert = futures.send("buy", "flat", "0.01")
    person = member(workspace=futures.connector.workspace)

    html = person.client.get(reverse("alerts:replay", args=[alert.pk]), {"leverage": "5000"}).content.decode()

    assert "Not decided again" in html
    assert "less than or equal to 1000" in html
    assert 'value="5000"' in html
    assert [text for text in ("The same plan", 'id="again"') if text in html] == []


def test_an_alert_that_was_not_planned_says_so(futures: Bench) -> None:
    alert = futures.send("buy", "flat", "0")

    html = member(workspace=futures.connector.workspace).client.get(reverse("alerts:replay", args=[alert.pk]))

    assert "Nothing to run again" in html.content.decode()
