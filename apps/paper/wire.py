"""The words of the wire: a call, a route, an answer."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from starlette.responses import JSONResponse, Response

from apps.paper.exchange import Exchange
from apps.paper.limits import DEFAULT_LIMIT, Limit
from apps.paper.params import Codes, Params
from apps.paper.records import Account
from apps.paper.refusals import Refusal

Level = Literal["none", "keyed", "signed"]


@dataclass(frozen=True, slots=True)
class Call:
    exchange: Exchange
    params: Params
    now_ms: int
    caller: Account | None

    @property
    def account(self) -> Account:
        """The caller of a private route; the dispatcher has found it before the handler runs."""
        if self.caller is None:
            raise Refusal(30001)
        return self.caller


@dataclass(frozen=True, slots=True)
class Bare:
    """An answer that brings its own envelope."""

    content: dict[str, object]


@dataclass(frozen=True, slots=True)
class Encoded:
    """Data that is JSON text already."""

    text: str


Handler = Callable[[Call], object]


@dataclass(frozen=True, slots=True)
class Route:
    """`recv_window` marks the routes whose body may carry recvWindow and whose clock rule is the narrow one."""

    method: str
    path: str
    level: Level
    codes: Codes
    handler: Handler
    limit: Limit = DEFAULT_LIMIT
    permission: str = "read"
    recv_window: bool = False


class JsonAnswer(JSONResponse):
    def render(self, content: Any) -> bytes:
        """Return ASCII JSON: text that a caller sent in halves of a character can then be sent back."""
        return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


def encoded_answer(content: dict[str, object], data: Encoded, headers: dict[str, str]) -> Response:
    """Return the envelope, whose data is left out, around the ready text."""
    head = json.dumps({name: value for name, value in content.items() if name != "data"}, separators=(",", ":"))
    body = f'{head[:-1]},"data":{data.text}}}'
    return Response(body.encode(), headers=headers, media_type="application/json")


def message_for(path: str) -> str:
    """Return the success word of the route's family: it differs, and clients must not look at it."""
    if path.startswith("/contract/"):
        return "Ok"
    if path.startswith(("/spot/quotation/v3/", "/spot/v4/query/")):
        return "success"
    return "OK"


def envelope(*, code: int, message: str, data: object) -> dict[str, object]:
    trace = f"{os.urandom(16).hex()}.64.{time.time_ns() // 100}"
    return {"message": message, "code": code, "trace": trace, "data": data}
