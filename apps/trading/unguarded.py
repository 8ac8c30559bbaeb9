"""What an entry opened and no stop guards, where the trader has chosen that it is closed: one order after another.

    taken back    the entry, and our limit exits on its side: they hold the volume that is to be closed
    waited for    until none of them is open; a cancellation that the exchange does not tell holds it up for a minute
    closed        at the market and reduce-only: what the entry opened and is still held, never more
    again         refused or filled in part, after a pause, for as long as it is open

A halt holds it up for as long as it lasts. A position that was opened later ends it: that is another entry's.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from string import ascii_uppercase
from uuid import uuid5

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet, Sum

from apps.connectors import instruments
from apps.connectors.budget import Priority, at_least
from apps.connectors.exchange import ExchangeError, OrderType, Side
from apps.connectors.opening import open_connector
from apps.connectors.sealing import SealError
from apps.lib import world
from apps.trading import cancelling
from apps.trading.denials import Denial, DenialCode
from apps.trading.halting import halted
from apps.trading.ids import client_order_id, order_id
from apps.trading.legs import Intent
from apps.trading.market import read_account
from apps.trading.models import Order, OrderState, Position, Protection, ProtectionState
from apps.trading.protection_rows import OPEN, exit_row, held_there, rows_with
from apps.trading.sizing import largest_part
from apps.trading.transitions import born

logger = logging.getLogger(__name__)

S, P = OrderState, ProtectionState
# The first order that closes, the second …
CLOSING_LEGS = f"x{ascii_uppercase}"
SOON, UNSEEN_AGAIN, HALTED_AGAIN = timedelta(seconds=1), timedelta(seconds=5), timedelta(seconds=5)
# How long after the first, the second … order that did not close it the next one goes.
PAUSES = tuple(timedelta(seconds=seconds) for seconds in (2, 5, 15, 60, 300))
TOLD_WITHIN = timedelta(seconds=60)
HALTS = frozenset(
    {DenialCode.SITE_HALTED, DenialCode.STAFF_HALTED, DenialCode.WORKSPACE_HALTED, DenialCode.CONNECTOR_HALTED}
)
AFTER_THAT = "Once that is over, its stop is placed or it is closed."
BEING_CLOSED = "It is being closed at the market, as chosen on the connector."


@dataclass(frozen=True, slots=True)
class Progress:
    """What can be said of the closing now, and when to go on; `after` None = it is over."""

    did: str
    after: timedelta | None = None
    is_closed: bool = False


@at_least(Priority.EXIT)
def close(row: Protection) -> Progress:
    """Do the one thing that is due for closing what the entry of a guard opened."""
    entry = Order.unscoped.select_related("connector", "instrument").get(pk=row.entry_id)
    made = list(Order.unscoped.filter(parent=entry, leg__in=CLOSING_LEGS).order_by("created_at"))
    last = made[-1] if made else None
    if last is not None and _is_under_way(last):
        return Progress(BEING_CLOSED, SOON)
    halt = halted(entry.connector)
    is_stopped = last is not None and last.state == S.DENIED and last.reason_code in HALTS
    if is_stopped and halt is not None and min(left_of(entry), _own(row, entry)):
        return _kept_by(halt)
    if last is not None and not is_stopped:
        wait = _wait_after(last, number=len(made))
        if wait > timedelta(0):
            ended = f"The order to close it ended {last.get_state_display()}: {last.reason}"
            return Progress(f"{ended} It is tried again while it is open.", wait)
    cancelling.request(entry, by=f"guard {row.pk}")
    if halt is None and not _are_taken_back(row):
        return Progress(
            "It is being closed, as chosen on the connector: "
            "our limit orders that hold its volume are taken back first, then it is closed at the market.",
            SOON,
        )
    left = left_of(entry)
    if not left:
        return _nothing_left(entry, made)
    ours = _own(row, entry)
    order = _closing_order(entry, number=len(made), quantity=min(left, ours))
    try:
        account = read_account(entry.connector, open_connector(entry.connector), instruments.in_words(entry.instrument))
    except (ExchangeError, SealError):
        # The exchange lets a reduce-only order close no more than is held.
        logger.warning("guard %s: account not read before the position is closed", row.pk)
    else:
        held = account.holding.long if order.side == Side.SELL else account.holding.short
        if not held:
            # The exchange tells of a position later than of the fills that opened it.
            unseen = Progress("The exchange does not show it now, and our fills say that it is open.", UNSEEN_AGAIN)
            return unseen if ours else _nothing_left(entry, made)
        order.quantity = min(order.quantity, held)
        order.facts["account"] = account.as_facts()
    if not order.quantity:
        return Progress("What its entry opened is closed by our fills; what is held there now was left alone.")
    order.quantity = largest_part(order.quantity, instruments.in_words(entry.instrument))
    order.next_at = world.now()
    try:
        with transaction.atomic():
            born(order, cause="planned", evidence={"guard": str(row.pk)})
    except IntegrityError:
        logger.info("guard %s: another guard of its entry closes it already", row.pk)
    return Progress(BEING_CLOSED, SOON) if halt is None else _kept_by(halt)


def rest_of(row: Protection) -> Decimal | None:
    """Return how much a guard that fired has left open and nothing like it guards; None while that is not known."""
    fired, entry = Order.unscoped.get(pk=row.fired_id), row.entry
    if not fired.is_final or _may_be_told_more(fired):
        return None
    missed = wanted_of(row) - fired.filled_quantity
    if missed <= 0:
        return Decimal(0)
    alike = [one for one in rows_with(_of_entry(row)) if one.guard == row.guard and one.pk != row.pk]
    if any(one.state in OPEN - {P.LIVE} for one in alike):
        return None
    live: list[Decimal | None] = [one.quantity for one in alike if one.state == P.LIVE]
    ours = min(left_of(entry), _own(row, entry))
    if not ours or None in live:
        return Decimal(0)
    try:
        held = held_there(row, open_connector(row.connector))
    except (ExchangeError, SealError):
        return None
    rest: Decimal = min(missed, min(ours, held) - sum((size for size in live if size), Decimal(0)))
    return max(rest, Decimal(0))


def wanted_of(row: Protection) -> Decimal:
    """Return how much a guard was to close."""
    return row.quantity if row.quantity is not None else row.entry.filled_quantity


def left_of(entry: Order) -> Decimal:
    """Return what an entry opened less what its guards, and orders to close it, have closed of that."""
    exits = Order.unscoped.filter(parent=entry, intent=Intent.EXIT)
    closed = exits.aggregate(filled=Sum("filled_quantity"))["filled"] or Decimal(0)
    return max(entry.filled_quantity - closed, Decimal(0))


def _of_entry(row: Protection) -> Q:
    return Q(entry_id=row.entry_id)


def _own(row: Protection, entry: Order) -> Decimal:
    """Return what our fills leave of a position that the entry has a part in; 0 where it was opened later."""
    of = {"connector_id": row.connector_id, "symbol": row.symbol, "book": row.book}
    position = Position.unscoped.filter(**of).first()
    if position is None or position.opened_at is None or entry.last_fill_at is None:
        return Decimal(0)
    if position.opened_at > entry.last_fill_at:
        return Decimal(0)
    size: Decimal = position.signed_quantity
    return max(size if row.side == Side.SELL else -size, Decimal(0))


def _are_taken_back(row: Protection) -> bool:
    """Ask for our limit exits on the guard's side back; True once they hold the closing up no longer."""
    exits = _limit_exits(row)
    for order in exits:
        cancelling.request(order, by=f"guard {row.pk}", why="the stop of its position is not in place")
    return all(
        # In doubt as well: the order that closes is reduce-only, whatever became of this one.
        order.cancel_requested_at is not None and order.cancel_requested_at < world.now() - TOLD_WITHIN
        for order in _limit_exits(row)
    )


def _limit_exits(row: Protection) -> QuerySet[Order]:
    found = cancelling.open_orders(row.connector_id, row.symbol)
    return found.filter(intent=Intent.EXIT, order_type=OrderType.LIMIT, side=row.side)


def _is_under_way(order: Order) -> bool:
    return not order.is_final or _may_be_told_more(order) or (order.state == S.NOT_PLACED and order.next_at is not None)


def _may_be_told_more(order: Order) -> bool:
    return order.state == S.CANCELED and order.next_at is not None


def _wait_after(last: Order, *, number: int) -> timedelta:
    if last.state == S.FILLED:
        return timedelta(0)
    pause = PAUSES[min(number, len(PAUSES)) - 1]
    return (last.finished_at or world.now()) + pause - world.now()


def _closing_order(entry: Order, *, number: int, quantity: Decimal) -> Order:
    """Return the unsaved order that closes `quantity`: `number` orders were made for that before."""
    sentence = f"Close what was opened on {entry.symbol}: its stop is not in place"
    leg = CLOSING_LEGS[min(number, len(CLOSING_LEGS) - 1)]
    order = exit_row(entry, leg=leg, client_order_id="", quantity=quantity, sentence=sentence)
    if number >= len(CLOSING_LEGS):
        # One origin has one order of a leg: what goes on for hours is no longer found with its alert.
        order.origin_id = uuid5(entry.pk, f"close {number}")
        order.pk = order_id(order.origin_id, connector_id=entry.connector_id, leg=leg)
    order.client_order_id = client_order_id(order.pk, leg=leg)
    return order


def _kept_by(halt: Denial) -> Progress:
    return Progress(f"It was kept open. {halt.sentence} {AFTER_THAT}", HALTED_AGAIN)


def _nothing_left(entry: Order, made: Sequence[Order]) -> Progress:
    if not entry.is_final:
        # It may still open something: its cancellation is not told.
        return Progress(BEING_CLOSED, SOON)
    if any(order.filled_quantity for order in made):
        return Progress("It is closed at the market, as chosen on the connector.", is_closed=True)
    return Progress("It is not open any more.", is_closed=True)
