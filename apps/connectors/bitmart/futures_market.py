"""Public market data of BitMart's perpetuals. Questions count time in seconds."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from apps.connectors.bitmart.client import Client
from apps.connectors.bitmart.market_rows import (
    to_book,
    to_bracket,
    to_candle,
    to_funding_rate,
    to_futures_match,
    to_open_interest,
    to_past_funding_rate,
)
from apps.connectors.bitmart.wire import EPOCH, instant, rows, table, text, unix_ms, unreadable
from apps.connectors.exchange import (
    Candle,
    FundingRate,
    LeverageBracket,
    OpenInterest,
    OrderBook,
    PriceSource,
    PublicMatch,
)

MOST_CANDLES = 500
MOST_MATCHES = 100
MOST_RATES = 100


class FuturesMarketCalls:
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
        end = until or EPOCH + timedelta(milliseconds=self._client.now_ms())
        start = since or end - timedelta(minutes=minutes * MOST_CANDLES)
        question: dict[str, str | int] = {
            "symbol": symbol,
            "step": minutes,
            "start_time": unix_ms(start) // 1000,
            "end_time": unix_ms(end) // 1000,
        }
        route = "kline" if source is PriceSource.LAST else "markprice-kline"
        listed = rows(self._client.public(f"/contract/public/{route}", question).data, "candles")
        return sorted(map(to_candle, listed), key=lambda candle: candle.at)

    def order_book(self, symbol: str) -> OrderBook:
        data = table(self._client.public("/contract/public/depth", {"symbol": symbol}).data, "depth")
        return to_book({"symbol": symbol, **data}, at=instant(data, "timestamp"))

    def recent_matches(self, symbol: str) -> Sequence[PublicMatch]:
        question: dict[str, str | int] = {"symbol": symbol, "limit": MOST_MATCHES}
        listed = rows(self._client.public("/contract/public/market-trade", question).data, "matches")
        return sorted(map(to_futures_match, listed), key=lambda match: match.at)

    def funding_rate(self, symbol: str) -> FundingRate:
        rate = to_funding_rate(
            table(self._client.public("/contract/public/funding-rate", {"symbol": symbol}).data, "funding rate")
        )
        if rate.symbol != symbol:
            raise unreadable("another symbol than the one asked for")
        return rate

    def funding_history(self, symbol: str) -> Sequence[FundingRate]:
        question: dict[str, str | int] = {"symbol": symbol, "limit": MOST_RATES}
        data = table(self._client.public("/contract/public/funding-rate-history", question).data, "funding rates")
        listed = rows(data.get("list"), "funding rates")
        return sorted(map(to_past_funding_rate, listed), key=lambda rate: rate.at)

    def open_interest(self, symbol: str) -> OpenInterest:
        answer = self._client.public("/contract/public/open-interest", {"symbol": symbol})
        return to_open_interest(table(answer.data, "open interest"))

    def leverage_brackets(self, symbol: str) -> Sequence[LeverageBracket]:
        answer = self._client.public("/contract/public/leverage-bracket", {"symbol": symbol})
        rules = rows(table(answer.data, "brackets").get("rules"), "brackets")
        ours = [rule for rule in rules if text(rule, "symbol") == symbol]
        if len(ours) != 1:
            raise unreadable("brackets of the symbol")
        brackets = map(to_bracket, rows(ours[0].get("brackets"), "brackets"))
        return sorted(brackets, key=lambda bracket: bracket.notional_floor)
