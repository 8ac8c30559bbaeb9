"""BitMart USDT perpetuals: our words to its routes and back. Questions count time in seconds, answers in ms."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from apps.connectors.bitmart import account
from apps.connectors.bitmart.client import Client
from apps.connectors.bitmart.fills import oldest_first
from apps.connectors.bitmart.futures_requests import leverage_text, order_body
from apps.connectors.bitmart.futures_rows import (
    best_price,
    to_balances,
    to_fee_rates,
    to_fill,
    to_instrument,
    to_order,
    to_position,
    to_ticker,
)
from apps.connectors.bitmart.submission import about_this_order, placed
from apps.connectors.bitmart.windows import read_whole
from apps.connectors.bitmart.wire import (
    EPOCH,
    Row,
    identifier,
    identifier_or_blank,
    instant,
    number,
    positive_or_none,
    readable,
    rows,
    table,
    text,
    to_decimal,
    unix_ms,
    unreadable,
)
from apps.connectors.exchange import (
    Balance,
    FeeRates,
    FillReport,
    Instrument,
    KeyInfo,
    MarginMode,
    Market,
    NotSupportedError,
    OrderRejectedError,
    OrderReport,
    OrderRequest,
    PositionMode,
    PositionReport,
    RejectReason,
    Ticker,
    UnreachableError,
)

RECV_WINDOW_MS = 5000
LONGEST_OPEN_ORDERS = 100
LONGEST_HISTORY = 200
FEW_SYMBOLS = 3
# A history without times covers seven days; ninety is the longest span, less a day for clocks that disagree.
DEFAULT_HISTORY = timedelta(days=7)
LONGEST_SPAN = timedelta(days=89)
CLOCK_SLACK = timedelta(seconds=60)
MARK_SPAN = timedelta(minutes=5)
# Fills carry no client order id, so each order they name is looked up; many of them mean that the filter was ignored.
MOST_LOOKUPS = 3
_POSITION_MODES = {"hedge_mode": PositionMode.HEDGE, "one_way_mode": PositionMode.ONE_WAY}


class FuturesExchange:
    market = Market.FUTURES

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

    def instruments(self) -> Sequence[Instrument]:
        return readable(self._details(), to_instrument)

    def tickers(self, symbols: Sequence[str] | None = None) -> Sequence[Ticker]:
        """Bid and ask come with a single symbol only, the mark with at most three: both cost a call each."""
        if symbols is not None and len(symbols) <= FEW_SYMBOLS:
            found = (self._ticker(symbol, with_depth=len(symbols) == 1) for symbol in symbols)
            return [ticker for ticker in found if ticker is not None]
        wanted = None if symbols is None else set(symbols)
        at = self._now()
        return readable(
            [row for row in self._details() if wanted is None or text(row, "symbol") in wanted],
            lambda row: to_ticker(row, at=at, bid=None, ask=None, mark=None),
        )

    def _details(self, symbol: str = "") -> list[Row]:
        data = self._client.public("/contract/public/details", {"symbol": symbol} if symbol else None).data
        return rows(table(data, "symbols").get("symbols"), "symbols")

    def _ticker(self, symbol: str, *, with_depth: bool) -> Ticker | None:
        try:
            listed = [row for row in self._details(symbol) if text(row, "symbol") == symbol]
        except OrderRejectedError as error:
            if error.reason is RejectReason.UNKNOWN_SYMBOL:
                return None
            raise
        if not listed:
            return None
        mark = self._mark(symbol)
        if not with_depth:
            return to_ticker(listed[0], at=self._now(), bid=None, ask=None, mark=mark)
        depth = table(self._client.public("/contract/public/depth", {"symbol": symbol}).data, "depth")
        return to_ticker(
            listed[0],
            at=instant(depth, "timestamp"),
            bid=best_price(depth.get("bids")),
            ask=best_price(depth.get("asks")),
            mark=mark,
        )

    def _mark(self, symbol: str) -> Decimal | None:
        """Return the close of the newest mark-price minute; None when there is none yet."""
        now = self._now()
        question: dict[str, str | int] = {
            "symbol": symbol,
            "step": 1,
            "start_time": _seconds(now - MARK_SPAN),
            "end_time": _seconds(now + CLOCK_SLACK),
        }
        answer = self._client.public("/contract/public/markprice-kline", question)
        candles = rows(answer.data, "mark price")
        if not candles:
            return None
        return positive_or_none(max(candles, key=lambda row: number(row, "timestamp")), "close_price")

    def balances(self) -> Sequence[Balance]:
        return to_balances(rows(self._client.keyed("/contract/private/assets-detail").data, "balances"))

    def fee_rates(self, symbol: str) -> FeeRates:
        data = self._client.keyed("/contract/private/trade-fee-rate", {"symbol": symbol}).data
        return to_fee_rates(table(data, "fee rates"))

    def submit(self, request: OrderRequest, *, signed_at_ms: int) -> OrderReport:
        body = order_body(request)
        with about_this_order():
            envelope = self._client.signed_once("/contract/private/submit-order", body, signed_at_ms=signed_at_ms)
        return placed(envelope, request)

    def cancel(self, symbol: str, *, exchange_order_id: str = "", client_order_id: str = "", signed_at_ms: int) -> bool:
        # With neither id BitMart cancels every order of the symbol.
        if exchange_order_id.strip():
            body = {"symbol": symbol, "order_id": exchange_order_id}
        elif client_order_id.strip():
            body = {"symbol": symbol, "client_order_id": client_order_id}
        else:
            raise ValueError("a cancellation needs an order id")
        self._client.signed_once("/contract/private/cancel-order", body, signed_at_ms=signed_at_ms)
        return True

    def find_order(self, symbol: str, *, client_order_id: str, exchange_order_id: str = "") -> OrderReport | None:
        if not client_order_id:
            raise ValueError("an order is looked up by our own id")
        doubt: UnreachableError | None = None
        if exchange_order_id:
            try:
                found = self._by_exchange_order_id(symbol, exchange_order_id)
            except UnreachableError as error:
                doubt = error
            else:
                # The id came with the acceptance of our order: an answer that echoes no id of ours is still it.
                if found is not None and found.client_order_id in ("", client_order_id):
                    return found
        # Open first: an order that moves on between two questions is then met by the next one.
        for look in (self._among_open, self._among_finished, self._among_fills):
            try:
                found = look(symbol, client_order_id)
            except UnreachableError as error:
                doubt = error
                continue
            if found is not None:
                return found
        if doubt is not None:
            raise doubt
        return None

    def _by_exchange_order_id(self, symbol: str, exchange_order_id: str) -> OrderReport | None:
        try:
            data = self._client.keyed("/contract/private/order", {"symbol": symbol, "order_id": exchange_order_id}).data
        except OrderRejectedError as error:
            if error.reason is RejectReason.ORDER_UNKNOWN:
                return None
            raise
        report = to_order(table(data, "order"))
        if report.exchange_order_id != exchange_order_id:
            raise unreadable("another order than the one asked for")
        return report

    def _among_open(self, symbol: str, client_order_id: str) -> OrderReport | None:
        return self._ours(self._open_rows(symbol), client_order_id, longest=LONGEST_OPEN_ORDERS)

    def _among_finished(self, symbol: str, client_order_id: str) -> OrderReport | None:
        question = {"symbol": symbol, "client_order_id": client_order_id}
        try:
            listed = rows(self._client.keyed("/contract/private/order-history", question).data, "order history")
        except OrderRejectedError as error:
            if error.reason is RejectReason.ORDER_UNKNOWN:
                return None
            raise
        return self._ours(listed, client_order_id, longest=LONGEST_HISTORY)

    def _ours(self, listed: list[Row], client_order_id: str, *, longest: int) -> OrderReport | None:
        """Return the order with our id; a full page without it proves nothing."""
        for row in listed:
            if identifier_or_blank(row, "client_order_id") == client_order_id:
                return to_order(row)
        if len(listed) >= longest:
            raise UnreachableError("BitMart's list of orders is longer than one answer holds.")
        return None

    def _among_fills(self, symbol: str, client_order_id: str) -> OrderReport | None:
        question = {"symbol": symbol, "client_order_id": client_order_id}
        try:
            listed = rows(self._client.keyed("/contract/private/trades", question).data, "fills")
        except OrderRejectedError as error:
            if error.reason is RejectReason.ORDER_UNKNOWN:
                return None
            raise
        named = {identifier(row, "order_id") for row in listed}
        if len(named) > MOST_LOOKUPS:
            raise unreadable("fills of other orders than the one asked for")
        for exchange_order_id in sorted(named):
            found = self._by_exchange_order_id(symbol, exchange_order_id)
            if found is None:
                raise unreadable("fills of an order that is not shown")
            if found.client_order_id == client_order_id:
                return found
        return None

    def open_orders(self, symbol: str | None = None) -> Sequence[OrderReport]:
        listed = self._open_rows(symbol)
        if len(listed) >= LONGEST_OPEN_ORDERS:
            raise UnreachableError(
                f"There are {LONGEST_OPEN_ORDERS} or more open orders; BitMart does not list them all."
            )
        return [to_order(row) for row in listed if symbol is None or text(row, "symbol") == symbol]

    def _open_rows(self, symbol: str | None) -> list[Row]:
        question: dict[str, str | int] = {"symbol": symbol} if symbol else {}
        question["limit"] = LONGEST_OPEN_ORDERS
        return rows(self._client.keyed("/contract/private/get-open-orders", question).data, "open orders")

    def fills(self, symbol: str, *, exchange_order_id: str = "", since: datetime | None = None) -> Sequence[FillReport]:
        question: dict[str, str | int] = {"symbol": symbol}
        if exchange_order_id:
            question["order_id"] = exchange_order_id

        def fetch(start_s: int, end_s: int) -> list[Row]:
            span = {"start_time": start_s, "end_time": end_s}
            return rows(self._client.keyed("/contract/private/trades", question | span).data, "fills")

        now = self._now()
        start = since or now - (LONGEST_SPAN if exchange_order_id else DEFAULT_HISTORY)
        start = min(max(start, now - LONGEST_SPAN), now)
        listed = read_whole(fetch, start=_seconds(start), end=_seconds(now + CLOCK_SLACK), longest=LONGEST_HISTORY)
        fills = [to_fill(row) for row in listed if text(row, "symbol") == symbol]
        return oldest_first(fills, exchange_order_id=exchange_order_id, since=since)

    def positions(self, symbol: str | None = None) -> Sequence[PositionReport]:
        question = {"symbol": symbol} if symbol else None
        try:
            data = self._client.keyed("/contract/private/position-v2", question).data
        except NotSupportedError:
            data = self._client.keyed("/contract/private/position", question).data
        held = (to_position(row) for row in rows(data, "positions") if symbol in (None, text(row, "symbol")))
        return [position for position in held if position is not None]

    def position_mode(self) -> PositionMode:
        data = table(self._client.keyed("/contract/private/get-position-mode").data, "position_mode")
        mode = _POSITION_MODES.get(text(data, "position_mode"))
        if mode is None:
            raise unreadable("position_mode")
        return mode

    def set_leverage(self, symbol: str, *, leverage: Decimal, margin_mode: MarginMode) -> None:
        """Raises UnreachableError when the answer names another leverage or margin mode than was asked for."""
        body: dict[str, Any] = {
            "symbol": symbol,
            "leverage": leverage_text(leverage),
            "open_type": margin_mode.value,
        }
        answer = self._client.signed_once("/contract/private/submit-leverage", body, signed_at_ms=self._client.now_ms())
        data = table(answer.data, "leverage")
        if to_decimal(data.get("leverage")) != leverage or text(data, "open_type") != margin_mode.value:
            raise unreadable("leverage was not taken over")

    def verify_signature(self) -> None:
        # No futures query is signed; the transfer list is the one signed call of this host that only reads.
        body = {"page": 1, "limit": 10, "recvWindow": RECV_WINDOW_MS}
        self._client.signed_query("/account/v1/transfer-contract-list", body)

    def key_info(self) -> KeyInfo:
        return account.key_info(self._client)

    def close(self) -> None:
        self._client.close()

    def _now(self) -> datetime:
        return EPOCH + timedelta(milliseconds=self._client.now_ms())


def _seconds(at: datetime) -> int:
    return unix_ms(at) // 1000
