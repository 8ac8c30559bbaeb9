"""Own open orders that stand in an alert's way are taken back before it runs.

message                          taken back first
-------------------------------  ------------------------------------------------------------------------
cancel, close all, "cancel"      every open order of ours in the symbol
a reversal                       the same: the old side's orders must not fill behind the new position
any other exit                   our resting exits on its side: together they could close more than is held
one that finds nothing to close  our entries of the side it would close: the strategy is out
one that finds no coin free      on spot our resting exits: what they hold is not free
an entry                         nothing

An exit of all that is held goes at once; our open entries of its side are taken back beside it.

A cancellation that the exchange does not tell holds up an exit for a minute. Then a futures exit goes, without what it
would open: reduce-only it closes no more than is held, whatever became of the other order. On spot a sale beside one
that may still be alive could sell what is not ours, and waits; so do entries, until they are too old.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from apps.connectors.exchange import Market, Side
from apps.lib import world
from apps.lib.pool import run_all
from apps.trading import cancelling
from apps.trading.denials import DenialCode
from apps.trading.executor import step
from apps.trading.legs import Intent, Plan
from apps.trading.models import LIVE_STATES, Order, OrderEvent, OrderState
from apps.trading.placing import Prepared
from apps.trading.signal import PrevPosition, QuantityType, Signal, SignalKind
from apps.trading.targets import stated_side

ASKED = "cancellation asked for"
TAKEN_BACK_FOR_IT = "TAKEN_BACK_FOR_IT"
_OPENING = {Side.SELL: Side.BUY, Side.BUY: Side.SELL}
TOLD_WITHIN = timedelta(seconds=60)
_OF_NONE = frozenset({DenialCode.NOTHING_TO_CLOSE, DenialCode.POSITION_MISMATCH})
_OF_A_PART = _OF_NONE | {DenialCode.AMOUNT_BELOW_MINIMUM}


def takes_back(signal: Signal) -> bool:
    return signal.cancel_first or signal.kind in {SignalKind.CANCEL, SignalKind.CLOSE_ALL}


def in_the_way(signal: Signal, key: tuple[UUID, str]) -> QuerySet[Order]:
    """Return what a message takes back by what it says, whatever is held. `key` is (connector, symbol)."""
    if not takes_back(signal) or not _has_open(key):
        return Order.unscoped.none()
    return cancelling.open_orders(*key)


def is_in_the_way(prepared: Prepared, key: tuple[UUID, str]) -> bool:
    """Whether `in_the_way_of` its plan is anything."""
    is_asked = prepared.has_open or ((_leaves(prepared) or _finds_none_free(prepared)) and _has_open(key))
    return is_asked and in_the_way_of(prepared, key).exists()


def in_the_way_of(prepared: Prepared, key: tuple[UUID, str]) -> QuerySet[Order]:
    """Return what has to be taken back before a plan may be carried out."""
    plan, denial = prepared.planned.plan, prepared.planned.denial
    # Any other denial of a leg may be of what an order of ours holds.
    is_too_old = denial is not None and denial.code is DenialCode.EXIT_TOO_OLD
    if plan is None or not (_leaves(prepared) or _finds_none_free(prepared) or (plan.legs and not is_too_old)):
        return Order.unscoped.none()
    found = cancelling.open_orders(*key)
    if any(leg.after for leg in plan.legs):
        return found
    if not plan.legs:
        side = Side.BUY if plan.claimed is PrevPosition.LONG else Side.SELL
        entries = _entries(prepared, key, {side} if _leaves(prepared) else set())
        return entries | found.filter(intent=Intent.EXIT) if _finds_none_free(prepared) else entries
    sides = {leg.side.value for leg in plan.legs if leg.intent is Intent.EXIT}
    return found.filter(intent=Intent.EXIT, side__in=sides)


def left_behind(prepared: Prepared, key: tuple[UUID, str]) -> list[Order]:
    """Return what would open again what an exit closes to the last."""
    plan = prepared.planned.plan
    if plan is None or prepared.planned.denial is not None or not prepared.has_open:
        return []
    sides = {_OPENING[leg.side] for leg in plan.legs if leg.intent is Intent.EXIT and leg.is_whole}
    return list(_entries(prepared, key, sides))


def _entries(prepared: Prepared, key: tuple[UUID, str], sides: set[Side]) -> QuerySet[Order]:
    """Return the open entries of the sides that were there before the message came."""
    found = cancelling.open_orders(*key).filter(created_at__lt=prepared.inputs.origin.received_at)
    return found.filter(intent=Intent.ENTRY, side__in=sorted(sides))


def _leaves(prepared: Prepared) -> bool:
    """True for an exit that has nothing left to close, and does not say that the strategy goes on holding."""
    plan, stated = prepared.planned.plan, stated_side(prepared.inputs.signal)
    if plan is None or plan.claimed not in {PrevPosition.LONG, PrevPosition.SHORT} or stated is plan.claimed:
        return False
    return plan.outcome is not None and plan.outcome.code is DenialCode.NOTHING_TO_CLOSE


def _finds_none_free(prepared: Prepared) -> bool:
    """True for an exit on spot that has no coin to sell, or too few of them: our own resting exits may hold the others.

    On futures a resting exit leaves the position where it is.
    """
    plan, inputs = prepared.planned.plan, prepared.inputs
    signal, instrument = inputs.signal, inputs.instrument
    if plan is None or plan.legs or instrument is None or instrument.market is not Market.SPOT:
        return False
    if not signal.is_exit or signal.action is not Side.SELL:
        return False
    found = plan.outcome or plan.denial
    codes = _OF_A_PART if signal.quantity_type is QuantityType.PERCENT_POSITION else _OF_NONE
    return found is not None and found.code in codes


def noted(notes: Sequence[Mapping[str, Any]], number: int) -> list[Mapping[str, Any]]:
    """Return an alert's notes with one that says how many orders are taken back for it; told once."""
    if not number or any(note.get("code") == TAKEN_BACK_FOR_IT for note in notes):
        return list(notes)
    return [*notes, {"code": TAKEN_BACK_FOR_IT, "facts": {"number": str(number)}}]


def _has_open(key: tuple[UUID, str]) -> bool:
    """Mostly nothing at all is open, and that is cheaply told."""
    return bool(cancelling.any_open(connector=key[0], symbol=key[1]))


def clear(orders: QuerySet[Order], *, by: str) -> bool:
    """Ask for all of them to be taken back and work on it; True once none is open any more."""
    rows = list(orders)
    for order in rows:
        cancelling.request(order, by=by)
    for order in rows:
        # What is being sent or is in doubt has its own pace; what was looked at a moment ago waits for its time.
        if order.state in LIVE_STATES | {OrderState.PLANNED} and _is_due(order):
            run_all(step, [order])
    for order in rows:
        order.refresh_from_db()
    return all(order.is_final for order in rows)


def is_overdue(orders: QuerySet[Order]) -> bool:
    """True when each that is still open is live, and was asked to be taken back longer ago than an exit waits."""
    since = world.now() - TOLD_WITHIN
    return not orders.exclude(state__in=LIVE_STATES, cancel_requested_at__lt=since).exists()


def reducing(signal: Signal) -> Signal:
    """Return the exit without what it would open, for one that waits no longer."""
    return replace(signal, reduce_only=True)


def only_reduces(plan: Plan | None) -> bool:
    return plan is not None and all(leg.intent is Intent.EXIT and leg.reduce_only for leg in plan.legs)


def _is_due(order: Order) -> bool:
    return order.next_at is None or order.next_at <= world.now()


def taken_back(by: str, workspace_id: UUID) -> list[Order]:
    """Return the orders whose cancellation was asked for by this alert."""
    events = OrderEvent.unscoped.filter(cause=ASKED, evidence__by=by, workspace_id=workspace_id)
    return list(Order.unscoped.filter(pk__in=events.values("order_id")).order_by("created_at", "leg"))
