"""One open socket, as the dialects and the streams see it."""

import json
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from apps.paper.records import Account
from apps.paper.sockets_limits import SILENCE_SECONDS, Allowance, forget_before


class Link(Protocol):
    """The connection: `framed` makes a message's frame, the same for every link, and `push` writes one."""

    on_ping: Callable[[], None]
    answers_pings: bool
    ending: tuple[int, str] | None
    disconnected: bool

    def framed(self, content: bytes, *, binary: bool) -> bytes: ...

    def push(self, framed: bytes) -> None: ...

    def end(self, code: int, reason: str) -> None: ...

    def cut(self) -> None: ...


@dataclass(eq=False, slots=True)
class Session:
    """`market` is that of the door or of the first message, "" before both. Times are monotonic seconds."""

    link: Link
    address: str
    market: str
    private: bool
    deflates: bool
    opened: float
    heard: float
    speaks_both: bool = False
    account: Account | None = None
    topics: set[str] = field(default_factory=set)
    emptied: float = 0.0
    messages: deque[float] = field(default_factory=deque)

    def say(self, content: object) -> None:
        """Answer this caller: answers are text on every host, only pushes are deflated."""
        self.link.push(self.link.framed(encode(content), binary=False))

    def hears_too_much(self, allowance: Allowance, now: float) -> bool:
        if not allowance.messages_in_ten_seconds:
            return False
        forget_before(self.messages, now - 10)
        self.messages.append(now)
        return len(self.messages) > allowance.messages_in_ten_seconds

    def is_stale(self, allowance: Allowance, now: float) -> bool:
        """Say whether to close: silent for 20 s, or without a subscription for longer than the market bears.

        A login counts as one: the published SDK waits five seconds between logging in and subscribing.
        """
        if now - self.heard >= SILENCE_SECONDS:
            return True
        if self.topics or self.account is not None:
            return False
        return now - max(self.opened, self.emptied) >= allowance.seconds_without_topic


def encode(content: object) -> bytes:
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


def deflate(content: bytes) -> bytes:
    """Return raw deflate, without header and checksum."""
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(content) + packer.flush()
