"""The paper exchange in this process, reached by the very bytes a client would send, without a socket."""

import heapq
import itertools
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import requests

from apps.connectors.bitmart.transport import READ_TIMEOUT_S, RawAnswer, _lost, _not_sent, patience_s
from apps.paper.faults import Fault
from apps.paper.faults_answers import half
from apps.paper.faults_wire import Cut, FaultyWire
from apps.paper.records import Account, Fill, Order, Position
from apps.paper.rest import Request
from apps.paper.server import open_desks
from tests.torture.clock import VirtualWorld
from tests.torture.death import Reaper

URL = "http://venue.test"
ADDRESS = "127.0.0.1"
SUBMIT = {"futures": "/contract/private/submit-order", "spot": "/spot/v2/submit_order"}
SUBMITS = frozenset(SUBMIT.values())
TRIP_S = 0.004
_CODES = {"too_many": (30013, 429), "banned": (30017, 418), "maintenance": (30016, 200)}

Seen = Callable[[Request], None]


@dataclass
class Venue:
    """`on_submit` sees every order as it leaves, `on_submitted` whether an answer with a code came back."""

    world: VirtualWorld
    reaper: Reaper
    seed: int
    on_submit: Seen = lambda asked: None
    on_submitted: Callable[[Request, int | None], None] = lambda asked, code: None
    calls: int = 0
    fired: int = 0
    rules: dict[str, list[Fault]] = field(default_factory=lambda: defaultdict(list))
    unreachable: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    prices: dict[str, Decimal] = field(default_factory=dict)
    held_back: dict[str, float] = field(default_factory=dict)
    _in_flight: list[tuple[int, int, Request]] = field(default_factory=list)
    _numbers: Any = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.desks = open_desks(
            None,
            seed=self.seed,
            control_token="",
            faults=True,
            clock=self.world.venue_ms,
            monotonic=self.world.monotonic,
        )
        self.exchange = self.desks.exchange
        # Nobody waits for the file: it is written when somebody looks into it.
        self.exchange.store.on_ended = lambda: None
        self._wire = FaultyWire(self.desks.wire, self.desks.faults, self.exchange)
        self.world.on_pass = self._arrive_until

    def open_account(self, credentials: tuple[str, str, str], *, market: str, mode: str, policies: str) -> Account:
        access_key, secret_key, memo = credentials
        store = self.exchange.store
        account = Account(
            id=store.new_id(Account),
            access_key=access_key,
            secret_key=secret_key,
            memo=memo,
            label="sim",
            position_mode=mode,
            permissions="read,spot_trade,future_trade",
            created_ms=self.exchange.clock(),
            policies=policies,
        )
        with store.transaction():
            store.save(account)
            self.exchange.wallets.change(account.id, market, "USDT", available=Decimal(10_000), cause="deposit")
        return account

    def choose(self, account_id: int, *, mode: str, policies: str) -> None:
        store = self.exchange.store
        account = store.get(Account, account_id)
        assert account is not None
        account.position_mode, account.policies = mode, policies
        store.save(account)

    def freeze_key(self, account_id: int, *, frozen: bool) -> None:
        store = self.exchange.store
        account = store.get(Account, account_id)
        assert account is not None
        account.state = "frozen" if frozen else "active"
        store.save(account)

    def set_price(self, symbol: str, price: Decimal, *, depth: Decimal | None = None) -> None:
        self.prices[symbol] = price
        body: dict[str, Any] = {"symbol": symbol, "price": str(price)}
        if depth is not None:
            body["depth"] = str(depth)
        self.control("POST", "prices", body)

    def control(self, method: str, path: str, body: dict[str, Any]) -> Any:
        asked = Request(method, f"/_paper/{path}", "", {}, json.dumps(body).encode(), ADDRESS)
        answer = self.desks.control.answer(asked)
        assert answer.status_code == 200, answer.body
        return json.loads(bytes(answer.body))

    def fault(self, access_key: str, route: str, action: str, **details: Any) -> None:
        """Order a fault for one account; "" is everybody's. A delay's milliseconds stand in `code`."""
        code, status = _CODES.get(action, (0, {"html": 403, "status": 502}.get(action, 200)))
        values: dict[str, Any] = {
            "times": 1, "delay_ms": 0, "status": status, "code": code, "accepted": action == "status",
        }  # fmt: skip
        self.rules[access_key].append(Fault(route=route, action=action, **values | details))

    def forget_faults(self) -> None:
        self.rules.clear()
        self.unreachable.clear()
        self.held_back.clear()

    def send(self, prepared: requests.PreparedRequest) -> RawAnswer:
        """What `Transport.send` does, with all it may raise."""
        asked = _read(prepared)
        key = asked.headers.get("x-bm-key", "")
        is_submit = asked.path in SUBMITS
        self.calls += 1
        if is_submit:
            self.on_submit(asked)
        self.reaper.point("before send")
        if self.unreachable.get(key, 0) > 0:
            self.unreachable[key] -= 1
            self.fired += 1
            if is_submit:
                self.on_submitted(asked, 0)
            raise _not_sent("connection refused")
        self.world.sleep(TRIP_S)
        if is_submit and key in self.held_back:
            self.fired += 1
            due_us = self.world.true_us + round(self.held_back.pop(key) * 1_000_000)
            heapq.heappush(self._in_flight, (due_us, next(self._numbers), asked))
            raise self._timeout()
        answer = self._carry(asked, key)
        if not isinstance(answer, RawAnswer):
            raise answer
        self.world.sleep(TRIP_S)
        if is_submit:
            self.on_submitted(asked, _code(answer))
        self.reaper.point("after receive")
        return answer

    @property
    def has_in_flight(self) -> bool:
        """True while an order that was held up in the network is still to arrive."""
        return bool(self._in_flight)

    def close(self) -> None:
        pass

    def by_hand(self, prepared: requests.PreparedRequest) -> RawAnswer:
        """Carry out what the owner does at the venue's own site: no fault of our connection touches it."""
        answer = self.desks.wire.answer(_read(prepared))
        return RawAnswer(answer.status_code, answer.headers, bytes(answer.body))

    def orders(self, account_id: int) -> list[Order]:
        return self.exchange.store.find(Order, "account_id = ?", account_id, order="id")

    def open_orders(self) -> dict[str, Decimal]:
        """Return what was filled of each order that is open, by its client order id."""
        return {row.client_order_id: row.filled_size for row in self.exchange.store.orders.rows() if row.is_live}

    def names(self) -> set[str]:
        """Return the client order ids of all that was ever placed."""
        return {row.client_order_id for row in self.exchange.store.orders.rows()}

    def fills(self, account_id: int) -> list[Fill]:
        return self.exchange.store.find(Fill, "account_id = ?", account_id, order="id")

    def positions(self, account_id: int) -> list[Position]:
        return list(self.exchange.futures.positions.held(account_id))

    def free(self, account_id: int, market: str, currency: str) -> Decimal:
        balance = self.exchange.wallets.balance(account_id, market, currency)
        return balance.available + balance.frozen

    def _carry(self, asked: Request, key: str) -> RawAnswer | Exception:
        room = self.desks.faults
        mine = [rule for rule in self.rules.get(key, ()) if rule.fired < rule.times]
        if key:
            self.rules[key] = mine
        room.rules = mine + self.rules.get("", []) if key else mine
        room.log.clear()
        work = self._wire.answer(asked, lambda: None)
        try:
            work.send(None)
            raise RuntimeError("the wire waited for something")
        except StopIteration as ended:
            left = ended.value
        if room.log:
            self.fired += 1
            rule = room.rules[room.log[-1].rule]
            if rule.action == "delay":
                if rule.code / 1000 > min(READ_TIMEOUT_S, patience_s()):
                    return self._timeout()
                self.world.sleep(rule.code / 1000)
        if left is None:
            self.world.sleep(0.05)
            return _lost("the connection broke")
        if isinstance(left, Cut):
            return RawAnswer(left.answer.status_code, left.answer.headers, half(left.answer))
        return RawAnswer(left.status_code, left.headers, bytes(left.body))

    def _timeout(self) -> Exception:
        self.world.sleep(max(min(READ_TIMEOUT_S, patience_s()), 0))
        return _lost("no answer in time")

    def _arrive_until(self, until_us: int) -> None:
        """Let what was held up in the network arrive, each at its own time."""
        while self._in_flight and self._in_flight[0][0] <= until_us:
            due_us, _, asked = heapq.heappop(self._in_flight)
            self.world.go_to(due_us)
            self.desks.wire.answer(asked)


def _read(prepared: requests.PreparedRequest) -> Request:
    address = urlsplit(str(prepared.url))
    headers = {name.lower(): str(value) for name, value in prepared.headers.items()}
    body = prepared.body or b""
    return Request(
        method=str(prepared.method),
        path=address.path,
        query=address.query,
        headers=headers,
        body=body if isinstance(body, bytes) else str(body).encode(),
        address=ADDRESS,
    )


def _code(answer: RawAnswer) -> int | None:
    try:
        return int(json.loads(answer.content)["code"])
    except (ValueError, KeyError, TypeError):
        return None
