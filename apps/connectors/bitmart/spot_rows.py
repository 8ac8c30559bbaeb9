"""Spot rows to our words. Every number arrives as text with the zeros of its market."""

from collections.abc import Sequence
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
    unreadable,
    whole,
    without_padding,
    word,
)
from apps.connectors.exchange import (
    Balance,
    FeeRates,
    FeeSchedule,
    FillReport,
    Instrument,
    LiquidityRole,
    Market,
    OrderReport,
    OrderStatus,
    Side,
    Ticker,
)

TICKER_FIELDS = (
    "symbol",
    "last",
    "v_24h",
    "qv_24h",
    "open_24h",
    "high_24h",
    "low_24h",
    "fluctuation",
    "bid_px",
    "bid_sz",
    "ask_px",
    "ask_sz",
    "ts",
)
_SIDES = {"buy": Side.BUY, "sell": Side.SELL}
_ROLES = {"maker": LiquidityRole.MAKER, "taker": LiquidityRole.TAKER}
_STATUSES = {
    "new": OrderStatus.ACCEPTED,
    "partially_filled": OrderStatus.PARTIAL,
    "filled": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELED,
    "partially_canceled": OrderStatus.CANCELED,
    "failed": OrderStatus.REJECTED,
}
_MOST_DECIMALS = 30


def to_instrument(row: Row) -> Instrument:
    decimals = whole(row, "price_max_precision")
    if not 0 <= decimals <= _MOST_DECIMALS:
        raise unreadable("price_max_precision")
    largest = positive_or_none(row, "base_max_size")
    return Instrument(
        market=Market.SPOT,
        symbol=word(row, "symbol"),
        base=word(row, "base_currency"),
        quote=word(row, "quote_currency"),
        contract_size=Decimal(1),
        # BitMart's name notwithstanding, this is the step of the base size.
        quantity_step=step(row, "quote_increment"),
        price_tick=Decimal(1).scaleb(-decimals),
        min_quantity=step(row, "base_min_size"),
        max_quantity=None if largest is None else without_padding(largest),
        min_notional=without_padding(max(amount(row, "min_buy_amount"), amount(row, "min_sell_amount"))),
        max_leverage=None,
        is_trading=text(row, "trade_status").lower() == "trading",
    )


def to_ticker(row: Row) -> Ticker:
    return Ticker(
        symbol=word(row, "symbol"),
        last=amount(row, "last"),
        bid=positive_or_none(row, "bid_px"),
        ask=positive_or_none(row, "ask_px"),
        mark=None,
        at=instant(row, "ts"),
    )


def to_balances(rows: Sequence[Row]) -> list[Balance]:
    balances = []
    for row in rows:
        available, frozen = number(row, "available"), number(row, "frozen")
        total = number_or_none(row, "total")
        if total is None:
            total = available + frozen
        if available or frozen or total:
            balances.append(Balance(word(row, "id"), available, frozen, total, total))
    return balances


def to_fee_rates(row: Row) -> FeeRates:
    """Buying and selling may differ: the worse of the two. Older answers carry one rate for both."""
    return FeeRates(maker=_worse(row, "maker_fee_rate"), taker=_worse(row, "taker_fee_rate"))


def to_fee_schedule(row: Row) -> FeeSchedule:
    prefix = "taker_fee_rate_"
    classes = sorted(name.removeprefix(prefix) for name in row if name.startswith(prefix))
    if not classes:
        raise unreadable("taker_fee_rate")
    return FeeSchedule(
        level=word(row, "level"),
        by_class={
            name: FeeRates(maker=number(row, f"maker_fee_rate_{name}"), taker=number(row, f"{prefix}{name}"))
            for name in classes
        },
    )


def _worse(row: Row, name: str) -> Decimal:
    if f"buy_{name}" in row:
        return max(number(row, f"buy_{name}"), number(row, f"sell_{name}"))
    return number(row, name)


def to_order(row: Row) -> OrderReport:
    filled = amount(row, "filledSize")
    return OrderReport(
        exchange_order_id=identifier(row, "orderId"),
        client_order_id=identifier_or_blank(row, "clientOrderId"),
        symbol=word(row, "symbol"),
        status=_status(row, filled),
        side=_SIDES.get(text(row, "side")),
        # A market buy is sized in quote; its base size is written "0.00".
        quantity=positive_or_none(row, "size"),
        filled_quantity=filled,
        avg_fill_price=positive_or_none(row, "priceAvg"),
        created_at=instant_or_none(row, "createTime"),
        updated_at=instant_or_none(row, "updateTime"),
        is_market=_is_market(row),
    )


def _is_market(row: Row) -> bool:
    return text(row, "type") == "market"


def _status(row: Row, filled: Decimal) -> OrderStatus:
    status = _STATUSES.get(text(row, "state"), OrderStatus.UNRECOGNIZED)
    if not filled:
        return status
    if status is OrderStatus.CANCELED and _is_market(row):
        # What a market order could not spend after rounding to the size step is "cancelled": it did what it could.
        return OrderStatus.FILLED
    if status is OrderStatus.ACCEPTED:
        return OrderStatus.PARTIAL
    return OrderStatus.CANCELED if status is OrderStatus.REJECTED else status


def to_fill(row: Row) -> FillReport:
    side, role = _SIDES.get(text(row, "side")), _ROLES.get(text(row, "tradeRole").lower())
    if side is None or role is None:
        raise unreadable("side or tradeRole")
    return FillReport(
        trade_id=identifier(row, "tradeId"),
        exchange_order_id=identifier(row, "orderId"),
        symbol=word(row, "symbol"),
        side=side,
        price=amount(row, "price"),
        quantity=step(row, "size"),
        fee=number(row, "fee"),
        fee_currency=word(row, "feeCoinName"),
        role=role,
        filled_at=instant(row, "createTime"),
        client_order_id=identifier_or_blank(row, "clientOrderId"),
    )
