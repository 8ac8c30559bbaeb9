"""The guards that are due: found by the sweeper, which needs neither Redis nor beat."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import Q

from apps.lib import world
from apps.lib.compiled import Compiled
from apps.lib.pool import FRESH, run_all
from apps.lib.statements import Asked
from apps.trading.models import FINAL_STATES, Order, Protection, ProtectionState
from apps.trading.protection import protect, step
from apps.trading.protection_rows import FOLLOWED, claim, rows_with

P = ProtectionState
LOT = 200


def asked(now: datetime) -> tuple[Asked, Asked]:
    """Ask for what `sweep` takes."""
    return _begun.asked(), _due.asked(now=now)


def sweep(now: datetime, begun: Sequence[UUID], work: Sequence[Protection]) -> int:
    """Take one step with every due guard; return how many were due.

    `begun`: entries that were filled or have ended while their guards still wait for that.
    """
    if begun:
        for order in Order.unscoped.filter(pk__in=set(begun)).select_related("connector", "instrument"):
            protect(order)
        now = world.now()
        work = _due(now=now)
    run_all(_sweep_one, [(row, now) for row in work])
    return len(work)


_begun = Compiled(
    lambda: Protection.unscoped.filter(
        Q(entry__filled_quantity__gt=0) | Q(entry__state__in=FINAL_STATES), state=P.WAITING, next_at=None
    ).values_list("entry_id", flat=True)[:LOT]
)
_due: Compiled[Protection] = Compiled(
    lambda now: rows_with(Q(next_at__lte=now, state__in=FOLLOWED)).order_by("next_at", "created_at", "number")[:LOT]
)


def _sweep_one(due: tuple[Protection, datetime]) -> None:
    row, read_at = due
    # What is sent asks its connector whether it may, which is read for that alone.
    if row.state == P.WAITING or abs(world.now() - read_at) > FRESH:
        (again,) = _guard(pk=row.pk)
        if again.next_at != row.next_at or again.state not in FOLLOWED:
            # Somebody else has it.
            return
        row = again
    if claim(row):
        step(row)


_guard: Compiled[Protection] = Compiled(lambda pk: rows_with(Q(pk=pk)))
