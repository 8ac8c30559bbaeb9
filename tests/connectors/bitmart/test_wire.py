from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.connectors.bitmart.wire import identifier, instant, plain, to_decimal, unix_ms, without_padding
from apps.connectors.exchange import UnreachableError


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("0", "0"),
        ("-0.00832", "-0.00832"),
        ("5.", "5"),
        ("1E-8", "0.00000001"),
        (220609666322019222, "220609666322019222"),
        (Decimal("0.1"), "0.1"),
        ("0.000010000000000000000000000000", "0.00001"),
    ],
)
def test_exact_numbers(value: Any, number: str) -> None:
    assert to_decimal(value) == Decimal(number)


@pytest.mark.parametrize(
    "value",
    [
        *[
            True,
            False,
            None,
            [],
            {},
            "",
            " 1",
            "1 ",
            "+1",
            ".5",
            "1_000",
            "１",
            "0x1",
            "NaN",
            "Infinity",
            "market price",
        ],
        *["1e41", "1e-41", "9" * 41, "1e999", 10**40, 0.5, Decimal("NaN"), Decimal("1e9999"), Decimal("1e-9999")],
    ],
)
def test_what_is_not_a_number_or_not_an_amount(value: Any) -> None:
    assert to_decimal(value) is None


@pytest.mark.parametrize(("value", "text"), [(220609666322019222, "220609666322019222"), ("PLAN_7", "PLAN_7")])
def test_ids_become_text(value: Any, text: str) -> None:
    assert identifier({"id": value}, "id") == text


@pytest.mark.parametrize("value", [None, "", True, 0, -1, 1.5, Decimal(7), "a\nb", "x" * 65, "\ud800", []])
def test_what_is_not_an_id(value: Any) -> None:
    with pytest.raises(UnreachableError):
        identifier({"id": value}, "id")


@pytest.mark.parametrize("value", [1760000000000, "1760000000000", 1760000000, "1760000000"])
def test_times_in_seconds_and_milliseconds(value: Any) -> None:
    assert instant({"t": value}, "t") == datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC)


def test_milliseconds_survive_both_ways() -> None:
    at = datetime(2025, 10, 9, 8, 53, 20, 123000, tzinfo=UTC)

    assert unix_ms(at) == 1760000000123
    assert instant({"t": 1760000000123}, "t") - at == timedelta(0)


@pytest.mark.parametrize("value", [0, -1, "", None, 10**13, "soon"])
def test_what_is_not_a_time(value: Any) -> None:
    with pytest.raises(UnreachableError):
        instant({"t": value}, "t")


@pytest.mark.parametrize(
    ("value", "text"), [("60000.00", "60000.00"), ("1E-8", "0.00000001"), ("1E+3", "1000"), ("12.5", "12.5")]
)
def test_outgoing_numbers_have_no_exponent(value: str, text: str) -> None:
    assert plain(Decimal(value), "price") == text


@pytest.mark.parametrize("value", ["0", "-1", "NaN", "Infinity", "1e41", "1e-41"])
def test_outgoing_numbers_are_above_zero_and_of_this_world(value: str) -> None:
    with pytest.raises(ValueError):
        plain(Decimal(value), "price")


@pytest.mark.parametrize(("padded", "text"), [("5.000", "5"), ("0.0010", "0.001"), ("100", "100"), ("1E+2", "100")])
def test_padding_goes_and_the_number_stays(padded: str, text: str) -> None:
    assert str(without_padding(Decimal(padded))) == text
