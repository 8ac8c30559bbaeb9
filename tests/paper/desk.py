"""The exchange in this process, on a clock the test turns: what a client would get, without a socket."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from apps.paper.app import Desks
from apps.paper.auth import sign
from apps.paper.connections import Connections
from apps.paper.control import ControlDesk
from apps.paper.exchange import Exchange
from apps.paper.faults import FaultRoom
from apps.paper.instruments import build_catalogue
from apps.paper.limits import RateLimiter
from apps.paper.prices import Prices
from apps.paper.rest import Request, Wire
from apps.paper.store import Store

START_MS = 1_760_000_000_000


@dataclass
class Clock:
    ms: int = START_MS

    def now_ms(self) -> int:
        return self.ms

    def seconds(self) -> float:
        return self.ms / 1000


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    content: dict[str, Any]

    @property
    def code(self) -> int:
        code: int = self.content["code"]
        return code

    @property
    def data(self) -> Any:
        return self.content["data"]


@dataclass
class Desk:
    state_dir: Path
    clock: Clock = field(default_factory=Clock)
    seed: int = 7
    token: str = ""

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        store = Store(self.state_dir / "paper.sqlite3")
        catalogue = build_catalogue()
        prices = Prices(store, catalogue, seed=self.seed, now_ms=self.clock.ms)
        self.exchange = Exchange(store, catalogue, prices, clock=self.clock.now_ms)
        faults = FaultRoom(allowed=True)
        limiter = RateLimiter(self.clock.seconds)
        self.desks = Desks(
            exchange=self.exchange,
            wire=Wire(self.exchange, limiter),
            control=ControlDesk(self.exchange, faults, limiter, token=self.token),
            faults=faults,
            connections=Connections(),
        )

    def close(self) -> None:
        self.exchange.store.close()

    def send(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        address: str = "127.0.0.1",
    ) -> Answer:
        given = {name.lower(): value for name, value in (headers or {}).items()}
        request = Request(method=method, path=path, query=query, headers=given, body=body, address=address)
        desk = self.desks.control if path.startswith("/_paper/") else self.desks.wire
        response = desk.answer(request)
        return Answer(response.status_code, dict(response.headers), json.loads(bytes(response.body)))

    def control(self, method: str, path: str, body: Any = None, **where: Any) -> Answer:
        return self.send(method, f"/_paper/{path}", body=json.dumps(body or {}).encode(), **where)

    def price(self, symbol: str, price: str | None, **sides: str) -> None:
        answer = self.control("POST", "prices", {"symbol": symbol, "price": price, **sides})
        assert answer.status == 200, answer

    def trader(
        self, *, spot: dict[str, str] | None = None, futures: dict[str, str] | None = None, **details: Any
    ) -> "Trader":
        balances = {"spot": spot or {}, "futures": futures or {}}
        answer = self.control("POST", "accounts", {"balances": balances, **details})
        assert answer.status == 200, answer
        return Trader(self, **answer.content)


@dataclass
class Trader:
    desk: Desk
    access_key: str
    secret_key: str
    memo: str

    def get(self, path: str, **params: Any) -> Answer:
        """Call at leisure: the clock moves past the window of the route's rate limit first."""
        self.desk.clock.ms += 4_000
        return self.desk.send("GET", path, query=urlencode(params), headers={"X-BM-KEY": self.access_key})

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        self.desk.clock.ms += 4_000
        return self.post_now(path, body, **headers)

    def post_now(self, path: str, body: Any = None, **headers: str) -> Answer:
        raw = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        return self.desk.send("POST", path, headers=self.signed(raw) | headers, body=raw)

    def signed(self, raw: bytes, *, timestamp: str | None = None) -> dict[str, str]:
        stamp = str(self.desk.clock.ms) if timestamp is None else timestamp
        return {
            "X-BM-KEY": self.access_key,
            "X-BM-TIMESTAMP": stamp,
            "X-BM-SIGN": sign(self.secret_key, timestamp=stamp, memo=self.memo, body=raw),
            "Content-Type": "application/json",
        }

    def spot_order(self, **body: Any) -> Answer:
        return self.post("/spot/v2/submit_order", {"symbol": "BTC_USDT", **body})

    def futures_order(self, **body: Any) -> Answer:
        return self.post("/contract/private/submit-order", {"symbol": "BTCUSDT", **body})

    def spot_balances(self) -> dict[str, tuple[str, str]]:
        """Return currency -> (available, frozen)."""
        rows = self.get("/spot/v1/wallet").data["wallet"]
        return {row["id"]: (row["available"], row["frozen"]) for row in rows}

    def usdt(self) -> dict[str, str]:
        """Return the USDT row of the futures assets."""
        row: dict[str, str] = self.get("/contract/private/assets-detail").data[0]
        return row

    def order_by_client_id(self, client_order_id: str) -> dict[str, Any]:
        row: dict[str, Any] = self.post("/spot/v4/query/client-order", {"clientOrderId": client_order_id}).data
        return row

    def position(self, symbol: str = "BTCUSDT") -> dict[str, Any]:
        rows: list[dict[str, Any]] = self.get("/contract/private/position-v2", symbol=symbol).data
        assert len(rows) == 1, rows
        return rows[0]
