"""BitMart USDT perpetuals: our words to its routes and back. Questions count time in seconds, answers in ms."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from apps.connectors.bitmart import account
from apps.connectors.bitmart.client import Client
from apps.connectors.bitmart.fills import oldest_first
from apps.connectors.bitmart.futures_market import FuturesMarketCalls
from apps.connectors.bitmart.futures_money import MoneyCalls
from apps.connectors.bitmart.futures_requests import ENTRIES, contracts, leverage_text, order_body
from apps.connectors.bitmart.futures_rows import (
    best_price,
    to_balances,
    to_fee_rates,
    to_fill,
    to_instrument,
    to_order,
    to_position,
    to_risk,
    to_ticker,
)
from apps.connectors.bitmart.futures_trigger_requests import one_id
from apps.connectors.bitmart.futures_triggers import TriggerCalls
from apps.connectors.bitmart.submission import about_this_order, order_id_of, placed
from apps.connectors.bitmart.windows import read_whole
from apps.connectors.bitmart.wire import (
    EPOCH,
    Row,
    identifier,
    identifier_or_blank,
    instant,
    number,
    plain,
    positive_or_none,
    readable,
    rows,
    table,
    text,
    to_decimal,
    unix_ms,
    unreadable,
)
from apps.connectors.budget import Priority, at_least
from apps.connectors.exchange import (
    AccountInfo,
    Balance,
    BatchReport,
    CancelReport,
    CancelTimer,
    FeeRates,
    FeeSchedule,
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
    PositionRisk,
    RejectReason,
    ServiceNotice,
    Side,
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
SHORTEST_TIMER_S = 5
_POSITION_MODES = {"hedge_mode": PositionMode.HEDGE, "one_way_mode": PositionMode.ONE_WAY}
_WIRE_MODES = {mode: name for name, mode in _POSITION_MODES.items()}


AtOnce = Callable[..., tuple[Any, ...]]


def in_turn(*calls: Callable[[], Any]) -> tuple[Any, ...]:
    return tuple(call() for call in calls)


class FuturesExchange(TriggerCalls, MoneyCalls, FuturesMarketCalls):
    market = Market.FUTURES

    def __init__(self, client: Client, *, at_once: AtOnce = in_turn) -> None:
        """`at_once` makes several calls, beside each other or in turn, and raises the first error in their order."""
        self._client = client
        self._at_once = at_once

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
        if not with_depth:
            return to_ticker(listed[0], at=self._now(), bid=None, ask=None, mark=self._mark(symbol))
        mark, depth = self._at_once(lambda: self._mark(symbol), lambda: self._depth(symbol))
        return to_ticker(
            listed[0],
            at=instant(depth, "timestamp"),
            bid=best_price(depth.get("bids")),
            ask=best_price(depth.get("asks")),
            mark=mark,
        )

    def _depth(self, symbol: str) -> Row:
        return table(self._client.public("/contract/public/depth", {"symbol": symbol}).data, "depth")

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
        with at_least(Priority.ENTRY if body["side"] in ENTRIES else Priority.EXIT), about_this_order():
            envelope = self._client.signed_once("/contract/private/submit-order", body, signed_at_ms=signed_at_ms)
        return placed(envelope, request)

    def cancel(self, symbol: str, *, exchange_order_id: str = "", client_order_id: str = "", signed_at_ms: int) -> bool:
        # With neither id BitMart cancels every order of the symbol.
        body = {"symbol": symbol} | one_id(exchange_order_id=exchange_order_id, client_order_id=client_order_id)
        with at_least(Priority.EXIT):
            self._client.signed_once("/contract/private/cancel-order", body, signed_at_ms=signed_at_ms)
        return True

    def submit_batch(self, requests: Sequence[OrderRequest], *, signed_at_ms: int) -> BatchReport:
        raise NotSupportedError("BitMart futures take one order in a call. Nothing was sent.")

    def cancel_batch(
        self,
        symbol: str,
        *,
        exchange_order_ids: Sequence[str] = (),
        client_order_ids: Sequence[str] = (),
        signed_at_ms: int,
    ) -> CancelReport:
        raise NotSupportedError("BitMart futures cancel one order, or all of a symbol. Nothing was sent.")

    def cancel_all(self, symbol: str, *, side: Side | None = None, signed_at_ms: int) -> None:
        if side is not None:
            raise NotSupportedError("BitMart futures cancel both sides of a symbol at once. Nothing was sent.")
        if not symbol.strip():
            raise ValueError("a cancellation needs a symbol")
        with at_least(Priority.EXIT):
            self._client.signed_once("/contract/private/cancel-orders", {"symbol": symbol}, signed_at_ms=signed_at_ms)

    def cancel_all_after(self, symbol: str, *, seconds: int, signed_at_ms: int) -> CancelTimer:
        if not symbol.strip() or 0 < seconds < SHORTEST_TIMER_S or seconds < 0:
            raise ValueError(f"the timer needs a symbol and at least {SHORTEST_TIMER_S} seconds, or 0")
        body = {"symbol": symbol, "timeout": seconds}
        with at_least(Priority.EXIT):
            answer = self._client.signed_once("/contract/private/cancel-all-after", body, signed_at_ms=signed_at_ms)
        data = table(answer.data, "timer")
        if data.get("result") is not True:
            raise unreadable("result of the timer")
        return CancelTimer(
            set_at=instant(data, "set_time"),
            cancel_at=instant(data, "cancel_time") if seconds else None,
        )

    def modify_order(
        self,
        symbol: str,
        *,
        exchange_order_id: str = "",
        client_order_id: str = "",
        price: Decimal | None = None,
        quantity: Decimal | None = None,
        signed_at_ms: int,
    ) -> str:
        body: dict[str, Any] = {"symbol": symbol}
        body |= one_id(exchange_order_id=exchange_order_id, client_order_id=client_order_id)
        if "order_id" in body:
            # This route alone wants the number, not its text.
            body["order_id"] = int(exchange_order_id)
        if price is None and quantity is None:
            raise ValueError("there is nothing to change")
        if price is not None:
            body["price"] = plain(price, "price")
        if quantity is not None:
            body["size"] = contracts(quantity)
        with at_least(Priority.ENTRY):
            answer = self._client.signed_once("/contract/private/modify-limit-order", body, signed_at_ms=signed_at_ms)
        return order_id_of(answer)

    def order_history(
        self, symbol: str, *, since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[OrderReport]:
        def fetch(start_s: int, end_s: int) -> list[Row]:
            question: dict[str, str | int] = {"symbol": symbol, "start_time": start_s, "end_time": end_s}
            return rows(self._client.keyed("/contract/private/order-history", question).data, "order history")

        end = until or self._now() + CLOCK_SLACK
        start = min(max(since or end - DEFAULT_HISTORY, end - LONGEST_SPAN), end)
        listed = read_whole(fetch, start=_seconds(start), end=_seconds(end), longest=LONGEST_HISTORY)
        found = {report.exchange_order_id: report for report in map(to_order, listed) if report.symbol == symbol}
        return sorted(found.values(), key=lambda report: (report.created_at or EPOCH, report.exchange_order_id))

    def find_order(self, symbol: str, *, client_order_id: str, exchange_order_id: str = "") -> OrderReport | None:
        if not client_order_id:
            raise ValueError("an order is looked up by our own id")
        with at_least(Priority.QUERY):
            return self._find(symbol, client_order_id, exchange_order_id)

    def _find(self, symbol: str, client_order_id: str, exchange_order_id: str) -> OrderReport | None:
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

        with at_least(Priority.QUERY) if exchange_order_id else nullcontext():
            listed = self._fill_rows(fetch, since, DEFAULT_HISTORY if not exchange_order_id else LONGEST_SPAN)
        fills = [to_fill(row) for row in listed if text(row, "symbol") == symbol]
        return oldest_first(fills, exchange_order_id=exchange_order_id, since=since)

    def _fill_rows(self, fetch: Callable[[int, int], list[Row]], since: datetime | None, span: timedelta) -> list[Row]:
        now = self._now()
        start = since or now - span
        start = min(max(start, now - LONGEST_SPAN), now)
        return read_whole(fetch, start=_seconds(start), end=_seconds(now + CLOCK_SLACK), longest=LONGEST_HISTORY)

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

    def set_position_mode(self, mode: PositionMode) -> None:
        # The answer has been seen to name the new mode while the account kept the old one: ask again.
        body = {"position_mode": _WIRE_MODES[mode]}
        self._client.signed_once("/contract/private/set-position-mode", body, signed_at_ms=self._client.now_ms())
        if self.position_mode() is not mode:
            raise UnreachableError(
                "BitMart accepted the new position mode, but the account still has the old one. Change it at BitMart."
            )

    def position_risks(self, symbol: str | None = None) -> Sequence[PositionRisk]:
        question = {"symbol": symbol} if symbol else None
        listed = rows(self._client.keyed("/contract/private/position-risk", question).data, "position risk")
        held = (to_risk(row) for row in listed if symbol in (None, text(row, "symbol")))
        return [risk for risk in held if risk is not None]

    def fee_schedule(self) -> FeeSchedule:
        raise NotSupportedError("BitMart futures list fees by symbol only. Nothing was sent.")

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

    def service_notices(self) -> Sequence[ServiceNotice]:
        return account.service_notices(self._client)

    def account_info(self) -> AccountInfo:
        return account.account_info(self._client)

    def key_info(self) -> KeyInfo:
        return account.key_info(self._client)

    def close(self) -> None:
        self._client.close()

    def _now(self) -> datetime:
        return EPOCH + timedelta(milliseconds=self._client.now_ms())


def _seconds(at: datetime) -> int:
    return unix_ms(at) // 1000
