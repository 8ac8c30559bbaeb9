"""Queued alerts to orders: one (connector, symbol) at a time, first come first served, under its lease."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from uuid import UUID

from django.conf import settings
from django.db import DataError, IntegrityError, transaction
from django.db.models import Q, QuerySet

from apps.alerts import chain, clearing, previewing, queue, repeats
from apps.alerts.failing import watched
from apps.alerts.models import Alert, AlertStatus
from apps.alerts.queue import Key
from apps.alerts.reading import finish, read_received, set_reason, signal_of
from apps.alerts.repeats import is_repeat, only_closes
from apps.alerts.unplaced import unplaced
from apps.connectors import instruments
from apps.connectors.budget import in_a_row
from apps.connectors.exchange import CredentialsError, ExchangeError, Market, Side
from apps.connectors.opening import open_connector
from apps.connectors.policies import Mismatch
from apps.connectors.sealing import SealError
from apps.lib import world
from apps.lib.compiled import Compiled
from apps.lib.decimals import normalize_text
from apps.lib.pool import run_all
from apps.lib.statements import UNHURRIED, Asked, ask, committed, together
from apps.trading import breakers, cancelling, guards, leases, records
from apps.trading.deciding import Planned, precheck
from apps.trading.denials import Denial, DenialCode, Verdict
from apps.trading.executor import BESIDE_OPEN, drive, pauses, settle_legs
from apps.trading.inputs import Inputs, Origin
from apps.trading.legs import Intent
from apps.trading.legs import ShadowPosition as Shadow
from apps.trading.models import Order, OrderState
from apps.trading.placing import Prepared, Rows, asked_deleted, prepare, read_standing
from apps.trading.protection import planned_guards
from apps.trading.signal import Signal, SignalKind
from apps.trading.transitions import being_born, deny

logger = logging.getLogger(__name__)

RETRY = timedelta(seconds=2)
# An exit that the exchange refuses for the key is tried again so often.
KEY_PAUSE = timedelta(minutes=1)
CANCELLING = timedelta(milliseconds=300)
QUOTE_TAKEN = timedelta(milliseconds=200)
# After so long without a word from the exchange a waiting exit is reported as failed instead of tried again.
GIVE_UP = timedelta(hours=24)
MOST_ROUNDS = 250
# So many alerts of one (connector, symbol) run before the others get their turn: whoever has hundreds waits for itself.
TURN = 4

_STATUS = {
    Verdict.IGNORED: AlertStatus.IGNORED,
    Verdict.PAUSED: AlertStatus.IGNORED,
    Verdict.TOO_OLD: AlertStatus.EXPIRED,
    Verdict.REJECTED: AlertStatus.REJECTED,
}


def execute_due(*, is_woken: bool = False) -> int:
    """Read and run everything that is due; return how many deliveries and work keys were handled.

    Who `is_woken` takes it that a delivery has just come, and reads it before it looks at what else there is.
    """
    handled = 0
    for number in range(MOST_ROUNDS):
        read, keys = _next_work(is_woken=is_woken and not number)
        if not read and not keys:
            break
        run_all(run_key, keys)
        handled += read + len(keys)
    return handled


def _next_work(*, is_woken: bool) -> tuple[int, list[Key]]:
    """Read deliveries; return how many, and the keys to run: those of what was read, and what `queue.look` found."""
    read = read_received() if is_woken else []
    keys: list[Key] = []
    if not read:
        is_unread, keys = queue.look()
        read = read_received() if is_unread else []
    keys += [(alert.connector_id, alert.symbol) for alert in read if alert.status == AlertStatus.QUEUED]
    return len(read), queue.in_turn(keys)


def run_key(key: Key) -> None:
    """Run due alerts of one (connector, symbol), a turn of them at most."""
    lease, answers = leases.take_and_ask(*key, *queue.asked(*key))
    if lease is None:
        return
    connector_id, symbol = key
    with in_a_row(), lease:
        for number in range(TURN):
            if number:
                answers = lease.renew(*queue.asked(*key))
            waiting = queue.Queue(*answers)
            alert = queue.next_alert(connector_id, symbol, waiting)
            if alert is None:
                return
            # An alert that has its orders waits for nothing: they are what the others wait for.
            if alert.order_id is None and not queue.is_settled(connector_id, symbol, waiting.unfinished):
                _expire_or_put_off(connector_id, symbol, behind=waiting.unfinished)
                return
            with watched(alert.pk):
                execute(alert)
            if not waiting.second:
                # What came meanwhile makes the key due again.
                return


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
    original, rows = _asked_first(alert)
    if is_repeat(alert, original):
        _store(alert)
        return ()
    try:
        return _plan(alert, _signal_of(alert, original), rows)
    except CredentialsError as error:
        breakers.suspect(alert.connector_id)
        if alert.is_exit:
            _no_news(alert, error, pause=KEY_PAUSE)
            return ()
        set_reason(alert, error.reason_code, error.with_effect, {"code": error.code})
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


def _signal_of(alert: Alert, original: Alert | None) -> Signal:
    """Return what the alert asks for; of an exit that repeats `original`, what it closes. Says so on the alert."""
    signal = signal_of(alert)
    trades = signal.kind is SignalKind.ORDER and not signal.is_test
    if original is None or not trades or not only_closes(alert, original):
        return signal
    apart = (alert.received_at - original.received_at).total_seconds()
    kept = [note for note in alert.notes if note.get("code") != "REPEATED_EXIT"]
    alert.notes = [*kept, {"code": "REPEATED_EXIT", "facts": {"after_s": f"{apart:.3f}"}}]
    return clearing.reducing(signal)


def _asked_first(alert: Alert) -> tuple[Alert | None, Rows]:
    """Return the earlier delivery that this one may repeat, and how everything stands."""
    asked = [] if repeats.cannot_be(alert) else [repeats.asked(alert)]
    rows = Rows(alert.connector, alert.symbol)
    told = together(*asked, *rows.asked())
    originals = told.pop(0) if asked else []
    rows.take(told)
    return (originals[0] if originals else None), rows


def _plan(alert: Alert, signal: Signal, rows: Rows | None) -> Sequence[Order]:
    if signal.is_test:
        _test(alert)
        return ()
    inputs = _inputs_of(alert, signal, rows)
    by = f"alert {alert.pk}"
    key = (alert.connector_id, alert.symbol)
    if precheck(inputs) is None:
        link = chain.look(alert)
        alert.notes = chain.with_note(alert.notes, link.gap)
        if link.overtaken_by is not None:
            if not signal.is_exit:
                _refuse_overtaken(alert, link.overtaken_by)
                return ()
            signal = chain.what_is_left(signal, link, alert)
            inputs = _inputs_of(alert, signal, rows)
        elif _stops_at_gap(alert, signal, link):
            _store(alert)
            return ()
        if clearing.takes_back(signal):
            if signal.kind is not SignalKind.CANCEL:
                alert.notes = clearing.noted(alert.notes, clearing.in_the_way(signal, key).count())
            if not clearing.clear(clearing.in_the_way(signal, key), by=by):
                return _wait_or_overtake(alert, signal, clearing.in_the_way(signal, key))
            # What was taken back stands in them.
            rows = None
        if signal.kind is SignalKind.CANCEL:
            _report_cancelled(alert, clearing.taken_back(by, alert.workspace_id))
            _store(alert)
            return ()
    prepared = _prepared(alert, inputs, rows)
    if clearing.is_in_the_way(prepared, key):
        alert.notes = clearing.noted(alert.notes, clearing.in_the_way_of(prepared, key).count())
        # What they filled until then changes the plan: it is made anew.
        clearing.clear(clearing.in_the_way_of(prepared, key), by=by)
        return _wait_or_overtake(alert, signal, clearing.in_the_way_of(prepared, key))
    left = clearing.left_behind(prepared, key)
    for order in left:
        cancelling.request(order, by=by)
    alert.notes = clearing.noted(alert.notes, len(left))
    return _commit(alert, prepared)


def _inputs_of(alert: Alert, signal: Signal, rows: Rows | None = None) -> Inputs:
    """Return what a decision begins with."""
    origin = Origin(alert.pk, alert.released_at or alert.received_at)
    return read_standing(signal, origin=origin, connector=alert.connector, rows=rows)


def _prepared(alert: Alert, inputs: Inputs, rows: Rows | None = None) -> Prepared:
    connector = alert.connector
    return prepare(
        inputs,
        connector=connector,
        symbol=alert.symbol,
        open_account=lambda: open_connector(connector),
        rows=rows,
        unplaced=lambda inputs: unplaced(connector, alert.symbol, inputs),
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
    prepared = _prepared(alert, _inputs_of(alert, clearing.reducing(signal)))
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


def _stops_at_gap(alert: Alert, signal: Signal, link: chain.Link) -> bool:
    """Whether an alert before which another one is missing must not run: for ever, or not yet."""
    if alert.released_at is not None:
        return False
    refuses = link.gap is not None and not signal.is_exit and alert.connector.mismatch == Mismatch.REJECT
    pause = chain.BURST if refuses else chain.MISSING
    if (refuses or link.may_be_filled) and world.now() < alert.received_at + pause:
        # The missing one may be a moment behind.
        alert.next_at = alert.received_at + pause
        return True
    if link.gap is not None and refuses:
        set_reason(alert, chain.CODE, link.gap.sentence, link.gap.facts)
        finish(alert, AlertStatus.REJECTED)
    return refuses


def _refuse_overtaken(alert: Alert, by: Alert) -> None:
    facts = chain.overtaken_facts(by)
    sentence = (
        f"Overtaken: the alert that the strategy sent after this one, of {facts['at']}, ran before it arrived. What "
        "this one opens, the strategy has gone on from: nothing was sent. Compare the position with the strategy's."
    )
    # The reason says it.
    alert.notes = [note for note in alert.notes if note.get("code") != chain.OVERTAKEN]
    set_reason(alert, chain.OVERTAKEN, sentence, facts)
    finish(alert, AlertStatus.IGNORED)
    _store(alert)


def _is_decided(alert: Alert) -> bool:
    """Lock the row and say whether another process decided meanwhile: a lease that ran out may have been taken over.

    The caller's transaction writes the decision.
    """
    if _undecided(alert=alert.pk):
        return False
    _yield_to_other(alert)
    return True


def _yield_to_other(alert: Alert) -> None:
    logger.warning("alert %s was decided by another process", alert.pk)
    alert.refresh_from_db()


_undecided = Compiled(
    lambda alert: (
        Alert.unscoped.select_for_update(of=("self",))
        .filter(pk=alert, status=AlertStatus.QUEUED, order=None)
        .values_list("pk", flat=True)
    )
)


def _store(alert: Alert) -> None:
    """Write the decision unless another process decided meanwhile."""
    if not ask(alert.kept(status=AlertStatus.QUEUED, order_id=None)):
        _yield_to_other(alert)


# Locks the row; a division by zero, which takes back all that is written with it, when another process decided first.
_UNDECIDED = f"""
SELECT 1 / count(*) FROM (
    SELECT id FROM alerts_alert
    WHERE id = %s AND status = '{AlertStatus.QUEUED}' AND order_id IS NULL FOR UPDATE
) AS undecided
"""  # noqa: S608 - a word of ours


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
    planned = [order for order in prepared.orders if order.state == OrderState.PLANNED]
    rows += [UNHURRIED] if planned else []
    rows += [guard for order in planned for guard in planned_guards(order)]
    if plan is not None and plan.shadow_after is not None:
        rows.append(_shadow_kept(alert, plan.shadow_after))
    entries = [order for order in planned if order.intent == Intent.ENTRY]
    rows = [asked_deleted(alert.connector), *rows] if entries else rows
    try:
        told = committed(Asked(_UNDECIDED, [alert.pk], lambda _: None), *rows, alert.kept())
    except (DataError, IntegrityError):
        # The rows of the other process may be in the way of ours.
        with transaction.atomic():
            if not _is_decided(alert):
                raise
        return ()
    if entries and told[1]:
        # The key may still be open in this process. An exit goes with it, the last that can.
        for order in entries:
            deny(order, guards.deleted(alert.connector.label))
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
    return () if alert.order_id is None else _parts(root=alert.order_id)


def _drive(alert: Alert, orders: Sequence[Order]) -> None:
    """Send what is planned; afterwards the orders are followed by themselves. Legs that wait for others are theirs."""
    for order in orders:
        if order.waits_for_parent:
            continue
        if order.is_final:
            settle_legs(order)
        elif not pauses(order):
            drive(order)
    if alert.status == AlertStatus.EXECUTING:
        finish(alert, AlertStatus.EXECUTED)
        alert.keep()


# As they were planned: the database by itself gives them in any order.
_parts = Compiled(
    lambda root: (
        Order.unscoped.filter(Q(pk=root) | Q(parent_id=root, waits_for_parent=False))
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


def _expire_or_put_off(connector_id: UUID, symbol: str, *, behind: Sequence[Order]) -> None:
    """Behind an unfinished order entries wait until they are too old, exits until it is finished."""
    now = world.now()
    too_old = now - timedelta(seconds=settings.ENTRY_MAX_AGE_S)
    for alert in queue.put_off(connector_id, symbol, behind=behind, too_old=too_old):
        with watched(alert.pk):
            inputs = _inputs_of(alert, signal_of(alert))
            denial = precheck(inputs)
            if denial is not None:
                _commit(alert, Prepared(inputs, Planned(denial=denial), ()))


def _shadow_kept(alert: Alert, shadow: Shadow) -> Asked:
    values = (world.new_id(), alert.workspace_id, alert.connector_id, alert.symbol, -shadow.short, world.now())
    return Asked(_SHADOW, values, lambda found: found.count)


_SHADOW = """
INSERT INTO trading_shadowposition (id, workspace_id, connector_id, symbol, signed_quantity, updated_at)
VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (connector_id, symbol) DO UPDATE
SET signed_quantity = excluded.signed_quantity, updated_at = excluded.updated_at
"""
