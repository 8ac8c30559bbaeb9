import pytest

from apps.alerts.redaction import find_pointers, redact
from apps.alerts.typography import plain_characters
from tests.alerts.payload.bodies import MARK, POINTER, only

OTHER = "sf_" + "234567zz" * 4


@pytest.mark.parametrize(
    "body",
    [
        f'{{"pointer":"{POINTER}"}}',
        f"pointer={POINTER}&x=1",
        f"\\n{POINTER}\\n",
        f"buy with {POINTER.upper()}",
        f"“{POINTER}”",
    ],
)
def test_a_pointer_is_found_and_blanked_in_any_shape(body: str) -> None:
    assert find_pointers(body.encode()) == (POINTER,)
    assert redact(body.encode()).decode() == body.replace(POINTER, MARK).replace(POINTER.upper(), MARK)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_bodies_are_searched_and_stored_as_utf8(encoding: str) -> None:
    delivery = f'{{"pointer":"{POINTER}"}}'.encode(encoding)

    assert find_pointers(delivery) == (POINTER,)
    assert redact(delivery) == f'{{"pointer":"{MARK}"}}'.encode()


def test_windows_bodies_are_stored_as_utf8() -> None:
    assert redact(f"“{POINTER}”".encode("cp1252")) == f"“{MARK}”".encode()


def test_distinct_pointers_come_once_in_order() -> None:
    delivery = f"{OTHER} {POINTER} {OTHER.upper()}".encode()

    assert find_pointers(delivery) == (OTHER, POINTER)
    assert redact(delivery) == f"••••67zz {MARK} ••••67zz".encode()


@pytest.mark.parametrize("text", ["", "sf_short", "sf_" + "1" * 32, "ſf_" + "a" * 32, "sf_" + "a" * 31, MARK])
def test_what_is_no_pointer_stays(text: str) -> None:
    assert find_pointers(text.encode()) == ()
    assert redact(text.encode()) == text.encode()


def test_pointers_that_overlap_are_both_found_and_blanked() -> None:
    delivery = (POINTER[:-2] + POINTER).encode()

    assert find_pointers(delivery) == (POINTER[:-2] + "sf", POINTER)
    assert redact(delivery) == f"••••ef{MARK}".encode()


def test_redacting_twice_changes_nothing() -> None:
    once = redact(f"{POINTER} and {OTHER}".encode())

    assert redact(once) == once


@pytest.mark.parametrize(
    "written",
    [
        "\\u0073" + POINTER[1:],
        POINTER[:2] + "\u200b" + POINTER[2:],
        "".join(chr(ord(character) + 0xFEE0) for character in POINTER),
    ],
    ids=["escapes", "zero width", "full width"],
)
def test_a_disguised_pointer_is_in_nothing_that_reading_returns(written: str) -> None:
    item = only(f'{{"ticker":"{written}","action":"{written}","pointer":"{written}","{written}":1}}'.encode())

    assert POINTER[4:30] not in repr(item)
    assert POINTER[4:30] not in plain_characters(repr(item))


def test_a_body_written_in_utf16_twice_over_is_redacted_whole() -> None:
    inner = POINTER.encode("utf-16-le").decode("latin-1")

    stored = redact(f'{{"pointer":"{POINTER}","other":"{inner}"}}'.encode("utf-16"))

    assert not find_pointers(stored)
    assert redact(stored) == stored
