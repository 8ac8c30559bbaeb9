"""BitMart spot: our words to its routes and back."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from apps.connectors.bitmart import account
from apps.connectors.bitmart.client import Client
from apps.connectors.bitmart.fills import oldest_first
from apps.connectors.bitmart.spot_absent import FuturesOnly
from apps.connectors.bitmart.spot_batches import BatchCalls
from apps.connectors.bitmart.spot_market import SpotMarketCalls
from apps.connectors.bitmart.spot_requests import order_body
from apps.connectors.bitmart.spot_rows import (
    TICKER_FIELDS,
    to_balances,
    to_fee_rates,
    to_fee_schedule,
    to_fill,
    to_instrument,
    to_order,
    to_ticker,
)
from apps.connectors.bitmart.submission import about_this_order, placed
from apps.connectors.bitmart.windows import read_whole
from apps.connectors.bitmart.wire import (
    EPOCH,
    Row,
    identifier_or_blank,
    readable,
    rows,
    table,
    text,
    unix_ms,
    unreadable,
)
from apps.connectors.budget import Priority, at_least
from apps.connectors.exchange import (
    AccountInfo,
    Balance,
    FeeRates,
    FeeSchedule,
    FillReport,
    Instrument,
    KeyInfo,
    Market,
    OrderRejectedError,
    OrderReport,
    OrderRequest,
    PositionReport,
    RejectReason,
    ServiceNotice,
    Side,
    Ticker,
    UnreachableError,
)

# BitMart accepts a v4 call when it is at most this old and less than a second early.
RECV_WINDOW_MS = 5000
LONGEST_PAGE = 200
FEW_SYMBOLS = 3
DEFAULT_HISTORY = timedelta(days=7)
# The venue's clock may be ahead of ours; a fill of this very moment must not fall outside the question.
CLOCK_SLACK = timedelta(seconds=60)


class SpotExchange(BatchCalls, SpotMarketCalls, FuturesOnly):
    market = Market.SPOT

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def clock_offset_ms(self) -> int:
        """Venue clock minus ours, used by signed reads; submit and cancel are given their time."""
        return self._client.clock_offset_ms

    @clock_offset_ms.setter
    def clock_offset_ms(self, value: int) -> None:
        self._client.clock_offset_ms = value

    def server_time_ms(self) -> int:
        return account.server_time_ms(self._client)

    def offset_sample_ms(self) -> int:
        return account.offset_sample_ms(self._client)

    def instruments(self) -> Sequence[Instrument]:
        data = table(self._client.public("/spot/v1/symbols/details").data, "symbols")
        return readable(rows(data.get("symbols"), "symbols"), to_instrument)

    def tickers(self, symbols: Sequence[str] | None = None) -> Sequence[Ticker]:
        if symbols is not None and len(symbols) <= FEW_SYMBOLS:
            found = (self._ticker(symbol) for symbol in symbols)
            return [ticker for ticker in found if ticker is not None]
        data = self._client.public("/spot/quotation/v3/tickers").data
        if not isinstance(data, list) or not all(isinstance(row, list) for row in data):
            raise unreadable("tickers")
        named: list[Row] = [dict(zip(TICKER_FIELDS, row, strict=False)) for row in data]
        everything = readable(named, to_ticker)
        return everything if symbols is None else [t for t in everything if t.symbol in set(symbols)]

    def _ticker(self, symbol: str) -> Ticker | None:
        try:
            data = self._client.public("/spot/quotation/v3/ticker", {"symbol": symbol}).data
        except OrderRejectedError as error:
            if error.reason is RejectReason.UNKNOWN_SYMBOL:
                return None
            raise
        ticker = to_ticker(table(data, "ticker"))
        return ticker if ticker.symbol == symbol else None

    def balances(self) -> Sequence[Balance]:
        data = table(self._client.keyed("/spot/v1/wallet").data, "wallet")
        return to_balances(rows(data.get("wallet"), "wallet"))

    def fee_rates(self, symbol: str) -> FeeRates:
        return to_fee_rates(table(self._client.keyed("/spot/v1/trade_fee", {"symbol": symbol}).data, "fee rates"))

    def submit(self, request: OrderRequest, *, signed_at_ms: int) -> OrderReport:
        body = order_body(request)
        with at_least(Priority.EXIT if request.side is Side.SELL else Priority.ENTRY), about_this_order():
            envelope = self._client.signed_once("/spot/v2/submit_order", body, signed_at_ms=signed_at_ms)
        return placed(envelope, request)

    def cancel(self, symbol: str, *, exchange_order_id: str = "", client_order_id: str = "", signed_at_ms: int) -> bool:
        if exchange_order_id.strip():
            body = {"symbol": symbol, "order_id": exchange_order_id}
        elif client_order_id.strip():
            body = {"symbol": symbol, "client_order_id": client_order_id}
        else:
            raise ValueError("a cancellation needs an order id")
        with at_least(Priority.EXIT):
            data = self._client.signed_once("/spot/v3/cancel_order", body, signed_at_ms=signed_at_ms).data
        result = data.get("result") if isinstance(data, dict) else None
        if not isinstance(result, bool):
            raise unreadable("result")
        return result

    def find_order(self, symbol: str, *, client_order_id: str, exchange_order_id: str = "") -> OrderReport | None:
        if not client_order_id:
            raise ValueError("an order is looked up by our own id")
        with at_least(Priority.QUERY):
            return self._find(client_order_id, exchange_order_id)

    def _find(self, client_order_id: str, exchange_order_id: str) -> OrderReport | None:
        # Open first: an order that moves on between two questions is then met by the second one.
        places: list[Callable[[], OrderReport | None]] = [
            lambda: self._by_client_order_id(client_order_id, "open"),
            lambda: self._by_client_order_id(client_order_id, "history"),
        ]
        if exchange_order_id:
            places.append(lambda: self._by_exchange_order_id(exchange_order_id, client_order_id))
        doubt: UnreachableError | None = None
        for look in places:
            try:
                found = look()
            except UnreachableError as error:
                doubt = error
                continue
            if found is not None:
                return found
        if doubt is not None:
            raise doubt
        return None

    def _by_client_order_id(self, client_order_id: str, state: str) -> OrderReport | None:
        body = {"clientOrderId": client_order_id, "queryState": state, "recvWindow": RECV_WINDOW_MS}
        row = self._one_order("/spot/v4/query/client-order", body)
        if row is None:
            return None
        if identifier_or_blank(row, "clientOrderId") != client_order_id:
            raise unreadable("another order than the one asked for")
        return to_order(row)

    def _by_exchange_order_id(self, exchange_order_id: str, client_order_id: str) -> OrderReport | None:
        body = {"orderId": exchange_order_id, "recvWindow": RECV_WINDOW_MS}
        row = self._one_order("/spot/v4/query/order", body)
        if row is None:
            return None
        # BitMart echoes "" or its own id for an order that was given none.
        echoes = ("", client_order_id, exchange_order_id)
        if identifier_or_blank(row, "orderId") != exchange_order_id or (
            identifier_or_blank(row, "clientOrderId") not in echoes
        ):
            raise unreadable("another order than the one asked for")
        return to_order(row)

    def _one_order(self, path: str, body: dict[str, Any]) -> Row | None:
        try:
            return table(self._client.signed_query(path, body).data, "order")
        except OrderRejectedError as error:
            if error.reason is RejectReason.ORDER_UNKNOWN:
                return None
            raise

    def open_orders(self, symbol: str | None = None) -> Sequence[OrderReport]:
        body: dict[str, Any] = {"symbol": symbol} if symbol else {}
        body |= {"orderMode": "spot", "limit": LONGEST_PAGE, "recvWindow": RECV_WINDOW_MS}
        listed = rows(self._client.signed_query("/spot/v4/query/open-orders", body).data, "open orders")
        if len(listed) >= LONGEST_PAGE:
            raise UnreachableError(f"There are {LONGEST_PAGE} or more open orders; BitMart does not list them all.")
        return [to_order(row) for row in listed if symbol is None or text(row, "symbol") == symbol]

    def fills(self, symbol: str, *, exchange_order_id: str = "", since: datetime | None = None) -> Sequence[FillReport]:
        listed = self._order_fills(exchange_order_id) if exchange_order_id else self._symbol_fills(symbol, since)
        fills = [to_fill(row) for row in listed if text(row, "symbol") == symbol]
        return oldest_first(fills, exchange_order_id=exchange_order_id, since=since)

    def _order_fills(self, exchange_order_id: str) -> list[Row]:
        body = {"orderId": exchange_order_id, "recvWindow": RECV_WINDOW_MS}
        try:
            with at_least(Priority.QUERY):
                return rows(self._client.signed_query("/spot/v4/query/order-trades", body).data, "fills")
        except OrderRejectedError as error:
            if error.reason is RejectReason.ORDER_UNKNOWN:
                return []
            raise

    def _symbol_fills(self, symbol: str, since: datetime | None) -> list[Row]:
        return self._window("/spot/v4/query/trades", symbol, since, None)

    def _window(self, path: str, symbol: str, since: datetime | None, until: datetime | None) -> list[Row]:
        def fetch(start_ms: int, end_ms: int) -> list[Row]:
            body = {
                "symbol": symbol,
                "orderMode": "spot",
                "startTime": start_ms,
                "endTime": end_ms,
                "limit": LONGEST_PAGE,
                "recvWindow": RECV_WINDOW_MS,
            }
            return rows(self._client.signed_query(path, body).data, "history")

        now_ms = self._client.now_ms()
        end_ms = unix_ms(until) if until else now_ms + CLOCK_SLACK // timedelta(milliseconds=1)
        start_ms = unix_ms(since) if since else min(now_ms, end_ms) - DEFAULT_HISTORY // timedelta(milliseconds=1)
        return read_whole(fetch, start=min(start_ms, end_ms), end=end_ms, longest=LONGEST_PAGE)

    def positions(self, symbol: str | None = None) -> Sequence[PositionReport]:
        return []

    def order_history(
        self, symbol: str, *, since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[OrderReport]:
        listed = self._window("/spot/v4/query/history-orders", symbol, since, until)
        found = {report.exchange_order_id: report for report in map(to_order, listed) if report.symbol == symbol}
        return sorted(found.values(), key=lambda report: (report.created_at or EPOCH, report.exchange_order_id))

    def fee_schedule(self) -> FeeSchedule:
        return to_fee_schedule(table(self._client.keyed("/spot/v1/user_fee").data, "fee schedule"))

    def service_notices(self) -> Sequence[ServiceNotice]:
        return account.service_notices(self._client)

    def account_info(self) -> AccountInfo:
        return account.account_info(self._client)

    def verify_signature(self) -> None:
        self._client.signed_query("/spot/v4/query/open-orders", {"limit": 1, "recvWindow": RECV_WINDOW_MS})

    def key_info(self) -> KeyInfo:
        return account.key_info(self._client)

    def close(self) -> None:
        self._client.close()
