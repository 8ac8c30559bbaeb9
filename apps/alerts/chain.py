"""The sizes before and after, from alert to alert: each must begin where the one before it ended.

The sender counts in its own units and its own simulation, so what is compared is alert with alert: a chain that is
broken means that an alert never arrived or comes late, whatever the account holds (the planner compares with that).

Alerts of one burst arrive in any order. What waits is run in the order of the chain (`first_of`), and one before which
another is missing waits a moment for it. One that comes later still is overtaken: the strategy has gone on from it, so
it opens nothing, and closes no more than what the strategy has left. An alert that could not be read, or that states no
sizes, ends the chain: nothing is said where nothing is known.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Q

from apps.alerts.models import Alert, AlertStatus
from apps.alerts.reasons import Reason
from apps.alerts.sizes import FLAT, Held, after, before, fits_quantity
from apps.lib import world
from apps.trading.signal import PrevPosition, Signal

BURST = timedelta(seconds=2)
# So long an alert waits for the one that is missing before it. Deliveries of one moment are tens of milliseconds apart.
MISSING = timedelta(seconds=1)
# One that is later is old enough to be refused for its age.
LATE = timedelta(minutes=15)
CODE = "MISSED_ALERT"
OVERTAKEN = "OVERTAKEN"
_LOOKED_AT = 50
# A burst of more is run as it came.
_MOST = 8
_UNDECIDED = frozenset({AlertStatus.RECEIVED, AlertStatus.QUEUED})


@dataclass(frozen=True, slots=True)
class Gap:
    """What the alert says is held before it, and what the alert before it (`previous`) said it left."""

    stated: str
    left: str
    previous: UUID
    previous_at: datetime

    @property
    def facts(self) -> dict[str, str]:
        at = f"{self.previous_at:%Y-%m-%d %H:%M:%S} UTC"
        return {"stated": self.stated, "left": self.left, "previous": str(self.previous), "previous_at": at}

    @property
    def sentence(self) -> str:
        return (
            f"The alert says {self.stated} was held before it, but the one before it left {self.left}: an alert in "
            "between may never have arrived, or its source counts anew. This connector places nothing then; exits "
            "still work. Look at TradingView's alert log, and bring the position in line by hand."
        )


@dataclass(frozen=True, slots=True)
class Link:
    """How an alert stands in its chain.

    `gap` is the break just before it. `may_be_filled`: what is missing there may be a moment behind. `overtaken_by` is
    the alert that ran although this one belongs before it, and `left` what the strategy has after all that ran.
    """

    gap: Gap | None = None
    may_be_filled: bool = False
    overtaken_by: Alert | None = None
    left: Held | None = None


def look(alert: Alert) -> Link:
    """Return how the alert stands in the chain of its pointer and symbol, of which the caller holds the lease.

    Takes back the flags of those for which this alert is the one that was missing. One that is overtaken says so from
    then on, however often it is tried.
    """
    mine, left_by_it = before(alert.understood), after(alert.understood)
    if mine is None and left_by_it is None:
        return Link()
    past = _past(alert.pointer_id, alert.symbol, until=alert.received_at + BURST, without={alert.pk})
    overtaken_by = _overtaken_by(alert, past)
    if overtaken_by is not None:
        _keep_overtaken(alert, overtaken_by)
    if left_by_it is not None:
        burst = [row for row in past.rows if row.received_at >= alert.received_at - BURST]
        _take_back_flags([*burst, *([overtaken_by] if overtaken_by else [])], left_by_it)
    if overtaken_by is not None:
        return Link(overtaken_by=overtaken_by, left=past.left)
    if mine is None:
        return Link()
    if past.last is None:
        return Link(may_be_filled=bool(mine.size) and not past.rows and _is_net(alert))
    gap = _gap(mine, past, past.last, alert)
    return Link(gap, may_be_filled=gap is not None and not _flag(past.last) and _is_net(alert))


def first_of(waiting: Sequence[Alert]) -> Alert | None:
    """Return which of a burst of waiting alerts the strategy sent first; None where their sizes do not tell.

    `waiting`: of one symbol, as they arrived; those of the first one's pointer count.
    """
    group = [alert for alert in waiting if alert.pointer_id == waiting[0].pointer_id]
    if not 1 < len(group) <= _MOST or not all(_is_link(alert) and _is_net(alert) for alert in group):
        return None
    said = [(before(alert.understood), after(alert.understood), alert.understood.get("time", "")) for alert in group]
    links = [(begin, end, sent) for begin, end, sent in said if begin is not None and end is not None]
    if len(links) < len(group):
        return None
    names = {alert.pk for alert in group}
    past = _past(group[0].pointer_id, group[0].symbol, until=group[-1].received_at + BURST, without=names)
    order = sorted(range(len(links)), key=lambda at: links[at][2])
    trail = _trail(past.left, links, order) or _trail(None, links, order)
    return group[trail[0]] if trail else None


def _trail(left: Held | None, links: Sequence[tuple[Held, Held, str]], order: list[int]) -> list[int] | None:
    """Return all of `order` so that each begins where the one before it ended, none before one sent sooner.

    `order`: by the sender's clock, and as they came.
    """
    if not order:
        return []
    soonest = ""
    for at in order:
        begin, end, sent = links[at]
        soonest = soonest or sent
        if sent > soonest:
            break
        if left is None or begin.agrees(left):
            rest = _trail(end, links, [other for other in order if other != at])
            if rest is not None:
                return [at, *rest]
    return None


def what_is_left(signal: Signal, link: Link, alert: Alert) -> Signal:
    """Return an overtaken exit as what of it is still to be done: it opens nothing, and leaves what the strategy has.

    Where the message counts in other units than it orders, or the strategy's size is not known, its quantity decides.
    """
    bare = replace(
        signal, reduce_only=True, market_position=None, market_position_size=None, prev_market_position_size=None
    )
    size, quantity = signal.prev_market_position_size, signal.quantity
    if link.left is None or not size or quantity is None or not fits_quantity(alert.understood):
        return bare
    claimed = signal.prev_position
    # A size without a side may be of this one.
    rest = link.left.size if link.left.side in {claimed, ""} else Decimal(0)
    side = claimed if rest else PrevPosition.FLAT
    return replace(bare, quantity=min(quantity, size), market_position=side, market_position_size=rest)


def overtaken_facts(by: Alert) -> dict[str, str]:
    return {"by": str(by.pk), "at": f"{by.received_at:%Y-%m-%d %H:%M:%S} UTC"}


def with_note(notes: Sequence[dict[str, Any]], gap: Gap | None) -> list[dict[str, Any]]:
    """Return the notes with this gap in place of an earlier try's."""
    kept = [note for note in notes if note.get("code") != CODE]
    return kept if gap is None else [*kept, {"code": CODE, "facts": gap.facts}]


@dataclass(frozen=True, slots=True)
class _Past:
    """The links of a chain, the newest delivery first, and which was run last (None: none yet)."""

    rows: Sequence[Alert]
    last: Alert | None

    @property
    def left(self) -> Held | None:
        return after(self.last.understood) if self.last else None


def _past(pointer: UUID, symbol: str, *, until: datetime, without: Collection[UUID]) -> _Past:
    # One without a symbol was not understood so far; it may have been about this one.
    rows = Alert.unscoped.filter(Q(symbol=symbol) | Q(symbol=""), pointer_id=pointer, received_at__lte=until)
    rows = rows.exclude(pk__in=without)
    rows = rows.exclude(status__in=(AlertStatus.DUPLICATE, AlertStatus.TESTED, AlertStatus.SPLIT))
    columns = ("received_at", "claimed_at", "planned_at", "released_at", "status", "reason_code", "understood", "notes")
    links = [row for row in rows.only(*columns).order_by("-received_at", "-id")[:_LOOKED_AT] if _is_link(row)]
    run = [row for row in links if row.status not in _UNDECIDED and not _is_overtaken(row)]
    return _Past(links, max(run, key=_ran_at, default=None))


def _ran_at(row: Alert) -> datetime:
    """What waited for another one was taken up before it; what a person ran had its turn when it was held."""
    planned_at = row.planned_at if row.released_at is None else None
    return planned_at or row.claimed_at or row.received_at


def _gap(mine: Held, past: _Past, last: Alert, alert: Alert) -> Gap | None:
    since = alert.received_at - BURST
    near = [row for row in past.rows if (row.received_at >= since or row is last) and not _is_overtaken(row)]
    if any(row.status == AlertStatus.RECEIVED or _is_sent_later(row, alert) for row in near):
        return None
    left = [after(row.understood) for row in near]
    if past.left is None or any(held is None or held.agrees(mine) for held in left):
        return None
    return Gap(str(mine), str(past.left), last.pk, last.received_at)


def _overtaken_by(alert: Alert, past: _Past) -> Alert | None:
    """Return the alert that ran although this one was missing before it: this one fills the gap that was there."""
    mine, left_by_it = before(alert.understood), after(alert.understood)
    if mine is None or left_by_it is None or alert.released_at is not None or not _is_net(alert):
        return None
    told = next((note["facts"]["by"] for note in alert.notes if note.get("code") == OVERTAKEN), "")
    if told:
        return next((row for row in past.rows if str(row.pk) == told), None)
    # It may as well follow all that ran, as the same trade made anew: only one that was sent before it is overtaken.
    follows = past.left is None or mine.agrees(past.left)
    for row in past.rows:
        begin, left = before(row.understood), _left_before(row, past)
        if row.status in _UNDECIDED or begin is None or left is None or row.received_at < alert.received_at - LATE:
            continue
        fills = left_by_it.agrees(begin) and mine.agrees(left)
        if fills and _may_be_sent_before(alert, row, is_likely=not follows):
            return row
    return None


def _keep_overtaken(alert: Alert, by: Alert) -> None:
    """On record before the flag of `by` is taken back: a later try finds no gap there any more."""
    kept = [note for note in alert.notes if note.get("code") != OVERTAKEN]
    alert.notes = [*kept, {"code": OVERTAKEN, "facts": overtaken_facts(by)}]
    Alert.unscoped.filter(pk=alert.pk, status=AlertStatus.QUEUED, order=None).update(notes=alert.notes)


def _left_before(row: Alert, past: _Past) -> Held | None:
    """Return what was held in the sender's count when the row ran in front of a gap; None where there was none."""
    flag = _flag(row)
    if flag is not None:
        return Held.read(flag["left"])
    is_first = row is past.rows[-1] and len(past.rows) < _LOOKED_AT
    return FLAT if is_first and not _closed(row) else None


def _closed(row: Alert) -> bool:
    """Whether it found what it says was held, and closed it: a position from before the first alert of a pointer."""
    left = after(row.understood)
    return row.status in {AlertStatus.EXECUTING, AlertStatus.EXECUTED} and left is not None and not left.size


def _may_be_sent_before(alert: Alert, row: Alert, *, is_likely: bool) -> bool:
    """By the sender's own clock, in whole seconds; without by when they came, unless it `is_likely` all the same."""
    sent, other = alert.understood.get("time"), row.understood.get("time")
    if sent and other:
        return str(sent) <= str(other)
    return is_likely or alert.received_at - row.received_at <= BURST


def _take_back_flags(rows: Sequence[Alert], left: Held) -> None:
    for row in rows:
        begin = before(row.understood)
        if begin is not None and begin.agrees(left) and _flag(row):
            flagged = Alert.unscoped.filter(pk=row.pk)
            flagged.update(notes=with_note(row.notes, None))
            # It waits no longer.
            flagged.filter(status=AlertStatus.QUEUED).update(next_at=world.now())


def _flag(row: Alert) -> Mapping[str, str] | None:
    return next((note["facts"] for note in row.notes if note.get("code") == CODE), None)


def _is_overtaken(row: Alert) -> bool:
    return row.reason_code == OVERTAKEN or any(note.get("code") == OVERTAKEN for note in row.notes)


def _is_net(alert: Alert) -> bool:
    """Whether it counts in a chain of one position: two strategies may share a hedge account; parts run as written."""
    return "hedgemode" not in alert.understood and alert.parent_id is None


def _is_link(alert: Alert) -> bool:
    """False for what no strategy counts as an order: other texts, closing everything, taking orders back."""
    if alert.reason_code == Reason.NOT_A_TRADE or "closeall" in alert.understood:
        return False
    return not ("cancel" in alert.understood and "action" not in alert.understood)


def _is_sent_later(row: Alert, alert: Alert) -> bool:
    """By the sender's own clock the row comes after the alert, which was late then, not followed by a gap."""
    return str(row.understood.get("time", "")) > str(alert.understood.get("time") or "9")
