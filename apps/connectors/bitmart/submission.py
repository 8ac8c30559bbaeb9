"""What an answer to a submitted order proves."""

from collections.abc import Generator
from contextlib import contextmanager

from apps.connectors.bitmart.client import Envelope
from apps.connectors.bitmart.wire import identifier_or_blank
from apps.connectors.exchange import (
    OrderRejectedError,
    OrderReport,
    OrderRequest,
    OrderStatus,
    RejectReason,
    UnreachableError,
)

_ABOUT_ANOTHER_ORDER = (RejectReason.ORDER_UNKNOWN, RejectReason.ORDER_FINISHED)


@contextmanager
def about_this_order() -> Generator[None]:
    """Turn a refusal that speaks of an existing order into doubt: it cannot be the verdict on a new one."""
    try:
        yield
    except OrderRejectedError as error:
        if error.reason in _ABOUT_ANOTHER_ORDER:
            raise in_doubt(error.code, error.http_status) from error
        raise


def placed(envelope: Envelope, request: OrderRequest) -> OrderReport:
    """Return the accepted order. Success without an order id leaves it in doubt (UnreachableError)."""
    exchange_order_id = order_id_of(envelope)
    data = envelope.data
    return OrderReport(
        exchange_order_id=exchange_order_id,
        client_order_id=identifier_or_blank(data, "client_order_id"),
        symbol=request.symbol,
        status=OrderStatus.ACCEPTED,
        side=request.side,
        quantity=request.quantity,
    )


def order_id_of(envelope: Envelope) -> str:
    """Return the id of what was placed or changed. Success without one leaves it in doubt (UnreachableError)."""
    data = envelope.data if isinstance(envelope.data, dict) else {}
    exchange_order_id = identifier_or_blank(data, "order_id")
    if not exchange_order_id:
        raise in_doubt(str(envelope.code), envelope.http_status)
    return exchange_order_id


def in_doubt(code: str, http_status: int | None) -> UnreachableError:
    return UnreachableError(
        "BitMart's answer does not say whether the order was placed. It is being looked up; do not repeat it by hand.",
        code=code,
        http_status=http_status,
    )
