"""Runs of alerts, in the order sent and in the order that networks deliver them."""

from dataclasses import replace
from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.connectors.policies import ExitExcess, Mismatch
from apps.trading.legs import Holding, Intent, NoteCode, PlanSettings, ShadowPosition
from apps.trading.signal import Signal
from tests.trading.pure.build import CONTRACTS, brief, fill_all, hold, order, plan_for


def run(signals: list[Signal], holding: Holding, *, mode: str = "one_way") -> Holding:
    for signal in signals:
        holding = fill_all(plan_for(signal, holding, mode=mode), holding, has_books=mode == "hedge")
    return holding


# Two exits of 2 and 3 from a long of 5, plain and with both sizes stated, in either order of arrival.
PLAIN_EXITS = [order("sell", "long", "2"), order("sell", "long", "3")]
STATED_EXITS = [
    order("sell", "long", "2", market_position="long", market_position_size="3", prev_market_position_size="5"),
    order("sell", "long", "3", market_position="flat", market_position_size="0", prev_market_position_size="3"),
]


@pytest.mark.parametrize("signals", [PLAIN_EXITS, STATED_EXITS], ids=["plain", "stated"])
@pytest.mark.parametrize("mode", ["one_way", "hedge", "spot"])
def test_two_partial_exits_end_flat_in_any_order(signals: list[Signal], mode: str) -> None:
    for arrived in permutations(signals):
        assert run(list(arrived), hold(long="5"), mode=mode) == hold()


@pytest.mark.parametrize("mode", ["one_way", "hedge"])
@pytest.mark.parametrize("is_stated", [False, True])
def test_close_and_open_end_short_in_any_order(mode: str, is_stated: bool) -> None:
    close_size: dict[str, object] = {"market_position": "flat", "market_position_size": "0"} if is_stated else {}
    open_size: dict[str, object] = {"market_position": "short", "market_position_size": "5"} if is_stated else {}
    close = order("sell", "long", "5", **close_size)
    open_short = order("sell", "flat", "5", **open_size)

    for arrived in permutations([close, open_short]):
        assert run(list(arrived), hold(long="5"), mode=mode) == hold(short="5")


def test_pyramided_reversal_ends_long_three() -> None:
    signals = [order("buy", "short", "4"), order("buy", "long", "1"), order("buy", "long", "1")]

    assert run(signals, hold(short="3")) == hold(long="3")


@pytest.mark.parametrize(
    ("signal", "holding", "expected"),
    [
        # The target tells an exit from a reversal, whatever the arithmetic says.
        (order("sell", "long", "10", market_position="flat"), hold(long="5"), "c:sell 5 net reduce"),
        (order("sell", "long", "10", market_position="long"), hold(long="5"), "c:sell 5 net reduce"),
        (
            order("sell", "long", "12", market_position="short", market_position_size="5"),
            hold(long="5"),
            "c:sell 5 net reduce; o:sell 5 net after c",
        ),
        (
            order("sell", "long", "10", market_position_size="5", prev_market_position_size="5"),
            hold(long="7"),
            "c:sell 7 net reduce; o:sell 5 net after c",
        ),
        (
            order("sell", "long", "10", market_position="short", market_position_size="5"),
            hold(),
            "o:sell 5 net",
        ),
        (
            order("sell", "long", "10", market_position="short", market_position_size="5"),
            hold(short="2"),
            "o:sell 3 net",
        ),
        (
            order("sell", "long", "10", market_position="short", market_position_size="5"),
            hold(short="5"),
            "nothing NOTHING_TO_CLOSE",
        ),
        # Down to the stated rest, and not below it.
        (
            order("sell", "long", "1", market_position="long", market_position_size="2"),
            hold(long="5"),
            "c:sell 3 net reduce",
        ),
        (
            order("sell", "long", "1", market_position="long", market_position_size="2"),
            hold(long="2"),
            "nothing ALREADY_AT_TARGET",
        ),
        # An entry stops at the target and never exceeds what it asked for.
        (order("buy", "flat", "3", market_position="long", market_position_size="3"), hold(long="1"), "o:buy 2 net"),
        (
            order("buy", "flat", "3", market_position="long", market_position_size="3"),
            hold(long="3"),
            "nothing ALREADY_AT_TARGET",
        ),
        (order("buy", "long", "3", market_position="long", market_position_size="8"), hold(), "o:buy 3 net"),
        # A typed quantity beside live placeholders: the sizes are another order's and are set aside.
        (
            order(
                "buy", "flat", "0.1", market_position="long", market_position_size="1000", prev_market_position_size="0"
            ),
            hold(),
            "o:buy 0.1 net",
        ),
        (
            order(
                "sell",
                "long",
                "0.1",
                market_position="long",
                market_position_size="500",
                prev_market_position_size="1000",
            ),
            hold(long="0.2"),
            "c:sell 0.1 net reduce",
        ),
    ],
)
def test_stated_target_wins_over_arithmetic(signal: Signal, holding: Holding, expected: str) -> None:
    assert brief(plan_for(signal, holding)) == expected


def test_contradicting_sizes_are_set_aside_and_noted() -> None:
    signal = order("buy", "flat", "0.1", market_position="long", market_position_size="1000")

    result = plan_for(signal, hold())

    assert [note.code for note in result.notes] == [NoteCode.TARGET_DISREGARDED]


# A strategy whose message has "flat" typed as the previous position: its exits look like entries.
TYPED = [
    (order("sell", "flat", "5", market_position="flat"), hold(long="5"), "c:sell 5 net reduce"),
    (order("sell", "flat", "5", market_position_size="0"), hold(long="5"), "c:sell 5 net reduce"),
    (
        order("sell", "flat", "2", market_position="long", market_position_size="3"),
        hold(long="5"),
        "c:sell 2 net reduce",
    ),
    (order("sell", "flat", "2", market_position="long"), hold(long="5"), "c:sell 2 net reduce"),
    (
        order("sell", "flat", "2", market_position="long", market_position_size="5"),
        hold(long="5"),
        "nothing ALREADY_AT_TARGET",
    ),
    (order("sell", "flat", "5", market_position="flat"), hold(), "denied TARGET_CONTRADICTS"),
    (order("sell", "flat", "5", market_position="flat"), hold(short="5"), "denied TARGET_CONTRADICTS"),
    (order("buy", "long", "5", market_position="short"), hold(long="5"), "denied TARGET_CONTRADICTS"),
]


@pytest.mark.parametrize(("signal", "holding", "expected"), TYPED)
def test_entry_that_is_stated_to_end_on_another_side_opens_nothing(
    signal: Signal, holding: Holding, expected: str
) -> None:
    result = plan_for(signal, holding)

    assert brief(result) == expected
    assert NoteCode.TARGET_DISREGARDED not in [note.code for note in result.notes]


def test_entry_that_is_stated_to_end_on_another_side_follows_what_is_set_for_a_mismatch() -> None:
    signal = order("sell", "flat", "5", market_position="flat")
    reject, follow = PlanSettings(mismatch=Mismatch.REJECT), PlanSettings(mismatch=Mismatch.FOLLOW)

    assert brief(plan_for(signal, hold(long="5"), settings=reject)) == "denied POSITION_MISMATCH"
    assert brief(plan_for(signal, hold(long="5"), settings=follow)) == "o:sell 5 net"
    hedged = replace(signal, hedge=True)
    assert brief(plan_for(hedged, hold(long="5"), mode="hedge")) == "denied TARGET_CONTRADICTS"
    assert brief(plan_for(signal, hold(long="5", short="2"), mode="hedge")) == "c:sell 5 long reduce"


def test_spot_buy_that_is_stated_to_end_flat_or_short_buys_nothing() -> None:
    flat = order("buy", "flat", "5", market_position="flat")
    covered = order("buy", "flat", "2", market_position="short", market_position_size="3")

    for signal, short in ((flat, "0"), (covered, "3")):
        result = plan_for(signal, hold(), mode="spot", shadow=ShadowPosition(Decimal(5)))
        assert brief(result) == "denied TARGET_CONTRADICTS"
        assert result.shadow_after == ShadowPosition(Decimal(short))


def test_gap_before_an_entry_follows_the_mismatch_policy() -> None:
    signal = order("buy", "long", "1", market_position="long", market_position_size="6", prev_market_position_size="5")

    noted = plan_for(signal, hold(long="2"))
    refused = plan_for(signal, hold(long="2"), settings=PlanSettings(mismatch=Mismatch.REJECT))

    assert brief(noted) == "o:buy 1 net"
    assert noted.notes[0].code is NoteCode.POSITION_GAP
    assert noted.notes[0].facts == {"stated": "5", "held": "2"}
    assert brief(refused) == "denied POSITION_MISMATCH"


def test_gap_does_not_hold_an_exit_back() -> None:
    signal = order("sell", "long", "5", market_position="flat", prev_market_position_size="5")

    result = plan_for(signal, hold(long="2"), settings=PlanSettings(mismatch=Mismatch.REJECT))

    assert brief(result) == "c:sell 2 net reduce"


def test_base_units_become_whole_contracts_and_the_residue_is_noted() -> None:
    result = plan_for(order("buy", "flat", "0.0015"), hold(), instrument=CONTRACTS)

    assert brief(result) == "o:buy 1 net"
    assert result.notes[0].code is NoteCode.RESIDUE_DROPPED
    assert result.notes[0].facts == {"residue": "0.0005", "unit": "BTC"}


@pytest.mark.parametrize("holding", [hold(), hold(short="5")])
def test_entry_below_one_contract_is_denied_and_closes_nothing(holding: Holding) -> None:
    result = plan_for(order("buy", "flat", "0.0009"), holding, instrument=CONTRACTS)

    assert brief(result) == "denied QUANTITY_BELOW_MINIMUM"
    assert result.legs == ()
    assert result.denial is not None
    assert result.denial.sentence == (
        "Too small: 0.0009 BTC rounds down to 0. Smallest order on BTCUSDT is 1 contracts, so send at least 0.001 BTC. "
        "Change the quantity in the message."
    )


def test_more_than_28_digits_are_floored_exactly() -> None:
    quantity = Decimal("12345678901234567.999999999999999999")

    result = plan_for(order("buy", "flat", quantity), hold(), instrument=CONTRACTS)

    assert result.legs[0].quantity == Decimal("12345678901234567999")


QUANTITIES = st.decimals(min_value="0.0001", max_value="50", places=4)
HELD = st.decimals(min_value="0", max_value="50", places=3)
SIDES = st.sampled_from(["buy", "sell"])
PREVS = st.sampled_from(["flat", "long", "short"])


@st.composite
def signals(draw: st.DrawFn, *, hedge: bool | None = False) -> Signal:
    extra: dict[str, object] = {}
    if draw(st.booleans()):
        extra["market_position"] = draw(PREVS)
    if draw(st.booleans()):
        extra["market_position_size"] = str(draw(HELD))
    if draw(st.booleans()):
        extra["prev_market_position_size"] = str(draw(HELD))
    return order(draw(SIDES), draw(PREVS), draw(QUANTITIES), hedge=bool(hedge), **extra)


@st.composite
def one_way_holdings(draw: st.DrawFn) -> Holding:
    size = draw(HELD)
    return Holding(long=size) if draw(st.booleans()) else Holding(short=size)


SETTINGS = st.builds(PlanSettings, exit_excess=st.sampled_from(ExitExcess), mismatch=st.sampled_from(Mismatch))


@settings(max_examples=400, deadline=None, print_blob=True)
@given(signals(), one_way_holdings(), SETTINGS, st.sampled_from(["one_way", "hedge"]))
def test_exit_legs_never_increase_the_position(
    signal: Signal, holding: Holding, chosen: PlanSettings, mode: str
) -> None:
    result = plan_for(signal, holding, mode=mode, settings=chosen)

    for leg in result.legs:
        if leg.intent is Intent.EXIT:
            assert leg.reduce_only
            assert leg.quantity <= (holding.long if leg.side == "sell" else holding.short)
        assert leg.side == signal.action
        assert leg.quantity > 0
        assert leg.quantity % Decimal("0.001") == 0


@settings(max_examples=400, deadline=None, print_blob=True)
@given(signals(), one_way_holdings(), SETTINGS, st.sampled_from(["one_way", "hedge"]))
def test_opening_leg_never_exceeds_the_quantity_asked(
    signal: Signal, holding: Holding, chosen: PlanSettings, mode: str
) -> None:
    result = plan_for(signal, holding, mode=mode, settings=chosen)

    assert signal.quantity is not None
    assert sum(leg.quantity for leg in result.legs if leg.intent is Intent.ENTRY) <= signal.quantity


@settings(max_examples=400, deadline=None, print_blob=True)
@given(signals(), one_way_holdings(), st.sampled_from(["one_way", "hedge"]))
def test_exit_on_a_close_only_pointer_never_opens(signal: Signal, holding: Holding, mode: str) -> None:
    result = plan_for(signal, holding, mode=mode, settings=PlanSettings(exit_excess=ExitExcess.CLOSE_ONLY))

    if signal.is_exit:
        assert [leg for leg in result.legs if leg.intent is Intent.ENTRY] == []


@settings(max_examples=400, deadline=None, print_blob=True)
@given(signals(), one_way_holdings(), SETTINGS)
def test_opening_leg_waits_for_every_closing_leg(signal: Signal, holding: Holding, chosen: PlanSettings) -> None:
    result = plan_for(signal, holding, settings=chosen)

    codes = [leg.code for leg in result.legs]
    assert codes in ([], ["c"], ["o"], ["c", "o"])
    assert [leg.after for leg in result.legs] == [None, "c"][: len(codes)]


@settings(max_examples=300, deadline=None, print_blob=True)
@given(signals(), HELD, SETTINGS)
def test_spot_never_sells_more_than_the_free_balance_nor_buys_more_than_asked(
    signal: Signal, free: Decimal, chosen: PlanSettings
) -> None:
    result = plan_for(signal, Holding(long=free), mode="spot", settings=chosen)

    assert signal.quantity is not None
    for leg in result.legs:
        assert leg.quantity <= (free if leg.side == "sell" else signal.quantity)
