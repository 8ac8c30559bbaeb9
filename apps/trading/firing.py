"""A guard that fires becomes an order of the exchange's own making, named PLAN_<id of the guard>.

It gets an Order row here, so that its fills are ours and the position follows.
"""

from django.db import IntegrityError, transaction

from apps.connectors.exchange import Exchange
from apps.lib import world
from apps.lib.decimals import normalize_text
from apps.trading.following import look
from apps.trading.models import Order, OrderState, Protection, ProtectionState
from apps.trading.protection_rows import LEGS, exit_row, put, watch_again
from apps.trading.transitions import born


def has_fired(row: Protection, exchange: Exchange) -> bool:
    """Find the order that the exchange made of a guard, and take it onto record."""
    name = f"PLAN_{row.exchange_order_id}"
    report = exchange.find_order(row.symbol, client_order_id=name)
    if report is None:
        return False
    entry = Order.unscoped.select_related("connector", "instrument").get(pk=row.entry_id)
    what = str(row.kind).replace("_", " ")
    order = exit_row(
        entry,
        leg=LEGS[row.number],
        client_order_id=name,
        quantity=report.quantity or row.quantity or entry.filled_quantity,
        sentence=f"The {what} at {normalize_text(row.price)} fired",
    )
    order.state, order.exchange_order_id = OrderState.ACCEPTED, report.exchange_order_id
    order.acknowledged_at = order.next_at = world.now()
    with transaction.atomic():
        if not put(row, state=ProtectionState.FIRED, finished_at=world.now(), next_at=None):
            return True
        try:
            with transaction.atomic():
                born(order, cause="fired at the exchange", evidence={"guard": row.exchange_order_id})
        except IntegrityError:
            order = Order.unscoped.select_related("connector", "instrument").get(pk=order.pk)
        put(row, fired_id=order.pk)
    look(order)
    if order.state == OrderState.FILLED:
        watch_again(order)
    return True
