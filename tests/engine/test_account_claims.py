"""Two processes that want to read the same account."""

from typing import Any

import pytest
from django.db import transaction

from apps.lib import world
from apps.trading import reconcile
from apps.trading.models import AccountWatch
from tests.engine.conftest import Bench, bench
from tests.engine.test_concurrency import at_once
from tests.shared_paper import SharedPaper


@pytest.fixture
def futures(committed: None, paper: SharedPaper) -> Bench:
    return bench(paper, "futures")


def test_account_that_another_process_claims_is_neither_read_nor_waited_for(futures: Bench) -> None:
    reconcile.poll_due()
    AccountWatch.unscoped.update(next_at=world.now())
    read: list[int] = []

    with transaction.atomic():
        AccountWatch.unscoped.update(next_at=world.now() + reconcile.CLAIM)
        at_once(lambda: read.append(reconcile.poll_due()))

    assert read == [0]


def test_due_account_is_read_by_one_of_two(futures: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    reconcile.poll_due()
    AccountWatch.unscoped.update(next_at=world.now())
    read: list[Any] = []
    monkeypatch.setattr(reconcile, "_poll", read.append)

    at_once(reconcile.poll_due, reconcile.poll_due)

    assert [watch.pk for watch in read] == [AccountWatch.unscoped.get().pk]
