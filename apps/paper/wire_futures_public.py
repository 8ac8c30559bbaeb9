"""Contract details and market data of the perpetuals."""

from decimal import Decimal

from apps.paper.amounts import ZERO, plain
from apps.paper.exchange import FUNDING_MS
from apps.paper.instruments import QUOTE, FuturesInstrument
from apps.paper.limits import Limit
from apps.paper.market_data import (
    Candle,
    Level,
    candles,
    day,
    day_volume,
    open_interest,
    public_trades,
)
from apps.paper.params import FUTURES
from apps.paper.refusals import Refusal
from apps.paper.wire import Call, Encoded, Route

_LISTED_MS = 1_594_080_000_000
_STEPS = (1, 3, 5, 15, 30, 60, 120, 240, 360, 720, 1440, 4320, 10080)
_MOST_CANDLES = 500
_FUNDING_LIMIT = "0.0375"


def _instrument(call: Call) -> FuturesInstrument:
    return call.exchange.futures.instrument(call.params.need("symbol"))


def details(call: Call) -> object:
    symbol = call.params.text("symbol")
    listed = call.exchange.catalogue.futures
    if symbol is None:
        text = call.exchange.futures_listing.text(
            lambda one: _detail(call, listed[one]), call.exchange.prices, call.now_ms
        )
        return Encoded(f'{{"symbols":[{text}]}}')
    if symbol not in listed and call.exchange.policies.of(None, "unknown_symbol") == "empty":
        return {"symbols": []}
    return {"symbols": [_detail(call, call.exchange.futures.instrument(symbol))]}


def _detail(call: Call, instrument: FuturesInstrument) -> dict[str, object]:
    exchange, now_ms = call.exchange, call.now_ms
    quote = exchange.prices.quote(instrument.symbol, now_ms)
    figures = day(exchange.prices, instrument.symbol, now_ms)
    volume = day_volume(exchange.prices, instrument, now_ms)
    interest = open_interest(exchange.prices, instrument, now_ms)
    slot = now_ms // FUNDING_MS
    change = (quote.last - figures.open) / figures.open
    return {
        "symbol": instrument.symbol,
        "product_type": 1,
        "open_timestamp": _LISTED_MS,
        "expire_timestamp": 0,
        "settle_timestamp": 0,
        "base_currency": instrument.base.currency,
        "quote_currency": QUOTE,
        "last_price": plain(quote.last),
        "volume_24h": plain(volume),
        "turnover_24h": plain(instrument.value(volume, quote.last)),
        "index_price": plain(quote.index.quantize(Decimal("0.000000000001"))),
        "index_name": instrument.symbol,
        "contract_size": plain(instrument.contract_size),
        "min_leverage": "1",
        "max_leverage": str(instrument.max_leverage),
        "price_precision": plain(instrument.tick),
        "vol_precision": "1",
        "max_volume": plain(instrument.max_volume),
        "market_max_volume": plain(instrument.market_max_volume),
        "min_volume": "1",
        "funding_rate": plain(exchange.funding_rate(instrument.symbol, slot)),
        "expected_funding_rate": plain(exchange.funding_rate(instrument.symbol, slot + 1)),
        "open_interest": plain(interest),
        "open_interest_value": plain(instrument.value(interest, quote.last)),
        "high_24h": plain(figures.high),
        "low_24h": plain(figures.low),
        "change_24h": plain(change.quantize(Decimal("0.000001"))),
        "funding_interval_hours": 8,
        "funding_time": (slot + 1) * FUNDING_MS,
        "status": "Trading",
        "delist_time": 0,
    }


def depth(call: Call) -> object:
    instrument = _instrument(call)
    market = call.exchange.market
    bids = market.book(instrument, "buy", call.now_ms, count=50)
    asks = market.book(instrument, "sell", call.now_ms, count=50)
    return {
        "asks": _cumulated(asks),
        "bids": _cumulated(bids),
        "timestamp": call.now_ms,
        "symbol": instrument.symbol,
    }


def _cumulated(side: list[Level]) -> list[list[str]]:
    rows, total = [], ZERO
    for price, size in side:
        total += size
        rows.append([plain(price), plain(size), plain(total)])
    return rows


def market_trade(call: Call) -> object:
    instrument = _instrument(call)
    limit = call.params.whole_between("limit", 1, 100, default=50)
    rows = []
    for trade in public_trades(call.exchange.prices, instrument, call.now_ms, count=limit):
        coins = trade.size * instrument.contract_size
        rows.append(
            {
                "symbol": instrument.symbol,
                "price": plain(trade.price),
                "qty": plain(coins),
                "quote_qty": plain(coins * trade.price),
                "time": trade.at_ms // 1000,
                "is_buyer_maker": trade.side == "sell",
            }
        )
    return rows


def kline(call: Call) -> object:
    return _klines(call, of_mark=False)


def markprice_kline(call: Call) -> object:
    return _klines(call, of_mark=True)


def _klines(call: Call, *, of_mark: bool) -> object:
    """Return candles between start_time and end_time, both in seconds; candles that have not begun are left out."""
    instrument = _instrument(call)
    step = call.params.whole("step") or 1
    if step not in _STEPS:
        raise Refusal(40038)
    step_ms = step * 60_000
    end = call.params.whole_between("end_time", 0, 10**11, default=call.now_ms // 1000, code=40039)
    end_ms = min(end * 1000, call.now_ms)
    default = max(end_ms - 100 * step_ms, 0) // 1000
    start_ms = call.params.whole_between("start_time", 0, 10**11, default=default, code=40039) * 1000
    first_ms = start_ms // step_ms * step_ms
    if first_ms > end_ms:
        return []
    count = min((end_ms - first_ms) // step_ms + 1, _MOST_CANDLES)
    found = candles(
        call.exchange.prices,
        instrument,
        step_ms=step_ms,
        first_ms=first_ms,
        count=count,
        now_ms=call.now_ms,
        of_mark=of_mark,
    )
    return [_candle(candle) for candle in found]


def _candle(candle: Candle) -> dict[str, object]:
    return {
        "timestamp": candle.start_ms // 1000,
        "open_price": plain(candle.open),
        "high_price": plain(candle.high),
        "low_price": plain(candle.low),
        "close_price": plain(candle.close),
        "volume": plain(candle.volume),
    }


def funding_rate(call: Call) -> object:
    instrument = _instrument(call)
    slot = call.now_ms // FUNDING_MS
    return {
        "timestamp": call.now_ms,
        "symbol": instrument.symbol,
        "rate_value": plain(call.exchange.funding_rate(instrument.symbol, slot)),
        "expected_rate": plain(call.exchange.funding_rate(instrument.symbol, slot + 1)),
        "funding_time": (slot + 1) * FUNDING_MS,
        "funding_upper_limit": _FUNDING_LIMIT,
        "funding_lower_limit": f"-{_FUNDING_LIMIT}",
    }


def funding_rate_history(call: Call) -> object:
    instrument = _instrument(call)
    limit = call.params.whole_between("limit", 1, 100, default=100)
    slot = call.now_ms // FUNDING_MS
    rows = [
        {
            "symbol": instrument.symbol,
            "funding_rate": plain(call.exchange.funding_rate(instrument.symbol, past)),
            "funding_time": str(past * FUNDING_MS),
        }
        for past in range(slot, slot - limit, -1)
    ]
    return {"list": rows}


def interest(call: Call) -> object:
    instrument = _instrument(call)
    contracts = open_interest(call.exchange.prices, instrument, call.now_ms)
    last = call.exchange.prices.quote(instrument.symbol, call.now_ms).last
    return {
        "timestamp": call.now_ms,
        "symbol": instrument.symbol,
        "open_interest": plain(contracts),
        "open_interest_value": plain(instrument.value(contracts, last)),
    }


def leverage_bracket(call: Call) -> object:
    symbol = call.params.text("symbol")
    if symbol:
        return {"rules": [_rules(call.exchange.futures.instrument(symbol))]}
    listed = call.exchange.catalogue.futures.values()
    return Encoded(call.exchange.fixed_text("brackets", lambda: {"rules": [_rules(one) for one in listed]}))


def _rules(instrument: FuturesInstrument) -> dict[str, object]:
    return {"symbol": instrument.symbol, "brackets": _brackets(instrument)}


def _brackets(instrument: FuturesInstrument) -> list[dict[str, object]]:
    return [
        {
            "bracket": bracket.number,
            "initial_leverage": bracket.leverage,
            "notional_cap": plain(bracket.cap),
            "notional_floor": plain(bracket.floor),
            "maint_margin_ratio": plain(bracket.ratio),
            "cum": plain(bracket.cum),
        }
        for bracket in instrument.brackets
    ]


_LIMIT = Limit(12, 2, "IP")
ROUTES = (
    Route("GET", "/contract/public/details", "none", FUTURES, details, _LIMIT),
    Route("GET", "/contract/public/depth", "none", FUTURES, depth, _LIMIT),
    Route("GET", "/contract/public/market-trade", "none", FUTURES, market_trade, _LIMIT),
    Route("GET", "/contract/public/kline", "none", FUTURES, kline, _LIMIT),
    Route("GET", "/contract/public/markprice-kline", "none", FUTURES, markprice_kline, _LIMIT),
    Route("GET", "/contract/public/funding-rate", "none", FUTURES, funding_rate, _LIMIT),
    Route("GET", "/contract/public/funding-rate-history", "none", FUTURES, funding_rate_history, _LIMIT),
    Route("GET", "/contract/public/open-interest", "none", FUTURES, interest, Limit(2, 2, "IP")),
    Route("GET", "/contract/public/leverage-bracket", "none", FUTURES, leverage_bracket, _LIMIT),
)
