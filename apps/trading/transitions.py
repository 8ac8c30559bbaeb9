"""The only way an order changes state: compare-and-swap on (state, version), with an event in the same transaction."""

import logging
from datetime import timedelta
from typing import Any

from django.db import transaction

from apps.lib import world
from apps.lib.decimals import normalize_text
from apps.lib.process import process_name
from apps.trading import incidents
from apps.trading.denials import Denial
from apps.trading.incident_kinds import IncidentKind
from apps.trading.models import FINAL_STATES, LIVE_STATES, MOVES, Order, OrderEvent, OrderState

logger = logging.getLogger(__name__)

LOOK_PAUSES_S = (1, 2, 4, 8, 15)
# An order that lies at the exchange is looked at so often; a stream makes it due sooner.
LIVE_PAUSE_S = 10


class IllegalMoveError(Exception):
    """The table of moves does not know this one."""


class StaleOrderError(Exception):
    """Somebody else moved the order first; read it again."""


def move(order: Order, to: OrderState, *, cause: str, evidence: dict[str, Any] | None = None, **columns: Any) -> None:
    """Move `order` and set `columns`, on the row and on the object.

    IllegalMoveError when `MOVES` forbids it, StaleOrderError when the row is no longer as `order` has it.
    """
    if to not in MOVES[OrderState(order.state)]:
        raise IllegalMoveError(f"{order.state} → {to}")
    if to in FINAL_STATES:
        columns.setdefault("finished_at", world.now())
        columns.setdefault("next_at", None)
    elif order.is_final:
        columns.setdefault("finished_at", None)
    with transaction.atomic():
        _swap(order, {**columns, "state": to, "worker": process_name()})
        _record(order, from_state=order.state, to_state=to, cause=cause, evidence=evidence or {})
    _copy(order, {**columns, "state": to})


def note(order: Order, *, cause: str, evidence: dict[str, Any] | None = None, **columns: Any) -> None:
    """Record something about an order that changes no state, under the same compare-and-swap."""
    with transaction.atomic():
        _swap(order, columns)
        _record(order, from_state=order.state, to_state=order.state, cause=cause, evidence=evidence or {})
    _copy(order, columns)


def born(order: Order, *, cause: str, evidence: dict[str, Any] | None = None) -> None:
    """Insert a new order with its first event; the caller's transaction holds both. IntegrityError when it exists."""
    order.save(force_insert=True)
    _record(order, from_state="", to_state=order.state, cause=cause, evidence=evidence or {}, version=0)


def advance(
    order: Order, to: OrderState, *, cause: str, evidence: dict[str, Any] | None = None, **columns: Any
) -> None:
    """Move, also when the row moved on meanwhile and the new fact still applies to where it is now.

    A sender that was taken for dead may still tell of an acknowledgement. It may not put the order back to PLANNED, nor
    judge an attempt that is no longer the newest.
    """
    attempt = order.attempt
    for _ in range(5):
        try:
            was = order.state
            is_alive = was in {OrderState.NOT_PLACED, OrderState.REJECTED} and to in LIVE_STATES | {OrderState.FILLED}
            move(order, to, cause=cause, evidence=evidence, **columns)
            if is_alive:
                logger.error("order %s: alive at the exchange after %s", order.pk, was)
                _tell_alive(order, OrderState(was))
            return
        except StaleOrderError:
            order.refresh_from_db()
            if to == OrderState.PLANNED or (order.attempt != attempt and to != OrderState.ACCEPTED):
                logger.warning("order %s: a late %r changes nothing", order.pk, cause)
                return
            if to not in MOVES[OrderState(order.state)]:
                logger.info("order %s: %s came after %s", order.pk, cause, order.state)
                return
        except IllegalMoveError:
            logger.error("order %s: %s does not lead from %s to %s", order.pk, cause, order.state, to)
            return


def _tell_alive(order: Order, was: OrderState) -> None:
    facts = {"side": order.side, "quantity": normalize_text(order.quantity), "was": was.label}
    incidents.open_incident(order.connector, IncidentKind.ORDER_ALIVE, symbol=order.symbol, order=order, facts=facts)


def postpone(order: Order, *, cause: str, evidence: dict[str, Any] | None = None, **columns: Any) -> None:
    """Set the next look by how often we looked; an event only when the cause is news."""
    pause = LOOK_PAUSES_S[min(order.query_count, len(LOOK_PAUSES_S) - 1)]
    if order.state in LIVE_STATES:
        pause = min(pause, LIVE_PAUSE_S)
    columns |= {"query_count": order.query_count + 1, "next_at": world.now() + timedelta(seconds=pause)}
    if evidence:
        try:
            note(order, cause=cause, evidence=evidence, **columns)
        except StaleOrderError:
            order.refresh_from_db()
        return
    if Order.unscoped.filter(pk=order.pk, state=order.state, version=order.version).update(**columns):
        for name, value in columns.items():
            setattr(order, name, value)


def deny(order: Order, denial: Denial) -> None:
    advance(
        order,
        OrderState.DENIED,
        cause="denied",
        reason_code=denial.code.value,
        reason=denial.sentence[:500],
        evidence=dict(denial.facts),
        facts={**order.facts, "denial": dict(denial.facts)},
    )


def _swap(order: Order, columns: dict[str, Any]) -> None:
    row = Order.unscoped.filter(pk=order.pk, state=order.state, version=order.version)
    if row.update(**columns, version=order.version + 1) != 1:
        raise StaleOrderError(str(order.pk))


def _record(
    order: Order, *, from_state: str, to_state: str, cause: str, evidence: dict[str, Any], version: int | None = None
) -> None:
    OrderEvent.objects.create(
        workspace_id=order.workspace_id,
        order=order,
        from_state=from_state,
        to_state=to_state,
        version=order.version + 1 if version is None else version,
        cause=cause,
        evidence=evidence,
        worker=process_name(),
    )


def _copy(order: Order, columns: dict[str, Any]) -> None:
    order.version += 1
    for name, value in columns.items():
        setattr(order, name, value)
