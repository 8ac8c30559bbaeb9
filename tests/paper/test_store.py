"""The store: memory and file say the same, through refusals, failed commits and older files."""

import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from apps.paper.events import BalanceChanged, Event
from apps.paper.records import Balance, Order
from apps.paper.store import Store
from apps.paper.wallets import Wallets

ROW = (1, "spot", "USDT")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "paper.sqlite3")
    Wallets(opened).change(*ROW, available=Decimal(10))
    yield opened
    opened.close()


def amounts(store: Store) -> tuple[Decimal, Decimal]:
    """Return the balance in memory and in the file."""
    return Wallets(store).balance(*ROW).available, store.find(Balance)[0].available


def change_and_fail(store: Store) -> None:
    with store.transaction():
        Wallets(store).change(*ROW, available=Decimal(5))
        # The query brings the change before its eyes, in the file too.
        assert store.find(Balance)[0].available > 14
        raise RuntimeError


def test_an_error_undoes_memory_and_file(store: Store) -> None:
    told: list[Event] = []
    store.feed.subscribe(told.append)

    with pytest.raises(RuntimeError):
        change_and_fail(store)

    assert (amounts(store), told) == ((10, 10), [])


def test_what_ended_before_stays_when_what_is_open_is_undone(store: Store) -> None:
    store.on_ended = lambda: None
    Wallets(store).change(*ROW, available=Decimal(1))

    with pytest.raises(RuntimeError):
        change_and_fail(store)
    store.commit()

    assert amounts(store) == (11, 11)


def test_nobody_is_told_before_the_commit(store: Store) -> None:
    told: list[Event] = []
    store.feed.subscribe(told.append)
    ended: list[bool] = []
    store.on_ended = lambda: ended.append(True)

    Wallets(store).change(*ROW, available=Decimal(1))
    assert (ended, told) == ([True], [])
    store.commit()

    assert [event.available for event in told if isinstance(event, BalanceChanged)] == [11]


def test_a_failed_commit_undoes_all_that_waited_for_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Event] = []
    store.feed.subscribe(told.append)
    store.on_ended = lambda: None
    Wallets(store).change(*ROW, available=Decimal(1))

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(store, "_write", full)
    with pytest.raises(sqlite3.OperationalError):
        store.commit()
    monkeypatch.undo()

    assert (amounts(store), told) == ((10, 10), [])


def test_a_file_of_an_earlier_version_gets_its_new_columns(tmp_path: Path) -> None:
    file = tmp_path / "old.sqlite3"
    database = sqlite3.connect(file)
    database.execute("CREATE TABLE balances (account_id INTEGER, wallet TEXT, currency TEXT, available TEXT)")
    database.execute("INSERT INTO balances VALUES (1, 'spot', 'USDT', '7.5')")
    database.commit()
    database.close()

    store = Store(file)

    assert store.find(Balance) == [Balance(1, "spot", "USDT", Decimal("7.5"), Decimal(0))]
    assert store.find(Order) == []
    store.close()
