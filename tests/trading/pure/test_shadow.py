"""Spot: the short that cannot be held is remembered, so that the buy that covers it does not double the spend."""

from decimal import Decimal

import pytest

from apps.connectors.policies import ExitExcess
from apps.trading.legs import NoteCode, PlanSettings, ShadowPosition
from apps.trading.signal import Signal
from tests.trading.pure.build import CLOSE_ALL, brief, hold, order, plan_for


def short(size: str) -> ShadowPosition:
    return ShadowPosition(Decimal(size))


@pytest.mark.parametrize(
    ("signal", "free", "before", "expected", "after"),
    [
        # Long/short script: long 1, reversal to short 1 (sell 2), reversal to long 1 (buy 2).
        (order("buy", "flat", "1"), "0", None, "o:buy 1 net", short("0")),
        (order("sell", "long", "2"), "0.999", None, "c:sell 0.999 net", short("1.001")),
        (order("buy", "short", "2"), "0", short("1.001"), "o:buy 0.999 net", short("0")),
        # Fees ate base coin: clamped, and no short is believed.
        (order("sell", "long", "1"), "0.999", None, "c:sell 0.999 net", short("0")),
        (order("sell", "long", "0.4"), "1", None, "c:sell 0.4 net", short("0")),
        # Shorts from flat, added to, partly and wholly covered.
        (order("sell", "flat", "1"), "0", short("7"), "nothing SPOT_NO_SHORT", short("1")),
        (order("sell", "short", "1"), "0", short("2"), "nothing SPOT_NO_SHORT", short("3")),
        (order("sell", "short", "1"), "0", None, "nothing SPOT_NO_SHORT", None),
        (order("buy", "short", "1"), "0", short("3"), "nothing SPOT_NO_SHORT", short("2")),
        (order("buy", "short", "3"), "0", short("3"), "nothing SPOT_NO_SHORT", short("0")),
        (order("buy", "short", "5"), "0", short("3"), "o:buy 2 net", short("0")),
        # Without history.
        (order("buy", "short", "2"), "0", None, "denied SPOT_REVERSAL_SIZE_UNKNOWN", None),
        (order("buy", "short", "2"), "0", short("0"), "denied SPOT_REVERSAL_SIZE_UNKNOWN", None),
        (order("buy", "short", "2", market_position_size="1"), "0", None, "o:buy 1 net", short("0")),
        (order("buy", "short", "2", prev_market_position_size="0.5"), "0", None, "o:buy 1.5 net", short("0")),
        # The stated target wins over the shadow.
        (
            order("buy", "short", "2", market_position="long", market_position_size="1"),
            "0",
            short("0.2"),
            "o:buy 1 net",
            short("0"),
        ),
        (order("buy", "short", "2", market_position="flat"), "0", short("0.2"), "nothing SPOT_NO_SHORT", short("0")),
        (
            order("sell", "long", "2", market_position="short", market_position_size="1"),
            "0.5",
            None,
            "c:sell 0.5 net",
            short("1"),
        ),
        (order("sell", "long", "2", market_position="flat"), "0.5", None, "c:sell 0.5 net", short("0")),
        # Coins that the strategy did not buy are not sold to reach its target.
        (
            order("sell", "long", "1", market_position="flat", market_position_size="0", prev_market_position_size="1"),
            "10",
            None,
            "c:sell 1 net",
            short("0"),
        ),
        # Nothing held: an exit sells nothing and no guess is kept.
        (order("sell", "long", "2"), "0", short("0"), "nothing NOTHING_TO_CLOSE", None),
        (CLOSE_ALL, "1.5", short("2"), "c:sell 1.5 net", short("0")),
    ],
)
def test_spot_signal_becomes(
    signal: Signal, free: str, before: ShadowPosition | None, expected: str, after: ShadowPosition | None
) -> None:
    result = plan_for(signal, hold(long=free), mode="spot", shadow=before)

    assert brief(result) == expected
    assert result.shadow_after == after


def test_no_short_is_ignored_and_not_an_error() -> None:
    result = plan_for(order("sell", "flat", "1"), hold(), mode="spot")

    assert result.denial is None
    assert result.outcome is not None
    assert result.outcome.verdict == "ignored"
    assert not result.outcome.is_error


def test_clamp_is_noted() -> None:
    result = plan_for(order("sell", "long", "1"), hold(long="0.999"), mode="spot")

    assert result.notes[0].code is NoteCode.CLAMPED_TO_HELD
    assert result.notes[0].facts == {"asked": "1", "held": "0.999"}


def test_close_only_pointer_believes_no_short() -> None:
    settings = PlanSettings(exit_excess=ExitExcess.CLOSE_ONLY)

    result = plan_for(order("sell", "long", "1000"), hold(long="1"), mode="spot", settings=settings)

    assert brief(result) == "c:sell 1 net"
    assert result.shadow_after == short("0")


def test_unknown_reversal_size_names_the_placeholder_to_add() -> None:
    result = plan_for(order("buy", "short", "2"), hold(), mode="spot")

    assert result.denial is not None
    assert '"market_position_size": "{{strategy.market_position_size}}"' in result.denial.sentence
