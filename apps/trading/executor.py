"""Orders out, reports in. The only file that sends orders.

`drive` takes one order as far as it goes now. Each step is committed before the next, so that a process that dies at
any point leaves a row from which another can go on: PLANNED is sent, SUBMITTING that nobody finishes becomes UNKNOWN,
and UNKNOWN is only ever queried.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from apps.connectors import clock, outages
from apps.connectors.budget import Priority
from apps.connectors.exchange import (
    Book,
    BudgetError,
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
    OrderType,
    RateLimitError,
    Side,
    TimeInForce,
    UnreachableError,
)
from apps.connectors.models import Connector
from apps.connectors.opening import open_connector
from apps.connectors.sealing import SealError
from apps.lib import world
from apps.lib.compiled import update
from apps.lib.decimals import normalize_text
from apps.trading import breakers, cancelling, guards
from apps.trading.absence import ID_IS_KNOWN, OFFSET_MS, note_known
from apps.trading.cancelling import drop_unsent, open_orders, take_back
from apps.trading.denials import Denial, DenialCode
from apps.trading.fencing import check_awake, fence
from apps.trading.following import evidence_of, is_told_by_fills, look, look_for_fills
from apps.trading.guards import GuardFacts, closed_by
from apps.trading.halting import entries_withdrawn
from apps.trading.legs import Intent
from apps.trading.models import LIVE_STATES, Order, OrderState, Position
from apps.trading.placing import WAITS_S, limits_of, standing
from apps.trading.protecting import guard_of, with_presets
from apps.trading.protection import protect
from apps.trading.reversal import give_up, is_ready, replan_exit, waiting_legs
from apps.trading.transitions import LOOK_PAUSES_S, StaleOrderError, advance, deny, move
from apps.trading.unguarded import CLOSING_LEGS

logger = logging.getLogger(__name__)

S = OrderState

FOLLOW_PAUSES_S = (0.03, 0.08, 0.15, 0.3, 0.5, 0.8, 1.2)
# A limit order that rests is left to the sweeper.
RESTING_PAUSES_S = (0.05, 0.25)
# So often a cancelled order is asked for fills that are told late.
LATE_LOOKS = 5
# A slow exchange must not keep a worker longer than this at one order; the sweeper goes on.
FOLLOW_AT_MOST_S = 15
LONGEST_WAIT_S = 30
# So long the answer of the exchange is kept for a database that is away.
RECORD_WITHIN_S = 10
RECORD_PAUSE_S = 0.5
# An exit that the exchange refuses for the key is tried again so often.
KEY_PAUSE_S = 60
# A fact of an exit that did not wait for our open orders to be taken back: while they may hold its position, a refusal
# is tried again so often.
BESIDE_OPEN = "beside_open_orders"
BESIDE_PAUSE_S = 5
# A leg sent within this of its plan is sent on the guards of the plan; one that nobody planned has none.
GUARDS_HOLD = timedelta(seconds=2)


def drive(order: Order) -> None:
    """Send a planned order, then follow it until it is final, in doubt, or has taken some seconds.

    The caller holds the lease of (connector, symbol). What is left over has `next_at` set for whoever comes next.
    """
    try:
        if order.state == S.PLANNED:
            send(order)
        _follow(order)
    except StaleOrderError:
        # Another process moved the order first; whoever it was goes on with it.
        order.refresh_from_db()
    protect(order)
    settle_legs(order)


def pauses(order: Order) -> bool:
    """True while an order that was refused for the moment waits: the sweeper tries it again in its time."""
    is_tried = order.state == S.PLANNED and order.attempt > 0
    return is_tried and order.next_at is not None and order.next_at > world.now()


def step(order: Order) -> None:
    """Do the one thing that is due for an order: used by the poller and the sweeper."""
    if order.is_of_a_later_release:
        return
    if order.state == S.CANCELED and not look(order) and order.query_count < LATE_LOOKS:
        return
    if not look_for_fills(order):
        return
    if order.is_final and order.state != S.NOT_PLACED:
        update(Order, {"next_at": None}, id=order.pk, state=order.state, version=order.version)
    if order.state == S.NOT_PLACED:
        replan_exit(order)
    if order.state == S.PLANNED:
        drive(order)
        return
    _withdraw(order)
    if order.state == S.SUBMITTING:
        # Its sender is gone. Whether bytes left is not known: query, never send again.
        # Should this process go too, it is looked for by the next one then.
        advance(order, S.UNKNOWN, cause="sender gone", next_at=world.now() + timedelta(seconds=LOOK_PAUSES_S[-1]))
    if not order.is_final and look(order) and order.cancel_requested_at and order.state in {S.ACCEPTED, S.PARTIAL}:
        take_back(order)
    protect(order)
    settle_legs(order)


def _withdraw(order: Order) -> None:
    """Ask for an entry back that waits at the exchange: where entries are off it may not open a position any more."""
    if order.intent != Intent.ENTRY or not order.is_resting or order.cancel_requested_at is not None:
        return
    denial = entries_withdrawn(order.connector)
    if denial is not None:
        cancelling.request(order, by=denial.code.value, why=f"new positions are off ({denial.code.value})")


def send(order: Order) -> None:
    """Send one planned order once. The row says SUBMITTING, with its fence, before any byte leaves."""
    if order.cancel_requested_at is not None:
        drop_unsent(order)
        return
    if _has_expired(order) or (order.waits_for_parent and not is_ready(order)) or _is_stopped(order):
        return
    try:
        exchange = open_connector(order.connector)
    except SealError:
        deny(
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
    if _has_expired(order):
        # What was asked of the exchange before took its time.
        return
    try:
        trial = outages.admit(order.connector) if order.intent == Intent.ENTRY else None
    except outages.EntriesOffError as error:
        deny(order, guards.entries_off(error.trouble))
        return
    request = request_of(order)
    now = world.now()
    signed_at = now + timedelta(milliseconds=exchange.clock_offset_ms)
    move(
        order,
        S.SUBMITTING,
        cause="sending",
        evidence={"attempt": order.attempt + 1, OFFSET_MS: exchange.clock_offset_ms, **facts_of(request)},
        signed_at=signed_at,
        fence_at=signed_at + fence(),
        attempt=order.attempt + 1,
        next_at=now + timedelta(seconds=settings.SEND_LIMIT_S),
    )
    try:
        check_awake(now, within=timedelta(seconds=settings.SEND_LIMIT_S))
        report = exchange.submit(request, signed_at_ms=_milliseconds(signed_at))
    except ExchangeError as error:
        failure = error
        _write(lambda: _record_failure(order, exchange, failure))
        outages.finish(trial, failure)
    else:
        _write(lambda: _acknowledge(order, report))
        outages.finish(trial, None)


def _write(record: Callable[[], None]) -> None:
    """Write what the exchange answered, also while the database is away for a moment.

    After RECORD_WITHIN_S the database's error goes on: the row says SUBMITTING, and the sweeper asks what became of it.
    """
    until = world.monotonic() + RECORD_WITHIN_S
    while True:
        try:
            record()
        except (InterfaceError, OperationalError) as error:
            if world.monotonic() > until:
                raise
            logger.error("answer of the exchange not written, trying again: %s", type(error).__name__)
            if not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()
            world.sleep(RECORD_PAUSE_S)
        else:
            return


def request_of(order: Order) -> OrderRequest:
    is_entry = order.intent == Intent.ENTRY
    request = OrderRequest(
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
    return with_presets(request, [guard_of(facts) for facts in order.facts.get("guards", ())])


def facts_of(request: OrderRequest) -> dict[str, str]:
    """Return what is asked of the exchange as plain texts, without what signs it."""
    figures = {"quantity": request.quantity, "notional": request.notional, "price": request.price}
    presets = {"stop_loss": request.stop_loss, "take_profit": request.take_profit}
    figures |= {"leverage": request.leverage, **{name: one.price for name, one in presets.items() if one is not None}}
    return {
        "asked": f"{request.side} {request.symbol} {request.order_type}",
        **{name: normalize_text(value) for name, value in figures.items() if value is not None},
        **({"margin_mode": request.margin_mode.value} if request.margin_mode else {}),
        **({"reduce_only": "yes"} if request.reduce_only else {}),
        **({"book": request.book.value} if request.book is not Book.NET else {}),
        **({"time_in_force": request.time_in_force.value} if request.time_in_force is not TimeInForce.GTC else {}),
        "client_order_id": request.client_order_id,
    }


def settle_legs(order: Order) -> None:
    """Once a closing order is final, let the leg that waits for it go, or give it up."""
    if not order.is_final:
        return
    for leg in waiting_legs(order):
        if order.state == S.FILLED:
            # Whoever dies from here on leaves a leg that is due.
            update(Order, {"next_at": world.now()}, id=leg.pk, version=leg.version, next_at=None)
            if not pauses(leg):
                drive(leg)
        else:
            give_up(leg, order)


def _follow(order: Order) -> None:
    if is_told_by_fills(order):
        return
    until = world.monotonic() + FOLLOW_AT_MOST_S
    for pause in RESTING_PAUSES_S if order.order_type == OrderType.LIMIT else FOLLOW_PAUSES_S:
        if order.is_final or order.state in {S.PLANNED, S.UNKNOWN, S.SUBMITTING} or world.monotonic() > until:
            return
        look(order)
        if order.is_final:
            return
        world.sleep(pause)


def _acknowledge(order: Order, report: OrderReport) -> None:
    advance(
        order,
        S.ACCEPTED,
        cause="acknowledged",
        evidence={"exchange_order_id": report.exchange_order_id},
        exchange_order_id=report.exchange_order_id,
        acknowledged_at=world.now(),
        next_at=world.now() + timedelta(seconds=5),
    )


@dataclass(frozen=True, slots=True)
class _Verdict:
    to: OrderState
    cause: str
    retry_after_s: float = 0


def _verdict(order: Order, error: ExchangeError) -> _Verdict:
    match error:
        case DuplicateOrderError():
            return _Verdict(S.UNKNOWN, ID_IS_KNOWN)
        case UnreachableError():
            return _Verdict(S.UNKNOWN, "no proof of the outcome")
        case BudgetError():
            return _Verdict(S.PLANNED, "rate budget", max(error.retry_after, 1))
        case RateLimitError() if not error.code:
            # A gateway's word, not the exchange's: it proves nothing about what stood behind the gateway.
            return _Verdict(S.UNKNOWN, "no proof of the outcome")
        case RateLimitError():
            return _Verdict(S.PLANNED, "rate limited", max(error.retry_after, 1))
        case ClockError():
            return _Verdict(S.PLANNED, "timestamp refused", 1)
        case NotSentError():
            return _Verdict(S.PLANNED, "not sent", min(2**order.attempt, LONGEST_WAIT_S))
        case CredentialsError() if order.intent == Intent.EXIT:
            # Refused for the key and so not placed: an exit is tried again until the key is right or it is too old.
            return _Verdict(S.PLANNED, "key refused", KEY_PAUSE_S)
        case OrderRejectedError() if _is_beside_open(order):
            return _Verdict(S.PLANNED, "refused beside an open order", BESIDE_PAUSE_S)
        case OrderRejectedError() | CredentialsError() | NotSupportedError():
            return _Verdict(S.REJECTED, "rejected")
    return _Verdict(S.UNKNOWN, "unlisted error")


def _record_failure(order: Order, exchange: Exchange, error: ExchangeError) -> None:
    verdict = _verdict(order, error)
    now = world.now()
    columns: dict[str, object] = {"reason": error.sentence[:500], "reason_code": _reason_code(error)}
    if verdict.to == S.UNKNOWN:
        columns |= {"next_at": now + timedelta(seconds=LOOK_PAUSES_S[0]), "not_found_count": 0, "query_count": 0}
        logger.warning("order %s: outcome unknown, checking: %s", order.pk, error.sentence)
    if verdict.to == S.PLANNED:
        columns["next_at"] = now + timedelta(seconds=verdict.retry_after_s)
    if isinstance(error, CredentialsError):
        breakers.order_refused(order.connector, error)
    if isinstance(error, ClockError):
        urgency = Priority.EXIT if order.intent == Intent.EXIT else Priority.ENTRY
        clock.measure_again(order.connector, exchange, urgency=urgency)
    advance(order, verdict.to, cause=verdict.cause, evidence=evidence_of(error), **columns)
    if verdict.cause == ID_IS_KNOWN:
        note_known(order, evidence_of(error))


def _is_beside_open(order: Order) -> bool:
    """True for an exit that the exchange may refuse only because an order that is being taken back still holds it."""
    if BESIDE_OPEN not in order.facts:
        return False
    others = open_orders(order.connector_id, order.symbol).filter(state__in=LIVE_STATES).exclude(pk=order.pk)
    return others.exclude(cancel_requested_at=None).exists()


def _has_expired(order: Order) -> bool:
    """Expire an entry that was not sent in time."""
    now = world.now()
    if order.expires_at is None or now <= order.expires_at or order.intent != Intent.ENTRY:
        return False
    limit = int(order.facts[WAITS_S]) if WAITS_S in order.facts else settings.ENTRY_MAX_AGE_S
    waited = limit + int((now - order.expires_at).total_seconds())
    denial = Denial(DenialCode.ENTRY_EXPIRED, {"age": str(waited), "limit": str(limit)})
    reason = denial.reason(is_opening_leg=order.waits_for_parent)
    advance(order, S.EXPIRED, cause="expired", reason_code=denial.code.value, reason=reason)
    return True


def _is_stopped(order: Order) -> bool:
    """Deny what waited to be sent and may no longer: a halt, a deletion, a pause or the trial's end came in between."""
    if world.now() - order.created_at < GUARDS_HOLD and order.leg not in CLOSING_LEGS:
        return False
    connector = Connector.unscoped.select_related("workspace").get(pk=order.connector_id)
    stands = standing(connector, order.symbol)
    facts = GuardFacts(
        intent=Intent(order.intent),
        # Not before how it stands was read: what has ended by then ends no later.
        now=world.now(),
        received_at=order.created_at,
        symbol=order.symbol,
        quote=order.instrument.quote,
        has_matching_position=order.intent == Intent.ENTRY or not order.attempt or _is_still_open(order),
        closes=closed_by(Side(order.side)),
        **stands,  # type: ignore[arg-type]
    )
    checks = [guards.check_halted]
    if order.intent == Intent.EXIT:
        checks += [guards.check_exit_age]
    else:
        checks += [guards.check_reduce_only, guards.check_trouble, guards.check_incident]
        checks += [guards.check_deleted, guards.check_paused, guards.check_trial]
    limits = limits_of(connector)
    denial = next((found for check in checks if (found := check(facts, limits)) is not None), None)
    if denial is None:
        return False
    deny(order, denial)
    return True


def _is_still_open(order: Order) -> bool:
    """True while a position is open that the exit was meant for: one opened before it was planned."""
    positions = Position.unscoped.filter(connector_id=order.connector_id, symbol=order.symbol, book=order.book)
    return bool(positions.exclude(signed_quantity=0).filter(opened_at__lte=order.created_at).exists())


def _reason_code(error: ExchangeError) -> str:
    reason = getattr(error, "reason", None)
    return str(reason) if reason else type(error).__name__.removesuffix("Error").upper()


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)
