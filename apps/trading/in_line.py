"""A position that differs, brought in line by a person: each way is shown exactly before it is gone.

Either our row takes over the exchange's figure, or an order closes at the exchange what our row does not have. That
order's fill takes from our row as well, so the row takes over what is closed before: else the two would differ as much
as before. Only what reduces is ever sent; what the exchange lacks cannot be bought back here.

Acted on is under the symbol's lease, and only while no order of ours in it may still trade: an alert that is being
carried out, or a resting order that fills in this moment, would make the figures of two moments.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import uuid5

from django.db import transaction

from apps.connectors import instruments
from apps.connectors.exchange import Book, Instrument, Market
from apps.lib import world
from apps.lib.decimals import floor_to_step, normalize_text
from apps.trading import drift, flatten, incidents, leases, readings
from apps.trading.adjusting import adjust
from apps.trading.halting import halted
from apps.trading.incident_kinds import IncidentKind
from apps.trading.models import FINAL_STATES, Adjustment, Incident, Order, Position
from apps.trading.sizing import largest_part

FRESH = timedelta(minutes=6)


class NotInLineError(Exception):
    """Nothing was done; `sentence` says why and what to do."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Preview:
    """`closing` is what the order would close, signed as it is held; None = nothing can be closed to make it match.

    `left` is by how much the two still differ afterwards: what goes beyond the largest order the exchange takes.
    """

    position: Position
    ours: Decimal
    theirs: Decimal
    read_at: datetime
    closing: Decimal | None
    left: Decimal = Decimal(0)

    @property
    def shown(self) -> dict[str, str]:
        """Return the figures as texts, to be sent back with the choice."""
        return {"ours": normalize_text(self.ours), "theirs": normalize_text(self.theirs)}

    @property
    def take_over(self) -> str:
        words = instruments.in_words(self.position.instrument)
        change = (self.theirs - self.ours) * self.position.instrument.contract_size
        return (
            f"Our row becomes {drift.described(self.theirs, words)}; the ledger gets one entry of "
            f"{normalize_text(change)} {words.base}, taken over by hand. Nothing is sent."
        )

    @property
    def close(self) -> str:
        if self.closing is None:
            return ""
        words = instruments.in_words(self.position.instrument)
        side = "Sell" if self.closing > 0 else "Buy"
        kind = "market, reduce only" if words.market is Market.FUTURES else "market"
        order = (
            f"{side} {_size(self.closing, words)} of {words.symbol}, {kind}; our row takes them over first, at the "
            "market price, for the order to close."
        )
        if self.left:
            return (
                f"{order} It is the largest order the exchange takes: the two will still differ by "
                f"{_size(self.left, words)}. Close them the same way once the new figures are shown here."
            )
        return f"{order} Afterwards both say {drift.described(self.ours, words)}."


def _size(quantity: Decimal, words: Instrument) -> str:
    return drift.described(quantity, words).removeprefix("long ").removeprefix("short ")


def preview(incident: Incident) -> Preview | None:
    """Return what each way would do; None when the incident is not of this kind, is over, or was not read lately.

    Nor when an order of ours may have moved the position since it was read: the two figures are of one moment or none.
    """
    if incident.kind != IncidentKind.POSITION_DIFFERS or incident.resolved_at is not None:
        return None
    rows = Position.objects.for_workspace(incident.workspace_id).select_related("instrument", "connector")
    position = rows.filter(
        connector_id=incident.connector_id, symbol=incident.symbol, book=incident.facts.get("book", Book.NET.value)
    ).first()
    if position is None or position.exchange_quantity is None or position.reconciled_at is None:
        return None
    if world.now() - position.reconciled_at > FRESH:
        return None
    if not readings.is_quiet(position.connector, position.symbol, since=position.reconciled_at - readings.SETTLING):
        return None
    ours, theirs = position.signed_quantity, position.exchange_quantity
    excess = _excess(position, ours, theirs)
    if excess is None:
        return Preview(position, ours, theirs, position.reconciled_at, None)
    size = largest_part(abs(excess), instruments.in_words(position.instrument))
    closing = size.copy_sign(excess)
    return Preview(position, ours, theirs, position.reconciled_at, closing, excess - closing)


def take_over(incident: Incident, *, ours: str, theirs: str) -> Adjustment:
    """Do what the preview with these figures said. NotInLineError when it would say something else by now."""
    with _still(incident, ours, theirs) as shown:
        done = adjust(
            incident.connector,
            shown.position.instrument,
            Book(shown.position.book),
            expected=shown.ours,
            target=shown.theirs,
            price=None,
            cause=Adjustment.Cause.BY_HAND,
        )
    if done is None:
        raise _moved()
    incidents.resolve(
        incident.connector, IncidentKind.POSITION_DIFFERS, symbol=incident.symbol, how="Taken over by hand."
    )
    return done


def close_difference(incident: Incident, *, ours: str, theirs: str) -> Order:
    """Write the closing order that the preview showed; a worker sends it. NotInLineError as above."""
    with _still(incident, ours, theirs) as shown:
        if shown.closing is None:
            raise NotInLineError(
                "NOTHING_TO_CLOSE", "Nothing can be closed to make the two match. Take over the figure."
            )
        halt = halted(incident.connector)
        if halt is not None:
            raise NotInLineError(halt.code.value, halt.sentence)
        with transaction.atomic():
            instrument, book = shown.position.instrument, Book(shown.position.book)
            taken = adjust(
                incident.connector,
                instrument,
                book,
                expected=shown.ours,
                target=shown.ours + shown.closing,
                price=None,
                cause=Adjustment.Cause.BY_HAND,
            )
            if taken is None:
                raise _moved()
            return flatten.close(
                incident.connector,
                instrument,
                book,
                shown.closing,
                # One order for what was shown: pressed twice, it is sent once.
                origin_id=uuid5(incident.pk, f"{ours}|{theirs}"),
                cause="brought in line by hand",
            )


def _excess(position: Position, ours: Decimal, theirs: Decimal) -> Decimal | None:
    """Return the part of `theirs` that we do not have, in its direction."""
    words = instruments.in_words(position.instrument)
    kept = ours if ours * theirs > 0 else Decimal(0)
    if abs(kept) >= abs(theirs) or (words.market is Market.FUTURES and not kept and ours):
        # Less is there than we have, or the other side: closing all of it would not make them match.
        return None
    size = floor_to_step(abs(theirs) - abs(kept), words.quantity_step)
    if size < max(words.min_quantity, words.quantity_step):
        return None
    return size if theirs > 0 else -size


@contextmanager
def _still(incident: Incident, ours: str, theirs: str) -> Iterator[Preview]:
    """Hold the symbol for the block and give what was shown. NotInLineError when that no longer stands."""
    with leases.held(incident.connector_id, incident.symbol) as lease:
        if lease is None:
            raise NotInLineError(
                "SYMBOL_BUSY", f"Nothing was done: an order in {incident.symbol} is being worked on. Press it again."
            )
        shown = preview(incident)
        if shown is None or shown.shown != {"ours": ours, "theirs": theirs}:
            raise _moved()
        open_order = _open_order(incident)
        if open_order is not None:
            raise NotInLineError(
                "ORDER_OPEN",
                f"Nothing was done: the order to {open_order.side} {normalize_text(open_order.quantity)} "
                f"{open_order.symbol} is {open_order.get_state_display()} and may still move the position. "
                "Cancel it, or wait until it is over.",
            )
        yield shown


def _open_order(incident: Incident) -> Order | None:
    orders = Order.unscoped.filter(connector_id=incident.connector_id, symbol=incident.symbol)
    found: Order | None = orders.exclude(state__in=FINAL_STATES).order_by("created_at").first()
    return found


def _moved() -> NotInLineError:
    return NotInLineError(
        "POSITION_MOVED", "Nothing was done: the figures changed since the page was shown. Look at them again."
    )
