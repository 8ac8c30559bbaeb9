"""The spot host's public topics, from the price path and the book."""

from apps.paper.amounts import fixed
from apps.paper.exchange import Exchange
from apps.paper.instruments import SpotInstrument
from apps.paper.market_data import Level, candles, day, day_volume, public_trades
from apps.paper.streams_publishers import Increments, OnChange, Publisher, Regular, Sides, Tape

MINUTES = {
    "1m": 1,
    "3m": 3,
    "5m": 5,
    "15m": 15,
    "30m": 30,
    "1H": 60,
    "2H": 120,
    "4H": 240,
    "1D": 1440,
    "1W": 10080,
    "1M": 43200,
}
_KLINE = "spot/kline"
_DEPTHS = {"spot/depth5": 5, "spot/depth20": 20, "spot/depth50": 50}
_INCREASE = "spot/depth/increase100"
_INCREASE_LEVELS = 100
_SECOND_MS = 1_000
_MOST_TRADES = 50
_Text = tuple[str, str]
_NOBODY: _Text = ("0", "0")
CHANNELS = frozenset(
    {"spot/ticker", "spot/bookTicker", "spot/trade", _INCREASE, *_DEPTHS, *(f"{_KLINE}{span}" for span in MINUTES)}
)
INCREMENTAL = frozenset({_INCREASE})


def publisher(exchange: Exchange, channel: str, symbol: str) -> Publisher:
    view = _View(exchange, exchange.catalogue.spot[symbol])
    if channel in _DEPTHS:
        count = _DEPTHS[channel]
        return OnChange(lambda now_ms: view.depth(count, now_ms), _stamped)
    if channel.startswith(_KLINE):
        step_ms = MINUTES[channel.removeprefix(_KLINE)] * 60_000
        return Regular(lambda now_ms: view.kline(step_ms, now_ms), every_ms=_SECOND_MS)
    if channel == _INCREASE:
        return Increments(view.sides, view.increase)
    if channel == "spot/bookTicker":
        return OnChange(view.book_ticker, _stamped)
    if channel == "spot/trade":
        return Tape(view.trades)
    return Regular(view.ticker, every_ms=_SECOND_MS)


def _stamped(row: object, now_ms: int) -> object:
    return [{**row, "ms_t": now_ms}] if isinstance(row, dict) else row


class _View:
    def __init__(self, exchange: Exchange, instrument: SpotInstrument) -> None:
        self._prices = exchange.prices
        self._market = exchange.market
        self._instrument = instrument

    def ticker(self, now_ms: int) -> object:
        instrument, places = self._instrument, self._instrument.price_places
        quote = self._prices.quote(instrument.symbol, now_ms)
        figures = day(self._prices, instrument.symbol, now_ms)
        volume = day_volume(self._prices, instrument, now_ms)
        best = self.book_ticker(now_ms)
        row = {
            "symbol": instrument.symbol,
            "last_price": fixed(quote.last, places),
            "open_24h": fixed(figures.open, places),
            "high_24h": fixed(figures.high, places),
            "low_24h": fixed(figures.low, places),
            "base_volume_24h": fixed(volume, instrument.size_places),
            "quote_volume_24h": fixed(volume * quote.last, 2),
            "fluctuation": fixed((quote.last - figures.open) / figures.open, 4),
        }
        return [row | best | {"s_t": now_ms // 1000, "ms_t": now_ms}]

    def book_ticker(self, now_ms: int) -> dict[str, object]:
        asks, bids = self._levels(1, now_ms)
        (bid_px, bid_sz), (ask_px, ask_sz) = (bids or [_NOBODY])[0], (asks or [_NOBODY])[0]
        bid = {"bid_px": bid_px, "bid_sz": bid_sz}
        return {"symbol": self._instrument.symbol, **bid, "ask_px": ask_px, "ask_sz": ask_sz}

    def depth(self, count: int, now_ms: int) -> object:
        asks, bids = self._levels(count, now_ms)
        return {"symbol": self._instrument.symbol, "asks": asks, "bids": bids}

    def sides(self, now_ms: int) -> Sides:
        asks, bids = self._levels(_INCREASE_LEVELS, now_ms)
        return dict(asks), dict(bids)

    def increase(self, sides: Sides, kind: str, version: int, now_ms: int) -> object:
        asks, bids = ([[price, size] for price, size in side.items()] for side in sides)
        row = {"symbol": self._instrument.symbol, "asks": asks, "bids": bids, "ms_t": now_ms}
        return [row | {"type": kind, "version": version}]

    def kline(self, step_ms: int, now_ms: int) -> object:
        instrument, places = self._instrument, self._instrument.price_places
        candle = next(
            candles(self._prices, instrument, step_ms=step_ms, first_ms=now_ms, count=1, now_ms=now_ms),
        )
        figures = [fixed(price, places) for price in (candle.open, candle.high, candle.low, candle.close)]
        volume = fixed(candle.volume, instrument.size_places)
        return [{"symbol": instrument.symbol, "candle": [candle.start_ms // 1000, *figures, volume]}]

    def trades(self, after_ms: int, until_ms: int) -> object:
        instrument = self._instrument
        count = min(until_ms // _SECOND_MS - after_ms // _SECOND_MS, _MOST_TRADES)
        found = public_trades(self._prices, instrument, until_ms, count=count)
        return [
            {
                "symbol": instrument.symbol,
                "price": fixed(trade.price, instrument.price_places),
                "side": trade.side,
                "size": fixed(trade.size, instrument.size_places),
                "s_t": trade.at_ms // 1000,
                "ms_t": trade.at_ms,
            }
            for trade in reversed(found)
        ]

    def _levels(self, count: int, now_ms: int) -> tuple[list[_Text], list[_Text]]:
        """Return (asks, bids) as texts, best first."""
        book = self._market.book
        asks = book(self._instrument, "sell", now_ms, count=count)
        return self._texts(asks), self._texts(book(self._instrument, "buy", now_ms, count=count))

    def _texts(self, side: list[Level]) -> list[_Text]:
        places, size_places = self._instrument.price_places, self._instrument.size_places
        return [(fixed(price, places), fixed(size, size_places)) for price, size in side]
