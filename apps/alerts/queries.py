"""Reads for the alert pages. Every one starts at the workspace."""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from uuid import UUID

from django.db.models import Count, QuerySet

from apps.accounts.models import Workspace
from apps.alerts.encoding import decode
from apps.alerts.evidence import Evidence
from apps.alerts.models import Alert, AlertStatus, Preview
from apps.alerts.redaction import find_marks
from apps.alerts.times import read_time
from apps.lib.templatetags.statuses import look_of
from apps.trading import queries as trading
from apps.trading.denials import DenialCode
from apps.trading.models import DOUBTFUL_STATES, FINAL_STATES, ZERO, Order, OrderState

# Of several orders the one that says most about the alert is named: what is unsure or under way before what is over.
_UNDER_WAY = (OrderState.UNKNOWN, OrderState.SUBMITTING, OrderState.PARTIAL, OrderState.CANCELLING, OrderState.ACCEPTED)
_WITHOUT_FILL = (
    OrderState.REJECTED, OrderState.NOT_PLACED, OrderState.DENIED, OrderState.EXPIRED, OrderState.CANCELED,
)  # fmt: skip
# Not the planner's POSITION_GAP: two alerts that swapped differ from the account, and none was missed.
_GAPS = frozenset({"MISSED_ALERT"})
# TradingView takes a second or two as a rule; half a minute is worth seeing.
LATE_S = 30
_WORD_OF_DENIED = "rejected"
# The database keeps a message's keys in an order of its own.
_FIELDS = ("ticker", "symbol", "action", "prev_position", "quantity", "closeall", "hedgemode", "pointer", "held")


def display_key(alert: Alert, orders: Sequence[Order]) -> str:
    """Return the status the alert is shown under (a key of statuses.LOOKS), judged by its orders once it has any."""
    if alert.reason_code == DenialCode.PAUSED:
        return "paused"
    if alert.status not in {AlertStatus.EXECUTING, AlertStatus.EXECUTED} or not orders:
        return str(alert.status)
    return _key_of_orders(orders)


def display_status(alert: Alert, orders: Sequence[Order]) -> str:
    """Return the word for `display_key`."""
    return look_of(display_key(alert, orders)).word


def _key_of_orders(orders: Sequence[Order]) -> str:
    later = next((order.state for order in orders if order.state not in OrderState), None)
    if later is not None:
        # Of a release after this one: shown as it is written.
        return later
    states = {OrderState(order.state) for order in orders}
    under_way = next((state for state in _UNDER_WAY if state in states), None)
    if under_way in DOUBTFUL_STATES:
        return str(under_way)
    if OrderState.PLANNED in states:
        return "planned" if states == {OrderState.PLANNED} else "submitting"
    if under_way is not None:
        return str(under_way)
    if states == {OrderState.FILLED}:
        return "filled"
    if any(order.filled_quantity > ZERO for order in orders):
        return "partial"
    worst = next(state for state in _WITHOUT_FILL if state in states)
    if worst is OrderState.DENIED and all(order.reason_code == DenialCode.PAUSED for order in orders):
        return "paused"
    return {OrderState.DENIED: _WORD_OF_DENIED, OrderState.NOT_PLACED: "failed"}.get(worst, str(worst))


def listing(workspace: Workspace) -> QuerySet[Alert]:
    """Alerts with what a row shows; the bodies, which may be large, stay behind."""
    rows: QuerySet[Alert] = Alert.objects.for_workspace(workspace)
    return rows.select_related("connector").defer("body")


@dataclass(frozen=True, slots=True)
class AlertRow:
    """One line of a list of alerts."""

    alert: Alert
    orders: list[Order]

    @property
    def status(self) -> str:
        return display_key(self.alert, self.orders)

    @property
    def action(self) -> str:
        understood = self.alert.understood
        return "close all" if "closeall" in understood else str(understood.get("action", ""))

    @property
    def source_delay_s(self) -> int | None:
        """Seconds from the sender's own `time` to the receipt; None when the message says none. Its clock may run
        ahead, and tells whole seconds only."""
        sent_at = read_time(str(self.alert.understood.get("time", "")))
        return round((self.alert.received_at - sent_at).total_seconds()) if sent_at is not None else None

    @property
    def flags(self) -> list[str]:
        """Keys of statuses.LOOKS for what deserves a look whatever the result."""
        codes = {note.get("code") for note in self.alert.notes}
        delay = self.source_delay_s
        return [
            *(["gap"] if codes & _GAPS or self.alert.reason_code in _GAPS else []),
            *(["late"] if delay is not None and delay >= LATE_S else []),
        ]

    @property
    def latency_ms(self) -> int | None:
        """Milliseconds from receipt to the first fill; None while nothing is filled."""
        filled = [order.first_fill_at for order in self.orders if order.first_fill_at is not None]
        return _ms(min(filled) - self.alert.received_at) if filled else None


def rows_of(workspace: Workspace, alerts: Iterable[Alert]) -> list[AlertRow]:
    """Put the orders to the alerts, in one query for all."""
    alerts = list(alerts)
    orders = trading.by_origin(workspace, [alert.pk for alert in alerts])
    return [AlertRow(alert, orders[alert.pk]) for alert in alerts]


def all_rows(workspace: Workspace, alerts: QuerySet[Alert], *, at_once: int = 500) -> Iterator[AlertRow]:
    """Yield every row of a list, some hundred at a time."""
    stream = alerts.iterator(chunk_size=at_once)
    while chunk := list(islice(stream, at_once)):
        yield from rows_of(workspace, chunk)


def alerts_by_status(workspace: Workspace, since: datetime, *, environment: str | None = None) -> dict[str, int]:
    rows = Alert.objects.for_workspace(workspace).filter(received_at__gte=since, parent=None)
    if environment is not None:
        rows = rows.filter(connector__environment=environment)
    return dict(rows.values_list("status").annotate(count=Count("pk")).order_by("status"))


def held(workspace: Workspace) -> QuerySet[Alert]:
    return listing(workspace).filter(status=AlertStatus.HELD).order_by("-received_at", "-id")


def preview_of(alert: Alert) -> Preview | None:
    """Return the answer to a test alert: its first preview. None for an alert that was no test."""
    if alert.status != AlertStatus.TESTED:
        return None
    rows: QuerySet[Preview] = Preview.objects.for_workspace(alert.workspace_id)
    return rows.filter(alert=alert).order_by("requested_at").first()


def cause_of(order: Order) -> Alert | None:
    """Return the alert that an order came from, or None."""
    rows: QuerySet[Alert] = Alert.objects.for_workspace(order.workspace_id)
    return rows.filter(pk=order.origin_id).defer("body").first()


@dataclass(frozen=True, slots=True)
class Moment:
    """One step of an alert's life. `since_start_ms` counts from receipt, `gap_ms` from the step before."""

    what: str
    at: datetime
    since_start_ms: int
    gap_ms: int
    order_id: UUID | None = None


def timeline(alert: Alert, orders: Sequence[Order], evidence: Evidence | None = None) -> list[Moment]:
    """Return what happened and when, oldest first; steps that did not happen are not there.

    The sender's time and those of fills are of other clocks than ours. "Sent" is when the intention was committed, just
    before the first byte; without `evidence` it is the signed time, which is of the exchange's clock.
    """
    steps: list[tuple[str, datetime | None, UUID | None]] = [
        ("Sent by its source", evidence.source_at if evidence else None, None),
        ("Received", alert.received_at, None),
        ("Read", alert.read_at, None),
        ("Run by hand", alert.released_at, None),
        ("Claimed by a worker", alert.claimed_at, None),
        ("Account and prices read", evidence.seen_at if evidence else None, None),
        ("Planned", alert.planned_at, None),
    ]
    for order in orders:
        name = f"{order.side} {order.get_intent_display()}" if len(orders) > 1 else "order"
        written_at, sent_at = evidence.times_of(order) if evidence else (None, None)
        last_fill_at = order.last_fill_at if order.last_fill_at != order.first_fill_at else None
        ended_at = order.finished_at if order.signed_at is None else None
        if ended_at is not None and written_at is not None and ended_at <= written_at:
            # Refused when it was planned: it was written down as what it is.
            steps.append((f"{name}: {order.get_state_display()}", written_at, order.pk))
            continue
        steps += [
            (f"{name}: written down", written_at or order.created_at, order.pk),
            (f"{name}: signed and sent", sent_at or order.signed_at, order.pk),
            (f"{name}: acknowledged by the exchange", order.acknowledged_at, order.pk),
            (f"{name}: first fill", order.first_fill_at, order.pk),
            (f"{name}: last fill", last_fill_at, order.pk),
            (f"{name}: {order.get_state_display()}", order.finished_at, order.pk),
        ]
    steps.append(("Finished", alert.finished_at, None))
    happened = [(what, at, order_id) for what, at, order_id in steps if at is not None]
    happened.sort(key=lambda step: step[1])
    moments: list[Moment] = []
    for what, at, order_id in happened:
        before = moments[-1].at if moments else at
        moments.append(Moment(_sentence_case(what), at, _ms(at - alert.received_at), _ms(at - before), order_id))
    return moments


def raw_text(alert: Alert) -> str:
    """Return the delivery as text, its pointers cut to their last four characters."""
    return decode(bytes(alert.body)).text


def as_curl(alert: Alert, url: str) -> str:
    """Return a shell command that sends the same message again, with YOUR_POINTER for the pointer."""
    text = raw_text(alert)
    for mark in find_marks(text):
        text = text.replace(mark, "YOUR_POINTER")
    header = shlex.quote(f"Content-Type: {alert.content_type or 'text/plain'}")
    return f"curl -X POST {shlex.quote(url)} \\\n  -H {header} \\\n  --data-binary {shlex.quote(text)}"


def is_final(orders: Sequence[Order]) -> bool:
    return all(order.state in FINAL_STATES for order in orders)


def fields_of(understood: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return the names and values to show, those of the standard message first, as it writes them."""
    names = sorted(understood, key=lambda name: (_FIELDS.index(name) if name in _FIELDS else len(_FIELDS), name))
    return [(name, "—" if understood[name] in (None, "") else str(understood[name])) for name in names]


def _ms(delta: object) -> int:
    return round(delta.total_seconds() * 1000)  # type: ignore[attr-defined,no-any-return]


def _sentence_case(text: str) -> str:
    return text[:1].upper() + text[1:]
