"""A decision in brief, as it is stored, shown and compared: every figure that would reach the exchange, or why not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from apps.connectors.exchange import Book, MarginMode, Side
from apps.trading.deciding import Planned, PlannedLeg
from apps.trading.denials import Denial
from apps.trading.legs import Intent, Note
from apps.trading.protecting import Guard


@dataclass(frozen=True, slots=True)
class LegOutline:
    """`quantity` in exchange units; `notional` is what a spot market buy sends in its place; `price` makes
    it a limit order. `guards` are placed once it fills.

    `estimated_price`, `value`, `fee` and `margin` are estimates in quote currency, None where there was no price.
    """

    code: str
    intent: Intent
    side: Side
    book: Book
    quantity: Decimal
    notional: Decimal | None
    price: Decimal | None
    reduce_only: bool
    leverage: Decimal | None
    margin_mode: MarginMode | None
    after: str | None
    client_order_id: str
    sentence: str
    estimated_price: Decimal | None = None
    value: Decimal | None = None
    fee: Decimal | None = None
    margin: Decimal | None = None
    denial: Denial | None = None
    guards: tuple[Guard, ...] = ()


@dataclass(frozen=True, slots=True)
class Outline:
    legs: tuple[LegOutline, ...] = ()
    denial: Denial | None = None
    notes: tuple[Note, ...] = ()
    asked: Mapping[str, str] = field(default_factory=dict)


def outline_of(planned: Planned) -> Outline:
    notes = planned.plan.notes if planned.plan else ()
    return Outline(tuple(_leg(leg) for leg in planned.legs), planned.denial, notes, planned.asked)


def _leg(planned: PlannedLeg) -> LegOutline:
    leg = planned.leg
    estimate = planned.sized.estimate if planned.sized else None
    return LegOutline(
        code=leg.code,
        intent=leg.intent,
        side=leg.side,
        book=leg.book,
        guards=planned.guards,
        quantity=planned.quantity,
        notional=planned.notional,
        price=leg.price,
        reduce_only=leg.reduce_only,
        leverage=planned.leverage,
        margin_mode=planned.margin_mode,
        after=leg.after,
        client_order_id=planned.client_order_id,
        sentence=leg.sentence,
        estimated_price=estimate.price if estimate else None,
        value=estimate.notional if estimate else None,
        fee=estimate.fee if estimate else None,
        margin=estimate.margin if estimate else None,
        denial=planned.denial,
    )
