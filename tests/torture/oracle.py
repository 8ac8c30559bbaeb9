"""After the storm: what the venue's own book holds, and whether ours says the same."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import UUID

from apps.alerts.models import WAITING, Alert, AlertStatus
from apps.connectors.instruments import in_words
from apps.lib import world
from apps.lib.compiled import Compiled, Each
from apps.lib.statements import together
from apps.paper.records import Fill as TheirFill
from apps.paper.records import Order as TheirOrder
from apps.trading import drift
from apps.trading.ids import order_of
from apps.trading.models import (
    FINAL_STATES,
    Adjustment,
    Fill,
    Lease,
    LedgerEntry,
    Order,
    OrderEvent,
    OrderState,
    Position,
    Protection,
)
from tests.torture.clock import START
from tests.torture.laws import Watch
from tests.torture.steps import History
from tests.torture.tally import Tally
from tests.torture.venue import Venue

S = OrderState
ZERO = Decimal(0)
# So the exchange names the order that it makes of a guard.
FIRED = "PLAN_"
# The reason of an order that ended by a person's word.
SETTLED = "SETTLED_BY_PERSON"
# What the venue tells may be so old.
TOLD_LATE = timedelta(seconds=6)
# No guard but a halt may keep an exit from being sent.
NEVER_FOR_EXITS = frozenset(
    {
        *("PAUSED", "TRIAL_ENDED", "SITE_REDUCE_ONLY", "WORKSPACE_REDUCE_ONLY", "CONNECTOR_REDUCE_ONLY"),
        *("CONNECTOR_DELETED", "CLOCK_UNTRUSTED"),
    }
)
_SPEAK_FOR_THEMSELVES = frozenset({AlertStatus.EXECUTED, AlertStatus.SPLIT})
_ENDED = {"filled": {S.FILLED}, "canceled": {S.CANCELED, S.REJECTED}, "partially_canceled": {S.CANCELED, S.FILLED}}


@dataclass(slots=True)
class Found:
    """(kind, history, sentence); a kind is one of the tally's counts, or the sentence of a law."""

    rows: list[tuple[str, History | None, str]] = field(default_factory=list)

    def say(self, kind: str, history: History | None, sentence: str) -> None:
        self.rows.append((kind, history, sentence))

    def into(self, tally: Tally, name: str, histories: list[History], world_told: list[str]) -> None:
        """Count what was found, and tell each wrong history whole: what happened, and what became of its orders."""
        for kind, _, _ in self.rows:
            if kind in {"duplicates", "lost", "stuck", "phantoms"}:
                setattr(tally, kind, getattr(tally, kind) + 1)
        for number, history in enumerate(histories):
            wrong = [f"{kind}: {sentence}" for kind, whose, sentence in self.rows if whose is history]
            if wrong:
                steps = sorted([*history.told, *world_told])
                tally.violations.append("\n".join([f"world {name} history {number}", *wrong, *steps, *_lives(history)]))
        wrong = [f"{kind}: {sentence}" for kind, whose, sentence in self.rows if whose is None]
        if wrong:
            tally.violations.append("\n".join([f"world {name}", *wrong, *world_told]))


def _lives(history: History) -> list[str]:
    """Tell each order's life, as its events have it."""
    lines = []
    for order in Order.unscoped.filter(connector=history.connector).order_by("created_at", "leg"):
        lines.append(f"{order.client_order_id} {order.intent} {order.side} {order.quantity:f} {order.state}")
        lines += [
            f"    {(event.at - START).total_seconds():9.3f} {event.to_state}: {event.cause} {event.evidence}"
            for event in OrderEvent.unscoped.filter(order=order).order_by("version")
        ]
    for alert in Alert.unscoped.filter(connector=history.connector).order_by("received_at"):
        at = (alert.received_at - START).total_seconds()
        lines.append(f"{at:9.3f} alert {alert.pk} {alert.status} {alert.reason_code} {alert.next_at} {alert.order_id}")
    return lines


def judge(histories: list[History], venue: Venue, laws: Watch) -> Found:
    found = Found()
    ours = _Rows([history.connector.pk for history in histories])
    by_key = {history.key: history for history in histories}
    for key, sentence in laws.broken:
        found.say("law", by_key.get(key), sentence)
    for history in histories:
        book = _Book(venue.orders(history.account_id), venue.fills(history.account_id))
        _Judge(found, history, ours, book, venue, was_turned=laws.clock.was_turned).all()
    return found


def _is_ours(client_order_id: str) -> bool:
    """True for the orders that we named, and for those that the exchange made of our guards."""
    return order_of(client_order_id) is not None or client_order_id.startswith(FIRED)


# Of some histories: a world's forty, or the one that was played.
_orders: Compiled[Order] = Compiled(
    lambda connectors: Order.unscoped.filter(connector__pk__among=connectors).order_by("created_at", "leg")
)
_fills: Compiled[Fill] = Compiled(lambda connectors: Fill.unscoped.filter(connector__pk__among=connectors))
_alerts: Compiled[Alert] = Compiled(
    lambda connectors: Alert.unscoped.filter(connector__pk__among=connectors).order_by("received_at")
)
_positions: Compiled[Position] = Compiled(
    lambda connectors: Position.unscoped.filter(connector__pk__among=connectors).select_related("instrument")
)
_events: Compiled[OrderEvent] = Compiled(
    lambda connectors: OrderEvent.unscoped.filter(order__connector__pk__among=connectors).order_by("order", "version")
)
_booked: Compiled[tuple[UUID, str, str, Decimal]] = Compiled(
    lambda connectors: (
        LedgerEntry.unscoped.filter(connector__pk__among=connectors)
        .exclude(fill=None)
        .values_list("connector_id", "kind", "currency", "amount")
    )
)
_adjusted: Compiled[tuple[UUID, str, Decimal]] = Compiled(
    lambda connectors: Adjustment.unscoped.filter(connector__pk__among=connectors).values_list(
        "connector_id", "book", "change"
    )
)
_listed: Compiled[str] = Compiled(
    lambda connectors: (
        Protection.unscoped.filter(connector__pk__among=connectors)
        .exclude(exchange_order_id="")
        .values_list("exchange_order_id", flat=True)
    )
)
_held: Compiled[UUID] = Compiled(lambda now: Lease.objects.filter(until__gt=now).values_list("connector_id", flat=True))


class _Rows:
    """Everything of ours, read once for all histories, in one round trip."""

    def __init__(self, connectors: list[UUID]) -> None:
        kinds = (_orders, _fills, _alerts, _positions, _events, _booked, _adjusted, _listed)
        every = Each(connectors)
        orders, fills, alerts, positions, events, booked, adjusted, listed, leases = together(
            *(kind.asked(connectors=every) for kind in kinds), _held.asked(now=world.now())
        )
        self.orders: dict[Any, list[Order]] = defaultdict(list)
        for order in orders:
            self.orders[order.connector_id].append(order)
        self.fills: dict[Any, list[Fill]] = defaultdict(list)
        for fill in fills:
            self.fills[fill.connector_id].append(fill)
        self.alerts: dict[Any, list[Alert]] = defaultdict(list)
        for alert in alerts:
            self.alerts[alert.connector_id].append(alert)
        self.positions: dict[Any, list[Position]] = defaultdict(list)
        for position in positions:
            self.positions[position.connector_id].append(position)
        self.events: dict[Any, list[OrderEvent]] = defaultdict(list)
        for event in events:
            self.events[event.order_id].append(event)
        self.ledger: dict[tuple[Any, str, str], Decimal] = defaultdict(Decimal)
        for connector, kind, currency, amount in booked:
            self.ledger[connector, kind, currency] += amount
        self.adjusted: dict[tuple[Any, str], Decimal] = defaultdict(Decimal)
        for connector, side, change in adjusted:
            self.adjusted[connector, side] += change
        self.listed_guards = set(listed)
        self.leases = set(leases)


class _Book:
    def __init__(self, orders: list[TheirOrder], fills: list[TheirFill]) -> None:
        self.orders, self.fills = orders, fills
        self.ours = [order for order in orders if _is_ours(order.client_order_id)]
        self.our_fills = [fill for fill in fills if _is_ours(fill.client_order_id)]
        self._is_hedged = any(order.position_mode == "hedge_mode" for order in orders)

    def side_of(self, fill: TheirFill) -> str:
        """Return "long" or "short" for the books of a hedge account, else "net"."""
        # Ways 1 and 2 are the long and short book's buys, 3 and 4 their sells.
        return {1: "long", 3: "long", 2: "short", 4: "short"}.get(fill.way, "net") if self._is_hedged else "net"


class _Judge:
    def __init__(
        self, found: Found, history: History, ours: _Rows, book: _Book, venue: Venue, *, was_turned: bool
    ) -> None:
        self.found, self.history, self.rows, self.book, self.venue = found, history, ours, book, venue
        self.was_turned = was_turned
        connector = history.connector
        self.orders = ours.orders[connector.pk]
        self.alerts = ours.alerts[connector.pk]
        self.fills = ours.fills[connector.pk]
        self.by_name = {order.client_order_id: order for order in self.orders}

    def say(self, kind: str, sentence: str) -> None:
        self.found.say(kind, self.history, sentence)

    def all(self) -> None:
        self.duplicates()
        self.lost()
        self.stuck()
        self.phantoms()
        self.states()
        self.fills_agree()
        self.positions()
        self.exits()
        self.reversals()
        self.tenants()
        self.events()
        self.refusals()
        self.money()

    def duplicates(self) -> None:
        names = Counter(order.client_order_id for order in self.book.ours)
        legs = Counter(leg for order in self.book.ours if (leg := order_of(order.client_order_id)) is not None)
        for name, count in names.items():
            if count > 1:
                self.say("duplicates", f"{name} stands {count} times in the book")
        for leg, count in legs.items():
            if count > 1 and not any(names[n] > 1 for n in names if order_of(n) == leg):
                self.say("duplicates", f"leg {leg} has {count} orders in the book")

    def lost(self) -> None:
        there = {alert.pk: alert for alert in self.alerts}
        for alert_id in self.history.sent:
            alert = there.get(alert_id)
            if alert is None:
                self.say("lost", f"alert {alert_id} was taken in and is gone")
            elif alert.status in WAITING:
                self.say("lost", f"alert {alert_id} is still {alert.status} {alert.reason_code}")
            elif alert.status == AlertStatus.EXECUTED and alert.order_id is None:
                self.say("lost", f"alert {alert_id} counts as executed and has no order")
            elif alert.status not in {*WAITING, *_SPEAK_FOR_THEMSELVES} and not alert.reason_code:
                self.say("lost", f"alert {alert_id} is {alert.status} and nobody says why")
            elif alert.reason_code == "INTERNAL_ERROR":
                self.say("lost", f"alert {alert_id}: {alert.reason}")

    def stuck(self) -> None:
        open_there = {order.client_order_id for order in self.book.ours if order.state not in _ENDED}
        for order in self.orders:
            if order.state in FINAL_STATES and order.next_at is None:
                continue
            if order.is_resting and order.client_order_id in open_there and order.cancel_requested_at is None:
                continue
            self.say("stuck", f"order {order.client_order_id} is {order.state}, due {order.next_at}")
        if self.history.connector.pk in self.rows.leases:
            self.say("stuck", "a lease is still held")

    def phantoms(self) -> None:
        filled = {fill.client_order_id for fill in self.book.our_fills}
        for order in self.book.ours:
            row = self.by_name.get(order.client_order_id)
            if row is None:
                # A guard that fires once nothing is held any more trades nothing: it may have been over for us before.
                traded = order.client_order_id in filled and not self._is_beyond_proof(order.client_order_id)
                if order_of(order.client_order_id) is not None or traded:
                    self.say("phantoms", f"{order.client_order_id} stands in the book and has no row")
            elif row.exchange_order_id not in ("", str(order.id)):
                self.say(
                    "phantoms", f"{order.client_order_id} is named {row.exchange_order_id}, the book says {order.id}"
                )

    def states(self) -> None:
        placed = {order.client_order_id: order for order in self.book.ours}
        for order in self.orders:
            theirs = placed.get(order.client_order_id)
            if theirs is None:
                # What the exchange acknowledged and never showed a person said to be gone.
                is_gone = order.state == S.CANCELED and order.reason_code == SETTLED
                if order.state in {S.FILLED, S.CANCELED, S.ACCEPTED, S.PARTIAL} and not is_gone:
                    self.say("phantoms", f"{order.client_order_id} is {order.state} and not in the book")
                continue
            allowed = _ENDED.get(theirs.state, {S.ACCEPTED, S.PARTIAL})
            if theirs.state == "partially_canceled" and theirs.notional and theirs.side == "buy":
                # Its rest is the quote that bought no whole step.
                allowed = {S.FILLED}
            if order.state not in allowed:
                self.say("wrong state", f"{order.client_order_id} is {order.state}, the book says {theirs.state}")

    def fills_agree(self) -> None:
        theirs = {str(fill.id): fill for fill in self.book.our_fills}
        ours = {fill.trade_id: fill for fill in self.fills}
        inferred = [fill for fill in self.fills if fill.trade_id.startswith("inferred:")]
        told: Counter[str] = Counter()
        for fill in self.book.our_fills:
            told[fill.client_order_id] += fill.size
        names = {order.pk: order.client_order_id for order in self.orders}
        recorded: Counter[str] = Counter()
        for fill in self.fills:
            recorded[names[fill.order_id]] += fill.quantity
        for name in sorted({*told, *recorded}):
            row = self.by_name.get(name)
            if row is None and self._is_beyond_proof(name):
                continue
            if told[name] != recorded[name]:
                self.say("phantoms", f"{name} filled {told[name]} in the book, {recorded[name]} with us")
            if row is not None and row.filled_quantity != recorded[name]:
                self.say("wrong sum", f"{name} says {row.filled_quantity} filled, its fills {recorded[name]}")
        if inferred:
            return
        for trade_id, fill in ours.items():
            book = theirs.get(trade_id)
            if book is None:
                self.say("phantoms", f"fill {trade_id} is not in the book")
            elif (book.price, book.size, book.fee) != (fill.price, fill.quantity, fill.fee):
                self.say("wrong fill", f"{trade_id}: {fill.price} {fill.quantity} {fill.fee}, the book says {book}")

    def positions(self) -> None:
        sums: Counter[str] = Counter()
        for fill in self.fills:
            # On spot a fee in the coin itself makes less of it.
            in_kind = fill.fee if self.history.tenant.market == "spot" and fill.fee_currency == "BTC" else ZERO
            sums[fill.book] += (fill.quantity if fill.side == "buy" else -fill.quantity) - in_kind
        connector = self.history.connector
        of_books = self.rows.positions[connector.pk]
        rows = {row.book: row.signed_quantity for row in of_books}
        # An exit may close what is the owner's; a book that has one side only ends at nothing then.
        is_all_ours = not self.history.has_outside_trades
        for book in {*sums, *rows}:
            if not is_all_ours and (self.history.tenant.market == "spot" or book != "net"):
                continue
            total = sums[book] + self.rows.adjusted[connector.pk, book]
            if rows.get(book, ZERO) != total:
                self.say("wrong position", f"{book} {rows.get(book)}, its fills and corrections add up to {total}")
        if self.history.tenant.market == "spot":
            held = self.venue.free(self.history.account_id, "spot", "BTC")
        else:
            held = sum((p.amount * p.direction for p in self.venue.positions(self.history.account_id)), ZERO)
        ours = sum(rows.values(), ZERO)
        if is_all_ours:
            is_right = held == ours
        else:
            # On spot what the owner has beyond our position stays his own; less than a step is nobody's.
            is_right = not of_books or not drift.differs(ours, held, instrument=in_words(of_books[0].instrument))
        if not is_right:
            self.say("wrong position", f"{rows}, the book says {held}")

    def _is_beyond_proof(self, name: str) -> bool:
        """True for what a guard fired that was never listed, where others moved the position as well.

        Such an order counts as ours only when it explains what the exchange holds less than our fills say; where a
        liquidation or the owner had a part in that, nothing does: see trading/firing.py.
        """
        if not name.startswith(FIRED) or name.removeprefix(FIRED) in self.rows.listed_guards:
            return False
        return self.history.has_outside_trades or self._was_liquidated()

    def _was_liquidated(self) -> bool:
        return any(not _is_ours(fill.client_order_id) for fill in self.book.fills)

    def exits(self) -> None:
        held: Counter[str] = Counter()
        for fill in self.book.fills:
            book = self.book.side_of(fill)
            before = held[book]
            held[book] += fill.size if fill.side == "buy" else -fill.size
            row = self.by_name.get(fill.client_order_id)
            if row is not None and row.intent == "exit" and abs(held[book]) > abs(before):
                self.say("exit adds", f"{row.client_order_id} led from {before} to {held[book]}")

    def reversals(self) -> None:
        placed = {order.client_order_id: order for order in self.book.ours}
        by_id = {order.pk: order for order in self.orders}
        for leg in self.orders:
            if not leg.waits_for_parent or leg.client_order_id not in placed or leg.parent_id is None:
                continue
            close = placed.get(by_id[leg.parent_id].client_order_id)
            if close is None or close.state != "filled" or close.id > placed[leg.client_order_id].id:
                state = close.state if close else "not in the book"
                self.say("opened before closed", f"{leg.client_order_id} was sent, its closing order is {state}")

    def tenants(self) -> None:
        workspace_id = self.history.connector.workspace_id
        mine = {alert.pk for alert in self.alerts}
        for row in (*self.orders, *self.alerts, *self.fills):
            if row.workspace_id != workspace_id:
                self.say("another tenant", f"{row!r} belongs to {row.workspace_id}")
        by_id = {order.pk: order for order in self.orders}
        for order in self.orders:
            # A second order that closes what an entry opened has an origin of its own, and hangs from the entry.
            if not {order.origin_id, by_id.get(order.parent_id, order).origin_id} & mine:
                self.say("another tenant", f"order {order.client_order_id} comes from {order.origin_id}")

    def events(self) -> None:
        for order in self.orders:
            events = self.rows.events[order.pk]
            if not events or events[-1].to_state != order.state:
                self.say("wrong events", f"{order.client_order_id} is {order.state}, its events end otherwise")
            for one, next_one in pairwise(events):
                if one.to_state != next_one.from_state:
                    self.say(
                        "wrong events", f"{order.client_order_id}: {one.to_state}, then from {next_one.from_state}"
                    )

    def refusals(self) -> None:
        for alert in self.alerts:
            # An exit whose position is not what it says may have become an entry, and that may be refused.
            if alert.is_exit and alert.planned_at is None and alert.reason_code in NEVER_FOR_EXITS:
                self.say("exit refused", f"alert {alert.pk}: {alert.reason_code}")
            if alert.reason_code == "NOTHING_TO_CLOSE" and alert.finished_at is not None:
                self._really_nothing(alert)
        for order in self.orders:
            if order.intent == "exit" and order.reason_code in NEVER_FOR_EXITS:
                self.say("exit refused", f"order {order.client_order_id}: {order.reason_code}")

    def _really_nothing(self, alert: Alert) -> None:
        """At some moment since it came, as far back as the venue may tell late, the account held nothing on its side.

        Clocks that were turned leave it open, and so does spot, where an exit sells what our own fills bought.
        """
        if self.was_turned or self.history.tenant.market == "spot":
            return
        since_ms, until_ms = (
            (at - TOLD_LATE).timestamp() * 1000 for at in (alert.received_at, alert.finished_at + TOLD_LATE)
        )
        action = alert.understood.get("action")
        held: Counter[str] = Counter()
        moments = [False]
        for fill in self.book.fills:
            if fill.created_ms > until_ms:
                break
            if fill.created_ms <= since_ms:
                moments.clear()
            held[self.book.side_of(fill)] += fill.size if fill.side == "buy" else -fill.size
            long = max(held["net"], ZERO) + held["long"]
            short = max(-held["net"], ZERO) - held["short"]
            moments.append(bool({"sell": long, "buy": short}.get(action, long + short)))
        if all(moments):
            self.say("exit lost", f"alert {alert.pk} was told that there was nothing to close")

    def money(self) -> None:
        """Fees and realised profit to the last digit, where nothing but our fills moved the account."""
        if self.history.has_outside_trades or self._was_liquidated():
            return
        if any(fill.trade_id.startswith("inferred:") for fill in self.fills):
            return
        connector_id = self.history.connector.pk
        # Where a fill had to be inferred its fee is booked as a correction, once the exchange tells of it.
        kinds = ("realized_pnl", "fee", "correction")
        realized: dict[str, Decimal] = defaultdict(Decimal)
        for position in self.rows.positions[connector_id]:
            realized[position.instrument.quote] += position.realized_pnl
        for currency in {fill.fee_currency for fill in self.book.our_fills} | realized.keys():
            theirs = sum((fill.fee for fill in self.book.our_fills if fill.fee_currency == currency), ZERO)
            ours = sum((fill.fee for fill in self.fills if fill.fee_currency == currency), ZERO)
            if ours != theirs:
                self.say("wrong money", f"fees {ours} {currency}, the book says {theirs}")
            booked = sum((self.rows.ledger[connector_id, kind, currency] for kind in kinds), ZERO)
            if booked != realized[currency] - theirs:
                self.say("wrong money", f"booked {booked} {currency}, not {realized[currency]} less fees {theirs}")
