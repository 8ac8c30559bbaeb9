"""What the sweeper does side by side."""

import pytest

from apps.alerts.management.commands import sweeper


class AskedError(Exception):
    """Somebody waits for the exchange."""


def test_what_a_person_asks_the_exchange_holds_up_no_alert(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks and previews may take minutes; an exit that is tried again has to be run meanwhile."""

    def asked() -> int:
        raise AskedError

    for name in ("run_checks", "answer_due"):
        monkeypatch.setattr(sweeper, name, asked)
    works = {work.__name__: work for work, _ in sweeper.LOOPS}

    works["overdue_alerts"]()

    for name in ("connector_checks", "previews"):
        with pytest.raises(AskedError):
            works[name]()
