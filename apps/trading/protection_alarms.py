"""A guard that is not in place: told to people once, and the position closed or kept as the trader has chosen."""

import logging
from decimal import Decimal

from django.db import IntegrityError, transaction

from apps.connectors import instruments
from apps.connectors.exchange import ExchangeError, Side
from apps.connectors.opening import open_connector
from apps.connectors.policies import Unprotected
from apps.connectors.sealing import SealError
from apps.lib import world
from apps.lib.decimals import normalize_text
from apps.trading import cancelling, incidents
from apps.trading.halting import halted
from apps.trading.ids import client_order_id
from apps.trading.incident_kinds import IncidentKind
from apps.trading.market import read_account
from apps.trading.models import Order, Protection, ProtectionState
from apps.trading.protecting import ProtectionKind
from apps.trading.protection_rows import exit_row, put
from apps.trading.transitions import born

logger = logging.getLogger(__name__)

P = ProtectionState
CLOSING_LEG = "x"


def check_proof(row: Protection) -> None:
    """Raise the alarm once for a guard that failed or is not proven in time, and do what the trader has chosen."""
    is_late = row.proven_by is not None and world.now() >= row.proven_by
    is_open = row.state in {P.WAITING, P.SUBMITTING, P.UNKNOWN}
    if row.alarmed_at is not None or not (row.state == P.FAILED or (is_open and is_late)):
        return
    if not put(row, alarmed_at=world.now()):
        return
    if row.replaces_id is not None and Protection.unscoped.filter(pk=row.replaces_id, state=P.LIVE).exists():
        # The larger one is still in place: it closes no more than is held.
        logger.error("guard %s: a smaller one was not placed: %s", row.replaces_id, row.reason)
        return
    is_stop = row.kind != ProtectionKind.TAKE_PROFIT
    closes = is_stop and row.connector.unprotected == Unprotected.CLOSE
    what = str(row.kind).replace("_", " ")
    why = f"its {what} at {normalize_text(row.price)} was not placed: {row.reason or 'the exchange does not show it'}"
    halt = halted(row.connector) if closes else None
    if halt is not None:
        did = f"It was kept open. {halt.sentence}"
    elif closes:
        did = "It is closed at the market, as chosen on the connector."
    elif is_stop:
        did = "It was kept open, as chosen on the connector."
    else:
        did = "It was kept open: a take profit is missing, not a stop."
    logger.error("guard %s is not proven: %s", row.pk, why)
    incidents.open_incident(
        row.connector,
        IncidentKind.PROTECTION_MISSING,
        symbol=row.symbol,
        order=row.entry,
        facts={"why": why, "did": did},
    )
    if closes:
        _close(row)


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


def _close(row: Protection) -> None:
    """Close what the entry opened: an exit like any other, sent by whoever takes its lease."""
    entry = Order.unscoped.select_related("connector", "instrument").get(pk=row.entry_id)
    cancelling.request(entry, by=f"guard {row.pk}")
    order = exit_row(
        entry,
        leg=CLOSING_LEG,
        client_order_id="",
        quantity=entry.filled_quantity,
        sentence=f"Close what was opened on {entry.symbol}: its stop is not in place",
    )
    order.client_order_id = client_order_id(order.pk, leg=CLOSING_LEG)
    try:
        account = read_account(entry.connector, open_connector(entry.connector), instruments.in_words(entry.instrument))
    except (ExchangeError, SealError):
        # The exchange lets a reduce-only order close no more than is held.
        logger.warning("guard %s: account not read before the position is closed", row.pk)
    else:
        held = account.holding.long if order.side == Side.SELL else account.holding.short
        order.quantity = min(order.quantity, held)
        order.facts["account"] = account.as_facts()
    if not order.quantity:
        return
    order.next_at = world.now()
    try:
        with transaction.atomic():
            born(order, cause="planned", evidence={"guard": str(row.pk)})
    except IntegrityError:
        # Another guard of the same entry has it closed already.
        return
