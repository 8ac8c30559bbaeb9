"""Put a position row where the exchange says it is, with the ledger entry that says that it was not our doing."""

from decimal import Decimal

from django.db import transaction

from apps.connectors.exchange import Book
from apps.connectors.models import Connector, Instrument, MarketPrice
from apps.lib import world
from apps.trading import accounting
from apps.trading.models import Adjustment, LedgerEntry, Position
from apps.trading.recording import contract_of, state_of, store


def adjust(
    connector: Connector,
    instrument: Instrument,
    book: Book,
    *,
    expected: Decimal,
    target: Decimal,
    price: Decimal | None,
    cause: Adjustment.Cause,
) -> Adjustment | None:
    """Set the position to `target`, signed; None, and nothing done, when our row no longer says `expected`.

    `price` is what came in is taken at, and what was liquidated was closed at; None = the newest price known, else what
    the position cost.
    """
    with transaction.atomic():
        Position.unscoped.get_or_create(
            connector=connector,
            symbol=instrument.symbol,
            book=book.value,
            defaults={"workspace_id": connector.workspace_id, "instrument": instrument},
        )
        rows = Position.unscoped.select_for_update()
        position: Position = rows.get(connector=connector, symbol=instrument.symbol, book=book.value)
        if position.signed_quantity != expected or target == expected:
            return None
        contract, now = contract_of(instrument), world.now()
        taken_at = price or _newest_price(instrument) or position.avg_entry_price
        after, effects = accounting.adjust_external(
            state_of(position),
            target,
            price=taken_at,
            at=now,
            contract=contract,
            realises=cause is Adjustment.Cause.LIQUIDATED,
        )
        adjustment: Adjustment = Adjustment.objects.create(
            workspace_id=connector.workspace_id,
            connector=connector,
            symbol=instrument.symbol,
            book=book.value,
            cause=cause,
            change=target - expected,
            price=taken_at,
            at=now,
        )
        for number, row in enumerate(effects.rows):
            LedgerEntry.objects.create(
                workspace_id=connector.workspace_id,
                connector=connector,
                symbol=instrument.symbol,
                kind=row.kind.value,
                amount=row.amount,
                currency=row.currency,
                at=now,
                reference=f"adjustment:{adjustment.pk}" + (f":{row.kind.value}" if number else ""),
            )
        store(position, after, contract.contract_size)
    return adjustment


def _newest_price(instrument: Instrument) -> Decimal | None:
    price: Decimal | None = MarketPrice.objects.filter(instrument=instrument).values_list("mark", flat=True).first()
    return price
