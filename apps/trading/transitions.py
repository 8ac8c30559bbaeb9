"""The only way an order changes state: compare-and-swap on (state, version), with an event in the same transaction."""

from typing import Any

from django.db import transaction
from django.utils import timezone

from apps.lib.process import process_name
from apps.trading.models import FINAL_STATES, MOVES, Order, OrderEvent, OrderState


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
        columns.setdefault("finished_at", timezone.now())
        columns.setdefault("next_at", None)
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
    """Insert a new order with its first event; the caller's transaction holds both. Nothing happens when it exists."""
    order.save(force_insert=True)
    _record(order, from_state="", to_state=order.state, cause=cause, evidence=evidence or {}, version=0)


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
