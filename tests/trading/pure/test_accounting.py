"""Tables of fills with PnL worked by hand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from apps.connectors.exchange import Book, Market, Side
from apps.trading.accounting import (
    Contract,
    FillFacts,
    LedgerKind,
    LedgerRow,
    PositionState,
    adjust_external,
    apply_fill,
    apply_funding,
    is_late,
    rebuild,
    unrealized_pnl,
)

D = Decimal
SPOT = Contract(Market.SPOT, "BTC", "USDT", D(1))
FUTURES = Contract(Market.FUTURES, "BTC", "USDT", D("0.001"))
START = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def fill(
    number: int,
    side: str,
    quantity: str,
    price: str,
    *,
    fee: str = "0",
    currency: str = "USDT",
    after_s: int | None = None,
) -> FillFacts:
    at = START + timedelta(seconds=number if after_s is None else after_s)
    return FillFacts(str(number), Side(side), D(price), D(quantity), D(fee), currency, at)


def play(contract: Contract, *fills: FillFacts, book: Book = Book.NET) -> PositionState:
    state = PositionState(book=book)
    for one in fills:
        state, _ = apply_fill(state, one, contract=contract)
    return state


# fills; signed quantity, cost, average price, gross realised, fees
TABLES = [
    pytest.param(
        FUTURES,
        # 10 × 0.001 × 60000 = 600 and 30 × 0.001 × 62000 = 1860: 2460 for 0.04 = 61500.
        [fill(1, "buy", "10", "60000", fee="0.36"), fill(2, "buy", "30", "62000", fee="1.116")],
        ("40", "2460", "61500", "0", "1.476"),
        id="adds average the cost",
    ),
    pytest.param(
        FUTURES,
        # 10 of 40 leave with a quarter of 2460 = 615 and bring 630.
        [fill(1, "buy", "10", "60000"), fill(2, "buy", "30", "62000"), fill(3, "sell", "10", "63000", fee="0.378")],
        ("30", "1845", "61500", "15", "0.378"),
        id="a reduction realises its share and keeps the average",
    ),
    pytest.param(
        FUTURES,
        # Short 10 for 600, covered at 590: + 10. A loss on the other half of a second short: 300 - 305 = - 5.
        [
            fill(1, "sell", "10", "60000"),
            fill(2, "buy", "10", "59000"),
            fill(3, "sell", "10", "60000"),
            fill(4, "buy", "5", "61000"),
        ],
        ("-5", "300", "60000", "5", "0"),
        id="short side",
    ),
    pytest.param(
        FUTURES,
        # Long 10 for 600, sell 25 at 61000: 10 bring 610 (+ 10), 15 are a new short of 915.
        [fill(1, "buy", "10", "60000"), fill(2, "sell", "25", "61000", fee="0.915")],
        ("-15", "915", "61000", "10", "0.915"),
        id="one fill through zero is split",
    ),
    pytest.param(
        FUTURES,
        # Short 3 for 180, buy 4 at 59000: 3 cost 177 (+ 3), 1 is a new long of 59.
        [fill(1, "sell", "3", "60000"), fill(2, "buy", "4", "59000")],
        ("1", "59", "59000", "3", "0"),
        id="one fill through zero upwards",
    ),
    pytest.param(
        FUTURES,
        # Cost 100.001 for 3: a third each time, the last takes the remainder. 3 × 0.001 × 33333.666666 = 100.000999998.
        [
            fill(1, "buy", "3", "33333.666666"),
            fill(2, "sell", "1", "33334"),
            fill(3, "sell", "1", "33334"),
            fill(4, "sell", "1", "33334"),
        ],
        ("0", "0", "0", "0.001000002", "0"),
        id="flat is exact after thirds",
    ),
    pytest.param(
        SPOT,
        # 1 BTC for 60000 less 0.001 BTC fee: 0.999 at 60060.06...; sold at 61000 = 60939: + 939, the fee is inside.
        [fill(1, "buy", "1", "60000", fee="0.001", currency="BTC"), fill(2, "sell", "0.999", "61000", fee="60.939")],
        ("0", "0", "0", "939", "60.939"),
        id="base fee reduces the quantity",
    ),
    pytest.param(
        SPOT,
        [fill(1, "buy", "1", "60000", fee="0.001", currency="BTC")],
        ("0.999", "60000", "60060.060060060060060060", "0", "0"),
        id="base fee raises the average",
    ),
    pytest.param(
        SPOT,
        [fill(1, "buy", "1", "60000", fee="3", currency="BMX")],
        ("1", "60000", "60000", "0", "0"),
        id="third coin touches neither",
    ),
    pytest.param(
        SPOT,
        # 1 of 1.5 is ours: 61000 - 60000; the other half was never bought here.
        [fill(1, "buy", "1", "60000"), fill(2, "sell", "1.5", "61000")],
        ("0", "0", "0", "1000", "0"),
        id="spot sell beyond what is tracked",
    ),
    pytest.param(
        SPOT,
        [fill(1, "sell", "1", "61000"), fill(2, "buy", "1", "60000")],
        ("1", "60000", "60000", "0", "0"),
        id="spot is never short",
    ),
]


@pytest.mark.parametrize(("contract", "fills", "expected"), TABLES)
def test_fills_add_up_to(contract: Contract, fills: list[FillFacts], expected: tuple[str, ...]) -> None:
    state = play(contract, *fills)

    quantity, cost, average, realized, fees = map(D, expected)
    assert state.signed_quantity == quantity
    assert state.cost == cost
    assert state.avg_entry_price(contract.contract_size) == average
    assert state.realized_pnl == realized
    assert state.fees == fees
    assert state.net_realized_pnl == realized - fees


def test_opening_fill_leaves_only_its_fee_in_the_ledger() -> None:
    _, effects = apply_fill(PositionState(), fill(1, "buy", "10", "60000", fee="0.36"), contract=FUTURES)

    assert effects.rows == (LedgerRow(LedgerKind.FEE, D("-0.36"), "USDT"),)
    assert effects.realized == 0
    assert effects.cash == D("-600.36")


def test_closing_fill_books_gross_pnl_and_fee_apart() -> None:
    state = play(FUTURES, fill(1, "buy", "10", "60000"))

    _, effects = apply_fill(state, fill(2, "sell", "10", "61000", fee="0.366"), contract=FUTURES)

    assert effects.rows == (
        LedgerRow(LedgerKind.REALIZED_PNL, D(10), "USDT"),
        LedgerRow(LedgerKind.FEE, D("-0.366"), "USDT"),
    )
    assert effects.cash == D("609.634")


def test_rebate_is_received() -> None:
    state, effects = apply_fill(PositionState(), fill(1, "buy", "10", "60000", fee="-0.06"), contract=FUTURES)

    assert effects.rows == (LedgerRow(LedgerKind.FEE, D("0.06"), "USDT"),)
    assert state.net_realized_pnl == D("0.06")


def test_fee_in_a_third_coin_stays_in_its_coin() -> None:
    _, effects = apply_fill(PositionState(), fill(1, "buy", "1", "60000", fee="3", currency="BMX"), contract=SPOT)

    assert effects.rows == (LedgerRow(LedgerKind.FEE, D(-3), "BMX"),)
    assert effects.cash == D(-60000)


def test_untracked_part_of_a_spot_sell_is_flagged_and_realises_nothing() -> None:
    state = play(SPOT, fill(1, "buy", "1", "60000"))

    _, effects = apply_fill(state, fill(2, "sell", "1.5", "61000"), contract=SPOT)

    assert effects.external_quantity == D("0.5")
    assert effects.rows == (
        LedgerRow(LedgerKind.REALIZED_PNL, D(1000), "USDT"),
        LedgerRow(LedgerKind.EXTERNAL, D("0.5"), "BTC"),
    )


@pytest.mark.parametrize(("book", "opens", "closes"), [(Book.LONG, "buy", "sell"), (Book.SHORT, "sell", "buy")])
def test_hedge_book_never_goes_through_zero(book: Book, opens: str, closes: str) -> None:
    state = play(FUTURES, fill(1, opens, "10", "60000"), book=book)

    after, effects = apply_fill(state, fill(2, closes, "12", "60000"), contract=FUTURES)

    assert after.signed_quantity == 0
    assert effects.external_quantity == 2
    assert effects.rows[1].amount == (D("0.002") if book is Book.LONG else D("-0.002"))


def test_opened_at_is_the_fill_that_left_flat_or_changed_side() -> None:
    fills = [
        fill(1, "buy", "10", "60000"),
        fill(2, "buy", "1", "60000"),
        fill(3, "sell", "20", "60000"),
        fill(4, "buy", "9", "60000"),
    ]

    moments = [play(FUTURES, *fills[:count]).opened_at for count in range(5)]

    assert moments == [None, fills[0].filled_at, fills[0].filled_at, fills[2].filled_at, None]


@pytest.mark.parametrize(("mark", "expected"), [("61000", "10"), ("59000", "-10"), ("60000", "0")])
def test_unrealized_pnl_is_at_mark(mark: str, expected: str) -> None:
    long = play(FUTURES, fill(1, "buy", "10", "60000"))
    short = play(FUTURES, fill(1, "sell", "10", "60000"))

    assert unrealized_pnl(long, D(mark), contract_size=D("0.001")) == D(expected)
    assert unrealized_pnl(short, D(mark), contract_size=D("0.001")) == -D(expected)
    assert unrealized_pnl(PositionState(), D(mark), contract_size=D("0.001")) == 0


def test_repeated_trade_id_counts_once() -> None:
    fills = [fill(1, "buy", "10", "60000"), fill(2, "sell", "10", "61000")]

    assert rebuild([*fills, *fills], contract=FUTURES) == rebuild(fills, contract=FUTURES)
    assert rebuild(fills, contract=FUTURES).state.realized_pnl == 10


def test_equal_moments_are_ordered_by_trade_id_as_numbers() -> None:
    ninth, tenth = fill(9, "buy", "10", "60000", after_s=0), fill(10, "sell", "10", "61000", after_s=0)

    rebuilt = rebuild([tenth, ninth], contract=FUTURES)

    assert list(rebuilt.effects) == ["9", "10"]
    assert rebuilt.effects["10"].realized == 10


def test_late_fill_is_noticed() -> None:
    state = play(FUTURES, fill(2, "buy", "10", "60000"))

    assert is_late(state, fill(1, "buy", "1", "60000"))
    assert not is_late(state, fill(3, "buy", "1", "60000"))
    assert not is_late(PositionState(), fill(1, "buy", "1", "60000"))


def test_funding_is_kept_apart() -> None:
    state, effects = apply_funding(PositionState(), D("-0.6"), contract=FUTURES)

    assert effects.rows == (LedgerRow(LedgerKind.FUNDING, D("-0.6"), "USDT"),)
    assert (state.realized_pnl, state.net_realized_pnl) == (0, D("-0.6"))


@pytest.mark.parametrize(
    ("to", "cost", "row"),
    [
        ("15", "910", "0.005"),
        ("4", "240", "-0.006"),
        ("0", "0", "-0.010"),
        ("-2", "124", "-0.012"),
        ("10", "600", None),
    ],
)
def test_external_adjustment_realises_nothing(to: str, cost: str, row: str | None) -> None:
    state = play(FUTURES, fill(1, "buy", "10", "60000"))

    after, effects = adjust_external(state, D(to), price=D(62000), at=START, contract=FUTURES)

    assert (after.signed_quantity, after.cost, after.realized_pnl) == (D(to), D(cost), 0)
    assert effects.rows == ((LedgerRow(LedgerKind.EXTERNAL, D(row), "BTC"),) if row else ())


@pytest.mark.parametrize(
    ("side", "to", "realized"), [("buy", "4", "-18"), ("buy", "0", "-30"), ("sell", "-4", "18"), ("sell", "0", "30")]
)
def test_what_was_liquidated_realises_at_its_price(side: str, to: str, realized: str) -> None:
    state = play(FUTURES, fill(1, side, "10", "60000"))

    after, effects = adjust_external(state, D(to), price=D(57000), at=START, contract=FUTURES, realises=True)

    assert (after.cost, after.realized_pnl, effects.realized) == (60 * abs(D(to)), D(realized), D(realized))
    assert effects.rows[1:] == (LedgerRow(LedgerKind.REALIZED_PNL, D(realized), "USDT"),)


def test_spot_cannot_be_adjusted_short() -> None:
    with pytest.raises(ValueError, match="cannot be short"):
        adjust_external(PositionState(), D(-1), price=D(1), at=START, contract=SPOT)


@pytest.mark.parametrize(
    "wrong",
    [
        {"quantity": D(0)},
        {"quantity": D(-1)},
        {"price": D(0)},
        {"fee": D(1), "fee_currency": "BTC"},
    ],
)
def test_impossible_fill_raises(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="fill"):
        apply_fill(PositionState(), replace(fill(1, "buy", "1", "60000"), **wrong), contract=SPOT)  # type: ignore[arg-type]
