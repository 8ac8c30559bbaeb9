"""The only way an order changes state: compare-and-swap on (state, version), with its event in the same statement."""

import logging
from datetime import timedelta
from functools import lru_cache
from typing import Any

from django.db import connection

from apps.lib import world
from apps.lib.compiled import column_of, inserting, prepared, update, updating
from apps.lib.decimals import normalize_text
from apps.lib.process import process_name
from apps.lib.statements import Asked, ask, run
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
    event = _event(order, from_state=order.state, to_state=to, cause=cause, evidence=evidence)
    _swap(order, {**columns, "state": to, "worker": event.worker}, event)
    _copy(order, {**columns, "state": to})


def note(order: Order, *, cause: str, evidence: dict[str, Any] | None = None, **columns: Any) -> None:
    """Record something about an order that changes no state, under the same compare-and-swap."""
    _swap(order, columns, _event(order, from_state=order.state, to_state=order.state, cause=cause, evidence=evidence))
    _copy(order, columns)


def born(order: Order, *, cause: str, evidence: dict[str, Any] | None = None) -> None:
    """Insert a new order with its first event; the caller's transaction holds both. IntegrityError when it exists."""
    for asked in being_born(order, cause=cause, evidence=evidence):
        ask(asked)


def being_born(order: Order, *, cause: str, evidence: dict[str, Any] | None = None) -> list[Asked]:
    """Return the statements of `born`."""
    event = _event(order, from_state="", to_state=order.state, cause=cause, evidence=evidence, version=0)
    return [*inserting(order), *inserting(event)]


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
    if update(Order, columns, id=order.pk, state=order.state, version=order.version):
        for name, value in columns.items():
            setattr(order, name, value)


def deny(order: Order, denial: Denial) -> None:
    advance(
        order,
        OrderState.DENIED,
        cause="denied",
        reason_code=denial.code.value,
        reason=denial.reason(is_opening_leg=order.waits_for_parent),
        evidence=dict(denial.facts),
        facts={**order.facts, "denial": dict(denial.facts)},
    )


def _swap(order: Order, columns: dict[str, Any], event: OrderEvent) -> None:
    changes = {**columns, "version": event.version}
    parameters = [
        *prepared(Order, changes, connection),
        *prepared(Order, {name: getattr(order, name) for name in _WAS}, connection),
        *prepared(OrderEvent, {name: getattr(event, name) for name in _EVENT}, connection),
    ]
    if run(_swapping(tuple(changes)), parameters).count != 1:
        raise StaleOrderError(str(order.pk))


# `created_at` is of the plan: one that a database server lost as it died was made anew, under the same id.
_WAS = ("id", "state", "version", "created_at")
_EVENT = tuple(field.attname for field in OrderEvent._meta.concrete_fields)


@lru_cache(maxsize=256)
def _swapping(changes: tuple[str, ...]) -> str:
    """Nothing is inserted where no row is changed. An event's value is cast to its type, not cut to its length."""
    fields = [column_of(OrderEvent)[name].field for name in _EVENT]
    names = ", ".join(f'"{field.column}"' for field in fields)
    values = ", ".join(f"%s::{str(field.db_type(connection)).partition('(')[0]}" for field in fields)
    return (
        f'WITH moved AS ({updating(Order, changes, _WAS)} RETURNING "id") '  # noqa: S608 - names of ours
        f'INSERT INTO "trading_orderevent" ({names}) SELECT {values} FROM moved'
    )


def _event(
    order: Order,
    *,
    from_state: str,
    to_state: str,
    cause: str,
    evidence: dict[str, Any] | None,
    version: int | None = None,
) -> OrderEvent:
    return OrderEvent(
        workspace_id=order.workspace_id,
        order=order,
        from_state=from_state,
        to_state=to_state,
        version=order.version + 1 if version is None else version,
        cause=cause,
        evidence=evidence or {},
        worker=process_name(),
    )


def _copy(order: Order, columns: dict[str, Any]) -> None:
    order.version += 1
    for name, value in columns.items():
        setattr(order, name, value)
