"""Public market data to our words, for both markets."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from apps.connectors.bitmart.wire import (
    Row,
    amount,
    instant,
    instant_or_none,
    number,
    number_or_none,
    step,
    text,
    to_decimal,
    unreadable,
    whole,
    word,
)
from apps.connectors.exchange import (
    Candle,
    FundingRate,
    LeverageBracket,
    OpenInterest,
    OrderBook,
    PriceLevel,
    PublicMatch,
    ServiceNotice,
    Side,
)

_CANDLE_FIELDS = ("timestamp", "open_price", "high_price", "low_price", "close_price", "volume")
_MATCH_FIELDS = ("symbol", "time", "price", "qty", "side")
_SIDES = {"buy": Side.BUY, "sell": Side.SELL}
_NOTICE_WORKING = "1"


def to_candle(row: Row) -> Candle:
    return Candle(
        at=instant(row, "timestamp"),
        open=amount(row, "open_price"),
        high=amount(row, "high_price"),
        low=amount(row, "low_price"),
        close=amount(row, "close_price"),
        volume=number_or_none(row, "volume"),
    )


def candle_row(listed: object) -> Row:
    """Name the fields of a spot candle, a bare list of texts."""
    return _named(listed, _CANDLE_FIELDS, "candle")


def match_row(listed: object) -> Row:
    return _named(listed, _MATCH_FIELDS, "match")


def to_spot_match(row: Row) -> PublicMatch:
    side = _SIDES.get(text(row, "side"))
    if side is None:
        raise unreadable("side")
    return PublicMatch(word(row, "symbol"), amount(row, "price"), step(row, "qty"), side, instant(row, "time"))


def to_futures_match(row: Row) -> PublicMatch:
    """The quantity of this one route is in coins, not contracts, and its time in seconds."""
    is_buyer_maker = row.get("is_buyer_maker")
    if not isinstance(is_buyer_maker, bool):
        raise unreadable("is_buyer_maker")
    side = Side.SELL if is_buyer_maker else Side.BUY
    return PublicMatch(word(row, "symbol"), amount(row, "price"), step(row, "qty"), side, instant(row, "time"))


def to_book(row: Row, *, at: datetime) -> OrderBook:
    return OrderBook(word(row, "symbol"), _levels(row.get("bids")), _levels(row.get("asks")), at)


def _levels(listed: object) -> tuple[PriceLevel, ...]:
    if not isinstance(listed, list):
        raise unreadable("levels of the book")
    return tuple(_level(level) for level in listed)


def _level(level: object) -> PriceLevel:
    if not isinstance(level, list) or len(level) < 2:
        raise unreadable("a level of the book")
    price, quantity = to_decimal(level[0]), to_decimal(level[1])
    if price is None or quantity is None or price <= 0 or quantity < 0:
        raise unreadable("a level of the book")
    return PriceLevel(price, quantity)


def to_funding_rate(row: Row) -> FundingRate:
    return FundingRate(
        symbol=word(row, "symbol"),
        rate=number(row, "rate_value"),
        at=instant(row, "funding_time"),
        expected_rate=number_or_none(row, "expected_rate"),
    )


def to_past_funding_rate(row: Row) -> FundingRate:
    return FundingRate(word(row, "symbol"), number(row, "funding_rate"), instant(row, "funding_time"))


def to_open_interest(row: Row) -> OpenInterest:
    return OpenInterest(
        symbol=word(row, "symbol"),
        contracts=amount(row, "open_interest"),
        value=amount(row, "open_interest_value"),
        at=instant(row, "timestamp"),
    )


def to_bracket(row: Row) -> LeverageBracket:
    return LeverageBracket(
        max_leverage=step(row, "initial_leverage"),
        notional_floor=amount(row, "notional_floor"),
        notional_cap=amount(row, "notional_cap"),
        maintenance_rate=amount(row, "maint_margin_ratio"),
        deduction=number(row, "cum"),
    )


def to_notice(row: Row) -> ServiceNotice:
    return ServiceNotice(
        title=text(row, "title"),
        service=text(row, "service_type"),
        # Text in the documents, a number in real answers.
        is_running=str(whole(row, "status")) == _NOTICE_WORKING,
        starts_at=instant_or_none(row, "start_time"),
        ends_at=instant_or_none(row, "end_time"),
    )


def _named(listed: object, names: Sequence[str], what: str) -> dict[str, Any]:
    if not isinstance(listed, list) or len(listed) < len(names):
        raise unreadable(what)
    return dict(zip(names, listed, strict=False))
