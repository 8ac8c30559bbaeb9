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
from apps.trading.models import Order
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
    for row in rows.order_by("-received_at", "-id")[:_LOOKED_AT]:
        said = row.understood
        if "action" not in said and "closeall" not in said:
            # It took orders back, and was counted by nobody.
            continue
        if said.get("action") == _OPENING[claimed]:
            total += _kept_back(row, instrument, opened_at=inputs.counts.oldest_opened_at)
            if said.get("prev_position") != claimed:
                break
        elif not (said.get("prev_position") == claimed or _is_of_other_book(row, claimed, is_hedge=signal.hedge)):
            break
    return Holding(long=total) if claimed is _LONG else Holding(short=total)


def _is_of_other_book(row: Alert, claimed: PrevPosition, *, is_hedge: bool) -> bool:
    """True for what opened the other book of an account that holds both, or added to it."""
    return is_hedge and "action" in row.understood and row.understood["action"] != _OPENING[claimed]


def _kept_back(row: Alert, instrument: Instrument, *, opened_at: datetime | None) -> Decimal:
    """Return how much of what was to be opened no order carried out; 0 where that is counted elsewhere or not known.

    Of a reversal without an order, for one that found nothing to close, nobody says how much of it was to be opened:
    all of it, at most.
    """
    if row.order_id is not None:
        legs = Order.objects.for_workspace(row.workspace_id).filter(origin_id=row.pk, intent=Intent.ENTRY)
        return sum((_left_of(leg, opened_at) for leg in legs), Decimal(0))
    opens = row.understood.get("reduce_only") != "true" and row.reason_code != DenialCode.ALREADY_AT_TARGET
    if row.status not in _KEPT_BACK or not opens:
        return Decimal(0)
    unit = row.understood.get("quantity_type", QuantityType.BASE.value)
    if unit not in _UNITS or "quantity" not in row.understood:
        return Decimal(0)
    quantity = Decimal(row.understood["quantity"])
    return quantity if unit == QuantityType.CONTRACTS else quantity / instrument.contract_size


def _left_of(leg: Order, opened_at: datetime | None) -> Decimal:
    touched = max(at for at in (leg.created_at, leg.last_fill_at) if at is not None)
    is_counted = opened_at is not None and touched >= opened_at
    return Decimal(0) if is_counted or leg.state not in NOT_CARRIED_OUT else leg.quantity - leg.filled_quantity
