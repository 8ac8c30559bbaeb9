"""Invariants 4, 5, 7, 8 and 9 of any run of fills."""

from collections import deque
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext

from hypothesis import given, settings
from hypothesis import strategies as st

from apps.connectors.exchange import Book, Market, Side
from apps.trading.accounting import Contract, FillFacts, LedgerKind, PositionState, apply_fill, rebuild, unrealized_pnl

START = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
ZERO = Decimal(0)
SPOT = Contract(Market.SPOT, "BTC", "USDT", Decimal(1))
FUTURES = Contract(Market.FUTURES, "BTC", "USDT", Decimal("0.001"))

FILL = st.tuples(
    st.sampled_from(Side),
    st.decimals(min_value="0.01", max_value="100000", places=4),
    st.decimals(min_value="0.001", max_value="1000", places=3),
    st.decimals(min_value="-0.0005", max_value="0.0009", places=6),
    st.sampled_from(["USDT", "BTC", "BMX"]),
)


def as_fills(rows: list[tuple[Side, Decimal, Decimal, Decimal, str]]) -> list[FillFacts]:
    return [
        FillFacts(str(number), side, price, quantity, fee, currency, START + timedelta(seconds=number // 2))
        for number, (side, price, quantity, fee, currency) in enumerate(rows)
    ]


FILLS = st.lists(FILL, min_size=1, max_size=12).map(as_fills)
MANY = settings(max_examples=300, deadline=None, print_blob=True)


def moved(fill: FillFacts, contract: Contract) -> Decimal:
    signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
    return signed - fill.fee if contract is SPOT and fill.fee_currency == "BTC" else signed


def flattened(fills: list[FillFacts], contract: Contract) -> list[FillFacts]:
    """The same fills and one more that closes what they leave open."""
    state = rebuild(fills, contract=contract).state
    if state.signed_quantity == 0:
        return fills
    side = Side.SELL if state.signed_quantity > 0 else Side.BUY
    last = FillFacts(
        "999", side, Decimal("777.77"), abs(state.signed_quantity), ZERO, "USDT", START + timedelta(days=1)
    )
    return [*fills, last]


@MANY
@given(FILLS, st.sampled_from([SPOT, FUTURES]), st.sampled_from(Book))
def test_position_is_the_sum_of_fills_and_external(fills: list[FillFacts], contract: Contract, book: Book) -> None:
    rebuilt = rebuild(fills, contract=contract, book=Book.NET if contract is SPOT else book)

    external = sum(
        (row.amount for one in rebuilt.effects.values() for row in one.rows if row.kind is LedgerKind.EXTERNAL), ZERO
    )
    assert (
        rebuilt.state.signed_quantity == sum(moved(one, contract) for one in fills) + external / contract.contract_size
    )
    if contract is SPOT or book is Book.LONG:
        assert rebuilt.state.signed_quantity >= 0
    if contract is FUTURES and book is Book.SHORT:
        assert rebuilt.state.signed_quantity <= 0


@MANY
@given(FILLS, st.sampled_from([SPOT, FUTURES]))
def test_cash_is_minus_signed_notional_minus_quote_fees(fills: list[FillFacts], contract: Contract) -> None:
    rebuilt = rebuild(fills, contract=contract)

    for one in fills:
        notional = one.quantity * contract.contract_size * one.price
        fee = one.fee if one.fee_currency == "USDT" else ZERO
        expected = (-notional if one.side is Side.BUY else notional) - fee
        assert rebuilt.effects[one.trade_id].cash == expected
    assert rebuilt.state.fees == sum((one.fee for one in fills if one.fee_currency == "USDT"), ZERO)
    assert rebuilt.state.realized_pnl == sum((one.realized for one in rebuilt.effects.values()), ZERO)


@MANY
@given(FILLS, st.sampled_from([SPOT, FUTURES]), st.randoms(use_true_random=False))
def test_order_and_repeats_change_nothing(fills: list[FillFacts], contract: Contract, random: object) -> None:
    shuffled = [*fills, *fills[::2]]
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    assert rebuild(shuffled, contract=contract) == rebuild(fills, contract=contract)


@MANY
@given(FILLS)
def test_applying_one_by_one_equals_rebuilding(fills: list[FillFacts]) -> None:
    state = PositionState()
    for one in fills:
        state, _ = apply_fill(state, one, contract=FUTURES)

    assert state == rebuild(fills, contract=FUTURES).state


@MANY
@given(FILLS)
def test_flat_means_nothing_open_and_realised_equals_cash(fills: list[FillFacts]) -> None:
    rebuilt = rebuild(flattened(fills, FUTURES), contract=FUTURES)

    state = rebuilt.state
    assert (state.signed_quantity, state.cost, state.opened_at) == (0, 0, None)
    assert unrealized_pnl(state, Decimal(12345), contract_size=FUTURES.contract_size) == 0
    assert state.net_realized_pnl == sum((one.cash for one in rebuilt.effects.values()), ZERO)


@MANY
@given(FILLS)
def test_flat_total_agrees_with_first_in_first_out(fills: list[FillFacts]) -> None:
    complete = flattened(fills, FUTURES)

    assert rebuild(complete, contract=FUTURES).state.realized_pnl == fifo_total(complete)


def fifo_total(fills: list[FillFacts]) -> Decimal:
    """Gross PnL of matching each fill with the oldest open opposite ones, worked without any average."""
    lots: deque[tuple[Decimal, Decimal]] = deque()
    total = ZERO
    with localcontext(prec=100):
        for one in fills:
            left = one.quantity if one.side is Side.BUY else -one.quantity
            while left and lots and lots[0][0] * left < 0:
                held, price = lots.popleft()
                matched = min(abs(held), abs(left)).copy_sign(held)
                total += matched * FUTURES.contract_size * (one.price - price)
                left += matched
                if held != matched:
                    lots.appendleft((held - matched, price))
            if left:
                lots.append((left, one.price))
    return total


@MANY
@given(FILLS)
def test_cost_is_never_negative_and_average_lies_among_the_prices(fills: list[FillFacts]) -> None:
    state = rebuild(fills, contract=FUTURES).state

    assert state.cost >= 0
    if state.signed_quantity:
        average = state.avg_entry_price(FUTURES.contract_size)
        slack = Decimal("1E-9")
        assert min(one.price for one in fills) - slack <= average <= max(one.price for one in fills) + slack
