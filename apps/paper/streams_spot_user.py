"""The spot host's private topics. Every value is a text."""

from collections.abc import Iterator

from apps.paper.amounts import ZERO, fixed, plain
from apps.paper.events import BalanceChanged, Event, OrderChanged
from apps.paper.exchange import Exchange
from apps.paper.records import Fill, Order
from apps.paper.streams_delivery import Push
from apps.paper.streams_manners import Manners
from apps.paper.wallets import SPOT

ORDER = "spot/user/order"
ALL_ORDERS = "spot/user/orders:ALL_SYMBOLS"
BALANCE = "spot/user/balance:BALANCE_UPDATE"
_PLACES = 10
_STATES = {"new": "4", "partially_filled": "5", "filled": "6", "canceled": "8", "partially_canceled": "12"}
_FAILED = "1"
_ORDER_TYPES = {"limit_maker": "1", "ioc": "3"}
_ENTRUST_TYPES = {"limit_maker": "LIMIT_MAKER", "ioc": "IOC"}
_EVENT_TYPES = {"transfer": "ACCOUNT_TRANSFER", "deposit": "ACCOUNT_RECHARGE"}


class SpotUser:
    def __init__(self, exchange: Exchange, manners: Manners) -> None:
        self._exchange = exchange
        self._manners = manners

    def pushes(self, event: Event) -> Iterator[tuple[int, Push]]:
        """Yield (account id, push) for each topic that the event concerns."""
        if isinstance(event, OrderChanged) and event.order.market == SPOT:
            order = event.order
            data, client_id = [_order(order, event.fill)], order.client_order_id
            yield event.account_id, Push(f"{ORDER}:{order.symbol}", ORDER, data, client_id)
            table = f"spot/user/{self._manners.order_table}"
            yield event.account_id, Push(ALL_ORDERS, table, data, client_id)
        elif isinstance(event, BalanceChanged) and event.wallet == SPOT:
            yield event.account_id, Push(BALANCE, "spot/user/balance", [self._balance(event)])

    def _balance(self, event: BalanceChanged) -> dict[str, object]:
        return {
            "event_type": _EVENT_TYPES.get(event.cause, "TRANSACTION_COMPLETED"),
            "event_time": str(self._exchange.clock()),
            "balance_details": [
                {"ccy": event.currency, "av_bal": plain(event.available), "fz_bal": plain(event.frozen)},
            ],
        }


def _order(order: Order, fill: Fill | None) -> dict[str, str]:
    market_buy = order.type == "market" and order.side == "buy"
    row = {
        "symbol": order.symbol,
        "side": order.side,
        "type": "market" if order.type == "market" else "limit",
        "notional": fixed(order.notional, _PLACES) if market_buy else "",
        "size": fixed(order.size, _PLACES),
        "ms_t": str(order.created_ms),
        "price": fixed(order.price, _PLACES),
        "filled_notional": fixed(order.filled_notional, _PLACES),
        "filled_size": fixed(order.filled_size, _PLACES),
        "margin_trading": "0",
        "state": _STATES.get(order.state, _FAILED),
        "order_id": str(order.id),
        "order_type": _ORDER_TYPES.get(order.type, "0"),
    }
    return row | _last_fill(order, fill) | _end(order, fill)


def _last_fill(order: Order, fill: Fill | None) -> dict[str, str]:
    return {
        "last_fill_time": str(fill.created_ms) if fill else "0",
        "last_fill_price": plain(fill.price) if fill else "0",
        "last_fill_count": plain(fill.size) if fill else "0",
        "exec_type": ("M" if fill.role == "maker" else "T") if fill else "",
        "detail_id": str(fill.id) if fill else "",
        "client_order_id": order.client_order_id,
        "create_time": str(order.created_ms),
        "update_time": str(order.updated_ms),
    }


def _end(order: Order, fill: Fill | None) -> dict[str, str]:
    return {
        "order_mode": SPOT,
        "entrust_type": _ENTRUST_TYPES.get(order.type, "NORMAL"),
        "order_state": order.state,
        "dealFee": plain(fill.fee if fill else ZERO),
        "deal_fee_coin_name": fill.fee_currency if fill else "",
    }
