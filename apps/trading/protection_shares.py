"""What several take profits still cover once a part of the position is gone: what is left, shared by their weights."""

from decimal import Decimal

from django.db.models import Q

from apps.lib.decimals import floor_to_step
from apps.trading.models import Protection, ProtectionState
from apps.trading.protecting import ProtectionKind, guard_of, shared
from apps.trading.protection_rows import OPEN, rows_with

P = ProtectionState


def share_left(row: Protection, ours: Decimal) -> Decimal | None:
    """Return the smaller quantity that a target is to cover of `ours`, 0 for none; None when it may stay as it is.

    `ours` was read before: whatever a target has closed of it, that one is not open any more. Each target is cut by
    its own watch, whenever that comes, so nothing here depends on how far the others have been cut already.
    """
    weight = guard_of(row.guard).weight
    if row.kind != ProtectionKind.TAKE_PROFIT or weight == 1 or row.quantity is None or not row.entry.is_final:
        return None
    targets = _open_targets(row)
    covered = sum((one.quantity or _measure(one, targets) for one in targets), Decimal(0))
    if covered <= ours or row not in targets:
        return None
    instrument = row.entry.instrument
    of_entry = [one for one in targets if one.entry_id == row.entry_id]
    # The farthest is the last.
    of_entry.sort(key=lambda one: (abs(one.price - (row.entry.avg_fill_price or 0)), one.number))
    measures = [_measure(one, targets) for one in of_entry]
    everything = sum((_measure(one, targets) for one in targets), Decimal(0))
    left = floor_to_step(ours * sum(measures, Decimal(0)) / everything, instrument.quantity_step)
    least = max(instrument.min_quantity, instrument.quantity_step)
    wanted = shared(left, measures, step=instrument.quantity_step, least=least)[of_entry.index(row)]
    return wanted if wanted < row.quantity else None


def _open_targets(row: Protection) -> list[Protection]:
    """Return the take profits of the position, of all its entries, without what is being taken back or replaced."""
    alike = Q(connector_id=row.connector_id, symbol=row.symbol, book=row.book, side=row.side)
    rows = list(rows_with(alike & Q(kind=row.kind, state__in=OPEN, entry__filled_quantity__gt=0)))
    replaced = {one.replaces_id for one in rows}
    return [one for one in rows if one.pk not in replaced and one.state != P.CANCELLING]


def _measure(row: Protection, targets: list[Protection]) -> Decimal:
    """Return its part of what its entry opened, whatever it covers now; pieces of one target have equal parts."""
    pieces = [one for one in targets if (one.entry_id, one.guard) == (row.entry_id, row.guard)]
    opened: Decimal = row.entry.filled_quantity
    return guard_of(row.guard).weight * opened / max(len(pieces), 1)
