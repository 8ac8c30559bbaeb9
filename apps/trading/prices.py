"""Keep the prices fresh that open positions and held coins are valued with."""

import logging
from collections import defaultdict
from datetime import timedelta

from apps.connectors import instruments
from apps.connectors.exchange import ExchangeError
from apps.connectors.models import MarketPrice
from apps.lib import world
from apps.trading.models import Position

logger = logging.getLogger(__name__)

RECENTLY = timedelta(minutes=2)
# Younger prices were just pushed by the stream: asking again would spend scarce requests on them.
YOUNG = timedelta(seconds=0.9)


def refresh() -> int:
    """Fetch the price of every symbol with an open, or just closed, position that is not young; return how many."""
    positions = Position.unscoped.exclude(signed_quantity=0) | Position.unscoped.filter(
        last_fill_at__gt=world.now() - RECENTLY
    )
    wanted: dict[tuple[str, str], set[str]] = defaultdict(set)
    young = MarketPrice.objects.filter(at__gt=world.now() - YOUNG).values("instrument_id")
    old = positions.exclude(instrument_id__in=young)
    rows = old.values_list("instrument__environment", "instrument__market", "symbol").distinct()
    for environment, market, symbol in rows:
        wanted[environment, market].add(symbol)
    written = 0
    for key, symbols in wanted.items():
        try:
            written += instruments.refresh_prices({key: symbols})
        except ExchangeError as error:
            logger.info("prices of %s not read: %s", key, error.sentence)
    return written
