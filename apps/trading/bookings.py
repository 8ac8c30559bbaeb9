"""What the exchange booked on its own: funding, and the liquidations that say why a position has gone."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, localcontext

from django.db import IntegrityError, transaction
from django.db.models import F

from apps.connectors.exchange import Exchange, Instrument, Side, TransactionKind, TransactionReport
from apps.connectors.models import Connector
from apps.lib import world
from apps.lib.decimals import FINEST
from apps.trading.accounting import WIDE
from apps.trading.models import AccountWatch, LedgerEntry, Position
from apps.trading.readings import history_of

logger = logging.getLogger(__name__)

EVERY = timedelta(minutes=5)
OVERLAP = timedelta(minutes=10)
FIRST_LOOK = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Closed:
    """What the exchange closed by itself: in exchange units, at what a base unit brought or cost after the fee.

    `price` is None where it was not told.
    """

    quantity: Decimal
    price: Decimal | None


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


def liquidated(exchange: Exchange, instrument: Instrument, *, held: Decimal, since: datetime) -> Closed | None:
    """Return what the exchange itself closed since of a position of which we had `held`, signed; None = nothing.

    ExchangeError when it could not be read.
    """
    symbol, side = instrument.symbol, Side.SELL if held > 0 else Side.BUY
    # Asked for by the second.
    forced = [
        order
        for order in history_of(exchange, symbol, since=since)
        if order.is_forced and order.side is side and order.filled_quantity and (order.created_at or since) >= since
    ]
    quantity = sum((order.filled_quantity for order in forced), Decimal(0))
    if not quantity:
        return None
    fills = [fill for order in forced for fill in exchange.fills(symbol, exchange_order_id=order.exchange_order_id)]
    if sum((fill.quantity for fill in fills), Decimal(0)) != quantity:
        # Not all told yet; the newest price known stands in.
        return Closed(quantity, None)
    with localcontext(prec=WIDE):
        value = sum((fill.quantity * fill.price for fill in fills), Decimal(0))
        fee = sum((fill.fee for fill in fills), Decimal(0)) / instrument.contract_size
        price = (value - fee if side is Side.SELL else value + fee) / quantity
        return Closed(quantity, price.quantize(FINEST))


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
