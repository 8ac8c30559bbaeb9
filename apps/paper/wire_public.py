"""System and spot market data: the routes that need no key."""

from decimal import Decimal

from apps.paper.amounts import fixed, plain
from apps.paper.instruments import QUOTE, Coin, SpotInstrument
from apps.paper.limits import Limit
from apps.paper.market_data import Level, candles, day, day_volume, public_trades
from apps.paper.params import ACCOUNT, QUOTES, SPOT
from apps.paper.refusals import Refusal
from apps.paper.wire import Call, Encoded, Route

_LISTED_MS = 1_527_777_538_000
_STEPS = (1, 5, 15, 30, 60, 120, 240, 1440, 10080, 43200)
_NETWORK = "TRC20"


def server_time(call: Call) -> object:
    return {"server_time": call.now_ms}


def service(call: Call) -> object:
    """Return one finished maintenance: nothing is waiting and nothing is under way."""
    row = {
        "title": "Spot API Stop",
        "service_type": "spot",
        "status": "2",
        "start_time": _LISTED_MS,
        "end_time": _LISTED_MS,
    }
    return {"service": [row]}


def symbols(call: Call) -> object:
    return {"symbols": list(call.exchange.catalogue.spot)}


def symbol_details(call: Call) -> object:
    listed = call.exchange.catalogue.spot.values()
    return Encoded(call.exchange.fixed_text("symbols", lambda: {"symbols": [_symbol_detail(one) for one in listed]}))


def _symbol_detail(instrument: SpotInstrument) -> dict[str, object]:
    return {
        "symbol": instrument.symbol,
        "symbol_id": instrument.symbol_id,
        "base_currency": instrument.base.currency,
        "quote_currency": QUOTE,
        "base_min_size": fixed(instrument.step, 30),
        "base_max_size": fixed(instrument.max_size, 30),
        "price_min_precision": instrument.price_places - 3,
        "price_max_precision": instrument.price_places,
        # Named after the quote, and yet the step of the base size.
        "quote_increment": format(instrument.step, "f"),
        "expiration": "NA",
        "min_buy_amount": fixed(instrument.min_notional, 30),
        "min_sell_amount": fixed(instrument.min_notional, 30),
        "trade_status": "trading",
    }


def spot_currencies(call: Call) -> object:
    rows = [
        {"id": coin.currency, "name": coin.name, "withdraw_enabled": False, "deposit_enabled": False}
        for coin in call.exchange.catalogue.coins.values()
    ]
    return {"currencies": rows}


def account_currencies(call: Call) -> object:
    return {"currencies": [_account_currency(coin) for coin in call.exchange.catalogue.coins.values()]}


def _account_currency(coin: Coin) -> dict[str, object]:
    return {
        "currency": coin.currency,
        "name": coin.name,
        "contract_address": None,
        "network": _NETWORK if coin.currency == QUOTE else coin.currency,
        "withdraw_enabled": False,
        "deposit_enabled": False,
        "withdraw_minsize": "0",
        "withdraw_minfee": "0",
    }


def _instrument(call: Call) -> SpotInstrument:
    symbol = call.params.need("symbol")
    found = call.exchange.catalogue.spot.get(symbol)
    if found is None:
        raise Refusal(70002)
    return found


def _best(call: Call, instrument: SpotInstrument, *, count: int) -> tuple[list[Level], list[Level]]:
    market = call.exchange.market
    return (
        market.book(instrument, "buy", call.now_ms, count=count),
        market.book(instrument, "sell", call.now_ms, count=count),
    )


def _ticker(call: Call, instrument: SpotInstrument) -> dict[str, str]:
    prices = call.exchange.prices
    quote = prices.quote(instrument.symbol, call.now_ms)
    figures = day(prices, instrument.symbol, call.now_ms)
    volume = day_volume(prices, instrument, call.now_ms)
    bids, asks = _best(call, instrument, count=1)
    places, size_places = instrument.price_places, instrument.size_places
    return {
        "symbol": instrument.symbol,
        "last": fixed(quote.last, places),
        "v_24h": fixed(volume, size_places),
        "qv_24h": fixed(volume * quote.last, 2),
        "open_24h": fixed(figures.open, places),
        "high_24h": fixed(figures.high, places),
        "low_24h": fixed(figures.low, places),
        "fluctuation": fixed((quote.last - figures.open) / figures.open, 5),
        "bid_px": fixed(bids[0][0], places),
        "bid_sz": fixed(bids[0][1], size_places),
        "ask_px": fixed(asks[0][0], places),
        "ask_sz": fixed(asks[0][1], size_places),
        "ts": str(call.now_ms),
    }


def ticker(call: Call) -> object:
    return _ticker(call, _instrument(call))


def tickers(call: Call) -> object:
    listed = call.exchange.catalogue.spot

    def row(symbol: str) -> list[str]:
        return list(_ticker(call, listed[symbol]).values())

    return Encoded(f"[{call.exchange.spot_listing.text(row, call.exchange.prices, call.now_ms)}]")


def books(call: Call) -> object:
    instrument = _instrument(call)
    limit = call.params.whole_between("limit", 1, 50, default=35)
    bids, asks = _best(call, instrument, count=limit)
    places, size_places = instrument.price_places, instrument.size_places
    return {
        "ts": str(call.now_ms),
        "symbol": instrument.symbol,
        "asks": [[fixed(price, places), fixed(size, size_places)] for price, size in asks],
        "bids": [[fixed(price, places), fixed(size, size_places)] for price, size in bids],
    }


def trades(call: Call) -> object:
    instrument = _instrument(call)
    limit = call.params.whole_between("limit", 1, 50, default=50)
    found = public_trades(call.exchange.prices, instrument, call.now_ms, count=limit)
    return [[instrument.symbol, str(t.at_ms), plain(t.price), plain(t.size), t.side] for t in found]


def klines(call: Call) -> object:
    """Return candles, oldest first, between `after` and `before` in seconds; without them the newest."""
    instrument = _instrument(call)
    step = call.params.whole("step") or 1
    if step not in _STEPS:
        raise Refusal(71001, "Invalid step")
    limit = call.params.whole_between("limit", 1, 200, default=100)
    before = call.params.whole_between("before", 0, 10**11, default=call.now_ms // 1000)
    last_ms = min(before * 1000, call.now_ms)
    step_ms = step * 60_000
    first_ms = (last_ms // step_ms - limit + 1) * step_ms
    after = call.params.whole_between("after", 0, 10**11, default=0) * 1000
    if after > first_ms:
        first_ms = after
    count = min(limit, (last_ms - first_ms // step_ms * step_ms) // step_ms + 1)
    found = candles(
        call.exchange.prices,
        instrument,
        step_ms=step_ms,
        first_ms=first_ms,
        count=max(count, 0),
        now_ms=call.now_ms,
    )
    places = instrument.price_places
    return [
        [
            str(candle.start_ms // 1000),
            fixed(candle.open, places),
            fixed(candle.high, places),
            fixed(candle.low, places),
            fixed(candle.close, places),
            plain(candle.volume),
            fixed(candle.volume * (candle.high + candle.low) / Decimal(2), 2),
        ]
        for candle in found
    ]


def _ip(count: int, seconds: int = 2) -> Limit:
    return Limit(count, seconds, "IP")


ROUTES = (
    Route("GET", "/system/time", "none", SPOT, server_time, _ip(10, 1)),
    Route("GET", "/system/service", "none", SPOT, service, _ip(10, 1)),
    Route("GET", "/spot/v1/symbols", "none", SPOT, symbols, _ip(8)),
    Route("GET", "/spot/v1/symbols/details", "none", SPOT, symbol_details, _ip(12)),
    Route("GET", "/spot/v1/currencies", "none", SPOT, spot_currencies, _ip(8)),
    Route("GET", "/account/v1/currencies", "none", ACCOUNT, account_currencies, _ip(2)),
    Route("GET", "/spot/quotation/v3/ticker", "none", QUOTES, ticker, _ip(15)),
    Route("GET", "/spot/quotation/v3/tickers", "none", QUOTES, tickers, _ip(10)),
    Route("GET", "/spot/quotation/v3/books", "none", QUOTES, books, _ip(15)),
    Route("GET", "/spot/quotation/v3/trades", "none", QUOTES, trades, _ip(15)),
    Route("GET", "/spot/quotation/v3/klines", "none", QUOTES, klines, _ip(10)),
    Route("GET", "/spot/quotation/v3/lite-klines", "none", QUOTES, klines, _ip(15)),
)
