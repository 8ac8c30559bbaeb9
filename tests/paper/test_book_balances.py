"""The book balances: whatever is ordered, no money appears or disappears beyond fees and funding.

A few sequences in the suite; BOOK_SEQUENCES=20000 asks for as many, BOOK_STEPS for their length.
"""

import os
import tempfile
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from apps.paper.records import Account, Balance, Fill, Order, Position, Transaction
from apps.paper.server import PRECISION
from tests.paper.desk import Desk, Trader

SEQUENCES = int(os.environ.get("BOOK_SEQUENCES", "60"))
STEPS_EACH = int(os.environ.get("BOOK_STEPS", "25"))
START = {"USDT": "1500"}
COINS = {"USDT": "5000", "BTC": "0.2", "BMX": "1000"}
SPOT, FUTURES = "BTC_USDT", "BTCUSDT"
TRADERS = st.integers(0, 1)
SPOT_SIDES = st.sampled_from(["buy", "sell"])
STEPS = st.integers(-60, 60)
DRIFTS = st.sampled_from([0, 9, -9, 31, -31, 60, -60])
SIZES = st.integers(1, 60)
EIGHT = Decimal("0.00000001")


def priced(step: int) -> str:
    return f"{60_000 + step * 25}"


class Book(RuleBasedStateMachine):
    """Two accounts and the crowd; the books are settled by the rules alone, so that each step can be checked."""

    def __init__(self) -> None:
        super().__init__()
        self.context = localcontext(prec=PRECISION)
        self.context.__enter__()
        self.directory = tempfile.TemporaryDirectory()
        self.desk = Desk(Path(self.directory.name))
        self.traders: list[Trader] = []

    def teardown(self) -> None:
        self.desk.close()
        self.directory.cleanup()
        self.context.__exit__(None, None, None)

    @initialize(hedges=st.booleans(), depth=st.sampled_from(["", "0.05"]), stp=st.sampled_from(["none", "cancel_both"]))
    def open(self, hedges: bool, depth: str, stp: str) -> None:
        self.depth, self.stp = depth, stp
        self.hold(0)
        mode = "hedge_mode" if hedges else "one_way_mode"
        self.traders = [
            self.desk.trader(spot=COINS, futures=START, position_mode=mode, pays_in_bmx=bool(number))
            for number in range(2)
        ]

    def hold(self, step: int) -> None:
        for symbol, unit in ((SPOT, 1), (FUTURES, 1000)):
            sides = {"depth": f"{Decimal(self.depth) * unit:f}"} if self.depth else {}
            self.desk.price(symbol, priced(step), **sides)

    def move(self, step: int) -> None:
        self.desk.clock.ms += 1_000
        self.hold(step)

    @rule(
        trader=TRADERS,
        side=SPOT_SIDES,
        kind=st.sampled_from(["limit", "limit_maker", "ioc", "market"]),
        step=STEPS,
        size=SIZES,
        drift=DRIFTS,
    )
    def order_spot(self, trader: int, side: str, kind: str, step: int, size: int, drift: int) -> None:
        amounts = {"size": f"{size * 0.002:.5f}", "price": priced(step), "notional": f"{size * 50}"}
        self.traders[trader].spot_order(side=side, type=kind, stpMode=self.stp, **amounts)
        self.move(drift)

    @rule(
        trader=TRADERS,
        way=st.sampled_from([1, 4, 2, 3, 1, 4]),
        kind=st.sampled_from(["limit", "market"]),
        mode=st.integers(1, 4),
        step=STEPS,
        size=SIZES,
        leverage=st.sampled_from(["100", "20", "5"]),
        open_type=st.sampled_from(["cross", "isolated"]),
        protect=st.booleans(),
        drift=DRIFTS,
    )
    def order_futures(
        self, trader: int, way: int, kind: str, step: int, size: int, protect: bool, drift: int, **order: Any
    ) -> None:
        away = 20 if way in {1, 2} else -20
        if protect:
            order["preset_take_profit_price"] = priced(step + away)
            order["preset_stop_loss_price"] = priced(step - away)
        self.traders[trader].futures_order(side=way, type=kind, price=priced(step), size=size * 5, **order)
        self.move(drift)

    @rule(
        trader=TRADERS,
        happening=st.sampled_from(
            ["plan", "trail", "modify", "cancel_spot", "cancel_futures", "close_all", "transfer", "wait", "restart"]
        ),
        way=st.integers(1, 4),
        step=STEPS,
        size=SIZES,
        drift=DRIFTS,
    )
    def happen(self, trader: int, happening: str, way: int, step: int, size: int, drift: int) -> None:
        getattr(self, happening)(self.traders[trader], way, step, size)
        self.move(drift)

    def plan(self, trader: Trader, way: int, step: int, size: int) -> None:
        body = {"symbol": FUTURES, "side": way, "type": "market", "size": size, "trigger_price": priced(step)}
        trader.post("/contract/private/submit-plan-order", body | {"leverage": "20", "open_type": "cross"})

    def trail(self, trader: Trader, way: int, step: int, size: int) -> None:
        body = {"symbol": FUTURES, "side": way, "size": size, "callback_rate": "0.5", "leverage": "20"}
        trader.post("/contract/private/submit-trail-order", body | {"open_type": "cross"})

    def modify(self, trader: Trader, way: int, step: int, size: int) -> None:
        rows = trader.get("/contract/private/get-open-orders", type="limit").data
        if rows:
            order_id = int(rows[way % len(rows)]["order_id"])
            body = {"symbol": FUTURES, "order_id": order_id, "price": priced(step), "size": size * 10}
            trader.post("/contract/private/modify-limit-order", body)

    def cancel_spot(self, trader: Trader, way: int, step: int, size: int) -> None:
        trader.post("/spot/v4/cancel_all", {"symbol": SPOT, "side": ["buy", "sell", None, None][way - 1]})

    def cancel_futures(self, trader: Trader, way: int, step: int, size: int) -> None:
        trader.post("/contract/private/cancel-orders", {"symbol": FUTURES})

    def close_all(self, trader: Trader, way: int, step: int, size: int) -> None:
        trader.post("/contract/private/close-all-position", {"contractType": 1})

    def transfer(self, trader: Trader, way: int, step: int, size: int) -> None:
        body = {"currency": "USDT", "amount": str(size * 50)}
        direction = "spot_to_contract" if way < 3 else "contract_to_spot"
        trader.post("/account/v1/transfer-contract", body | {"type": direction})

    def wait(self, trader: Trader, way: int, step: int, size: int) -> None:
        self.desk.clock.ms += way * 5 * 3_600_000
        self.desk.exchange.advance(self.desk.clock.ms)

    def restart(self, trader: Trader, way: int, step: int, size: int) -> None:
        self.desk.close()
        self.desk.open()

    @invariant()
    def no_money_is_below_zero(self) -> None:
        for row in self.desk.exchange.store.find(Balance):
            assert row.available >= 0, row
            assert row.frozen >= 0, row

    @invariant()
    def memory_and_file_agree(self) -> None:
        store = self.desk.exchange.store
        for kind in (Balance, Position):
            assert sorted(store.find(kind), key=repr) == sorted(store.hot(kind).rows(), key=repr)
        live = store.find(Order, "state IN ('new', 'partially_filled')", order="id")
        assert live == sorted(store.orders.rows(), key=lambda order: order.id)

    @invariant()
    def frozen_money_is_what_live_orders_hold(self) -> None:
        store = self.desk.exchange.store
        for account in store.find(Account):
            for wallet in ("spot", "futures"):
                frozen = sum((b.frozen for b in self.desk.exchange.wallets.balances(account.id, wallet)), Decimal(0))
                held = sum((o.reserved for o in store.orders.group("owner", (wallet, account.id))), Decimal(0))
                assert frozen == held, (account.id, wallet)

    @invariant()
    def spot_is_what_fills_and_transfers_left(self) -> None:
        store = self.desk.exchange.store
        for account in store.find(Account):
            expected = {currency: Decimal(amount) for currency, amount in COINS.items()}
            for fill in store.find(Fill, "account_id = ? AND market = 'spot'", account.id):
                way = 1 if fill.side == "buy" else -1
                expected["BTC"] += way * fill.size
                expected["USDT"] -= way * fill.notional
                expected[fill.fee_currency] -= fill.fee
            for row in store.find(Transaction, "account_id = ? AND flow_type = 1", account.id):
                expected["USDT"] -= row.amount
            for currency, amount in expected.items():
                balance = self.desk.exchange.wallets.balance(account.id, "spot", currency)
                assert balance.available + balance.frozen == amount, currency

    @invariant()
    def futures_is_what_the_transactions_left(self) -> None:
        """Money and deposits are the start and every booked amount: profit, fees, funding, transfers, clearance."""
        store = self.desk.exchange.store
        for account in store.find(Account):
            booked = sum(
                (row.amount for row in store.find(Transaction, "account_id = ?", account.id)), Decimal(START["USDT"])
            )
            balance = self.desk.exchange.wallets.balance(account.id, "futures", "USDT")
            deposits = sum((p.margin for p in self.desk.exchange.futures.positions.held(account.id)), Decimal(0))
            assert abs(balance.available + balance.frozen + deposits - booked) < EIGHT

    @invariant()
    def every_fee_and_profit_of_a_fill_is_booked(self) -> None:
        store = self.desk.exchange.store
        for account in store.find(Account):
            fills = store.find(Fill, "account_id = ? AND market = 'futures'", account.id)
            for flow, amounts in ((4, [-fill.fee for fill in fills]), (2, [fill.realised for fill in fills])):
                rows = store.find(Transaction, "account_id = ? AND flow_type = ?", account.id, flow)
                assert sum((row.amount for row in rows), Decimal(0)) == sum(amounts, Decimal(0))

    @invariant()
    def no_position_is_beyond_its_margin(self) -> None:
        """After each step of the book, what is left of every position is above its maintenance."""
        exchange = self.desk.exchange
        exchange.settle(self.desk.clock.ms)
        for account in exchange.store.find(Account):
            spare = exchange.wallets.balance(account.id, "futures", "USDT").available
            crossed = maintenance = Decimal(0)
            for position in exchange.futures.positions.held(account.id):
                instrument = exchange.catalogue.futures[position.symbol]
                mark = exchange.prices.quote(position.symbol, self.desk.clock.ms).mark
                equity = position.margin + exchange.futures.positions.unrealised(position, instrument, mark)
                needed = exchange.futures.positions.maintenance(position, instrument)
                assert position.margin >= 0
                if position.open_type == "isolated":
                    assert equity > needed, position
                else:
                    crossed, maintenance = crossed + equity, maintenance + needed
            assert not maintenance or spare + crossed > maintenance

    @invariant()
    def orders_are_filled_as_their_fills_say(self) -> None:
        store = self.desk.exchange.store
        sums: dict[int, Decimal] = {}
        for fill in store.find(Fill):
            sums[fill.order_id] = sums.get(fill.order_id, Decimal(0)) + fill.size
        for order in store.find(Order):
            assert order.filled_size == sums.get(order.id, Decimal(0)), order
            assert order.filled_size <= order.size or order.type == "market", order
            assert order.state != "filled" or order.filled_size == order.size or order.market == "spot", order


Book.TestCase.settings = settings(
    max_examples=SEQUENCES,
    stateful_step_count=STEPS_EACH,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestBook = Book.TestCase
