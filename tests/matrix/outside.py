"""What somebody else does with the account of a bench, and the readings that find it."""

from decimal import Decimal

from django.utils import timezone

from apps.connectors.exchange import Book, MarginMode, OrderRequest, OrderType, Side
from apps.connectors.opening import open_connector
from apps.trading import reconcile
from apps.trading.models import AccountWatch, Fill, Order
from tests.engine.conftest import Bench, forget_limits
from tests.factories import ago


def by_hand(
    bench: Bench,
    side: Side,
    quantity: str,
    *,
    reduce_only: bool = False,
    name: str = "hand1",
    book: Book = Book.NET,
) -> None:
    is_futures = bench.connector.market == "futures"
    symbol = "BTCUSDT" if is_futures else "BTC_USDT"
    by_value = side is Side.BUY and not is_futures
    exchange = open_connector(bench.connector)
    exchange.submit(
        OrderRequest(
            client_order_id=name,
            symbol=symbol,
            side=side,
            order_type=OrderType.MARKET,
            quantity=None if by_value else Decimal(quantity),
            notional=Decimal(quantity) * 60000 if by_value else None,
            reduce_only=reduce_only,
            book=book,
            leverage=Decimal(1) if is_futures and not reduce_only else None,
            margin_mode=MarginMode.ISOLATED if is_futures and not reduce_only else None,
        ),
        signed_at_ms=int(timezone.now().timestamp() * 1000),
    )


def poll(times: int = 1) -> None:
    """Read every account now, as if what was ordered before had long settled."""
    for _ in range(times):
        forget_limits()
        Order.unscoped.exclude(finished_at=None).update(finished_at=ago(minutes=1))
        Fill.unscoped.update(recorded_at=ago(minutes=1))
        AccountWatch.unscoped.update(next_at=timezone.now())
        reconcile.poll_due()
