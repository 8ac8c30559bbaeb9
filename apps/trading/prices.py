"""Keep the prices fresh that open positions and held coins are valued with."""

import logging
from collections import defaultdict
from datetime import timedelta

from django.utils import timezone

from apps.connectors import instruments
from apps.connectors.exchange import ExchangeError
from apps.trading.models import Position

logger = logging.getLogger(__name__)

RECENTLY = timedelta(minutes=2)


def refresh() -> int:
    """Fetch the price of every symbol with an open, or just closed, position; return how many were written."""
    positions = Position.unscoped.exclude(signed_quantity=0) | Position.unscoped.filter(
        last_fill_at__gt=timezone.now() - RECENTLY
    )
    wanted: dict[tuple[str, str], set[str]] = defaultdict(set)
    rows = positions.values_list("instrument__environment", "instrument__market", "symbol").distinct()
    for environment, market, symbol in rows:
        wanted[environment, market].add(symbol)
    written = 0
    for key, symbols in wanted.items():
        try:
            written += instruments.refresh_prices({key: symbols})
        except ExchangeError as error:
            logger.info("prices of %s not read: %s", key, error.sentence)
    return written
