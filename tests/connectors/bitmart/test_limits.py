"""BitMart's limits, the client's use of the budget, and the paper exchange's own count of them."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
import responses
from django.conf import settings

from apps.connectors.bitmart import open_exchange
from apps.connectors.bitmart.client import Client
from apps.connectors.bitmart.futures import FuturesExchange
from apps.connectors.bitmart.limits import LIMITS, Meter, RouteLimit, Scope, limit_of
from apps.connectors.bitmart.spot import SpotExchange
from apps.connectors.budget import Budget, Priority, priority, standing
from apps.connectors.budget_redis import RedisWindows
from apps.connectors.budget_windows import Bucket, LocalWindows, Told
from apps.connectors.exchange import (
    Book,
    BudgetError,
    Credentials,
    Exchange,
    ExchangeError,
    MarginMode,
    Market,
    NotSentError,
    OrderRequest,
    OrderType,
    RateLimitError,
    Side,
    UnreachableError,
)
from tests.connectors.bitmart import requests_made as made
from tests.connectors.bitmart.venue import AGENT, BASE, KEY, MEMO, NOW_MS, SECRET, answer, serve
from tests.paper.running import PaperAccount, PaperProcess, running_paper

BUY = OrderRequest("b1", "BTCUSDT", Side.BUY, OrderType.MARKET, quantity=Decimal(1))


class Watched(Budget):
    """A budget that writes down what was asked of it."""

    def __init__(self) -> None:
        super().__init__(LocalWindows(), None)
        self.taken: list[tuple[str, Priority]] = []
        self.told: list[Told] = []
        self.returned = 0

    def admit(self, bucket: Bucket, *, address: str) -> Any:
        self.taken.append((bucket.name, standing().priority))
        with priority(Priority.EXIT, max_wait_s=0):
            return super().admit(bucket, address=address)

    def settle(self, slot: Any, told: Told) -> None:
        self.told.append(told)
        super().settle(slot, told)

    def give_back(self, slot: Any) -> None:
        self.returned += 1
        super().give_back(slot)


@pytest.fixture
def watched() -> Watched:
    return Watched()


def counted(budget: Budget, *, base_url: str = BASE, credentials: bool = True) -> Client:
    return Client(
        base_url=base_url,
        credentials=Credentials(KEY, SECRET, MEMO) if credentials else None,
        user_agent=AGENT,
        clock_ms=lambda: NOW_MS,
        sleep=lambda _: None,
        budget=budget,
    )


# Section 5, as documented: route -> requests, milliseconds, whose.
DOCUMENTED = {
    "/system/time": (10, 1000, "address"),
    "/system/service": (10, 1000, "address"),
    "/spot/v1/symbols/details": (12, 2000, "address"),
    "/spot/v1/currencies": (8, 2000, "address"),
    "/spot/v1/symbols": (8, 2000, "address"),
    "/spot/quotation/v3/tickers": (10, 2000, "address"),
    "/spot/quotation/v3/ticker": (15, 2000, "address"),
    "/spot/quotation/v3/lite-klines": (15, 2000, "address"),
    "/spot/quotation/v3/books": (15, 2000, "address"),
    "/spot/quotation/v3/trades": (15, 2000, "address"),
    "/spot/quotation/v3/klines": (10, 2000, "address"),
    "/spot/v1/wallet": (12, 2000, "key"),
    "/account/v1/wallet": (12, 2000, "key"),
    "/spot/v1/trade_fee": (2, 2000, "key"),
    "/spot/v1/user_fee": (2, 2000, "key"),
    "/account/v1/withdraw/charge": (2, 2000, "key"),
    "/spot/v2/submit_order": (40, 2000, "account"),
    "/spot/v4/batch_orders": (40, 2000, "account"),
    "/spot/v3/cancel_order": (40, 2000, "account"),
    "/spot/v4/cancel_orders": (40, 2000, "account"),
    "/spot/v4/cancel_all": (1, 3000, "account"),
    "/spot/v4/query/order": (50, 2000, "key"),
    "/spot/v4/query/client-order": (50, 2000, "key"),
    "/spot/v4/query/open-orders": (12, 2000, "key"),
    "/spot/v4/query/history-orders": (12, 2000, "key"),
    "/spot/v4/query/trades": (12, 2000, "key"),
    "/spot/v4/query/order-trades": (12, 2000, "key"),
    "/spot/v4/algo/submit_order": (10, 2000, "account"),
    "/spot/v4/algo/cancel_order": (10, 2000, "account"),
    "/spot/v4/algo/cancel_all": (5, 2000, "account"),
    "/account/v1/currencies": (2, 2000, "address"),
    "/contract/public/details": (12, 2000, "address"),
    "/contract/public/leverage-bracket": (12, 2000, "address"),
    "/contract/public/open-interest": (2, 2000, "address"),
    "/contract/private/assets-detail": (12, 2000, "key"),
    "/contract/private/position": (6, 2000, "key"),
    "/contract/private/position-v2": (6, 2000, "key"),
    "/contract/private/position-risk": (24, 2000, "key"),
    "/contract/private/submit-order": (24, 2000, "key"),
    "/contract/private/cancel-order": (40, 2000, "key"),
    "/contract/private/cancel-orders": (2, 2000, "key"),
    "/contract/private/order": (50, 2000, "key"),
    "/contract/private/get-open-orders": (50, 2000, "key"),
    "/contract/private/current-plan-order": (50, 2000, "key"),
    "/contract/private/order-history": (6, 2000, "key"),
    "/contract/private/trades": (6, 2000, "key"),
    "/contract/private/transaction-history": (6, 2000, "key"),
    "/contract/private/submit-leverage": (24, 2000, "key"),
    "/contract/private/get-position-mode": (2, 2000, "key"),
    "/contract/private/set-position-mode": (2, 2000, "key"),
    "/contract/private/submit-plan-order": (24, 2000, "account"),
    "/contract/private/submit-tp-sl-order": (24, 2000, "account"),
    "/contract/private/submit-trail-order": (24, 2000, "account"),
    "/contract/private/modify-limit-order": (24, 2000, "account"),
    "/contract/private/modify-plan-order": (24, 2000, "account"),
    "/contract/private/modify-tp-sl-order": (24, 2000, "account"),
    "/contract/private/modify-preset-plan-order": (24, 2000, "account"),
    "/contract/private/cancel-plan-order": (40, 2000, "account"),
    "/contract/private/cancel-all-after": (4, 2000, "account"),
    "/account/v1/transfer-contract": (1, 2000, "key"),
    "/account/v1/transfer-contract-list": (1, 2000, "key"),
    "/contract/private/trade-fee-rate": (2, 2000, "key"),
    "/uapi-key/v1/account/info": (600, 60_000, "address"),
}
# Grouped with the other trailing and plan routes by us; section 5 does not name it.
UNDOCUMENTED = {"/contract/private/cancel-trail-order"}


@pytest.mark.parametrize(("path", "limit"), DOCUMENTED.items())
def test_each_route_has_its_documented_limit(path: str, limit: tuple[int, int, str]) -> None:
    assert limit_of(path) == RouteLimit(limit[0], limit[1], Scope(limit[2]))


def test_every_listed_route_is_documented() -> None:
    assert set(LIMITS) - set(DOCUMENTED) == UNDOCUMENTED


def test_buckets_are_named_without_the_key(watched: Watched) -> None:
    meter = Meter(watched, base_url="https://api-cloud-v2.bitmart.com", access_key=KEY, outgoing_address="10.0.0.1")

    mine = meter.bucket("/contract/private/submit-order").name
    everyones = meter.bucket("/contract/public/depth").name

    assert everyones == "api-cloud-v2.bitmart.com/contract/public/depth:bitmart.com:10.0.0.1"
    assert mine.startswith("api-cloud-v2.bitmart.com/contract/private/submit-order:key:")
    assert KEY not in mine


def test_both_hosts_of_the_venue_are_banned_together_and_the_paper_one_alone(watched: Watched) -> None:
    addresses = [
        Meter(watched, base_url=url, access_key="", outgoing_address="a").address
        for url in ("https://api-cloud.bitmart.com", "https://api-cloud-v2.bitmart.com", "http://127.0.0.1:8801")
    ]

    assert addresses == ["bitmart.com:a", "bitmart.com:a", "127.0.0.1:8801:a"]


@responses.activate
def test_keys_of_one_account_share_its_limits_once_it_is_known(watched: Watched) -> None:
    serve("futures/account-info")
    client = counted(watched)
    meter = client._meter
    assert meter is not None
    before = meter.bucket("/spot/v2/submit_order").name

    SpotExchange(client).account_info()

    assert before.split(":")[-2] == "key"
    assert meter.bucket("/spot/v2/submit_order").name == "venue.test/spot/v2/submit_order:account:10001"
    assert meter.bucket("/spot/v1/wallet").name.split(":")[-2] == "key"


@responses.activate
def test_calls_have_the_class_of_what_they_do(watched: Watched) -> None:
    for name in ("futures/submit-order", "futures/cancel-order", "futures/position-v2", "futures/get-open-orders"):
        serve(name)
    answer("GET", "/contract/private/order-history", [])
    answer("GET", "/contract/private/trades", [])
    answer("POST", "/contract/private/submit-trail-order", {"order_id": 1})
    exchange = FuturesExchange(counted(watched))

    exchange.submit(BUY, signed_at_ms=NOW_MS)
    exchange.submit(replace(BUY, reduce_only=True), signed_at_ms=NOW_MS)
    exchange.submit(replace(BUY, book=Book.SHORT), signed_at_ms=NOW_MS)
    exchange.cancel("BTCUSDT", exchange_order_id="1", signed_at_ms=NOW_MS)
    exchange.submit_trailing(made.TRAILING, signed_at_ms=NOW_MS)
    exchange.find_order("BTCUSDT", client_order_id="absent")
    exchange.positions()
    with priority(Priority.SCREEN):
        exchange.open_orders()
    with priority(Priority.EXIT):
        exchange.open_orders()

    assert [place for _, place in watched.taken] == [
        Priority.ENTRY,
        Priority.EXIT,
        Priority.EXIT,
        Priority.EXIT,
        Priority.EXIT,
        Priority.QUERY,
        Priority.QUERY,
        Priority.QUERY,
        Priority.RECONCILE,
        Priority.SCREEN,
        Priority.EXIT,
    ]


@responses.activate
def test_a_spot_sell_is_an_exit_and_a_buy_an_entry(watched: Watched) -> None:
    serve("spot/submit-order")
    exchange = SpotExchange(counted(watched))
    sell = OrderRequest("s1", "BTC_USDT", Side.SELL, OrderType.MARKET, quantity=Decimal(1))

    exchange.submit(sell, signed_at_ms=NOW_MS)
    exchange.submit(replace(sell, side=Side.BUY, quantity=None, notional=Decimal(9)), signed_at_ms=NOW_MS)

    assert [place for _, place in watched.taken] == [Priority.EXIT, Priority.ENTRY]


@responses.activate
def test_a_full_budget_sends_nothing_and_is_not_tried_again(watched: Watched) -> None:
    exchange = FuturesExchange(counted(watched))
    serve("futures/submit-order")
    for _ in range(6):
        exchange.submit(BUY, signed_at_ms=NOW_MS)

    with pytest.raises(NotSentError) as caught:
        exchange.submit(BUY, signed_at_ms=NOW_MS)
    serve("futures/position-mode")
    exchange.position_mode()
    with pytest.raises(BudgetError):
        exchange.position_mode()

    assert isinstance(caught.value, BudgetError)
    assert len(responses.calls) == 7
    assert len(watched.taken) == 9


@responses.activate
def test_signed_queries_are_signed_after_they_waited(watched: Watched) -> None:
    serve("spot/open-orders")
    now = [NOW_MS]
    client = Client(
        base_url=BASE, credentials=Credentials(KEY, SECRET, MEMO), user_agent=AGENT, clock_ms=lambda: now[0],
        budget=watched,
    )  # fmt: skip
    admit = watched.admit
    watched.admit = lambda bucket, *, address: (now.__setitem__(0, NOW_MS + 700), admit(bucket, address=address))[1]  # type: ignore[method-assign]

    SpotExchange(client).open_orders("BTC_USDT")

    assert responses.calls[0].request.headers["X-BM-TIMESTAMP"] == str(NOW_MS + 700)


HTML = {"body": "<html>error code: 1010</html>"}


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (
            {
                "json": {"code": 1000, "data": {"position_mode": "hedge_mode"}},
                "headers": {
                    "X-BM-RateLimit-Limit": "2",
                    "X-BM-RateLimit-Remaining": "1",
                    "X-BM-RateLimit-Reset": "2",
                },
            },
            Told(used=1, count=2, reset_ms=2000),
        ),
        ({"json": {"code": 30013}, "status": 429}, Told(blocked_ms=2000)),
        (
            {"json": {"code": 30013}, "status": 429, "headers": {"X-BM-RateLimit-Reset": "3"}},
            Told(reset_ms=3000, blocked_ms=3000),
        ),
        ({"json": {"code": 30017}, "status": 418}, Told(banned_ms=60_000)),
        ({"json": {"code": 30017}, "status": 418, "headers": {"Retry-After": "300"}}, Told(banned_ms=300_000)),
        ({**HTML, "status": 418}, Told(banned_ms=60_000)),
        ({**HTML, "status": 403}, Told(banned_ms=60_000)),
        ({"json": {"code": 30012}, "status": 403}, Told()),
        ({"json": {"code": 53000}, "status": 403}, Told()),
        ({**HTML, "status": 503}, Told()),
        ({"json": {"code": 1000}, "headers": {"X-BM-RateLimit-Limit": "-1", "X-BM-RateLimit-Reset": "１"}}, Told()),
    ],
)
@responses.activate
def test_what_answers_say_about_the_limit(kind: dict[str, Any], told: Told, watched: Watched) -> None:
    responses.add("POST", BASE + "/contract/private/cancel-order", **kind)
    client = counted(watched)

    with suppress(ExchangeError):
        client.signed_once("/contract/private/cancel-order", {}, signed_at_ms=NOW_MS)

    assert watched.told == [told]


def test_a_request_that_did_not_leave_is_given_back_and_a_lost_one_is_not(watched: Watched) -> None:
    client = counted(watched, base_url="http://127.0.0.1:9")
    with pytest.raises(NotSentError):
        client.signed_once("/contract/private/cancel-order", {}, signed_at_ms=NOW_MS)

    with responses.RequestsMock() as mock:
        mock.add("POST", "http://127.0.0.1:9/contract/private/cancel-order", body=OSError())
        with pytest.raises(UnreachableError):
            client.signed_once("/contract/private/cancel-order", {}, signed_at_ms=NOW_MS)

    assert (watched.returned, watched.told) == (1, [Told()])


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaperProcess]:
    with running_paper(tmp_path_factory.mktemp("paper"), seed=3) as process:
        yield process


def open_account(paper: PaperProcess, account: PaperAccount, codes: list[str], budget: Budget | None) -> Exchange:
    return open_exchange(
        market=Market.FUTURES,
        base_url=paper.base_url,
        credentials=Credentials(account.access_key, account.secret_key, account.memo),
        user_agent=AGENT,
        on_trace=lambda trace: codes.append(trace.code),
        budget=budget,
    )


def drive(exchanges: list[Exchange]) -> None:
    """Make 120 calls from 24 threads, as fast as they are let."""

    def call(number: int) -> None:
        exchange = exchanges[number % len(exchanges)]
        with priority(Priority.EXIT, max_wait_s=60):
            if number % 3 == 0:
                request = replace(
                    BUY, client_order_id=f"drive{number}", leverage=Decimal(5), margin_mode=MarginMode.ISOLATED
                )
                exchange.submit(request, signed_at_ms=time.time_ns() // 1_000_000)
            elif number % 3 == 1:
                exchange.fee_rates("BTCUSDT") if number < 6 else exchange.balances()
            else:
                exchange.open_orders()

    with ThreadPoolExecutor(24) as threads:
        for done in [threads.submit(call, number) for number in range(120)]:
            done.result()


@pytest.mark.process
def test_the_paper_exchange_refuses_none_of_many_threads_requests(paper: PaperProcess) -> None:
    codes: list[str] = []
    account = paper.new_account(futures={"USDT": "100000"})
    # Two workers, each with a count of its own, and Redis between them.
    shared = [RedisWindows(settings.REDIS_URL) for _ in range(2)]
    exchanges = [open_account(paper, account, codes, Budget(LocalWindows(), each)) for each in shared]

    drive(exchanges)
    for opened in (*exchanges, *shared):
        opened.close()

    assert set(codes) == {"1000"}
    assert len(codes) == 120


@pytest.mark.process
def test_without_a_budget_the_same_calls_are_refused(paper: PaperProcess) -> None:
    account = paper.new_account(futures={"USDT": "100000"})
    exchange = open_account(paper, account, [], None)

    with pytest.raises(RateLimitError):
        drive([exchange])
    exchange.close()
