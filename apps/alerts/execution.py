"""Queued alerts to orders: one (connector, symbol) at a time, first come first served, under its lease."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.alerts import chain, clearing, previewing
from apps.alerts.failing import watched
from apps.alerts.models import Alert, AlertStatus
from apps.alerts.reading import finish, mark_duplicate, read_received, set_reason, signal_of
from apps.connectors import instruments
from apps.connectors.exchange import CredentialsError, ExchangeError, Market, Side
from apps.connectors.opening import open_connector
from apps.connectors.policies import Mismatch, SuspectedDuplicate
from apps.connectors.sealing import SealError
from apps.lib import world
from apps.lib.compiled import Compiled
from apps.lib.decimals import normalize_text
from apps.lib.pool import run_all
from apps.lib.statements import UNHURRIED, run, together
from apps.trading import breakers, leases, records
from apps.trading.deciding import Planned, precheck
from apps.trading.denials import Denial, DenialCode, Verdict
from apps.trading.executor import BESIDE_OPEN, drive, settle_legs, step
from apps.trading.inputs import Inputs, Origin
from apps.trading.legs import ShadowPosition as Shadow
from apps.trading.models import FINAL_STATES, OPEN_STATES, Order, OrderState, Position
from apps.trading.placing import Prepared, prepare, read_standing
from apps.trading.protection import plan_rows
from apps.trading.signal import Signal, SignalKind
from apps.trading.transitions import being_born

logger = logging.getLogger(__name__)

RETRY = timedelta(seconds=2)
# An exit that the exchange refuses for the key is tried again so often.
KEY_PAUSE = timedelta(minutes=1)
# Behind an unfinished order an alert is looked at again with that order's own next look, in these bounds: the later one
# is for what is heard of the order outside its looks.
BLOCKED, BLOCKED_AT_MOST = timedelta(seconds=1), timedelta(seconds=5)
CANCELLING = timedelta(milliseconds=300)
QUOTE_TAKEN = timedelta(milliseconds=200)
BURST = timedelta(seconds=1)
SAME_FIRING = timedelta(seconds=4)
REDELIVERY = timedelta(seconds=60)
# After so long without a word from the exchange a waiting exit is reported as failed instead of tried again.
GIVE_UP = timedelta(hours=24)
MOST_ROUNDS = 250
# So many alerts of one (connector, symbol) run before the others get their turn: whoever has hundreds waits for itself.
TURN = 4

_IN_QUEUE = (AlertStatus.QUEUED, AlertStatus.EXECUTING)

_STATUS = {
    Verdict.IGNORED: AlertStatus.IGNORED,
    Verdict.PAUSED: AlertStatus.IGNORED,
    Verdict.TOO_OLD: AlertStatus.EXPIRED,
    Verdict.REJECTED: AlertStatus.REJECTED,
}


def execute_due() -> int:
    """Read and run everything that is due; return how many deliveries and work keys were handled."""
    handled = 0
    for _ in range(MOST_ROUNDS):
        read = read_received()
        keys = due_keys()
        if not read and not keys:
            break
        run_all(run_key, keys)
        handled += read + len(keys)
    return handled


def due_keys() -> list[tuple[UUID, str]]:
    """Return the (connector, symbol) pairs that have a due alert and whose lease is free.

    No connector's second symbol comes before the first of every other: threads are taken in this order.
    """
    before: Counter[UUID] = Counter()
    ranked = []
    for key in sorted(set(_due_keys(now=world.now())), key=str):
        ranked.append((before[key[0]], key))
        before[key[0]] += 1
    return [key for _, key in sorted(ranked, key=lambda pair: pair[0])]


def _with_due_alert(now: datetime) -> QuerySet[Alert, tuple[UUID, str]]:
    waiting = Alert.unscoped.filter(status__in=_IN_QUEUE, next_at__isnull=False)
    before = waiting.filter(connector_id=OuterRef("connector_id"), received_at__lt=OuterRef("received_at"))
    # Nothing overtakes the alert before it, be that one waiting for its time or not read yet.
    due = waiting.filter(next_at__lte=now).exclude(Exists(before.filter(symbol=OuterRef("symbol"), next_at__gt=now)))
    due = due.exclude(Exists(_unread(OuterRef("connector_id")).filter(received_at__lt=OuterRef("received_at"))))
    due = due.exclude(leases.taken_for_row(now))
    return due.values_list("connector_id", "symbol").distinct()


_due_keys = Compiled(_with_due_alert)


def run_key(key: tuple[UUID, str]) -> None:
    """Run due alerts of one (connector, symbol), a turn of them at most."""
    connector_id, symbol = key
    with leases.held(connector_id, symbol) as lease:
        for number in range(TURN):
            if lease is None:
                return
            queue = _look(connector_id, symbol)
            alert = _next_alert(connector_id, symbol, queue)
            if alert is None:
                return
            if number:
                lease.renew()
            # An alert that has its orders waits for nothing: they are what the others wait for.
            if alert.order_id is None and not _settled(connector_id, symbol, queue.unfinished):
                _postpone_or_expire(connector_id, symbol, behind=queue.unfinished)
                return
            with watched(alert.pk):
                execute(alert)
            if len(queue.first_two) == 1:
                # What came meanwhile makes the key due again.
                return


@dataclass(frozen=True, slots=True)
class _Queue:
    """What waits for a key: its oldest alerts, the oldest delivery that nobody has read yet, the unfinished orders."""

    first_two: list[Alert]
    unread_since: list[datetime]
    unfinished: list[Order]


def _look(connector_id: UUID, symbol: str) -> _Queue:
    return _Queue(
        *together(
            _queued.asked(connector=connector_id, symbol=symbol),
            _oldest_unread.asked(connector=connector_id),
            _unfinished.asked(connector=connector_id, symbol=symbol),
        )
    )


def _next_alert(connector_id: UUID, symbol: str, queue: _Queue) -> Alert | None:
    """Return the alert to run now: the oldest, or an exit of what is held that came within the same second.

    An exit whose position is not there yet stays behind the entry that opens it. None when there is none, or the
    oldest one waits for its time: nothing overtakes it.
    """
    first = queue.first_two[0] if queue.first_two else None
    if first is None or first.next_at is None or first.next_at > world.now():
        return None
    if queue.unread_since and queue.unread_since[0] < first.received_at:
        # Another process is reading it: what it says, and for which symbol, is known in a moment.
        return None
    if first.status == AlertStatus.EXECUTING or first.is_exit or len(queue.first_two) == 1:
        return first
    held = _held(connector=connector_id, symbol=symbol)
    if not held:
        return first
    burst = _exits_until(connector=connector_id, symbol=symbol, until=first.received_at + BURST, now=world.now())
    # The messages of one delivery run as they were written.
    others = (alert for alert in burst if first.parent_id is None or alert.parent_id != first.parent_id)
    return next((alert for alert in others if _closes(alert, held)), first)


def _waiting(connector_id: UUID, symbol: str) -> QuerySet[Alert]:
    rows: QuerySet[Alert] = Alert.unscoped.filter(connector_id=connector_id, symbol=symbol, status__in=_IN_QUEUE)
    # Nothing that waits is without a time, and the index of what is due has it: not all that ever came is looked at.
    rows = rows.filter(next_at__isnull=False).select_related(
        "connector", "connector__workspace", "pointer", "parent", "order"
    )
    return rows.order_by("received_at", "id")


_queued = Compiled(lambda connector, symbol: _waiting(connector, symbol)[:2])


_exits_until = Compiled(
    lambda connector, symbol, until, now: _waiting(connector, symbol).filter(
        is_exit=True, received_at__lte=until, next_at__lte=now
    )
)
_held: Compiled[Decimal] = Compiled(
    lambda connector, symbol: (
        Position.unscoped.filter(connector_id=connector, symbol=symbol)
        .exclude(signed_quantity=0)
        .values_list("signed_quantity", flat=True)
    )
)


def _closes(alert: Alert, held: Sequence[Decimal]) -> bool:
    """Whether the exit says that it closes a side of what our rows hold; a close-all closes any."""
    match alert.understood.get("prev_position"):
        case "long":
            return any(quantity > 0 for quantity in held)
        case "short":
            return any(quantity < 0 for quantity in held)
    return True


def _unread(connector_id: UUID | OuterRef) -> QuerySet[Alert]:
    received = Alert.unscoped.filter(status=AlertStatus.RECEIVED, next_at__isnull=False)
    return received.filter(connector_id=connector_id)


_oldest_unread = Compiled(
    lambda connector: _unread(connector).order_by("received_at").values_list("received_at", flat=True)[:1]
)


def execute(alert: Alert) -> None:
    """Run one alert as far as it goes now. The caller holds the lease; run twice, it still acts once."""
    with _turn(alert) as is_its_turn:
        if not is_its_turn:
            queued = Alert.unscoped.filter(pk=alert.pk, status=AlertStatus.QUEUED, order=None)
            queued.update(next_at=world.now() + QUOTE_TAKEN)
            return
        orders = _decide(alert) if alert.order_id is None else None
        if alert.order_id is not None:
            _drive(alert, orders or _orders_of(alert))


@contextmanager
def _turn(alert: Alert) -> Iterator[bool]:
    """Spot buys that pay with one currency go one after another, or two would be sized from the same balance.

    A buy that says it covers a short spends as well: what is left of it after the short opens a position on spot.
    """
    connector = alert.connector
    pays = alert.understood.get("action") == Side.BUY
    if connector.market != Market.SPOT or not pays or alert.order_id is not None:
        yield True
        return
    quote = instruments.get(connector.environment, connector.market, alert.symbol).quote
    with leases.held(connector.pk, f"pays {quote}") as lease:
        yield lease is not None


def _decide(alert: Alert) -> Sequence[Order]:
    """Turn a queued alert into committed orders, or into a reason why there are none. Sends nothing."""
    if alert.claimed_at is None:
        alert.claimed_at = world.now()
    if _is_repeat(alert):
        _store(alert)
        return ()
    try:
        return _plan(alert, signal_of(alert))
    except CredentialsError as error:
        breakers.suspect(alert.connector_id)
        if alert.is_exit:
            _no_news(alert, error, pause=KEY_PAUSE)
            return ()
        set_reason(alert, f"KEY_{error.reason}", f"{error.sentence} Nothing was traded.", {"code": error.code})
        finish(alert, AlertStatus.REJECTED)
        _store(alert)
    except SealError:
        set_reason(
            alert,
            "KEY_UNREADABLE",
            "The stored exchange key cannot be opened: enter the key again. Nothing was traded.",
            {},
        )
        finish(alert, AlertStatus.REJECTED)
        _store(alert)
    except ExchangeError as error:
        _no_news(alert, error)
    return ()


def _plan(alert: Alert, signal: Signal) -> Sequence[Order]:
    if signal.is_test:
        _test(alert)
        return ()
    inputs = _standing_of(alert, signal)
    by = f"alert {alert.pk}"
    key = (alert.connector_id, alert.symbol)
    if precheck(inputs) is None:
        if _stops_at_gap(alert, signal):
            _store(alert)
            return ()
        if clearing.takes_back(signal) and not clearing.clear(clearing.in_the_way(signal, key), by=by):
            return _wait_or_overtake(alert, signal, clearing.in_the_way(signal, key))
        if signal.kind is SignalKind.CANCEL:
            _report_cancelled(alert, clearing.taken_back(by, alert.workspace_id))
            _store(alert)
            return ()
    prepared = _prepared(alert, inputs)
    if clearing.is_in_the_way(prepared.planned.plan, key):
        # What they filled until then changes the plan: it is made anew.
        clearing.clear(clearing.in_the_way_of(prepared.planned.plan, key), by=by)
        return _wait_or_overtake(alert, signal, clearing.in_the_way_of(prepared.planned.plan, key))
    return _commit(alert, prepared)


def _standing_of(alert: Alert, signal: Signal) -> Inputs:
    origin = Origin(alert.pk, alert.released_at or alert.received_at)
    return read_standing(signal, origin=origin, connector=alert.connector)


def _prepared(alert: Alert, inputs: Inputs) -> Prepared:
    connector = alert.connector
    return prepare(
        inputs,
        connector=connector,
        symbol=alert.symbol,
        open_account=lambda: open_connector(connector),
    )


def _wait_or_overtake(alert: Alert, signal: Signal, orders: QuerySet[Order]) -> Sequence[Order]:
    """Wait for orders that are taken back; an exit goes beside those whose cancellation is not told: see clearing."""
    is_exit = signal.is_exit and signal.kind is not SignalKind.CANCEL
    if is_exit and alert.connector.market == Market.FUTURES and orders.exists() and clearing.is_overdue(orders):
        return _plan_reducing(alert, signal)
    _wait_for_cancellations(alert)
    return ()


def _plan_reducing(alert: Alert, signal: Signal) -> Sequence[Order]:
    """Plan an exit that has waited long enough, without what it would open."""
    prepared = _prepared(alert, _standing_of(alert, clearing.reducing(signal)))
    if prepared.planned.denial is None:
        if not clearing.only_reduces(prepared.planned.plan):
            _wait_for_cancellations(alert)
            return ()
        waited = str(int(clearing.TOLD_WITHIN.total_seconds()))
        alert.notes = [*alert.notes, {"code": "CANCELLATION_NOT_TOLD", "facts": {"waited": waited}}]
        for order in prepared.orders:
            order.facts[BESIDE_OPEN] = "yes"
    return _commit(alert, prepared)


def _test(alert: Alert) -> None:
    """Understood, and that is all: no exchange is opened here. What would happen now is asked of a preview."""
    set_reason(alert, "TEST", "Test: the message was understood. Nothing was sent.", {})
    finish(alert, AlertStatus.TESTED)
    with transaction.atomic():
        if not _is_decided(alert):
            alert.keep()
            previewing.request_test(alert)


def _wait_for_cancellations(alert: Alert) -> None:
    sentence = "Own open orders in this symbol are taken back first; the alert runs when they are gone."
    set_reason(alert, "CANCELLING_OPEN_ORDERS", sentence, {})
    alert.next_at = world.now() + CANCELLING
    _store(alert)


def _report_cancelled(alert: Alert, orders: list[Order]) -> None:
    if not orders:
        _refuse(alert, Denial(DenialCode.NOTHING_TO_CANCEL, {"symbol": alert.symbol}))
        return
    filled = sum(order.state == OrderState.FILLED for order in orders)
    sentence = f"Taken back: {len(orders) - filled} of our open orders on {alert.symbol}."
    if filled:
        sentence += f" {filled} more had been filled already."
    set_reason(alert, "CANCELLED", sentence, {})
    finish(alert, AlertStatus.EXECUTED)


def _stops_at_gap(alert: Alert, signal: Signal) -> bool:
    """Flag an alert before which another one is missing. True when it must not run: for ever, or not yet."""
    gap = chain.judge(alert)
    alert.notes = chain.with_note(alert.notes, gap)
    if gap is None or signal.is_exit or alert.released_at is not None or alert.connector.mismatch != Mismatch.REJECT:
        return False
    whole = alert.received_at + chain.BURST
    if world.now() < whole:
        # The missing one may be a moment behind.
        alert.next_at = whole
        return True
    set_reason(alert, chain.CODE, gap.sentence, gap.facts)
    finish(alert, AlertStatus.REJECTED)
    return True


def _is_decided(alert: Alert) -> bool:
    """Lock the row and say whether another process decided meanwhile: a lease that ran out may have been taken over.

    The caller's transaction writes the decision.
    """
    if _undecided(alert=alert.pk):
        return False
    logger.warning("alert %s was decided by another process", alert.pk)
    alert.refresh_from_db()
    return True


_undecided = Compiled(
    lambda alert: (
        Alert.unscoped.select_for_update(of=("self",))
        .filter(pk=alert, status=AlertStatus.QUEUED, order=None)
        .values_list("pk", flat=True)
    )
)


def _store(alert: Alert) -> None:
    with transaction.atomic():
        if not _is_decided(alert):
            alert.keep()


class _DecidedElsewhereError(Exception):
    """Another process decided about the alert first."""


def _commit(alert: Alert, prepared: Prepared) -> Sequence[Order]:
    """Commit the plan, its orders and the alert's link to them; nothing has been sent yet. Returns the orders."""
    plan, account, denial = prepared.planned.plan, prepared.inputs.account, prepared.planned.denial
    if plan is not None:
        alert.planned_at = world.now()
        alert.notes = [*alert.notes, *({"code": note.code.value, "facts": dict(note.facts)} for note in plan.notes)]
    if account is not None:
        held = f"long {account.holding.long:f}, short {account.holding.short:f}"
        alert.understood = {**alert.understood, "held": held}
    rows = [records.kept(prepared.inputs, prepared.planned, workspace_id=alert.workspace_id)]
    for order in prepared.orders:
        cause = "planned" if order.state == OrderState.PLANNED else "denied"
        rows += being_born(order, cause=cause, evidence=_reasons_of(order))
    if prepared.orders:
        alert.order = prepared.orders[0]
        alert.status = AlertStatus.EXECUTING
        alert.next_at = world.now() + leases.length()
    if denial is not None:
        _refuse(alert, denial)
    else:
        # What an earlier try said of itself no longer holds.
        set_reason(alert, "", "", {})
    # What is to be sent waits for the disk with the commit that says it is being sent: see executor.send.
    rows += [UNHURRIED] if any(order.state == OrderState.PLANNED for order in prepared.orders) else []
    try:
        with transaction.atomic():
            undecided, *_ = together(_undecided.asked(alert=alert.pk), *rows, alert.kept())
            if not undecided:
                raise _DecidedElsewhereError
            for order in prepared.orders:
                if order.state == OrderState.PLANNED:
                    plan_rows(order)
            _store_shadow(alert, plan.shadow_after if plan is not None else None)
    except (_DecidedElsewhereError, IntegrityError):
        # The rows of the other process may be in the way of ours.
        with transaction.atomic():
            if not _is_decided(alert):
                raise
        return ()
    return prepared.orders


def _reasons_of(order: Order) -> dict[str, str]:
    """The plan's sentence, what was held, and what it was expected to cost, as plain texts."""
    figures = {**order.facts.get("account", {}), **order.facts.get("estimate", {}), **order.facts.get("denial", {})}
    return {"sentence": order.facts.get("sentence", ""), **{name: _short(value) for name, value in figures.items()}}


def _short(value: str) -> str:
    try:
        return normalize_text(round(Decimal(value), 8))
    except InvalidOperation:
        return value


def _orders_of(alert: Alert) -> Sequence[Order]:
    root = alert.order
    return () if root is None else (root, *_parts(root=root.pk))


def _drive(alert: Alert, orders: Sequence[Order]) -> None:
    """Send what is planned; afterwards the orders are followed by themselves. Legs that wait for others are theirs."""
    for order in orders:
        if order.waits_for_parent:
            continue
        if order.is_final:
            settle_legs(order)
        else:
            drive(order)
    if alert.status == AlertStatus.EXECUTING:
        finish(alert, AlertStatus.EXECUTED)
        alert.keep()


# As they were planned: the database by itself gives them in any order.
_parts = Compiled(
    lambda root: (
        Order.unscoped.filter(parent_id=root, waits_for_parent=False)
        .select_related("connector", "instrument")
        .order_by("created_at", "leg")
    )
)


def _refuse(alert: Alert, denial: Denial) -> None:
    set_reason(alert, denial.code.value, denial.sentence, dict(denial.facts))
    finish(alert, _STATUS[denial.verdict])


def _no_news(alert: Alert, error: ExchangeError, *, pause: timedelta | None = None) -> None:
    """The account could not be read: nothing was sent. Try again soon; entries run out of time by themselves."""
    logger.warning("alert %s: exchange not read, trying again: %s", alert.pk, error.sentence)
    alert.attempts += 1
    now = world.now()
    alert.next_at = now + (pause or min(RETRY * 2 ** min(alert.attempts - 1, 4), timedelta(seconds=30)))
    set_reason(alert, "WAITING_FOR_EXCHANGE", f"{error.sentence} Nothing was sent; trying again.", {"code": error.code})
    if now - alert.received_at > GIVE_UP:
        set_reason(alert, "EXCHANGE_UNREACHABLE", "The exchange did not answer for a day. Nothing was sent.", {})
        finish(alert, AlertStatus.FAILED)
    _store(alert)


def _is_repeat(alert: Alert) -> bool:
    """Decide about a delivery that equals an earlier one; True when it must not run now.

    With an id of its own the sender has said that it is new. Identical bodies 4 to 60 s apart are re-deliveries. Closer
    together they may be two firings: an exit runs (it cannot close more than is held), an entry does what is set.
    """
    if alert.external_id or alert.released_at is not None:
        return False
    original = _original(alert)
    if original is None:
        return False
    apart = alert.received_at - original.received_at
    choice = alert.connector.suspected_duplicate
    if apart >= SAME_FIRING or (choice == SuspectedDuplicate.DROP and not alert.is_exit):
        mark_duplicate(alert, original)
        return True
    if alert.is_exit or choice == SuspectedDuplicate.RUN:
        return False
    sentence = (
        f"Held: the same entry arrived {apart.total_seconds():.3f} s earlier. If both were meant, press Run it; "
        "put {{timenow}} or an id into the message to tell them apart."
    )
    set_reason(alert, "SUSPECTED_DUPLICATE", sentence, {"original": str(original.pk)})
    alert.status = AlertStatus.HELD
    alert.next_at = None
    return True


def _original(alert: Alert) -> Alert | None:
    at = alert.received_at
    found = _same(
        connector=alert.connector_id,
        fingerprint=bytes(alert.fingerprint or b""),
        pk=alert.pk,
        at=at,
        since=at - REDELIVERY,
    )
    return found[0] if found else None


def _earlier(connector: UUID, fingerprint: bytes, pk: UUID, at: datetime, since: datetime) -> QuerySet[Alert]:
    rows: QuerySet[Alert] = Alert.unscoped.filter(connector_id=connector, fingerprint=fingerprint, duplicate_of=None)
    rows = rows.filter(received_at__lte=at, received_at__gt=since).exclude(status=AlertStatus.HELD)
    # Two deliveries of one microsecond are told apart by their ids.
    return rows.exclude(pk=pk).exclude(received_at=at, id__gt=pk).order_by("-received_at", "-id")[:1]


_same = Compiled(_earlier)


def _settled(connector_id: UUID, symbol: str, found: Sequence[Order]) -> bool:
    """Look at what is under way for the key; False while an order is unfinished or in doubt: nothing new is sent.

    A limit order that rests at the exchange is neither.
    """
    now = world.now()
    if not found:
        return True
    under_way = [order for order in found if not order.waits_for_parent and not order.is_resting]
    for order in under_way:
        if order.next_at is None or order.next_at <= now or order.state in {OrderState.ACCEPTED, OrderState.PARTIAL}:
            run_all(step, [order])
    # A limit order that turned out to rest meanwhile holds up nothing either.
    is_settled = all(order.is_resting or _is_over(order) for order in under_way)
    return is_settled and not _waiting_legs(connector_id, symbol)


# An exit that was proved absent is final, yet to be sent anew. A state that only a later release knows is unfinished.
_unfinished = Compiled(
    lambda connector, symbol: Order.unscoped.filter(
        Q(state__in=OPEN_STATES) | Q(next_at__isnull=False) & ~Q(state__in=FINAL_STATES - {OrderState.NOT_PLACED}),
        connector_id=connector,
        symbol=symbol,
    ).select_related("connector", "instrument")
)


def _is_over(order: Order) -> bool:
    return order.is_final and (order.state != OrderState.NOT_PLACED or order.next_at is None)


def _waiting_legs(connector_id: UUID, symbol: str) -> bool:
    """Whether a leg behind another one is unfinished; one that was sent and rests at the exchange holds up nothing."""
    return any(not order.is_resting for order in _waiting_behind(connector=connector_id, symbol=symbol))


_waiting_behind: Compiled[Order] = Compiled(
    lambda connector, symbol: Order.unscoped.filter(
        connector_id=connector, symbol=symbol, waits_for_parent=True
    ).exclude(state__in=sorted(FINAL_STATES))
)


def _postpone_or_expire(connector_id: UUID, symbol: str, *, behind: Sequence[Order]) -> None:
    """Behind an unfinished order entries wait until they are too old, exits until it is finished."""
    now = world.now()
    too_old = now - timedelta(seconds=settings.ENTRY_MAX_AGE_S)
    for alert in _entries_until(connector=connector_id, symbol=symbol, until=too_old, now=now):
        with watched(alert.pk):
            inputs = _standing_of(alert, signal_of(alert))
            denial = precheck(inputs)
            if denial is not None:
                _commit(alert, Prepared(inputs, Planned(denial=denial), ()))
    looks = [order.next_at - now for order in behind if not order.is_final and order.next_at is not None]
    pause = max(BLOCKED, min([BLOCKED_AT_MOST, *looks])) if looks else BLOCKED
    run(_POSTPONE, (now + pause, connector_id, symbol, now))


# All that wait at once: hundreds may stand behind one order.
_POSTPONE = f"""
UPDATE alerts_alert SET next_at = %s
WHERE connector_id = %s AND symbol = %s AND status = '{AlertStatus.QUEUED}' AND order_id IS NULL AND next_at <= %s
"""  # noqa: S608 - a word of ours
_entries_until: Compiled[Alert] = Compiled(
    lambda connector, symbol, until, now: (
        Alert.unscoped.filter(connector_id=connector, symbol=symbol, status=AlertStatus.QUEUED, is_exit=False)
        .filter(received_at__lte=until, next_at__lte=now)
        .select_related("connector", "connector__workspace", "pointer", "parent")
    )
)


def _store_shadow(alert: Alert, shadow: Shadow | None) -> None:
    if shadow is None:
        return
    run(
        _SHADOW,
        (world.new_id(), alert.workspace_id, alert.connector_id, alert.symbol, -shadow.short, world.now()),
    )


_SHADOW = """
INSERT INTO trading_shadowposition (id, workspace_id, connector_id, symbol, signed_quantity, updated_at)
VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (connector_id, symbol) DO UPDATE
SET signed_quantity = excluded.signed_quantity, updated_at = excluded.updated_at
"""
