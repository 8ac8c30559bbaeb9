import re
from datetime import UTC, datetime

import pytest

from apps.connectors.forms import ConnectorSettingsForm
from apps.connectors.policies import Mismatch
from apps.trading.denials import Denial, DenialCode, Verdict, facts_of, verdict_of


@pytest.mark.parametrize("code", DenialCode)
def test_every_code_has_a_sentence_that_shows_its_facts(code: DenialCode) -> None:
    sentence = Denial(code, {name: f"<{name}>" for name in facts_of(code)}).sentence

    assert all(f"<{name}>" in sentence for name in facts_of(code))
    assert sentence.endswith(".")
    assert "—" not in sentence


@pytest.mark.parametrize("code", DenialCode)
def test_settings_that_a_sentence_names_have_that_name_on_the_page(code: DenialCode) -> None:
    sentence = Denial(code, dict.fromkeys(facts_of(code), "1")).sentence
    on_page = {label.partition(" (")[0] for label in ConnectorSettingsForm.Meta.labels.values()}

    assert set(re.findall(r"'([A-Z][a-z][^']*)'", sentence)) <= on_page


def test_mismatch_names_the_choice_that_the_page_shows() -> None:
    assert f"on the connector from '{Mismatch.REJECT.label}'." in Denial(DenialCode.POSITION_MISMATCH).sentence


def test_old_exit_speaks_of_the_side_that_it_closes_alone() -> None:
    """The other side may be open, or this one by an entry that came after it."""
    facts = {"age": "901", "limit": "900", "closes": "short", "symbol": "BTCUSDT"}
    assert Denial(DenialCode.EXIT_TOO_OLD, facts).sentence == (
        "Too old: this exit is 901 s old (limit 900 s), and no short position on BTCUSDT is open from before it. "
        "Nothing was sent."
    )


@pytest.mark.parametrize("code", DenialCode)
def test_reason_of_an_opening_leg_says_nothing_of_the_closing_one(code: DenialCode) -> None:
    denial = Denial(code, dict.fromkeys(facts_of(code), "Nothing was sent"))

    assert denial.reason(is_opening_leg=False) == denial.sentence
    of_leg = Denial(code, dict.fromkeys(facts_of(code), "1")).reason(is_opening_leg=True)
    assert not re.search("Nothing was sent|Not traded|Not sent", of_leg)
    assert len(denial.reason(is_opening_leg=True)) <= 500


def test_missing_fact_is_shown_as_unknown() -> None:
    assert "—" in Denial(DenialCode.SYMBOL_NOT_TRADING).sentence


def test_verdicts_tell_errors_from_the_rest() -> None:
    ignored = {code for code in DenialCode if verdict_of(code) is Verdict.IGNORED}
    too_old = {code for code in DenialCode if verdict_of(code) is Verdict.TOO_OLD}

    assert ignored == {
        "NOTHING_TO_CLOSE",
        "ALREADY_AT_TARGET",
        "SPOT_NO_SHORT",
        "DUST_LEFT",
        "TAKEN_BACK",
        "CANCELS_ONLY",
        "NOTHING_TO_CANCEL",
    }
    assert too_old == {"ENTRY_EXPIRED", "ALERT_TOO_OLD", "EXIT_TOO_OLD"}
    assert verdict_of(DenialCode.PAUSED) is Verdict.PAUSED
    assert verdict_of(DenialCode.POSITION_MISMATCH) is Verdict.REJECTED


def test_trial_sentence_names_the_day() -> None:
    ended = datetime(2026, 12, 6, tzinfo=UTC).date().isoformat()

    assert Denial(DenialCode.TRIAL_ENDED, {"ended": ended}).sentence == (
        "Your trial ended on 2026-12-06. New positions are off; exits and stops still work. Choose a plan to go on."
    )
