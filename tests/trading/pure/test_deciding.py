"""Frozen inputs to orders: the one function behind real runs, previews and replays."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from apps.accounts.trading_state import TradingState
from apps.connectors.exchange import FeeRates, MarginMode, PositionMode, Side, Ticker
from apps.trading.deciding import NotReadError, decide
from apps.trading.denials import DenialCode
from apps.trading.guards import GuardLimits
from apps.trading.inputs import Account, Counts, Inputs, Origin, Standing, Terms
from apps.trading.legs import Holding, PlanSettings
from apps.trading.signal import PrevPosition, Signal, SignalKind
from tests.trading.pure.build import CONTRACTS

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
D = Decimal

BUY = Signal(SignalKind.ORDER, "BTCUSDT", Side.BUY, PrevPosition.FLAT, D("0.01"))
SELL_THROUGH = Signal(SignalKind.ORDER, "BTCUSDT", Side.SELL, PrevPosition.LONG, D("0.015"))

FLAT = Inputs(
    signal=BUY,
    origin=Origin(UUID(int=7), NOW - timedelta(seconds=1)),
    connector_id=UUID(int=9),
    now=NOW,
    terms=Terms(PlanSettings(), GuardLimits(), D(5), MarginMode.ISOLATED),
    standing=Standing(TradingState.ACTIVE, TradingState.ACTIVE, TradingState.ACTIVE, "BTC trend"),
    instrument=CONTRACTS,
    account=Account(Holding(), D(10000), PositionMode.ONE_WAY, None, None),
    ticker=Ticker("BTCUSDT", D(60000), D(59999), D(60001), D(60000), NOW),
    fee_rates=FeeRates(maker=D("0.0002"), taker=D("0.0006")),
)
LONG = replace(
    FLAT,
    signal=SELL_THROUGH,
    account=Account(Holding(long=D(10)), D(9000), PositionMode.ONE_WAY, D(3), MarginMode.CROSS),
    counts=Counts(open_notional=D(4900), open_notional_elsewhere=D(4300), oldest_opened_at=NOW - timedelta(hours=1)),
)


def test_an_entry_is_sized_named_and_estimated() -> None:
    [leg] = decide(FLAT).legs

    assert (leg.leg.code, leg.quantity, leg.notional, leg.denial) == ("o", D(10), None, None)
    assert (leg.leverage, leg.margin_mode) == (D(5), MarginMode.ISOLATED)
    assert leg.client_order_id == "zo06xcdt1z1uc11b3wh16oqwpip0"
    assert leg.sized is not None
    assert leg.sized.estimate is not None
    estimate = leg.sized.estimate
    assert (estimate.price, estimate.notional, estimate.fee, estimate.margin) == (
        D(60001), D("600.01"), D("0.360006"), D("120.002"),
    )  # fmt: skip
    assert leg.expires_at == NOW + timedelta(seconds=119)


def test_the_opening_leg_of_a_reversal_counts_what_is_open_elsewhere_only() -> None:
    closing, opening = decide(LONG).legs

    assert (closing.leg.code, closing.quantity, closing.denial) == ("c", D(10), None)
    assert (opening.leg.code, opening.quantity, opening.denial) == ("o", D(5), None)
    # The position's leverage cannot be changed by the way.
    assert (opening.leverage, opening.margin_mode) == (D(3), MarginMode.CROSS)
    assert (opening.next_at, opening.expires_at) == (None, NOW + timedelta(seconds=60))

    crowded = replace(LONG, counts=replace(LONG.counts, open_notional_elsewhere=D(4800)))
    denial = decide(crowded).legs[1].denial
    assert denial is not None
    assert denial.code is DenialCode.MAX_OPEN_NOTIONAL
    assert denial.facts["total"] == "5099.995"


def test_a_guard_that_needs_no_account_decides_without_one() -> None:
    halted = replace(FLAT.standing, connector=TradingState.HALTED)

    planned = decide(replace(FLAT, account=None, standing=halted))

    assert (planned.legs, planned.plan) == ((), None)
    assert planned.denial is not None
    assert planned.denial.code is DenialCode.CONNECTOR_HALTED


@pytest.mark.parametrize("missing", ["account", "instrument", "fee_rates"])
def test_what_was_not_read_is_never_made_up(missing: str) -> None:
    with pytest.raises(NotReadError):
        decide(replace(FLAT, **{missing: None}))


def test_an_entry_waits_for_a_clock_and_an_exit_does_not() -> None:
    doubtful = replace(LONG, clock_fault="it was never measured")

    closing, opening = decide(doubtful).legs

    assert closing.denial is None
    assert opening.denial is not None
    assert opening.denial.code is DenialCode.CLOCK_UNTRUSTED
