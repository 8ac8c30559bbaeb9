"""Hand-worked liquidation prices of isolated positions."""

from decimal import Decimal

import pytest

from apps.connectors.exchange import LeverageBracket, Side
from apps.trading.liquidation import estimate

D = Decimal
BRACKETS = [
    LeverageBracket(D(100), D(0), D(500000), D("0.005"), D(0)),
    LeverageBracket(D(50), D(500000), D(5000000), D("0.01"), D(2500)),
]


@pytest.mark.parametrize(
    ("side", "notional", "leverage", "price", "distance"),
    [
        # (1 - 0.1) / 0.995 = 0.90452261
        (Side.BUY, "1000", "10", "904.522613", "9.55"),
        # (1 + 0.1) / 1.005 = 1.09452736
        (Side.SELL, "1000", "10", "1094.527363", "9.45"),
        # the second bracket: (1 - 0.05 - 2500/1000000) / 0.99 = 0.95707071
        (Side.BUY, "1000000", "20", "957.070707", "4.29"),
    ],
)
def test_price_and_distance(side: Side, notional: str, leverage: str, price: str, distance: str) -> None:
    found = estimate(side, price=D(1000), notional=D(notional), leverage=D(leverage), brackets=BRACKETS)

    assert found is not None
    assert (round(found.price, 6), str(found.distance_pct)) == (D(price), distance)


def test_what_cannot_be_liquidated_or_is_not_known_has_no_estimate() -> None:
    long_of_one = {"price": D(1000), "notional": D(1000), "leverage": D(1)}

    assert estimate(Side.BUY, **long_of_one, brackets=BRACKETS) is None
    assert estimate(Side.BUY, **(long_of_one | {"leverage": D(10)}), brackets=[]) is None
    assert estimate(Side.BUY, **(long_of_one | {"notional": D(5000000)}), brackets=BRACKETS) is None
