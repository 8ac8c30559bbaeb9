"""The rows of guards and of the orders they make: written by compare-and-swap, named, sized."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max, Q

from apps.connectors.exchange import Exchange, Side
from apps.lib import world
from apps.lib.compiled import Compiled, update
from apps.lib.decimals import floor_to_step
from apps.trading.ids import client_order_id, order_id
from apps.trading.legs import Intent
from apps.trading.models import Order, Position, Protection, ProtectionState
from apps.trading.protecting import Guard, ProtectionKind, guard_of, priced_from, share_of

P = ProtectionState
OPEN = frozenset({P.WAITING, P.SUBMITTING, P.UNKNOWN, P.LIVE, P.CANCELLING})
# What may be due: one that failed, or fired, is until what its entry opened is closed or known to be guarded.
FOLLOWED = OPEN | {P.FIRED, P.FAILED}
CLAIM = timedelta(seconds=15)
# Legs of fired orders; c, o, l, s, x and capitals name others.
LEGS = "abdefghijkmnpqrtuvwyz0123456789"


def rows_with(condition: Q) -> Any:
    rows = Protection.unscoped.filter(condition)
    return rows.select_related("connector", "entry", "entry__instrument").order_by("number")


def put(row: Protection, **columns: Any) -> bool:
    """Write columns by compare-and-swap; False when another process moved the row first."""
    if not update(Protection, {**columns, "version": row.version + 1}, id=row.pk, version=row.version):
        row.refresh_from_db()
        return False
    row.version += 1
    for name, value in columns.items():
        setattr(row, name, value)
    return True


def finish(row: Protection, state: ProtectionState, reason: str) -> None:
    """End a guard. One that failed stays due until somebody has been told."""
    next_at = world.now() if state == P.FAILED else None
    put(row, state=state, reason=reason[:500], finished_at=world.now(), next_at=next_at)


def claim(row: Protection) -> bool:
    return put(row, next_at=world.now() + CLAIM)


def new_row(entry: Order, number: int, *, facts: dict[str, str], price: Decimal, in_entry: bool) -> Protection:
    leg = f"{entry.leg}{number}"
    name = order_id(entry.origin_id, connector_id=entry.connector_id, leg=leg)
    return Protection(
        workspace_id=entry.workspace_id,
        connector_id=entry.connector_id,
        entry=entry,
        number=number,
        kind=facts["kind"],
        symbol=entry.symbol,
        book=entry.book,
        side=_closing_side(entry),
        guard=facts,
        price=price,
        in_entry=in_entry,
        client_order_id=client_order_id(name, leg=LEGS[number]),
    )


def one_more(row: Protection) -> Protection | None:
    """Return an unsaved guard of the same entry, like this one; None when all names are taken."""
    entry = Order.unscoped.select_related("connector").get(pk=row.entry_id)
    last = Protection.unscoped.filter(entry=entry).aggregate(last=Max("number"))["last"]
    if last + 1 >= len(LEGS):
        return None
    return new_row(entry, last + 1, facts=row.guard, price=row.price, in_entry=False)


def insert(extra: Protection, *, beside: Protection) -> bool:
    """Add a guard for what `beside` was found to need; False when another process has moved that since it was read.

    Whoever found it at the same version found the same: one of them adds.
    """
    try:
        with transaction.atomic():
            if not put(beside):
                return False
            extra.save(force_insert=True)
    except IntegrityError:
        # One was added for another guard of the entry in this moment.
        beside.refresh_from_db()
        return False
    return True


def exit_row(entry: Order, *, leg: str, client_order_id: str, quantity: Decimal, sentence: str) -> Order:
    return Order(
        id=order_id(entry.origin_id, connector_id=entry.connector_id, leg=leg),
        workspace_id=entry.workspace_id,
        connector=entry.connector,
        instrument=entry.instrument,
        origin_id=entry.origin_id,
        parent=entry,
        leg=leg,
        intent=Intent.EXIT.value,
        symbol=entry.symbol,
        side=_closing_side(entry),
        book=entry.book,
        quantity=quantity,
        reduce_only=True,
        client_order_id=client_order_id,
        facts={"sentence": sentence},
    )


def _closing_side(entry: Order) -> str:
    return (Side.SELL if entry.side == Side.BUY else Side.BUY).value


def wanted_quantity(row: Protection) -> Decimal | None:
    """Return what a guard of its own is to cover: a stop the whole position, the others their share of the entry."""
    if row.quantity is not None or row.kind == ProtectionKind.STOP_LOSS:
        return row.quantity
    entry = Order.unscoped.select_related("instrument").get(pk=row.entry_id)
    step_size = entry.instrument.quantity_step
    share = share_of(guard_of(row.guard), entry.filled_quantity, step=step_size)
    return max(share, floor_to_step(entry.instrument.min_quantity, step_size))


def price_to_place(row: Protection) -> Decimal:
    """Return the price that a guard of its own is sent with: a percentage counts from the entry's average price.

    One that stands in for another, or for a guard inside the entry, has the price of that one.
    """
    guard = guard_of(row.guard)
    if guard.percent is None or guard.in_entry or row.quantity is not None or row.replaces_id is not None:
        return row.price
    return price_from_entry(row, guard)


def price_from_entry(row: Protection, guard: Guard) -> Decimal:
    """Return where a guard of a percentage belongs now that its entry has filled; its own price before."""
    entry = Order.unscoped.select_related("instrument").get(pk=row.entry_id)
    if not entry.avg_fill_price:
        return row.price
    side, tick = Side(entry.side), entry.instrument.price_tick
    return priced_from(guard, entry.avg_fill_price, side=side, tick=tick).price


def held_there(row: Protection, exchange: Exchange) -> Decimal:
    """Return what the exchange holds on the side that the guard closes."""
    positions = [one.signed_quantity for one in exchange.positions(row.symbol)]
    signed = [size for size in positions if (size > 0) == (row.side == Side.SELL)]
    return abs(sum(signed, Decimal(0)))


def held_here(row: Protection) -> Decimal:
    """Return what our own fills leave on the side that the guard closes."""
    size = next(iter(_position(connector=row.connector_id, symbol=row.symbol, book=row.book)), Decimal(0))
    return max(size if row.side == Side.SELL else -size, Decimal(0))


_position: Compiled[Decimal] = Compiled(
    lambda connector, symbol, book: Position.unscoped.filter(
        connector_id=connector, symbol=symbol, book=book
    ).values_list("signed_quantity", flat=True)
)


def watch_again(order: Order) -> None:
    """Have the guards of a symbol looked at now: what they guard has just become less."""
    guarded = {"connector_id": order.connector_id, "symbol": order.symbol}
    update(Protection, {"next_at": world.now()}, **guarded, state=P.LIVE)
