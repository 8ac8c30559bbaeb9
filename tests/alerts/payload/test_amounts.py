from decimal import Decimal

import pytest

from apps.alerts.amounts import read_amount
from apps.alerts.reasons import PayloadError


@pytest.mark.parametrize(
    ("text", "value", "repairs"),
    [
        ("0.1", "0.1", []),
        ("+0.1", "0.1", []),
        (".5", "0.5", []),
        ("1e-05", "0.00001", []),
        ("1.0E3", "1000", []),
        ("1,234.5", "1234.5", ["grouping"]),
        ("1,234,567", "1234567", ["grouping"]),
        ("1 000", "1000", ["grouping"]),
        ("1_000.25", "1000.25", ["grouping"]),
        ("0.10000000000000000555", "0.100000000000000005", ["decimals_cut"]),
    ],
)
def test_amounts_are_read_exactly(text: str, value: str, repairs: list[str]) -> None:
    amount = read_amount("quantity", text, accepted="a number")

    assert amount.value == Decimal(value)
    assert [change.code for change in amount.repairs] == repairs


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("0,5", "AMBIGUOUS_COMMA"),
        ("0,500", "AMBIGUOUS_COMMA"),
        ("1,23", "AMBIGUOUS_COMMA"),
        ("1234,567", "AMBIGUOUS_COMMA"),
        ("1.234,5", "AMBIGUOUS_COMMA"),
        ("0.1 BTC", "HAS_UNIT"),
        ("0.1BTC", "HAS_UNIT"),
        ("50%", "HAS_UNIT"),
        ("$100", "HAS_UNIT"),
        ("NaN", "NOT_A_NUMBER"),
        ("na", "NOT_A_NUMBER"),
        ("-nan", "NOT_A_NUMBER"),
        ("Infinity", "INFINITE"),
        ("-inf", "INFINITE"),
        ("null", "NULL_VALUE"),
        ("None", "NULL_VALUE"),
        ("0", "ZERO"),
        ("-0", "ZERO"),
        ("0.000", "ZERO"),
        ("-1", "NEGATIVE"),
        ("-1,000", "NEGATIVE"),
        ("1e16", "NUMBER_OUT_OF_RANGE"),
        ("1e-19", "NUMBER_OUT_OF_RANGE"),
        ("9" * 65, "NUMBER_OUT_OF_RANGE"),
        ("1 5", "UNREADABLE_NUMBER"),
        ("one", "UNREADABLE_NUMBER"),
        ("0x10", "HAS_UNIT"),
        ("٣", "UNREADABLE_NUMBER"),
        ("true", "UNREADABLE_NUMBER"),
        ("1," * 2000, "UNREADABLE_NUMBER"),
    ],
)
def test_each_wrong_spelling_has_its_own_reason(text: str, code: str) -> None:
    with pytest.raises(PayloadError) as raised:
        read_amount("quantity", text, accepted="a number")

    assert raised.value.refusal.code == code
    assert raised.value.refusal.facts["field"] == "quantity"


def test_zero_is_an_amount_where_it_is_allowed() -> None:
    assert read_amount("market_position_size", "0", accepted="a number", zero_ok=True).value == Decimal(0)
