from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from apps.accounts.trading_state import TradingState
from apps.connectors.policies import Adds, Direction
from apps.trading.denials import DenialCode, Verdict
from apps.trading.guards import GuardFacts, GuardLimits, add_rule, check
from apps.trading.legs import Intent
from apps.trading.signal import PrevPosition

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
LIMITS = GuardLimits(
    allowed_symbols=("BTCUSDT", "ETHUSDT"),
    direction=Direction.LONG,
    adds=Adds.UP_TO,
    max_adds=2,
    max_open_positions=3,
    max_daily_loss=Decimal(100),
)
ENTRY = GuardFacts(
    intent=Intent.ENTRY,
    now=NOW,
    received_at=NOW,
    symbol="BTCUSDT",
    quote="USDT",
    connector_label="Main",
    order_notional=Decimal(1000),
    market_price=Decimal(60000),
    opens=PrevPosition.LONG,
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
    ({"deleted_label": "BTC trend"}, DenialCode.CONNECTOR_DELETED),
    ({"paused_label": "BTC trend"}, DenialCode.PAUSED),
    ({"trial_ended_at": NOW}, DenialCode.TRIAL_ENDED),
    ({"is_trading": False}, DenialCode.SYMBOL_NOT_TRADING),
    ({"delist_at": NOW + timedelta(hours=24)}, DenialCode.SYMBOL_DELISTING),
    ({"symbol": "SOLUSDT"}, DenialCode.SYMBOL_NOT_ALLOWED),
    ({"opens": PrevPosition.SHORT}, DenialCode.DIRECTION_NOT_ALLOWED),
    ({"orders_last_minute": 60}, DenialCode.ORDER_RATE),
    ({"order_notional": None}, DenialCode.PRICE_MISSING),
    ({"order_notional": Decimal("1000.01")}, DenialCode.MAX_ORDER_NOTIONAL),
    ({"open_notional": Decimal("4000.01")}, DenialCode.MAX_OPEN_NOTIONAL),
    ({"held": "long 5 contracts", "adds_made": 2}, DenialCode.ADDS_USED_UP),
    ({"open_elsewhere": 3, "held": ""}, DenialCode.MAX_OPEN_POSITIONS),
    ({"lost_today": Decimal(100)}, DenialCode.MAX_DAILY_LOSS),
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
    {"symbol": "ETHUSDT"},
    {"held": "long 5 contracts", "adds_made": 1},
    # An add opens no position more.
    {"held": "long 5 contracts", "open_elsewhere": 3},
    {"open_elsewhere": 2},
    {"lost_today": Decimal("99.99")},
    {"lost_today": Decimal(-500)},
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


def test_limits_of_positions_say_what_was_found_and_what_is_accepted() -> None:
    def sentence(**change: object) -> str:
        denial = check(replace(ENTRY, **change), LIMITS)  # type: ignore[arg-type]
        assert denial is not None
        return denial.sentence

    assert "may open BTCUSDT, ETHUSDT only, the alert is for SOLUSDT" in sentence(symbol="SOLUSDT")
    assert "opens long positions only, the alert opens a short on BTCUSDT" in sentence(opens=PrevPosition.SHORT)
    used_up = sentence(held="long 5 contracts", adds_made=2)
    assert "long 5 contracts are held on BTCUSDT, added to 2 times, and the most is 2" in used_up
    assert "3 other positions are open, the most at once is 3" in sentence(open_elsewhere=3)
    one = check(replace(ENTRY, open_elsewhere=1), replace(LIMITS, max_open_positions=1))
    assert one is not None
    assert "1 other position is open, the most at once is 1" in one.sentence
    lost = sentence(lost_today=Decimal("120.50"), now=NOW.replace(hour=23), received_at=NOW.replace(hour=23))
    assert "120.5 USDT were lost today, the most is 100 USDT. New positions are off until 2026-11-23 00:00 UTC" in lost


def test_adds_are_blocked_counted_or_allowed() -> None:
    add = replace(ENTRY, held="long 5 contracts", adds_made=50)

    blocked = check(replace(add, adds_made=0), replace(LIMITS, adds=Adds.BLOCK))
    assert blocked is not None
    assert (blocked.code, blocked.facts) == (
        DenialCode.ADDS_BLOCKED,
        {"held": "long 5 contracts", "symbol": "BTCUSDT"},
    )
    assert check(replace(ENTRY, held=""), replace(LIMITS, adds=Adds.BLOCK)) is None
    assert check(add, replace(LIMITS, adds=Adds.ALLOW)) is None
    assert [add_rule(replace(LIMITS, adds=adds)) for adds in Adds] == ["run every one", "up to 2", "run none"]


def test_a_long_list_of_symbols_is_shortened() -> None:
    limits = replace(LIMITS, allowed_symbols=tuple(f"C{number}USDT" for number in range(13)))

    denial = check(ENTRY, limits)

    assert denial is not None
    assert denial.facts["allowed"].endswith("C9USDT and 3 more")
