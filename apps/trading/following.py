"""Ask the exchange about sent orders and record what it says. Sends nothing."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction

from apps.connectors import clock
from apps.connectors.budget import Priority, at_least
from apps.connectors.exchange import (
    ClockError,
    Exchange,
    ExchangeError,
    FillReport,
    OrderReport,
    OrderStatus,
    OrderType,
)
from apps.connectors.opening import open_connector
from apps.connectors.sealing import SealError
from apps.lib import world
from apps.lib.compiled import update
from apps.lib.decimals import normalize_text
from apps.trading import absence, doubts, recording
from apps.trading.legs import Intent
from apps.trading.models import FINAL_STATES, MOVES, Order, OrderState
from apps.trading.transitions import StaleOrderError, advance, note, postpone

logger = logging.getLogger(__name__)

S = OrderState

NOT_FOUND_APART = timedelta(seconds=5)
# A fact of an order that is taken back although nobody asked for it: why.
TAKEN_BACK = "taken_back"


# So long an order may still be shown as open after its cancellation was sent: BitMart cancels later than it answers.
CANCEL_SETTLES = timedelta(seconds=5)
# The exchange may tell of the last fill after it told of the cancellation: ask once more then.
LATE_FILLS_AFTER = timedelta(seconds=10)
# Fills that were inferred are looked for so often, for an hour.
INFERRED_EVERY, INFERRED_LOOKS = timedelta(minutes=1), 60


def look(order: Order) -> bool:
    """Ask the exchange about a sent order and record what it says. False: no news, which proves nothing."""
    try:
        exchange = open_connector(order.connector)
    except SealError:
        logger.error("order %s: the key to ask with cannot be opened", order.pk)
        postpone(order, cause="key cannot be opened")
        doubts.not_told(order)
        return False
    was_awaited = order.state == S.UNKNOWN or order.query_count > 0
    try:
        report = exchange.find_order(
            order.symbol, client_order_id=order.client_order_id, exchange_order_id=order.exchange_order_id
        )
        if report is None:
            _not_found(order, exchange)
        else:
            _apply(order, exchange, report)
        if was_awaited and (order.is_final or report is not None):
            doubts.told(order)
    except ExchangeError as error:
        logger.warning("order %s: no news: %s", order.pk, error.sentence)
        postpone(order, cause="query failed", evidence=evidence_of(error))
        if isinstance(error, ClockError):
            clock.measure_again(order.connector, exchange, urgency=Priority.QUERY)
        doubts.not_told(order)
        return False
    except StaleOrderError:
        order.refresh_from_db()
        return False
    return True


def is_told_by_fills(order: Order) -> bool:
    """Ask an order that was just acknowledged for its fills, and record them; True when they say that it is done.

    Fills that add up to the quantity are the same proof as the exchange's word that the order is filled, in one answer
    instead of two. Anything else, silence too, says nothing here: `look` asks about the order then.
    """
    is_sure = order.order_type == OrderType.MARKET and order.notional is None
    # What is recorded already may be an inferred fill, which real ones do not stand beside.
    if not is_sure or order.state != S.ACCEPTED or order.filled_quantity or not order.exchange_order_id:
        return False
    try:
        exchange = open_connector(order.connector)
        own = _own(order.exchange_order_id, exchange.fills(order.symbol, exchange_order_id=order.exchange_order_id))
    except (ExchangeError, SealError):
        return False
    recording.record(order, own, ending=lambda recorded: _end_by_fills(order, recorded))
    if order.state != S.FILLED:
        return False
    if order.query_count:
        # Its sender was taken for dead meanwhile, and a person may have been told.
        doubts.told(order)
    return True


def _own(exchange_order_id: str, told: Sequence[FillReport]) -> list[FillReport]:
    """Leave out what an answer tells of other orders: an ignored filter tells of all."""
    return [fill for fill in told if fill.exchange_order_id == exchange_order_id]


def look_for_fills(order: Order) -> bool:
    """Look for the fills that were inferred; False while they are still awaited, and asked for again later."""
    if order.state not in {S.FILLED, S.CANCELED} or recording.inferred_of(order) is None:
        return True
    try:
        told = open_connector(order.connector).fills(order.symbol, exchange_order_id=order.exchange_order_id)
    except (ExchangeError, SealError) as error:
        logger.warning("order %s: its fills were not read: %s", order.pk, error)
        told = []
    own = _own(order.exchange_order_id, told)
    if recording.replace_inferred(order, own):
        return True
    if order.query_count >= INFERRED_LOOKS:
        return True
    again = {"query_count": order.query_count + 1, "next_at": world.now() + INFERRED_EVERY}
    update(Order, again, id=order.pk, version=order.version)
    return False


def evidence_of(error: ExchangeError) -> dict[str, Any]:
    return {
        "error": type(error).__name__,
        "code": error.code,
        "http_status": error.http_status,
        "said": error.sentence[:300],
    }


def _apply(order: Order, exchange: Exchange, report: OrderReport) -> None:
    """Record what the exchange says of the order: its fills first, then its state."""
    if report.client_order_id and report.client_order_id != order.client_order_id:
        logger.error("order %s: the answer is about another order", order.pk)
        postpone(order, cause="answer about another order")
        doubts.not_told(order)
        return
    if report.filled_quantity > order.filled_quantity:
        fills = exchange.fills(order.symbol, exchange_order_id=report.exchange_order_id)
        own = _own(report.exchange_order_id, fills)
        recording.record(order, own, ending=lambda recorded: _end_of(order, report, recorded))
        if order.state == S.FILLED:
            return
        if report.filled_quantity > order.filled_quantity and _has_ended(report) and _is_overdue(report, exchange):
            recording.infer(order, report)
    columns: dict[str, Any] = {"exchange_order_id": report.exchange_order_id or order.exchange_order_id}
    if order.acknowledged_at is None:
        columns["acknowledged_at"] = world.now()
    to = _state_for(report, recorded=order.filled_quantity)
    if to is None:
        logger.error("order %s: the exchange names a state we do not know", order.pk)
        postpone(order, cause="unknown state at the exchange")
        return
    if to == S.REJECTED:
        columns |= {"reason_code": "REJECTED_BY_EXCHANGE", "reason": "The exchange took the order and then refused it."}
    if to == S.CANCELED:
        columns |= _why_cancelled(order)
        columns["next_at"] = world.now() + LATE_FILLS_AFTER
    if to == S.FILLED:
        columns |= {"reason_code": "", "reason": ""}
        if _is_overdue(report, exchange) and recording.inferred_of(order) is not None:
            columns |= {"next_at": world.now() + INFERRED_EVERY, "query_count": 0}
    if order.is_final and to not in MOVES[OrderState(order.state)]:
        # Another process brought it to its end meanwhile; a final order is never due again.
        return
    if order.state == S.CANCELLING and to not in FINAL_STATES and _is_settling(order):
        postpone(order, cause="cancellation not told yet", **columns)
        return
    if to == order.state:
        postpone(order, cause="still open", **columns)
        return
    if to not in {S.FILLED, S.CANCELED, S.REJECTED}:
        columns["next_at"] = world.now() + timedelta(seconds=1)
    advance(order, to, cause="told by the exchange", evidence=_told_in(report), **columns)


def _end_of(order: Order, report: OrderReport, recorded: Decimal) -> dict[str, Any] | None:
    """Return the move that an order under way makes with its last fill; None when it is not that simple."""
    is_filled = report.status is OrderStatus.FILLED and recorded >= report.filled_quantity
    if not is_filled or order.state not in {S.ACCEPTED, S.PARTIAL}:
        return None
    end = _filled(order, cause="told by the exchange", evidence=_told_in(report))
    return {**end, "exchange_order_id": report.exchange_order_id or order.exchange_order_id}


def _end_by_fills(order: Order, recorded: Decimal) -> dict[str, Any] | None:
    if order.state not in {S.ACCEPTED, S.PARTIAL} or recorded != order.quantity:
        return None
    return _filled(order, cause="its fills add up", evidence={"filled_quantity": normalize_text(recorded)})


def _filled(order: Order, *, cause: str, evidence: dict[str, Any]) -> dict[str, Any]:
    return {
        "to": S.FILLED,
        "cause": cause,
        "evidence": evidence,
        "acknowledged_at": order.acknowledged_at or world.now(),
        "reason_code": "",
        "reason": "",
    }


def _told_in(report: OrderReport) -> dict[str, str]:
    return {"status": report.status.value, "filled_quantity": f"{report.filled_quantity:f}"}


def _state_for(report: OrderReport, *, recorded: Decimal) -> OrderState | None:
    """A final word counts once every fill it speaks of is recorded; `recorded` in the order's quantity units."""
    is_complete = recorded >= report.filled_quantity
    if report.status is OrderStatus.UNRECOGNIZED:
        return None
    if report.status is OrderStatus.REJECTED:
        return S.REJECTED
    if report.status is OrderStatus.FILLED and is_complete:
        return S.FILLED
    if report.status is OrderStatus.CANCELED and is_complete:
        return S.CANCELED
    return S.PARTIAL if report.filled_quantity or recorded else S.ACCEPTED


def _why_cancelled(order: Order) -> dict[str, str]:
    if order.cancel_requested_at is not None:
        filled = f"{normalize_text(order.filled_quantity)} of {normalize_text(order.quantity)} were filled before."
        why = f"Taken back, for {order.facts[TAKEN_BACK]}" if TAKEN_BACK in order.facts else "Cancelled as asked"
        return {"reason_code": "CANCELED_ON_REQUEST", "reason": f"{why}; {filled}"}
    if order.reason:
        return {}
    return {
        "reason_code": "CANCELED_BY_EXCHANGE",
        "reason": "The exchange cancelled the order before it was filled.",
    }


def _is_settling(order: Order) -> bool:
    return order.cancel_sent_at is not None and world.now() - order.cancel_sent_at < CANCEL_SETTLES


def _has_ended(report: OrderReport) -> bool:
    """While the order lives, fills that are not told yet may still be: inferred ones would count twice with them."""
    return report.status in {OrderStatus.FILLED, OrderStatus.CANCELED}


def _is_overdue(report: OrderReport, exchange: Exchange) -> bool:
    """By the exchange's clock, which dates the report: ours may be minutes ahead."""
    return report.updated_at is not None and _venue_now(exchange) - report.updated_at > recording.INFER_AFTER


def _venue_now(exchange: Exchange) -> datetime:
    return world.now() + timedelta(milliseconds=exchange.clock_offset_ms)


@at_least(Priority.QUERY)
def _not_found(order: Order, exchange: Exchange) -> None:
    """Before the fence an absence proves nothing; after it, two of them do where nothing contradicts them."""
    if order.state != S.UNKNOWN:
        postpone(order, cause="not found")
        doubts.not_told(order)
        return
    venue_now = _venue_now(exchange)
    if order.fence_at is None or venue_now <= order.fence_at:
        postpone(order, cause="not found before the fence")
        return
    if order.not_found_count < 1:
        with transaction.atomic():
            if _was_told_meanwhile(order):
                return
            note(
                order,
                cause="not found",
                not_found_count=1,
                query_count=order.query_count + 1,
                next_at=world.now() + NOT_FOUND_APART,
            )
        return
    if datetime.fromtimestamp(exchange.server_time_ms() / 1000, UTC) <= order.fence_at:
        # Our clock was turned since it was measured; up to the fence by its own, the exchange may still take the order.
        postpone(order, cause="not found before the fence")
        return
    if contradiction := absence.contradicted(order, exchange):
        logger.error("order %s: %s; a person has to look", order.pk, contradiction)
        postpone(order, cause="not found, contradicted")
        doubts.not_told(order, contradiction=contradiction)
        return
    with transaction.atomic():
        if _was_told_meanwhile(order):
            return
        advance(
            order,
            S.NOT_PLACED,
            cause="proved absent",
            reason_code="NOT_PLACED",
            reason="The exchange never got this order: it is not there and the account did not change. "
            "Nothing was traded.",
            evidence={"not_found": 2, "fence_at": order.fence_at.isoformat()},
            next_at=world.now() if order.intent == Intent.EXIT else None,
        )


def _was_told_meanwhile(order: Order) -> bool:
    """Lock the row and say whether a stream told of the order while it was looked for; `order` is current then.

    That moves no order: it voids the absences counted, and brings forward the next look, which whoever looks put off.
    """
    as_it_was = {"not_found_count": order.not_found_count, "next_at": order.next_at}
    if Order.unscoped.select_for_update().filter(pk=order.pk, **as_it_was).values_list("pk", flat=True):
        return False
    logger.warning("order %s: a stream told of it while it was looked for", order.pk)
    order.refresh_from_db()
    return True
