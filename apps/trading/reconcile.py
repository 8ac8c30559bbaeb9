"""The exchange's truth beside our rows. Never trades, never adopts silently: it records what it saw."""

import logging
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from apps.connectors.exchange import ExchangeError, Market
from apps.connectors.models import Connector, MarketPrice
from apps.connectors.opening import open_connector
from apps.connectors.sealing import SealError
from apps.lib import world
from apps.lib.pool import run_all
from apps.trading.models import EquityPoint, Position

logger = logging.getLogger(__name__)

VALUED_IN = "USDT"


def reconcile_positions() -> None:
    """Read what the exchange holds for every connector with an open futures position."""
    open_positions = Position.unscoped.exclude(signed_quantity=0).filter(connector__market=Market.FUTURES)
    run_all(_reconcile, set(open_positions.values_list("connector_id", flat=True)))


def record_equity(*, at_least_apart: timedelta = timedelta(seconds=0)) -> None:
    """Write one equity point for every connector that is in use and has none that young."""
    connectors = Connector.unscoped.filter(deleted_at=None).exclude(sealed_access_key="")
    recent = EquityPoint.unscoped.filter(at__gt=world.now() - at_least_apart).values("connector_id")
    run_all(_record_equity, list(connectors.exclude(pk__in=recent).values_list("pk", flat=True)))


def _reconcile(connector_id: UUID) -> None:
    connector = Connector.unscoped.get(pk=connector_id)
    try:
        told = {(row.symbol, row.book.value): row.signed_quantity for row in open_connector(connector).positions()}
    except (ExchangeError, SealError) as error:
        # A failed query is no news, never "flat".
        logger.warning("positions of connector %s not read: %s", connector_id, error)
        return
    now = world.now()
    for position in Position.unscoped.filter(connector=connector):
        quantity = told.get((position.symbol, position.book), Decimal(0))
        Position.unscoped.filter(pk=position.pk).update(exchange_quantity=quantity, reconciled_at=now)
        if quantity != position.signed_quantity:
            logger.warning("position %s: ours %s, exchange %s", position.pk, position.signed_quantity, quantity)


def _record_equity(connector_id: UUID) -> None:
    connector = Connector.unscoped.get(pk=connector_id)
    try:
        balances = open_connector(connector).balances()
    except (ExchangeError, SealError) as error:
        logger.info("equity of connector %s not read: %s", connector_id, error)
        return
    equity, unvalued = Decimal(0), []
    for balance in balances:
        price = Decimal(1) if balance.currency == VALUED_IN else _price(connector, balance.currency)
        if price is not None:
            equity += balance.equity * price
        elif balance.equity:
            unvalued.append(balance.currency)
    available = next((balance.available for balance in balances if balance.currency == VALUED_IN), Decimal(0))
    EquityPoint.unscoped.create(
        workspace_id=connector.workspace_id,
        connector=connector,
        at=world.now(),
        equity=equity,
        available=available,
        currency=VALUED_IN,
        unvalued=unvalued,
    )


def _price(connector: Connector, currency: str) -> Decimal | None:
    prices = MarketPrice.objects.filter(
        instrument__environment=connector.environment,
        instrument__base=currency,
        instrument__quote=VALUED_IN,
        instrument__market=connector.market,
    )
    return prices.values_list("last", flat=True).first()
