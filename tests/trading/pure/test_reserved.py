"""What entries in doubt may still spend is not there for the next one."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from apps.connectors.policies import LowBalance
from apps.trading.deciding import decide
from apps.trading.denials import DenialCode
from apps.trading.guards import GuardLimits
from apps.trading.legs import PlanSettings
from apps.trading.signal import QuantityType
from tests.trading.pure.build import SPOT
from tests.trading.pure.test_deciding import FLAT

D = Decimal
UNLIMITED = GuardLimits(max_order_notional=None, max_open_notional=None)
SPOT_ENTRY = replace(
    FLAT, instrument=SPOT, terms=replace(FLAT.terms, plan=PlanSettings(), limits=UNLIMITED), clock_fault=""
)


def test_a_futures_entry_sees_the_margin_that_is_left() -> None:
    # 120.36 of margin and fee are needed.
    enough = replace(FLAT, reserved=D("9879.6"))
    short = replace(FLAT, reserved=D("9879.7"))

    assert decide(enough).legs[0].denial is None
    denial = decide(short).legs[0].denial
    assert denial is not None
    assert (denial.code, denial.facts["available"]) == (DenialCode.INSUFFICIENT_BALANCE, "120.3")


def test_a_share_of_the_balance_is_of_what_is_left() -> None:
    signal = replace(FLAT.signal, quantity=D(100), quantity_type=QuantityType.PERCENT_BALANCE)

    [leg] = decide(replace(SPOT_ENTRY, signal=signal, reserved=D(4990))).legs

    # Of 9,980 that may be spent 4,990 are spoken for.
    assert leg.denial is None
    assert leg.notional is not None
    assert D(4989) < leg.notional <= D(4990)


@settings(max_examples=150, deadline=None)
@given(
    free=st.decimals(min_value=0, max_value=20_000, places=2),
    wanted=st.lists(st.decimals(min_value="0.0001", max_value="0.5", places=4), min_size=1, max_size=6),
    low_balance=st.sampled_from(LowBalance),
)
def test_buys_in_doubt_together_never_spend_more_than_the_share_of_what_was_free(
    free: Decimal, wanted: list[Decimal], low_balance: LowBalance
) -> None:
    """None of them is settled yet, so the balance that is read stays the same all along."""
    account = replace(SPOT_ENTRY.account, available_quote=free)  # type: ignore[type-var]
    inputs = replace(SPOT_ENTRY, account=account, terms=replace(SPOT_ENTRY.terms, low_balance=low_balance))
    spent = D(0)

    for quantity in wanted:
        [leg] = decide(replace(inputs, signal=replace(FLAT.signal, quantity=quantity), reserved=spent)).legs
        if leg.denial is None:
            assert leg.notional is not None
            spent += leg.notional

    assert spent <= free * D("0.998")
