"""Bodies and the signal that the standard message means."""

import json
from decimal import Decimal
from pathlib import Path

from apps.alerts.keys import NOT_EXECUTED
from apps.alerts.payload import Item, parse
from apps.connectors.exchange import Side
from apps.trading.signal import PrevPosition, Signal, SignalKind

FIXTURES = Path(__file__).parents[2] / "fixtures"
MARK = "••••efgh"
POINTER = "sf_" + "abcdefgh" * 4
STANDARD: dict[str, object] = {
    "ticker": "BTCUSDT.P",
    "action": "buy",
    "prev_position": "flat",
    "quantity": "0.1",
    "pointer": MARK,
}
ENTER_LONG = Signal(
    kind=SignalKind.ORDER,
    ticker="BTCUSDT.P",
    action=Side.BUY,
    prev_position=PrevPosition.FLAT,
    quantity=Decimal("0.1"),
)


def body(without: str = "", **changes: object) -> bytes:
    """Return the standard message with keys changed, added or one left out."""
    return json.dumps({key: value for key, value in (STANDARD | changes).items() if key != without}).encode()


def only(delivery: bytes, *, strict: bool = False, not_executed: frozenset[str] = NOT_EXECUTED) -> Item:
    """Return the one item of a delivery that holds one message."""
    items = parse(delivery, strict=strict, not_executed=not_executed).items
    assert len(items) == 1
    return items[0]


def refusal(delivery: bytes, *, strict: bool = False, not_executed: frozenset[str] = NOT_EXECUTED) -> str:
    """Return the code a delivery is refused with; a signal is an AssertionError."""
    item = only(delivery, strict=strict, not_executed=not_executed)
    assert item.signal is None
    assert item.error is not None
    return item.error.code.value
