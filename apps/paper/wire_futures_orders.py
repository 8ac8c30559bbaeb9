"""Futures orders: submit, modify, cancel, and their queries."""

from decimal import Decimal

from apps.paper.amounts import ZERO, plain
from apps.paper.futures_request import FuturesRequest
from apps.paper.limits import Limit
from apps.paper.params import FUTURES
from apps.paper.records import Fill, Order, Trigger
from apps.paper.refusals import Refusal
from apps.paper.wire import Call, Route
from apps.paper.wire_futures_triggers import open_type_of, presets_of, presets_view

_WEEK_S = 7 * 86_400
_LONGEST_RANGE_S = 90 * 86_400
_MOST_ROWS = 200
_FOREVER_S = 10**15
_WHOLE_NUMBERS = ("side", "mode", "size", "stp_mode", "preset_take_profit_price_type", "preset_stop_loss_price_type")


def submit(call: Call) -> object:
    request = _request(call)
    order = call.exchange.futures.place(call.account, request, call.now_ms)
    price = "market price" if order.type == "market" else plain(order.price)
    return {"order_id": order.id, "price": price}


def _request(call: Call) -> FuturesRequest:
    params = call.params
    symbol = params.need("symbol")
    instrument = call.exchange.futures.instrument(symbol)
    _check_types(call)
    way = params.whole("side", code=40041)
    if way not in {1, 2, 3, 4}:
        raise Refusal(40041)
    order_type = params.choice("type", ("limit", "market"), code=40042, default="limit")
    return FuturesRequest(
        symbol=symbol,
        way=way,
        type=order_type,
        mode=params.whole_between("mode", 1, 4, default=1),
        size=params.need_number("size", 40043, missing=40011),
        price=params.number("price") if order_type == "limit" else None,
        leverage=params.number("leverage", code=40040),
        open_type=open_type_of(call),
        client_order_id=params.text("client_order_id", code=40048) or "",
        stp_mode=str(params.whole_between("stp_mode", 1, 3, default=1)),
        presets=presets_of(call, instrument),
    )


def _check_types(call: Call) -> None:
    """Refuse whole numbers that came as text, where that is the policy."""
    if call.exchange.policies.of(call.account, "text_numbers") == "accept":
        return
    for name in _WHOLE_NUMBERS:
        if isinstance(call.params.values.get(name), str):
            raise call.params.invalid(name)


def modify(call: Call) -> object:
    symbol = call.params.need("symbol")
    call.exchange.futures.instrument(symbol)
    price = call.params.number("price")
    size = call.params.number("size", code=40043)
    if price is None and size is None:
        raise Refusal(40011, "Invalid request [price and size are empty]")
    order = _live(call, symbol)
    if order is None:
        raise Refusal(40037)
    call.exchange.futures.modify(order, price=price, size=size, now_ms=call.now_ms)
    return {"order_id": order.id, "client_order_id": order.client_order_id}


def cancel(call: Call) -> object:
    """Cancel one order. With neither id (or with misspelled names) every order of the symbol goes: BitMart's trap."""
    symbol = call.params.need("symbol")
    call.exchange.futures.instrument(symbol)
    if call.params.text("order_id") is None and call.params.text("client_order_id") is None:
        return _cancel_symbol(call, symbol)
    order = _live(call, symbol)
    if order is None:
        raise Refusal(40037)
    call.exchange.futures.cancel(order, source="user", now_ms=call.now_ms)
    return {}


def cancel_orders(call: Call) -> object:
    symbol = call.params.need("symbol")
    call.exchange.futures.instrument(symbol)
    return _cancel_symbol(call, symbol)


def _cancel_symbol(call: Call, symbol: str) -> object:
    for order in call.exchange.futures.live_orders(call.account.id, symbol):
        call.exchange.futures.cancel(order, source="user", now_ms=call.now_ms)
    return {}


def _live(call: Call, symbol: str) -> Order | None:
    """Return the live order that order_id, or else client_order_id, names in this symbol."""
    order_id = call.params.identifier("order_id")
    client_order_id = call.params.text("client_order_id")
    if order_id is None and client_order_id is None:
        raise Refusal(40011, "Invalid request [order_id and client_order_id are empty]")
    for order in call.exchange.futures.live_orders(call.account.id, symbol):
        named = order.id == order_id if order_id is not None else order.client_order_id == client_order_id
        if named:
            return order
    return None


def get_order(call: Call) -> object:
    symbol = call.params.need("symbol")
    call.exchange.futures.instrument(symbol)
    order_id = call.params.identifier("order_id")
    if order_id is None:
        raise call.params.missing("order_id")
    where = "account_id = ? AND market = 'futures' AND symbol = ? AND id = ?"
    order = call.exchange.store.one(Order, where, call.account.id, symbol, order_id)
    if order is not None:
        return order_view(order)
    trigger = call.exchange.store.one(Trigger, f"{where} AND kind = 'trailing'", call.account.id, symbol, order_id)
    if trigger is None:
        raise Refusal(40035)
    return trail_view(trigger)


def open_orders(call: Call) -> object:
    params = call.params
    symbol = params.text("symbol")
    if symbol is not None:
        call.exchange.futures.instrument(symbol)
    order_type = params.choice("type", ("limit", "market", "trailing"), code=40042, default="any")
    state = params.choice("order_state", ("all", "partially_filled"), code=40011, default="all")
    limit = params.whole_between("limit", 1, 100, default=100)
    rows = [
        order_view(order)
        for order in call.exchange.futures.live_orders(call.account.id, symbol or "")
        if order_type in {"any", order.type} and state in {"all", order.state}
    ]
    if order_type in {"any", "trailing"} and state == "all":
        waiting = call.exchange.triggers.waiting(call.account.id, symbol or "")
        rows += [trail_view(trigger) for trigger in waiting if trigger.kind == "trailing"]
    return rows[:limit]


def _range(call: Call) -> tuple[int, int]:
    """Return start and end in ms from start_time and end_time in SECONDS; milliseconds give a range far away."""
    now_s = call.now_ms // 1000
    end = call.params.whole_between("end_time", 0, _FOREVER_S, default=now_s + 1, code=40039)
    start = call.params.whole_between("start_time", 0, _FOREVER_S, default=min(end, now_s) - _WEEK_S, code=40039)
    if end < start or (start and end - start > _LONGEST_RANGE_S):
        raise Refusal(40039)
    return start * 1000, end * 1000 + 999


def _client_id(call: Call) -> str | None:
    """Return the filter; text that no id can have matches nothing."""
    value = call.params.text("client_order_id")
    return value if value is None or value.isascii() else "?"


def order_history(call: Call) -> object:
    symbol = call.params.need("symbol")
    call.exchange.futures.instrument(symbol)
    start, end = _range(call)
    where = (
        "account_id = ? AND market = 'futures' AND symbol = ? AND created_ms BETWEEN ? AND ?"
        " AND state NOT IN ('new', 'partially_filled')"
    )
    values: list[str | int | Decimal] = [call.account.id, symbol, start, end]
    where = _narrowed(call, where, values, id_column="id")
    found = call.exchange.store.find(Order, where, *values, order="id DESC", limit=_MOST_ROWS)
    return [history_view(order, _trigger_price(call, order)) for order in found]


def _trigger_price(call: Call, order: Order) -> str:
    if not order.trigger_id:
        return ""
    trigger = call.exchange.store.one(Trigger, "id = ?", order.trigger_id)
    return plain(trigger.trigger_price) if trigger else ""


def trades(call: Call) -> object:
    symbol = call.params.text("symbol")
    start, end = _range(call)
    where = "account_id = ? AND market = 'futures' AND created_ms BETWEEN ? AND ?"
    values: list[str | int | Decimal] = [call.account.id, start, end]
    if symbol is not None:
        call.exchange.futures.instrument(symbol)
        where += " AND symbol = ?"
        values.append(symbol)
    where = _narrowed(call, where, values, id_column="order_id")
    found = call.exchange.store.find(Fill, where, *values, order="id DESC", limit=_MOST_ROWS)
    return [fill_view(fill) for fill in found]


def _narrowed(call: Call, where: str, values: list[str | int | Decimal], *, id_column: str) -> str:
    """Add order_id and client_order_id to the condition and their values to `values`."""
    order_id = call.params.identifier("order_id")
    client_order_id = _client_id(call)
    if order_id is not None:
        where += f" AND {id_column} = ?"
        values.append(order_id)
    if client_order_id is not None:
        where += " AND client_order_id = ?"
        values.append(client_order_id)
    return where


def _state(order: Order) -> int:
    """Return 2 open or 4 finished: whether it filled or was cancelled is in deal_size."""
    return 2 if order.is_live else 4


def order_view(order: Order) -> dict[str, object]:
    average = order.filled_notional / order.filled_size if order.filled_size else ZERO
    return {
        "order_id": str(order.id),
        "client_order_id": order.client_order_id,
        "price": plain(order.price),
        "size": plain(order.size),
        "symbol": order.symbol,
        "state": _state(order),
        "side": order.way,
        "type": order.type,
        "position_mode": order.position_mode,
        "account": "futures",
        "leverage": plain(order.leverage),
        "open_type": order.open_type,
        "deal_avg_price": plain(average),
        "deal_size": plain(order.filled_size),
        "activation_price": "",
        "callback_rate": "",
        "activation_price_type": 0,
        "executive_order_id": "",
        **presets_view(order),
        "create_time": order.created_ms,
        "update_time": order.updated_ms,
    }


def history_view(order: Order, trigger_price: str) -> dict[str, object]:
    row = order_view(order)
    if order.type == "market":
        row["price"] = "0"
    execution = "Market" if order.type == "market" else plain(order.price)
    return row | {"trigger_price": trigger_price, "execution_price": execution}


def trail_view(trigger: Trigger) -> dict[str, object]:
    """Return a waiting trailing order as the order routes show it."""
    return {
        "order_id": str(trigger.id),
        "client_order_id": trigger.client_order_id,
        "price": "0",
        "size": plain(trigger.size),
        "symbol": trigger.symbol,
        "state": 2 if trigger.is_live else 4,
        "side": trigger.way,
        "type": "trailing",
        "position_mode": trigger.position_mode,
        "account": "futures",
        "leverage": plain(trigger.leverage),
        "open_type": trigger.open_type,
        "deal_avg_price": "0",
        "deal_size": "0",
        "activation_price": plain(trigger.trigger_price) if trigger.trigger_price else "",
        "callback_rate": plain(trigger.callback_rate),
        "activation_price_type": trigger.price_type,
        "executive_order_id": str(trigger.order_id) if trigger.order_id else "",
        **presets_view(trigger),
        "create_time": trigger.created_ms,
        "update_time": trigger.updated_ms,
    }


def fill_view(fill: Fill) -> dict[str, object]:
    return {
        "order_id": str(fill.order_id),
        "trade_id": str(fill.id),
        "symbol": fill.symbol,
        "side": fill.way,
        "price": plain(fill.price),
        "vol": plain(fill.size),
        "exec_type": "Maker" if fill.role == "maker" else "Taker",
        "profit": fill.realised > 0,
        "realised_profit": plain(fill.realised),
        "paid_fees": plain(fill.fee),
        "account": "futures",
        "create_time": fill.created_ms,
    }


def _limit(count: int, mode: str = "KEY") -> Limit:
    return Limit(count, 2, mode)


_TRADE = "future_trade"
_PRIVATE = "/contract/private"
ROUTES = (
    Route("POST", f"{_PRIVATE}/submit-order", "signed", FUTURES, submit, _limit(24), _TRADE),
    Route("POST", f"{_PRIVATE}/modify-limit-order", "signed", FUTURES, modify, _limit(24, "UID"), _TRADE),
    Route("POST", f"{_PRIVATE}/cancel-order", "signed", FUTURES, cancel, _limit(40), _TRADE),
    Route("POST", f"{_PRIVATE}/cancel-orders", "signed", FUTURES, cancel_orders, _limit(2), _TRADE),
    Route("GET", f"{_PRIVATE}/order", "keyed", FUTURES, get_order, _limit(50)),
    Route("GET", f"{_PRIVATE}/get-open-orders", "keyed", FUTURES, open_orders, _limit(50)),
    Route("GET", f"{_PRIVATE}/order-history", "keyed", FUTURES, order_history, _limit(6)),
    Route("GET", f"{_PRIVATE}/trades", "keyed", FUTURES, trades, _limit(6)),
)
