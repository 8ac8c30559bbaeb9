"""The listing as the exchange gives it, kept with its history; a broken answer changes nothing."""

import dataclasses
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from apps.connectors import instruments
from apps.connectors import tasks as connector_tasks
from apps.connectors.exchange import Instrument, Market, UnreachableError
from apps.connectors.models import Instrument as Row
from apps.connectors.models import InstrumentChange
from tests.factories import ConnectorFactory

pytestmark = pytest.mark.django_db

BTC = Instrument(
    market=Market.FUTURES, symbol="BTCUSDT", base="BTC", quote="USDT", contract_size=Decimal("0.001"),
    quantity_step=Decimal(1), price_tick=Decimal("0.1"), min_quantity=Decimal(1), max_quantity=Decimal(1000000),
    min_notional=Decimal(0), max_leverage=Decimal(100), is_trading=True,
)  # fmt: skip


def named(symbol: str, **changed: Any) -> Instrument:
    return dataclasses.replace(BTC, symbol=symbol, **changed)


class Venue:
    """Says what it was told to list."""

    def __init__(self) -> None:
        self.listed: list[Instrument] = []
        self.error: Exception | None = None

    def instruments(self) -> Sequence[Instrument]:
        if self.error is not None:
            raise self.error
        return self.listed


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> Venue:
    venue = Venue()
    monkeypatch.setattr(instruments, "open_public", lambda environment, market: venue)
    return venue


def sync(exchange: Venue, *listed: Instrument, **options: Any) -> int:
    exchange.listed = list(listed)
    return instruments.sync("paper", "futures", **options)


def history() -> list[tuple[str, str, str, str]]:
    rows = InstrumentChange.objects.order_by("at", "instrument__symbol", "field")
    return list(rows.values_list("instrument__symbol", "field", "old", "new"))


def test_the_first_listing_is_no_news(exchange: Venue) -> None:
    count = sync(exchange, BTC, named("ETHUSDT"))

    assert count == 2
    assert sorted(instruments.listing("paper", "futures")) == ["BTCUSDT", "ETHUSDT"]
    assert instruments.in_words(instruments.get("paper", "futures", "BTCUSDT")) == BTC
    assert history() == []


def test_an_unchanged_listing_leaves_no_trace_but_its_time(exchange: Venue) -> None:
    sync(exchange, BTC)
    before = Row.objects.get().synced_at

    sync(exchange, BTC)

    assert Row.objects.get().synced_at > before
    assert history() == []


def test_a_listing_a_change_and_a_delisting_are_history(exchange: Venue) -> None:
    sync(exchange, BTC, named("ETHUSDT"))
    delist_at = datetime(2026, 8, 26, 1, tzinfo=UTC)

    sync(exchange, named("BTCUSDT", max_leverage=Decimal(50), delist_at=delist_at), named("LTCUSDT"))

    assert history() == [
        ("BTCUSDT", "delist_at", "", "2026-08-26T01:00:00+00:00"),
        ("BTCUSDT", "max_leverage", "100", "50"),
        ("ETHUSDT", "is_listed", "True", "False"),
        ("LTCUSDT", "is_listed", "", "True"),
    ]
    gone = instruments.get("paper", "futures", "ETHUSDT")
    assert (gone.is_listed, gone.is_trading) == (False, False)
    assert instruments.get("paper", "futures", "BTCUSDT").max_leverage == 50


def test_a_delisting_is_told_once_and_a_return_too(exchange: Venue) -> None:
    sync(exchange, BTC, named("ETHUSDT"))
    for _ in range(2):
        sync(exchange, BTC)
    sync(exchange, BTC, named("ETHUSDT"))

    assert history() == [
        ("ETHUSDT", "is_listed", "True", "False"),
        ("ETHUSDT", "is_listed", "False", "True"),
        ("ETHUSDT", "is_trading", "False", "True"),
    ]
    assert instruments.get("paper", "futures", "ETHUSDT").is_trading is True


def test_a_suspended_symbol_stays_listed(exchange: Venue) -> None:
    sync(exchange, BTC)

    sync(exchange, named("BTCUSDT", is_trading=False))

    assert history() == [("BTCUSDT", "is_trading", "True", "False")]
    assert instruments.get("paper", "futures", "BTCUSDT").is_listed is True


def test_markets_and_environments_keep_apart(exchange: Venue) -> None:
    sync(exchange, BTC)
    exchange.listed = [named("XRPUSDT")]
    instruments.sync("live", "futures")

    sync(exchange, BTC)

    assert Row.objects.filter(is_listed=True).count() == 2
    assert history() == []


@pytest.mark.parametrize("left", [0, 1, 23])
def test_a_mass_disappearance_is_not_believed(exchange: Venue, left: int, caplog: pytest.LogCaptureFixture) -> None:
    many = [named(f"A{number:02}USDT") for number in range(30)]
    sync(exchange, *many)
    before = list(Row.objects.order_by("pk").values())

    with caplog.at_level(logging.ERROR):
        count = sync(exchange, *(named(f"A{number:02}USDT", max_leverage=Decimal(3)) for number in range(left)))

    assert count == 0
    assert list(Row.objects.order_by("pk").values()) == before
    assert history() == []
    assert caplog.messages == [
        f"listing of paper futures has {left} symbols, {30 - left} of 30 known ones are missing: not taken"
    ]


def test_a_few_of_many_may_go(exchange: Venue) -> None:
    many = [named(f"A{number:02}USDT") for number in range(30)]
    sync(exchange, *many)

    assert sync(exchange, *many[:24]) == 24
    assert Row.objects.filter(is_listed=False).count() == 6


def test_an_empty_listing_is_never_believed(exchange: Venue) -> None:
    sync(exchange, BTC)

    assert sync(exchange) == 0
    assert sync(exchange, accept_short=True) == 0
    assert instruments.get("paper", "futures", "BTCUSDT").is_trading is True


def test_what_staff_know_to_be_short_is_taken(exchange: Venue) -> None:
    sync(exchange, *(named(f"A{number:02}USDT") for number in range(30)))

    assert sync(exchange, named("A00USDT"), accept_short=True) == 1
    assert Row.objects.filter(is_listed=True).count() == 1


def test_one_odd_symbol_hides_no_other(exchange: Venue) -> None:
    count = sync(exchange, BTC, named("ODDUSDT", price_tick=Decimal("1e-19")))

    assert count == 1
    assert list(instruments.listing("paper", "futures")) == ["BTCUSDT"]


def test_a_value_finer_than_we_keep_is_no_change_every_time(exchange: Venue) -> None:
    fine = named("BTCUSDT", max_quantity=Decimal("1.00000000000000000049"), max_leverage=Decimal("33.333"))
    sync(exchange, fine)

    sync(exchange, fine)

    assert history() == []


def test_a_symbol_listed_twice_counts_once(exchange: Venue) -> None:
    assert sync(exchange, BTC, BTC) == 1


def test_several_thousand_symbols_take_few_statements(exchange: Venue, django_assert_max_num_queries: Any) -> None:
    many = [named(f"A{number:04}USDT") for number in range(4000)]
    sync(exchange, *many)
    changed = [named(one.symbol, max_leverage=Decimal(20)) for one in many]

    with django_assert_max_num_queries(8):
        sync(exchange, *many)
    with django_assert_max_num_queries(30):
        sync(exchange, *changed)

    assert InstrumentChange.objects.count() == 4000


def test_the_hourly_task_goes_on_after_a_market_that_does_not_answer(
    exchange: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    ConnectorFactory(market="spot")
    ConnectorFactory(market="futures")
    asked: list[str] = []

    def read(environment: str, market: str) -> int:
        asked.append(market)
        raise UnreachableError("no answer")

    monkeypatch.setattr(instruments, "sync", read)

    connector_tasks.sync_instruments()

    assert asked == ["futures", "spot"]


def test_the_command_reads_now_and_says_what_it_did_not_believe(exchange: Venue, capsys: Any) -> None:
    ConnectorFactory()
    exchange.listed = [named(f"A{number:02}USDT") for number in range(30)]
    call_command("sync_instruments")
    told = capsys.readouterr().out
    exchange.listed = [named("A00USDT")]

    with pytest.raises(CommandError, match="paper futures: the listing is suspiciously short, nothing was changed"):
        call_command("sync_instruments")
    call_command("sync_instruments", "--accept-short")

    assert told == "paper futures: 30 symbols\n"
    assert Row.objects.filter(is_listed=True).count() == 1
