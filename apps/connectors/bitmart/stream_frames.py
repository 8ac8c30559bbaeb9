"""Frames of BitMart's WebSockets: text or raw deflate on any channel, and subscriptions in lots it takes."""

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from apps.connectors.bitmart.stream_books import BookChange
from apps.connectors.streams import Event

MOST_TOPICS = 20
MOST_BYTES = 4096
LARGEST_FRAME = 1 << 20
_RAW_DEFLATE = -15

Message = Mapping[str, Any]


class UnreadableFrameError(ValueError):
    """No JSON object, or one too large: as good as not sent."""


@dataclass(frozen=True, slots=True)
class Pong:
    pass


@dataclass(frozen=True, slots=True)
class LoggedIn:
    pass


@dataclass(frozen=True, slots=True)
class Subscribed:
    topic: str


@dataclass(frozen=True, slots=True)
class Refused:
    """BitMart refused something we sent. `topic` is "" when it does not say which; `code` is "" on futures."""

    action: str
    topic: str
    code: str
    said: str


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push tells us; nothing for a channel we do not use or a row that cannot be read."""

    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class BooksChanged:
    changes: tuple[BookChange, ...]


Said = Pong | LoggedIn | Subscribed | Refused | Pushed | BooksChanged

NOTHING = Pushed(())


def text_of(frame: str | bytes) -> str:
    """Return the text of a frame; UnreadableFrameError when it does not inflate to text of bounded size."""
    if isinstance(frame, str):
        return frame
    inflater = zlib.decompressobj(_RAW_DEFLATE)
    try:
        inflated = inflater.decompress(frame, LARGEST_FRAME)
        if inflater.unconsumed_tail:
            raise UnreadableFrameError("inflates to too much")
        return inflated.decode()
    except (zlib.error, UnicodeDecodeError) as error:
        raise UnreadableFrameError("no raw deflate of text") from error


def message_of(text: str) -> Message:
    """Return the JSON object in `text`, fractions as Decimal; UnreadableFrameError when it is none."""
    try:
        value = json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise UnreadableFrameError("no JSON") from error
    if not isinstance(value, dict):
        raise UnreadableFrameError("no JSON object")
    return value


def in_lots(topics: Iterable[str], encode: Callable[[Sequence[str]], str]) -> Iterator[str]:
    """Yield messages that together name every topic, each within the topics and bytes of one message."""
    lot: list[str] = []
    for topic in topics:
        if lot and (len(lot) == MOST_TOPICS or len(encode([*lot, topic]).encode()) > MOST_BYTES):
            yield encode(lot)
            lot = []
        lot.append(topic)
    if lot:
        yield encode(lot)


def compact(message: Message) -> str:
    return json.dumps(message, separators=(",", ":"))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
