"""Bringing a push to its sockets: encoded once, framed once, and spoiled where a fault says so."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from apps.paper.faults import Fault, FaultRoom
from apps.paper.sockets_session import Session, deflate, encode


@dataclass(eq=False, slots=True)
class Push:
    """`label` is the table of a spot push and the group of a futures one."""

    topic: str
    label: str
    data: object
    client_order_id: str = ""
    _frames: dict[bool, bytes] = field(default_factory=dict)

    @property
    def channel(self) -> str:
        return self.topic.partition(":")[0]

    def framed(self, session: Session) -> bytes:
        """Return the frame in the session's form, made once for all who take that form."""
        known = self._frames.get(session.deflates)
        if known is None:
            word = "table" if self.topic.startswith("spot/") else "group"
            content = encode({word: self.label, "data": self.data})
            content = deflate(content) if session.deflates else content
            known = self._frames[session.deflates] = session.link.framed(content, binary=session.deflates)
        return known


class Delivery:
    def __init__(self, room: FaultRoom, clock: Callable[[], int]) -> None:
        self._room = room
        self._clock = clock
        self._held_back: dict[tuple[Session, str], Push] = {}

    def send(self, push: Push, sessions: Iterable[Session]) -> None:
        if self._room.has_stream_rules:
            for session in tuple(sessions):
                self._send_under_faults(push, session)
            return
        for session in sessions:
            session.link.push(push.framed(session))

    def forget(self, session: Session) -> None:
        for key in [key for key in self._held_back if key[0] is session]:
            del self._held_back[key]

    def _send_under_faults(self, push: Push, session: Session) -> None:
        fault = self._room.take(
            push.channel,
            account=session.account.access_key if session.account else "",
            client_order_ids=(push.client_order_id,) if push.client_order_id else (),
            now_ms=self._clock(),
        )
        if fault is None:
            _write(push, session)
        else:
            self._spoil(fault, push, session)
        if fault is None or fault.action != "out_of_order":
            late = self._held_back.pop((session, push.topic), None)
            if late is not None:
                _write(late, session)

    def _spoil(self, fault: Fault, push: Push, session: Session) -> None:
        if fault.action == "duplicate":
            _write(push, session)
            _write(push, session)
        elif fault.action == "out_of_order":
            self._held_back[session, push.topic] = push
        elif fault.action == "empty_data":
            _write(replace(push, data="", _frames={}), session)
        elif fault.action == "delay":
            asyncio.get_running_loop().call_later(fault.delay_ms / 1000, _write, push, session)
        elif fault.action == "disconnect":
            session.link.cut()


def _write(push: Push, session: Session) -> None:
    session.link.push(push.framed(session))
