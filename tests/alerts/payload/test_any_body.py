"""Whatever arrives, `parse` answers: a signal or a reason, in text that can be stored."""

import json
import string

from hypothesis import example, given, settings
from hypothesis import strategies as st

from apps.alerts.keys import MANDATORY, OPTIONAL
from apps.alerts.payload import parse
from apps.alerts.reasons import SENTENCES, Reason
from apps.alerts.redaction import find_pointers, redact
from apps.alerts.repairs import SENTENCES as REPAIR_SENTENCES
from apps.alerts.repairs import RepairCode
from tests.alerts.payload.bodies import POINTER, body

PIECES = st.sampled_from(
    [
        *('"', "'", "“", "’", "{", "}", "[", "]", ",", ":", "\\", "\\n", "\n", "\r\n", "=", "&", "%7B", "%22", "//"),
        *("#", "{{x}}", "null", "NaN", "-Infinity", "True", "1e999", "1,000", "closeall", "true", "hedgemode"),
        *("\u0000", "\ufeff", "\u200b", "\u00a0", "\ud7ff", "\\ud800", "\\u0000", "ticker", "••••", "０", POINTER),
        *("/*", "leverage"),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | PIECES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from([*MANDATORY, *OPTIONAL, "exchange", "Stop Loss"])


def assert_readable(delivery: bytes) -> None:
    for strict in (False, True):
        items = parse(delivery, strict=strict).items
        assert 1 <= len(items) <= 10
        for item in items:
            assert (item.signal is None) == (item.error is not None)
            sentence = item.error.sentence if item.error else ""
            facts = dict(item.error.facts) if item.error else {}
            shown = [item.pointer, sentence, *facts.values(), *item.ignored_keys, *item.fields.values()]
            shown += [change.sentence for change in item.repairs]
            assert all(text.isprintable() for text in shown)
            assert "\0" not in item.normalized
            assert item.normalized.encode().decode() == item.normalized
            assert json.dumps([facts, dict(item.fields)])
            assert not find_pointers(repr(item).encode("utf-8", "replace"))
            assert not (strict and item.signal and any(not change.is_remark for change in item.repairs))
    assert not find_pointers(redact(delivery).decode().encode())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
@example(b"\xff\xfe")
@example(b"\xff\xfe\x00")
@example(b"\x00")
@example(b"=")
def test_any_bytes(delivery: bytes) -> None:
    assert_readable(delivery)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 140), st.integers(0, 6), PIECES), min_size=1, max_size=4))
def test_any_damage_to_a_valid_message(damage: list[tuple[int, int, str]]) -> None:
    text = body().decode()
    for start, length, piece in damage:
        text = text[:start] + piece + text[start + length :]

    assert_readable(text.encode("utf-8", "surrogatepass"))


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_any_value_under_any_key(changes: dict[str, object]) -> None:
    assert_readable(body(**changes))


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES | st.text(string.printable, max_size=4), max_size=30).map("".join))
def test_any_pile_of_pieces(text: str) -> None:
    assert_readable(text.encode("utf-8", "surrogatepass"))


def test_every_reason_and_every_repair_has_its_sentence() -> None:
    assert set(SENTENCES) == set(Reason)
    assert set(REPAIR_SENTENCES) == set(RepairCode)
