"""Spot algo orders: trigger and tp/sl. BitMart's answers are not on record: these look like its other orders."""

from apps.paper.algo import KINDS
from apps.paper.amounts import fixed
from apps.paper.limits import Limit
from apps.paper.params import SPOT
from apps.paper.records import Trigger
from apps.paper.refusals import Refusal
from apps.paper.spot import SpotRequest
from apps.paper.wire import Call, Route
from apps.paper.wire_spot import shown_client_id

_STATES = {"waiting": "new", "fired": "filled", "canceled": "canceled", "failed": "failed"}
_MOST_ROWS = 200
_WEEK_MS = 7 * 86_400_000


def submit(call: Call) -> object:
    params = call.params
    request = SpotRequest(
        symbol=params.need("symbol"),
        side=params.choice("side", ("buy", "sell"), code=52002),
        type=params.choice("trigger_type", ("limit", "market"), code=52001, default="market"),
        client_order_id=params.text("client_order_id", code=50038) or "",
        size=params.number("size"),
        price=params.number("price"),
        notional=params.number("notional"),
        stp_mode="none",
    )
    kind = params.choice("type", KINDS, code=52001)
    price = params.need_number("trigger_price")
    if price <= 0:
        raise params.invalid("trigger_price")
    trigger = call.exchange.algo.submit(call.account, request, kind=kind, trigger_price=price, now_ms=call.now_ms)
    return {"order_id": str(trigger.id)}


def cancel(call: Call) -> object:
    symbol = call.params.need("symbol")
    trigger = _find(call, "id", call.params.identifier("order_id"))
    if trigger is None or trigger.symbol != symbol:
        raise Refusal(50032)
    if trigger.is_live:
        call.exchange.algo.cancel(trigger, call.now_ms)
    return {"result": trigger.state == "canceled"}


def cancel_all(call: Call) -> object:
    kind = call.params.choice("type", KINDS, code=52001)
    symbol = call.params.text("symbol")
    for trigger in call.exchange.algo.waiting(call.account.id):
        if trigger.kind == kind and symbol in {None, trigger.symbol}:
            call.exchange.algo.cancel(trigger, call.now_ms)
    return {}


def query_order(call: Call) -> object:
    return _one(call, _find(call, "id", call.params.identifier("orderId")))


def query_client_order(call: Call) -> object:
    client_order_id = call.params.need("clientOrderId")
    return _one(call, _find(call, "client_order_id", client_order_id if client_order_id.isascii() else "?"))


def open_orders(call: Call) -> object:
    return _rows(call, "state = 'waiting'", default_start=0)


def history_orders(call: Call) -> object:
    return _rows(call, "state != 'waiting'", default_start=call.now_ms - _WEEK_MS)


def _find(call: Call, column: str, value: str | int | None) -> Trigger | None:
    if value is None:
        raise call.params.missing("orderId")
    where = f"account_id = ? AND market = 'spot' AND {column} = ?"
    found = call.exchange.store.find(Trigger, where, call.account.id, value, order="id DESC", limit=1)
    return found[0] if found else None


def _one(call: Call, trigger: Trigger | None) -> object:
    state = call.params.choice("queryState", ("open", "history"), code=52003, default="any")
    if trigger is None or (state == "open" and not trigger.is_live) or (state == "history" and trigger.is_live):
        raise Refusal(50005)
    return view(call, trigger)


def _rows(call: Call, condition: str, *, default_start: int) -> list[object]:
    params = call.params
    symbol = params.text("symbol") or ""
    kind = params.choice("orderMode", KINDS, code=52000, default="")
    start = params.whole_between("startTime", 0, 10**15, default=default_start)
    end = params.whole_between("endTime", 0, 10**15, default=10**15)
    if end < start:
        raise Refusal(52004)
    limit = params.whole_between("limit", 1, _MOST_ROWS, default=_MOST_ROWS, code=50013)
    where = f"account_id = ? AND market = 'spot' AND {condition} AND created_ms BETWEEN ? AND ?"
    found = call.exchange.store.find(Trigger, where, call.account.id, start, end, order="id DESC")
    chosen = [one for one in found if symbol in {"", one.symbol} and kind in {"", one.kind}]
    return [view(call, trigger) for trigger in chosen[:limit]]


def view(call: Call, trigger: Trigger) -> dict[str, object]:
    instrument = call.exchange.catalogue.spot[trigger.symbol]
    return {
        "orderId": str(trigger.id),
        "clientOrderId": shown_client_id(call, trigger.client_order_id, trigger.id),
        "symbol": trigger.symbol,
        "side": trigger.side,
        "orderMode": trigger.kind,
        "type": trigger.kind,
        "triggerType": trigger.order_type,
        "triggerPrice": fixed(trigger.trigger_price, instrument.price_places),
        "state": _STATES[trigger.state],
        "price": fixed(trigger.executive_price, instrument.price_places),
        "size": fixed(trigger.size, instrument.size_places),
        "notional": fixed(trigger.notional, 8),
        "triggeredOrderId": str(trigger.order_id) if trigger.order_id else "",
        "createTime": trigger.created_ms,
        "updateTime": trigger.updated_ms,
    }


def _uid(count: int) -> Limit:
    return Limit(count, 2, "UID")


def _key(count: int) -> Limit:
    return Limit(count, 2, "KEY")


_TRADE = "spot_trade"
_QUERY = "/spot/v4/query/algo"
ROUTES = (
    Route("POST", "/spot/v4/algo/submit_order", "signed", SPOT, submit, _uid(10), _TRADE, recv_window=True),
    Route("POST", "/spot/v4/algo/cancel_order", "signed", SPOT, cancel, _uid(10), _TRADE, recv_window=True),
    Route("POST", "/spot/v4/algo/cancel_all", "signed", SPOT, cancel_all, _uid(5), _TRADE, recv_window=True),
    Route("POST", f"{_QUERY}/order", "signed", SPOT, query_order, _key(50), recv_window=True),
    Route("POST", f"{_QUERY}/client-order", "signed", SPOT, query_client_order, _key(50), recv_window=True),
    Route("POST", f"{_QUERY}/open-orders", "signed", SPOT, open_orders, _key(12), recv_window=True),
    Route("POST", f"{_QUERY}/history-orders", "signed", SPOT, history_orders, _key(12), recv_window=True),
)
