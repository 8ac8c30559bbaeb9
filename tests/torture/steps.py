"""What can happen to one history in a step, drawn from its dice. Each returns the words that tell of it."""

import json
import random
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from apps.accounts.models import Subscription
from apps.accounts.trading_state import TradingState
from apps.alerts import intake, release
from apps.alerts.models import Alert, AlertStatus
from apps.connectors.bitmart import open_exchange, transport
from apps.connectors.exchange import Credentials, Exchange, ExchangeError, Market, OrderRequest, OrderType, Side
from apps.connectors.models import Connector
from apps.lib import world
from apps.lib.compiled import Compiled, update
from apps.trading import cancelling
from apps.trading.models import FINAL_STATES, Order
from tests.torture.tenants import Tenant
from tests.torture.venue import SUBMIT, URL, Venue

ACTIONS = (("buy", "flat"), ("sell", "long"), ("sell", "flat"), ("buy", "short"), ("buy", "long"), ("sell", "short"))
QUERIES = {
    "futures": (
        "/contract/private/get-open-orders",
        "/contract/private/order-history",
        "/contract/private/order",
        "/contract/private/trades",
        "/contract/private/position-v2",
        "/contract/private/assets-detail",
    ),
    "spot": (
        "/spot/v4/query/client-order",
        "/spot/v4/query/order",
        "/spot/v4/query/order-trades",
        "/spot/v4/query/trades",
        "/spot/v1/wallet",
        "/account/v1/wallet",
    ),
}
# (action, details) of what may become of a submit. 418 and 403 shut out an address: those are the world's to send.
SUBMIT_FAULTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("drop_request", {}),
    ("drop_answer", {}),
    ("drop_answer", {}),
    ("status", {"status": 502, "accepted": True}),
    ("status", {"status": 502, "accepted": False}),
    ("status", {"status": 504, "accepted": True}),
    ("html", {"status": 502, "accepted": True}),
    ("html", {"status": 503, "accepted": False}),
    ("truncated", {}),
    ("cut_answer", {}),
    ("code", {"code": 99999, "status": 200, "accepted": True}),
    ("code", {"code": 99999, "status": 400, "accepted": False}),
    ("code", {"code": 40012, "status": 400, "accepted": True}),
    ("code", {"code": 30007, "status": 400, "accepted": False}),
    ("code", {"code": 40050, "status": 400, "accepted": True}),
    ("code", {"code": 40035, "status": 400, "accepted": False}),
    ("too_many", {}),
    ("maintenance", {}),
    ("no_data", {"data": "absent"}),
    ("no_data", {"data": "empty"}),
    ("delay", {"code": 2500}),
    ("delay", {"code": 30000}),
    ("not_applied", {}),
)
QUERY_FAULTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("status", {"status": 502, "accepted": False}),
    ("html", {"status": 502, "accepted": False}),
    ("truncated", {}),
    ("no_data", {"data": "absent"}),
    ("no_data", {"data": "null"}),
    ("other_order", {}),
    ("odd_state", {}),
    ("ignore_filter", {}),
    ("twice", {}),
    ("reversed", {}),
    ("drop_answer", {}),
    ("maintenance", {}),
    ("delay", {"code": 12000}),
)


@dataclass(slots=True)
class History:
    """One tenant's life in a world. `sent` are the ids of the alerts that were taken in."""

    tenant: Tenant
    account_id: int
    dice: random.Random
    venue: Venue
    told: list[str] = field(default_factory=list)
    sent: list[UUID] = field(default_factory=list)
    has_outside_trades: bool = False
    faults: int = 0
    _bodies: list[bytes] = field(default_factory=list)
    _key_is_frozen: bool = False
    _hand: Exchange | None = None
    _numbers: int = 0

    @property
    def connector(self) -> Connector:
        return self.tenant.connector

    @property
    def key(self) -> str:
        return self.tenant.credentials[0]

    def step(self) -> None:
        """Draw what happens next and let it."""
        draw = self.dice.choices(_STEPS, _WEIGHTS)[0]
        self.told.append(f"{world.monotonic():9.3f} {draw(self)}")

    def deliver(self, body: bytes) -> str:
        receipt = intake.store(body, content_type="text/plain", sender="sim", ip="52.89.214.238", now=world.now())
        self.sent += receipt.alert_ids
        return "" if receipt.alert_ids else ": not taken"

    def restore(self) -> None:
        """What a person would put right in the end: the key works, nothing is paused or halted."""
        self.venue.freeze_key(self.account_id, frozen=False)
        self._key_is_frozen = False
        update(Connector, {"trading_state": TradingState.ACTIVE, "paused_at": None}, id=self.connector.pk)


def alert(history: History) -> str:
    dice = history.dice
    action, prev = dice.choice(ACTIONS)
    message: dict[str, Any] = {
        "ticker": history.tenant.symbol,
        "action": action,
        "prev_position": prev,
        "quantity": f"0.00{dice.randint(1, 4)}",
        "pointer": history.tenant.pointer,
    }
    if dice.random() < 0.15:
        # Up to 0.8 % off: the price moves by 1 % at most in a step, so that some are filled at once and some rest.
        limit = history.venue.prices[history.tenant.symbol] * (1 + Decimal(dice.randint(-80, 80)) / 10_000)
        message |= {"order_type": "limit", "limit_price": str(limit.quantize(Decimal("0.1")))}
    if history.tenant.market == "futures" and dice.random() < 0.15:
        for name in dice.choice((("stop_loss",), ("take_profit",), ("stop_loss", "take_profit"))):
            message[name] = {"percent": dice.choice(("0.5", "1.5", "4"))}
    if dice.random() < 0.06:
        message = {"ticker": history.tenant.symbol, "closeall": "true", "pointer": history.tenant.pointer}
    if dice.random() < 0.5:
        history._numbers += 1
        message["id"] = f"n{history._numbers}"
    body = json.dumps(message).encode()
    history._bodies.append(body)
    shown = {name: value for name, value in message.items() if name not in {"pointer", "ticker"}}
    return f"alert {shown}{history.deliver(body)}"


def again(history: History) -> str:
    if not history._bodies:
        return alert(history)
    body = history.dice.choice(history._bodies[-2:])
    return f"the same alert again{history.deliver(body)}"


def twice_at_once(history: History) -> str:
    said = alert(history)
    world.sleep(0.005)
    return f"twice, 5 ms apart: {said}{history.deliver(history._bodies[-1])}"


def submit_fault(history: History) -> str:
    action, details = history.dice.choice(SUBMIT_FAULTS)
    if details.get("code") == 40050 and history.tenant.market == "spot":
        details = {**details, "code": 50042}
    history.venue.fault(history.key, SUBMIT[history.tenant.market], action, **details)
    return f"fault on the next order: {action} {details}"


def query_fault(history: History) -> str:
    action, details = history.dice.choice(QUERY_FAULTS)
    route = history.dice.choice(QUERIES[history.tenant.market])
    times = history.dice.choice((1, 1, 2, 4))
    history.venue.fault(history.key, route, action, times=times, **details)
    return f"fault on {route}: {action} {details} x{times}"


def invisible(history: History) -> str:
    """The venue shows nothing younger than some seconds, for a while."""
    lag_ms = history.dice.choice((1_000, 5_000, 20_000))
    for route in QUERIES[history.tenant.market][:4]:
        history.venue.fault(history.key, route, "invisible", times=history.dice.randint(1, 6), delay_ms=lag_ms)
    return f"orders and fills show {lag_ms} ms late"


def held_back(history: History) -> str:
    seconds = history.dice.choice((1, 9, 25, 55, 61, 100))
    history.venue.held_back[history.key] = seconds
    return f"the next order reaches the venue {seconds} s late"


def unreachable(history: History) -> str:
    history.venue.unreachable[history.key] = history.dice.choice((1, 1, 2, 5))
    return f"connection refused x{history.venue.unreachable[history.key]}"


def hand_trade(history: History) -> str:
    """The owner trades at the venue's own site."""
    if history._hand is None:
        with transport.replaced(lambda: _ByHand(history.venue)):
            history._hand = open_exchange(
                market=Market(history.tenant.market),
                base_url=URL,
                credentials=Credentials(*history.tenant.credentials),
                user_agent="hand/1",
            )
    history._numbers += 1
    side = history.dice.choice((Side.BUY, Side.SELL))
    size = history.dice.randint(1, 3)
    on_spot = history.tenant.market == "spot"
    order = OrderRequest(
        client_order_id=f"hand{history._numbers}",
        symbol=history.tenant.symbol,
        side=side,
        order_type=OrderType.MARKET,
        quantity=None if on_spot and side is Side.BUY else Decimal(size) / 1000 if on_spot else Decimal(size),
        notional=Decimal(60 * size) if on_spot and side is Side.BUY else None,
    )
    try:
        history._hand.submit(order, signed_at_ms=history.venue.world.venue_ms())
    except ExchangeError as error:
        return f"by hand: {side} {size}: refused: {error.sentence}"
    history.has_outside_trades = True
    return f"by hand: {side} {size}"


def key(history: History) -> str:
    history._key_is_frozen = not history._key_is_frozen
    history.faults += history._key_is_frozen
    history.venue.freeze_key(history.account_id, frozen=history._key_is_frozen)
    return "key revoked" if history._key_is_frozen else "key restored"


def key_back(history: History) -> str:
    if not history._key_is_frozen:
        return "a moment passes"
    return key(history)


def pause(history: History) -> str:
    paused_at = world.now() if history.dice.random() < 0.5 else None
    update(Connector, {"paused_at": paused_at}, id=history.connector.pk)
    return "paused" if paused_at else "no longer paused"


def brake(history: History) -> str:
    state = history.dice.choice([*TradingState.values, TradingState.ACTIVE.value])
    _set_state(history, state)
    return f"connector {state}"


def trial(history: History) -> str:
    over = history.dice.random() < 0.4
    ends_at = world.now() + (timedelta(seconds=-1) if over else timedelta(days=14))
    update(Subscription, {"trial_ends_at": ends_at}, workspace_id=history.connector.workspace_id)
    return "trial over" if over else "trial runs"


def judge_held(history: History) -> str:
    found = _held(connector=history.connector.pk)
    if not found:
        return "a moment passes"
    (held,) = found
    if history.dice.random() < 0.5:
        release.run(held)
        return "the held alert is run"
    release.dismiss(held)
    return "the held alert is dismissed"


def take_back(history: History) -> str:
    """The owner cancels an order on its page."""
    found = _not_taken_back(connector=history.connector.pk)
    if not found:
        return "a moment passes"
    (order,) = found
    return f"{order.client_order_id} is cancelled: {cancelling.request(order, by='its owner')}"


def moment(history: History) -> str:
    return "a moment passes"


_held: Compiled[Alert] = Compiled(
    lambda connector: Alert.unscoped.filter(connector_id=connector, status=AlertStatus.HELD).order_by("received_at")[:1]
)
_not_taken_back: Compiled[Order] = Compiled(
    lambda connector: (
        Order.unscoped.filter(connector_id=connector, cancel_requested_at=None)
        .exclude(state__in=sorted(FINAL_STATES))
        .order_by("created_at")[:1]
    )
)


class _ByHand:
    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self.send = venue.by_hand

    def close(self) -> None: ...


def _set_state(history: History, state: str) -> None:
    update(Connector, {"trading_state": state}, id=history.connector.pk)


_DRAWN = (
    (alert, 14), (again, 2), (twice_at_once, 1), (submit_fault, 14), (query_fault, 10), (invisible, 3), (held_back, 3),
    (unreachable, 2), (hand_trade, 2), (key, 1), (key_back, 4), (pause, 1), (brake, 2), (trial, 2), (judge_held, 2),
    (take_back, 2),
    (moment, 12),
)  # fmt: skip
_STEPS = [step for step, _ in _DRAWN]
_WEIGHTS = [weight for _, weight in _DRAWN]
