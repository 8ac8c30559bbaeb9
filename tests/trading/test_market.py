"""The prices that a herd of alerts decides by."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone

from apps.connectors import instruments
from apps.connectors.budget import Priority, priority
from apps.connectors.exchange import UnreachableError
from apps.connectors.models import Instrument, MarketPrice
from apps.trading.market import read_ticker
from tests.factories import InstrumentFactory, MarketPriceFactory

pytestmark = pytest.mark.django_db(transaction=True)

HERD = 6


def herd(instrument: Instrument, urgencies: list[Priority]) -> list[Decimal | None]:
    """Have as many threads find the stored price too old at once; return what each is told, None = no news."""
    together = threading.Barrier(len(urgencies))

    def one(urgency: Priority) -> Decimal | None:
        together.wait(10)
        try:
            with priority(urgency):
                ticker = read_ticker(instrument, [])
        except UnreachableError:
            return None
        finally:
            connection.close()
        assert ticker is not None
        return ticker.last

    with ThreadPoolExecutor(len(urgencies)) as threads:
        return list(threads.map(one, urgencies))


def exchange(monkeypatch: pytest.MonkeyPatch, answer: Callable[[], None]) -> list[str]:
    """Stand in for the exchange, answering after a moment; return the symbols it is asked for, as they come."""
    asked: list[str] = []

    def refresh(wanted: dict[tuple[str, str], list[str]]) -> int:
        [symbols] = wanted.values()
        asked.extend(symbols)
        threading.Event().wait(0.3)
        answer()
        return 1

    monkeypatch.setattr(instruments, "refresh_prices", refresh)
    return asked


def rise_of(instrument: Instrument) -> Callable[[], None]:
    """Have an old price of 100 stored; return an answer of the exchange that makes it 105."""
    price = MarketPriceFactory(instrument=instrument, last=Decimal(100), at=timezone.now() - timedelta(minutes=1))

    def answer() -> None:
        MarketPrice.objects.filter(pk=price.pk).update(last=Decimal(105), at=timezone.now())

    return answer


def no_answer() -> None:
    raise UnreachableError("no answer")


def test_a_herd_asks_for_the_price_once(monkeypatch: pytest.MonkeyPatch) -> None:
    instrument = InstrumentFactory()
    asked = exchange(monkeypatch, rise_of(instrument))

    assert herd(instrument, [Priority.ENTRY] * HERD) == [Decimal(105)] * HERD
    assert asked == [instrument.symbol]


def test_an_exit_does_not_wait_for_an_entry_to_be_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    instrument = InstrumentFactory()
    asked = exchange(monkeypatch, rise_of(instrument))

    assert herd(instrument, [Priority.ENTRY, Priority.EXIT]) == [Decimal(105)] * 2
    assert asked == [instrument.symbol] * 2


def test_a_herd_makes_do_with_a_price_of_the_last_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    instrument = InstrumentFactory()
    MarketPriceFactory(instrument=instrument, last=Decimal(100), at=timezone.now() - timedelta(seconds=9))
    asked = exchange(monkeypatch, no_answer)

    assert herd(instrument, [Priority.ENTRY] * HERD) == [Decimal(100)] * HERD
    assert asked == [instrument.symbol]


def test_a_herd_is_told_that_there_is_no_price(monkeypatch: pytest.MonkeyPatch) -> None:
    instrument = InstrumentFactory()
    asked = exchange(monkeypatch, no_answer)

    assert herd(instrument, [Priority.ENTRY] * HERD) == [None] * HERD
    assert asked == [instrument.symbol]
