"""The exchange's listing and prices, kept once for all tenants of an environment."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from django.db import connection, transaction
from django.db.models import QuerySet

from apps.connectors import exchange as words
from apps.connectors.listing_changes import (
    COLUMNS,
    Change,
    Difference,
    Row,
    difference,
    is_suspicious,
    row_of,
    symbols_listed,
)
from apps.connectors.models import Environment, Instrument, InstrumentChange
from apps.connectors.opening import open_public
from apps.lib import world
from apps.lib.compiled import Compiled
from apps.lib.statements import Asked, run

logger = logging.getLogger(__name__)

_LOCK = 0x1157


def sync(environment: str, market: str, *, accept_short: bool = False) -> int:
    """Read the listing and return how many symbols it holds, 0 when it was not believed: then nothing changes.

    A symbol no longer listed stays, marked not trading; what changed goes into the history. A listing in which many
    known symbols are missing is believed only with `accept_short`.
    """
    read = _rows_of(open_public(environment, market).instruments())
    now = world.now()
    with transaction.atomic():
        _one_at_a_time(environment, market)
        kept = _kept(environment, market)
        found = difference(read, kept)
        known = len(symbols_listed(kept))
        if not read or (is_suspicious(len(found.gone), known=known) and not accept_short):
            logger.error(
                "listing of %s %s has %d symbols, %d of %d known ones are missing: not taken",
                environment, market, len(read), len(found.gone), known,
            )  # fmt: skip
            return 0
        _write(environment, market, found, now)
        ours = Instrument.objects.filter(environment=environment, market=market)
        ours.filter(is_listed=True).update(synced_at=now)
        if kept:
            _note_changes(environment, market, found.changes, now)
    return len(read)


def _rows_of(listed: Iterable[words.Instrument]) -> dict[str, Row]:
    rows = {}
    for item in listed:
        row = row_of(item)
        if row is None:
            logger.warning("%s left out: a step of it is smaller than we can keep", item.symbol)
        else:
            rows[item.symbol] = row
    return rows


def _one_at_a_time(environment: str, market: str) -> None:
    """Wait for another process that writes the same listing, until the end of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_LOCK, f"{environment}/{market}"])


def _kept(environment: str, market: str) -> dict[str, Row]:
    rows = Instrument.objects.filter(environment=environment, market=market)
    return {row["symbol"]: row for row in rows.values("symbol", "is_listed", *COLUMNS)}


def _write(environment: str, market: str, found: Difference, now: datetime) -> None:
    rows = [
        Instrument(environment=environment, market=market, symbol=symbol, synced_at=now, **row)
        for symbol, row in found.listed.items()
    ]
    Instrument.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["environment", "market", "symbol"],
        update_fields=[*COLUMNS, "is_listed", "synced_at"],
        batch_size=500,
    )
    gone = Instrument.objects.filter(environment=environment, market=market, symbol__in=found.gone)
    gone.update(is_listed=False, is_trading=False)


def _note_changes(environment: str, market: str, changes: Sequence[Change], now: datetime) -> None:
    symbols = {change.symbol for change in changes}
    rows = Instrument.objects.filter(environment=environment, market=market, symbol__in=symbols)
    ids = dict(rows.values_list("symbol", "pk"))
    InstrumentChange.objects.bulk_create(
        [
            InstrumentChange(
                instrument_id=ids[change.symbol], at=now, field=change.field, old=change.old, new=change.new
            )
            for change in changes
        ],
        batch_size=500,
    )
    logger.info("listing of %s %s: %d changes", environment, market, len(changes))


def listing(environment: str, market: str) -> Collection[str]:
    """Return every symbol of the market, for resolving a ticker."""
    return tuple(symbols_of(environment=environment, market=market))


def is_synced(environment: str, market: str) -> bool:
    return bool(_any(environment=environment, market=market))


def get(environment: str, market: str, symbol: str) -> Instrument:
    return the_one(_one(environment=environment, market=market, symbol=symbol), symbol)


def asked(environment: str, market: str, symbol: str) -> Asked:
    """Return the question of `get`, whose answer `the_one` takes."""
    return _one.asked(environment=environment, market=market, symbol=symbol)


def the_one(found: Sequence[Instrument], symbol: str) -> Instrument:
    if not found:
        raise Instrument.DoesNotExist(symbol)
    return found[0]


def _of(environment: str, market: str) -> "QuerySet[Instrument]":
    return Instrument.objects.filter(environment=environment, market=market)


symbols_of = Compiled(lambda environment, market: _of(environment, market).values_list("symbol", flat=True))
_any = Compiled(lambda environment, market: _of(environment, market).values_list("pk", flat=True)[:1])
_one = Compiled(lambda environment, market, symbol: _of(environment, market).filter(symbol=symbol))


def in_words(row: Instrument) -> words.Instrument:
    return words.Instrument(
        market=words.Market(row.market),
        symbol=row.symbol,
        base=row.base,
        quote=row.quote,
        contract_size=row.contract_size,
        quantity_step=row.quantity_step,
        price_tick=row.price_tick,
        min_quantity=row.min_quantity,
        max_quantity=row.max_quantity,
        min_notional=row.min_notional,
        max_leverage=row.max_leverage,
        is_trading=row.is_trading,
        delist_at=row.delist_at,
    )


def refresh_prices(wanted: Mapping[tuple[str, str], Collection[str]]) -> int:
    """Fetch the prices of `(environment, market) -> symbols` and return how many rows were written.

    ExchangeError when a venue does not answer; what was read before is written.
    """
    written = 0
    for (environment, market), symbols in wanted.items():
        tickers = open_public(environment, market).tickers(sorted(symbols))
        written += write_prices(environment, market, [ticker for ticker in tickers if ticker.symbol in symbols])
    return written


def write_prices(environment: str, market: str, tickers: Collection[words.Ticker]) -> int:
    """Store prices that were just told and return how many; `at` is our clock, so that an age can be told."""
    rows = [(row.symbol, row.last, row.bid, row.ask, row.mark if row.mark is not None else row.last) for row in tickers]
    columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * 5
    return run(_WRITE_PRICES, (world.now(), *columns, environment, market)).count


# In one order everywhere: two processes that write the same prices must not wait for each other in a circle.
_WRITE_PRICES = """
INSERT INTO connectors_marketprice AS price (instrument_id, last, bid, ask, mark, at)
SELECT listed.id, told.last, told.bid, told.ask, told.mark, %s
FROM unnest(%s::text[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[])
    AS told (symbol, last, bid, ask, mark)
JOIN connectors_instrument AS listed ON listed.symbol = told.symbol AND listed.environment = %s AND listed.market = %s
ORDER BY listed.id
ON CONFLICT (instrument_id) DO UPDATE
SET last = excluded.last, bid = excluded.bid, ask = excluded.ask, mark = excluded.mark, at = excluded.at
"""


def environments() -> list[tuple[str, str]]:
    return [(environment, market.value) for environment in Environment.values for market in words.Market]
