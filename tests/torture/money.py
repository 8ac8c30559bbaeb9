"""Random runs of fills through `recording.record` into PostgreSQL, against an oracle in fractions.

A run's fills come in any order, some of them several times, over several calls and orders, with fees in quote, base or
another coin, ids beyond 2^53 and up to 18 decimals. Whatever came first, the rows must say what the oracle says:
invariants 3 to 9 of the specification. Every batch is one transaction that is taken back.
"""

import gc
import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any
from uuid import UUID

from tests.torture.oracle_of_money import Account, Match
from tests.torture.tally import Tally

BATCH = 40
# Every so many runs what was taken back is really gone: nobody vacuums here, and a batch looks for a row of its own.
EMPTIED_EVERY = 50 * BATCH
# What a batch leaves in circles is little.
COLLECTED_EVERY = 10 * BATCH
START = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
UNIT = Fraction(1, 10**18)
FOURTH = "BMX"
# market, book, which side the book knows
KINDS = (("spot", "net", 1), ("futures", "net", 0), ("futures", "long", 1), ("futures", "short", -1))


@dataclass(slots=True)
class Run:
    """`account` is what the matches come to, `orders` lists those of each.

    `calls` is how they are told: order, then matches, repeats among them.
    """

    number: int
    market: str
    book: str
    side: int
    matches: list[Match]
    account: Account
    orders: list[list[Match]]
    calls: list[tuple[int, list[Match]]]
    funding: Decimal
    is_flat: bool
    repeats: int
    late: int
    rows: list[Any] = field(default_factory=list)

    @property
    def symbol(self) -> str:
        return f"M{self.number}"


def make_run(dice: Random, number: int, *, next_id: int, size: Decimal) -> Run:
    market, book, side = dice.choice(KINDS)
    kind = dice.choice(("plain", "plain", "fine", "huge", "equal"))
    matches: list[Match] = []
    at = START
    # Each match is later than the one before, by its time or else by its id: played as it comes, that is the account.
    account = new_account(market, side, size)
    length = dice.choice((1, 2, 2, 3, 4, 5, 6, 8))
    for _ in range(length):
        sign, held = dice.choice((1, -1)), account.held
        if side and held * side <= 0 and dice.random() < 0.9:
            sign = side
        price, quantity = _amounts(dice, kind, market)
        against = sign * held < 0
        if against and dice.random() < 0.4:
            quantity = _decimal(abs(held))  # exactly flat, in the middle of the run
        if side and against and dice.random() < 0.85:
            quantity = min(quantity, _decimal(abs(held)))
        fee, currency = _fee(dice, market, price * quantity * size, quantity)
        at += timedelta(microseconds=dice.choice((0, 0, 1, 1000, 5_000_000)))
        next_id += dice.randint(1, 9)
        matches.append(Match(str(next_id), sign, price, quantity, fee, currency, at))
        account.play(matches[-1:])
    held = account.held
    if held and dice.random() < 0.6:
        price, _ = _amounts(dice, kind, market)
        closing = Match(str(next_id + 1), 1 if held < 0 else -1, price, _decimal(abs(held)), Decimal(0), "USDT", at)
        matches.append(closing)
        account.play([closing])
    return _told(dice, Run(number, market, book, side, matches, account, [], [], Decimal(0), not account.held, 0, 0))


def _told(dice: Random, run: Run) -> Run:
    """Decide which order each match belongs to, and in what order and how often it is told."""
    cut = dice.randint(1, len(run.matches)) if dice.random() < 0.4 else len(run.matches)
    run.orders = [part for part in (run.matches[:cut], run.matches[cut:]) if part]
    told: list[tuple[int, list[Match]]] = []
    for number, matches in enumerate(run.orders):
        mixed = list(matches)
        if dice.random() < 0.6:
            dice.shuffle(mixed)
        first = dice.randint(1, len(mixed))
        told.append((number, mixed[:first]))
        if mixed[first:]:
            again = [match for match in mixed[:first] if dice.random() < 0.4]
            run.repeats += len(again)
            told.append((number, [*mixed[first:], *again, *again[:1]]))
        elif dice.random() < 0.3:
            run.repeats += len(mixed)
            told.append((number, mixed))
    if dice.random() < 0.5:
        dice.shuffle(told)
    run.calls = told
    order = [match.at for _, matches in told for match in matches]
    run.late = sum(later < earlier for earlier, later in itertools.pairwise(order))
    if dice.random() < 0.3:
        run.funding = Decimal(dice.randint(-(10**9), 10**9)).scaleb(-6)
    return run


def _amounts(dice: Random, kind: str, market: str) -> tuple[Decimal, Decimal]:
    if kind == "fine":
        return Decimal(dice.randint(1, 10**21)).scaleb(-18), Decimal(dice.randint(1, 10**19)).scaleb(-18)
    if kind == "huge":
        return Decimal(dice.randint(1, 10**8)).scaleb(-2), Decimal(dice.randint(1, 10**9))
    if kind == "equal":
        return Decimal(60000), Decimal(dice.randint(1, 3))
    places = 5 if market == "spot" else 0
    return Decimal(dice.randint(1, 10**8)).scaleb(-3), Decimal(dice.randint(1, 10**6)).scaleb(-places)


def _fee(dice: Random, market: str, notional: Decimal, quantity: Decimal) -> tuple[Decimal, str]:
    rate = dice.choice((Decimal("0.0006"), Decimal("0.0002"), Decimal("-0.0001"), Decimal(0)))
    currency = dice.choice(("USDT", "BTC", FOURTH) if market == "spot" else ("USDT", "USDT", FOURTH))
    amount = quantity * rate if currency == "BTC" else notional * rate
    return _decimal(Fraction(amount)), currency


def _decimal(value: Fraction) -> Decimal:
    """Cut to 18 decimals, as an exchange would."""
    return Decimal(int(value / UNIT)).scaleb(-18)


def new_account(market: str, side: int, size: Decimal) -> Account:
    return Account(market == "spot", side, "BTC", "USDT", Fraction(1 if market == "spot" else size))


class Books:
    """Two connectors of one workspace, committed; everything else is written and taken back."""

    def __init__(self) -> None:
        from tests.factories import ConnectorFactory, InstrumentFactory, MembershipFactory, SpotInstrumentFactory

        workspace = MembershipFactory().workspace
        self.instruments = {"spot": SpotInstrumentFactory(), "futures": InstrumentFactory()}
        self.connectors = {market: ConnectorFactory(workspace=workspace, market=market) for market in self.instruments}
        self.size = self.instruments["futures"].contract_size

    def commit_orders(self, runs: Sequence[Run], dice: Random) -> None:
        from apps.lib.compiled import insert
        from apps.trading.models import Order

        rows = []
        for run in runs:
            connector = self.connectors[run.market]
            for matches in run.orders:
                key = UUID(int=dice.getrandbits(128))
                rows.append(
                    Order(
                        id=key,
                        workspace_id=connector.workspace_id,
                        connector=connector,
                        instrument=self.instruments[run.market],
                        origin_id=key,
                        leg="o",
                        intent="entry",
                        symbol=run.symbol,
                        book=run.book,
                        side="buy" if matches[0].sign > 0 else "sell",
                        quantity=sum((match.quantity for match in matches), Decimal(0)),
                        client_order_id=key.hex[:28],
                        state="accepted",
                    )
                )
                run.rows.append(rows[-1])
        insert(*rows)

    def tell(self, run: Run) -> None:
        from apps.connectors.exchange import FillReport, LiquidityRole, Side
        from apps.trading import recording
        from apps.trading.models import Position

        for turn, (number, matches) in enumerate(run.calls):
            reports = [
                FillReport(
                    trade_id=match.trade_id,
                    exchange_order_id="9223372036854775807",
                    symbol=run.symbol,
                    side=Side("buy" if match.sign > 0 else "sell"),
                    price=match.price,
                    quantity=match.quantity,
                    fee=match.fee,
                    fee_currency=match.fee_currency,
                    role=LiquidityRole.TAKER,
                    filled_at=match.at,
                )
                for match in matches
            ]
            recording.record(run.rows[number], reports)
            if turn == 0 and run.funding:
                # As a funding payment that was booked between two fills.
                key = {"connector": self.connectors[run.market], "symbol": run.symbol}
                Position.unscoped.filter(**key).update(funding=run.funding)


@dataclass(slots=True)
class _Rows:
    position: Any = None
    fills: dict[str, Any] = field(default_factory=dict)
    ledger: list[Any] = field(default_factory=list)


class _Reader:
    """Asks for everything that is stored of some runs, in one round trip."""

    def __init__(self) -> None:
        from apps.lib.compiled import Compiled
        from apps.trading.models import Fill, LedgerEntry, Position

        self._questions: list[Compiled[Any]] = [
            Compiled(lambda symbols, model=model: model.unscoped.filter(symbol__among=symbols))
            for model in (Position, Fill, LedgerEntry)
        ]

    def __call__(self, runs: Sequence[Run]) -> dict[str, _Rows]:
        from apps.lib.compiled import Each
        from apps.lib.statements import together

        symbols = Each(run.symbol for run in runs)
        found = {symbol: _Rows() for symbol in symbols}
        positions, fills, ledger = together(*(question.asked(symbols=symbols) for question in self._questions))
        for position in positions:
            found[position.symbol].position = position
        for fill in fills:
            found[fill.symbol].fills[fill.trade_id] = fill
        for entry in ledger:
            found[entry.symbol].ledger.append(entry)
        return found


def differences(run: Run, found: _Rows, size: Decimal) -> list[str]:
    """Name every way in which the rows are not what the oracle says."""
    from apps.trading import accounting
    from apps.trading.recording import state_of

    account = run.account
    one = account.size
    wrong: list[str] = []
    # Every stored product and every share of a cost is rounded to 18 decimals once.
    slack = UNIT * (2 * len(run.matches) + 2)

    def same(what: str, ours: Any, theirs: Fraction, within: Fraction = Fraction(0)) -> None:
        if abs(Fraction(ours) - theirs) > within:
            wrong.append(f"{what}: {ours}, not {float(theirs)!r} ({theirs})")

    position = found.position
    same("position", position.signed_quantity, account.held)
    same("cost", position.cost, account.cost, slack)
    same("realised", position.realized_pnl, account.realized, slack)
    same("quote fees", position.fees, account.fees.get("USDT", Fraction(0)))
    same("funding", position.funding, Fraction(run.funding))
    if abs(account.held) >= Fraction(1, 10**6):
        same(
            "average",
            position.avg_entry_price,
            account.cost / (abs(account.held) * one),
            slack / abs(account.held) / one + UNIT,
        )
    if position.opened_at != account.opened_at:
        wrong.append(f"opened at {position.opened_at}, not {account.opened_at}")

    if found.fills.keys() != {match.trade_id for match in run.matches}:
        wrong.append(f"fills {sorted(found.fills)}")
    for match in run.matches:
        fill = found.fills[match.trade_id]
        told = (fill.price, fill.quantity, fill.fee, fill.fee_currency, fill.filled_at)
        if told != (match.price, match.quantity, match.fee, match.fee_currency, match.at):
            wrong.append(f"fill {match.trade_id} is stored as {told}")
        same(f"realised by {match.trade_id}", fill.realized_pnl, account.of_fill[match.trade_id], slack)

    booked: dict[tuple[str, str], Fraction] = {}
    for entry in found.ledger:
        key = (entry.kind, entry.currency)
        booked[key] = booked.get(key, Fraction(0)) + Fraction(entry.amount)
    zero = Fraction(0)
    profit = booked.get(("realized_pnl", "USDT"), zero) + booked.get(("correction", "USDT"), zero)
    same("realised in the ledger", position.realized_pnl, profit)
    for currency in ("USDT", "BTC", FOURTH):
        same(f"fees in {currency}", -booked.get(("fee", currency), zero), account.fees.get(currency, zero))
    came = booked.get(("external", "BTC"), zero) + booked.get(("correction", "BTC"), zero)
    same("external in the ledger", came, account.external * one, slack)

    # 4: the position is the sum of the fills and what came from outside.
    moved = sum(
        (
            match.sign * Fraction(match.quantity)
            - (Fraction(match.fee) if run.market == "spot" and match.fee_currency == "BTC" else 0)
            for match in run.matches
        ),
        zero,
    )
    same("sum of fills and external", position.signed_quantity, moved + came / one, slack / one if came else zero)
    if not account.external:
        # 5: what was paid and received is what was realised and what is still in the position.
        kept = Fraction(position.cost) * (1 if account.held >= 0 else -1)
        same("cash", Fraction(position.realized_pnl) - kept, account.cash, slack)
    if not account.held:
        # 8 and 9.
        if (position.cost, position.avg_entry_price) != (0, 0):
            wrong.append(f"flat, and yet cost {position.cost} at {position.avg_entry_price}")
        if accounting.unrealized_pnl(state_of(position), Decimal(12345), contract_size=size) != 0:
            wrong.append("flat, and yet something unrealised")
        same("first in, first out", position.realized_pnl, account.first_in_first_out, slack)

    for row, matches in zip(run.rows, run.orders, strict=True):
        filled = sum((Fraction(match.quantity) for match in matches), zero)
        same("filled", row.filled_quantity, filled)
        if row.filled_quantity > row.quantity:
            wrong.append(f"{row.filled_quantity} filled of {row.quantity}")
        value = sum((Fraction(match.quantity) * Fraction(match.price) for match in matches), zero)
        same("average fill", row.avg_fill_price, value / filled, UNIT)
        fees: dict[str, Fraction] = {}
        for match in matches:
            fees[match.fee_currency] = fees.get(match.fee_currency, zero) + Fraction(match.fee)
        if {currency: Fraction(amount) for currency, amount in row.fees.items()} != fees:
            wrong.append(f"the order's fees {row.fees}")
        if (row.first_fill_at, row.last_fill_at) != (min(m.at for m in matches), max(m.at for m in matches)):
            wrong.append("first or last fill of the order")
    return wrong


@contextmanager
def _as_one() -> Iterator[None]:
    """Let every `atomic` inside be a part of the batch: none of them fails, or else the whole campaign does."""
    from django.db import connection

    connection.features.uses_savepoints = False
    try:
        yield
    finally:
        connection.features.uses_savepoints = True


def _append_only(dice: Random) -> list[str]:
    """Try to change and to take away a booking and a fill's amount: the database has to refuse."""
    from django.db import IntegrityError, connection, transaction

    wrong = []
    for statement in ("UPDATE trading_ledgerentry SET amount = amount + 1", "DELETE FROM trading_ledgerentry"):
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"{statement} WHERE id = (SELECT id FROM trading_ledgerentry LIMIT 1)")
        except IntegrityError:
            continue
        wrong.append(f"not refused: {statement}")
    return wrong


def run(count: int, seed: int) -> Tally:
    """Play `count` runs in the open database."""
    from django.db import transaction

    from tests.torture.database import empty

    started = time.monotonic()
    tally, dice = Tally("money properties", seed), Random(seed)
    books, read = Books(), _Reader()
    next_id = 2**62 + seed
    for first in range(0, count, BATCH):
        runs = []
        for number in range(first, min(first + BATCH, count)):
            runs.append(make_run(dice, number, next_id=next_id, size=books.size))
            next_id += 1000
        with transaction.atomic():
            books.commit_orders(runs, dice)
            with _as_one():
                for one in runs:
                    books.tell(one)
            found = read(runs)
            for one in runs:
                wrong = differences(one, found[one.symbol], books.size)
                tally.histories += 1
                tally.faults += one.repeats + one.late
                if wrong:
                    tally.violations.append(
                        f"seed {seed}, run {one.number} ({one.market} {one.book}): {'; '.join(wrong)}"
                    )
            tally.violations += _append_only(dice)
            transaction.set_rollback(True)
        done = first + BATCH
        if not gc.isenabled() and not done % COLLECTED_EVERY:
            gc.collect()
        if not done % EMPTIED_EVERY:
            empty()
    tally.seconds = time.monotonic() - started
    return tally


def main(count: int, seed: int) -> Tally:
    """Play `count` runs in a database of their own."""
    from tests.torture.database import opened

    with opened(f"money_{seed}"):
        # What is loaded by now stays. What batches leave in circles is collected between them.
        gc.freeze()
        gc.disable()
        return run(count, seed)
