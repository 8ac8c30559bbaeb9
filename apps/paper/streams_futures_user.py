"""The futures host's private topics."""

from collections.abc import Iterator
from decimal import Decimal

from apps.paper.amounts import ZERO, plain, share
from apps.paper.events import BalanceChanged, Event, OrderChanged, PositionChanged, TriggerChanged
from apps.paper.exchange import Exchange
from apps.paper.records import Account, Fill, Order, Position, Trigger
from apps.paper.streams_delivery import Push
from apps.paper.wallets import FUTURES

ORDER = "futures/order"
POSITION = "futures/position"
ASSET = "futures/asset"
_ACTIONS = {"match": 1, "submit": 2, "cancel": 3, "liquidation_cancel": 4, "liquidation": 7}
_OPEN_TYPES = {"isolated": 1, "cross": 2}
_OPEN, _FINISHED = 2, 4
_TRIGGER_TYPES = {"plan": "plan_order", "trailing": "trailing_order"}
_NONE = "-"
# What the order that a trigger made carries in front of the trigger's id.
_PLAN = "PLAN_"
_CLOSING_WAYS = {"long": 3, "short": 2}


class FuturesUser:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def pushes(self, event: Event) -> Iterator[tuple[int, Push]]:
        """Yield (account id, push) for each topic that the event concerns."""
        if isinstance(event, OrderChanged) and event.order.market == FUTURES:
            rows: list[object] = [{"action": _ACTIONS[event.action], "order": _order(event.order, event.fill)}]
            yield event.account_id, Push(ORDER, ORDER, rows, event.order.client_order_id)
        elif isinstance(event, TriggerChanged) and event.trigger.market == FUTURES:
            rows = [{"action": _ACTIONS[event.action], "order": _trigger(event.trigger)}]
            yield event.account_id, Push(ORDER, ORDER, rows, event.trigger.client_order_id)
        elif isinstance(event, PositionChanged):
            yield event.account_id, Push(POSITION, POSITION, [self._position(event.position)])
        elif isinstance(event, BalanceChanged) and event.wallet == FUTURES:
            topic = f"{ASSET}:{event.currency}"
            yield event.account_id, Push(topic, topic, self._asset(event))

    def all_positions(self, account_id: int) -> list[Push]:
        held = self._exchange.futures.positions.held(account_id)
        rows = [self._position(position) for position in held]
        return [Push(POSITION, POSITION, rows)] if rows else []

    def _asset(self, event: BalanceChanged) -> dict[str, str]:
        held = self._exchange.futures.positions.held(event.account_id) if event.currency == "USDT" else []
        return {
            "currency": event.currency,
            "available_balance": plain(event.available),
            "position_deposit": plain(sum((position.margin for position in held), ZERO)),
            "frozen_balance": plain(event.frozen),
        }

    def _position(self, position: Position) -> dict[str, object]:
        contract_size = self._exchange.catalogue.futures[position.symbol].contract_size
        liquidation = self._exchange.liquidator.liquidation_price(position) if position.amount else ZERO
        account = self._exchange.store.get(Account, position.account_id)
        return {
            "symbol": position.symbol,
            "hold_volume": plain(position.amount),
            "position_type": 1 if position.side == "long" else 2,
            "open_type": _OPEN_TYPES[position.open_type],
            "frozen_volume": plain(self._frozen(position)),
            "close_volume": plain(position.closed_volume),
            "hold_avg_price": plain(_average(position.cost, position.amount * contract_size)),
            "close_avg_price": plain(_average(position.closed_value, position.closed_volume * contract_size)),
            "open_avg_price": plain(_average(position.opened_value, position.opened_volume * contract_size)),
            "liquidate_price": plain(liquidation),
            "create_time": position.opened_ms,
            "update_time": position.updated_ms,
            "position_mode": account.position_mode if account else "",
        }

    def _frozen(self, position: Position) -> Decimal:
        """Return the contracts that resting orders are to close."""
        live = self._exchange.futures.live_orders(position.account_id, position.symbol)
        closing = (order.left for order in live if order.way == _CLOSING_WAYS[position.side])
        return min(sum(closing, ZERO), position.amount)


def _average(value: Decimal, contracts: Decimal) -> Decimal:
    return share(value, Decimal(1), contracts) if contracts else ZERO


def _order(order: Order, fill: Fill | None) -> dict[str, object]:
    return {
        "order_id": str(order.id),
        "client_order_id": order.client_order_id,
        "price": plain(order.price),
        "size": plain(order.size),
        "symbol": order.symbol,
        "state": _OPEN if order.is_live else _FINISHED,
        "side": order.way,
        "type": order.type,
        "leverage": plain(order.leverage),
        "open_type": order.open_type,
        "deal_avg_price": plain(_average(order.filled_notional, order.filled_size)),
        "deal_size": plain(order.filled_size),
        "create_time": order.created_ms,
        "update_time": order.updated_ms,
        "plan_order_id": order.client_order_id.removeprefix(_PLAN) if order.client_order_id.startswith(_PLAN) else "",
        "last_trade": _last_trade(fill),
        "trigger_price": _NONE,
        "trigger_price_type": _NONE,
        "execution_price": _NONE,
        "activation_price_type": _NONE,
        "activation_price": _NONE,
        "callback_rate": _NONE,
        "position_mode": order.position_mode,
    }


def _last_trade(fill: Fill | None) -> dict[str, object] | None:
    """Return the fill in the stream's words; a fee that is paid is negative here, unlike everywhere else."""
    if fill is None:
        return None
    return {
        "lastTradeID": fill.id,
        "fillQty": plain(fill.size),
        "fillPrice": plain(fill.price),
        "fee": plain(-fill.fee),
        "feeCcy": fill.fee_currency,
    }


def _trigger(trigger: Trigger) -> dict[str, object]:
    is_trailing = trigger.kind == "trailing"
    trigger_price = plain(trigger.trigger_price)
    return {
        "order_id": str(trigger.id),
        "client_order_id": trigger.client_order_id,
        "price": plain(trigger.executive_price),
        "size": plain(trigger.size),
        "symbol": trigger.symbol,
        "state": _OPEN if trigger.is_live else _FINISHED,
        "side": trigger.way,
        "type": _TRIGGER_TYPES.get(trigger.kind, trigger.kind),
        "leverage": plain(trigger.leverage),
        "open_type": trigger.open_type,
        "deal_avg_price": "0",
        "deal_size": "0",
        "create_time": trigger.created_ms,
        "update_time": trigger.updated_ms,
        "plan_order_id": str(trigger.id),
        "last_trade": None,
        "trigger_price": _NONE if is_trailing else trigger_price,
        "trigger_price_type": _NONE if is_trailing else str(trigger.price_type),
        "execution_price": plain(trigger.executive_price) if trigger.order_type == "limit" else "Market",
        "activation_price_type": str(trigger.price_type) if is_trailing else _NONE,
        "activation_price": trigger_price if is_trailing else _NONE,
        "callback_rate": plain(trigger.callback_rate) if is_trailing else _NONE,
        "position_mode": trigger.position_mode,
    }
