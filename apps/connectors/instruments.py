"""The exchange's listing and prices, kept once for all tenants of an environment."""

from collections.abc import Collection, Mapping

from django.db import transaction
from django.utils import timezone

from apps.connectors import exchange as words
from apps.connectors.models import Environment, Instrument, MarketPrice
from apps.connectors.opening import open_public

_COLUMNS = (
    "base",
    "quote",
    "contract_size",
    "quantity_step",
    "price_tick",
    "min_quantity",
    "max_quantity",
    "min_notional",
    "max_leverage",
    "is_trading",
    "delist_at",
    "synced_at",
)


def sync(environment: str, market: str) -> int:
    """Read the listing and return how many symbols it holds; a symbol no longer listed stays, marked not trading."""
    now = timezone.now()
    listed = open_public(environment, market).instruments()
    rows = [
        Instrument(
            environment=environment,
            market=market,
            symbol=item.symbol,
            base=item.base,
            quote=item.quote,
            contract_size=item.contract_size,
            quantity_step=item.quantity_step,
            price_tick=item.price_tick,
            min_quantity=item.min_quantity,
            max_quantity=item.max_quantity,
            min_notional=item.min_notional,
            max_leverage=item.max_leverage,
            is_trading=item.is_trading,
            delist_at=item.delist_at,
            synced_at=now,
        )
        for item in listed
    ]
    with transaction.atomic():
        Instrument.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["environment", "market", "symbol"],
            update_fields=_COLUMNS,
            batch_size=500,
        )
        if rows:
            gone = Instrument.objects.filter(environment=environment, market=market, synced_at__lt=now)
            gone.update(is_trading=False)
    return len(rows)


def listing(environment: str, market: str) -> Collection[str]:
    """Return every symbol of the market, for resolving a ticker."""
    stored = Instrument.objects.filter(environment=environment, market=market)
    return list(stored.values_list("symbol", flat=True))


def is_synced(environment: str, market: str) -> bool:
    return Instrument.objects.filter(environment=environment, market=market).exists()


def get(environment: str, market: str, symbol: str) -> Instrument:
    return Instrument.objects.get(environment=environment, market=market, symbol=symbol)


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
    now = timezone.now()
    symbols = [ticker.symbol for ticker in tickers]
    listed = Instrument.objects.filter(environment=environment, market=market, symbol__in=symbols)
    known = dict(listed.values_list("symbol", "pk"))
    rows = [
        MarketPrice(
            instrument_id=known[ticker.symbol],
            last=ticker.last,
            bid=ticker.bid,
            ask=ticker.ask,
            mark=ticker.mark if ticker.mark is not None else ticker.last,
            at=now,
        )
        for ticker in tickers
        if ticker.symbol in known
    ]
    # In one order everywhere: two processes that write the same prices must not wait for each other in a circle.
    rows.sort(key=lambda row: row.instrument_id)
    MarketPrice.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["instrument"],
        update_fields=["last", "bid", "ask", "mark", "at"],
    )
    return len(rows)


def environments() -> list[tuple[str, str]]:
    return [(environment, market.value) for environment in Environment.values for market in words.Market]
