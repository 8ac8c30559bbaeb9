"""The optional keys that say how an order is sized, priced and what its position is to have."""

from dataclasses import dataclass, replace
from decimal import Decimal

from apps.alerts.display import showable
from apps.alerts.exits import check_sides, read_exits
from apps.alerts.keys import ACCEPTED, MAX_LEVERAGE, fold_key
from apps.alerts.reasons import PayloadError, Reason
from apps.alerts.repairs import RepairCode, repair
from apps.alerts.values import Values, choice_of
from apps.connectors.exchange import MarginMode, OrderType
from apps.lib.decimals import normalize_text
from apps.trading.signal import QuantityType, Signal

# Only meant for a position that the order opens.
OPENING = (
    "leverage",
    "margin_mode",
    "take_profit",
    "take_profit_price",
    "take_profit_percent",
    "stop_loss",
    "stop_loss_price",
    "stop_loss_percent",
    "trailing_stop",
    "trailing_stop_percent",
)
_COINS_OR_MONEY = 'coins such as 0.5, or money such as 100 with "quantity_type": "quote"'
_PERCENTAGES = {
    QuantityType.PERCENT_EQUITY,
    QuantityType.PERCENT_BALANCE,
    QuantityType.PERCENT_POSITION,
    QuantityType.RISK_PERCENT,
}
_MOST_PERCENT = Decimal(100)
_QUANTITY_WORDS = {
    "percent_of_equity": QuantityType.PERCENT_EQUITY,
    "percent_of_balance": QuantityType.PERCENT_BALANCE,
    "percent_of_position": QuantityType.PERCENT_POSITION,
}
# Kinds of orders that exist elsewhere: refused as not supported rather than as nonsense.
OTHER_ORDER_TYPES = {"stop", "stop_limit", "stop_market", "trailing_stop", "take_profit", "post_only"}


@dataclass(frozen=True, slots=True)
class Sizing:
    quantity: Decimal
    quantity_type: QuantityType
    order_type: OrderType
    limit_price: Decimal | None


def read_sizing(values: Values) -> Sizing:
    """Return what the order trades and at what price. Raise PayloadError where two keys do not fit together."""
    quantity_type = _quantity_type(values)
    quantity = _quantity(values, quantity_type)
    order_type = read_order_type(values)
    limit_price = values.optional_amount("limit_price")
    if order_type is OrderType.LIMIT and limit_price is None:
        raise PayloadError(Reason.LIMIT_WITHOUT_PRICE, field="limit_price", accepted=ACCEPTED["limit_price"])
    if order_type is OrderType.MARKET and limit_price is not None:
        found = values.fields.pop("limit_price")
        raise PayloadError(
            Reason.PRICE_WITHOUT_LIMIT, field="limit_price", found=found, accepted='"order_type": "limit"'
        )
    return Sizing(quantity, quantity_type, order_type, limit_price)


def read_opening(values: Values, signal: Signal) -> Signal:
    """Return the signal with what the position that it opens is to have."""
    leverage = values.whole("leverage", MAX_LEVERAGE)
    exits = read_exits(values)
    if signal.action is not None:
        check_sides(exits, opens=signal.action, reference=_reference(signal))
    if signal.quantity_type is QuantityType.RISK_PERCENT and exits.stop_loss is None:
        raise PayloadError(Reason.RISK_WITHOUT_STOP, field="stop_loss", accepted=ACCEPTED["stop_loss"])
    return replace(
        signal,
        leverage=Decimal(leverage) if leverage is not None else None,
        margin_mode=values.choice("margin_mode", MarginMode) if "margin_mode" in values else None,
        take_profits=exits.take_profits,
        stop_loss=exits.stop_loss,
        trailing_stop=exits.trailing_stop,
    )


def read_order_type(values: Values) -> OrderType:
    if "order_type" not in values:
        return OrderType.MARKET
    word = fold_key(values.word("order_type"))
    found = choice_of(OrderType, word)
    if found is None:
        reason = Reason.NOT_SUPPORTED if word in OTHER_ORDER_TYPES else Reason.BAD_VALUE
        raise PayloadError(reason, field="order_type", found=showable(word, 60), accepted=ACCEPTED["order_type"])
    values.fields["order_type"] = found
    return found


def _quantity_type(values: Values) -> QuantityType:
    if "quantity_type" not in values:
        return QuantityType.BASE
    word = fold_key(values.word("quantity_type"))
    found = choice_of(QuantityType, word)
    if found is None and word in _QUANTITY_WORDS:
        found = _QUANTITY_WORDS[word]
        values.repair(repair(RepairCode.SYNONYM, f"quantity_type '{word}' as '{found}'"))
    if found is None:
        raise PayloadError(
            Reason.BAD_VALUE, field="quantity_type", found=showable(word, 60), accepted=ACCEPTED["quantity_type"]
        )
    values.fields["quantity_type"] = found
    return found


def _quantity(values: Values, quantity_type: QuantityType) -> Decimal:
    text = values.text("quantity")
    if quantity_type not in _PERCENTAGES:
        if text.endswith("%"):
            raise PayloadError(
                Reason.PERCENT_OF_WHAT, field="quantity", found=showable(text, 60), accepted=ACCEPTED["quantity_type"]
            )
        return _amount_of(values, quantity_type)
    if text.endswith("%"):
        bare = text.removesuffix("%").rstrip()
        values.repair(repair(RepairCode.VALUE_FOLDED, f"'{showable(text, 40)}' as '{showable(bare, 40)}'"))
        text = bare
    accepted = f"above 0, at most {normalize_text(_MOST_PERCENT)} (per cent)"
    percent = values.number("quantity", text, accepted)
    if percent > _MOST_PERCENT:
        raise PayloadError(
            Reason.NUMBER_OUT_OF_RANGE, field="quantity", found=normalize_text(percent), accepted=accepted
        )
    values.fields["quantity"] = normalize_text(percent)
    return percent


def _amount_of(values: Values, quantity_type: QuantityType) -> Decimal:
    try:
        return values.amount("quantity")
    except PayloadError as error:
        if error.refusal.code != Reason.HAS_UNIT or quantity_type is not QuantityType.BASE:
            raise
        # Whoever wrote $100 and is told to send the number alone must not buy a hundred coins.
        found = error.refusal.facts["found"]
        raise PayloadError(Reason.HAS_UNIT, field="quantity", found=found, accepted=_COINS_OR_MONEY) from None


def _reference(signal: Signal) -> tuple[str, Decimal] | None:
    """Return the key that tells where the price is, with its value."""
    if signal.limit_price is not None:
        return "limit_price", signal.limit_price
    return ("signal_price", signal.signal_price) if signal.signal_price is not None else None
