"""What a venue's stream tells, in our words. A stream says "look now" and carries prices; polling stays the truth."""

from dataclasses import dataclass
from decimal import Decimal

from apps.connectors.exchange import Ticker


@dataclass(frozen=True, slots=True)
class Opened:
    """The account's stream tells of everything from now on. What happened before has to be asked for."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The stream ended and is being opened again; `reason` holds no secret."""

    reason: str


@dataclass(frozen=True, slots=True)
class LoginRefused:
    """The venue does not take this key; the stream has ended for good. `code` is the venue's, "" when it gave none."""

    code: str


@dataclass(frozen=True, slots=True)
class OrderPushed:
    """Something happened to an order of the account. Ids are "" when not told; `filled_quantity` as in OrderReport.

    `is_final` is True when the venue says the order has ended, and when it says something we do not know.
    """

    symbol: str
    exchange_order_id: str
    client_order_id: str
    filled_quantity: Decimal
    is_final: bool


@dataclass(frozen=True, slots=True)
class PricePushed:
    ticker: Ticker


Level = tuple[Decimal, Decimal]


@dataclass(frozen=True, slots=True)
class BookPushed:
    """The best levels of an order book as (price, quantity), best first, without gaps since its snapshot."""

    symbol: str
    version: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


Event = Opened | Lost | LoginRefused | OrderPushed | PricePushed | BookPushed
