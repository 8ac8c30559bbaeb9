"""Futures rows to our words. Sizes are contracts; states and sides are small integers."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from apps.connectors.bitmart.wire import (
    Row,
    amount,
    identifier,
    identifier_or_blank,
    instant,
    instant_or_none,
    number,
    number_or_none,
    positive_or_none,
    step,
    text,
    to_decimal,
    unreadable,
    whole,
    word,
)
from apps.connectors.exchange import (
    Balance,
    Book,
    Crossing,
    FeeRates,
    FillReport,
    Instrument,
    LiquidityRole,
    MarginMode,
    Market,
    OrderReport,
    OrderStatus,
    PositionReport,
    PositionRisk,
    PriceSource,
    Side,
    Ticker,
    TriggerKind,
    TriggerReport,
)

# Every BitMart contract of this API is settled in USDT; a fill row names no fee currency.
FEE_CURRENCY = "USDT"
_SIDES = {1: Side.BUY, 2: Side.BUY, 3: Side.SELL, 4: Side.SELL}
_CLOSING_SIDES = (2, 3)
_ROLES = {"maker": LiquidityRole.MAKER, "taker": LiquidityRole.TAKER}
_MARGIN_MODES = {"isolated": MarginMode.ISOLATED, "cross": MarginMode.CROSS}
_BOOKS = {"both": Book.NET, "long": Book.LONG, "short": Book.SHORT}
_SOURCES = {1: PriceSource.LAST, 2: PriceSource.MARK}
_CROSSINGS = {1: Crossing.RISES_TO, 2: Crossing.FALLS_TO}
_TRIGGER_KINDS = {kind.value: kind for kind in TriggerKind}
_FORCED_TYPES = frozenset({"liquidate", "bankruptcy", "adl"})
_OPEN_STATES = (1, 2)
_FINISHED_STATE = 4


def to_instrument(row: Row) -> Instrument:
    limits = [
        limit
        for limit in (positive_or_none(row, "max_volume"), positive_or_none(row, "market_max_volume"))
        if limit is not None
    ]
    return Instrument(
        market=Market.FUTURES,
        symbol=word(row, "symbol"),
        base=word(row, "base_currency"),
        quote=word(row, "quote_currency"),
        contract_size=step(row, "contract_size"),
        quantity_step=step(row, "vol_precision"),
        price_tick=step(row, "price_precision"),
        min_quantity=step(row, "min_volume"),
        # Market orders have their own, smaller limit; one number has to hold for both.
        max_quantity=min(limits, default=None),
        min_notional=Decimal(0),
        max_leverage=positive_or_none(row, "max_leverage"),
        is_trading=text(row, "status").lower() == "trading",
        delist_at=instant_or_none(row, "delist_time"),
    )


def to_ticker(row: Row, *, at: datetime, bid: Decimal | None, ask: Decimal | None, mark: Decimal | None) -> Ticker:
    return Ticker(symbol=word(row, "symbol"), last=amount(row, "last_price"), bid=bid, ask=ask, mark=mark, at=at)


def best_price(levels: object) -> Decimal | None:
    """Return the price of the first level of one side of the book; None when that side is empty."""
    if not isinstance(levels, list) or not levels:
        return None
    best = levels[0]
    price = to_decimal(best[0]) if isinstance(best, list) and best else None
    if price is None or price <= 0:
        raise unreadable("depth")
    return price


def to_balances(rows: Sequence[Row]) -> list[Balance]:
    balances = []
    for row in rows:
        available, frozen = number(row, "available_balance"), number(row, "frozen_balance")
        total = available + frozen + number(row, "position_deposit")
        equity = number(row, "equity")
        if available or frozen or total or equity:
            balances.append(Balance(word(row, "currency"), available, frozen, total, equity))
    return balances


def to_fee_rates(row: Row) -> FeeRates:
    return FeeRates(maker=number(row, "maker_fee_rate"), taker=number(row, "taker_fee_rate"))


def to_order(row: Row) -> OrderReport:
    size, filled = amount(row, "size"), amount(row, "deal_size")
    return OrderReport(
        exchange_order_id=identifier(row, "order_id"),
        client_order_id=identifier_or_blank(row, "client_order_id"),
        symbol=word(row, "symbol"),
        status=_status(whole(row, "state"), size, filled),
        side=_SIDES.get(whole(row, "side")),
        quantity=size,
        filled_quantity=filled,
        avg_fill_price=positive_or_none(row, "deal_avg_price"),
        created_at=instant_or_none(row, "create_time"),
        updated_at=instant_or_none(row, "update_time"),
        is_market=text(row, "type") == "market",
        is_forced=text(row, "type") in _FORCED_TYPES,
        only_closes=whole(row, "side") in _CLOSING_SIDES,
        # In the history only.
        trigger_price=positive_or_none(row, "trigger_price"),
    )


def _status(state: int, size: Decimal, filled: Decimal) -> OrderStatus:
    """State 4 only says "finished": filled and cancelled are told apart by what was dealt."""
    if state in _OPEN_STATES:
        return OrderStatus.PARTIAL if filled else OrderStatus.ACCEPTED
    if state != _FINISHED_STATE:
        return OrderStatus.UNRECOGNIZED
    return OrderStatus.FILLED if filled and filled >= size else OrderStatus.CANCELED


def to_trigger(row: Row) -> TriggerReport:
    side, kind = _SIDES.get(whole(row, "side")), _TRIGGER_KINDS.get(text(row, "type"))
    source = _SOURCES.get(whole(row, "price_type"))
    if side is None or kind is None or source is None:
        raise unreadable("side, type or price_type of a trigger order")
    way = to_decimal(row.get("price_way"))
    return TriggerReport(
        exchange_order_id=identifier(row, "order_id"),
        client_order_id=identifier_or_blank(row, "client_order_id"),
        symbol=word(row, "symbol"),
        kind=kind,
        side=side,
        quantity=positive_or_none(row, "size"),
        trigger_price=step(row, "trigger_price"),
        source=source,
        # A word ("market") where it will be a market order.
        price=positive_or_none(row, "executive_price"),
        crossing=None if way is None else _CROSSINGS.get(int(way)),
        created_at=instant_or_none(row, "create_time"),
        updated_at=instant_or_none(row, "update_time"),
    )


def to_fill(row: Row) -> FillReport:
    """Trade rows carry no client order id."""
    side, role = _SIDES.get(whole(row, "side")), _ROLES.get(text(row, "exec_type").lower())
    if side is None or role is None:
        raise unreadable("side or exec_type")
    return FillReport(
        trade_id=identifier(row, "trade_id"),
        exchange_order_id=identifier(row, "order_id"),
        symbol=word(row, "symbol"),
        side=side,
        price=amount(row, "price"),
        quantity=step(row, "vol"),
        fee=number(row, "paid_fees"),
        fee_currency=FEE_CURRENCY,
        role=role,
        filled_at=instant(row, "create_time"),
    )


def to_position(row: Row) -> PositionReport | None:
    """Read a row of position-v2, or of the older position route; None when it holds nothing.

    `position_amount` is documented next to a zero `current_amount`: only the latter says whether there is a position.
    """
    held = number(row, "current_amount")
    if not held:
        return None
    book = _book(row)
    return PositionReport(
        symbol=word(row, "symbol"),
        book=book,
        signed_quantity=abs(held) * _direction(row, book, held),
        avg_entry_price=amount(row, "entry_price") or amount(row, "open_avg_price"),
        mark_price=_mark_price(row),
        unrealized_pnl=number_or_none(row, "unrealized_pnl" if "unrealized_pnl" in row else "unrealized_value"),
        leverage=positive_or_none(row, "leverage"),
        margin_mode=_MARGIN_MODES.get((text(row, "open_type") or text(row, "margin_type")).lower()),
        liquidation_price=positive_or_none(row, "liquidation_price"),
    )


def to_risk(row: Row) -> PositionRisk | None:
    """Read a row of position-risk; None when it holds nothing."""
    held = number(row, "position_amt")
    if not held:
        return None
    book = _book(row)
    return PositionRisk(
        symbol=word(row, "symbol"),
        book=book,
        # The sign is documented for one-way accounts only; a short book holds less than nothing either way.
        signed_quantity=-abs(held) if book is Book.SHORT else held,
        mark_price=positive_or_none(row, "mark_price"),
        unrealized_pnl=number_or_none(row, "unrealized_profit"),
        liquidation_price=positive_or_none(row, "liquidation_price"),
        leverage=positive_or_none(row, "leverage"),
        margin_mode=_MARGIN_MODES.get(text(row, "margin_type").lower()),
        notional=number_or_none(row, "notional"),
        max_notional=positive_or_none(row, "max_notional_value"),
    )


def _book(row: Row) -> Book:
    if "position_side" in row:
        book = _BOOKS.get(text(row, "position_side").lower())
        if book is None:
            raise unreadable("position_side")
        return book
    if text(row, "position_mode").startswith("one_way"):
        return Book.NET
    return Book.LONG if _old_direction(row) > 0 else Book.SHORT


def _direction(row: Row, book: Book, held: Decimal) -> int:
    if book is not Book.NET:
        return 1 if book is Book.LONG else -1
    if held < 0:
        return -1
    if "position_type" in row:
        return _old_direction(row)
    signed = number(row, "position_amount")
    if not signed:
        raise unreadable("position_amount")
    return 1 if signed > 0 else -1


def _old_direction(row: Row) -> int:
    kind = whole(row, "position_type")
    if kind not in (1, 2):
        raise unreadable("position_type")
    return 1 if kind == 1 else -1


def _mark_price(row: Row) -> Decimal | None:
    """Return the mark price. Old answers put the mark value (price x base units held) under this name."""
    mark = positive_or_none(row, "mark_price")
    entry, cost = positive_or_none(row, "entry_price"), positive_or_none(row, "position_value")
    value = positive_or_none(row, "current_value")
    if mark is None or "mark_value" in row or entry is None or cost is None or value is None:
        return mark
    base_units = cost / entry
    last = value / base_units
    return mark if abs(mark - last) <= abs(mark / base_units - last) else mark / base_units
