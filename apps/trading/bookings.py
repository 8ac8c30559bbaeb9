"""What the exchange booked on its own: funding, and the liquidations that say why a position has gone."""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import F

from apps.connectors.exchange import Exchange, TransactionKind, TransactionReport
from apps.connectors.models import Connector
from apps.lib import world
from apps.trading.models import AccountWatch, LedgerEntry, Position

logger = logging.getLogger(__name__)

EVERY = timedelta(minutes=5)
OVERLAP = timedelta(minutes=10)
FIRST_LOOK = timedelta(days=2)


def take_over(connector: Connector, watch: AccountWatch, exchange: Exchange) -> None:
    """Book new funding payments, each once, and set on `watch` until when; the caller keeps it.

    They are paid every few hours: asked for with each reading they would be half of its requests, so five minutes lie
    between. ExchangeError when they could not be read: nothing was booked.
    """
    started = world.now()
    if watch.booked_until is not None and abs(started - watch.booked_until) < EVERY:
        return
    # Before the connector was ours its bookings are none of our positions'.
    since = max(connector.created_at, (watch.booked_until or started - FIRST_LOOK) - OVERLAP)
    reports = exchange.transactions(kind=TransactionKind.FUNDING_FEE, since=since)
    book_funding(connector, reports)
    watch.booked_until = started


def book_funding(connector: Connector, reports: Iterable[TransactionReport]) -> int:
    """Write one ledger entry for each booking that has none yet and add it to its position; return how many."""
    return sum(_book_one(connector, report) for report in reports if report.kind is TransactionKind.FUNDING_FEE)


def was_liquidated(exchange: Exchange, symbol: str, *, since: datetime) -> bool:
    """Say whether the exchange itself closed any of the symbol since. ExchangeError when it could not be read."""
    return any(order.is_forced for order in exchange.order_history(symbol, since=since))


def _book_one(connector: Connector, report: TransactionReport) -> bool:
    reference = report.key[:160]
    if LedgerEntry.unscoped.filter(connector=connector, reference=reference).exists():
        return False
    try:
        with transaction.atomic():
            LedgerEntry.objects.create(
                workspace_id=connector.workspace_id,
                connector=connector,
                symbol=report.symbol,
                kind=LedgerEntry.Kind.FUNDING,
                amount=report.amount,
                currency=report.currency,
                at=report.at,
                reference=reference,
            )
            # With two books of one symbol the exchange does not say whose it was: the one that was open longer.
            position = (
                Position.unscoped.select_for_update()
                .filter(connector=connector, symbol=report.symbol)
                .order_by(F("opened_at").asc(nulls_last=True))
                .first()
            )
            if position is not None:
                Position.unscoped.filter(pk=position.pk).update(funding=F("funding") + report.amount)
    except IntegrityError:
        # Another process booked it in this moment.
        return False
    return True
