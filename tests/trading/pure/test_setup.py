from decimal import Decimal

import pytest

from apps.connectors.exchange import Instrument, MarginMode
from apps.connectors.policies import Mismatch
from apps.trading.denials import Denial, DenialCode
from apps.trading.legs import Holding
from apps.trading.setup import Setup, SetupFacts, choose_setup, will_be_flat
from apps.trading.signal import Signal
from tests.trading.pure.build import CLOSE_ALL, CONTRACTS, SPOT, hold, order

ISOLATED, CROSS = MarginMode.ISOLATED, MarginMode.CROSS
FLAT = SetupFacts(leverage=Decimal(5), margin_mode=ISOLATED, most_leverage=Decimal(20))
OPEN = SetupFacts(
    leverage=Decimal(5),
    margin_mode=ISOLATED,
    most_leverage=Decimal(20),
    held_leverage=Decimal(3),
    held_margin_mode=CROSS,
)


def entry(leverage: str | None = None, margin_mode: MarginMode | None = None) -> Signal:
    return order("buy", "flat", "1", leverage=leverage and Decimal(leverage), margin_mode=margin_mode)


def chosen(
    signal: Signal, facts: SetupFacts = FLAT, *, is_flat: bool = True, instrument: Instrument = CONTRACTS
) -> Setup:
    answer = choose_setup(signal, instrument=instrument, facts=facts, is_flat=is_flat)
    assert isinstance(answer, Setup)
    return answer


def refused(signal: Signal, facts: SetupFacts = FLAT, *, instrument: Instrument = CONTRACTS) -> Denial:
    answer = choose_setup(signal, instrument=instrument, facts=facts, is_flat=True)
    assert isinstance(answer, Denial)
    return answer


def test_the_message_comes_before_the_connector_while_flat() -> None:
    assert chosen(entry()) == Setup(Decimal(5), ISOLATED)
    assert chosen(entry("10")) == Setup(Decimal(10), ISOLATED)
    assert chosen(entry("20", CROSS)) == Setup(Decimal(20), CROSS)


def test_an_open_position_keeps_its_own_and_the_difference_is_noted() -> None:
    kept = chosen(entry("10", ISOLATED), OPEN, is_flat=False)

    assert (kept.leverage, kept.margin_mode) == (Decimal(3), CROSS)
    assert [(note.code, dict(note.facts)) for note in kept.notes] == [
        ("SETUP_KEPT", {"asked": "10x", "kept": "3x"}),
        ("SETUP_KEPT", {"asked": "isolated margin", "kept": "cross margin"}),
    ]
    assert chosen(entry("3", CROSS), OPEN, is_flat=False).notes == ()
    assert chosen(entry(), OPEN, is_flat=False).notes == ()


def test_too_much_leverage_for_an_open_position_is_kept_not_refused() -> None:
    assert chosen(entry("125"), OPEN, is_flat=False).leverage == Decimal(3)


def test_a_reversal_takes_the_messages_setup_and_else_goes_on_with_the_positions() -> None:
    assert chosen(entry("10"), OPEN) == Setup(Decimal(10), CROSS)
    assert chosen(entry(), OPEN) == Setup(Decimal(3), CROSS)


@pytest.mark.parametrize(
    ("leverage", "most", "code", "maximum"),
    [
        ("20", "20", None, None),
        ("20.01", "20", DenialCode.LEVERAGE_OVER_LIMIT, "20"),
        ("5", None, None, None),
        # Unset, a message may ask for no more than the connector uses by itself.
        ("6", None, DenialCode.LEVERAGE_OVER_LIMIT, "5"),
        ("50", "100", None, None),
        ("51", "100", DenialCode.LEVERAGE_TOO_HIGH, "50"),
    ],
)
def test_leverage_has_the_connectors_and_the_instruments_maximum(
    leverage: str, most: str | None, code: DenialCode | None, maximum: str | None
) -> None:
    facts = SetupFacts(leverage=Decimal(5), margin_mode=ISOLATED, most_leverage=Decimal(most) if most else None)

    if code is None:
        assert chosen(entry(leverage), facts).leverage == Decimal(leverage)
        return
    denial = refused(entry(leverage), facts)
    assert (denial.code, denial.facts) == (code, {"found": leverage, "maximum": maximum, "symbol": "BTCUSDT"})


def test_spot_takes_leverage_one_and_refuses_the_rest_by_name() -> None:
    assert chosen(entry("1"), instrument=SPOT) == Setup(None, None)
    leveraged = refused(entry("2"), instrument=SPOT)
    assert leveraged.code is DenialCode.SETUP_NOT_ON_SPOT
    assert leveraged.facts == {"what": "leverage 2x", "key": "leverage", "symbol": "BTC_USDT"}
    assert refused(entry(None, CROSS), instrument=SPOT).facts["what"] == "cross margin"


@pytest.mark.parametrize(
    ("signal", "held", "mismatch", "expected"),
    [
        (order("buy", "flat", "1"), hold(), Mismatch.CLOSE_ONLY, True),
        (order("buy", "long", "1"), hold(long="1"), Mismatch.CLOSE_ONLY, False),
        (order("buy", "flat", "1"), hold(short="1"), Mismatch.CLOSE_ONLY, True),
        # Sent as written, the order meets the open position.
        (order("buy", "flat", "1"), hold(short="1"), Mismatch.FOLLOW, False),
        (order("sell", "long", "2"), hold(long="1"), Mismatch.FOLLOW, True),
        (order("sell", "long", "2", hedge=True), hold(long="1"), Mismatch.CLOSE_ONLY, False),
        (order("sell", "long", "2"), hold(long="1", short="1"), Mismatch.CLOSE_ONLY, False),
        (CLOSE_ALL, hold(long="1"), Mismatch.CLOSE_ONLY, False),
    ],
)
def test_flat_is_what_will_be_when_the_entry_goes_out(
    signal: Signal, held: Holding, mismatch: Mismatch, *, expected: bool
) -> None:
    assert will_be_flat(signal, holding=held, mismatch=mismatch) is expected
