"""The sizes before and after, from alert to alert: each must begin where the one before it ended.

The sender counts in its own units and its own simulation, so what is compared is alert with alert: a chain that is
broken means that an alert never arrived, whatever the account holds (the planner compares with that).

Alerts of one burst arrive in any order, so inside a burst any neighbour may be the one before. An alert that could not
be read, or that states no sizes, ends the chain: nothing is said where nothing is known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Q

from apps.alerts.models import Alert, AlertStatus
from apps.alerts.reasons import Reason

BURST = timedelta(seconds=2)
CODE = "MISSED_ALERT"
_LOOKED_AT = 50
# Scripts print what floats leave of a size.
_TOLERANCE = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Gap:
    """What the alert says was held before it, and what the alert before it (`previous`) said it left."""

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


def judge(alert: Alert) -> Gap | None:
    """Return the break in the chain just before this alert; None when it fits, or when that cannot be known.

    Takes back the flags of neighbours in the burst for which this alert is the one that was missing; the caller holds
    the lease of the symbol.
    """
    before, after = _before(alert.understood), _after(alert.understood)
    if before is None and after is None:
        return None
    burst, previous = _neighbours(alert)
    if after is not None:
        _take_back_flags(burst, after)
    return _gap(before, burst, previous, alert) if before is not None and previous is not None else None


def _gap(before: "_Held", burst: list[Alert], previous: Alert, alert: Alert) -> Gap | None:
    links = [*burst, previous]
    if any(link.status == AlertStatus.RECEIVED or _is_sent_later(link, alert) for link in links):
        return None
    left = [_after(link.understood) for link in links]
    last = left[-1]
    if last is None or any(held is None or held.agrees(before) for held in left):
        return None
    return Gap(str(before), str(last), previous.pk, previous.received_at)


def with_note(notes: Sequence[dict[str, Any]], gap: Gap | None) -> list[dict[str, Any]]:
    """Return the notes with this gap in place of an earlier try's."""
    kept = [note for note in notes if note.get("code") != CODE]
    return kept if gap is None else [*kept, {"code": CODE, "facts": gap.facts}]


def _take_back_flags(burst: list[Alert], after: "_Held") -> None:
    for row in burst:
        before = _before(row.understood)
        if before is not None and before.agrees(after) and any(note.get("code") == CODE for note in row.notes):
            Alert.unscoped.filter(pk=row.pk).update(notes=with_note(row.notes, None))


@dataclass(frozen=True, slots=True)
class _Held:
    side: str
    size: Decimal

    def agrees(self, other: "_Held") -> bool:
        if abs(self.size - other.size) > max(self.size, other.size) * _TOLERANCE:
            return False
        return self.size == 0 or not self.side or not other.side or self.side == other.side

    def __str__(self) -> str:
        return f"{self.side} {self.size:f}".strip() if self.size else "nothing"


def _before(understood: Mapping[str, str]) -> _Held | None:
    return _held(understood, "prev_position", "prev_market_position_size")


def _after(understood: Mapping[str, str]) -> _Held | None:
    return _held(understood, "market_position", "market_position_size")


def _held(understood: Mapping[str, str], side: str, size: str) -> _Held | None:
    return _Held(understood.get(side, ""), Decimal(understood[size])) if understood.get(size) else None


def _neighbours(alert: Alert) -> tuple[list[Alert], Alert | None]:
    """Return the other alerts of the burst, and the last one before it, of the same pointer and symbol."""
    # One without a symbol was not understood so far; it may have been about this one.
    rows = Alert.unscoped.filter(Q(symbol=alert.symbol) | Q(symbol=""), pointer_id=alert.pointer_id)
    rows = rows.filter(received_at__lte=alert.received_at + BURST).exclude(pk=alert.pk)
    rows = rows.exclude(status__in=(AlertStatus.DUPLICATE, AlertStatus.TESTED, AlertStatus.SPLIT))
    columns = ("received_at", "status", "reason_code", "understood", "notes")
    burst: list[Alert] = []
    for row in rows.only(*columns).order_by("-received_at", "-id")[:_LOOKED_AT]:
        if not _is_link(row):
            continue
        if row.received_at < alert.received_at - BURST:
            return burst, row
        burst.append(row)
    return burst, None


def _is_link(alert: Alert) -> bool:
    """False for what no strategy counts as an order: other texts, closing everything, taking orders back."""
    if alert.reason_code == Reason.NOT_A_TRADE or "closeall" in alert.understood:
        return False
    return not ("cancel" in alert.understood and "action" not in alert.understood)


def _is_sent_later(row: Alert, alert: Alert) -> bool:
    """By the sender's own clock the row comes after the alert, which was late then, not followed by a gap."""
    return str(row.understood.get("time", "")) > str(alert.understood.get("time") or "9")
