"""What speaks against an order not being there: two clean absences after the fence are no proof beside any of it."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from apps.connectors import instruments
from apps.connectors.exchange import Book, Exchange, OrderType, Side
from apps.lib.compiled import Compiled
from apps.trading.market import read_holding
from apps.trading.models import Fill, Order, OrderEvent, OrderState
from apps.trading.transitions import StaleOrderError, note

# The cause of the event that keeps this answer: the exchange knows our id, and no order but this one ever had it.
ID_IS_KNOWN = "client order id known to the exchange"
# In the evidence of a sending: what our clock was corrected by.
OFFSET_MS = "clock_offset_ms"
# What we date by our clock, the exchange dates by its own: no more apart than either trades.
CLOCKS_APART = timedelta(seconds=60)


def contradicted(order: Order, exchange: Exchange) -> str:
    """Return why an order that is not found may be there all the same; "" when nothing speaks for that.

    ExchangeError means no news: then nothing is proved.
    """
    if _is_known_there(order):
        return "it is not to be found there, yet the exchange said that it has an order with this id"
    if _may_be_of_another_account(order, exchange):
        return "it is not to be found there, yet the key was replaced since it was sent, and may be another account's"
    if not _account_is_unchanged(order, exchange):
        return "it is not to be found there, yet the account changed"
    if order.order_type == OrderType.LIMIT and _has_a_double(order, exchange):
        return "it is not to be found there, yet an order just like it waits there under an id that is not ours"
    return ""


def note_known(order: Order, evidence: dict[str, Any]) -> None:
    """Keep that answer also where another process took the order for in doubt before it came."""
    if _is_known_there(order):
        return
    try:
        note(order, cause=ID_IS_KNOWN, evidence=evidence)
    except StaleOrderError:
        order.refresh_from_db()
        note(order, cause=ID_IS_KNOWN, evidence=evidence)


def _is_known_there(order: Order) -> bool:
    return bool(_known_there(order=order.pk, cause=ID_IS_KNOWN))


_known_there: Compiled[UUID] = Compiled(
    lambda order, cause: OrderEvent.unscoped.filter(order=order, cause=cause).values_list("pk", flat=True)[:1]
)


def _may_be_of_another_account(order: Order, exchange: Exchange) -> bool:
    """True when the key may be a newer one than the order was sent with and does not show what was traded before it."""
    if order.signed_at is None:
        return False
    # By our clock, as the key is; what was signed is dated by the exchange's. A first sending may have been under way,
    # with the key of then, when the key was entered; a later one read its connector just before.
    since = order.created_at if order.attempt <= 1 else order.signed_at - _offset_at_sending(order, exchange)
    if order.connector.credentials_set_at <= since:
        return False
    before = _traded_before(connector=order.connector_id, at=order.signed_at)
    return not any(
        exchange.find_order(symbol, client_order_id=name, exchange_order_id=number) for symbol, name, number in before
    )


# The newest of them: those that ended without a fill are soon shown no more.
_traded_before: Compiled[tuple[str, str, str]] = Compiled(
    lambda connector, at: (
        Order.unscoped.filter(connector_id=connector, first_fill_at__lt=at)
        .exclude(exchange_order_id="")
        .order_by("-first_fill_at")
        .values_list("symbol", "client_order_id", "exchange_order_id")[:1]
    )
)


def _has_a_double(order: Order, exchange: Exchange) -> bool:
    """True when an order like this one waits there that is on nobody's record: it may be this one, named wrongly."""
    since = (order.signed_at or order.created_at) - CLOCKS_APART
    alike = {
        report.exchange_order_id: report.client_order_id
        for report in exchange.open_orders(order.symbol)
        if (report.side, report.quantity) == (Side(order.side), order.quantity)
        and (report.created_at is None or report.created_at >= since)
    }
    if not alike:
        return False
    others = Order.unscoped.filter(connector_id=order.connector_id, symbol=order.symbol).exclude(pk=order.pk)
    known_ids = set(others.filter(exchange_order_id__in=alike).values_list("exchange_order_id", flat=True))
    # One whose id we were never told is known by its name; a name that comes with another's id may be the wrong one.
    unnumbered = others.filter(client_order_id__in=alike.values(), exchange_order_id="")
    known_names = set(unnumbered.values_list("client_order_id", flat=True))
    return any(found not in known_ids and name not in known_names for found, name in alike.items())


def _account_is_unchanged(order: Order, exchange: Exchange) -> bool:
    """What is held is what was held, but for what other orders of ours filled since this one was signed."""
    before = order.facts.get("account", {})
    now = read_holding(exchange, instruments.in_words(order.instrument))
    held = {"held_long": now.long, "held_short": now.short}
    book = Book(order.book)
    # On a book of its own the other side may have moved by another leg of the same alert.
    sides = {Book.LONG: ("held_long",), Book.SHORT: ("held_short",)}.get(book, ("held_long", "held_short"))
    if any(name not in before for name in sides):
        return False
    was = {name: Decimal(before[name]) for name in sides}
    moved = _filled_by_others(order, _offset_at_sending(order, exchange))
    if book is not Book.NET:
        return held[sides[0]] == was[sides[0]] + (moved if book is Book.LONG else -moved)
    if not moved:
        return all(held[name] == was[name] for name in sides)
    return held["held_long"] - held["held_short"] == was["held_long"] - was["held_short"] + moved


def _offset_at_sending(order: Order, exchange: Exchange) -> timedelta:
    """Return what the exchange's clock was ahead of ours then: since, ours may have been turned and measured anew."""
    sent = _sent(order=order.pk)
    offset_ms = sent[0].get(OFFSET_MS) if sent else None
    return timedelta(milliseconds=exchange.clock_offset_ms if offset_ms is None else int(offset_ms))


_sent: Compiled[dict[str, Any]] = Compiled(
    lambda order: (
        OrderEvent.unscoped.filter(order=order, to_state=OrderState.SUBMITTING)
        .order_by("-version")
        .values_list("evidence", flat=True)[:1]
    )
)


def _filled_by_others(order: Order, offset: timedelta) -> Decimal:
    """Return what our other orders filled in the order's book since the account was read: positive = bought.

    A fill that falls between the two is not counted: then the account looks changed, and the doubt stays.
    """
    was_read_again = order.waits_for_parent or order.attempt > 1
    since = order.signed_at if was_read_again else order.created_at + offset
    fills = _others(
        connector=order.connector_id,
        symbol=order.symbol,
        book=order.book,
        since=since or order.created_at,
        order=order.pk,
    )
    return sum((quantity if side == Side.BUY else -quantity for side, quantity in fills), Decimal(0))


_others: Compiled[tuple[str, Decimal]] = Compiled(
    lambda connector, symbol, book, since, order: (
        Fill.unscoped.filter(connector_id=connector, symbol=symbol, book=book, filled_at__gte=since)
        .exclude(order_id=order)
        .values_list("side", "quantity")
    )
)
