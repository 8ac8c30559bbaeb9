"""An order whose outcome asking does not settle: a person is told, and a person's word may settle it.

A word is evidence, not an order: it moves the row by the table of moves, is kept on the event with who gave it, and
nothing is ever sent again because of it.
"""

from datetime import datetime, timedelta

from apps.accounts.models import User
from apps.lib import world
from apps.lib.decimals import normalize_text
from apps.trading import incidents
from apps.trading.incident_kinds import IncidentKind
from apps.trading.models import Incident, Order, OrderState
from apps.trading.transitions import move, note

S = OrderState

TELL_AFTER = timedelta(minutes=5)
KINDS = (IncidentKind.ORDER_IN_DOUBT, IncidentKind.ORDER_NOT_SHOWN)
_NOT_SEEN = frozenset({S.ACCEPTED, S.PARTIAL, S.CANCELLING})


class NotToBeSettledError(Exception):
    """A person's word cannot settle the order, or not yet; nothing was changed."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


def told(order: Order) -> None:
    """The exchange has just said something certain about the order: what was open about it is closed."""
    incidents.resolve_of_order(order, *KINDS, how=f"The exchange told what became of it: {order.get_state_display()}.")


def not_told(order: Order, *, contradiction: str = "") -> None:
    """Tell a person once the order is silent for too long, or at once with what only a person can settle."""
    if order.state == S.UNKNOWN and (contradiction or _silent_for(order, order.signed_at) > TELL_AFTER):
        minutes = _minutes(_silent_for(order, order.signed_at))
        why = contradiction or f"the exchange has given no certain answer for {minutes} minutes"
        incidents.open_incident(
            order.connector,
            IncidentKind.ORDER_IN_DOUBT,
            symbol=order.symbol,
            order=order,
            facts={**_facts(order), "why": why},
        )
    elif order.state in _NOT_SEEN and (silent := _silent_for(order, order.acknowledged_at)) > TELL_AFTER:
        incidents.open_incident(
            order.connector,
            IncidentKind.ORDER_NOT_SHOWN,
            symbol=order.symbol,
            order=order,
            facts={**_facts(order), "minutes": _minutes(silent)},
        )


def settle_as_not_placed(order: Order, *, by: User) -> None:
    """Take a person's word that the exchange does not have the order and never filled more of it than we know.

    NotToBeSettledError while the exchange might still take it, and for an order that is not in doubt.
    """
    _require_doubt(order)
    # The fence is of the exchange's clock, which ours may be minutes ahead of.
    venue_now = world.now() + timedelta(milliseconds=order.connector.clock_offset_ms or 0)
    if order.state == S.UNKNOWN and (order.fence_at is None or venue_now <= order.fence_at):
        until = "later" if order.fence_at is None else f"after {order.fence_at:%H:%M:%S} UTC"
        raise NotToBeSettledError(
            "ORDER_MAY_STILL_ARRIVE",
            f"Not settled: the exchange may still take this order. Look at BitMart again {until}, then say it here.",
        )
    was_unknown = order.state == S.UNKNOWN
    move(
        order,
        S.NOT_PLACED if was_unknown else S.CANCELED,
        cause="a person looked: not there",
        evidence={"person": by.email, "said": "not placed" if was_unknown else "gone"},
        reason_code="SETTLED_BY_PERSON",
        reason="A person looked at the exchange and said that the order is not there. Nothing was sent again.",
        # Also for an exit: whoever looked decides whether to close by hand.
        next_at=None,
    )
    incidents.resolve_of_order(order, *KINDS, by=by, how="A person looked at the exchange: the order is not there.")


def settle_as_placed(order: Order, exchange_order_id: str, *, by: User) -> None:
    """Take down the exchange's id for the order, as a person read it there, and ask by it now.

    The order moves only by what the exchange then says. NotToBeSettledError for an order that is not in doubt, and for
    an id that belongs to another order of the connector.
    """
    _require_doubt(order)
    others = Order.unscoped.filter(connector_id=order.connector_id, exchange_order_id=exchange_order_id)
    other = others.exclude(pk=order.pk).first()
    if other is not None:
        raise NotToBeSettledError(
            "ORDER_ID_TAKEN",
            f"Not settled: {exchange_order_id} is the order to {other.side} {normalize_text(other.quantity)} "
            f"{other.symbol} of {other.created_at:%Y-%m-%d %H:%M:%S} UTC. Copy the id of this one.",
        )
    note(
        order,
        cause="a person looked: it is there",
        evidence={"person": by.email, "said": f"placed as {exchange_order_id}"},
        exchange_order_id=exchange_order_id,
        query_count=0,
        not_found_count=0,
        next_at=world.now(),
    )


def asks_for_word(incident: Incident) -> bool:
    """Only an open incident about silence is settled by a word: of any other order the exchange still tells."""
    return incident.order_id is not None and incident.kind in KINDS and incident.resolved_at is None


def may_be_settled(order: Order) -> bool:
    return order.state == S.UNKNOWN or order.state in _NOT_SEEN


def _require_doubt(order: Order) -> None:
    if not may_be_settled(order):
        raise NotToBeSettledError(
            "ORDER_NOT_IN_DOUBT",
            f"Nothing to settle: this order is {order.get_state_display()} by now. Nothing was changed.",
        )


def _silent_for(order: Order, since: datetime | None) -> timedelta:
    return world.now() - (since or order.created_at)


def _minutes(silent: timedelta) -> str:
    return str(int(silent.total_seconds() // 60))


def _facts(order: Order) -> dict[str, str]:
    return {
        "side": order.side,
        "quantity": normalize_text(order.quantity),
        "symbol": order.symbol,
        "client_order_id": order.client_order_id,
        "exchange_order_id": order.exchange_order_id or order.client_order_id,
    }
