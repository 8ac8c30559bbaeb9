"""Plan, take-profit, stop-loss and trailing orders: submit, modify, cancel, list."""

from decimal import Decimal

from apps.paper.amounts import ZERO, plain
from apps.paper.client_ids import check_client_id
from apps.paper.futures import OPEN_TYPES
from apps.paper.futures_fills import REDUCING
from apps.paper.futures_request import Presets, check_leverage, check_tick
from apps.paper.instruments import FuturesInstrument
from apps.paper.limits import Limit
from apps.paper.params import FUTURES
from apps.paper.records import Countdown, Order, Trigger
from apps.paper.refusals import Refusal
from apps.paper.triggers import LAST, MARK, PROTECTIVE, WHOLE_POSITION, TriggerChange, TriggerRequest
from apps.paper.wallets import FUTURES as FUTURES_MARKET
from apps.paper.wire import Call, Route

_ORDER_TYPES = ("limit", "market")
_SMALLEST_CALLBACK, _LARGEST_CALLBACK = Decimal("0.1"), Decimal(5)
_SHORTEST_TIMEOUT, _LONGEST_TIMEOUT = 5, 86_400


def submit_plan(call: Call) -> object:
    params, instrument = call.params, _instrument(call)
    kind = params.choice("type", (*_ORDER_TYPES, *PROTECTIVE), code=40042, default="limit")
    executive = _price(call, "executive_price", instrument)
    if kind == "limit" and executive is None:
        raise params.missing("executive_price")
    order_type = kind if kind in _ORDER_TYPES else ("limit" if executive else "market")
    way = _way(call)
    request = TriggerRequest(
        symbol=instrument.symbol,
        kind=kind if kind in PROTECTIVE else "plan",
        way=way,
        order_type=order_type,
        size=_size(call, instrument),
        trigger_price=_needed_price(call, "trigger_price", instrument),
        executive_price=executive if executive and order_type == "limit" else ZERO,
        price_way=params.whole_between("price_way", 1, 2, default=0),
        price_type=_price_type(call),
        mode=params.whole_between("mode", 1, 4, default=1),
        plan_category=params.whole_between("plan_category", 1, 2, default=1),
        leverage=_leverage(call, instrument, way),
        open_type=open_type_of(call),
        client_order_id=_client_id(call),
        presets=presets_of(call, instrument),
    )
    return {"order_id": call.exchange.triggers.submit(call.account, request, call.now_ms).id}


def submit_tp_sl(call: Call) -> object:
    params, instrument = call.params, _instrument(call)
    kind = params.choice("type", PROTECTIVE, code=40042)
    way = params.whole("side", code=40041)
    if way not in REDUCING:
        raise Refusal(40041)
    category = params.whole_between("plan_category", 1, 2, default=WHOLE_POSITION)
    size = _size(call, instrument) if params.text("size") is not None else ZERO
    executive = _price(call, "executive_price", instrument)
    order_type = params.choice("category", _ORDER_TYPES, code=40042, default=_usual_type(category, executive))
    if order_type == "limit" and executive is None:
        raise params.missing("executive_price")
    request = TriggerRequest(
        symbol=instrument.symbol,
        kind=kind,
        way=way,
        order_type=order_type,
        size=size,
        trigger_price=_needed_price(call, "trigger_price", instrument),
        executive_price=executive if executive and order_type == "limit" else ZERO,
        price_type=_price_type(call),
        plan_category=category,
        client_order_id=_client_id(call),
    )
    trigger = call.exchange.triggers.submit(call.account, request, call.now_ms)
    return {"order_id": str(trigger.id), "client_order_id": trigger.client_order_id}


def submit_trail(call: Call) -> object:
    params, instrument = call.params, _instrument(call)
    rate = params.need_number("callback_rate")
    if not _SMALLEST_CALLBACK <= rate <= _LARGEST_CALLBACK:
        raise params.invalid("callback_rate")
    way = _way(call)
    request = TriggerRequest(
        symbol=instrument.symbol,
        kind="trailing",
        way=way,
        size=_size(call, instrument),
        trigger_price=_price(call, "activation_price", instrument) or ZERO,
        price_type=params.whole_between("activation_price_type", 1, 2, default=LAST),
        leverage=_leverage(call, instrument, way),
        open_type=open_type_of(call),
        client_order_id=_client_id(call),
        callback_rate=rate,
    )
    return {"order_id": call.exchange.triggers.submit(call.account, request, call.now_ms).id}


def cancel_plan(call: Call) -> object:
    call.exchange.triggers.cancel(_named(call, trailing=False), call.now_ms)
    return {}


def cancel_trail(call: Call) -> object:
    """Cancel one, or without an id every trailing order of the symbol."""
    if call.params.text("order_id") is not None:
        call.exchange.triggers.cancel(_named(call, trailing=True), call.now_ms)
        return {}
    for trigger in call.exchange.triggers.waiting(call.account.id, _instrument(call).symbol):
        if trigger.kind == "trailing":
            call.exchange.triggers.cancel(trigger, call.now_ms)
    return {}


def modify_plan(call: Call) -> object:
    trigger = _named(call, trailing=False)
    instrument = _instrument(call)
    executive = _price(call, "executive_price", instrument)
    order_type = call.params.choice("type", _ORDER_TYPES, code=40042, default=trigger.order_type)
    if order_type == "limit" and not (executive or trigger.executive_price):
        raise call.params.missing("executive_price")
    change = TriggerChange(
        trigger_price=_needed_price(call, "trigger_price", instrument),
        executive_price=executive,
        price_type=_price_type(call),
        order_type=order_type,
    )
    call.exchange.triggers.modify(trigger, change, call.now_ms)
    return {"order_id": str(trigger.id)}


def modify_tp_sl(call: Call) -> object:
    trigger = _named(call, trailing=False)
    if trigger.kind not in PROTECTIVE:
        raise Refusal(40037)
    instrument = _instrument(call)
    executive = _price(call, "executive_price", instrument)
    category = call.params.whole_between("plan_category", 1, 2, default=trigger.plan_category)
    order_type = call.params.choice("category", _ORDER_TYPES, code=40042, default=trigger.order_type)
    if order_type == "limit" and not (executive or trigger.executive_price):
        raise call.params.missing("executive_price")
    change = TriggerChange(
        trigger_price=_needed_price(call, "trigger_price", instrument),
        executive_price=executive,
        price_type=_price_type(call),
        order_type=order_type,
        plan_category=category,
    )
    call.exchange.triggers.modify(trigger, change, call.now_ms)
    return {"order_id": str(trigger.id)}


def modify_preset(call: Call) -> object:
    """Change what hangs on an entry: on the order while it rests, and on the waiting halves that its fills made."""
    instrument = _instrument(call)
    order_id = call.params.identifier("order_id")
    if order_id is None:
        raise call.params.missing("order_id")
    presets = presets_of(call, instrument, usual_type=0)
    live = [o for o in call.exchange.futures.live_orders(call.account.id, instrument.symbol) if o.id == order_id]
    for order in live:
        call.exchange.futures.modify_presets(order, presets, call.now_ms)
    owned = live or call.exchange.store.one(Order, "id = ? AND account_id = ?", order_id, call.account.id)
    hung = call.exchange.triggers.modify_presets(order_id, presets, call.now_ms) if owned else 0
    if not live and not hung:
        raise Refusal(40037)
    return {"order_id": str(order_id)}


def current(call: Call) -> object:
    params = call.params
    symbol = params.text("symbol")
    if symbol is not None:
        call.exchange.futures.instrument(symbol)
    kind = params.choice("plan_type", ("plan", "profit_loss"), code=40011, default="any")
    order_type = params.choice("type", _ORDER_TYPES, code=40042, default="any")
    limit = params.whole_between("limit", 1, 100, default=100)
    rows = [
        plan_view(trigger)
        for trigger in call.exchange.triggers.waiting(call.account.id, symbol or "")
        if trigger.kind != "trailing"
        and kind in {"any", "profit_loss" if trigger.kind in PROTECTIVE else "plan"}
        and order_type in {"any", trigger.order_type}
    ]
    return rows[:limit]


def cancel_all_after(call: Call) -> object:
    instrument = _instrument(call)
    timeout = call.params.whole("timeout")
    if timeout is None:
        raise call.params.missing("timeout")
    if timeout and not _SHORTEST_TIMEOUT <= timeout <= _LONGEST_TIMEOUT:
        raise call.params.invalid("timeout")
    countdown = Countdown(call.account.id, instrument.symbol, call.now_ms + timeout * 1000)
    if timeout:
        call.exchange.store.save(countdown)
    else:
        call.exchange.store.delete(countdown)
    set_time = call.now_ms // 1000
    return {"result": True, "set_time": set_time, "cancel_time": set_time + timeout if timeout else 0}


def plan_view(trigger: Trigger) -> dict[str, object]:
    executive = plain(trigger.executive_price) if trigger.order_type == "limit" else ""
    return {
        "order_id": str(trigger.id),
        "client_order_id": trigger.client_order_id,
        "executive_price": executive,
        "trigger_price": plain(trigger.trigger_price),
        "size": plain(trigger.size),
        "symbol": trigger.symbol,
        "state": 2,
        "side": trigger.way,
        "mode": trigger.mode,
        "position_mode": trigger.position_mode,
        "price_way": trigger.price_way,
        "price_type": trigger.price_type,
        "plan_category": trigger.plan_category,
        "type": trigger.kind,
        "leverage": plain(trigger.leverage),
        "open_type": trigger.open_type,
        "create_time": trigger.created_ms,
        "update_time": trigger.updated_ms,
        **presets_view(trigger),
    }


def presets_view(row: Order | Trigger) -> dict[str, object]:
    return {
        "preset_take_profit_price_type": row.take_profit_type,
        "preset_stop_loss_price_type": row.stop_loss_type,
        "preset_take_profit_price": plain(row.take_profit_price) if row.take_profit_price else "",
        "preset_stop_loss_price": plain(row.stop_loss_price) if row.stop_loss_price else "",
    }


def presets_of(call: Call, instrument: FuturesInstrument, *, usual_type: int = LAST) -> Presets:
    take = _price(call, "preset_take_profit_price", instrument) or ZERO
    stop = _price(call, "preset_stop_loss_price", instrument) or ZERO
    take_type = call.params.whole_between("preset_take_profit_price_type", LAST, MARK, default=usual_type)
    stop_type = call.params.whole_between("preset_stop_loss_price_type", LAST, MARK, default=usual_type)
    return Presets(take, take_type if take else 0, stop, stop_type if stop else 0)


def open_type_of(call: Call) -> str | None:
    value = call.params.text("open_type", code=40045)
    if value is not None and value not in OPEN_TYPES:
        raise Refusal(40045)
    return value


def _usual_type(category: int, executive: Decimal | None) -> str:
    return "limit" if category != WHOLE_POSITION and executive else "market"


def _instrument(call: Call) -> FuturesInstrument:
    return call.exchange.futures.instrument(call.params.need("symbol"))


def _way(call: Call) -> int:
    way = call.params.whole("side", code=40041)
    if way is None or not 1 <= way <= 4:
        raise Refusal(40041)
    return way


def _size(call: Call, instrument: FuturesInstrument) -> Decimal:
    size = call.params.need_number("size", 40043, missing=40011)
    if size != int(size):
        raise Refusal(40043)
    if not 1 <= size <= instrument.max_volume:
        raise Refusal(40044)
    return size


def _price(call: Call, name: str, instrument: FuturesInstrument) -> Decimal | None:
    price = call.params.number(name)
    if price is None or price == 0:
        return None
    check_tick(price, instrument)
    return price


def _needed_price(call: Call, name: str, instrument: FuturesInstrument) -> Decimal:
    price = _price(call, name, instrument)
    if price is None:
        raise call.params.missing(name)
    return price


def _price_type(call: Call) -> int:
    return call.params.whole_between("price_type", LAST, MARK, default=LAST)


def _leverage(call: Call, instrument: FuturesInstrument, way: int) -> Decimal | None:
    leverage = call.params.number("leverage", code=40040)
    if leverage is not None and way not in REDUCING:
        check_leverage(leverage, instrument)
    return leverage


def _client_id(call: Call) -> str:
    client_order_id = call.params.text("client_order_id", code=40048) or ""
    exchange = call.exchange
    check_client_id(
        exchange.store, exchange.policies, call.account, client_order_id, market=FUTURES_MARKET, now_ms=call.now_ms
    )
    return client_order_id


def _named(call: Call, *, trailing: bool) -> Trigger:
    """Return the waiting order that order_id, or else client_order_id, names in this symbol."""
    symbol = _instrument(call).symbol
    order_id = call.params.identifier("order_id")
    client_order_id = call.params.text("client_order_id")
    if order_id is None and client_order_id is None:
        raise Refusal(40011, "Invalid request [order_id and client_order_id are empty]")
    for trigger in call.exchange.triggers.waiting(call.account.id, symbol):
        named = trigger.id == order_id if order_id is not None else trigger.client_order_id == client_order_id
        if named and (trigger.kind == "trailing") == trailing:
            return trigger
    raise Refusal(40037)


def _uid(count: int) -> Limit:
    return Limit(count, 2, "UID")


_TRADE = "future_trade"
_PRIVATE = "/contract/private"
ROUTES = (
    Route("POST", f"{_PRIVATE}/submit-plan-order", "signed", FUTURES, submit_plan, _uid(24), _TRADE),
    Route("POST", f"{_PRIVATE}/modify-plan-order", "signed", FUTURES, modify_plan, _uid(24), _TRADE),
    Route("POST", f"{_PRIVATE}/cancel-plan-order", "signed", FUTURES, cancel_plan, _uid(40), _TRADE),
    Route("POST", f"{_PRIVATE}/submit-tp-sl-order", "signed", FUTURES, submit_tp_sl, _uid(24), _TRADE),
    Route("POST", f"{_PRIVATE}/modify-tp-sl-order", "signed", FUTURES, modify_tp_sl, _uid(24), _TRADE),
    Route("POST", f"{_PRIVATE}/modify-preset-plan-order", "signed", FUTURES, modify_preset, _uid(24), _TRADE),
    Route("POST", f"{_PRIVATE}/submit-trail-order", "signed", FUTURES, submit_trail, _uid(24), _TRADE),
    Route("POST", f"{_PRIVATE}/cancel-trail-order", "signed", FUTURES, cancel_trail, _uid(24), _TRADE),
    Route("GET", f"{_PRIVATE}/current-plan-order", "keyed", FUTURES, current, Limit(50, 2, "KEY")),
    Route("POST", f"{_PRIVATE}/cancel-all-after", "signed", FUTURES, cancel_all_after, _uid(4), _TRADE),
)
