"""What a decision is made from: the account and the market as the exchange tells them now."""

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from apps.connectors import instruments
from apps.connectors.budget import Priority, priority, standing
from apps.connectors.exchange import (
    Balance,
    Book,
    ExchangeError,
    FeeRates,
    Instrument,
    Market,
    PositionMode,
    PositionReport,
    Ticker,
)
from apps.connectors.looking import AccountReader
from apps.connectors.models import Connector, MarketPrice
from apps.connectors.models import Instrument as InstrumentRow
from apps.lib import world
from apps.lib.compiled import Compiled
from apps.lib.flights import Flights
from apps.lib.pool import at_once
from apps.lib.statements import Asked
from apps.trading.inputs import Account
from apps.trading.legs import Holding

logger = logging.getLogger(__name__)

T = TypeVar("T")

FRESH = timedelta(seconds=2)
# What a guard inside an entry counts from: the market may have left an older price behind. It is asked for so long, and
# again so long after it was not told.
FRESHER, FRESHER_WITHIN_S, FRESHER_AGAIN_S = timedelta(seconds=0.5), 1.0, 5.0
USABLE = timedelta(seconds=15)
# A held coin's price may be this old when it is valued as a part of the account's equity.
VALUABLE = timedelta(minutes=5)


class _Kept:
    """Answers that change rarely and cost scarce requests, kept for a while in this process."""

    MOST = 10_000

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._values: dict[tuple[Any, ...], tuple[float, Any]] = {}

    def get(self, key: tuple[Any, ...], read: Callable[[], T]) -> T:
        now = world.monotonic()
        with self._lock:
            kept = self._values.get(key)
        if kept is not None and now - kept[0] < self._seconds:
            return kept[1]  # type: ignore[no-any-return]
        value = read()
        with self._lock:
            if len(self._values) >= self.MOST:
                self._values.clear()
            self._values[key] = (now, value)
        return value

    def forget(self, key: tuple[Any, ...]) -> None:
        with self._lock:
            self._values.pop(key, None)


_modes = _Kept(30)
_fees = _Kept(3600)
# At the close of a bar hundreds of alerts find the same price too old in one moment.
_asking: Flights[MarketPrice | None] = Flights(ExchangeError)
_not_told: dict[int, float] = {}


def read_account(
    connector: Connector, exchange: AccountReader, instrument: Instrument, *, with_equity: bool = False
) -> Account:
    """Ask the exchange what the account holds. ExchangeError means no news, not an empty account."""
    if instrument.market is Market.SPOT:
        balances = exchange.balances()
        equity = _equity(balances, connector, instrument.quote) if with_equity else None
        free = {balance.currency: balance.available for balance in balances}
        zero = Decimal(0)
        holding = Holding(long=free.get(instrument.base, zero))
        return Account(holding, free.get(instrument.quote, zero), PositionMode.ONE_WAY, None, None, equity)
    mode = _modes.get((connector.pk, connector.credentials_set_at), exchange.position_mode)
    told, balances = at_once(lambda: exchange.positions(instrument.symbol), exchange.balances)
    positions = [position for position in told if position.signed_quantity]
    if any(p.book is not Book.NET for p in positions) is not (mode is PositionMode.HEDGE) and positions:
        # The account was switched since the mode was read.
        _modes.forget((connector.pk, connector.credentials_set_at))
        mode = _modes.get((connector.pk, connector.credentials_set_at), exchange.position_mode)
    available = sum((b.available for b in balances if b.currency == instrument.quote), Decimal(0))
    open_position = positions[0] if positions else None
    return Account(
        _holding(positions),
        available,
        mode,
        open_position.leverage if open_position else None,
        open_position.margin_mode if open_position else None,
        _equity(balances, connector, instrument.quote) if with_equity else None,
    )


def read_holding(exchange: AccountReader, instrument: Instrument) -> Holding:
    """Ask for nothing but what the account holds of the instrument. ExchangeError means no news, not an empty account.

    On spot what is free of the coin.
    """
    if instrument.market is Market.SPOT:
        free = (balance.available for balance in exchange.balances() if balance.currency == instrument.base)
        return Holding(long=next(free, Decimal(0)))
    return _holding(exchange.positions(instrument.symbol))


def _holding(positions: Sequence[PositionReport]) -> Holding:
    long = sum((p.signed_quantity for p in positions if p.signed_quantity > 0), Decimal(0))
    short = sum((-p.signed_quantity for p in positions if p.signed_quantity < 0), Decimal(0))
    return Holding(long=long, short=short)


def _equity(balances: Sequence[Balance], connector: Connector, quote: str) -> Decimal:
    """Return what the account is worth in `quote`. A coin without a price of the last minutes counts nothing."""
    own = sum((balance.equity for balance in balances if balance.currency == quote), Decimal(0))
    coins = {balance.currency: balance.equity for balance in balances if balance.currency != quote and balance.equity}
    if not coins:
        return own
    prices = MarketPrice.objects.filter(
        instrument__environment=connector.environment,
        instrument__market=connector.market,
        instrument__quote=quote,
        instrument__base__in=coins,
        at__gt=world.now() - VALUABLE,
    )
    return own + sum((coins[coin] * last for coin, last in prices.values_list("instrument__base", "last")), Decimal(0))


def asked_price(connector: Connector, symbol: str) -> Asked:
    """Return the question for what is stored of the symbol's prices, whose answer `read_ticker` takes."""
    market = {"environment": connector.environment, "market": connector.market, "symbol": symbol}
    return _prices_of.asked(**market, since=world.now() - FRESH)


def read_ticker(instrument: InstrumentRow, stored: Sequence[MarketPrice] | None = None) -> Ticker | None:
    """Return the symbol's prices, at most FRESH old; asked once for all tenants, for the address is what is limited.

    When the exchange refuses to be asked again so soon, prices up to USABLE old do. ExchangeError when there are none.
    """
    if stored is None:
        price = _stored(instrument, FRESH)
    else:
        price = stored[0] if stored else None
    if price is None:
        # What is less important waits longer for its turn at the exchange: it keeps nobody waiting who is more so.
        price = _asking.join((instrument.pk, standing().priority), lambda: _asked_now(instrument))
    if price is None:
        return None
    return _in_words(instrument, price)


def fresher(instrument: InstrumentRow, ticker: Ticker) -> Ticker:
    """Return the symbol's prices of FRESHER where the exchange tells them at once, else `ticker`.

    Takes of the request limits only what nobody more important may want, and waits for no turn.
    """
    now, age = world.monotonic(), world.now() - ticker.at
    # One that is older than FRESH was made do with: the exchange has just not told it.
    if not FRESHER < age <= FRESH or 0 <= now - _not_told.get(instrument.pk, float("-inf")) < FRESHER_AGAIN_S:
        return ticker
    try:
        with priority(Priority.SCREEN, max_wait_s=0, until=now + FRESHER_WITHIN_S):
            price = _asking.join((instrument.pk, FRESHER), lambda: _asked_fresher(instrument))
    except ExchangeError as error:
        logger.info("price of %s is not told anew: %s", instrument.symbol, error.sentence)
        _not_told[instrument.pk] = world.monotonic()
        return ticker
    return ticker if price is None else _in_words(instrument, price)


def _in_words(instrument: InstrumentRow, price: MarketPrice) -> Ticker:
    return Ticker(instrument.symbol, price.last, price.bid, price.ask, price.mark, price.at)


def _asked_fresher(instrument: InstrumentRow) -> MarketPrice | None:
    price = _stored(instrument, FRESHER)
    if price is None:
        instruments.refresh_prices({(instrument.environment, instrument.market): [instrument.symbol]})
        price = _stored(instrument, FRESHER)
    return price


def _asked_now(instrument: InstrumentRow) -> MarketPrice | None:
    # Whoever asked before may have just been answered.
    price = _stored(instrument, FRESH)
    if price is not None:
        return price
    try:
        instruments.refresh_prices({(instrument.environment, instrument.market): [instrument.symbol]})
    except ExchangeError:
        price = _stored(instrument, USABLE)
        if price is None:
            raise
        return price
    return _stored(instrument, FRESH)


def _stored(instrument: InstrumentRow, age: timedelta) -> MarketPrice | None:
    found = _prices(instrument=instrument.pk, since=world.now() - age)
    return found[0] if found else None


_prices = Compiled(lambda instrument, since: MarketPrice.objects.filter(instrument_id=instrument, at__gt=since))
_prices_of = Compiled(
    lambda environment, market, symbol, since: MarketPrice.objects.filter(
        instrument__environment=environment, instrument__market=market, instrument__symbol=symbol, at__gt=since
    )
)


def fee_rates(connector_id: UUID, exchange: AccountReader, symbol: str) -> FeeRates:
    """Return the account's rates, read at most once an hour."""
    return _fees.get((connector_id, symbol), lambda: exchange.fee_rates(symbol))
