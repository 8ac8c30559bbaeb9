"""Refusals send the reader to pages by the name that these have."""

from apps.alerts.reasons import SENTENCES, Reason


def test_the_message_is_copied_from_the_connectors_page() -> None:
    assert [reason for reason, sentence in SENTENCES.items() if "pointer's page" in sentence] == []
    for reason in (Reason.NOT_A_TRADE, Reason.BAD_JSON, Reason.MISSING_FIELD):
        assert "the connector's page" in SENTENCES[reason]
