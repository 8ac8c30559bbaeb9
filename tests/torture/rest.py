"""What is left to do in a world whose faults have ended: nothing, what time will bring, or a person's part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q

from apps.alerts.models import WAITING, Alert
from apps.connectors.instruments import in_words
from apps.lib import world
from apps.lib.compiled import Compiled
from apps.lib.statements import together
from apps.trading import doubts, drift
from apps.trading.models import (
    FINAL_STATES,
    AccountWatch,
    Incident,
    Order,
    OrderState,
    Position,
    Protection,
    ProtectionState,
)
from apps.trading.protection_rows import OPEN
from apps.trading.readings import SETTLING
from apps.trading.transitions import LIVE_PAUSE_S


@dataclass(frozen=True, slots=True)
class Rest:
    """`rows` is everything left, as it stands; `asked` how often each order was asked for that a person was told of."""

    rows: frozenset[tuple[Any, ...]] = frozenset()
    asked: Mapping[UUID, int] = field(default_factory=dict)
    is_for_people: bool = False

    @property
    def is_empty(self) -> bool:
        return not self.rows

    def stands_still_since(self, before: "Rest") -> bool:
        """True when only people can go on, and asking again, which was done since, has moved nothing."""
        was_asked = all(count > before.asked.get(order, count) for order, count in self.asked.items())
        return self.is_for_people and self.rows == before.rows and was_asked


def _rests(order: Order, now: datetime, in_book: Mapping[str, Decimal]) -> bool:
    """True for a limit order in the book as we have it, where it may stay for ever, that was looked at a moment ago."""
    is_seen = order.next_at is not None and order.next_at <= now + timedelta(seconds=LIVE_PAUSE_S)
    is_as_we_say = in_book.get(order.client_order_id) == order.filled_quantity
    return order.is_resting and is_seen and order.cancel_requested_at is None and is_as_we_say


_due: Compiled[Order] = Compiled(
    lambda: Order.unscoped.filter(~Q(state__in=sorted(FINAL_STATES)) | Q(next_at__isnull=False))
)
_waiting: Compiled[tuple[UUID, UUID, str]] = Compiled(
    lambda: Alert.unscoped.filter(status__in=sorted(WAITING)).values_list("id", "connector_id", "status")
)
_told: Compiled[UUID] = Compiled(
    lambda: Incident.unscoped.filter(kind__in=sorted(doubts.KINDS), resolved_at=None, order__isnull=False).values_list(
        "order_id", flat=True
    )
)
# A guard may be live for ever, once it is seen where it is, and wait as long as its entry rests.
_moving: Compiled[tuple[UUID, UUID, str, int, UUID]] = Compiled(
    lambda: (
        Protection.unscoped.filter(state__in=sorted(OPEN))
        .exclude(state=ProtectionState.LIVE, missing_count=0)
        .values_list("id", "connector_id", "state", "missing_count", "entry_id")
    )
)
# A reading right after an order of ours ended is not compared.
_unread: Compiled[tuple[UUID, UUID]] = Compiled(
    lambda since: AccountWatch.unscoped.filter(
        Q(read_at=None)
        | Q(read_at__lt=since)
        | Exists(Order.unscoped.filter(connector=OuterRef("connector"), finished_at__gt=OuterRef("read_at") - SETTLING))
    ).values_list("id", "connector_id")
)
# The accounts of which a reading told something else than our rows, also where we have none.
_counted: Compiled[tuple[UUID, UUID, Any]] = Compiled(
    lambda: AccountWatch.unscoped.exclude(differing={}).values_list("id", "connector_id", "differing")
)
_apart: Compiled[Position] = Compiled(
    lambda: Position.unscoped.exclude(exchange_quantity=F("signed_quantity")).select_related("instrument")
)


def _differing(apart: Sequence[Position]) -> list[tuple[UUID, UUID, Decimal, Decimal | None]]:
    """Return the positions that are not what the exchange said when it was last asked."""
    return [
        (row.pk, row.connector_id, row.signed_quantity, row.exchange_quantity)
        for row in apart
        if drift.differs(row.signed_quantity, row.exchange_quantity or Decimal(0), instrument=in_words(row.instrument))
    ]


def read(in_book: Mapping[str, Decimal], *, since: datetime) -> Rest:
    """`in_book` is what was filled of each order that is open at the exchange, by our name for it.

    What an account holds has to be read after `since`, and to be what our rows say.
    """
    due, alerts, told_of, moving, unread, counted, apart = together(
        _due.asked(),
        _waiting.asked(),
        _told.asked(),
        _moving.asked(),
        _unread.asked(since=since),
        _counted.asked(),
        _apart.asked(),
    )
    told, now = set(told_of), world.now()
    orders = [row for row in due if row.pk in told or not _rests(row, now, in_book)]
    resting = {row.pk for row in due} - {row.pk for row in orders}
    guards = [
        tuple(guard) for *guard, entry in moving if not (guard[2] == ProtectionState.WAITING and entry in resting)
    ]
    differing = [(pk, connector, str(said)) for pk, connector, said in counted]
    readings = [*unread, *differing, *_differing(apart)]
    if not orders and not alerts and not guards and not readings:
        return Rest()
    # Before the fence the exchange may still take it: that is for time to bring.
    in_doubt = [row for row in orders if row.pk in told and (row.fence_at is None or row.fence_at < now)]
    blocked = {row.connector_id for row in in_doubt}
    others = [row for row in orders if row not in in_doubt]
    return Rest(
        rows=frozenset(
            {
                *alerts,
                *guards,
                *readings,
                *((row.pk, row.state, row.not_found_count, row.filled_quantity) for row in orders),
            },
        ),
        asked={row.pk: row.query_count for row in in_doubt},
        is_for_people=all(row.state == OrderState.PLANNED and row.connector_id in blocked for row in others)
        and all(row[1] in blocked for row in (*alerts, *guards, *readings)),
    )
