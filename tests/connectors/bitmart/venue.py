"""A BitMart made of recorded answers, and the key of the signature vectors."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import responses

from apps.connectors.bitmart.client import Client
from apps.connectors.bitmart.futures import FuturesExchange
from apps.connectors.bitmart.spot import SpotExchange
from apps.connectors.exchange import Credentials, RequestTrace

KEY = "0123456789abcdef0123456789abcdef01234567"
SECRET = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
MEMO = "memo-01"
NOW_MS = 1760000000000
BASE = "https://venue.test"
AGENT = "Sferica-tests/1"
FIXTURES = Path(__file__).parents[2] / "fixtures" / "bitmart"


def client(
    *, base_url: str = BASE, credentials: bool = True, on_trace: Callable[[RequestTrace], None] | None = None
) -> Client:
    return Client(
        base_url=base_url,
        credentials=Credentials(KEY, SECRET, MEMO) if credentials else None,
        user_agent=AGENT,
        on_trace=on_trace,
        clock_ms=lambda: NOW_MS,
        sleep=lambda _: None,
    )


def spot(base_url: str = BASE) -> SpotExchange:
    return SpotExchange(client(base_url=base_url))


def futures(base_url: str = BASE) -> FuturesExchange:
    return FuturesExchange(client(base_url=base_url))


def recorded(name: str) -> dict[str, Any]:
    """Return `spot/wallet` and the like: method, path, auth, doc, response."""
    return json.loads((FIXTURES / f"{name}.json").read_text())


def serve(name: str) -> None:
    record = recorded(name)
    responses.add(record["method"], BASE + record["path"], json=record["response"])


def answer(method: str, path: str, data: Any, *, code: Any = 1000, status: int = 200, message: str = "OK") -> None:
    responses.add(
        method, BASE + path, json={"message": message, "code": code, "trace": "t", "data": data}, status=status
    )


def sent(index: int = 0) -> Any:
    return responses.calls[index].request
