"""Orders out, reports in. The only file that sends orders.

`drive` takes one order as far as it goes now. Each step is committed before the next, so that a process that dies at
any point leaves a row from which another can go on: PLANNED is sent, SUBMITTING that nobody finishes becomes UNKNOWN, and
UNKNOWN is only ever queried.
"""

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from apps.connectors import instruments
from apps.connectors.check import measure_offset_ms
from apps.connectors.exchange import (
    Book,
    ClockError,
    CredentialsError,
    DuplicateOrderError,
    Exchange,
    ExchangeError,
    MarginMode,
    NotSentError,
    NotSupportedError,
    OrderRejectedError,
    OrderReport,
    OrderRequest,
    OrderStatus,
    OrderType,
    RateLimitError,
    Side,
    TimeInForce,
    UnreachableError,
)
from apps.connectors.models import Connector
from apps.connectors.opening import open_connector
from apps.connectors.sealing import SealError
from apps.trading import recording, sizing
from apps.trading.denials import Denial, DenialCode
from apps.trading.legs import Intent, Leg
from apps.trading.market import fee_rates, read_account, read_ticker
from apps.trading.models import MOVES, Order, OrderState
from apps.trading.placing import guard_again
from apps.trading.transitions import IllegalMoveError, StaleOrderError, move, note

logger = logging.getLogger(__name__)

S = OrderState

# Connect 3 s, read 8 s, and room for a slow database: later the sender is taken for dead.
SEND_LIMIT = timedelta(seconds=20)
FOLLOW_PAUSES_S = (0.03, 0.08, 0.15, 0.3, 0.5, 0.8, 1.2)
UNKNOWN_PAUSES_S = (1, 2, 4, 8, 15)
NOT_FOUND_APART = timedelta(seconds=5)
LONGEST_WAIT_S = 30


def drive(order: Order) -> None:
    """Send a planned order, then follow it until it is final, in doubt, or has taken some seconds.

    The caller holds the lease of (connector, symbol). What is left over has `next_at` set for whoever comes next.
    """
    if order.state == S.PLANNED:
        send(order)
    for pause in FOLLOW_PAUSES_S:
        if order.is_final or order.state in {S.PLANNED, S.UNKNOWN, S.SUBMITTING}:
            break
        look(order)
        if order.is_final:
            break
        time.sleep(pause)
    settle_legs(order)


def step(order: Order) -> None:
    """Do the one thing that is due for an order: used by the poller and the sweeper."""
    if order.state == S.NOT_PLACED:
        replan_exit(order)
    if order.state == S.PLANNED:
        drive(order)
        return
    if order.state == S.SUBMITTING:
        # Its sender is gone. Whether bytes left is not known: query, never send again.
        _move(order, S.UNKNOWN, cause="sender gone", next_at=timezone.now())
    if not order.is_final:
        look(order)
    settle_legs(order)


def send(order: Order) -> None:
    """Send one planned order once. The row says SUBMITTING, with its fence, before any byte leaves."""
    now = timezone.now()
    if order.expires_at is not None and now > order.expires_at and order.intent == Intent.ENTRY:
        _expire(order, now)
        return
    if order.waits_for_parent and not _ready_after_parent(order):
        return
    try:
        exchange = open_connector(order.connector)
    except SealError:
        _deny(
            order,
            Denial(
                DenialCode.SETUP_FAILED,
                {
                    "what": "the exchange key",
                    "symbol": order.symbol,
                    "why": "it cannot be opened: enter the key again",
                },
            ),
        )
        return
    signed_at = now + timedelta(milliseconds=exchange.clock_offset_ms)
    move(
        order,
        S.SUBMITTING,
        cause="sending",
        evidence={"attempt": order.attempt + 1},
        signed_at=signed_at,
        fence_at=signed_at + fence(),
        attempt=order.attempt + 1,
        next_at=now + SEND_LIMIT,
    )
    try:
        report = exchange.submit(request_of(order), signed_at_ms=_milliseconds(signed_at))
    except ExchangeError as error:
        _record_failure(order, exchange, error)
    else:
        _acknowledge(order, report)


def fence() -> timedelta:
    """How long after its signed time an order may still turn up at the exchange: window, twice the skew, visibility."""
    return timedelta(seconds=settings.FENCE_WINDOW_S + 2 * settings.FENCE_SKEW_S + settings.FENCE_VISIBILITY_S)


def request_of(order: Order) -> OrderRequest:
    is_entry = order.intent == Intent.ENTRY
    return OrderRequest(
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=Side(order.side),
        order_type=OrderType(order.order_type),
        quantity=None if order.notional is not None else order.quantity,
        notional=order.notional,
        price=order.price,
        time_in_force=TimeInForce(order.time_in_force),
        reduce_only=order.reduce_only,
        book=Book(order.book),
        leverage=order.leverage if is_entry else None,
        margin_mode=MarginMode(order.margin_mode) if is_entry and order.margin_mode else None,
    )


def look(order: Order) -> None:
    """Ask the exchange about a sent order and record what it says. An error is no news."""
    exchange = open_connector(order.connector)
    try:
        report = exchange.find_order(
            order.symbol, client_order_id=order.client_order_id, exchange_order_id=order.exchange_order_id
        )
        if report is None:
            _not_found(order, exchange)
        else:
            _apply(order, exchange, report)
    except ExchangeError as error:
        logger.warning("order %s: no news: %s", order.pk, error.sentence)
        _wait(order, cause="query failed", evidence=_evidence(error))
    except StaleOrderError:
        order.refresh_from_db()


def settle_legs(order: Order) -> None:
    """Once a closing order is final, let the leg that waits for it go, or give it up."""
    if not order.is_final:
        return
    waiting = Order.unscoped.filter(parent=order, waits_for_parent=True, state=S.PLANNED)
    for leg in waiting.select_related("connector", "instrument"):
        if order.state == S.FILLED:
            if leg.next_at is None:
                Order.unscoped.filter(pk=leg.pk, version=leg.version).update(next_at=timezone.now())
                leg.next_at = timezone.now()
            drive(leg)
        else:
            _deny(leg, Denial(DenialCode.CLOSE_LEG_FAILED, {"state": order.get_state_display(), "symbol": leg.symbol}))


def _acknowledge(order: Order, report: OrderReport) -> None:
    _move(
        order,
        S.ACCEPTED,
        cause="acknowledged",
        evidence={"exchange_order_id": report.exchange_order_id},
        exchange_order_id=report.exchange_order_id,
        acknowledged_at=timezone.now(),
        next_at=timezone.now() + timedelta(seconds=5),
    )


@dataclass(frozen=True, slots=True)
class _Verdict:
    to: OrderState
    cause: str
    retry_after_s: float = 0


def _verdict(order: Order, error: ExchangeError) -> _Verdict:
    match error:
        case DuplicateOrderError():
            return _Verdict(S.UNKNOWN, "client order id known to the exchange")
        case UnreachableError():
            return _Verdict(S.UNKNOWN, "no proof of the outcome")
        case RateLimitError():
            return _Verdict(S.PLANNED, "rate limited", max(error.retry_after, 1))
        case ClockError():
            return _Verdict(S.PLANNED, "timestamp refused", 1)
        case NotSentError():
            return _Verdict(S.PLANNED, "not sent", min(2**order.attempt, LONGEST_WAIT_S))
        case OrderRejectedError() | CredentialsError() | NotSupportedError():
            return _Verdict(S.REJECTED, "rejected")
    return _Verdict(S.UNKNOWN, "unlisted error")


def _record_failure(order: Order, exchange: Exchange, error: ExchangeError) -> None:
    verdict = _verdict(order, error)
    now = timezone.now()
    columns: dict[str, object] = {"reason": error.sentence[:500], "reason_code": _reason_code(error)}
    if verdict.to == S.UNKNOWN:
        columns |= {"next_at": now + timedelta(seconds=UNKNOWN_PAUSES_S[0]), "not_found_count": 0, "query_count": 0}
        logger.warning("order %s: outcome unknown, checking: %s", order.pk, error.sentence)
    if verdict.to == S.PLANNED:
        columns["next_at"] = now + timedelta(seconds=verdict.retry_after_s)
    if isinstance(error, ClockError):
        _measure_clock(order.connector, exchange)
    _move(order, verdict.to, cause=verdict.cause, evidence=_evidence(error), **columns)


def _apply(order: Order, exchange: Exchange, report: OrderReport) -> None:
    """Record what the exchange says of the order: its fills first, then its state."""
    if report.client_order_id and report.client_order_id != order.client_order_id:
        logger.error("order %s: the answer is about another order", order.pk)
        _wait(order, cause="answer about another order")
        return
    if report.filled_quantity > order.filled_quantity:
        fills = exchange.fills(order.symbol, exchange_order_id=report.exchange_order_id)
        recording.record(order, [fill for fill in fills if fill.exchange_order_id == report.exchange_order_id])
        if report.filled_quantity > order.filled_quantity and _is_overdue(report):
            recording.infer(order, report)
    is_complete = order.filled_quantity >= report.filled_quantity
    columns: dict[str, object] = {"exchange_order_id": report.exchange_order_id or order.exchange_order_id}
    if order.acknowledged_at is None:
        columns["acknowledged_at"] = timezone.now()
    to = _state_for(report, is_complete=is_complete)
    if to is None:
        logger.error("order %s: the exchange names a state we do not know", order.pk)
        _wait(order, cause="unknown state at the exchange")
        return
    if to == S.REJECTED:
        columns |= {"reason_code": "REJECTED_BY_EXCHANGE", "reason": "The exchange took the order and then refused it."}
    if to == S.CANCELED and not order.reason:
        columns |= {
            "reason_code": "CANCELED_BY_EXCHANGE",
            "reason": "The exchange cancelled the order before it was filled.",
        }
    if to == S.FILLED:
        columns |= {"reason_code": "", "reason": ""}
    if to == order.state:
        _wait(order, cause="still open", **columns)
        return
    if to not in {S.FILLED, S.CANCELED, S.REJECTED}:
        columns["next_at"] = timezone.now() + timedelta(seconds=1)
    evidence = {"status": report.status.value, "filled_quantity": f"{report.filled_quantity:f}"}
    _move(order, to, cause="told by the exchange", evidence=evidence, **columns)


def _state_for(report: OrderReport, *, is_complete: bool) -> OrderState | None:
    """A final word counts once every fill it speaks of is recorded."""
    if report.status is OrderStatus.UNRECOGNIZED:
        return None
    if report.status is OrderStatus.REJECTED:
        return S.REJECTED
    if report.status is OrderStatus.FILLED and is_complete:
        return S.FILLED
    if report.status is OrderStatus.CANCELED and is_complete:
        return S.CANCELED
    return S.PARTIAL if report.filled_quantity else S.ACCEPTED


def _is_overdue(report: OrderReport) -> bool:
    return report.updated_at is not None and timezone.now() - report.updated_at > recording.INFER_AFTER


def _not_found(order: Order, exchange: Exchange) -> None:
    """Before the fence an absence proves nothing; after it, two of them and an unchanged account do."""
    if order.state != S.UNKNOWN:
        _wait(order, cause="not found")
        return
    venue_now = timezone.now() + timedelta(milliseconds=exchange.clock_offset_ms)
    if order.fence_at is None or venue_now <= order.fence_at:
        _wait(order, cause="not found before the fence")
        return
    if order.not_found_count < 1:
        note(
            order,
            cause="not found",
            not_found_count=1,
            query_count=order.query_count + 1,
            next_at=timezone.now() + NOT_FOUND_APART,
        )
        return
    if not _account_is_unchanged(order, exchange):
        logger.error("order %s: not found, yet the account changed; a person has to look", order.pk)
        _wait(order, cause="not found, account changed")
        return
    _move(
        order,
        S.NOT_PLACED,
        cause="proved absent",
        reason_code="NOT_PLACED",
        reason="The exchange never got this order: it is not there and the account did not change. Nothing was traded.",
        evidence={"not_found": 2, "fence_at": order.fence_at.isoformat()},
        next_at=timezone.now() if order.intent == Intent.EXIT else None,
    )


def _account_is_unchanged(order: Order, exchange: Exchange) -> bool:
    before = order.facts.get("account", {})
    account = read_account(order.connector, exchange, instruments.in_words(order.instrument))
    now = account.as_facts()
    return all(now[name] == before.get(name) for name in ("held_long", "held_short"))


def _ready_after_parent(order: Order) -> bool:
    """A leg that waited is sized and guarded anew, against an account that must be flat on the other side."""
    parent = Order.unscoped.get(pk=order.parent_id)
    if not parent.is_final:
        return False
    if parent.state != S.FILLED:
        _deny(order, Denial(DenialCode.CLOSE_LEG_FAILED, {"state": parent.get_state_display(), "symbol": order.symbol}))
        return False
    if order.attempt:
        return True
    exchange = open_connector(order.connector)
    words = instruments.in_words(order.instrument)
    try:
        account = read_account(order.connector, exchange, words)
        opposite = account.holding.short if order.side == Side.BUY else account.holding.long
        if opposite >= words.quantity_step and order.book == Book.NET:
            _deny(
                order, Denial(DenialCode.CLOSE_LEG_FAILED, {"state": "with a rest still open", "symbol": order.symbol})
            )
            return False
        sized = sizing.size(
            leg_of(order),
            instrument=words,
            ticker=read_ticker(order.instrument),
            available_quote=account.available_quote,
            fee_rates=fee_rates(order.connector_id, exchange, order.symbol),
            leverage=order.leverage,
        )
    except ExchangeError as error:
        logger.warning("order %s: account not read before the opening leg: %s", order.pk, error.sentence)
        _wait(order, cause="account not read", evidence=_evidence(error))
        return False
    denial = sized if isinstance(sized, Denial) else guard_again(order, sized)
    if denial is not None:
        _deny(order, denial)
        return False
    if isinstance(sized, sizing.SizedLeg):
        facts = {**order.facts, "account": account.as_facts()}
        note(
            order, cause="sized after the closing order", quantity=sized.quantity, notional=sized.notional, facts=facts
        )
    return True


def replan_exit(order: Order) -> None:
    """Send an exit that was proved absent again under its own name, for what is held now; nothing held, nothing sent."""
    exchange = open_connector(order.connector)
    words = instruments.in_words(order.instrument)
    try:
        account = read_account(order.connector, exchange, words)
    except ExchangeError as error:
        _wait(order, cause="account not read", evidence=_evidence(error))
        return
    held = account.holding.long if order.side == Side.SELL else account.holding.short
    quantity = min(order.quantity, held)
    if quantity < max(words.min_quantity, words.quantity_step):
        Order.unscoped.filter(pk=order.pk).update(next_at=None)
        order.next_at = None
        return
    _move(
        order,
        S.PLANNED,
        cause="exit planned anew",
        quantity=quantity,
        not_found_count=0,
        query_count=0,
        finished_at=None,
        next_at=timezone.now(),
        facts={**order.facts, "account": account.as_facts()},
    )


def leg_of(order: Order) -> Leg:
    return Leg(
        code=order.leg,
        intent=Intent(order.intent),
        side=Side(order.side),
        book=Book(order.book),
        quantity=order.quantity,
        reduce_only=order.reduce_only,
        sentence=order.facts.get("sentence", ""),
    )


def _deny(order: Order, denial: Denial) -> None:
    _move(
        order,
        S.DENIED,
        cause="denied",
        reason_code=denial.code.value,
        reason=denial.sentence[:500],
        evidence=dict(denial.facts),
        facts={**order.facts, "denial": dict(denial.facts)},
    )


def _expire(order: Order, now: datetime) -> None:
    waited = int((now - order.created_at).total_seconds())
    denial = Denial(DenialCode.ENTRY_EXPIRED, {"age": str(waited), "limit": str(settings.ENTRY_MAX_AGE_S)})
    _move(order, S.EXPIRED, cause="expired", reason_code=denial.code.value, reason=denial.sentence[:500])


def _wait(order: Order, *, cause: str, evidence: dict[str, object] | None = None, **columns: object) -> None:
    """Set the next look by how often we looked; an event only when the cause is news."""
    pause = UNKNOWN_PAUSES_S[min(order.query_count, len(UNKNOWN_PAUSES_S) - 1)]
    columns |= {"query_count": order.query_count + 1, "next_at": timezone.now() + timedelta(seconds=pause)}
    if evidence:
        note(order, cause=cause, evidence=evidence, **columns)
        return
    if Order.unscoped.filter(pk=order.pk, state=order.state, version=order.version).update(**columns):
        for name, value in columns.items():
            setattr(order, name, value)


def _move(
    order: Order, to: OrderState, *, cause: str, evidence: dict[str, object] | None = None, **columns: object
) -> None:
    """Move, also when the row moved on meanwhile and the new fact still applies to where it is now.

    A sender that was taken for dead may still tell of an acknowledgement. It may not put the order back to PLANNED, nor
    judge an attempt that is no longer the newest.
    """
    attempt = order.attempt
    for _ in range(5):
        try:
            move(order, to, cause=cause, evidence=evidence, **columns)
            return
        except StaleOrderError:
            order.refresh_from_db()
            if to == S.PLANNED or (order.attempt != attempt and to != S.ACCEPTED):
                logger.warning("order %s: a late %r changes nothing", order.pk, cause)
                return
            if to not in MOVES[OrderState(order.state)]:
                logger.info("order %s: %s came after %s", order.pk, cause, order.state)
                return
        except IllegalMoveError:
            logger.error("order %s: %s does not lead from %s to %s", order.pk, cause, order.state, to)
            return


def _measure_clock(connector: Connector, exchange: Exchange) -> None:
    try:
        connector.clock_offset_ms = measure_offset_ms(exchange)
    except ExchangeError:
        return
    exchange.clock_offset_ms = connector.clock_offset_ms
    now = timezone.now()
    Connector.unscoped.filter(pk=connector.pk).update(clock_offset_ms=connector.clock_offset_ms, clock_measured_at=now)


def _reason_code(error: ExchangeError) -> str:
    reason = getattr(error, "reason", None)
    return str(reason) if reason else type(error).__name__.removesuffix("Error").upper()


def _evidence(error: ExchangeError) -> dict[str, object]:
    return {
        "error": type(error).__name__,
        "code": error.code,
        "http_status": error.http_status,
        "said": error.sentence[:300],
    }


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)
