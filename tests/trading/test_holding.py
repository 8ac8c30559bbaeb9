"""What is held, asked for with the one request that tells it."""

from decimal import Decimal
from typing import Any, cast

import pytest

from apps.connectors import instruments
from apps.connectors.exchange import Balance, Book, PositionReport, UnreachableError
from apps.connectors.looking import AccountReader
from apps.trading.legs import Holding
from apps.trading.market import read_holding
from tests.factories import InstrumentFactory, SpotInstrumentFactory

FUTURES = instruments.in_words(InstrumentFactory.build())
SPOT = instruments.in_words(SpotInstrumentFactory.build())


class Account:
    """Has the one answer that was given to it, and knows no other question."""

    def __init__(self, **answers: Any) -> None:
        for name, answer in answers.items():
            setattr(self, name, answer)


def held(instrument: Any, **answers: Any) -> Holding:
    return read_holding(cast(AccountReader, Account(**answers)), instrument)


def position(book: Book, signed_quantity: int) -> PositionReport:
    return PositionReport("BTCUSDT", book, Decimal(signed_quantity), Decimal(60_000), None, None, None, None)


def test_futures_ask_for_positions_alone_and_add_up_each_side() -> None:
    listed = [position(Book.LONG, 3), position(Book.SHORT, -2), position(Book.LONG, 0)]

    assert held(FUTURES, positions=lambda symbol: listed) == Holding(long=Decimal(3), short=Decimal(2))
    assert held(FUTURES, positions=lambda symbol: []) == Holding(long=Decimal(0), short=Decimal(0))


def test_spot_counts_what_is_free_of_the_coin() -> None:
    rows = [
        Balance(name, available=Decimal(free), frozen=Decimal(1), total=Decimal(9), equity=Decimal(9))
        for name, free in (("USDT", "500"), ("BTC", "0.25"))
    ]

    assert held(SPOT, balances=lambda: rows) == Holding(long=Decimal("0.25"), short=Decimal(0))
    assert held(SPOT, balances=lambda: rows[:1]) == Holding(long=Decimal(0), short=Decimal(0))


def test_no_answer_is_no_empty_account() -> None:
    def silent(*_: object) -> Any:
        raise UnreachableError("no answer")

    with pytest.raises(UnreachableError):
        held(FUTURES, positions=silent)
