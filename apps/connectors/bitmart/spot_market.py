"""Public market data of BitMart spot. Questions count time in seconds."""

from collections.abc import Sequence
from datetime import datetime

from apps.connectors.bitmart.client import Client
from apps.connectors.bitmart.market_rows import candle_row, match_row, to_book, to_candle, to_spot_match
from apps.connectors.bitmart.wire import instant, table, unix_ms, unreadable
from apps.connectors.exchange import Candle, NotSupportedError, OrderBook, PriceSource, PublicMatch

MOST_CANDLES = 200
MOST_MATCHES = 50
DEEPEST_BOOK = 50


class SpotMarketCalls:
    _client: Client

    def candles(
        self,
        symbol: str,
        *,
        minutes: int,
        since: datetime | None = None,
        until: datetime | None = None,
        source: PriceSource = PriceSource.LAST,
    ) -> Sequence[Candle]:
        if source is not PriceSource.LAST:
            raise NotSupportedError("Spot has no mark price. Nothing was sent.")
        question: dict[str, str | int] = {"symbol": symbol, "step": minutes, "limit": MOST_CANDLES}
        if since is not None:
            question["after"] = unix_ms(since) // 1000
        if until is not None:
            question["before"] = unix_ms(until) // 1000
        listed = _lists(self._client.public("/spot/quotation/v3/klines", question).data, "candles")
        return sorted((to_candle(candle_row(row)) for row in listed), key=lambda candle: candle.at)

    def order_book(self, symbol: str) -> OrderBook:
        question: dict[str, str | int] = {"symbol": symbol, "limit": DEEPEST_BOOK}
        data = table(self._client.public("/spot/quotation/v3/books", question).data, "book")
        return to_book(data, at=instant(data, "ts"))

    def recent_matches(self, symbol: str) -> Sequence[PublicMatch]:
        question: dict[str, str | int] = {"symbol": symbol, "limit": MOST_MATCHES}
        listed = _lists(self._client.public("/spot/quotation/v3/trades", question).data, "matches")
        return sorted((to_spot_match(match_row(row)) for row in listed), key=lambda match: match.at)


def _lists(value: object, what: str) -> list[object]:
    if not isinstance(value, list):
        raise unreadable(what)
    return value
