"""Spot orders: v2 submit, v3 cancel and the v4 batch, cancel and query routes."""

from collections.abc import Mapping
from typing import cast

from apps.paper.amounts import ZERO, fixed
from apps.paper.limits import Limit
from apps.paper.params import SPOT, Params
from apps.paper.records import Fill, Order
from apps.paper.refusals import Refusal
from apps.paper.spot import ORDER_TYPES, SpotRequest
from apps.paper.wire import Call, Route

_SIDES = ("buy", "sell")
_STP_MODES = ("none", "cancel_maker", "cancel_taker", "cancel_both")
_MOST_IN_BATCH = 10
_WEEK_MS = 7 * 86_400_000
# An order cancelled with nothing filled can be queried for about this long.
_FORGOTTEN_MS = 20 * 60_000
_FOREVER_MS = 10**15
_LIVE = "state IN ('new', 'partially_filled')"


def _request(params: Params, symbol: str, *, client_id_name: str) -> SpotRequest:
    return SpotRequest(
        symbol=symbol,
        side=params.choice("side", _SIDES, code=52002),
        type=params.choice("type", ORDER_TYPES, code=52001),
        client_order_id=params.text(client_id_name, code=50038) or "",
        size=params.number("size"),
        price=params.number("price"),
        notional=params.number("notional"),
        stp_mode=params.choice("stpMode", _STP_MODES, code=50021, default="none"),
    )


def submit(call: Call) -> object:
    symbol = call.params.need("symbol")
    call.exchange.spot.instrument(symbol)
    request = _request(call.params, symbol, client_id_name="client_order_id")
    order = call.exchange.spot.place(call.account, request, call.now_ms)
    return {"order_id": str(order.id)}


def batch(call: Call) -> object:
    """Place what can be placed; the first refusal is told when nothing was."""
    symbol = call.params.need("symbol")
    call.exchange.spot.instrument(symbol)
    items = call.params.items("orderParams")
    if not items:
        raise call.params.missing("orderParams")
    if len(items) > _MOST_IN_BATCH:
        raise Refusal(50033)
    ids: list[str] = []
    refusals: list[Refusal] = []
    for item in items:
        if not isinstance(item, dict):
            raise call.params.invalid("orderParams")
        params = Params(cast(Mapping[str, object], item), SPOT)
        try:
            request = _request(params, symbol, client_id_name="clientOrderId")
            ids.append(str(call.exchange.spot.place(call.account, request, call.now_ms).id))
        except Refusal as refusal:
            refusals.append(refusal)
    if refusals and not ids:
        raise refusals[0]
    return {"code": 0, "msg": "success", "data": {"orderIds": ids}}


def find_order(call: Call, *, order_id: int | None, client_order_id: str | None) -> Order | None:
    where = "account_id = ? AND market = 'spot' AND "
    store = call.exchange.store
    if order_id is not None:
        return store.one(Order, where + "id = ?", call.account.id, order_id)
    found = store.find(
        Order, where + "client_order_id = ?", call.account.id, _plain_id(client_order_id), order="id DESC", limit=1
    )
    return found[0] if found else None


def _plain_id(client_order_id: str | None) -> str:
    """Return a value that the store can take: no id of ours holds anything but ASCII."""
    return client_order_id if client_order_id and client_order_id.isascii() else "?"


def cancel(call: Call) -> object:
    """Answer false, with code 1000, for an order that is already over."""
    symbol = call.params.need("symbol")
    call.exchange.spot.instrument(symbol)
    order_id = call.params.identifier("order_id")
    client_order_id = call.params.text("client_order_id")
    if order_id is None and client_order_id is None:
        raise Refusal(50039)
    order = find_order(call, order_id=order_id, client_order_id=client_order_id)
    if order is None or order.symbol != symbol:
        raise Refusal(50032)
    return {"result": _cancel(call, order)}


def _cancel(call: Call, order: Order) -> bool:
    if not order.is_live:
        return False
    call.exchange.spot.cancel(order, source="user", now_ms=call.now_ms)
    return True


def cancel_orders(call: Call) -> object:
    symbol = call.params.text("symbol")
    order_ids = call.params.items("orderIds")
    client_ids = call.params.items("clientOrderIds")
    wanted = order_ids or client_ids
    if not wanted:
        raise Refusal(50039)
    if len(wanted) > _MOST_IN_BATCH:
        raise Refusal(50033)
    done: list[str] = []
    failed: list[str] = []
    for item in wanted:
        row = Params({"id": item}, SPOT)
        if order_ids:
            order = find_order(call, order_id=row.identifier("id"), client_order_id=None)
        else:
            order = find_order(call, order_id=None, client_order_id=row.text("id"))
        known = order is not None and symbol in {None, order.symbol}
        cancelled = known and order is not None and _cancel(call, order)
        (done if cancelled else failed).append(row.text("id") or "")
    return {
        "successIds": done,
        "failIds": failed,
        "totalCount": len(wanted),
        "successCount": len(done),
        "failedCount": len(failed),
    }


def cancel_all(call: Call) -> object:
    symbol = call.params.text("symbol")
    if symbol is not None:
        call.exchange.spot.instrument(symbol)
    side = call.params.text("side")
    if side is not None and side not in _SIDES:
        raise Refusal(52002)
    for order in call.exchange.spot.live_orders(call.account.id):
        if symbol in {None, order.symbol} and side in {None, order.side}:
            _cancel(call, order)
    return {}


def _is_forgotten(order: Order, now_ms: int) -> bool:
    return order.state == "canceled" and now_ms - order.updated_ms > _FORGOTTEN_MS


def _one(call: Call, order: Order | None) -> object:
    state = call.params.choice("queryState", ("open", "history"), code=52003, default="any")
    if order is None or _is_forgotten(order, call.now_ms):
        raise Refusal(50005)
    if (state == "open" and not order.is_live) or (state == "history" and order.is_live):
        raise Refusal(50005)
    return order_view(call, order)


def query_order(call: Call) -> object:
    order_id = call.params.identifier("orderId")
    if order_id is None:
        raise call.params.missing("orderId")
    return _one(call, find_order(call, order_id=order_id, client_order_id=None))


def query_client_order(call: Call) -> object:
    client_order_id = call.params.need("clientOrderId")
    return _one(call, find_order(call, order_id=None, client_order_id=client_order_id))


class _Range:
    """symbol, orderMode, startTime, endTime and limit of the list queries."""

    def __init__(self, call: Call, *, default_start: int) -> None:
        params = call.params
        self.symbol = params.text("symbol")
        if self.symbol is not None:
            call.exchange.spot.instrument(self.symbol)
        self.mode = params.choice("orderMode", ("spot", "iso_margin"), code=52000, default="spot")
        self.start = params.whole_between("startTime", 0, _FOREVER_MS, default=default_start)
        self.end = params.whole_between("endTime", 0, _FOREVER_MS, default=_FOREVER_MS)
        if self.end < self.start:
            raise Refusal(52004)
        self.limit = params.whole_between("limit", 1, 200, default=200, code=50013)

    @property
    def where(self) -> str:
        symbol = " AND symbol = ?" if self.symbol else ""
        # No margin order exists here.
        nothing = " AND 0" if self.mode != "spot" else ""
        return f"account_id = ? AND market = 'spot' AND created_ms BETWEEN ? AND ?{symbol}{nothing}"

    def values(self, account_id: int) -> list[str | int]:
        return [account_id, self.start, self.end, *([self.symbol] if self.symbol else [])]


def _orders(call: Call, within: _Range, condition: str, *extra: int) -> list[object]:
    where = f"{within.where} AND {condition}"
    values = [*within.values(call.account.id), *extra]
    found = call.exchange.store.find(Order, where, *values, order="id DESC", limit=within.limit)
    return [order_view(call, order) for order in found]


def open_orders(call: Call) -> object:
    return _orders(call, _Range(call, default_start=0), _LIVE)


def history_orders(call: Call) -> object:
    condition = f"NOT {_LIVE} AND (state != 'canceled' OR updated_ms > ?)"
    within = _Range(call, default_start=call.now_ms - _WEEK_MS)
    return _orders(call, within, condition, call.now_ms - _FORGOTTEN_MS)


def trades(call: Call) -> object:
    within = _Range(call, default_start=call.now_ms - _WEEK_MS)
    values = within.values(call.account.id)
    return _fills(call, call.exchange.store.find(Fill, within.where, *values, order="id DESC", limit=within.limit))


def order_trades(call: Call) -> object:
    order_id = call.params.identifier("orderId")
    if order_id is None:
        raise call.params.missing("orderId")
    order = find_order(call, order_id=order_id, client_order_id=None)
    if order is None:
        raise Refusal(50005)
    return _fills(call, call.exchange.store.find(Fill, "order_id = ?", order.id, order="id DESC"))


def _fills(call: Call, fills: list[Fill]) -> list[object]:
    return [fill_view(call, fill) for fill in fills]


def shown_client_id(call: Call, client_order_id: str, order_id: int) -> str:
    """Return the client's id; where none was given the order's own, or nothing: a policy."""
    stands_in = call.exchange.policies.of(call.account, "client_id_shown") == "order_id"
    return client_order_id or (str(order_id) if stands_in else "")


def order_view(call: Call, order: Order) -> dict[str, object]:
    instrument = call.exchange.catalogue.spot[order.symbol]
    places, size_places = instrument.price_places, instrument.size_places
    average = order.filled_notional / order.filled_size if order.filled_size else ZERO
    return {
        "orderId": str(order.id),
        "clientOrderId": shown_client_id(call, order.client_order_id, order.id),
        "symbol": order.symbol,
        "side": order.side,
        "orderMode": "spot",
        "type": order.type,
        "state": order.state,
        "cancelSource": order.cancel_source,
        "stpMode": order.stp_mode,
        "price": fixed(order.price, places),
        "priceAvg": fixed(average, places),
        "size": fixed(order.size, size_places),
        "filledSize": fixed(order.filled_size, size_places),
        "notional": fixed(order.notional, 8),
        "filledNotional": fixed(order.filled_notional, 8),
        "createTime": order.created_ms,
        "updateTime": order.updated_ms,
    }


def fill_view(call: Call, fill: Fill) -> dict[str, object]:
    instrument = call.exchange.catalogue.spot[fill.symbol]
    return {
        "tradeId": str(fill.id),
        "orderId": str(fill.order_id),
        "clientOrderId": shown_client_id(call, fill.client_order_id, fill.order_id),
        "symbol": fill.symbol,
        "side": fill.side,
        "orderMode": "spot",
        "type": fill.order_type,
        "stpMode": fill.stp_mode,
        "price": fixed(fill.price, instrument.price_places),
        "size": fixed(fill.size, instrument.size_places),
        "notional": fixed(fill.notional, 8),
        "fee": fixed(fill.fee, 8),
        "feeCoinName": fill.fee_currency,
        "tradeRole": fill.role,
        "createTime": fill.created_ms,
        "updateTime": fill.created_ms,
    }


def _uid(count: int, seconds: int = 2) -> Limit:
    return Limit(count, seconds, "UID")


def _key(count: int) -> Limit:
    return Limit(count, 2, "KEY")


_TRADE = "spot_trade"
ROUTES = (
    Route("POST", "/spot/v2/submit_order", "signed", SPOT, submit, _uid(40), _TRADE),
    Route("POST", "/spot/v4/batch_orders", "signed", SPOT, batch, _uid(40), _TRADE, recv_window=True),
    Route("POST", "/spot/v3/cancel_order", "signed", SPOT, cancel, _uid(40), _TRADE),
    Route("POST", "/spot/v4/cancel_orders", "signed", SPOT, cancel_orders, _uid(40), _TRADE, recv_window=True),
    Route("POST", "/spot/v4/cancel_all", "signed", SPOT, cancel_all, _uid(1, 3), _TRADE, recv_window=True),
    Route("POST", "/spot/v4/query/order", "signed", SPOT, query_order, _key(50), recv_window=True),
    Route("POST", "/spot/v4/query/client-order", "signed", SPOT, query_client_order, _key(50), recv_window=True),
    Route("POST", "/spot/v4/query/open-orders", "signed", SPOT, open_orders, _key(12), recv_window=True),
    Route("POST", "/spot/v4/query/history-orders", "signed", SPOT, history_orders, _key(12), recv_window=True),
    Route("POST", "/spot/v4/query/trades", "signed", SPOT, trades, _key(12), recv_window=True),
    Route("POST", "/spot/v4/query/order-trades", "signed", SPOT, order_trades, _key(12), recv_window=True),
)
