"""The futures host's public topics, from the price path and the book."""

import re
from datetime import UTC, datetime
from decimal import Decimal

from apps.paper.amounts import ZERO, plain
from apps.paper.exchange import FUNDING_MS, Exchange
from apps.paper.instruments import FuturesInstrument
from apps.paper.market_data import Candle, Level, candles, day, day_volume, public_trades
from apps.paper.streams_manners import Manners
from apps.paper.streams_publishers import Increments, InTurn, OnChange, Publisher, Regular, Sides, Tape

_MINUTES = {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1H": 60, "2H": 120, "4H": 240}
_MINUTES |= {"6H": 360, "12H": 720, "1D": 1440, "3D": 4320, "1W": 10080}
_KLINES = tuple(f"futures/{kind}{span}" for kind in ("klineBin", "markPriceKlineBin") for span in _MINUTES)
_KLINE = re.compile(r"futures/(klineBin|markPriceKlineBin)(\w+)")
_DEPTH = re.compile(r"futures/depth(|All|Increase)(5|20|50)")
_DEPTHS = tuple(f"futures/depth{kind}{count}" for kind in ("", "All", "Increase") for count in (5, 20, 50))
CHANNELS = frozenset({"futures/ticker", "futures/fundingRate", "futures/bookticker", "futures/trade"})
CHANNELS |= {*_DEPTHS, *_KLINES}
INCREMENTAL = frozenset(name for name in _DEPTHS if "Increase" in name)
_PACES = ("", "100ms", "200ms")
_FUNDING_LIMIT = "0.0375"
_SECOND_MS = 1_000
_MINUTE_MS = 60_000
_MOST_TRADES = 50
_NOBODY: Level = (ZERO, ZERO)
_FIRST_TRADE_ID = 1_000_000_000
_TAKER_WAYS = {"buy": 1, "sell": 5}


def takes_pace(channel: str, pace: str) -> bool:
    return not pace or (channel in _DEPTHS and pace in _PACES)


def publisher(exchange: Exchange, manners: Manners, channel: str, symbol: str) -> Publisher:
    view = _View(exchange, exchange.catalogue.futures[symbol], manners)
    if book := _DEPTH.fullmatch(channel):
        return _depth(view, book[1], int(book[2]))
    if kline := _KLINE.fullmatch(channel):
        step_ms, of_mark = _MINUTES[kline[2]] * _MINUTE_MS, kline[1] != "klineBin"
        return Regular(lambda now_ms: view.kline(step_ms, now_ms, of_mark=of_mark), every_ms=_SECOND_MS)
    if channel == "futures/fundingRate":
        return Regular(view.funding_rate, every_ms=_MINUTE_MS)
    if channel == "futures/bookticker":
        return OnChange(view.book_ticker, _stamped)
    if channel == "futures/trade":
        return Tape(view.trades)
    return Regular(view.ticker, every_ms=_SECOND_MS)


def _depth(view: "_View", kind: str, count: int) -> Publisher:
    if kind == "Increase":
        return Increments(lambda now_ms: view.sides(count, now_ms), view.increase)
    if kind == "All":
        return OnChange(lambda now_ms: view.whole_depth(count, now_ms), _stamped)
    return InTurn(
        OnChange(lambda now_ms: view.half_depth(count, 1, now_ms), _stamped),
        OnChange(lambda now_ms: view.half_depth(count, 2, now_ms), _stamped),
    )


def _stamped(row: object, now_ms: int) -> object:
    return {**row, "ms_t": now_ms} if isinstance(row, dict) else row


class _View:
    def __init__(self, exchange: Exchange, instrument: FuturesInstrument, manners: Manners) -> None:
        self._exchange = exchange
        self._prices = exchange.prices
        self._instrument = instrument
        self._manners = manners

    def ticker(self, now_ms: int) -> object:
        symbol = self._instrument.symbol
        quote = self._prices.quote(symbol, now_ms)
        opened = day(self._prices, symbol, now_ms).open
        bid, ask = self._best(now_ms)
        return {
            "symbol": symbol,
            "last_price": plain(quote.last),
            "volume_24": plain(day_volume(self._prices, self._instrument, now_ms)),
            "range": plain(((quote.last - opened) / opened).quantize(Decimal("0.000000000000001"))),
            "mark_price": plain(quote.mark),
            "index_price": plain(quote.index.quantize(Decimal("0.000000000001"))),
            "ask_price": plain(ask[0]),
            "ask_vol": plain(ask[1]),
            "bid_price": plain(bid[0]),
            "bid_vol": plain(bid[1]),
        }

    def funding_rate(self, now_ms: int) -> object:
        symbol, slot = self._instrument.symbol, now_ms // FUNDING_MS
        return {
            "symbol": symbol,
            "fundingRate": plain(self._exchange.funding_rate(symbol, slot)),
            "fundingTime": slot * FUNDING_MS,
            "nextFundingRate": plain(self._exchange.funding_rate(symbol, slot + 1)),
            "nextFundingTime": (slot + 1) * FUNDING_MS,
            "funding_upper_limit": _FUNDING_LIMIT,
            "funding_lower_limit": f"-{_FUNDING_LIMIT}",
            "ts": now_ms,
        }

    def book_ticker(self, now_ms: int) -> object:
        bid, ask = self._best(now_ms)
        return {
            "symbol": self._instrument.symbol,
            "best_bid_price": plain(bid[0]),
            "best_bid_vol": plain(bid[1]),
            "best_ask_price": plain(ask[0]),
            "best_ask_vol": plain(ask[1]),
        }

    def half_depth(self, count: int, way: int, now_ms: int) -> object:
        """Return one side of the book: way 1 the bids, 2 the asks."""
        side = self._side("buy" if way == 1 else "sell", count, now_ms)
        return {"symbol": self._instrument.symbol, "way": way, "depths": _rows(side)}

    def whole_depth(self, count: int, now_ms: int) -> object:
        asks, bids = self._side("sell", count, now_ms), self._side("buy", count, now_ms)
        return {"symbol": self._instrument.symbol, "asks": _rows(asks), "bids": _rows(bids)}

    def sides(self, count: int, now_ms: int) -> Sides:
        return _texts(self._side("sell", count, now_ms)), _texts(self._side("buy", count, now_ms))

    def increase(self, sides: Sides, kind: str, version: int, now_ms: int) -> object:
        asks, bids = ([{"price": price, "vol": size} for price, size in side.items()] for side in sides)
        row = {"symbol": self._instrument.symbol, "asks": asks, "bids": bids, "ms_t": now_ms}
        return row | {"version": version, "type": kind}

    def kline(self, step_ms: int, now_ms: int, *, of_mark: bool) -> object:
        found = candles(
            self._prices,
            self._instrument,
            step_ms=step_ms,
            first_ms=now_ms,
            count=1,
            now_ms=now_ms,
            of_mark=of_mark,
        )
        row, symbol = _candle(next(found)), self._instrument.symbol
        return {"symbol": symbol, "items": [row]} if self._manners.kline == "items" else {"symbol": symbol} | row

    def trades(self, after_ms: int, until_ms: int) -> object:
        """Return the trades between the two, newest first, unlike the spot host."""
        count = min(until_ms // _SECOND_MS - after_ms // _SECOND_MS, _MOST_TRADES)
        found = public_trades(self._prices, self._instrument, until_ms, count=count)
        return [
            {
                "trade_id": _FIRST_TRADE_ID + trade.at_ms // _SECOND_MS,
                "symbol": self._instrument.symbol,
                "deal_price": plain(trade.price),
                "deal_vol": plain(trade.size),
                "way": _TAKER_WAYS[trade.side],
                "m": trade.side == "sell",
                "created_at": _nanoseconds(trade.at_ms),
            }
            for trade in found
        ]

    def _side(self, side: str, count: int, now_ms: int) -> list[Level]:
        return self._exchange.market.book(self._instrument, side, now_ms, count=count)

    def _best(self, now_ms: int) -> tuple[Level, Level]:
        """Return (bid, ask); zeros where nobody stands."""
        bids, asks = self._side("buy", 1, now_ms), self._side("sell", 1, now_ms)
        return (bids or [_NOBODY])[0], (asks or [_NOBODY])[0]


def _rows(side: list[Level]) -> list[dict[str, str]]:
    return [{"price": plain(price), "vol": plain(size)} for price, size in side]


def _texts(side: list[Level]) -> dict[str, str]:
    return {plain(price): plain(size) for price, size in side}


def _candle(candle: Candle) -> dict[str, object]:
    figures = {"o": candle.open, "h": candle.high, "l": candle.low, "c": candle.close, "v": candle.volume}
    return {name: plain(value) for name, value in figures.items()} | {"ts": candle.start_ms // 1000}


def _nanoseconds(at_ms: int) -> str:
    """Return ISO text with nine decimals of the second, such as 2023-02-24T07:54:11.124000000Z."""
    seconds, rest_ms = divmod(at_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest_ms:03d}000000Z"
