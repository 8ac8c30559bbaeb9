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
from apps.connectors.budget import Priority, priority, standing
from apps.connectors.exchange import Ticker, UnreachableError
from apps.connectors.models import Instrument, MarketPrice
from apps.trading import market
from apps.trading.market import fresher, read_ticker
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


def in_hand(instrument: Instrument, age_s: float) -> Ticker:
    """Have a price of 100 stored that is so old, and return it as it was read."""
    at = timezone.now() - timedelta(seconds=age_s)
    MarketPriceFactory(instrument=instrument, last=Decimal(100), at=at)
    ticker = read_ticker(instrument)
    assert ticker is not None
    return ticker


def asked_anew(instrument: Instrument, ticker: Ticker, times: int) -> list[Decimal]:
    """Have as many threads at once ask for a fresher price than the one that they have."""
    together = threading.Barrier(times)

    def one(_: int) -> Decimal:
        together.wait(10)
        try:
            return fresher(instrument, ticker).last
        finally:
            connection.close()

    with ThreadPoolExecutor(times) as threads:
        return list(threads.map(one, range(times)))


def test_a_herd_asks_once_for_a_fresher_price(monkeypatch: pytest.MonkeyPatch) -> None:
    instrument = InstrumentFactory()
    ticker = in_hand(instrument, 1)

    def answer() -> None:
        MarketPrice.objects.filter(instrument=instrument).update(last=Decimal(105), at=timezone.now())

    asked = exchange(monkeypatch, answer)

    assert asked_anew(instrument, ticker, HERD) == [Decimal(105)] * HERD
    assert asked == [instrument.symbol]


def test_fresher_price_that_is_not_told_is_done_without_and_not_asked_for_again_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    instrument = InstrumentFactory()
    ticker = in_hand(instrument, 1)
    asked = exchange(monkeypatch, no_answer)

    assert asked_anew(instrument, ticker, HERD) == [Decimal(100)] * HERD
    assert fresher(instrument, ticker) is ticker
    assert asked == [instrument.symbol]
    monkeypatch.setattr(market, "FRESHER_AGAIN_S", 0)
    assert fresher(instrument, ticker) is ticker
    assert asked == [instrument.symbol] * 2


@pytest.mark.parametrize("age_s", [0.2, 9])
def test_price_of_now_and_one_that_was_made_do_with_are_not_asked_for_anew(
    monkeypatch: pytest.MonkeyPatch, age_s: float
) -> None:
    instrument = InstrumentFactory()
    asked = exchange(monkeypatch, no_answer)
    ticker = in_hand(instrument, age_s)
    del asked[:]

    assert fresher(instrument, ticker) is ticker
    assert asked == []


def test_fresher_price_takes_only_what_is_left_of_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    instrument = InstrumentFactory()
    ticker = in_hand(instrument, 1)
    stood: list[tuple[Priority, float]] = []
    monkeypatch.setattr(instruments, "refresh_prices", lambda _: stood.append((standing().priority, standing().wait_s)))

    with priority(Priority.ENTRY):
        fresher(instrument, ticker)

    assert stood == [(Priority.SCREEN, 0)]
