"""What the exchange lists of orders that wait for their price, and which line of it is whose guard."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from apps.connectors.exchange import Exchange, Side, TriggerReport
from apps.lib.compiled import Compiled
from apps.lib.statements import together
from apps.trading.models import Order, Protection
from apps.trading.protecting import ProtectionKind, guard_of


class Listed:
    """One order that waits for its price, as the exchange lists it."""

    __slots__ = ("client_order_id", "created_at", "exchange_order_id", "kind", "price", "quantity", "side")

    def __init__(self, report: TriggerReport | Any, kind: str, price: Decimal | None) -> None:
        self.exchange_order_id: str = report.exchange_order_id
        self.client_order_id: str = report.client_order_id
        self.side = report.side
        self.quantity: Decimal | None = report.quantity
        self.created_at: datetime | None = report.created_at
        self.kind = kind
        self.price = price


def list_of(row: Protection, exchange: Exchange) -> list[Listed]:
    if row.kind == ProtectionKind.TRAILING_STOP:
        # Trailing orders stand among the open ones.
        return [Listed(one, ProtectionKind.TRAILING_STOP, None) for one in exchange.open_orders(row.symbol)]
    return [Listed(one, one.kind.value, one.trigger_price) for one in exchange.trigger_orders(row.symbol)]


def line_of(row: Protection, listed: Sequence[Listed]) -> Listed | None:
    """Return the guard's own line: by its ids, or, where the exchange gave none back, by what it says."""
    for one in listed:
        if row.exchange_order_id and one.exchange_order_id == row.exchange_order_id:
            return one
        if row.kind != ProtectionKind.TRAILING_STOP and one.client_order_id == row.client_order_id:
            return one
    if row.exchange_order_id:
        return None
    if not row.in_entry and row.kind != ProtectionKind.TRAILING_STOP:
        return None
    taken = known_ids(row.connector_id, row.symbol)
    for one in listed:
        if one.exchange_order_id in taken or one.side is not Side(row.side) or one.kind != row.kind:
            continue
        if row.in_entry and one.price == row.price:
            return one
        if not row.in_entry and one.quantity == row.quantity and not one.client_order_id:
            return one
    return None


def is_late_preset(row: Protection, one: Listed) -> bool:
    """True for what can only have come with the entry: like the guard, and made before the one of its own was sent."""
    is_older = one.created_at is None or (row.signed_at is not None and one.created_at < row.signed_at)
    # Not the row's own price: one that was moved lies elsewhere than what came with the entry.
    price = guard_of(row.guard).price
    return is_older and one.side is Side(row.side) and one.kind == row.kind and one.price == price


def known_ids(connector_id: UUID, symbol: str) -> set[str]:
    of = {"connector": connector_id, "symbol": symbol}
    guards, orders = together(_named_guards.asked(**of), _named_orders.asked(**of))
    return {*guards, *orders}


def _named(rows: "QuerySet[Any]", connector: UUID, symbol: str) -> "QuerySet[Any, str]":
    named = rows.filter(connector_id=connector, symbol=symbol).exclude(exchange_order_id="")
    return named.values_list("exchange_order_id", flat=True)


_named_guards: Compiled[str] = Compiled(lambda connector, symbol: _named(Protection.unscoped.all(), connector, symbol))
_named_orders: Compiled[str] = Compiled(lambda connector, symbol: _named(Order.unscoped.all(), connector, symbol))
