from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from apps.accounts.trading_state import TradingState
from apps.trading.denials import DenialCode, Verdict
from apps.trading.guards import GuardFacts, GuardLimits, check
from apps.trading.legs import Intent

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
LIMITS = GuardLimits()
ENTRY = GuardFacts(
    intent=Intent.ENTRY,
    now=NOW,
    received_at=NOW,
    symbol="BTCUSDT",
    quote="USDT",
    connector_label="Main",
    order_notional=Decimal(1000),
    market_price=Decimal(60000),
)
EXIT = replace(ENTRY, intent=Intent.EXIT)


def ago(seconds: int) -> datetime:
    return NOW - timedelta(seconds=seconds)


DENIED_ENTRIES = [
    ({"site": TradingState.HALTED}, DenialCode.SITE_HALTED),
    ({"workspace": TradingState.HALTED}, DenialCode.WORKSPACE_HALTED),
    ({"connector": TradingState.HALTED}, DenialCode.CONNECTOR_HALTED),
    ({"received_at": ago(121)}, DenialCode.ENTRY_EXPIRED),
    ({"received_at": ago(31), "signal_max_lag_s": 30}, DenialCode.ENTRY_EXPIRED),
    ({"sent_at": ago(301)}, DenialCode.ALERT_TOO_OLD),
    ({"sent_at": ago(31), "signal_max_lag_s": 30}, DenialCode.ALERT_TOO_OLD),
    ({"site": TradingState.REDUCE_ONLY}, DenialCode.SITE_REDUCE_ONLY),
    ({"workspace": TradingState.REDUCE_ONLY}, DenialCode.WORKSPACE_REDUCE_ONLY),
    ({"connector": TradingState.REDUCE_ONLY}, DenialCode.CONNECTOR_REDUCE_ONLY),
    ({"paused_label": "BTC trend"}, DenialCode.PAUSED),
    ({"trial_ended_at": NOW}, DenialCode.TRIAL_ENDED),
    ({"is_trading": False}, DenialCode.SYMBOL_NOT_TRADING),
    ({"delist_at": NOW + timedelta(hours=24)}, DenialCode.SYMBOL_DELISTING),
    ({"orders_last_minute": 60}, DenialCode.ORDER_RATE),
    ({"order_notional": None}, DenialCode.PRICE_MISSING),
    ({"order_notional": Decimal("1000.01")}, DenialCode.MAX_ORDER_NOTIONAL),
    ({"open_notional": Decimal("4000.01")}, DenialCode.MAX_OPEN_NOTIONAL),
]

PASSING_ENTRIES = [
    {},
    {"received_at": ago(120)},
    {"received_at": ago(300), "signal_max_lag_s": 300},
    {"sent_at": ago(300)},
    {"sent_at": ago(600), "signal_max_lag_s": 600},
    {"sent_at": NOW + timedelta(seconds=5)},
    {"trial_ended_at": NOW + timedelta(seconds=1)},
    {"delist_at": NOW + timedelta(hours=24, seconds=1)},
    {"orders_last_minute": 59},
    {"open_notional": Decimal(4000)},
    {"signal_price": Decimal(1)},
]


@pytest.mark.parametrize(("change", "code"), DENIED_ENTRIES)
def test_entry_is_denied_with_its_own_code(change: dict[str, object], code: DenialCode) -> None:
    denial = check(replace(ENTRY, **change), LIMITS)  # type: ignore[arg-type]

    assert denial is not None
    assert denial.code is code
    assert "—" not in denial.sentence


@pytest.mark.parametrize("change", PASSING_ENTRIES)
def test_entry_at_the_limit_passes(change: dict[str, object]) -> None:
    assert check(replace(ENTRY, **change), LIMITS) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(("change", "code"), DENIED_ENTRIES)
def test_exit_is_stopped_by_nothing_but_a_halt(change: dict[str, object], code: DenialCode) -> None:
    denial = check(replace(EXIT, **change), LIMITS)  # type: ignore[arg-type]

    assert (denial.code if denial else None) == (code if "HALTED" in code else None)


@pytest.mark.parametrize("stamp", ["received_at", "sent_at"])
def test_exit_needs_a_matching_position_after_fifteen_minutes(stamp: str) -> None:
    def verdict(seconds: int, *, has_position: bool) -> object:
        facts = replace(EXIT, has_matching_position=has_position, **{stamp: ago(seconds)})  # type: ignore[arg-type]
        denial = check(facts, LIMITS)
        return denial and (denial.code, denial.verdict)

    assert verdict(900, has_position=False) is None
    assert verdict(901, has_position=False) == (DenialCode.EXIT_TOO_OLD, Verdict.TOO_OLD)
    assert verdict(300_000, has_position=True) is None


def test_first_objection_of_the_documented_order_answers() -> None:
    facts = ENTRY
    for change, code in reversed(DENIED_ENTRIES):
        facts = replace(facts, **change)  # type: ignore[arg-type]
        denial = check(facts, LIMITS)
        assert denial is not None
        assert denial.code is code


@pytest.mark.parametrize(
    ("market", "code"),
    [("60600", None), ("60600.01", DenialCode.PRICE_DEVIATION), ("59399.99", DenialCode.PRICE_DEVIATION)],
)
def test_price_may_differ_from_the_alerts_by_the_limit(market: str, code: DenialCode | None) -> None:
    limits = replace(LIMITS, max_price_deviation_rate=Decimal("0.01"))
    facts = replace(ENTRY, signal_price=Decimal(60000), market_price=Decimal(market))

    denial = check(facts, limits)

    assert (denial.code if denial else None) == code


def test_deviation_sentence_shows_both_prices_and_the_limit() -> None:
    limits = replace(LIMITS, max_price_deviation_rate=Decimal("0.01"))
    denial = check(replace(ENTRY, signal_price=Decimal(50000)), limits)

    assert denial is not None
    assert denial.sentence == (
        "Not traded: the price is 60000, 20 % from the 50000 in the alert; your limit is 1 %. "
        "Raise 'Price deviation' or check for a late alert or a wrong symbol."
    )


def test_late_alert_sentence_has_the_documented_words() -> None:
    denial = check(replace(ENTRY, sent_at=ago(412)), LIMITS)

    assert denial is not None
    assert denial.sentence == (
        "Ignored: this alert is 412 s old, your limit is 300 s. Raise 'Max lag' or check TradingView's delay."
    )
    assert denial.verdict is Verdict.TOO_OLD


def test_limits_that_are_off_ask_for_no_price() -> None:
    limits = GuardLimits(max_order_notional=None, max_open_notional=None, max_orders_per_minute=None)

    assert check(replace(ENTRY, order_notional=None, market_price=None, orders_last_minute=10_000), limits) is None
