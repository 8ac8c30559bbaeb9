"""Take orders back: asked for on the row, sent after a query, believed only on proof.

Anybody may ask, pages too: `request` only writes. A worker or the sweeper, who can open keys, does it with `take_back`:
CANCELLING is committed before any byte leaves, and afterwards the exchange is asked what became of the order. A fill
that came first is recorded like any other. A cancellation is sent again only when a query shows the order still open.
"""

import logging
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from apps.connectors import clock
from apps.connectors.budget import Priority
from apps.connectors.exchange import (
    ClockError,
    ExchangeError,
    NotSentError,
    OrderRejectedError,
    RateLimitError,
)
from apps.connectors.opening import open_connector
from apps.connectors.sealing import SealError
from apps.lib import world
from apps.lib.compiled import Compiled
from apps.trading.denials import Denial, DenialCode
from apps.trading.following import TAKEN_BACK, evidence_of, look
from apps.trading.models import LIVE_STATES, OPEN_STATES, Order, OrderState
from apps.trading.transitions import StaleOrderError, deny, move, note, postpone

logger = logging.getLogger(__name__)

S = OrderState

# After so many cancellations without effect somebody should know.
ALARM_AFTER = 5
_LOOK_PAUSES_S = (0.05, 0.3)
_LONGEST_WAIT_S = 30


def request(order: Order, *, by: str, why: str = "") -> bool:
    """Ask for an order to be taken back; False when it is over or was asked for before. Sends nothing.

    `why` is told with its end, where nobody asked for this order.
    """
    for _ in range(5):
        if not order.may_be_cancelled:
            return False
        now = world.now()
        columns: dict[str, Any] = {"cancel_requested_at": now}
        if why:
            columns["facts"] = {**order.facts, TAKEN_BACK: why}
        # What is being sent, or is in doubt, keeps its pace: its outcome is looked for first.
        if order.state in LIVE_STATES | {S.PLANNED}:
            columns["next_at"] = now
        try:
            note(order, cause="cancellation asked for", evidence={"by": by}, **columns)
        except StaleOrderError:
            order.refresh_from_db()
        else:
            return True
    return False


def open_orders(connector_id: UUID, symbol: str) -> QuerySet[Order]:
    """Return our own orders of a symbol that may still trade."""
    return _open(connector_id, symbol).select_related("connector", "instrument").order_by("created_at", "leg")


def _open(connector: UUID, symbol: str) -> QuerySet[Order]:
    return Order.unscoped.filter(connector_id=connector, symbol=symbol, state__in=OPEN_STATES)


any_open: Compiled[UUID] = Compiled(lambda connector, symbol: _open(connector, symbol).values_list("pk", flat=True)[:1])


def drop_unsent(order: Order) -> None:
    deny(order, Denial(DenialCode.TAKEN_BACK, {"symbol": order.symbol}))


def take_back(order: Order) -> None:
    """Send one cancellation for a live order that was just looked at, then look what came of it."""
    try:
        exchange = open_connector(order.connector)
    except SealError:
        postpone(order, cause="key cannot be opened")
        return
    now = world.now()
    signed_at = now + timedelta(milliseconds=exchange.clock_offset_ms)
    try:
        move(
            order,
            S.CANCELLING,
            cause="cancelling",
            evidence={"attempt": order.cancel_attempt + 1},
            cancel_sent_at=now,
            cancel_attempt=order.cancel_attempt + 1,
            query_count=0,
            next_at=now + timedelta(seconds=1),
        )
    except StaleOrderError:
        order.refresh_from_db()
        return
    if order.cancel_attempt >= ALARM_AFTER:
        logger.error("order %s: cancellation number %s", order.pk, order.cancel_attempt)
    cause, evidence = _send(order, exchange, int(signed_at.timestamp() * 1000))
    try:
        note(order, cause=cause, evidence=evidence)
    except StaleOrderError:
        order.refresh_from_db()
    for pause in _LOOK_PAUSES_S:
        if order.is_final:
            return
        world.sleep(pause)
        look(order)


def _send(order: Order, exchange: Any, signed_at_ms: int) -> tuple[str, dict[str, Any]]:
    try:
        is_accepted = exchange.cancel(
            order.symbol,
            exchange_order_id=order.exchange_order_id,
            client_order_id=order.client_order_id,
            signed_at_ms=signed_at_ms,
        )
    except OrderRejectedError as error:
        # Gone already, one way or the other: the query says which.
        return "cancellation refused", evidence_of(error)
    except (NotSentError, ClockError, RateLimitError) as error:
        if isinstance(error, ClockError):
            clock.measure_again(order.connector, exchange, urgency=Priority.EXIT)
        return "cancellation not taken", evidence_of(error)
    except ExchangeError as error:
        logger.warning("order %s: no proof of its cancellation: %s", order.pk, error.sentence)
        return "no proof of the cancellation", evidence_of(error)
    return ("cancellation accepted" if is_accepted else "cancellation refused"), {}
