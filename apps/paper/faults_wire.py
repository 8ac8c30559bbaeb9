"""The wire with the fault room in front of it."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlencode

from starlette.responses import Response
from starlette.types import Send

from apps.paper.exchange import Exchange
from apps.paper.faults import Fault, FaultRoom
from apps.paper.faults_answers import half, spoiled
from apps.paper.params import parse_body
from apps.paper.rest import Request, Wire

_CLIENT_IDS = ("client_order_id", "clientOrderId")
_CLIENT_ID_LISTS = ("clientOrderIds",)
_FILTERS = frozenset({"order_id", "client_order_id", "orderId", "clientOrderId"})


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection ends after these bytes of the answer's body."""

    answer: Response
    part: bytes

    async def send_part(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.answer.status_code, "headers": self.answer.raw_headers}
        await send(start)
        await send({"type": "http.response.body", "body": self.part, "more_body": True})


class _Undone(Exception):
    """Leaves the transaction of a change that is to come to nothing."""


class FaultyWire:
    def __init__(self, wire: Wire, room: FaultRoom, exchange: Exchange) -> None:
        self._wire = wire
        self._room = room
        self._exchange = exchange

    async def answer(self, asked: Request, flush: Callable[[], None]) -> Response | Cut | None:
        """Return the answer, what is left of it, or None when the connection is to be cut without a byte."""
        fault = self._fault(asked)
        if fault is None:
            return self._wire.answer(asked)
        if fault.action == "hold":
            await asyncio.sleep(fault.delay_ms / 1000)
            return self._wire.answer(asked)
        answer = self._carried_out(fault, asked) if fault.carries_out else None
        if fault.action == "push_first":
            flush()
        if fault.delay_ms and fault.action != "invisible":
            await asyncio.sleep(fault.delay_ms / 1000)
        if fault.action in {"drop_answer", "drop_request"}:
            return None
        if fault.action == "cut_answer" and answer is not None:
            return Cut(answer, half(answer))
        return spoiled(fault, answer, path=asked.path, now_ms=self._exchange.clock())

    def _fault(self, asked: Request) -> Fault | None:
        if not self._room.rules:
            return None
        return self._room.take(
            asked.path,
            account=asked.headers.get("x-bm-key", ""),
            client_order_ids=client_ids(asked),
            now_ms=self._exchange.clock(),
        )

    def _carried_out(self, fault: Fault, asked: Request) -> Response:
        if fault.action == "ignore_filter":
            kept = [(name, value) for name, value in parse_qsl(asked.query) if name not in _FILTERS]
            return self._wire.answer(replace(asked, query=urlencode(kept)))
        if fault.action != "not_applied":
            return self._wire.answer(asked)
        answers: list[Response] = []
        with suppress(_Undone), self._exchange.store.transaction():
            answers.append(self._wire.answer(asked))
            raise _Undone
        return answers[0]


def client_ids(asked: Request) -> tuple[str, ...]:
    """Return every client order id the request names."""
    values = parse_body(asked.body) if asked.method == "POST" else dict(parse_qsl(asked.query))
    found: list[str] = []
    for row in (values or {}, *_rows(values or {})):
        found += [str(row[name]) for name in _CLIENT_IDS if row.get(name)]
        for name in _CLIENT_ID_LISTS:
            given = row.get(name)
            found += [str(value) for value in given] if isinstance(given, list) else []
    return tuple(found)


def _rows(values: Mapping[str, object]) -> list[dict[str, object]]:
    given = values.get("orderParams")
    return [row for row in given if isinstance(row, dict)] if isinstance(given, list) else []
