"""Books, candles, trades and day figures, all from the price path: sizes are noise, prices are the path's."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from apps.paper.amounts import ZERO, ceil_to, floor_to
from apps.paper.instruments import FuturesInstrument, SpotInstrument
from apps.paper.prices import DAY_MS, Prices, noise

_HOUR_MS = 3_600_000
_CANDLE_SAMPLES = 6
_DAILY_TURNOVER = Decimal(20_000_000)
_TRADE_EVERY_MS = 1_000
_GAP = Decimal("0.00005")
LEVEL_MS = 1_000
MOST_LEVELS = 50
_MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Candle:
    start_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


@dataclass(frozen=True, slots=True)
class Day:
    open: Decimal
    high: Decimal
    low: Decimal


@dataclass(frozen=True, slots=True)
class PublicTrade:
    at_ms: int
    price: Decimal
    size: Decimal
    side: str


Level = tuple[Decimal, Decimal]
Instrument = SpotInstrument | FuturesInstrument


def size_step(instrument: Instrument) -> Decimal:
    return instrument.step if isinstance(instrument, SpotInstrument) else Decimal(1)


def _unit_value(instrument: Instrument) -> Decimal:
    if isinstance(instrument, SpotInstrument):
        return instrument.base.level
    return instrument.base.level * instrument.contract_size


def _wavering(prices: Prices, name: str, place: int, *, around: Decimal) -> Decimal:
    """Return between a tenth of `around` and twice it."""
    return around * (Decimal(noise(prices.seed, name, place)) * Decimal("0.95") / _MILLION + Decimal("1.05"))


def side_levels(prices: Prices, instrument: Instrument, at_ms: int, *, side: str) -> Iterator[Level]:
    """Yield the crowd's levels of one side, best first; a size holds for a second and is another in the next."""
    quote = prices.quote(instrument.symbol, at_ms)
    pin = prices.pinned(instrument.symbol)
    gap = max(floor_to(quote.last * _GAP, instrument.tick), instrument.tick)
    price, step = (quote.bid, -gap) if side == "buy" else (quote.ask, gap)
    for _ in range(MOST_LEVELS):
        if price <= 0:
            return
        yield price, Decimal(pin.depth) if pin and pin.depth else _level_size(prices, instrument, at_ms, price)
        price += step


def _level_size(prices: Prices, instrument: Instrument, at_ms: int, price: Decimal) -> Decimal:
    around = Decimal(20_000) / _unit_value(instrument)
    size = _wavering(prices, f"{instrument.symbol}/level/{price}", at_ms // LEVEL_MS, around=around)
    step = size_step(instrument)
    return max(floor_to(size, step), step)


@lru_cache(maxsize=4096)
def _day_until(prices: Prices, symbol: str, hour: int) -> Day:
    path = [prices.path(symbol, (hour - back) * _HOUR_MS) for back in range(25)]
    return Day(open=path[-1], high=max(path), low=min(path))


def day(prices: Prices, symbol: str, at_ms: int) -> Day:
    """Return open, high and low of the last 24 hours, from the path at the full hours and the price now."""
    last = prices.quote(symbol, at_ms).last
    known = _day_until(prices, symbol, at_ms // _HOUR_MS)
    return Day(open=known.open, high=max(known.high, last), low=min(known.low, last))


def day_volume(prices: Prices, instrument: Instrument, at_ms: int) -> Decimal:
    around = _DAILY_TURNOVER / _unit_value(instrument)
    volume = _wavering(prices, f"{instrument.symbol}/day", at_ms // _HOUR_MS, around=around)
    return ceil_to(volume, size_step(instrument))


def candles(
    prices: Prices,
    instrument: Instrument,
    *,
    step_ms: int,
    first_ms: int,
    count: int,
    now_ms: int,
    of_mark: bool = False,
) -> Iterator[Candle]:
    """Yield `count` candles of the last price, or of the mark price, from the one that holds first_ms on.

    The candle that holds `now_ms` ends there: it closes at the price now.
    """
    start = first_ms // step_ms * step_ms
    for place in range(count):
        start_ms = start + place * step_ms
        path = _path(prices, instrument, start_ms, step_ms=step_ms, now_ms=now_ms, of_mark=of_mark)
        yield _candle(prices, instrument, start_ms, step_ms=step_ms, path=path)


def _path(
    prices: Prices, instrument: Instrument, start_ms: int, *, step_ms: int, now_ms: int, of_mark: bool
) -> list[Decimal]:
    known = prices.mark_path if of_mark else prices.path
    times = [start_ms + step_ms * sample // _CANDLE_SAMPLES for sample in range(_CANDLE_SAMPLES + 1)]
    path = [known(instrument.symbol, at_ms) for at_ms in times if at_ms < now_ms]
    if times[-1] >= now_ms:
        quote = prices.quote(instrument.symbol, now_ms)
        path.append(quote.mark if of_mark else quote.last)
    return path


def _candle(prices: Prices, instrument: Instrument, start_ms: int, *, step_ms: int, path: list[Decimal]) -> Candle:
    around = _DAILY_TURNOVER * step_ms / DAY_MS / _unit_value(instrument)
    volume = _wavering(prices, f"{instrument.symbol}/candle/{step_ms}", start_ms // step_ms, around=around)
    step = size_step(instrument)
    return Candle(
        start_ms=start_ms,
        open=path[0],
        high=max(path),
        low=min(path),
        close=path[-1],
        volume=max(floor_to(volume, step), step),
    )


def public_trades(prices: Prices, instrument: Instrument, at_ms: int, *, count: int) -> list[PublicTrade]:
    """Return one trade a second, newest first."""
    newest = at_ms // _TRADE_EVERY_MS
    around = Decimal(1_000) / _unit_value(instrument)
    step = size_step(instrument)
    trades = []
    for place in range(newest, newest - count, -1):
        when = place * _TRADE_EVERY_MS
        size = _wavering(prices, f"{instrument.symbol}/trade", place, around=around)
        side = "buy" if noise(prices.seed, f"{instrument.symbol}/way", place) >= 0 else "sell"
        price = prices.path(instrument.symbol, when)
        trades.append(PublicTrade(when, price, max(floor_to(size, step), step), side))
    return trades


def open_interest(prices: Prices, instrument: FuturesInstrument, at_ms: int) -> Decimal:
    around = _DAILY_TURNOVER * 2 / _unit_value(instrument)
    return ceil_to(_wavering(prices, f"{instrument.symbol}/oi", at_ms // _HOUR_MS, around=around), Decimal(1)) or ZERO
