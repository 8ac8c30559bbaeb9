"""Laws of sending, watched at the moment the bytes leave: nothing goes out that the database did not say before."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from apps.connectors.bitmart.errors import BY_TEXT, CODES
from apps.connectors.exchange import OrderRejectedError
from apps.lib.compiled import Compiled
from apps.lib.statements import together
from apps.paper.rest import Request
from apps.trading.executor import BESIDE_OPEN
from apps.trading.models import Order, OrderEvent, OrderState
from tests.torture.clock import VirtualWorld
from tests.torture.steps import History
from tests.torture.venue import Venue

# The venue said that it did not look at the order, or nothing was sent (0): it may go again at once.
_LOOKED_AT_NOTHING = frozenset({0, 30007, 30008, 40008, 30013, 30017, 40013})
_REFUSED = frozenset(code for code, meaning in CODES.items() if meaning.error is OrderRejectedError) | BY_TEXT.keys()
WINDOW_MS = 60_000


@dataclass(slots=True)
class _Sent:
    signed_ms: int
    code: int | None = None


@dataclass(slots=True)
class Watch:
    venue: Venue
    clock: VirtualWorld
    histories: list[History]
    broken: list[tuple[str, str]] = field(default_factory=list)
    has_jumped: bool = False
    submits: int = 0
    _sent: dict[tuple[str, str], _Sent] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.venue.on_submit = self._leaving
        self.venue.on_submitted = self._answered

    def _leaving(self, asked: Request) -> None:
        self.submits += 1
        self.has_jumped |= bool(self.clock.jumped)
        name, key = _name(asked), asked.headers.get("x-bm-key", "")
        signed_ms = int(asked.headers.get("x-bm-timestamp", "0"))
        if connection.in_atomic_block:
            self._breaks(key, f"{name} is sent inside a transaction")
        rows, events = together(_row.asked(name=name), _said.asked(name=name))
        signed_at, facts = rows[0] if rows else (None, {})
        if not rows:
            self._breaks(key, f"{name} is sent without a row")
        else:
            if not events:
                self._breaks(key, f"{name} is sent before its row says so")
            if signed_at is not None and signed_ms > _ms(signed_at):
                self._breaks(key, f"{name} is signed at another time than its row says")
        before = self._sent.get((key, name))
        is_open = before is not None and not _may_go_again(before.code, facts) and not self.has_jumped
        if is_open and self.clock.venue_ms() <= before.signed_ms + WINDOW_MS:
            self._breaks(key, f"{name} is sent again while the first may still arrive")
        self._sent[key, name] = _Sent(signed_ms)

    def _answered(self, asked: Request, code: int | None) -> None:
        sent = self._sent.get((asked.headers.get("x-bm-key", ""), _name(asked)))
        if sent is not None:
            sent.code = code

    def _breaks(self, key: str, sentence: str) -> None:
        self.broken.append((key, sentence))


_row: Compiled[tuple[datetime | None, dict[str, Any]]] = Compiled(
    lambda name: Order.unscoped.filter(client_order_id=name).values_list("signed_at", "facts")
)
_said: Compiled[UUID] = Compiled(
    lambda name: OrderEvent.unscoped.filter(order__client_order_id=name, to_state=OrderState.SUBMITTING).values_list(
        "order_id", flat=True
    )[:1]
)


def _may_go_again(code: int | None, facts: Mapping[str, Any]) -> bool:
    """An exit beside an order that is being taken back goes again, too, when the venue has refused it for that."""
    return code in _LOOKED_AT_NOTHING or (BESIDE_OPEN in facts and code in _REFUSED)


def _name(asked: Request) -> str:
    body = json.loads(asked.body)
    return str(body.get("client_order_id") or body.get("clientOrderId") or "")


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
