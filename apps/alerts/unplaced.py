"""Entries that the strategy counts and that no order carried out: a pause, a stop, a limit or a hold kept them back.

An exit of all that the strategy counts is larger than the position by them, and closes them; it opens no other side.
An order that was refused, or taken back, since the position was opened is counted by `trading.exposure`; here is the
rest.

The strategy's position began with its last entry out of a flat one, or with its last reversal, as its messages say.
"""

from datetime import datetime
from decimal import Decimal

from apps.alerts.models import Alert, AlertStatus
from apps.connectors.exchange import Instrument, Side
from apps.connectors.models import Connector
from apps.trading.denials import DenialCode
from apps.trading.exposure import NOT_CARRIED_OUT
from apps.trading.inputs import Inputs
from apps.trading.legs import NOTHING, Holding, Intent
from apps.trading.signal import PrevPosition, QuantityType, SignalKind

_LOOKED_AT = 50
_FLAT, _LONG, _SHORT = PrevPosition.FLAT, PrevPosition.LONG, PrevPosition.SHORT
_OPENING = {_LONG: Side.BUY, _SHORT: Side.SELL}
_KEPT_BACK = frozenset(
    {AlertStatus.HELD, AlertStatus.IGNORED, AlertStatus.REJECTED, AlertStatus.EXPIRED, AlertStatus.FAILED}
)
_OF_NO_ORDER = (AlertStatus.DUPLICATE, AlertStatus.TESTED, AlertStatus.SPLIT)
# Of these units a size is known without a price.
_UNITS = frozenset({QuantityType.BASE.value, QuantityType.CONTRACTS.value})


def unplaced(connector: Connector, symbol: str, inputs: Inputs) -> Holding:
    """Return what the strategy has on the side that an exit closes, beyond its orders, in exchange units."""
    signal, instrument = inputs.signal, inputs.instrument
    claimed = signal.prev_position
    if signal.kind is not SignalKind.ORDER or claimed not in _OPENING or instrument is None:
        return NOTHING
    rows = Alert.objects.for_workspace(connector.workspace_id).filter(connector=connector, symbol=symbol)
    rows = rows.filter(received_at__lt=inputs.origin.received_at).exclude(status__in=_OF_NO_ORDER)
    total = Decimal(0)
    for row in rows.select_related("order").order_by("-received_at", "-id")[:_LOOKED_AT]:
        said = row.understood
        if "action" not in said and "closeall" not in said:
            # It took orders back, and was counted by nobody.
            continue
        if said.get("action") == _OPENING[claimed] and said.get("prev_position") in {_FLAT, claimed}:
            total += _kept_back(row, instrument, opened_at=inputs.counts.oldest_opened_at)
            if said["prev_position"] == _FLAT:
                break
        elif not (said.get("prev_position") == claimed or _is_of_other_book(row, claimed, is_hedge=signal.hedge)):
            break
    return Holding(long=total) if claimed is _LONG else Holding(short=total)


def _is_of_other_book(row: Alert, claimed: PrevPosition, *, is_hedge: bool) -> bool:
    """True for what opened the other book of an account that holds both, or added to it."""
    return is_hedge and "action" in row.understood and row.understood["action"] != _OPENING[claimed]


def _kept_back(row: Alert, instrument: Instrument, *, opened_at: datetime | None) -> Decimal:
    """Return how much of an entry no order carried out, 0 where that is counted elsewhere or not known."""
    order = row.order
    if order is not None:
        touched = [at for at in (order.created_at, order.last_fill_at) if at is not None]
        is_counted = opened_at is not None and max(touched) >= opened_at
        if is_counted or order.intent != Intent.ENTRY or order.state not in NOT_CARRIED_OUT:
            return Decimal(0)
        return order.quantity - order.filled_quantity
    if row.status not in _KEPT_BACK or row.is_exit or row.reason_code == DenialCode.ALREADY_AT_TARGET:
        return Decimal(0)
    unit = row.understood.get("quantity_type", QuantityType.BASE.value)
    if unit not in _UNITS or "quantity" not in row.understood:
        return Decimal(0)
    quantity = Decimal(row.understood["quantity"])
    return quantity if unit == QuantityType.CONTRACTS else quantity / instrument.contract_size
