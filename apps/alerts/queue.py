"""What waits for one (connector, symbol): its alerts in the order they run in, and the orders they wait behind."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.alerts import chain
from apps.alerts.models import Alert, AlertStatus
from apps.alerts.reading import any_due
from apps.lib import world
from apps.lib.compiled import Compiled
from apps.lib.pool import run_all
from apps.lib.statements import UNHURRIED, Asked, committed, together
from apps.trading import leases
from apps.trading.executor import step
from apps.trading.models import DOUBTFUL_STATES, FINAL_STATES, OPEN_STATES, Order, OrderState, Position

# Behind an order in doubt an alert is looked at again with that order's own next look, in these bounds: the later one
# is for what is heard of the order outside its looks.
BLOCKED, BLOCKED_AT_MOST = timedelta(seconds=1), timedelta(seconds=5)
BURST = timedelta(seconds=1)
_BURST = 32

# A connector and a symbol.
Key = tuple[UUID, str]

_IN_QUEUE = (AlertStatus.QUEUED, AlertStatus.EXECUTING)


def look() -> tuple[bool, list[Key]]:
    """Return whether a delivery waits that is not read yet, and the keys that have a due alert and a free lease."""
    now = world.now()
    unread, keys = together(any_due.asked(now=now), _due_keys.asked(now=now))
    return bool(unread), in_turn(keys)


def in_turn(keys: Iterable[Key]) -> list[Key]:
    """Return each once; no connector's second symbol comes before the first of every other: threads are taken so."""
    before: Counter[UUID] = Counter()
    ranked = []
    for key in sorted(set(keys), key=str):
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


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits for a key: since when the connector's oldest delivery waits that nobody has read yet, the oldest alert
    of the key, the id of the next one, the unfinished orders.
    """

    unread_since: list[datetime]
    first: list[Alert]
    second: list[UUID]
    unfinished: list[Order]


def asked(connector_id: UUID, symbol: str) -> list[Asked]:
    """Return the questions to which the answers make a `Queue`."""
    return [
        # Each sees what is committed when its turn comes: a delivery that is not seen unread is seen in the queue.
        _oldest_unread.asked(connector=connector_id),
        _oldest.asked(connector=connector_id, symbol=symbol),
        _second.asked(connector=connector_id, symbol=symbol),
        _unfinished.asked(connector=connector_id, symbol=symbol),
    ]


def next_alert(connector_id: UUID, symbol: str, queue: Queue) -> Alert | None:
    """Return the alert to run now: of a burst the one that its strategy sent first, where their sizes tell.

    Where they do not: the oldest, or an exit of what is held that came within the same second. An exit overtakes
    entries of the side it makes room for, no others: what adds to the position may be what it is to close. One whose
    position is not there yet stays behind the entry that opens it. None when there is none, or the one to run waits for
    its time: nothing overtakes it.
    """
    first = queue.first[0] if queue.first else None
    if first is not None and first.status != AlertStatus.EXECUTING and queue.second:
        sent_first = _sent_first(connector_id, symbol, first)
        if sent_first is not None:
            if sent_first.next_at is None or sent_first.next_at > world.now():
                _put_behind(first, sent_first)
                return None
            return None if _is_unread_before(sent_first, queue) else sent_first
    if first is None or first.next_at is None or first.next_at > world.now():
        return None
    if _is_unread_before(first, queue):
        return None
    if first.status == AlertStatus.EXECUTING or first.is_exit or not queue.second:
        return first
    held = _held(connector=connector_id, symbol=symbol)
    if not held:
        return first
    burst = _exits_until(connector=connector_id, symbol=symbol, until=first.received_at + BURST, now=world.now())
    # The messages of one delivery run as they were written.
    others = (alert for alert in burst if first.parent_id is None or alert.parent_id != first.parent_id)
    found = next((alert for alert in others if _closes(alert, held)), None)
    if found is None:
        return first
    entries = _entries_until(connector=connector_id, symbol=symbol, until=found.received_at)
    overtaken = {entry["action"] for entry in entries if entry.get("action")}
    return found if overtaken == {found.understood["action"]} else first


def _is_unread_before(alert: Alert, queue: Queue) -> bool:
    """Another process is reading an older one: what that says, and for which symbol, is known in a moment."""
    return bool(queue.unread_since) and queue.unread_since[0] < alert.received_at


def _sent_first(connector_id: UUID, symbol: str, first: Alert) -> Alert | None:
    """Return which of the burst that begins with `first` its strategy sent first; None where nothing tells."""
    if not first.understood.get("prev_market_position_size"):
        return None
    return chain.first_of(_burst(connector=connector_id, symbol=symbol, until=first.received_at + chain.BURST))


def _put_behind(first: Alert, sent_first: Alert) -> None:
    """It is due no sooner than the one it stands behind; else the key were looked at again and again until then."""
    if first.pk != sent_first.pk:
        rows = Alert.unscoped.filter(pk=first.pk, status=AlertStatus.QUEUED, order=None)
        rows.filter(next_at__lt=sent_first.next_at).update(next_at=sent_first.next_at)


def _waiting(connector_id: UUID, symbol: str) -> QuerySet[Alert]:
    rows: QuerySet[Alert] = Alert.unscoped.filter(connector_id=connector_id, symbol=symbol, status__in=_IN_QUEUE)
    # Nothing that waits is without a time, and the index of the queue has it: not all that ever came is looked at.
    return rows.filter(next_at__isnull=False).order_by("received_at", "id")


def _whole(rows: QuerySet[Alert]) -> QuerySet[Alert]:
    """With what a decision reads of each; the delivery of a part is read when it is one."""
    return rows.select_related("connector", "connector__workspace", "pointer")


_oldest = Compiled(lambda connector, symbol: _whole(_waiting(connector, symbol))[:1])
_second = Compiled(lambda connector, symbol: _waiting(connector, symbol).values_list("pk", flat=True)[1:2])
_burst = Compiled(
    lambda connector, symbol, until: _whole(_waiting(connector, symbol)).filter(received_at__lte=until)[:_BURST]
)
_exits_until = Compiled(
    lambda connector, symbol, until, now: _whole(_waiting(connector, symbol)).filter(
        is_exit=True, received_at__lte=until, next_at__lte=now
    )
)
_entries_until: Compiled[dict[str, str]] = Compiled(
    lambda connector, symbol, until: (
        _waiting(connector, symbol).filter(is_exit=False, received_at__lte=until).values_list("understood", flat=True)
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
    """Whether the exit says that it closes a side of what our rows hold. A close-all stays behind what it closes."""
    match alert.understood.get("prev_position"):
        case "long":
            return any(quantity > 0 for quantity in held)
        case "short":
            return any(quantity < 0 for quantity in held)
    return False


def _unread(connector_id: UUID | OuterRef) -> QuerySet[Alert]:
    # Its symbol is known once it was read.
    received = Alert.unscoped.filter(status=AlertStatus.RECEIVED, next_at__isnull=False, symbol="")
    return received.filter(connector_id=connector_id)


_oldest_unread = Compiled(
    lambda connector: _unread(connector).order_by("received_at").values_list("received_at", flat=True)[:1]
)


def is_settled(connector_id: UUID, symbol: str, found: Sequence[Order]) -> bool:
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
    are_over = all(order.is_resting or _is_over(order) for order in under_way)
    return are_over and not _waiting_legs(connector_id, symbol)


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


def put_off(connector_id: UUID, symbol: str, *, behind: Sequence[Order], too_old: datetime) -> list[Alert]:
    """Let all alerts that are due wait for the next look at the orders they stand behind.

    Returns the entries among them that came before `too_old`: these are not to wait any longer.
    """
    now = world.now()
    unfinished = [order for order in behind if not order.is_final]
    looks = [order.next_at - now for order in unfinished if order.next_at is not None]
    # An order that is open at the exchange is looked at with the alert, whenever that comes.
    is_in_doubt = all(order.state in DOUBTFUL_STATES for order in unfinished)
    pause = max(BLOCKED, min([BLOCKED_AT_MOST, *looks])) if looks and is_in_doubt else BLOCKED
    _, entries, _ = committed(
        UNHURRIED,
        _too_old_entries.asked(connector=connector_id, symbol=symbol, until=too_old, now=now),
        Asked(_PUT_OFF, (now + pause, connector_id, symbol, now), lambda found: found.count),
    )
    return entries  # type: ignore[no-any-return]


# All that wait at once: hundreds may stand behind one order.
_PUT_OFF = f"""
UPDATE alerts_alert SET next_at = %s
WHERE connector_id = %s AND symbol = %s AND status = '{AlertStatus.QUEUED}' AND order_id IS NULL AND next_at <= %s
"""  # noqa: S608 - a word of ours
_too_old_entries: Compiled[Alert] = Compiled(
    lambda connector, symbol, until, now: _whole(
        Alert.unscoped.filter(connector_id=connector, symbol=symbol, status=AlertStatus.QUEUED, is_exit=False)
    ).filter(received_at__lte=until, next_at__lte=now)
)
