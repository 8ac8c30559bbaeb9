"""FillReport → Fill → Position → LedgerEntry, once per trade id, in one transaction."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

from django.db import transaction

from apps.connectors.exchange import Book, FillReport, LiquidityRole, Market, OrderReport, Side
from apps.connectors.models import Instrument
from apps.lib import world
from apps.lib.compiled import Compiled, inserting, update_asked
from apps.lib.decimals import FINEST
from apps.lib.statements import Asked, ask, together
from apps.trading import accounting
from apps.trading.accounting import (
    AdjustmentFacts,
    Contract,
    FillFacts,
    LedgerKind,
    LedgerRow,
    PositionState,
    Rebuilt,
)
from apps.trading.models import Adjustment, Fill, LedgerEntry, Order, Position
from apps.trading.transitions import move, note

logger = logging.getLogger(__name__)

INFER_AFTER = timedelta(seconds=60)
# What the trade ids of inferred fills begin with.
INFERRED = "inferred:"
_KNOWN = "SELECT trade_id, order_id FROM trading_fill WHERE connector_id = %s AND trade_id = ANY(%s)"

_order_locked = Compiled(
    lambda order: (
        Order.unscoped.select_related("connector", "instrument").select_for_update(of=("self",)).filter(pk=order)
    )
)
_position_locked: Compiled[Position] = Compiled(
    lambda connector, symbol, book: Position.unscoped.select_for_update().filter(
        connector_id=connector, symbol=symbol, book=book
    )
)
_last_adjusted = Compiled(
    lambda connector, symbol, book: (
        Adjustment.unscoped.filter(connector_id=connector, symbol=symbol, book=book)
        .order_by("-at")
        .values_list("at", flat=True)[:1]
    )
)
_fills_at: Compiled[Fill] = Compiled(
    lambda connector, symbol, book: Fill.unscoped.filter(connector_id=connector, symbol=symbol, book=book)
)
_adjustments_at: Compiled[Adjustment] = Compiled(
    lambda connector, symbol, book: Adjustment.unscoped.filter(
        connector_id=connector, symbol=symbol, book=book
    ).order_by("at")
)
_external_at: Compiled[Decimal] = Compiled(
    lambda connector, symbol, book: LedgerEntry.unscoped.filter(
        fill__connector_id=connector, fill__symbol=symbol, fill__book=book, kind=LedgerEntry.Kind.EXTERNAL.value
    ).values_list("amount", flat=True)
)
_fills_of = Compiled(
    lambda order: (
        Fill.unscoped.filter(order_id=order)
        .order_by("filled_at")
        .values_list("quantity", "price", "fee", "fee_currency", "filled_at")
    )
)


@dataclass(slots=True)
class _Unwritten:
    """What `record` writes together; whoever reads it back writes it first."""

    fills: list[Fill] = field(default_factory=list)
    ledger: list[LedgerEntry] = field(default_factory=list)
    changes: list[Asked] = field(default_factory=list)

    def write(self, *more: Asked) -> list[Any]:
        """Write them, then ask `more` in the same round trip; return what those answer."""
        rows = [*inserting(*self.fills), *inserting(*self.ledger), *self.changes]
        self.fills, self.ledger, self.changes = [], [], []
        return together(*rows, *more)[len(rows) :]


def record(
    order: Order,
    reports: Sequence[FillReport],
    *,
    ending: Callable[[Decimal], Mapping[str, Any] | None] | None = None,
    beside: Decimal | None = None,
) -> int:
    """Record the fills that are new, move the position and write the ledger; return how many were new.

    `order` is read again under a row lock and comes back current. `ending` is asked, with the quantity that is recorded
    then, whether the order has come to its end by that: it returns what `move` takes, which is done in the same step.
    Nothing is recorded beside an inferred fill, which stands for fills that were not told (`replace_inferred` puts them
    in its place), nor when another quantity than `beside` is on record by now.
    """
    if not reports:
        return 0
    with transaction.atomic(), localcontext(prec=accounting.WIDE):
        place, stand_in = _place(order), inferred_id(order)
        locked, known, positions, adjusted = together(
            _order_locked.asked(order=order.pk),
            Asked(
                _KNOWN,
                [order.connector_id, [stand_in, *(report.trade_id for report in reports)]],
                lambda found: dict(found.rows),
            ),
            _position_locked.asked(**place),
            _last_adjusted.asked(**place),
        )
        _renew(order, locked[0])
        for trade_id, owner in known.items():
            if owner != order.pk:
                logger.error("trade %s told of order %s is recorded on order %s", trade_id, order.pk, owner)
        fresh = {report.trade_id: report for report in reports if report.trade_id not in known}
        if not fresh or stand_in in known or beside not in {None, order.filled_quantity}:
            return 0
        position = positions[0] if positions else _locked_position(order)
        adjusted_at = adjusted[0] if adjusted else None
        unwritten = _Unwritten()
        for report in sorted(
            fresh.values(), key=lambda report: (report.filled_at, len(report.trade_id), report.trade_id)
        ):
            _record_one(order, position, report, adjusted_at, unwritten)
        _, fills = unwritten.write(_saved(position), _fills_of.asked(order=order.pk))
        totals, evidence = _totals(fills), {"trade_ids": sorted(fresh)}
        end = ending(totals["filled_quantity"]) if ending is not None else None
        if end is None:
            note(order, cause="fills", evidence=evidence, **totals)
        else:
            move(order, **{**end, "evidence": {**end["evidence"], **evidence}}, **totals)
    return len(fresh)


def infer(order: Order, report: OrderReport) -> int:
    """Record one fill for what the exchange says was filled and shows no trades for; its id is fixed."""
    if report.avg_fill_price is None:
        return 0
    with localcontext(prec=accounting.WIDE):
        recorded = order.filled_quantity
        missing = report.filled_quantity - recorded
        if missing <= 0:
            return 0
        # Together with what was told they are to come to the order's own average.
        told = recorded * (order.avg_fill_price or Decimal(0))
        price = ((report.filled_quantity * report.avg_fill_price - told) / missing).quantize(FINEST)
    logger.error("order %s: fills of %s not told, inferred from the order", order.pk, missing)
    inferred = FillReport(
        trade_id=inferred_id(order),
        exchange_order_id=report.exchange_order_id,
        symbol=order.symbol,
        side=Side(order.side),
        price=price if price > 0 else report.avg_fill_price,
        quantity=missing,
        fee=Decimal(0),
        fee_currency=order.instrument.quote,
        role=LiquidityRole.TAKER,
        filled_at=report.updated_at or world.now(),
        client_order_id=order.client_order_id,
    )
    # Another process may have been told meanwhile.
    return record(order, [inferred], beside=recorded)


def inferred_id(order: Order) -> str:
    return f"{INFERRED}{order.client_order_id}"


def inferred_of(order: Order) -> Fill | None:
    """Return the fill that stands for fills of this order that were not told."""
    found: Fill | None = Fill.unscoped.filter(order=order, trade_id=inferred_id(order)).first()
    return found


def replace_inferred(order: Order, reports: Sequence[FillReport]) -> bool:
    """Put the exchange's own fills in the place of the inferred one, once they come to its quantity, or to more.

    The inferred row becomes the first of them; what the ledger said too much or too little is booked as a correction.
    False while they are less: then nothing is changed. `order` comes back current.
    """
    with transaction.atomic(), localcontext(prec=accounting.WIDE):
        _lock(order)
        inferred = inferred_of(order)
        told = {report.trade_id: report for report in reports}
        known = Fill.unscoped.filter(connector_id=order.connector_id, trade_id__in=told)
        fresh = [told[name] for name in told.keys() - set(known.values_list("trade_id", flat=True))]
        if inferred is None or sum((one.quantity for one in fresh), Decimal(0)) < inferred.quantity:
            return False
        position = _locked_position(order)
        first, *others = sorted(fresh, key=lambda one: (one.filled_at, len(one.trade_id), one.trade_id))
        Fill.unscoped.filter(pk=inferred.pk).update(**_columns(first))
        for one in others:
            Fill(
                workspace_id=order.workspace_id,
                connector=order.connector,
                order=order,
                symbol=order.symbol,
                book=order.book,
                **_columns(one),
            ).save(force_insert=True)
        _book_anew(order, position, inferred)
        evidence = {"trade_ids": sorted(one.trade_id for one in fresh)}
        note(order, cause="inferred fill replaced", evidence=evidence, **_totals(_fills_of(order=order.pk)))
    return True


def _columns(report: FillReport) -> dict[str, object]:
    return {
        "trade_id": report.trade_id,
        "side": report.side.value,
        "price": report.price,
        "quantity": report.quantity,
        "fee": report.fee,
        "fee_currency": report.fee_currency,
        "role": report.role.value,
        "filled_at": report.filled_at,
    }


def _book_anew(order: Order, position: Position, named: Fill) -> None:
    """Work the position out again from its fills and book what that changes, on the fill that was replaced."""
    contract = contract_of(order.instrument)
    fills = Fill.unscoped.filter(connector_id=position.connector_id, symbol=position.symbol, book=position.book)
    facts = [
        FillFacts(f.trade_id, Side(f.side), f.price, f.quantity, f.fee, f.fee_currency, f.filled_at) for f in fills
    ]
    adjustments = _adjustments_at(**_place(position))
    beside = _beside(adjustments)
    rebuilt = accounting.rebuild(facts, contract=contract, book=Book(position.book), adjustments=beside)
    # What was liquidated realises something else where it cost something else. What of that was corrected before stands
    # on the fills.
    by_fills = sum((effects.realized for effects in rebuilt.effects.values()), Decimal(0))
    names = [f"adjustment:{row.pk}:{LedgerKind.REALIZED_PNL.value}" for row in adjustments]
    booked = LedgerEntry.unscoped.filter(connector_id=position.connector_id, reference__in=names)
    by_others = rebuilt.state.realized_pnl - by_fills - sum(booked.values_list("amount", flat=True), Decimal(0))
    wanted: dict[tuple[bool, str], Decimal] = {(False, contract.quote): by_others}
    for effects in rebuilt.effects.values():
        for row in effects.rows:
            key = (row.kind is LedgerKind.EXTERNAL, row.currency)
            wanted[key] = wanted.get(key, Decimal(0)) + row.amount
    for fill in fills:
        realized = rebuilt.effects[fill.trade_id].realized
        if realized != fill.realized_pnl:
            Fill.unscoped.filter(pk=fill.pk).update(realized_pnl=realized)
    external = LedgerEntry.Kind.EXTERNAL.value
    for kind, currency, amount in LedgerEntry.unscoped.filter(fill__in=fills).values_list("kind", "currency", "amount"):
        key = (kind == external, currency)
        wanted[key] = wanted.get(key, Decimal(0)) - amount
    LedgerEntry.unscoped.bulk_create(
        LedgerEntry(
            workspace_id=order.workspace_id,
            connector_id=order.connector_id,
            fill_id=named.pk,
            symbol=order.symbol,
            kind=LedgerEntry.Kind.CORRECTION.value,
            amount=amount,
            currency=currency,
            at=world.now(),
        )
        for (_, currency), amount in wanted.items()
        if amount
    )
    store(position, replace(rebuilt.state, funding=position.funding), contract.contract_size)


def _beside(adjustments: Iterable[Adjustment]) -> list[AdjustmentFacts]:
    return [AdjustmentFacts(row.change, row.price, row.at, row.realises) for row in adjustments]


def contract_of(instrument: Instrument) -> Contract:
    return Contract(Market(instrument.market), instrument.base, instrument.quote, instrument.contract_size)


def state_of(position: Position) -> PositionState:
    return PositionState(
        book=Book(position.book),
        signed_quantity=position.signed_quantity,
        cost=position.cost,
        realized_pnl=position.realized_pnl,
        fees=position.fees,
        funding=position.funding,
        opened_at=position.opened_at,
        last_fill_at=position.last_fill_at,
        last_trade_id=position.last_trade_id,
    )


def _record_one(
    order: Order, position: Position, report: FillReport, adjusted_at: datetime | None, unwritten: _Unwritten
) -> None:
    contract = contract_of(order.instrument)
    facts = FillFacts(
        report.trade_id, report.side, report.price, report.quantity, report.fee, report.fee_currency, report.filled_at
    )
    before = state_of(position)
    fill = Fill(
        workspace_id=order.workspace_id,
        connector_id=order.connector_id,
        order_id=order.pk,
        trade_id=report.trade_id,
        symbol=order.symbol,
        book=order.book,
        side=report.side.value,
        price=report.price,
        quantity=report.quantity,
        fee=report.fee,
        fee_currency=report.fee_currency,
        role=report.role.value,
        filled_at=report.filled_at,
    )
    if accounting.is_late(before, facts) or (adjusted_at is not None and adjusted_at > facts.filled_at):
        after, effects = _rebuilt(position, facts, contract, unwritten)
        correction = after.realized_pnl - before.realized_pnl - effects.realized
    else:
        after, effects = accounting.apply_fill(before, facts, contract=contract)
        correction = Decimal(0)
    fill.realized_pnl = effects.realized
    unwritten.fills.append(fill)
    rows = [(row.kind.value, row.amount, row.currency) for row in effects.rows]
    if correction:
        rows.append((LedgerEntry.Kind.CORRECTION.value, correction, contract.quote))
    unwritten.ledger += [
        LedgerEntry(
            workspace_id=order.workspace_id,
            connector_id=order.connector_id,
            fill_id=fill.pk,
            symbol=order.symbol,
            kind=kind,
            amount=amount,
            currency=currency,
            at=report.filled_at,
        )
        for kind, amount, currency in rows
    ]
    _put(position, after, contract.contract_size)


def _rebuilt(
    position: Position, late: FillFacts, contract: Contract, unwritten: _Unwritten
) -> tuple[PositionState, accounting.Effects]:
    """Return the position with a fill that belongs before others; funding and adjustments stay."""
    place = _place(position)
    fills, adjustments, external = unwritten.write(
        _fills_at.asked(**place), _adjustments_at.asked(**place), _external_at.asked(**place)
    )
    earlier = [
        FillFacts(f.trade_id, Side(f.side), f.price, f.quantity, f.fee, f.fee_currency, f.filled_at) for f in fills
    ]
    book = Book(position.book)
    beside = _beside(adjustments)
    rebuilt = accounting.rebuild([*earlier, late], contract=contract, book=book, adjustments=beside)
    unwritten.changes += [
        update_asked(Fill, {"realized_pnl": rebuilt.effects[fill.trade_id].realized}, id=fill.pk)
        for fill in fills
        if rebuilt.effects[fill.trade_id].realized != fill.realized_pnl
    ]
    state = rebuilt.state
    kept = PositionState(
        state.book,
        state.signed_quantity,
        state.cost,
        state.realized_pnl,
        state.fees,
        position.funding,
        state.opened_at,
        state.last_fill_at,
        state.last_trade_id,
    )
    effects = rebuilt.effects[late.trade_id]
    return kept, replace(effects, rows=_with_external(effects.rows, rebuilt, sum(external, Decimal(0)), contract))


def _with_external(
    rows: tuple[LedgerRow, ...], rebuilt: Rebuilt, booked: Decimal, contract: Contract
) -> tuple[LedgerRow, ...]:
    """Book with the late fill what it changes in all that was taken in from outside: its own row is a part of that."""
    taken_in = sum(
        (row.amount for one in rebuilt.effects.values() for row in one.rows if row.kind is LedgerKind.EXTERNAL),
        Decimal(0),
    )
    change = taken_in - booked
    others = tuple(row for row in rows if row.kind is not LedgerKind.EXTERNAL)
    return (*others, LedgerRow(LedgerKind.EXTERNAL, change, contract.base)) if change else others


def _lock(order: Order) -> None:
    """Read `order` again under a row lock, with its connector and instrument."""
    (row,) = _order_locked(order=order.pk)
    _renew(order, row)


def _renew(order: Order, row: Order) -> None:
    # As refresh_from_db does it: other relations that were read before are forgotten.
    vars(order).update(vars(row))


def _place(row: Order | Position) -> dict[str, object]:
    return {"connector": row.connector_id, "symbol": row.symbol, "book": row.book}


def _locked_position(order: Order) -> Position:
    place = _place(order)
    found = _position_locked(**place)
    if not found:
        new = Position(
            workspace_id=order.workspace_id,
            connector_id=order.connector_id,
            instrument_id=order.instrument_id,
            symbol=order.symbol,
            book=order.book,
        )
        # Another worker may have made it: then it is his that is locked.
        (made,) = inserting(new)
        _, found = together(replace(made, sql=f"{made.sql} ON CONFLICT DO NOTHING"), _position_locked.asked(**place))
    return found[0]


def store(position: Position, state: PositionState, contract_size: Decimal) -> None:
    """Write what `state` says of a position whose row is locked."""
    _put(position, state, contract_size)
    ask(_saved(position))


def _put(position: Position, state: PositionState, contract_size: Decimal) -> None:
    position.signed_quantity = state.signed_quantity
    position.cost = state.cost
    position.avg_entry_price = state.avg_entry_price(contract_size)
    position.realized_pnl = state.realized_pnl
    position.fees = state.fees
    position.funding = state.funding
    position.opened_at = state.opened_at
    position.last_fill_at = state.last_fill_at
    position.last_trade_id = state.last_trade_id


def _saved(position: Position) -> Asked:
    position.updated_at = world.now()
    return update_asked(Position, {name: getattr(position, name) for name in _OF_STATE}, id=position.pk)


_OF_STATE = (
    *("signed_quantity", "cost", "avg_entry_price", "realized_pnl", "fees", "funding"),
    *("opened_at", "last_fill_at", "last_trade_id", "updated_at"),
)


def _totals(fills: Sequence[tuple[Decimal, Decimal, Decimal, str, datetime]]) -> dict[str, Any]:
    """Add up an order's fills, oldest first (`_fills_of`); the caller has set the precision."""
    total = sum((quantity for quantity, *_ in fills), Decimal(0))
    value = sum((quantity * price for quantity, price, *_ in fills), Decimal(0))
    fees: dict[str, Decimal] = {}
    for _, _, fee, currency, _ in fills:
        fees[currency] = fees.get(currency, Decimal(0)) + fee
    return {
        "filled_quantity": total,
        "avg_fill_price": (value / total).quantize(FINEST) if total else None,
        "fees": {currency: f"{amount:f}" for currency, amount in fees.items()},
        "first_fill_at": fills[0][-1],
        "last_fill_at": fills[-1][-1],
    }
