from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.lib.decimals import (
    DecimalRangeError,
    DecimalSyntaxError,
    ceil_to_step,
    floor_to_step,
    is_multiple,
    normalize_text,
    parse_decimal,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1", "0.1"),
        ("1e-05", "0.00001"),
        ("1.0E3", "1000"),
        ("+0.1", "0.1"),
        (".5", "0.5"),
        ("2.", "2"),
        ("-3", "-3"),
        ("0.000", "0"),
        ("1800.8000000000002", "1800.8000000000002"),
        ("0.10000000000000000555", "0.100000000000000005"),
        ("9999999999999999", "9999999999999999"),
        ("1e-18", "0.000000000000000001"),
        ("1e15", "1000000000000000"),
    ],
)
def test_plain_decimals_are_read_exactly(text: str, value: str) -> None:
    assert parse_decimal(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", " 1", "1,5", "NaN", "Infinity", "-inf", "0x10", "1e", "--1", "1_000", "٣", "1 2"])
def test_other_text_is_a_syntax_error(text: str) -> None:
    with pytest.raises(DecimalSyntaxError):
        parse_decimal(text)


@pytest.mark.parametrize(
    "text", ["1e16", "1e-19", "1E+5000000", "1e-" + "9" * 40, "10000000000000000", "0." + "0" * 18 + "1", "1" * 65]
)
def test_numbers_outside_the_bounds_are_refused(text: str) -> None:
    with pytest.raises(DecimalRangeError):
        parse_decimal(text)


@pytest.mark.parametrize(
    ("value", "step", "floor", "ceil"),
    [
        ("1.2399", "0.01", "1.23", "1.24"),
        ("1.23", "0.01", "1.23", "1.23"),
        ("7", "2.5", "5", "7.5"),
        ("-1.5", "1", "-2", "-1"),
        ("0.004", "0.01", "0", "0.01"),
        (
            "99999999999999999999.999999999999999999",
            "0.000000000000000001",
            *["99999999999999999999.999999999999999999"] * 2,
        ),
        ("12345", "100", "12300", "12400"),
    ],
)
def test_stepping_is_exact(value: str, step: str, floor: str, ceil: str) -> None:
    assert floor_to_step(Decimal(value), Decimal(step)) == Decimal(floor)
    assert ceil_to_step(Decimal(value), Decimal(step)) == Decimal(ceil)


@given(
    value=st.decimals(min_value=-(10**15), max_value=10**15, places=18),
    step=st.decimals(min_value="0.000001", max_value=1000, places=6),
)
def test_a_value_lies_between_its_two_steps(value: Decimal, step: Decimal) -> None:
    low, high = floor_to_step(value, step), ceil_to_step(value, step)

    assert low <= value <= high
    assert is_multiple(low, step)
    assert is_multiple(high, step)
    assert (low == high) == is_multiple(value, step)


@pytest.mark.parametrize("step", ["0", "-1", "NaN"])
def test_a_step_must_be_positive(step: str) -> None:
    with pytest.raises(ValueError, match="cannot step"):
        floor_to_step(Decimal(1), Decimal(step))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1E+3", "1000"),
        ("0.100", "0.1"),
        ("-0.00", "0"),
        ("0E+9", "0"),
        ("1E-18", "0.000000000000000001"),
        ("120", "120"),
    ],
)
def test_text_has_no_exponent_and_no_trailing_zeros(value: str, text: str) -> None:
    assert normalize_text(Decimal(value)) == text


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1E+5000000", "1E-5000000"])
def test_text_of_what_is_no_amount_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        normalize_text(Decimal(value))
