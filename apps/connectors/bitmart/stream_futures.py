"""BitMart's futures stream: `action` in, `group` out. No sequence numbers: a gap is filled by REST."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from apps.connectors.bitmart.stream_books import level_of, read_change
from apps.connectors.bitmart.stream_frames import (
    NOTHING,
    BooksChanged,
    LoggedIn,
    Message,
    Pong,
    Pushed,
    Refused,
    Said,
    Subscribed,
    compact,
    message_of,
)
from apps.connectors.bitmart.stream_login import login_args
from apps.connectors.bitmart.wire import (
    Row,
    amount,
    identifier_or_blank,
    positive_or_none,
    text,
    unreadable,
    whole,
    word,
)
from apps.connectors.exchange import Credentials, Ticker, UnreachableError
from apps.connectors.streams import Level, OrderPushed, PricePushed

PING = '{"action":"ping"}'
ORDERS = "futures/order"
_PRICES = "futures/ticker:"
_BOOKS = "futures/depthIncrease50:"
_OPEN_STATES = (1, 2)


def login(credentials: Credentials, timestamp_ms: int) -> str:
    return compact({"action": "access", "args": [*login_args(credentials, timestamp_ms), "web"]})


def subscribe(topics: Sequence[str]) -> str:
    return compact({"action": "subscribe", "args": list(topics)})


def unsubscribe(topics: Sequence[str]) -> str:
    return compact({"action": "unsubscribe", "args": list(topics)})


def request(topics: Sequence[str]) -> str:
    """Return the message that asks for snapshots of books."""
    return compact({"action": "request", "args": list(topics)})


def price_topic(symbol: str) -> str:
    return _PRICES + symbol


def book_topic(symbol: str) -> str:
    return f"{_BOOKS}{symbol}@100ms"


def blames_key(refusal: Refused) -> bool:
    """There are no codes here: a refused login is about the key, unless its text is about the time."""
    return refusal.action in {"access", "login"} and "timestamp" not in refusal.said.lower()


def read(frame: str) -> Said:
    """Return what a frame says; UnreadableFrameError when it is not JSON."""
    if frame == "pong":
        return Pong()
    message = message_of(frame)
    # A push may carry a suffix that the subscription had not: futures/ticker:BTCUSDT@100ms.
    group = text(message, "group").partition("@")[0]
    action = text(message, "action")
    if group == "System" and message.get("data") == "pong":
        return Pong()
    if message.get("success") is False or "error" in message:
        return Refused(action, group, "", _said(message))
    if action in {"access", "login"}:
        return LoggedIn()
    if action == "subscribe":
        return Subscribed(group)
    if action:
        return NOTHING
    return _read_push(group, message.get("data"))


def _read_push(group: str, data: object) -> Pushed | BooksChanged:
    if group == ORDERS and isinstance(data, list):
        orders = [row.get("order") for row in data if isinstance(row, dict)]
        return Pushed(tuple(_order(row) for row in orders if isinstance(row, dict)))
    if group.startswith(_PRICES) and isinstance(data, dict):
        event = _price(data)
        return Pushed(()) if event is None else Pushed((event,))
    if group.startswith(_BOOKS) and isinstance(data, dict):
        change = read_change(data, _level)
        return NOTHING if change is None else BooksChanged((change,))
    return NOTHING


def _level(value: object) -> Level:
    if not isinstance(value, dict):
        raise unreadable("level")
    return level_of(value.get("price"), value.get("vol"))


def _order(row: Row) -> OrderPushed:
    """An order push whose figures cannot be read still says that there is something to look at."""
    ids = identifier_or_blank(row, "order_id"), identifier_or_blank(row, "client_order_id")
    try:
        filled, is_open = amount(row, "deal_size"), whole(row, "state") in _OPEN_STATES
    except UnreachableError:
        filled, is_open = Decimal(0), False
    return OrderPushed(text(row, "symbol"), *ids, filled_quantity=filled, is_final=not is_open)


def _price(row: Row) -> PricePushed | None:
    try:
        return PricePushed(
            Ticker(
                symbol=word(row, "symbol"),
                last=amount(row, "last_price"),
                bid=positive_or_none(row, "bid_price"),
                ask=positive_or_none(row, "ask_price"),
                mark=positive_or_none(row, "mark_price") or positive_or_none(row, "fair_price"),
                # The push names no time.
                at=datetime.now(UTC),
            )
        )
    except UnreachableError:
        return None


def _said(message: Message) -> str:
    value = message.get("error")
    return value[:200] if isinstance(value, str) else ""
