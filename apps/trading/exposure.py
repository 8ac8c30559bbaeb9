"""What a connector has open, under way, done and lost: the figures that the guards judge.

Entries under way are read before positions: one that fills in between, in another symbol, is counted twice, and never
not at all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet, Sum

from apps.connectors.exchange import Book, Market, Side
from apps.connectors.models import Connector, Instrument
from apps.lib import world
from apps.lib.compiled import Compiled
from apps.lib.statements import Asked, ask, together
from apps.trading.inputs import Counts
from apps.trading.legs import Holding, Intent
from apps.trading.models import DOUBTFUL_STATES, LIVE_STATES, Adjustment, Fill, Order, OrderState, Position

ZERO = Decimal(0)
# A fact of an entry that was cut to the balance: what of it was not sent, in exchange units.
LEFT_OUT = "left_out"
# Of a cancelled entry what was filled before is held, and the strategy counts the rest too.
NOT_CARRIED_OUT = [
    OrderState.DENIED,
    OrderState.EXPIRED,
    OrderState.NOT_PLACED,
    OrderState.REJECTED,
    OrderState.CANCELED,
]


def asked_counts(connector: Connector) -> list[Asked]:
    """Return the questions whose answers `counts_from` takes, in this order."""
    return [
        _under_way.asked(connector=connector.pk),
        _held.asked(connector=connector.pk),
        _asked_last_minute(connector),
        _asked_today(connector),
    ]


def counts_from(connector: Connector, instrument: Instrument, told: Sequence[Any]) -> Counts:
    under_way, held, last_minute, lost = told
    symbol = instrument.symbol
    pending = _rest_of(entry[:3] for entry in under_way)
    positions = [(quantity, at) for name, quantity, _, at, *_ in held if name == symbol]
    opened = [opened_at for _, opened_at in positions if opened_at is not None]
    since_long = [at for quantity, at in positions if quantity > 0]
    since_short = [at for quantity, at in positions if quantity < 0]
    long = _since_opening(connector, symbol, Side.BUY, since_long)
    short = _since_opening(connector, symbol, Side.SELL, since_short)
    return Counts(
        orders_last_minute=last_minute,
        open_notional=sum((cost for _, _, cost, *_ in held), pending),
        open_notional_elsewhere=sum((cost for name, _, cost, *_ in held if name != symbol), pending),
        oldest_opened_at=min(opened, default=None),
        opened_long_at=next(iter(since_long), None),
        opened_short_at=next(iter(since_short), None),
        open_elsewhere=_elsewhere(connector, symbol, held, {name for *_, name in under_way}),
        spot_quantity=sum((quantity for quantity, _ in positions), ZERO) if instrument.market == Market.SPOT else ZERO,
        adds_long=long.adds,
        adds_short=short.adds,
        lost_today=lost.get(instrument.quote, ZERO),
        unheard=Holding(long.unheard, short.unheard),
    )


def ours_from(symbol: str, told: Sequence[Any]) -> Holding:
    """Return what our fills in the symbol add up to, of the answers to `asked_counts`."""
    _, held, *_ = told
    sizes = [quantity for name, quantity, *_ in held if name == symbol]
    return Holding(sum((size for size in sizes if size > 0), ZERO), -sum((size for size in sizes if size < 0), ZERO))


# Symbol, signed quantity, cost, opened at, the smallest order: by quantity, by notional.
_held = Compiled(
    lambda connector: (
        Position.unscoped.filter(connector_id=connector)
        .exclude(signed_quantity=0)
        .values_list(
            "symbol", "signed_quantity", "cost", "opened_at", "instrument__min_quantity", "instrument__min_notional"
        )
    )
)


def open_notional(connector: Connector, *, without: UUID | None = None) -> Decimal:
    """Return what is open on the connector in quote currency: positions at cost, the rest of entries under way.

    The order `without` is left out.
    """
    entries = entries_under_way(connector.pk)
    if without is not None:
        entries = entries.exclude(pk=without)
    pending = _rest_of(entries.values_list("facts", "quantity", "filled_quantity"))
    positions = Position.unscoped.filter(connector=connector).exclude(signed_quantity=0)
    cost: Decimal = positions.aggregate(total=Sum("cost"))["total"] or ZERO
    return cost + pending


def _rest_of(entries: Iterable[tuple[Any, Decimal, Decimal]]) -> Decimal:
    """Return what they may still cost (facts, quantity, filled); what is filled already counts as a position."""
    cost = ZERO
    for facts, quantity, filled in entries:
        notional = Decimal(facts.get("estimate", {}).get("notional", "0"))
        cost += notional * (quantity - filled) / quantity if 0 < filled <= quantity else notional
    return cost


def entries_under_way(connector_id: UUID) -> QuerySet[Order]:
    """Entries that may still cost money: planned and on their way, in doubt, or resting. Not the leg behind a close."""
    return Order.unscoped.filter(
        Q(state__in=[*DOUBTFUL_STATES, *LIVE_STATES]) | Q(state=OrderState.PLANNED, waits_for_parent=False),
        connector_id=connector_id,
        intent=Intent.ENTRY.value,
    )


_under_way = Compiled(
    lambda connector: entries_under_way(connector).values_list("facts", "quantity", "filled_quantity", "symbol")
)


def reserved(connector: Connector, quote: str) -> Decimal:
    """Return what entries planned or in doubt may still take of the free balance in `quote`.

    Read it before the balance: an order that is settled in between is then counted twice, and never not at all. A
    resting order is not among them, for the exchange itself has set its money aside.
    """
    return reserved_by(on_the_way(connector=connector.pk), quote)


def reserved_by(entries: Iterable[tuple[str, Decimal | None, Any]], quote: str) -> Decimal:
    """Return the same of what `on_the_way` answered."""
    total = ZERO
    for paid_in, notional, facts in entries:
        if paid_in != quote:
            continue
        estimate = facts.get("estimate", {})
        cost = Decimal(estimate.get("margin", estimate.get("notional", "0"))) + Decimal(estimate.get("fee", "0"))
        # A spot market buy is sent as what it may spend, its fee included.
        total += cost if notional is None else notional
    return total


on_the_way = Compiled(
    lambda connector: Order.unscoped.filter(
        Q(state__in=DOUBTFUL_STATES) | Q(state=OrderState.PLANNED, waits_for_parent=False),
        connector_id=connector,
        intent=Intent.ENTRY.value,
    ).values_list("instrument__quote", "notional", "facts")
)


def orders_last_minute(connector: Connector) -> int:
    return ask(_asked_last_minute(connector))  # type: ignore[no-any-return]


def _asked_last_minute(connector: Connector) -> Asked:
    return Asked(_LAST_MINUTE, [connector.pk, world.now() - timedelta(minutes=1)], lambda found: int(found.rows[0][0]))


_LAST_MINUTE = "SELECT count(*) FROM trading_order WHERE connector_id = %s AND signed_at > %s"


def open_elsewhere(connector: Connector, symbol: str) -> int:
    """Return how many other symbols have a position or an entry under way. Crumbs that no order could sell are none."""
    entries = set(entries_under_way(connector.pk).values_list("symbol", flat=True))
    return _elsewhere(connector, symbol, _held(connector=connector.pk), entries)


def _elsewhere(connector: Connector, symbol: str, held: Iterable[Any], entries: set[str]) -> int:
    is_spot = connector.market == Market.SPOT
    found = {
        name
        for name, quantity, cost, _, least, least_notional in held
        if abs(quantity) >= least and (not is_spot or cost >= least_notional)
    }
    return len((found | entries) - {symbol})


def lost_today(connector: Connector, quote: str) -> Decimal:
    """Return what was realised, paid in fees and funding since midnight UTC, in `quote`; positive for a loss.

    Corrections are of these: what a fill that was told late changes in what others had realised or paid.
    UTC, for the members of a workspace may live in several zones and a limit has one meaning. A fee in a third coin is
    not valued here; one in the base coin is a part of what was realised.
    """
    return ask(_asked_today(connector)).get(quote, ZERO)  # type: ignore[no-any-return]


def _asked_today(connector: Connector) -> Asked:
    """Ask for the same of every currency."""
    midnight = world.now().replace(hour=0, minute=0, second=0, microsecond=0)
    return Asked(_TODAY, [connector.pk, midnight], lambda found: {currency: -total for currency, total in found.rows})


_TODAY = (
    "SELECT currency, sum(amount) FROM trading_ledgerentry WHERE connector_id = %s AND at >= %s"
    " AND kind IN ('realized_pnl', 'fee', 'funding', 'correction') GROUP BY currency"
)


@dataclass(frozen=True, slots=True)
class _SinceOpening:
    """Of an open position: the entries into it beyond the first one, those under way counted in, and see Counts."""

    adds: int = 0
    unheard: Decimal = ZERO


def _since_opening(
    connector: Connector, symbol: str, side: Side, opened_at: Iterable[datetime | None]
) -> _SinceOpening:
    since = next(iter(opened_at), None)
    if since is None:
        return _SinceOpening()
    closing = Side.SELL if side is Side.BUY else Side.BUY
    place = {"connector": connector.pk, "symbol": symbol}
    # Told by the exchange's clock, as the opening is: ours may be seconds apart.
    pending, filled, cut, guarded, changes, missed = together(
        _pending_adds.asked(**place, side=side.value),
        _filled_adds.asked(**place, side=side.value, since=since),
        _cut.asked(**place, side=side.value, since=since),
        _guarded.asked(**place, side=closing.value, since=since),
        _changes.asked(**place, other=(Book.SHORT if side is Side.BUY else Book.LONG).value, since=since),
        _missed.asked(**place, side=side.value, since=since),
    )
    entries = set(filled)
    sign = 1 if side is Side.BUY else -1
    parts = [
        *guarded,
        max(-sign * sum(changes, ZERO), ZERO),
        *(quantity - done for quantity, done in missed),
        *{order_id: Decimal(facts[LEFT_OUT]) for order_id, facts in cut}.values(),
    ]
    return _SinceOpening(max(len(entries) - 1, 0) + len(set(pending) - entries), sum(parts, ZERO))


_pending_adds = Compiled(
    lambda connector, symbol, side: (
        entries_under_way(connector).filter(symbol=symbol, side=side).values_list("pk", flat=True)
    )
)
_filled_adds = Compiled(
    lambda connector, symbol, side, since: Fill.unscoped.filter(
        connector_id=connector, symbol=symbol, side=side, filled_at__gte=since, order__intent=Intent.ENTRY.value
    ).values_list("order_id", flat=True)
)
_cut = Compiled(
    lambda connector, symbol, side, since: Fill.unscoped.filter(
        connector_id=connector, symbol=symbol, side=side, filled_at__gte=since, order__facts__has_key=LEFT_OUT
    ).values_list("order_id", "order__facts")
)
# What an entry's own guards made, or its emergency close: nothing else that closes hangs from an entry.
_guarded = Compiled(
    lambda connector, symbol, side, since: Fill.unscoped.filter(
        connector_id=connector,
        symbol=symbol,
        side=side,
        filled_at__gte=since,
        order__intent=Intent.EXIT.value,
        order__parent__intent=Intent.ENTRY.value,
    ).values_list("quantity", flat=True)
)
_changes = Compiled(
    lambda connector, symbol, other, since: (
        Adjustment.unscoped.filter(connector_id=connector, symbol=symbol, at__gte=since)
        .exclude(book=other)
        .values_list("change", flat=True)
    )
)
_missed = Compiled(
    lambda connector, symbol, side, since: Order.unscoped.filter(
        # A limit order may have opened the position that it was placed before.
        Q(created_at__gte=since) | Q(last_fill_at__gte=since),
        connector_id=connector,
        symbol=symbol,
        side=side,
        intent=Intent.ENTRY.value,
        state__in=NOT_CARRIED_OUT,
    ).values_list("quantity", "filled_quantity")
)
