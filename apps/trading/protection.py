"""Stops, profits and trailing stops of our entries: placed, proven, followed, taken back.

`protect` is called with an order that has just moved; `sweep` finds everything else that is due and needs neither Redis
nor beat. A guard that travelled in the entry request is looked for at the exchange like any other: what is not listed
there does not count. One that is not proven `PROVEN_WITHIN` after the first fill raises an incident, and the position
is closed or kept as the trader has chosen.

A guard that fires becomes an order of the exchange's own making, named PLAN_<id of the guard>. It gets an Order row
here, so that its fills are ours and the position follows.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Max, Q

from apps.connectors import instruments
from apps.connectors.exchange import (
    Book,
    ClockError,
    CredentialsError,
    Exchange,
    ExchangeError,
    NotSentError,
    OrderRejectedError,
    ProtectionRequest,
    RateLimitError,
    Side,
    TrailingRequest,
    TriggerReport,
)
from apps.connectors.exchange import (
    Protection as ProtectionWord,
)
from apps.connectors.opening import open_connector
from apps.connectors.policies import Unprotected
from apps.connectors.sealing import SealError
from apps.lib import world
from apps.lib.compiled import Compiled, update
from apps.lib.decimals import floor_to_step, normalize_text
from apps.lib.pool import run_all
from apps.lib.statements import together
from apps.trading import breakers, cancelling, incidents
from apps.trading.fencing import fence
from apps.trading.following import NOT_FOUND_APART, look
from apps.trading.halting import halted
from apps.trading.ids import client_order_id, order_id
from apps.trading.incident_kinds import IncidentKind
from apps.trading.legs import Intent
from apps.trading.market import read_account
from apps.trading.models import FINAL_STATES, Order, OrderState, Position, Protection, ProtectionState
from apps.trading.protecting import ProtectionKind, guard_of, priced_from, share_of
from apps.trading.transitions import born

logger = logging.getLogger(__name__)

P = ProtectionState
OPEN = frozenset({P.WAITING, P.SUBMITTING, P.UNKNOWN, P.LIVE, P.CANCELLING})
PROVEN_WITHIN = timedelta(seconds=10)
# A guard inside the entry that is not listed by then is placed as an order of its own.
PRESET_SHOWS_WITHIN = timedelta(seconds=4)
LOOK_AGAIN = timedelta(seconds=1)
# Looking for what a guard fired costs two of the scarcest requests.
MISSING_AGAIN = timedelta(seconds=2)
WATCH_EVERY = timedelta(seconds=5)
CANCEL_SETTLES = timedelta(seconds=5)
# A guard that is no longer listed is missing so often before that is believed: lists lag.
MISSING_TIMES = 4
CLAIM = timedelta(seconds=15)
LOT = 200
CLOSING_LEG = "x"
OPENED_NOTHING = "The entry opened nothing."
# Legs of fired orders; c, o, l, s and x name others.
_LEGS = "abdefghijkmnpqrtuvwyz0123456789"


def plan_rows(order: Order) -> None:
    """Write down the guards of a planned entry, in the transaction that writes the entry."""
    for number, facts in enumerate(order.facts.get("guards", ())):
        guard = guard_of(facts)
        _row(order, number, facts=facts, price=guard.price, in_entry=guard.in_entry).save(force_insert=True)


def priced_anew(order: Order, price: Decimal | None) -> dict[str, Any]:
    """Put the guards of an entry that waited at their distance from the price of now; return its facts about them."""
    if price is None or not order.facts.get("guards"):
        return {}
    tick = order.instrument.price_tick
    guards = [guard_of(facts) for facts in order.facts["guards"]]
    moved = [
        guard if guard.percent is None else priced_from(guard, price, side=Side(order.side), tick=tick)
        for guard in guards
    ]
    for number, guard in enumerate(moved):
        waiting = Protection.unscoped.filter(entry=order, number=number, state=P.WAITING)
        waiting.update(price=guard.price, guard=guard.as_facts())
    return {"guards": [guard.as_facts() for guard in moved]}


def protect(order: Order) -> None:
    """Do what a move of this order asks for: guard what it opened, take back what guards nothing any more."""
    if order.intent == Intent.EXIT:
        if order.state == OrderState.FILLED:
            guarded = {"connector_id": order.connector_id, "symbol": order.symbol}
            update(Protection, {"next_at": world.now()}, **guarded, state=P.LIVE)
        return
    if not order.facts.get("guards"):
        return
    waiting = Protection.unscoped.filter(entry=order, state=P.WAITING, next_at=None)
    if order.filled_quantity > 0:
        # An entry that was taken for dead, or whose fill was told late.
        given_up = Protection.unscoped.filter(entry=order, state=P.GONE, reason=OPENED_NOTHING)
        given_up.update(state=P.WAITING, reason="", finished_at=None)
        first = order.first_fill_at or world.now()
        if waiting.update(next_at=world.now(), proven_by=max(first, order.created_at) + PROVEN_WITHIN):
            for row in _rows(Q(entry=order, state=P.WAITING)):
                if _claim(row):
                    step(row)
    elif order.is_final:
        waiting.update(state=P.GONE, reason=OPENED_NOTHING, finished_at=world.now())


def sweep() -> int:
    """Take one step with every due guard; return how many were due."""
    begun, work = together(_begun.asked(), _due.asked(now=world.now()))
    if begun:
        for order in Order.unscoped.filter(pk__in=set(begun)).select_related("connector", "instrument"):
            protect(order)
        work = _due(now=world.now())
    run_all(_sweep_one, work)
    return len(work)


_begun = Compiled(
    lambda: Protection.unscoped.filter(
        Q(entry__filled_quantity__gt=0) | Q(entry__state__in=FINAL_STATES), state=P.WAITING, next_at=None
    ).values_list("entry_id", flat=True)[:LOT]
)
_due = Compiled(
    lambda now: (
        Protection.unscoped.filter(next_at__lte=now, state__in=OPEN)
        .order_by("next_at")
        .values_list("pk", flat=True)[:LOT]
    )
)


def step(row: Protection) -> None:
    """Do the one thing that is due for a guard."""
    try:
        exchange = open_connector(row.connector)
        _step(row, exchange)
    except SealError:
        _put(row, next_at=world.now() + WATCH_EVERY, reason="The exchange key cannot be opened.")
    except ExchangeError as error:
        # No news. What has to be proven stays unproven.
        logger.warning("guard %s: no news: %s", row.pk, error.sentence)
        _put(row, next_at=world.now() + LOOK_AGAIN)
    _check_proof(row)


def _step(row: Protection, exchange: Exchange) -> None:
    if row.state == P.WAITING and not row.in_entry:
        _place(row, exchange)
        return
    if row.state == P.SUBMITTING:
        # Its sender is gone: whether bytes left is not known.
        _put(row, state=P.UNKNOWN)
    listed = _listed(row, exchange)
    if row.state == P.CANCELLING:
        _follow_cancel(row, exchange, listed)
    elif row.state == P.LIVE:
        _watch(row, exchange, listed)
    else:
        _seek(row, exchange, listed)


def _place(row: Protection, exchange: Exchange) -> None:
    """Send a guard once; SUBMITTING with its fence is committed first."""
    quantity = _quantity(row)
    held = _held(row, exchange)
    if not held:
        _end(row, P.GONE, "The position was closed before the guard was placed.")
        return
    if quantity is not None:
        quantity = min(quantity, held)
    now = world.now()
    signed_at = now + timedelta(milliseconds=exchange.clock_offset_ms)
    if not _put(
        row,
        state=P.SUBMITTING,
        quantity=quantity,
        signed_at=signed_at,
        fence_at=signed_at + fence(),
        next_at=now + CLAIM,
    ):
        return
    try:
        placed = _submit(row, exchange, int(signed_at.timestamp() * 1000))
    except OrderRejectedError as error:
        _end(row, P.FAILED, error.sentence)
    except ExchangeError as error:
        if _is_unsent(error):
            _put(row, state=P.WAITING, next_at=world.now() + LOOK_AGAIN)
            return
        if isinstance(error, CredentialsError):
            breakers.order_refused(row.connector, error)
        _put(row, state=P.UNKNOWN, reason=error.sentence[:500], next_at=world.now() + LOOK_AGAIN)
    else:
        _put(row, state=P.UNKNOWN, exchange_order_id=placed, reason="", next_at=world.now())
        # Accepted is not proven: it has to be listed.
        _seek(row, exchange, _listed(row, exchange))


def _is_unsent(error: ExchangeError) -> bool:
    """True on proof that the exchange did not take it. A gateway's "too many", which has no code, is none."""
    return isinstance(error, ClockError | NotSentError) or (isinstance(error, RateLimitError) and bool(error.code))


def _submit(row: Protection, exchange: Exchange, signed_at_ms: int) -> str:
    if row.kind == ProtectionKind.TRAILING_STOP:
        request = TrailingRequest(
            symbol=row.symbol,
            side=Side(row.side),
            quantity=row.quantity or Decimal(0),
            activation_price=row.price,
            callback_rate=guard_of(row.guard).rate or Decimal(0),
            reduce_only=True,
            book=Book(row.book),
        )
        return exchange.submit_trailing(request, signed_at_ms=signed_at_ms)
    return exchange.submit_protection(
        ProtectionRequest(
            client_order_id=row.client_order_id,
            symbol=row.symbol,
            kind=ProtectionWord(row.kind),
            side=Side(row.side),
            trigger_price=row.price,
            quantity=row.quantity,
        ),
        signed_at_ms=signed_at_ms,
    )


def _seek(row: Protection, exchange: Exchange, listed: Sequence["_Listed"]) -> None:
    found = _match(row, listed)
    now = world.now()
    if found is not None:
        # A guard inside the entry has the size that the exchange gives it.
        quantity = found.quantity if row.in_entry else row.quantity
        _put(
            row,
            state=P.LIVE,
            exchange_order_id=found.exchange_order_id,
            quantity=quantity,
            missing_count=0,
            reason="",
            next_at=now + WATCH_EVERY,
        )
        _proven(row)
        return
    if row.exchange_order_id and _has_fired(row, exchange):
        return
    if not _held(row, exchange):
        if row.missing_count >= MISSING_TIMES:
            _end(row, P.GONE, "The position is closed.")
        else:
            _put(row, missing_count=row.missing_count + 1, next_at=now + LOOK_AGAIN)
        return
    if row.in_entry and row.proven_by is not None and now > row.proven_by - PROVEN_WITHIN + PRESET_SHOWS_WITHIN:
        reason = "Not listed with the entry; placed as an order of its own."
        # Whoever moved it meanwhile may have sent it.
        if _put(row, state=P.WAITING, in_entry=False, reason=reason):
            _place(row, exchange)
        return
    if row.state == P.UNKNOWN and row.fence_at is not None and now > row.fence_at:
        _end(row, P.FAILED, "The exchange never got it.")
        return
    _put(row, next_at=now + LOOK_AGAIN)


def _watch(row: Protection, exchange: Exchange, listed: Sequence["_Listed"]) -> None:
    found = _match(row, listed)
    now = world.now()
    if found is None:
        # Asked first: that our row says flat may be what was taken over from the exchange, after the guard had fired.
        if _has_fired(row, exchange):
            return
        if not _ours(row) and not _held(row, exchange):
            _end(row, P.GONE, "The position is closed.")
            return
        if row.missing_count < MISSING_TIMES:
            _put(row, missing_count=row.missing_count + 1, next_at=now + MISSING_AGAIN)
        elif _held(row, exchange):
            _end(row, P.FAILED, "It is no longer at the exchange and has not fired.")
        else:
            _end(row, P.GONE, "The position is closed.")
        return
    if row.in_entry and row.replaces_id is not None:
        # Shown after another one took its place; its cancellation did not work yet.
        _cancel(row, exchange)
        return
    columns: dict[str, Any] = {"missing_count": 0, "next_at": now + WATCH_EVERY}
    if row.in_entry and found.quantity is not None:
        columns["quantity"] = found.quantity
    _put(row, **columns)
    _take_back_presets(row, exchange, listed)
    ours = _ours(row)
    # The exchange is asked what it holds only when our own fills say that the guard covers too much.
    held = _held(row, exchange) if not ours or (row.quantity or ours) > ours else None
    if held == 0:
        _cancel(row, exchange)
    elif held is not None and row.quantity is not None and row.quantity > held:
        _replace(row, held)
    else:
        _grow(row)


def _take_back_presets(row: Protection, exchange: Exchange, listed: Sequence["_Listed"]) -> None:
    """Take back a guard inside the entry that the exchange shows only after this one was placed in its stead.

    It gets a row of its own, so that it is followed, and recorded should it fire first.
    """
    if row.in_entry or not guard_of(row.guard).in_entry or row.signed_at is None:
        return
    late = [one for one in listed if one.exchange_order_id != row.exchange_order_id and _is_late_preset(row, one)]
    known = _known_ids(row.connector_id, row.symbol) if late else set()
    for one in late:
        extra = None if one.exchange_order_id in known else _one_more(row)
        if extra is None:
            continue
        extra.state, extra.exchange_order_id, extra.quantity = P.LIVE, one.exchange_order_id, one.quantity
        extra.in_entry, extra.replaces, extra.next_at = True, row, world.now()
        if _insert(extra):
            logger.warning("guard %s: shown late beside %s, which took its place", extra.pk, row.pk)
            _cancel(extra, exchange)


def _is_late_preset(row: Protection, one: "_Listed") -> bool:
    """True for what can only have come with the entry: like the guard, and made before the one of its own was sent."""
    is_older = one.created_at is None or (row.signed_at is not None and one.created_at < row.signed_at)
    return is_older and one.side is Side(row.side) and one.kind == row.kind and one.price == row.price


def _cancel(row: Protection, exchange: Exchange) -> None:
    """Take back a guard that was just seen at the exchange."""
    now = world.now()
    signed_at = now + timedelta(milliseconds=exchange.clock_offset_ms)
    if not _put(row, state=P.CANCELLING, cancel_sent_at=now, missing_count=0, next_at=now + LOOK_AGAIN):
        return
    name = row.exchange_order_id
    at_ms = int(signed_at.timestamp() * 1000)
    try:
        if row.kind == ProtectionKind.TRAILING_STOP:
            exchange.cancel_trailing(row.symbol, exchange_order_id=name, signed_at_ms=at_ms)
        else:
            exchange.cancel_trigger(row.symbol, exchange_order_id=name, signed_at_ms=at_ms)
    except ExchangeError as error:
        logger.warning("guard %s: no proof of its cancellation: %s", row.pk, error.sentence)
        return
    _follow_cancel(row, exchange, _listed(row, exchange))


def _follow_cancel(row: Protection, exchange: Exchange, listed: Sequence["_Listed"]) -> None:
    """Believe a cancellation once two lists, apart, no longer show the guard: one list may lag, or be cut short."""
    now = world.now()
    if _match(row, listed) is None:
        if _has_fired(row, exchange):
            return
        if row.missing_count >= 1:
            _end(row, P.CANCELED, "Taken back: it has nothing left to guard, or another one guards it.")
            return
        _put(row, missing_count=1, next_at=now + NOT_FOUND_APART)
        return
    if row.cancel_sent_at is not None and now - row.cancel_sent_at > CANCEL_SETTLES:
        # Seen after its cancellation should have worked: it may be sent again.
        _put(row, state=P.LIVE, missing_count=0, next_at=now)
        return
    _put(row, missing_count=0, next_at=now + LOOK_AGAIN)


def _has_fired(row: Protection, exchange: Exchange) -> bool:
    """Find the order that the exchange made of a guard, and take it onto record."""
    name = f"PLAN_{row.exchange_order_id}"
    report = exchange.find_order(row.symbol, client_order_id=name)
    if report is None:
        return False
    entry = Order.unscoped.select_related("connector", "instrument").get(pk=row.entry_id)
    what = str(row.kind).replace("_", " ")
    order = _exit_row(
        entry,
        leg=_LEGS[row.number],
        client_order_id=name,
        quantity=report.quantity or row.quantity or entry.filled_quantity,
        sentence=f"The {what} at {normalize_text(row.price)} fired",
    )
    order.state, order.exchange_order_id = OrderState.ACCEPTED, report.exchange_order_id
    order.acknowledged_at = order.next_at = world.now()
    with transaction.atomic():
        if not _put(row, state=P.FIRED, finished_at=world.now(), next_at=None):
            return True
        try:
            with transaction.atomic():
                born(order, cause="fired at the exchange", evidence={"guard": row.exchange_order_id})
        except IntegrityError:
            order = Order.unscoped.select_related("connector", "instrument").get(pk=order.pk)
        _put(row, fired_id=order.pk)
    look(order)
    protect(order)
    return True


def _grow(row: Protection) -> None:
    """An entry that went on filling is guarded as a whole: what is missing is placed as one more guard."""
    if row.quantity is None or row.in_entry or row.replaces_id is not None:
        return
    same = [one for one in _rows(Q(entry_id=row.entry_id)) if one.guard == row.guard and one.replaces_id is None]
    if same[0].pk != row.pk or any(one.state not in {P.LIVE} for one in same):
        return
    entry = Order.unscoped.select_related("instrument").get(pk=row.entry_id)
    step_size = entry.instrument.quantity_step
    wanted = share_of(guard_of(row.guard), entry.filled_quantity, step=step_size)
    missing = wanted - sum((one.quantity or Decimal(0) for one in same), Decimal(0))
    if missing >= entry.instrument.min_quantity:
        _add(row, missing)


def _replace(row: Protection, held: Decimal) -> None:
    """A guard never covers more than is held: a smaller one is proven first, then this one goes."""
    if Protection.unscoped.filter(replaces=row, state__in=OPEN | {P.FAILED}).exists():
        return
    _add(row, held, replaces=row)


def _add(row: Protection, quantity: Decimal, *, replaces: Protection | None = None) -> None:
    extra = _one_more(row)
    if extra is None:
        if replaces is None:
            _tell_unguarded(row, quantity)
        return
    extra.quantity, extra.replaces = quantity, replaces
    extra.next_at, extra.proven_by = world.now(), world.now() + PROVEN_WITHIN
    _insert(extra)


def _one_more(row: Protection) -> Protection | None:
    """Return an unsaved guard of the same entry, like this one; None when all names are taken."""
    entry = Order.unscoped.select_related("connector").get(pk=row.entry_id)
    last = Protection.unscoped.filter(entry=entry).aggregate(last=Max("number"))["last"]
    if last + 1 >= len(_LEGS):
        return None
    return _row(entry, last + 1, facts=row.guard, price=row.price, in_entry=False)


def _insert(extra: Protection) -> bool:
    try:
        with transaction.atomic():
            extra.save(force_insert=True)
    except IntegrityError:
        # Another process added it in this moment.
        return False
    return True


def _tell_unguarded(row: Protection, quantity: Decimal) -> None:
    what, size = str(row.kind).replace("_", " "), normalize_text(quantity)
    why = f"its entry filled in so many pieces that its {what} at {normalize_text(row.price)} leaves {size} uncovered"
    incidents.open_incident(
        row.connector,
        IncidentKind.PROTECTION_MISSING,
        symbol=row.symbol,
        order=row.entry,
        facts={"why": why, "did": "It was kept open; the guards that are in place stay there."},
    )


def _proven(row: Protection) -> None:
    if row.alarmed_at is not None:
        how = "It was found at the exchange."
        incidents.resolve(row.connector, IncidentKind.PROTECTION_MISSING, order=row.entry, symbol=row.symbol, how=how)
    if row.replaces_id is not None:
        old = _rows(Q(pk=row.replaces_id)).first()
        if old is not None and old.state == P.LIVE:
            _cancel(old, open_connector(old.connector))


def _check_proof(row: Protection) -> None:
    """Raise the alarm once for a guard that failed or is not proven in time, and do what the trader has chosen."""
    is_late = row.proven_by is not None and world.now() >= row.proven_by
    is_open = row.state in {P.WAITING, P.SUBMITTING, P.UNKNOWN}
    if row.alarmed_at is not None or not (row.state == P.FAILED or (is_open and is_late)):
        return
    if not _put(row, alarmed_at=world.now()):
        return
    if row.replaces_id is not None and Protection.unscoped.filter(pk=row.replaces_id, state=P.LIVE).exists():
        # The larger one is still in place: it closes no more than is held.
        logger.error("guard %s: a smaller one was not placed: %s", row.replaces_id, row.reason)
        return
    is_stop = row.kind != ProtectionKind.TAKE_PROFIT
    closes = is_stop and row.connector.unprotected == Unprotected.CLOSE
    what = str(row.kind).replace("_", " ")
    why = f"its {what} at {normalize_text(row.price)} was not placed: {row.reason or 'the exchange does not show it'}"
    halt = halted(row.connector) if closes else None
    if halt is not None:
        did = f"It was kept open. {halt.sentence}"
    elif closes:
        did = "It is closed at the market, as chosen on the connector."
    elif is_stop:
        did = "It was kept open, as chosen on the connector."
    else:
        did = "It was kept open: a take profit is missing, not a stop."
    logger.error("guard %s is not proven: %s", row.pk, why)
    incidents.open_incident(
        row.connector,
        IncidentKind.PROTECTION_MISSING,
        symbol=row.symbol,
        order=row.entry,
        facts={"why": why, "did": did},
    )
    if closes:
        _close(row)


def _close(row: Protection) -> None:
    """Close what the entry opened: an exit like any other, sent by whoever takes its lease."""
    entry = Order.unscoped.select_related("connector", "instrument").get(pk=row.entry_id)
    cancelling.request(entry, by=f"guard {row.pk}")
    order = _exit_row(
        entry,
        leg=CLOSING_LEG,
        client_order_id="",
        quantity=entry.filled_quantity,
        sentence=f"Close what was opened on {entry.symbol}: its stop is not in place",
    )
    order.client_order_id = client_order_id(order.pk, leg=CLOSING_LEG)
    try:
        account = read_account(entry.connector, open_connector(entry.connector), instruments.in_words(entry.instrument))
    except (ExchangeError, SealError):
        # The exchange lets a reduce-only order close no more than is held.
        logger.warning("guard %s: account not read before the position is closed", row.pk)
    else:
        held = account.holding.long if order.side == Side.SELL else account.holding.short
        order.quantity = min(order.quantity, held)
        order.facts["account"] = account.as_facts()
    if not order.quantity:
        return
    order.next_at = world.now()
    try:
        with transaction.atomic():
            born(order, cause="planned", evidence={"guard": str(row.pk)})
    except IntegrityError:
        # Another guard of the same entry has it closed already.
        return


def _exit_row(entry: Order, *, leg: str, client_order_id: str, quantity: Decimal, sentence: str) -> Order:
    return Order(
        id=order_id(entry.origin_id, connector_id=entry.connector_id, leg=leg),
        workspace_id=entry.workspace_id,
        connector=entry.connector,
        instrument=entry.instrument,
        origin_id=entry.origin_id,
        parent=entry,
        leg=leg,
        intent=Intent.EXIT.value,
        symbol=entry.symbol,
        side=_closing_side(entry),
        book=entry.book,
        quantity=quantity,
        reduce_only=True,
        client_order_id=client_order_id,
        facts={"sentence": sentence},
    )


def _row(entry: Order, number: int, *, facts: dict[str, str], price: Decimal, in_entry: bool) -> Protection:
    leg = f"{entry.leg}{number}"
    name = order_id(entry.origin_id, connector_id=entry.connector_id, leg=leg)
    return Protection(
        workspace_id=entry.workspace_id,
        connector_id=entry.connector_id,
        entry=entry,
        number=number,
        kind=facts["kind"],
        symbol=entry.symbol,
        book=entry.book,
        side=_closing_side(entry),
        guard=facts,
        price=price,
        in_entry=in_entry,
        client_order_id=client_order_id(name, leg=_LEGS[number]),
    )


def _closing_side(entry: Order) -> str:
    return (Side.SELL if entry.side == Side.BUY else Side.BUY).value


def _quantity(row: Protection) -> Decimal | None:
    """Return what a guard of its own is to cover: a stop the whole position, the others their share of the entry."""
    if row.quantity is not None or row.kind == ProtectionKind.STOP_LOSS:
        return row.quantity
    entry = Order.unscoped.select_related("instrument").get(pk=row.entry_id)
    step_size = entry.instrument.quantity_step
    share = share_of(guard_of(row.guard), entry.filled_quantity, step=step_size)
    return max(share, floor_to_step(entry.instrument.min_quantity, step_size))


def _held(row: Protection, exchange: Exchange) -> Decimal:
    """Return what the exchange holds on the side that the guard closes."""
    positions = [one.signed_quantity for one in exchange.positions(row.symbol)]
    signed = [size for size in positions if (size > 0) == (row.side == Side.SELL)]
    return abs(sum(signed, Decimal(0)))


def _ours(row: Protection) -> Decimal:
    """Return what our own fills leave on the side that the guard closes."""
    size = next(iter(_position(connector=row.connector_id, symbol=row.symbol, book=row.book)), Decimal(0))
    return max(size if row.side == Side.SELL else -size, Decimal(0))


_position: Compiled[Decimal] = Compiled(
    lambda connector, symbol, book: Position.unscoped.filter(
        connector_id=connector, symbol=symbol, book=book
    ).values_list("signed_quantity", flat=True)
)


class _Listed:
    """One order that waits for its price, as the exchange lists it."""

    __slots__ = ("client_order_id", "created_at", "exchange_order_id", "kind", "price", "quantity", "side")

    def __init__(self, report: TriggerReport | Any, kind: str, price: Decimal | None) -> None:
        self.exchange_order_id: str = report.exchange_order_id
        self.client_order_id: str = report.client_order_id
        self.side = report.side
        self.quantity: Decimal | None = report.quantity
        self.created_at: datetime | None = report.created_at
        self.kind = kind
        self.price = price


def _listed(row: Protection, exchange: Exchange) -> list[_Listed]:
    if row.kind == ProtectionKind.TRAILING_STOP:
        # Trailing orders stand among the open ones.
        return [_Listed(one, ProtectionKind.TRAILING_STOP, None) for one in exchange.open_orders(row.symbol)]
    return [_Listed(one, one.kind.value, one.trigger_price) for one in exchange.trigger_orders(row.symbol)]


def _match(row: Protection, listed: Sequence[_Listed]) -> _Listed | None:
    """Return the guard's own line: by its ids, or, where the exchange gave none back, by what it says."""
    for one in listed:
        if row.exchange_order_id and one.exchange_order_id == row.exchange_order_id:
            return one
        if row.kind != ProtectionKind.TRAILING_STOP and one.client_order_id == row.client_order_id:
            return one
    if row.exchange_order_id:
        return None
    if not row.in_entry and row.kind != ProtectionKind.TRAILING_STOP:
        return None
    taken = _known_ids(row.connector_id, row.symbol)
    for one in listed:
        if one.exchange_order_id in taken or one.side is not Side(row.side) or one.kind != row.kind:
            continue
        if row.in_entry and one.price == row.price:
            return one
        if not row.in_entry and one.quantity == row.quantity and not one.client_order_id:
            return one
    return None


def _known_ids(connector_id: UUID, symbol: str) -> set[str]:
    guards = Protection.unscoped.filter(connector_id=connector_id, symbol=symbol).exclude(exchange_order_id="")
    orders = Order.unscoped.filter(connector_id=connector_id, symbol=symbol).exclude(exchange_order_id="")
    return {*guards.values_list("exchange_order_id", flat=True), *orders.values_list("exchange_order_id", flat=True)}


def _end(row: Protection, state: ProtectionState, reason: str) -> None:
    _put(row, state=state, reason=reason[:500], finished_at=world.now(), next_at=None)


def _put(row: Protection, **columns: Any) -> bool:
    """Write columns by compare-and-swap; False when another process moved the row first."""
    if not update(Protection, {**columns, "version": row.version + 1}, id=row.pk, version=row.version):
        row.refresh_from_db()
        return False
    row.version += 1
    for name, value in columns.items():
        setattr(row, name, value)
    return True


def _claim(row: Protection) -> bool:
    return _put(row, next_at=world.now() + CLAIM)


def _rows(condition: Q) -> Any:
    rows = Protection.unscoped.filter(condition)
    return rows.select_related("connector", "entry", "entry__instrument").order_by("number")


def _sweep_one(row_id: UUID) -> None:
    for row in _guard(pk=row_id):
        if row.state in OPEN and _claim(row):
            step(row)


_guard: Compiled[Protection] = Compiled(lambda pk: _rows(Q(pk=pk)))
