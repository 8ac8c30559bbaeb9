"""Every cell of action × previous position × actual position × account, as one table."""

import pytest

from apps.connectors.policies import ExitExcess, Mismatch
from apps.trading.legs import Holding, Intent, NoteCode, PlanSettings
from tests.trading.pure.build import CLOSE_ALL, brief, hold, order, plan_for

ACTUAL = {"flat": hold(), "long": hold(long="5"), "short": hold(short="5")}
NOTHING = "nothing NOTHING_TO_CLOSE"
MISMATCH = "denied POSITION_MISMATCH"

# action, prev, actual (5 held): default (close_only), follow, reject. Quantity 8.
ONE_WAY = [
    ("buy", "flat", "flat", "o:buy 8 net", "o:buy 8 net", "o:buy 8 net"),
    ("buy", "flat", "long", "o:buy 8 net", "o:buy 8 net", "o:buy 8 net"),
    ("buy", "flat", "short", "c:buy 5 net reduce; o:buy 8 net after c", "o:buy 8 net", MISMATCH),
    ("buy", "long", "flat", "o:buy 8 net", "o:buy 8 net", MISMATCH),
    ("buy", "long", "long", "o:buy 8 net", "o:buy 8 net", "o:buy 8 net"),
    ("buy", "long", "short", "c:buy 5 net reduce; o:buy 8 net after c", "o:buy 8 net", MISMATCH),
    ("buy", "short", "flat", NOTHING, "o:buy 8 net", MISMATCH),
    ("buy", "short", "long", NOTHING, "o:buy 8 net", MISMATCH),
    ("buy", "short", "short", *["c:buy 5 net reduce; o:buy 3 net after c"] * 3),
    ("sell", "flat", "flat", "o:sell 8 net", "o:sell 8 net", "o:sell 8 net"),
    ("sell", "flat", "long", "c:sell 5 net reduce; o:sell 8 net after c", "o:sell 8 net", MISMATCH),
    ("sell", "flat", "short", "o:sell 8 net", "o:sell 8 net", "o:sell 8 net"),
    ("sell", "long", "flat", NOTHING, "o:sell 8 net", MISMATCH),
    ("sell", "long", "long", *["c:sell 5 net reduce; o:sell 3 net after c"] * 3),
    ("sell", "long", "short", NOTHING, "o:sell 8 net", MISMATCH),
    ("sell", "short", "flat", "o:sell 8 net", "o:sell 8 net", MISMATCH),
    ("sell", "short", "long", "c:sell 5 net reduce; o:sell 8 net after c", "o:sell 8 net", MISMATCH),
    ("sell", "short", "short", "o:sell 8 net", "o:sell 8 net", "o:sell 8 net"),
]

# The same five-key messages on an account in hedge mode.
PLAIN_ON_HEDGE = [
    ("buy", "flat", "flat", "o:buy 8 long", "o:buy 8 long", "o:buy 8 long"),
    ("buy", "flat", "long", "o:buy 8 long", "o:buy 8 long", "o:buy 8 long"),
    ("buy", "flat", "short", "c:buy 5 short reduce; o:buy 8 long after c", "o:buy 8 long", MISMATCH),
    ("buy", "long", "flat", "o:buy 8 long", "o:buy 8 long", MISMATCH),
    ("buy", "long", "long", "o:buy 8 long", "o:buy 8 long", "o:buy 8 long"),
    ("buy", "long", "short", "c:buy 5 short reduce; o:buy 8 long after c", "o:buy 8 long", MISMATCH),
    ("buy", "short", "flat", NOTHING, "o:buy 8 long", MISMATCH),
    ("buy", "short", "long", NOTHING, "o:buy 8 long", MISMATCH),
    ("buy", "short", "short", *["c:buy 5 short reduce; o:buy 3 long after c"] * 3),
    ("sell", "flat", "flat", "o:sell 8 short", "o:sell 8 short", "o:sell 8 short"),
    ("sell", "flat", "long", "c:sell 5 long reduce; o:sell 8 short after c", "o:sell 8 short", MISMATCH),
    ("sell", "flat", "short", "o:sell 8 short", "o:sell 8 short", "o:sell 8 short"),
    ("sell", "long", "flat", NOTHING, "o:sell 8 short", MISMATCH),
    ("sell", "long", "long", *["c:sell 5 long reduce; o:sell 3 short after c"] * 3),
    ("sell", "long", "short", NOTHING, "o:sell 8 short", MISMATCH),
    ("sell", "short", "flat", "o:sell 8 short", "o:sell 8 short", MISMATCH),
    ("sell", "short", "long", "c:sell 5 long reduce; o:sell 8 short after c", "o:sell 8 short", MISMATCH),
    ("sell", "short", "short", "o:sell 8 short", "o:sell 8 short", "o:sell 8 short"),
]

# With the hedge key each book is its own position: the other one is never touched, and FOLLOW has nothing to exit from.
HEDGE = [
    ("buy", "flat", "flat", "o:buy 8 long", "o:buy 8 long", "o:buy 8 long"),
    ("buy", "flat", "long", "o:buy 8 long", "o:buy 8 long", "o:buy 8 long"),
    ("buy", "flat", "short", "o:buy 8 long", "o:buy 8 long", "o:buy 8 long"),
    ("buy", "long", "flat", "o:buy 8 long", "o:buy 8 long", MISMATCH),
    ("buy", "long", "long", "o:buy 8 long", "o:buy 8 long", "o:buy 8 long"),
    ("buy", "long", "short", "o:buy 8 long", "o:buy 8 long", MISMATCH),
    ("buy", "short", "flat", NOTHING, NOTHING, MISMATCH),
    ("buy", "short", "long", NOTHING, NOTHING, MISMATCH),
    ("buy", "short", "short", *["c:buy 5 short reduce; o:buy 3 long after c"] * 3),
    ("sell", "flat", "flat", "o:sell 8 short", "o:sell 8 short", "o:sell 8 short"),
    ("sell", "flat", "long", "o:sell 8 short", "o:sell 8 short", "o:sell 8 short"),
    ("sell", "flat", "short", "o:sell 8 short", "o:sell 8 short", "o:sell 8 short"),
    ("sell", "long", "flat", NOTHING, NOTHING, MISMATCH),
    ("sell", "long", "long", *["c:sell 5 long reduce; o:sell 3 short after c"] * 3),
    ("sell", "long", "short", NOTHING, NOTHING, MISMATCH),
    ("sell", "short", "flat", "o:sell 8 short", "o:sell 8 short", MISMATCH),
    ("sell", "short", "long", "o:sell 8 short", "o:sell 8 short", MISMATCH),
    ("sell", "short", "short", "o:sell 8 short", "o:sell 8 short", "o:sell 8 short"),
]

UNKNOWN_SIZE = "denied SPOT_REVERSAL_SIZE_UNKNOWN"
NO_SHORT = "nothing SPOT_NO_SHORT"
SPOT_ROWS = [
    ("buy", "flat", "flat", "o:buy 8 net", "o:buy 8 net", "o:buy 8 net"),
    ("buy", "flat", "long", "o:buy 8 net", "o:buy 8 net", "o:buy 8 net"),
    ("buy", "long", "flat", "o:buy 8 net", "o:buy 8 net", MISMATCH),
    ("buy", "long", "long", "o:buy 8 net", "o:buy 8 net", "o:buy 8 net"),
    ("buy", "short", "flat", *[UNKNOWN_SIZE] * 3),
    ("buy", "short", "long", *[UNKNOWN_SIZE] * 3),
    ("sell", "flat", "flat", *[NO_SHORT] * 3),
    ("sell", "flat", "long", *[NO_SHORT] * 3),
    ("sell", "long", "flat", NOTHING, NOTHING, MISMATCH),
    ("sell", "long", "long", *["c:sell 5 net"] * 3),
    ("sell", "short", "flat", *[NO_SHORT] * 3),
    ("sell", "short", "long", *[NO_SHORT] * 3),
]

CELLS = [
    pytest.param(mode, hedge, action, prev, actual, policy, expected, id=f"{kind}-{action}-{prev}-{actual}-{policy}")
    for kind, mode, hedge, rows in [
        ("one_way", "one_way", False, ONE_WAY),
        ("plain_on_hedge", "hedge", False, PLAIN_ON_HEDGE),
        ("hedge", "hedge", True, HEDGE),
        ("spot", "spot", False, SPOT_ROWS),
    ]
    for action, prev, actual, *results in rows
    for policy, expected in zip((Mismatch.CLOSE_ONLY, Mismatch.FOLLOW, Mismatch.REJECT), results, strict=True)
]


@pytest.mark.parametrize(("mode", "hedge", "action", "prev", "actual", "policy", "expected"), CELLS)
def test_cell_has_exactly_these_legs(
    mode: str, hedge: bool, action: str, prev: str, actual: str, policy: Mismatch, expected: str
) -> None:
    signal = order(action, prev, "8", hedge=hedge)

    result = plan_for(signal, ACTUAL[actual], mode=mode, settings=PlanSettings(mismatch=policy))

    assert brief(result) == expected
    assert result.claimed == prev
    assert result.actual == ACTUAL[actual]


def test_table_has_every_cell() -> None:
    assert (len(ONE_WAY), len(PLAIN_ON_HEDGE), len(HEDGE), len(SPOT_ROWS)) == (18, 18, 18, 12)


@pytest.mark.parametrize(
    ("action", "prev", "held", "book"),
    [("sell", "long", hold(long="5"), "long"), ("buy", "short", hold(short="5"), "short")],
)
@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ("0.001", "0.001"),
        ("3", "3"),
        ("4.9999", "4.999"),
        ("5", "5"),
        ("5.0009", "5"),
        ("5.05", "5"),
    ],
)
@pytest.mark.parametrize("mode", ["one_way", "hedge"])
def test_exit_up_to_the_tolerance_only_reduces(
    action: str, prev: str, held: Holding, book: str, quantity: str, expected: str, mode: str
) -> None:
    result = plan_for(order(action, prev, quantity), held, mode=mode)

    assert brief(result) == f"c:{action} {expected} {book if mode == 'hedge' else 'net'} reduce"


def test_reversal_closes_five_and_opens_five() -> None:
    result = plan_for(order("sell", "long", "10"), hold(long="5"))

    assert brief(result) == "c:sell 5 net reduce; o:sell 5 net after c"
    assert [leg.intent for leg in result.legs] == [Intent.EXIT, Intent.ENTRY]
    assert [leg.is_whole for leg in result.legs] == [True, False]
    assert result.legs[0].sentence == "Close the whole long position of 5 contracts on BTCUSDT"
    assert result.legs[1].sentence == "Open short 5 contracts on BTCUSDT when the closing order is filled"


def test_dust_beyond_the_position_opens_no_short() -> None:
    result = plan_for(order("sell", "long", "5"), hold(long="4.999"))

    assert brief(result) == "c:sell 4.999 net reduce"
    assert [note.code for note in result.notes] == [NoteCode.EXCESS_WITHIN_TOLERANCE]
    assert result.notes[0].facts == {"excess": "0.001"}


@pytest.mark.parametrize("mode", ["one_way", "hedge"])
def test_close_only_pointer_never_opens_on_an_exit(mode: str) -> None:
    settings = PlanSettings(exit_excess=ExitExcess.CLOSE_ONLY)

    result = plan_for(order("sell", "long", "1000"), hold(long="5"), mode=mode, settings=settings)

    assert brief(result) == f"c:sell 5 {'long' if mode == 'hedge' else 'net'} reduce"
    assert result.notes[0].code is NoteCode.EXCESS_NOT_OPENED


def test_close_only_pointer_ignores_even_a_stated_reversal() -> None:
    settings = PlanSettings(exit_excess=ExitExcess.CLOSE_ONLY)
    signal = order("sell", "long", "10", market_position="short", market_position_size="5")

    assert brief(plan_for(signal, hold(long="5"), settings=settings)) == "c:sell 5 net reduce"


@pytest.mark.parametrize("mode", ["one_way", "spot"])
def test_hedge_message_is_refused_where_there_are_no_books(mode: str) -> None:
    result = plan_for(order("buy", "flat", "1", hedge=True), hold(), mode=mode)

    assert brief(result) == "denied HEDGE_MODE_MISMATCH"
    assert result.denial is not None
    found = "a spot account" if mode == "spot" else "in one-way mode"
    assert result.denial.facts["found"] == found
    assert found in result.denial.sentence


@pytest.mark.parametrize(
    ("mode", "holding", "expected"),
    [
        ("one_way", hold(), NOTHING),
        ("one_way", hold(long="5"), "c:sell 5 net reduce"),
        ("one_way", hold(short="5"), "c:buy 5 net reduce"),
        ("hedge", hold(), NOTHING),
        ("hedge", hold(long="5"), "l:sell 5 long reduce"),
        ("hedge", hold(short="5"), "s:buy 5 short reduce"),
        ("hedge", hold(long="5", short="3"), "l:sell 5 long reduce; s:buy 3 short reduce"),
        ("spot", hold(), NOTHING),
        ("spot", hold(long="0.000009"), NOTHING),
        ("spot", hold(long="1.234567"), "c:sell 1.23456 net"),
    ],
)
def test_close_all_closes_what_is_held(mode: str, holding: Holding, expected: str) -> None:
    result = plan_for(CLOSE_ALL, holding, mode=mode)

    assert brief(result) == expected
    assert all(leg.is_whole for leg in result.legs)


def test_nothing_to_close_is_no_error() -> None:
    result = plan_for(CLOSE_ALL, hold())

    assert result.denial is None
    assert result.outcome is not None
    assert result.outcome_code == "NOTHING_TO_CLOSE"
    assert not result.outcome.is_error
    assert result.outcome.sentence == (
        "Nothing to close on BTCUSDT: the account holds flat. No order was sent. "
        "Nothing to do unless you expected a position there."
    )


def test_mismatch_says_both_sides() -> None:
    result = plan_for(order("buy", "flat", "1"), hold(short="5"), settings=PlanSettings(mismatch=Mismatch.REJECT))

    assert result.denial is not None
    assert result.denial.facts == {"claimed": "flat", "actual": "short 5 contracts", "symbol": "BTCUSDT"}
