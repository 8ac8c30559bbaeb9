"""Fills of one question in the order they happened."""

from collections.abc import Iterable
from datetime import datetime

from apps.connectors.bitmart.wire import EPOCH
from apps.connectors.exchange import FillReport


def oldest_first(
    fills: Iterable[FillReport], *, exchange_order_id: str = "", since: datetime | None = None
) -> list[FillReport]:
    """Return each fill once, of one order (if named) and from `since` on: BitMart ignores filters it does not know."""
    wanted = {
        fill.trade_id: fill
        for fill in fills
        if fill.exchange_order_id == (exchange_order_id or fill.exchange_order_id)
        and fill.filled_at >= (since or EPOCH)
    }
    # Ids of one instant count upwards; compared by length first because they are digits kept as text.
    return sorted(wanted.values(), key=lambda fill: (fill.filled_at, len(fill.trade_id), fill.trade_id))
