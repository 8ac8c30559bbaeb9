"""The answer of the exchange is written also when the database is away in that moment."""

from typing import Any

import pytest
from django.db import OperationalError

from apps.trading import executor, transitions
from apps.trading.models import OrderState
from tests.engine.conftest import Bench

S = OrderState


class Away:
    """A database that fails the next `times` moves out of SUBMITTING."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
        self.left, self.failed = times, 0
        real = transitions.move

        def move(order: Any, to: Any, **columns: Any) -> None:
            if order.state == S.SUBMITTING and self.left:
                self.left, self.failed = self.left - 1, self.failed + 1
                raise OperationalError("server closed the connection unexpectedly")
            real(order, to, **columns)

        monkeypatch.setattr(transitions, "move", move)
        monkeypatch.setattr(executor, "RECORD_PAUSE_S", 0)


def test_answer_is_kept_until_the_database_is_back(futures: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    away = Away(monkeypatch, 3)

    futures.send("buy", "flat", "0.01")

    assert away.failed == 3
    assert futures.path(futures.order()) == [S.PLANNED, S.SUBMITTING, S.ACCEPTED, S.FILLED]
    assert len(futures.book()) == 1


def test_refusal_is_kept_too(futures: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    Away(monkeypatch, 2)
    futures.fault("code", code=40027, status=400)

    futures.send("buy", "flat", "0.01")

    assert (futures.order().state, futures.book()) == (S.REJECTED, [])


@pytest.mark.usefixtures("failing")
def test_after_ten_seconds_the_sweeper_asks_what_became_of_it(futures: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    away = Away(monkeypatch, 1)
    monkeypatch.setattr(executor, "RECORD_WITHIN_S", -1)

    futures.send("buy", "flat", "0.01")
    assert (futures.order().state, away.failed) == (S.SUBMITTING, 1)
    futures.wait(2)

    assert futures.path(futures.order()) == [S.PLANNED, S.SUBMITTING, S.UNKNOWN, S.FILLED]
    assert (futures.held(), len(futures.book())) == (10, 1)
