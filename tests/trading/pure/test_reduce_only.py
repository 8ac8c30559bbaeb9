"""A message with `reduce_only` caps to what is held and opens nothing, whatever is set."""

from decimal import Decimal

import pytest

from apps.connectors.policies import ExitExcess, Mismatch
from apps.trading.legs import Holding, PlanSettings, ShadowPosition
from apps.trading.signal import Signal
from tests.trading.pure.build import brief, hold, order, plan_for


def reducing(action: str, prev: str, quantity: str, **extra: object) -> Signal:
    return order(action, prev, quantity, reduce_only=True, **extra)


FUTURES = [
    (reducing("sell", "long", "8"), hold(long="5"), "c:sell 5 net reduce"),
    (reducing("sell", "long", "3"), hold(long="5"), "c:sell 3 net reduce"),
    # Against what is really held, whatever the message says was held before.
    (reducing("buy", "flat", "8"), hold(short="5"), "c:buy 5 net reduce"),
    (reducing("buy", "flat", "8"), hold(long="5"), "nothing NOTHING_TO_CLOSE"),
    (reducing("buy", "long", "8"), hold(long="5"), "nothing NOTHING_TO_CLOSE"),
    (reducing("sell", "long", "8"), hold(), "nothing NOTHING_TO_CLOSE"),
    (
        reducing("sell", "long", "8", market_position="short", market_position_size="3"),
        hold(),
        "nothing NOTHING_TO_CLOSE",
    ),
    (
        reducing("sell", "long", "8", market_position="short", market_position_size="3"),
        hold(long="5"),
        "c:sell 5 net reduce",
    ),
]


@pytest.mark.parametrize(("signal", "held", "expected"), FUTURES)
@pytest.mark.parametrize("mismatch", [Mismatch.CLOSE_ONLY, Mismatch.FOLLOW])
@pytest.mark.parametrize("excess", ExitExcess)
def test_futures(signal: Signal, held: Holding, expected: str, mismatch: Mismatch, excess: ExitExcess) -> None:
    assert brief(plan_for(signal, held, settings=PlanSettings(excess, mismatch))) == expected


def test_a_missing_position_is_still_refused_where_that_is_set() -> None:
    settings = PlanSettings(mismatch=Mismatch.REJECT)

    assert brief(plan_for(reducing("sell", "long", "8"), hold(), settings=settings)) == "denied POSITION_MISMATCH"


def test_hedge_books_are_reduced_each_by_itself() -> None:
    signal = reducing("sell", "long", "8", hedge=True)

    assert brief(plan_for(signal, hold(long="5", short="2"), mode="hedge")) == "c:sell 5 long reduce"


def test_spot_sells_what_is_held_and_keeps_no_short() -> None:
    for prev in ("long", "flat", "short"):
        result = plan_for(reducing("sell", prev, "8"), hold(long="5"), mode="spot")
        assert (brief(result), result.shadow_after) == ("c:sell 5 net", ShadowPosition())


def test_spot_buys_nothing() -> None:
    short = ShadowPosition(Decimal(3))

    covered = plan_for(reducing("buy", "short", "2"), hold(), mode="spot", shadow=short)
    assert (brief(covered), covered.shadow_after) == ("nothing NOTHING_TO_CLOSE", ShadowPosition(Decimal(1)))
    assert brief(plan_for(reducing("buy", "flat", "2"), hold(), mode="spot")) == "nothing NOTHING_TO_CLOSE"
