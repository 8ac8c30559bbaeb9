"""The page of error codes says what the code does, and every code tells a trader what happened and what to do."""

import re
from pathlib import Path

import pytest

from apps.connectors.bitmart.error_table import PROOF, markdown
from apps.connectors.bitmart.errors import BY_TEXT, CODES, Meaning, meaning_of
from apps.connectors.exchange import CredentialsError, OrderRejectedError, RejectReason, UnreachableError

PAGE = Path(__file__).parents[3] / "docs" / "bitmart-errors.md"
# Section 4 of the wire contract.
DOCUMENTED = [
    *range(30000, 30009), 30010, 30011, 30012, 30013, 30014, 30016, 30017, 30018, 30019, 30030, 30031,
    *range(50000, 50002), *range(50004, 50019), *range(50020, 50024), *range(50025, 50043), *range(51000, 51016),
    *range(52000, 52005), *range(53000, 53012), 57001, 58001, *range(59001, 59012),
    *range(60000, 60013), *range(60020, 60030), 60050, 60051, 61000, 61001, *range(61003, 61009),
    *range(70000, 70004), *range(71001, 71006),
    40007, 40010, 40011, 49998, 40012, 40027, 42000, *range(40013, 40027), *range(40028, 40051), 40059, 25601,
]  # fmt: skip
# In the older futures page only.
OLDER = {40006, 40008}
EVERY = [*CODES.values(), *(meaning for texts in BY_TEXT.values() for _, meaning in texts)]


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text() == markdown(), "run: python -m apps.connectors.bitmart.error_table > docs/bitmart-errors.md"


def test_section_four_is_covered_whole_and_nothing_is_invented() -> None:
    assert sorted(set(CODES) - OLDER) == sorted(DOCUMENTED)


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_on_the_page_once(code: int) -> None:
    assert len(re.findall(rf"^\| {code} \|", markdown(), re.MULTILINE)) == 1


@pytest.mark.parametrize("meaning", EVERY)
def test_every_meaning_says_what_happened_and_what_to_do(meaning: Meaning) -> None:
    assert meaning.happened[0].isupper()
    assert meaning.happened[-1] in ".;"
    assert meaning.to_do.endswith(".")
    assert meaning.error in PROOF
    if meaning.error is OrderRejectedError:
        assert meaning.reason in set(RejectReason)
    else:
        assert bool(meaning.reason) is (meaning.error is CredentialsError)


@pytest.mark.parametrize(
    ("code", "message", "kind", "reason"),
    [
        (40012, "You contract account available balance not enough.", OrderRejectedError, "INSUFFICIENT_BALANCE"),
        (40012, "The leverage does not match the position", OrderRejectedError, "LEVERAGE"),
        (40012, "System error", UnreachableError, ""),
        (40020, "The position volume is not enough", OrderRejectedError, "POSITION_CONFLICT"),
        (40020, "The system is being upgraded", UnreachableError, ""),
    ],
)
def test_codes_with_several_meanings_are_told_apart_by_their_text(
    code: int, message: str, kind: type[Exception], reason: str
) -> None:
    meaning = meaning_of(code, message)

    assert meaning is not None
    assert (meaning.error, meaning.reason) == (kind, reason)
