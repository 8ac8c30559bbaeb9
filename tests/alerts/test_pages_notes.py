from apps.alerts.notes import SENTENCES, sentence_of
from apps.trading.legs import NoteCode


def test_every_note_of_the_planner_has_a_sentence() -> None:
    assert {code.value for code in NoteCode} <= set(SENTENCES)


def test_fact_that_an_older_row_lacks_is_a_dash() -> None:
    assert sentence_of({"code": "ADDED_TO_HELD", "facts": {}}) == "Added to the — already held."


def test_unknown_code_is_shown_with_its_facts() -> None:
    assert sentence_of({"code": "NEW", "facts": {"a": "1", "b": "2"}}) == "NEW: a 1, b 2"
