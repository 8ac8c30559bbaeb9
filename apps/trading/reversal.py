"""Legs that do not go at once: the opening leg behind a closing one, and an exit that was proved absent."""

import logging
from decimal import Decimal

from apps.connectors import instruments
from apps.connectors.budget import Priority, at_least
from apps.connectors.exchange import Book, ExchangeError, Side
from apps.connectors.opening import open_connector
from apps.connectors.policies import LowBalance
from apps.connectors.sealing import SealError
from apps.lib import world
from apps.lib.compiled import Compiled
from apps.lib.decimals import normalize_text
from apps.trading import sizing
from apps.trading.denials import Denial, DenialCode
from apps.trading.exposure import LEFT_OUT, reserved
from apps.trading.following import evidence_of
from apps.trading.legs import Intent, Leg
from apps.trading.market import fee_rates, fresher, read_account, read_ticker
from apps.trading.models import FINAL_STATES, Order, OrderState
from apps.trading.placing import guard_again
from apps.trading.protection import priced_anew
from apps.trading.transitions import advance, deny, note, postpone

logger = logging.getLogger(__name__)

S = OrderState


_legs_behind: Compiled[Order] = Compiled(
    lambda parent: Order.unscoped.filter(parent_id=parent, waits_for_parent=True, state=S.PLANNED).select_related(
        "connector", "instrument"
    )
)


def waiting_legs(order: Order) -> list[Order]:
    """Return what waits for this order to be filled. Nothing waits for an entry: then nothing is read."""
    return _legs_behind(parent=order.pk) if order.intent == Intent.EXIT else []


def give_up(leg: Order, parent: Order) -> None:
    deny(leg, Denial(DenialCode.CLOSE_LEG_FAILED, {"state": parent.get_state_display(), "symbol": leg.symbol}))


@at_least(Priority.ENTRY)
def is_ready(order: Order) -> bool:
    """A leg that waited is sized and guarded anew, against an account that must be flat on the other side."""
    parent = Order.unscoped.get(pk=order.parent_id)
    if not parent.is_final:
        return False
    if parent.state != S.FILLED:
        give_up(order, parent)
        return False
    if order.attempt:
        return True
    words = instruments.in_words(order.instrument)
    try:
        exchange = open_connector(order.connector)
        spoken_for = reserved(order.connector, words.quote)
        account = read_account(order.connector, exchange, words)
        opposite = account.holding.short if order.side == Side.BUY else account.holding.long
        if opposite >= words.quantity_step and _is_closing(order):
            # The closing leg is larger than one order: the others are on their way.
            postpone(order, cause="still closing")
            return False
        if opposite >= words.quantity_step:
            deny(
                order, Denial(DenialCode.CLOSE_LEG_FAILED, {"state": "with a rest still open", "symbol": order.symbol})
            )
            return False
        leg, ticker = leg_of(order), read_ticker(order.instrument)
        guards = order.facts.get("guards", ())
        if ticker is not None and any({"percent", "in_entry"} <= facts.keys() for facts in guards):
            ticker = fresher(order.instrument, ticker)
        sized = sizing.size(
            leg,
            instrument=words,
            ticker=ticker,
            available_quote=max(account.available_quote - spoken_for, Decimal(0)),
            fee_rates=fee_rates(order.connector_id, exchange, order.symbol),
            leverage=order.leverage,
            low_balance=LowBalance(order.connector.low_balance),
        )
    except SealError:
        deny(order, Denial(DenialCode.CLOSE_LEG_FAILED, {"state": parent.get_state_display(), "symbol": order.symbol}))
        return False
    except ExchangeError as error:
        logger.warning("order %s: account not read before the opening leg: %s", order.pk, error.sentence)
        postpone(order, cause="account not read", evidence=evidence_of(error))
        return False
    last = ticker.last if ticker else None
    denial = sized if isinstance(sized, Denial) else guard_again(order, sized, market_price=last)
    if denial is not None:
        deny(order, denial)
        return False
    if isinstance(sized, sizing.SizedLeg):
        price = sizing.price_expected(leg.side, leg.price, instrument=words, ticker=ticker)
        facts = {**order.facts, "account": account.as_facts(), **priced_anew(order, price), **_cut(order, sized)}
        note(
            order,
            cause="sized after the closing order",
            evidence=dict(sized.cut),
            quantity=sized.quantity,
            notional=sized.notional,
            facts=facts,
        )
    return True


def _cut(order: Order, sized: sizing.SizedLeg) -> dict[str, object]:
    """Say of a leg that is sent smaller than planned what it needed, and how much the strategy has beyond it."""
    if not sized.cut:
        return {}
    left_out = Decimal(order.facts.get(LEFT_OUT, "0")) + order.quantity - sized.quantity
    return {"cut": dict(sized.cut), LEFT_OUT: normalize_text(left_out)}


def _is_closing(order: Order) -> bool:
    others = Order.unscoped.filter(origin_id=order.origin_id, connector_id=order.connector_id, intent=Intent.EXIT)
    return others.exclude(state__in=FINAL_STATES).exists()


@at_least(Priority.EXIT)
def replan_exit(order: Order) -> None:
    """Send an exit that was proved absent again, under its own name, for what is held now; nothing held, nothing."""
    if order.intent != Intent.EXIT:
        _leave(order)
        return
    words = instruments.in_words(order.instrument)
    try:
        account = read_account(order.connector, open_connector(order.connector), words)
    except SealError:
        logger.error("order %s: the key to send the exit with cannot be opened", order.pk)
        postpone(order, cause="key cannot be opened")
        return
    except ExchangeError as error:
        postpone(order, cause="account not read", evidence=evidence_of(error))
        return
    held = account.holding.long if order.side == Side.SELL else account.holding.short
    quantity = min(order.quantity, held)
    if quantity < max(words.min_quantity, words.quantity_step):
        _leave(order)
        return
    advance(
        order,
        S.PLANNED,
        cause="exit planned anew",
        quantity=quantity,
        not_found_count=0,
        query_count=0,
        finished_at=None,
        next_at=world.now(),
        facts={**order.facts, "account": account.as_facts()},
    )


def _leave(order: Order) -> None:
    """Nobody has to look at it any more."""
    Order.unscoped.filter(pk=order.pk).update(next_at=None)
    order.next_at = None


def leg_of(order: Order) -> Leg:
    return Leg(
        code=order.leg,
        intent=Intent(order.intent),
        side=Side(order.side),
        book=Book(order.book),
        quantity=order.quantity,
        reduce_only=order.reduce_only,
        sentence=order.facts.get("sentence", ""),
        price=order.price,
    )
