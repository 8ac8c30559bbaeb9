"""A guard that is not in place: told to people once, and the position closed or kept as the trader has chosen."""

import logging
from collections.abc import Mapping
from decimal import Decimal

from apps.connectors.policies import Unprotected
from apps.lib import world
from apps.lib.decimals import normalize_text
from apps.trading import incidents, unguarded
from apps.trading.incident_kinds import IncidentKind
from apps.trading.models import Order, Protection, ProtectionState
from apps.trading.protecting import ProtectionKind
from apps.trading.protection_rows import OPEN, held_here, put
from apps.trading.unguarded import Progress

logger = logging.getLogger(__name__)

P = ProtectionState


def check_proof(row: Protection) -> None:
    """Raise the alarm once for a guard that failed, is not proven in time, or fired for less than it guards.

    What the trader has chosen is then gone on with until it is done, each time that the guard is due.
    """
    why = _why(row)
    if why is None and row.state == P.GONE and row.alarmed_at is not None and not held_here(row):
        incidents.resolve(row.connector, IncidentKind.PROTECTION_MISSING, order=row.entry, how=row.reason)
    if why is None:
        return
    is_new = row.alarmed_at is None
    if is_new and not put(row, alarmed_at=world.now()):
        return
    if row.replaces_id is not None and Protection.unscoped.filter(pk=row.replaces_id, state=P.LIVE).exists():
        # The larger one is still in place: it closes no more than is held.
        if is_new:
            logger.error("guard %s: a smaller one was not placed: %s", row.replaces_id, row.reason)
        _come_back(row, Progress(""))
        return
    is_stop = row.kind != ProtectionKind.TAKE_PROFIT
    closes = is_stop and row.connector.unprotected == Unprotected.CLOSE
    kept = "as chosen on the connector" if is_stop else "a take profit is missing, not a stop"
    progress = Progress(f"It was kept open{',' if is_stop else ':'} {kept}.")
    if is_new:
        logger.error("guard %s is not proven: %s", row.pk, why)
        _open(row, {"why": why, "did": unguarded.BEING_CLOSED if closes else progress.did})
    if closes:
        progress = unguarded.close(row)
    if closes or row.state not in OPEN:
        _tell(row, {"why": why, "did": progress.did}, progress)
    _come_back(row, progress)


def _why(row: Protection) -> str | None:
    """Return what is wrong with a guard; None where nothing is, or nothing is known to be."""
    what = f"its {str(row.kind).replace('_', ' ')} at {normalize_text(row.price)}"
    if row.state == P.FIRED:
        return f"{what} {_closed_less(row)}" if _has_left_open(row) else None
    is_late = row.proven_by is not None and world.now() >= row.proven_by
    if row.state == P.FAILED or (row.state in {P.WAITING, P.SUBMITTING, P.UNKNOWN} and is_late):
        return f"{what} was not placed: {row.reason or 'the exchange does not show it'}"
    return None


def _has_left_open(row: Protection) -> bool:
    """True for one that fired and has to be followed: it closed less than it was to guard."""
    if row.next_at is None:
        return False
    rest = unguarded.rest_of(row) if row.alarmed_at is None else None
    if row.alarmed_at is None and not rest:
        put(row, next_at=None if rest is not None else world.now() + unguarded.SOON)
        return False
    return True


def _closed_less(row: Protection) -> str:
    closed = Order.unscoped.get(pk=row.fired_id).filled_quantity
    return f"fired and closed only {normalize_text(closed)} of {normalize_text(unguarded.wanted_of(row))}"


def _come_back(row: Protection, progress: Progress) -> None:
    """Have a guard that is over looked at again while its position is being closed; others have their own pace."""
    if row.state not in OPEN:
        put(row, next_at=None if progress.after is None else world.now() + progress.after)


def _open(row: Protection, facts: Mapping[str, str]) -> None:
    kind = IncidentKind.PROTECTION_MISSING
    incidents.open_incident(row.connector, kind, symbol=row.symbol, order=row.entry, facts=facts)


def _tell(row: Protection, facts: Mapping[str, str], progress: Progress) -> None:
    """Say what became of it. While it goes on it is open, whoever has closed the incident."""
    kind = IncidentKind.PROTECTION_MISSING
    if progress.after is not None:
        _open(row, facts)
        return
    incidents.renew(row.connector, kind, order=row.entry, facts={**facts, "symbol": row.symbol})
    if progress.is_closed:
        incidents.resolve(row.connector, kind, order=row.entry, symbol=row.symbol, how=progress.did)


def tell_unguarded(row: Protection, quantity: Decimal) -> None:
    what, size = str(row.kind).replace("_", " "), normalize_text(quantity)
    why = f"its entry filled in so many pieces that its {what} at {normalize_text(row.price)} leaves {size} uncovered"
    incidents.open_incident(
        row.connector,
        IncidentKind.PROTECTION_MISSING,
        symbol=row.symbol,
        order=row.entry,
        facts={"why": why, "did": "It was kept open; the guards that are in place stay there."},
    )
