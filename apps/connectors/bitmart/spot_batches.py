"""Several spot orders in one call. The v4 routes are camelCase throughout; misnamed fields are ignored silently."""

from collections.abc import Sequence
from typing import Any

from apps.connectors.bitmart.client import Client, Envelope
from apps.connectors.bitmart.spot_requests import order_body
from apps.connectors.bitmart.submission import in_doubt
from apps.connectors.bitmart.wire import Row, table, to_decimal, unreadable
from apps.connectors.budget import Priority, at_least
from apps.connectors.exchange import (
    BatchReport,
    CancelReport,
    NotSupportedError,
    OrderRejectedError,
    OrderRequest,
    Side,
)

MOST_IN_A_BATCH = 10
# The caller wrote the signed time down before the call, so it may be some seconds old.
BATCH_WINDOW_MS = 30_000
_INNER_OK = 0
_V4_NAMES = {"client_order_id": "clientOrderId"}


class BatchCalls:
    _client: Client

    def submit_batch(self, requests: Sequence[OrderRequest], *, signed_at_ms: int) -> BatchReport:
        body = batch_body(requests)
        exits = all(request.side is Side.SELL for request in requests)
        try:
            with at_least(Priority.EXIT if exits else Priority.ENTRY):
                envelope = self._client.signed_once("/spot/v4/batch_orders", body, signed_at_ms=signed_at_ms)
        except OrderRejectedError as error:
            if len(requests) == 1:
                raise
            # A batch may succeed in part: what was wrong with one order proves nothing about the others.
            raise in_doubt(error.code, error.http_status) from error
        return _placed(envelope, len(requests))

    def cancel_batch(
        self,
        symbol: str,
        *,
        exchange_order_ids: Sequence[str] = (),
        client_order_ids: Sequence[str] = (),
        signed_at_ms: int,
    ) -> CancelReport:
        body = _named(symbol, exchange_order_ids=exchange_order_ids, client_order_ids=client_order_ids)
        with at_least(Priority.EXIT):
            envelope = self._client.signed_once("/spot/v4/cancel_orders", body, signed_at_ms=signed_at_ms)
        data = table(envelope.data, "cancellations")
        return CancelReport(accepted=_ids(data, "successIds"), refused=_ids(data, "failIds"))

    def cancel_all(self, symbol: str, *, side: Side | None = None, signed_at_ms: int) -> None:
        if not symbol.strip():
            raise ValueError("without a symbol every order of the account would be cancelled")
        body = {"symbol": symbol} | ({"side": side.value} if side is not None else {})
        with at_least(Priority.EXIT):
            self._client.signed_once("/spot/v4/cancel_all", body, signed_at_ms=signed_at_ms)


def batch_body(requests: Sequence[OrderRequest]) -> dict[str, Any]:
    symbols = {request.symbol for request in requests}
    if len(symbols) != 1 or len(requests) > MOST_IN_A_BATCH:
        raise ValueError(f"a batch is 1 to {MOST_IN_A_BATCH} orders of one symbol")
    if len({request.client_order_id for request in requests}) != len(requests):
        raise ValueError("two orders of a batch have one client order id")
    orders = []
    for request in requests:
        body = order_body(request)
        del body["symbol"]
        orders.append({_V4_NAMES.get(name, name): value for name, value in body.items()})
    return {"symbol": symbols.pop(), "orderParams": orders, "recvWindow": BATCH_WINDOW_MS}


def _placed(envelope: Envelope, asked: int) -> BatchReport:
    inner = table(envelope.data, "batch")
    if to_decimal(inner.get("code")) != _INNER_OK:
        raise in_doubt(str(envelope.code), envelope.http_status)
    ids = _ids(table(inner.get("data"), "batch"), "orderIds")
    if not ids or len(ids) > asked or len(set(ids)) != len(ids):
        raise in_doubt(str(envelope.code), envelope.http_status)
    return BatchReport(exchange_order_ids=ids, is_complete=len(ids) == asked)


def _named(symbol: str, *, exchange_order_ids: Sequence[str], client_order_ids: Sequence[str]) -> dict[str, Any]:
    if not symbol.strip():
        raise ValueError("a cancellation needs a symbol")
    if exchange_order_ids and client_order_ids:
        raise NotSupportedError("BitMart takes one kind of order id in a call. Nothing was sent.")
    ids = list(exchange_order_ids or client_order_ids)
    if not 1 <= len(ids) <= MOST_IN_A_BATCH or not all(name.strip() for name in ids):
        raise ValueError(f"a cancellation names 1 to {MOST_IN_A_BATCH} orders")
    name = "orderIds" if exchange_order_ids else "clientOrderIds"
    return {"symbol": symbol, name: ids, "recvWindow": BATCH_WINDOW_MS}


def _ids(data: Row, key: str) -> tuple[str, ...]:
    listed = data.get(key)
    if not isinstance(listed, list):
        raise unreadable(key)
    ids = tuple(str(name) for name in listed if isinstance(name, str | int) and not isinstance(name, bool))
    if len(ids) != len(listed) or not all(ids):
        raise unreadable(key)
    return ids
