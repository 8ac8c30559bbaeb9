"""Stops, profits and trailing stops of our entries: placed, proven, followed, taken back.

`protect` is called with an order that has just moved; `protection_due` finds everything else that is due. A guard that
travelled in the entry request is looked for at the exchange like any other: what is not listed there does not count.
One that is not proven `PROVEN_WITHIN` after the first fill raises an incident, and the position is closed or kept as
the trader has chosen.
"""

import logging
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Q

from apps.connectors import clock
from apps.connectors.budget import Priority, at_least
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
)
from apps.connectors.exchange import (
    Protection as ProtectionWord,
)
from apps.connectors.opening import open_connector
from apps.connectors.sealing import SealError
from apps.lib import world
from apps.lib.compiled import Compiled, inserting, update
from apps.lib.statements import Asked
from apps.trading import breakers, incidents
from apps.trading.fencing import check_awake, fence
from apps.trading.firing import has_fired, has_fired_unseen, note_others
from apps.trading.following import NOT_FOUND_APART
from apps.trading.halting import halted
from apps.trading.incident_kinds import IncidentKind
from apps.trading.legs import Intent
from apps.trading.models import Order, OrderState, Protection, ProtectionState
from apps.trading.protecting import ProtectionKind, guard_of, priced_from, share_of
from apps.trading.protection_alarms import check_proof, tell_unguarded
from apps.trading.protection_lists import Listed, is_late_preset, known_ids, line_of, list_of
from apps.trading.protection_rows import (
    CLAIM,
    OPEN,
    claim,
    finish,
    held_here,
    held_there,
    insert,
    new_row,
    one_more,
    price_from_entry,
    price_to_place,
    put,
    rows_with,
    wanted_quantity,
    watch_again,
)
from apps.trading.protection_shares import share_left

logger = logging.getLogger(__name__)

P = ProtectionState
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
# A guard of a percentage lies where it belongs when it is off by less than this part of its distance.
NEAR_ENOUGH = 50
REPLACED_TRIES = 3
OPENED_NOTHING = "The entry opened nothing."


def planned_guards(order: Order) -> list[Asked]:
    """Return the statements that write down a planned entry's guards, for the transaction that writes the entry."""
    rows = []
    for number, facts in enumerate(order.facts.get("guards", ())):
        guard = guard_of(facts)
        rows.append(new_row(order, number, facts=facts, price=guard.price, in_entry=guard.in_entry))
    return inserting(*rows)


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
            watch_again(order)
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
            for row in _waiting(entry=order.pk):
                if claim(row):
                    step(row)
        elif order.is_final and any({"percent", "in_entry"} <= facts.keys() for facts in order.facts["guards"]):
            # What was paid is known only now.
            update(Protection, {"next_at": world.now()}, entry_id=order.pk, state=P.LIVE, in_entry=True)
    elif order.is_final:
        waiting.update(state=P.GONE, reason=OPENED_NOTHING, finished_at=world.now())


_waiting: Compiled[Protection] = Compiled(lambda entry: rows_with(Q(entry_id=entry, state=P.WAITING)))


def step(row: Protection) -> None:
    """Do the one thing that is due for a guard."""
    try:
        if row.state in OPEN:
            _step(row, open_connector(row.connector))
    except SealError:
        put(row, next_at=world.now() + WATCH_EVERY, reason="The exchange key cannot be opened.")
    except ExchangeError as error:
        # No news. What has to be proven stays unproven.
        logger.warning("guard %s: no news: %s", row.pk, error.sentence)
        put(row, next_at=world.now() + LOOK_AGAIN)
    check_proof(row)


def _step(row: Protection, exchange: Exchange) -> None:
    if row.state == P.WAITING and not row.in_entry:
        _place(row, exchange)
        return
    if row.state == P.SUBMITTING:
        # Its sender is gone: whether bytes left is not known.
        put(row, state=P.UNKNOWN)
    listed = list_of(row, exchange)
    if row.state == P.CANCELLING:
        _follow_cancel(row, exchange, listed)
    elif row.state == P.LIVE:
        _watch(row, exchange, listed)
    else:
        _seek(row, exchange, listed)


@at_least(Priority.EXIT)
def _place(row: Protection, exchange: Exchange) -> None:
    """Send a guard once; SUBMITTING with its fence is committed first.

    Where everything is halted it waits: only cancels and queries are left then, and a guard is an order.
    """
    halt = halted(row.connector)
    if halt is not None:
        put(row, reason=halt.sentence[:500], next_at=world.now() + WATCH_EVERY)
        return
    if row.replaces_id is not None and Protection.unscoped.filter(pk=row.replaces_id, state=P.FIRED).exists():
        finish(row, P.GONE, "The one that it was to replace has fired.")
        return
    quantity, price = wanted_quantity(row), price_to_place(row)
    held = held_there(row, exchange)
    if not held and held_here(row):
        # The exchange tells of a position later than of the fills that opened it.
        put(row, next_at=world.now() + LOOK_AGAIN)
        return
    if not held:
        finish(row, P.GONE, "The position was closed before the guard was placed.")
        return
    if quantity is not None:
        quantity = min(quantity, held)
    now = world.now()
    signed_at = now + timedelta(milliseconds=exchange.clock_offset_ms)
    if not put(
        row,
        state=P.SUBMITTING,
        price=price,
        quantity=quantity,
        signed_at=signed_at,
        fence_at=signed_at + fence(),
        next_at=now + CLAIM,
    ):
        return
    try:
        check_awake(now, within=CLAIM)
        placed = _submit(row, exchange, int(signed_at.timestamp() * 1000))
    except OrderRejectedError as error:
        finish(row, P.FAILED, error.sentence)
    except ExchangeError as error:
        if isinstance(error, ClockError):
            clock.measure_again(row.connector, exchange, urgency=Priority.EXIT)
        if _is_unsent(error):
            put(row, state=P.WAITING, next_at=world.now() + LOOK_AGAIN)
            return
        if isinstance(error, CredentialsError):
            breakers.order_refused(row.connector, error)
        put(row, state=P.UNKNOWN, reason=error.sentence[:500], next_at=world.now() + LOOK_AGAIN)
    else:
        put(row, state=P.UNKNOWN, exchange_order_id=placed, reason="", next_at=world.now())
        # Accepted is not proven: it has to be listed.
        _seek(row, exchange, list_of(row, exchange))


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


def _seek(row: Protection, exchange: Exchange, listed: Sequence[Listed]) -> None:
    found = line_of(row, listed)
    now = world.now()
    if found is not None:
        # A guard inside the entry has the size that the exchange gives it.
        quantity = found.quantity if row.in_entry else row.quantity
        put(
            row,
            state=P.LIVE,
            exchange_order_id=found.exchange_order_id,
            quantity=quantity,
            missing_count=0,
            reason="",
            next_at=now + WATCH_EVERY,
        )
        _proven(row)
        _move(row, found)
        return
    if row.exchange_order_id and has_fired(row, exchange):
        return
    note_others(row, listed)
    ours, held = held_here(row), held_there(row, exchange)
    # Every other time: the history is one of the scarcest requests.
    is_asked = row.missing_count % 2 == 0
    if is_asked and has_fired_unseen(row, exchange, missing=ours - held) and row.state not in OPEN:
        return
    if not held:
        if row.missing_count >= MISSING_TIMES:
            finish(row, P.GONE, "The position is closed.")
        else:
            put(row, missing_count=row.missing_count + 1, next_at=now + LOOK_AGAIN)
        return
    if row.in_entry and row.proven_by is not None and now > row.proven_by - PROVEN_WITHIN + PRESET_SHOWS_WITHIN:
        reason = "Not listed with the entry; placed as an order of its own."
        # Whoever moved it meanwhile may have sent it.
        if put(row, state=P.WAITING, in_entry=False, reason=reason):
            row.connector.refresh_from_db()
            _place(row, exchange)
        return
    venue_now = now + timedelta(milliseconds=exchange.clock_offset_ms)
    if row.state == P.UNKNOWN and row.fence_at is not None and venue_now > row.fence_at:
        finish(row, P.FAILED, "The exchange never got it.")
        return
    put(row, next_at=now + LOOK_AGAIN)


def _watch(row: Protection, exchange: Exchange, listed: Sequence[Listed]) -> None:
    found = line_of(row, listed)
    now = world.now()
    if found is None:
        # Asked first: that our row says flat may be what was taken over from the exchange, after the guard had fired.
        if has_fired(row, exchange):
            return
        if not held_here(row) and not held_there(row, exchange):
            finish(row, P.GONE, "The position is closed.")
            return
        if row.missing_count < MISSING_TIMES:
            put(row, missing_count=row.missing_count + 1, next_at=now + MISSING_AGAIN)
        elif held_there(row, exchange):
            finish(row, P.FAILED, "It is no longer at the exchange and has not fired.")
        else:
            finish(row, P.GONE, "The position is closed.")
        return
    if row.in_entry and row.replaces_id is not None:
        # Shown after another one took its place; its cancellation did not work yet.
        _cancel(row, exchange)
        return
    if Protection.unscoped.filter(replaces=row, state=P.LIVE, in_entry=False).exists():
        # The one that took its place is there, and this one's cancellation did not work: both would close.
        _cancel(row, exchange)
        return
    columns: dict[str, Any] = {"missing_count": 0, "next_at": now + WATCH_EVERY}
    if row.in_entry and found.quantity is not None:
        columns["quantity"] = found.quantity
    if not put(row, **columns):
        # Another process has moved it, and goes on with it.
        return
    _take_back_presets(row, exchange, listed)
    note_others(row, listed)
    ours = held_here(row)
    # The exchange is asked what it holds only when our own fills say that the guard covers too much.
    share = share_left(row, ours)
    is_too_large = not ours or (row.quantity or ours) > ours or share is not None
    held = held_there(row, exchange) if is_too_large else None
    if held == 0 or (share == 0 and held == ours):
        _cancel(row, exchange)
    elif share is not None and held == ours:
        _replace(row, share)
    elif held is not None and row.quantity is not None and row.quantity > held:
        _replace(row, held)
    elif not _grow(row):
        _move(row, found)


def _take_back_presets(row: Protection, exchange: Exchange, listed: Sequence[Listed]) -> None:
    """Take back a guard inside the entry that the exchange shows only after this one was placed in its stead.

    It gets a row of its own, so that it is followed, and recorded should it fire first.
    """
    if row.in_entry or not guard_of(row.guard).in_entry or row.signed_at is None:
        return
    late = [one for one in listed if one.exchange_order_id != row.exchange_order_id and is_late_preset(row, one)]
    known = known_ids(row.connector_id, row.symbol) if late else set()
    for one in late:
        extra = None if one.exchange_order_id in known else one_more(row)
        if extra is None:
            continue
        extra.state, extra.exchange_order_id, extra.quantity = P.LIVE, one.exchange_order_id, one.quantity
        extra.in_entry, extra.replaces, extra.next_at = True, row, world.now()
        if insert(extra, beside=row):
            logger.warning("guard %s: shown late beside %s, which took its place", extra.pk, row.pk)
            _cancel(extra, exchange)


def _cancel(row: Protection, exchange: Exchange) -> None:
    """Take back a guard that was just seen at the exchange."""
    now = world.now()
    signed_at = now + timedelta(milliseconds=exchange.clock_offset_ms)
    if not put(row, state=P.CANCELLING, cancel_sent_at=now, missing_count=0, next_at=now + LOOK_AGAIN):
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
        if isinstance(error, ClockError):
            clock.measure_again(row.connector, exchange, urgency=Priority.EXIT)
        return
    _follow_cancel(row, exchange, list_of(row, exchange))


def _follow_cancel(row: Protection, exchange: Exchange, listed: Sequence[Listed]) -> None:
    """Believe a cancellation once two lists, apart, no longer show the guard: one list may lag, or be cut short."""
    now = world.now()
    if line_of(row, listed) is None:
        if has_fired(row, exchange):
            return
        if row.missing_count >= 1:
            finish(row, P.CANCELED, "Taken back: it has nothing left to guard, or another one guards it.")
            return
        put(row, missing_count=1, next_at=now + NOT_FOUND_APART)
        return
    if row.cancel_sent_at is not None and now - row.cancel_sent_at > CANCEL_SETTLES:
        # Seen after its cancellation should have worked: it may be sent again.
        put(row, state=P.LIVE, missing_count=0, next_at=now)
        return
    put(row, missing_count=0, next_at=now + LOOK_AGAIN)


def _grow(row: Protection) -> bool:
    """An entry that went on filling is guarded as a whole: what is missing is placed as one more guard."""
    if row.quantity is None or row.in_entry or row.replaces_id is not None:
        return False
    same = [one for one in rows_with(Q(entry_id=row.entry_id)) if one.guard == row.guard and one.replaces_id is None]
    if same[0].pk != row.pk or any(one.state not in {P.LIVE} for one in same):
        return False
    entry = Order.unscoped.select_related("instrument").get(pk=row.entry_id)
    step_size = entry.instrument.quantity_step
    wanted = share_of(guard_of(row.guard), entry.filled_quantity, step=step_size)
    missing = wanted - sum((one.quantity or Decimal(0) for one in same), Decimal(0))
    if missing < entry.instrument.min_quantity:
        return False
    _add(row, missing)
    return True


def _replace(row: Protection, quantity: Decimal) -> None:
    """A guard never covers more than is held: a smaller one is proven first, then this one goes."""
    if not _is_being_replaced(row, price=row.price):
        _add(row, quantity, replaces=row)


def _move(row: Protection, found: Listed) -> None:
    """A guard inside the entry was priced before anything was paid: one where it belongs is proven, then it goes.

    Not while the entry may still fill, or is not yet guarded as a whole; nor one that was moved by hand.
    """
    guard = guard_of(row.guard)
    if row.state != P.LIVE or guard.percent is None or not guard.in_entry or found.price != row.price:
        return
    price = price_from_entry(row, guard)
    if abs(price - row.price) * NEAR_ENOUGH <= abs(price) * guard.percent / 100 or _is_being_replaced(row, price=price):
        return
    entry = Order.unscoped.select_related("instrument").get(pk=row.entry_id)
    whole = share_of(guard, entry.filled_quantity, step=entry.instrument.quantity_step)
    if entry.is_final and (not row.in_entry or row.quantity is None or row.quantity >= whole):
        _add(row, row.quantity, replaces=row, price=price)


def _is_being_replaced(row: Protection, *, price: Decimal) -> bool:
    """True also where it was tried often enough: the exchange does not take a guard at this price."""
    told = Protection.unscoped.filter(replaces=row, state__in=OPEN | {P.FAILED}).values_list("state", "price")
    return any(state != P.FAILED for state, _ in told) or sum(at == price for _, at in told) >= REPLACED_TRIES


def _add(
    row: Protection, quantity: Decimal | None, *, replaces: Protection | None = None, price: Decimal | None = None
) -> None:
    extra = one_more(row)
    if extra is None:
        if replaces is None and quantity is not None:
            tell_unguarded(row, quantity)
        return
    extra.quantity, extra.replaces, extra.price = quantity, replaces, price or row.price
    extra.next_at, extra.proven_by = world.now(), world.now() + PROVEN_WITHIN
    insert(extra, beside=row)


def _proven(row: Protection) -> None:
    if row.alarmed_at is not None:
        how = "It was found at the exchange."
        incidents.resolve(row.connector, IncidentKind.PROTECTION_MISSING, order=row.entry, symbol=row.symbol, how=how)
    if row.replaces_id is not None:
        old = rows_with(Q(pk=row.replaces_id)).first()
        if old is not None and old.state == P.LIVE:
            _cancel(old, open_connector(old.connector))
