"""Thousands of messages nobody meant to send, and proof that the campaign sees a parser that is wrong."""

import os
import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from apps.alerts import amounts, exits, grammar, messages, options, payload
from apps.alerts.reasons import SENTENCES, Reason
from apps.trading.signal import Signal
from tests.torture import parser

INPUTS = int(os.environ.get("PARSER_INPUTS", "2000"))
SEED = int(os.environ.get("TORTURE_SEED", "4"))
PAGE = Path(__file__).parents[2] / "docs" / "alert-messages.md"


def test_no_input_breaks_the_parser(capsys: pytest.CaptureFixture[str]) -> None:
    tally, seen = parser.campaign(INPUTS, SEED)

    assert tally.violations == []
    assert capsys.readouterr().out == f"parser: {INPUTS} inputs, 0 failures, seed {SEED}\n"
    # It was worth the name: plenty of signals, and nearly every refusal and repair there is.
    assert seen.signals > INPUTS / 7
    assert len(seen.reasons) > len(Reason) * 0.75
    assert len(seen.repairs) > 15


def test_the_same_seed_makes_the_same_inputs() -> None:
    first, second = ([parser.an_input(seed, number) for number in range(50)] for seed in (1, 1))

    assert first == second
    assert [parser.an_input(2, number) for number in range(50)] != first


def test_the_page_of_the_grammar_is_the_code() -> None:
    assert PAGE.read_text() == grammar.markdown(), "run: python -m apps.alerts.grammar > docs/alert-messages.md"
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", PAGE.read_text(), re.MULTILINE)) == set(SENTENCES)


def _raising(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "_PERCENTAGES", None)


def _sign_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    read = amounts.read_amount
    monkeypatch.setattr("apps.alerts.values.read_amount", lambda *a, **k: replace(read(*a, **k), value=Decimal(-1)))


def _pointer_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload, "redact_text", lambda text: text)


def _strictness_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload, "_strict_refusal", lambda repairs: None)


def _price_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    read = messages.read_sizing
    monkeypatch.setattr(messages, "read_sizing", lambda values: replace(read(values), limit_price=None))


def _weights_unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    def half(targets: list[object], weights: list[object]) -> tuple[object, ...]:
        return tuple(replace(target, weight=Decimal("0.4")) for target in targets)  # type: ignore[type-var]

    monkeypatch.setattr(exits, "_weighted", half)


def _unexecuted_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    read = messages.MessageReader.read

    def deaf(reader: messages.MessageReader) -> Signal:
        if reader.not_executed:
            known = {"ticker", "action", "prev_position", "quantity", "pointer"}
            reader.message = {key: value for key, value in reader.message.items() if key in known}
        return read(reader)

    monkeypatch.setattr(messages.MessageReader, "read", deaf)


def _canonical_form_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    folded = payload.canonical_text
    monkeypatch.setattr(payload, "canonical_text", lambda message: folded(message).replace('"buy"', '"sell"'))


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (_raising, "raised TypeError"),
        (_sign_kept, "quantity is -1"),
        (_pointer_kept, "a pointer shows"),
        (_strictness_lost, "strict mode ran a repaired message"),
        (_price_forgotten, "a limit order without price"),
        (_weights_unchecked, "take profits that do not share"),
        (_unexecuted_ignored, "changed a signal instead of refusing it"),
        (_canonical_form_wrong, "its canonical form reads differently"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_broken_parser_is_caught(
    broken: Callable[[pytest.MonkeyPatch], None], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch)

    inputs = (parser.an_input(SEED, number) for number in range(2000))

    assert any(said in wrong for delivery in inputs for wrong in parser.wrong_with(delivery, parser.Seen()))
