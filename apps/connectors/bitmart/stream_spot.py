"""BitMart's spot stream: `op` in, `event` and `table` out. Every value of a push is text."""

from collections.abc import Sequence
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
    instant,
    positive_or_none,
    text,
    unreadable,
    word,
)
from apps.connectors.exchange import Credentials, Ticker, UnreachableError
from apps.connectors.streams import Event, Level, OrderPushed, PricePushed

PING = "ping"
ORDERS = "spot/user/orders:ALL_SYMBOLS"
_PRICES = "spot/ticker:"
_BOOKS = "spot/depth/increase100:"
_OPEN_STATES = frozenset({"new", "partially_filled"})
_OPEN_NUMBERS = frozenset({"2", "4", "5", "7"})
# Key empty, unknown, frozen, expired; signature empty, wrong.
_KEY_CODES = frozenset({"91001", "91002", "91003", "91004", "91010", "91011"})


def login(credentials: Credentials, timestamp_ms: int) -> str:
    return compact({"op": "login", "args": login_args(credentials, timestamp_ms)})


def subscribe(topics: Sequence[str]) -> str:
    return compact({"op": "subscribe", "args": list(topics)})


def unsubscribe(topics: Sequence[str]) -> str:
    return compact({"op": "unsubscribe", "args": list(topics)})


def request(topics: Sequence[str]) -> str:
    """Return the message that asks for snapshots of books."""
    return compact({"op": "request", "args": list(topics)})


def price_topic(symbol: str) -> str:
    return _PRICES + symbol


def book_topic(symbol: str) -> str:
    return _BOOKS + symbol


def blames_key(refusal: Refused) -> bool:
    return refusal.code in _KEY_CODES


def read(frame: str) -> Said:
    """Return what a frame says; UnreadableFrameError when it is not JSON."""
    if frame == "pong":
        return Pong()
    message = message_of(frame)
    if "errorCode" in message:
        topic = text(message, "topic")
        return Refused(text(message, "event"), topic, str(message["errorCode"]), _said(message))
    match text(message, "event"):
        case "login":
            return LoggedIn()
        case "subscribe":
            return Subscribed(text(message, "topic"))
    return _read_push(message)


def _read_push(message: Message) -> Pushed | BooksChanged:
    data = message.get("data")
    if not isinstance(data, list):
        # `{"data":"","table":…}` comes now and then.
        return NOTHING
    rows = [row for row in data if isinstance(row, dict)]
    match text(message, "table"):
        case "spot/user/order" | "spot/user/orders":
            return Pushed(tuple(_order(row) for row in rows))
        case "spot/ticker":
            return Pushed(tuple(event for row in rows if (event := _price(row)) is not None))
        case "spot/depth/increase100":
            changes = (read_change(row, _level) for row in rows)
            return BooksChanged(tuple(change for change in changes if change is not None))
    return NOTHING


def _level(value: object) -> Level:
    if not isinstance(value, list) or len(value) < 2:
        raise unreadable("level")
    return level_of(value[0], value[1])


def _order(row: Row) -> Event:
    """An order push whose figures cannot be read still says that there is something to look at."""
    try:
        filled = amount(row, "filled_size")
    except UnreachableError:
        return OrderPushed(text(row, "symbol"), *_ids(row), filled_quantity=Decimal(0), is_final=True)
    state = text(row, "order_state")
    # The sample shows state 4 beside order_state partially_filled: the word is right.
    is_open = state in _OPEN_STATES if state else text(row, "state") in _OPEN_NUMBERS
    return OrderPushed(text(row, "symbol"), *_ids(row), filled_quantity=filled, is_final=not is_open)


def _ids(row: Row) -> tuple[str, str]:
    return identifier_or_blank(row, "order_id"), identifier_or_blank(row, "client_order_id")


def _price(row: Row) -> PricePushed | None:
    try:
        return PricePushed(
            Ticker(
                symbol=word(row, "symbol"),
                last=amount(row, "last_price"),
                bid=positive_or_none(row, "bid_px"),
                ask=positive_or_none(row, "ask_px"),
                mark=None,
                at=instant(row, "ms_t"),
            )
        )
    except UnreachableError:
        return None


def _said(message: Message) -> str:
    value = message.get("errorMessage")
    return value[:200] if isinstance(value, str) else ""
