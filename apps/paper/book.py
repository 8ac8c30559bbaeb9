"""Accounting rules without a store: what an order sets aside, and what a fill does to a position."""

from decimal import Decimal
from enum import Enum

from apps.paper.amounts import ZERO, cut, share
from apps.paper.records import Position


class Force(Enum):
    GTC = "gtc"
    FOK = "fok"
    IOC = "ioc"
    POST_ONLY = "post_only"


def without_fee(notional: Decimal, fee_rate: Decimal) -> Decimal:
    """Return what a market buy may spend once its fee is set aside (live: 5.1 -> 5.0949 at 0.001)."""
    return cut(notional * (1 - fee_rate))


def with_fee(notional: Decimal, fee_rate: Decimal) -> Decimal:
    return notional + notional * fee_rate


def initial_margin(value: Decimal, *, leverage: Decimal, fee_rate: Decimal) -> Decimal:
    """Return the deposit of a position: value / leverage and the fee of closing it (live: 600 at 5 -> 120.36)."""
    return share(value, Decimal(1), leverage) + value * fee_rate


def increase(position: Position, *, amount: Decimal, value: Decimal, margin: Decimal, fee: Decimal) -> None:
    position.amount += amount
    position.cost += value
    position.margin += margin
    position.realised -= fee
    position.opened_volume += amount
    position.opened_value += value


def closing_share(position: Position, *, amount: Decimal, value: Decimal) -> tuple[Decimal, Decimal]:
    """Return (PnL before fees, margin given back) of closing `amount` contracts for `value`."""
    cost = share(position.cost, amount, position.amount)
    return position.direction * (value - cost), share(position.margin, amount, position.amount)


def reduce(position: Position, *, amount: Decimal, value: Decimal, fee: Decimal) -> None:
    pnl, margin = closing_share(position, amount=amount, value=value)
    position.cost -= share(position.cost, amount, position.amount)
    position.amount -= amount
    position.margin -= margin
    position.realised += pnl - fee
    position.closed_volume += amount
    position.closed_value += value


def unrealised(position: Position, value: Decimal) -> Decimal:
    """Return open PnL when what is held is worth `value`; 0 when flat."""
    return position.direction * (value - position.cost) if position.amount else ZERO
