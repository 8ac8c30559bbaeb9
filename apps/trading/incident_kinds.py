"""What can need a person: one kind, how bad it is, and the sentences its page and its mail are made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter

from django.db.models import TextChoices


class IncidentKind(TextChoices):
    ORDER_IN_DOUBT = "order_in_doubt", "order in doubt"
    ORDER_NOT_SHOWN = "order_not_shown", "order not shown any more"
    ORDER_ALIVE = "order_alive", "order alive after all"
    ORPHAN_ORDER = "orphan_order", "order of ours without a row"
    POSITION_DIFFERS = "position_differs", "position differs"
    POSITION_EXTERNAL = "position_external", "position changed from outside"
    POSITION_LIQUIDATED = "position_liquidated", "position liquidated"
    PROTECTION_MISSING = "protection_missing", "position without its stop"
    KEY_REFUSED = "key_refused", "exchange key refused"
    WITHDRAWAL_ALLOWED = "withdrawal_allowed", "key can withdraw"
    POSITION_MODE = "position_mode", "position mode changed"
    FLATTEN_INCOMPLETE = "flatten_incomplete", "close everything not complete"


class Severity(TextChoices):
    """In the words of a notice."""

    INFO = "info", "info"
    WARNING = "warning", "warning"
    ERROR = "error", "error"


@dataclass(frozen=True, slots=True)
class Text:
    """`what` happened, what we `did`, what the reader should do (`todo`); with `{facts}` of the incident.

    `blocks_entries`: no new position in the symbol (on the connector, when it names none) while it is open.
    `closes_by_itself`: the engine closes it when it is over, and nobody can close it before.
    """

    severity: Severity
    what: str
    did: str
    todo: str
    blocks_entries: bool = False
    closes_by_itself: bool = False


_K = IncidentKind

TEXTS: dict[IncidentKind, Text] = {
    _K.ORDER_IN_DOUBT: Text(
        Severity.ERROR,
        "Nobody can say what became of the order to {side} {quantity} {symbol}: {why}.",
        "We ask the exchange again every 15 seconds and do not send it a second time. "
        "Until it is settled no other order goes out in {symbol}, exits included.",
        "Look for {client_order_id} among your orders in {symbol} at BitMart, then say here what you found.",
    ),
    _K.ORDER_NOT_SHOWN: Text(
        Severity.ERROR,
        "The exchange took the order to {side} {quantity} {symbol} and has not shown it for {minutes} minutes.",
        "We ask again every 15 seconds. Until it is settled no other order goes out in {symbol}, exits included.",
        "Look for {exchange_order_id} among your orders in {symbol} at BitMart, then say here what you found.",
    ),
    _K.ORDER_ALIVE: Text(
        Severity.ERROR,
        "The order to {side} {quantity} {symbol} was taken for {was} and is alive at the exchange.",
        "We follow it again and count its fills. New positions in {symbol} are off.",
        "Look at the position in {symbol}, close what you did not want, then resolve this.",
        blocks_entries=True,
    ),
    _K.ORPHAN_ORDER: Text(
        Severity.ERROR,
        "The exchange has an order with one of our names, {client_order_id} ({side} {quantity} {symbol}), "
        "that is not on record here.",
        "It was taken onto record and is followed. New positions in {symbol} are off.",
        "Look at the position in {symbol}, close what you did not want, then resolve this.",
        blocks_entries=True,
    ),
    _K.POSITION_DIFFERS: Text(
        Severity.ERROR,
        "{symbol}: our fills add up to {ours}, the exchange holds {theirs}.",
        "We traded nothing to repair it. {did}",
        "Bring the two in line here: take over the exchange's figure, or close what should not be there.",
    ),
    _K.POSITION_EXTERNAL: Text(
        Severity.WARNING,
        "{symbol} was traded outside: we had {ours}, the exchange holds {theirs}.",
        "We took over the exchange's figure and booked the difference of {difference} as not ours. Nothing was traded.",
        "Nothing, if you traded by hand. If not, look who else uses this key.",
    ),
    _K.POSITION_LIQUIDATED: Text(
        Severity.ERROR,
        "The exchange liquidated {symbol}: we had {ours}, it holds {theirs}.",
        "We took over the exchange's figure and booked the difference as liquidated.",
        "Lower the leverage or the size before the next entry.",
    ),
    _K.PROTECTION_MISSING: Text(
        Severity.ERROR,
        "{symbol} is open without the stop that its alert asked for: {why}.",
        "{did}",
        "Set a stop at BitMart by hand, or close the position.",
    ),
    _K.KEY_REFUSED: Text(
        Severity.ERROR,
        "The exchange refuses this connector's key: {why}",
        "New positions are off. Exits are tried again each minute.",
        "Make a new key at BitMart and enter it on the connector's page. "
        "Entries come on again with the first accepted call; where orders are refused, once its check succeeds.",
        blocks_entries=True,
        closes_by_itself=True,
    ),
    _K.WITHDRAWAL_ALLOWED: Text(
        Severity.ERROR,
        "This connector's key can withdraw funds now. It could not when it was entered, or nobody could tell.",
        "New positions are off. Exits still work.",
        "Take the permission away at BitMart or make a new key without it; "
        "entries come on again when the check succeeds.",
        blocks_entries=True,
        closes_by_itself=True,
    ),
    _K.POSITION_MODE: Text(
        Severity.ERROR,
        "The account was in {before} mode and is in {found} mode now. A switch concerns every connector of the key.",
        "Orders are made for the mode that is found. Our position rows were made in the other one.",
        "Switch it back at BitMart while no position is open, or resolve this if you meant it.",
    ),
    _K.FLATTEN_INCOMPLETE: Text(
        Severity.ERROR,
        "Close everything ended with {failed} of {found} not closed.",
        "Entries stay off. Each one's reason stands in the report: a position, or an order that may still open one.",
        "Close them at BitMart by hand, or start it again.",
    ),
}

BLOCKING = tuple(kind for kind, text in TEXTS.items() if text.blocks_entries)


class _Facts(dict[str, str]):
    # A row written by an older release may lack a fact; its sentence must still render.
    def __missing__(self, key: str) -> str:
        return "—"


# While two releases are at work: a kind that the newer one opened, on a page of the older one.
OF_A_LATER_RELEASE = Text(
    Severity.WARNING,
    "A newer release of this product, being rolled out now, opened this incident.",
    "What was done about it is shown once the roll-out is over.",
    "Look again in a few minutes.",
    closes_by_itself=True,
)


def filled_in(sentence: str, facts: Mapping[str, str]) -> str:
    return sentence.format_map(_Facts(facts))


def facts_of(kind: IncidentKind) -> frozenset[str]:
    """Return the names of the facts that the kind's sentences show."""
    text = TEXTS[kind]
    parts = (part for sentence in (text.what, text.did, text.todo) for part in Formatter().parse(sentence))
    return frozenset(name for _, name, _, _ in parts if name)


def kind_choices() -> list[tuple[str, str]]:
    return IncidentKind.choices
