"""Hand-worked slippage: positive costs the trader, and the parts add up."""

from decimal import Decimal
from random import Random

import pytest

from apps.connectors.exchange import Side
from apps.trading.slippage import Cost, Slippage, Snapshot, split

D = Decimal


def cost(amount: str, bps: str) -> Cost:
    return Cost(D(amount), D(bps))


MARKET = Snapshot(bid=D(60000), ask=D(60010), last=D(60004))


@pytest.mark.parametrize(
    ("side", "signal_price", "market", "average", "found"),
    [
        # 10 contracts of 0.001: a dollar of price is a cent. Signal 59990, middle 60005, ask 60010, filled at 60012.
        (
            Side.BUY, "59990", MARKET, "60012",
            Slippage(cost("0.15", "2.50"), cost("0.05", "0.83"), cost("0.02", "0.33"), cost("0.22", "3.67")),
        ),
        # A sell at the same moments: the market rose in its favour, then it crossed to the bid and beyond.
        (
            Side.SELL, "59990", MARKET, "59997",
            Slippage(cost("-0.15", "-2.50"), cost("0.05", "0.83"), cost("0.03", "0.50"), cost("-0.07", "-1.17")),
        ),
        # Filled better than the touch: a negative impact.
        (
            Side.BUY, "60005", MARKET, "60008",
            Slippage(cost("0", "0"), cost("0.05", "0.83"), cost("-0.02", "-0.33"), cost("0.03", "0.50")),
        ),
        # No signal price: only what happened at the exchange is known, counted from the middle.
        (Side.BUY, None, MARKET, "60012", Slippage(None, cost("0.05", "0.83"), cost("0.02", "0.33"), None)),
        # A market of one side: the delay is measured to the last price, the rest cannot be told apart.
        (
            Side.BUY, "59990", Snapshot(None, D(60010), D(60004)), "60012",
            Slippage(cost("0.14", "2.33"), None, None, cost("0.22", "3.67")),
        ),
        (Side.BUY, "59990", Snapshot(None, None, None), "60012", Slippage(None, None, None, cost("0.22", "3.67"))),
        (Side.BUY, None, Snapshot(None, None, D(60004)), "60012", Slippage()),
        # Nothing filled.
        (Side.BUY, "59990", MARKET, None, Slippage()),
    ],
)  # fmt: skip
def test_table(side: Side, signal_price: str | None, market: Snapshot, average: str | None, found: Slippage) -> None:
    assert (
        split(
            side,
            signal_price=D(signal_price) if signal_price else None,
            market=market,
            avg_fill_price=D(average) if average else None,
            filled_quantity=D(10),
            contract_size=D("0.001"),
        )
        == found
    )


def test_parts_add_up_to_the_total() -> None:
    random = Random(1)
    for _ in range(2000):
        signal, bid, width, fill = (D(random.randint(1, 10_000_000)) / 100 for _ in range(4))
        found = split(
            random.choice(list(Side)),
            signal_price=signal,
            market=Snapshot(bid, bid + width, bid),
            avg_fill_price=fill,
            filled_quantity=D(1),
            contract_size=D(1),
        )

        assert found.delay is not None
        assert found.spread is not None
        assert found.impact is not None
        assert found.total is not None
        assert found.delay.amount + found.spread.amount + found.impact.amount == found.total.amount
        assert abs(found.delay.bps + found.spread.bps + found.impact.bps - found.total.bps) <= D("0.02")
        assert found.spread.amount > 0
