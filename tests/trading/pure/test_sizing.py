from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.connectors.exchange import Book, FeeRates, Instrument, Side, Ticker
from apps.connectors.policies import LowBalance
from apps.trading.denials import Denial, DenialCode
from apps.trading.legs import Intent, Leg
from apps.trading.sizing import Estimate, SizedLeg, notional_of, price_expected, quote_step, size
from tests.trading.pure.build import CONTRACTS, SPOT

FEES = FeeRates(maker=Decimal("0.001"), taker=Decimal("0.001"))
AT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def leg(side: Side, quantity: str | Decimal, *, intent: Intent = Intent.ENTRY, is_whole: bool = False) -> Leg:
    is_exit = intent is Intent.EXIT
    return Leg("c" if is_exit else "o", intent, side, Book.NET, Decimal(quantity), is_exit, "", is_whole=is_whole)


def ticker(*, bid: str | None = "59990", ask: str | None = "60000", last: str = "59995") -> Ticker:
    return Ticker("BTCUSDT", Decimal(last), bid and Decimal(bid), ask and Decimal(ask), None, AT)  # type: ignore[arg-type]


def sized(
    order: Leg,
    instrument: Instrument,
    *,
    at: Ticker | None,
    available: str = "100000",
    leverage: str | None = None,
    fees: FeeRates = FEES,
    low_balance: LowBalance = LowBalance.REFUSE,
) -> SizedLeg | Denial:
    return size(
        order,
        instrument=instrument,
        ticker=at,
        available_quote=Decimal(available),
        fee_rates=fees,
        leverage=Decimal(leverage) if leverage else None,
        low_balance=low_balance,
    )


def granted(answer: SizedLeg | Denial) -> SizedLeg:
    assert isinstance(answer, SizedLeg)
    return answer


def denied(answer: SizedLeg | Denial) -> Denial:
    assert isinstance(answer, Denial)
    assert "—" not in answer.sentence
    return answer


def test_spot_buy_is_a_quote_amount_with_head_room_for_the_fee() -> None:
    answer = granted(sized(leg(Side.BUY, "0.001"), SPOT, at=ticker()))

    # 60 / 0.999 = 60.06006..., up to the cent.
    assert answer.notional == Decimal("60.07")
    assert answer.quantity == Decimal("0.001")
    assert answer.estimate == Estimate(Decimal(60000), Decimal(60), Decimal("0.06"), None)


def test_spot_buy_matches_the_amount_seen_live() -> None:
    ada = replace(SPOT, symbol="ADA_USDT", base="ADA", quantity_step=Decimal("0.01"), price_tick=Decimal("0.000001"))

    answer = granted(sized(leg(Side.BUY, "20.71"), ada, at=ticker(ask="0.245948")))

    # 20.71 × 0.245948 / 0.999 = 5.098681..., of which BitMart keeps 0.1 % and spends the rest on 20.71.
    assert answer.notional == Decimal("5.098682")
    assert (answer.notional * Decimal("0.999") / Decimal("0.245948")).quantize(Decimal("0.01")) == Decimal("20.71")


def test_spot_sell_is_a_base_quantity() -> None:
    answer = granted(sized(leg(Side.SELL, "0.0012345", intent=Intent.EXIT), SPOT, at=ticker()))

    assert answer.notional is None
    assert answer.quantity == Decimal("0.00123")
    assert answer.estimate == Estimate(Decimal(59990), Decimal("73.7877"), Decimal("0.0737877"), None)


@pytest.mark.parametrize(
    ("tick", "step"),
    [("1", "0.01"), ("0.5", "0.01"), ("0.0100", "0.01"), ("0.000001", "0.000001"), ("1E-10", "0.00000001")],
)
def test_quote_step_follows_the_price_tick(tick: str, step: str) -> None:
    assert quote_step(replace(SPOT, price_tick=Decimal(tick))) == Decimal(step)


def test_below_the_smallest_notional_is_denied_with_the_smallest_quantity() -> None:
    denial = denied(sized(leg(Side.BUY, "0.00004"), SPOT, at=ticker()))

    assert denial.code is DenialCode.NOTIONAL_BELOW_MINIMUM
    assert denial.sentence == (
        "Too small: 0.00004 BTC rounds down to 0.00004, worth 2.4 USDT. Smallest order on BTC_USDT is 5 USDT, "
        "about 0.00009 BTC at 60000. Change the quantity in the message."
    )


def test_below_the_smallest_quantity_is_denied_and_not_rounded_up() -> None:
    denial = denied(sized(leg(Side.BUY, "0.000009"), SPOT, at=ticker()))

    assert denial.code is DenialCode.QUANTITY_BELOW_MINIMUM
    assert denial.facts == {
        "asked": "0.000009",
        "rounded": "0",
        "minimum": "0.00001 BTC",
        "smallest": "0.00001",
        "unit": "BTC",
        "symbol": "BTC_USDT",
    }


def test_smallest_quantity_named_is_accepted() -> None:
    denial = denied(sized(leg(Side.BUY, "0.00004"), SPOT, at=ticker()))

    assert isinstance(sized(leg(Side.BUY, denial.facts["smallest"]), SPOT, at=ticker()), SizedLeg)


def test_unsellable_rest_is_dust_and_no_error() -> None:
    denial = denied(sized(leg(Side.SELL, "0.00004", intent=Intent.EXIT, is_whole=True), SPOT, at=ticker()))

    assert denial.code is DenialCode.DUST_LEFT
    assert not denial.is_error
    assert denial.facts["minimum"] == "0.00009 BTC"


def test_above_the_largest_quantity_an_entry_is_denied() -> None:
    denial = denied(sized(leg(Side.BUY, "1001"), CONTRACTS, at=ticker()))

    assert denial.code is DenialCode.QUANTITY_ABOVE_MAXIMUM
    assert denial.facts["maximum"] == "1000 contracts"


def test_above_the_largest_quantity_an_exit_sends_the_largest_and_names_the_rest() -> None:
    answer = granted(sized(leg(Side.SELL, "2500", intent=Intent.EXIT), CONTRACTS, at=ticker()))

    assert (answer.quantity, answer.remainder) == (Decimal(1000), Decimal(1500))


def test_spot_buy_may_use_998_thousandths_of_the_free_balance() -> None:
    # 60.07 asked: 60.19 × 0.998 = 60.06962, 60.20 × 0.998 = 60.0796.
    denial = denied(sized(leg(Side.BUY, "0.001"), SPOT, at=ticker(), available="60.19"))

    assert denial.code is DenialCode.INSUFFICIENT_BALANCE
    assert denial.facts == {"needed": "60.07", "available": "60.06962", "quote": "USDT"}
    assert isinstance(sized(leg(Side.BUY, "0.001"), SPOT, at=ticker(), available="60.20"), SizedLeg)


def test_futures_entry_needs_margin_and_fee() -> None:
    # 100 contracts of 0.001 at 60000 = 6000; at 10x 600 margin + 6 fee.
    entry = leg(Side.BUY, "100")

    answer = granted(sized(entry, CONTRACTS, at=ticker(), available="606", leverage="10"))
    denial = denied(sized(entry, CONTRACTS, at=ticker(), available="605.99", leverage="10"))

    assert answer.estimate == Estimate(Decimal(60000), Decimal(6000), Decimal(6), Decimal(600))
    assert answer.notional is None
    assert denial.facts == {"needed": "606", "available": "605.99", "quote": "USDT"}


def test_unknown_leverage_counts_as_one() -> None:
    denial = denied(sized(leg(Side.SELL, "100"), CONTRACTS, at=ticker(), available="6000"))

    assert denial.facts["needed"] == "6004.999"


def test_leverage_above_the_symbols_is_denied() -> None:
    assert denied(sized(leg(Side.BUY, "1"), CONTRACTS, at=ticker(), leverage="51")).facts["maximum"] == "50"


def test_exit_is_never_denied_for_balance_or_price() -> None:
    exit_leg = leg(Side.SELL, "100", intent=Intent.EXIT)

    assert granted(sized(exit_leg, CONTRACTS, at=ticker(), available="0")).quantity == 100
    assert granted(sized(exit_leg, CONTRACTS, at=None, available="0")).estimate is None


@pytest.mark.parametrize(
    ("order", "instrument", "at", "wanted"),
    [
        (leg(Side.BUY, "0.001"), SPOT, None, "best ask"),
        (leg(Side.BUY, "0.001"), SPOT, ticker(ask=None), "best ask"),
        (leg(Side.BUY, "1"), CONTRACTS, ticker(ask="0"), "best ask"),
        (leg(Side.SELL, "1"), CONTRACTS, ticker(bid=None, last="0"), "best bid"),
    ],
)
def test_entry_without_a_price_is_denied(order: Leg, instrument: Instrument, at: Ticker | None, wanted: str) -> None:
    denial = denied(sized(order, instrument, at=at))

    assert denial.code is DenialCode.PRICE_MISSING
    assert denial.facts["wanted"] == wanted


def test_futures_entry_falls_back_to_the_last_price() -> None:
    answer = granted(sized(leg(Side.BUY, "1"), CONTRACTS, at=ticker(ask=None)))

    assert answer.estimate is not None
    assert answer.estimate.price == Decimal(59995)


@settings(max_examples=300, deadline=None, print_blob=True)
@given(
    st.decimals(min_value="0.00001", max_value="100", places=7),
    st.decimals(min_value="0.01", max_value="100000", places=2),
    st.sampled_from([Decimal(0), Decimal("0.001"), Decimal("0.006")]),
)
def test_spot_amount_buys_the_quantity_and_at_most_one_quote_step_more(
    quantity: Decimal, ask: Decimal, fee: Decimal
) -> None:
    answer = sized(
        leg(Side.BUY, quantity), SPOT, at=ticker(ask=str(ask)), available="1E+12", fees=FeeRates(maker=fee, taker=fee)
    )

    if isinstance(answer, SizedLeg):
        assert answer.notional is not None
        spent_on_coins = answer.notional * (1 - fee)
        assert answer.quantity <= quantity
        assert 0 <= spent_on_coins - answer.quantity * ask < Decimal("0.01")


def test_a_spot_buy_is_cut_to_what_the_balance_allows() -> None:
    answer = granted(sized(leg(Side.BUY, "1"), SPOT, at=ticker(), available="1000", low_balance=LowBalance.REDUCE))

    # 998 less the fee of 0.1 % are 997.002: 0.01661 BTC, which cost 996.6 and 997.5976 with the fee.
    assert (answer.quantity, answer.notional) == (Decimal("0.01661"), Decimal("997.6"))
    assert answer.cut == {
        "asked": "1", "sent": "0.01661", "unit": "BTC", "needed": "60060.07", "available": "998", "quote": "USDT",
    }  # fmt: skip
    assert answer.estimate is not None
    assert answer.estimate.notional == Decimal("996.6")


def test_a_futures_entry_is_cut_to_what_the_margin_allows() -> None:
    answer = granted(
        sized(
            leg(Side.SELL, "500"), CONTRACTS, at=ticker(), available="610", leverage="10", low_balance=LowBalance.REDUCE
        )
    )

    # A contract at 59.99 takes 5.999 of margin and 0.05999 of fee: 100 of them 605.899, 101 of them 611.95799.
    assert answer.quantity == Decimal(100)
    assert answer.cut["needed"] == "3029.495"


@pytest.mark.parametrize("available", ["0", "-3", "5.01"])
def test_what_would_be_no_order_is_refused_and_not_cut(available: str) -> None:
    answer = denied(sized(leg(Side.BUY, "1"), SPOT, at=ticker(), available=available, low_balance=LowBalance.REDUCE))

    assert answer.code is DenialCode.INSUFFICIENT_BALANCE


def test_an_entry_that_is_paid_for_is_not_cut() -> None:
    whole = granted(sized(leg(Side.BUY, "0.001"), SPOT, at=ticker(), low_balance=LowBalance.REDUCE))

    assert (whole.quantity, whole.cut) == (Decimal("0.001"), {})


@settings(max_examples=300, deadline=None)
@given(
    available=st.decimals(min_value=0, max_value=100_000, places=6),
    quantity=st.decimals(min_value="0.00001", max_value="50", places=5),
    price=st.decimals(min_value="0.01", max_value="90000", places=2),
    taker=st.sampled_from([Decimal(0), Decimal("0.001"), Decimal("0.0025")]),
)
def test_a_cut_spot_buy_never_costs_more_than_can_be_spent(
    available: Decimal, quantity: Decimal, price: Decimal, taker: Decimal
) -> None:
    answer = sized(
        leg(Side.BUY, quantity), SPOT, at=ticker(ask=str(price)), available=str(available),
        fees=FeeRates(taker, taker), low_balance=LowBalance.REDUCE,
    )  # fmt: skip

    if isinstance(answer, SizedLeg):
        assert answer.notional is not None
        assert answer.notional <= available * Decimal("0.998")
        assert answer.quantity <= quantity


def limit(side: Side, quantity: str, price: str, *, intent: Intent = Intent.ENTRY) -> Leg:
    return replace(leg(side, quantity, intent=intent), price=Decimal(price))


@pytest.mark.parametrize(
    ("side", "price", "worth", "expected"),
    [
        (Side.BUY, "50000", "50000", "50000"),
        (Side.BUY, "63000", "63000", "60000"),
        (Side.SELL, "70000", "70000", "70000"),
        (Side.SELL, "6000", "59990", "59990"),
    ],
)
def test_limit_order_is_worth_what_it_may_be_filled_at(side: Side, price: str, worth: str, expected: str) -> None:
    order = limit(side, "100", price)

    answer = granted(sized(order, CONTRACTS, at=ticker(), leverage="10"))

    assert answer.estimate is not None
    assert (answer.estimate.price, answer.estimate.notional) == (Decimal(worth), Decimal(worth) / 10)
    assert notional_of(order, instrument=CONTRACTS, ticker=ticker()) == Decimal(worth) / 10
    assert price_expected(side, order.price, instrument=CONTRACTS, ticker=ticker()) == Decimal(expected)


def test_limit_sell_that_opens_needs_the_balance_that_the_market_makes_it_worth() -> None:
    # 0.1 BTC: 600 USDT at its limit, 5,999 where the market would fill it.
    denial = denied(sized(limit(Side.SELL, "100", "6000"), CONTRACTS, at=ticker(), available="1000"))

    assert (denial.code, denial.facts["needed"]) == (DenialCode.INSUFFICIENT_BALANCE, "6004.999")


def test_limit_sell_without_a_price_of_the_market_opens_nothing_and_still_closes() -> None:
    entry = denied(sized(limit(Side.SELL, "1", "6000"), CONTRACTS, at=None))
    leave = granted(sized(limit(Side.SELL, "1", "6000", intent=Intent.EXIT), CONTRACTS, at=None))

    assert (entry.code, entry.facts["wanted"]) == (DenialCode.PRICE_MISSING, "best bid")
    assert leave.quantity == 1
