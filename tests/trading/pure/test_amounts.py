"""Each quantity type with the figures worked by hand; one contract is 0.001 BTC, the price 60,000, the fee 0.1 %."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.connectors.exchange import FeeRates, Instrument, Market
from apps.connectors.policies import ExitExcess, Mismatch
from apps.trading.amounts import AmountFacts, Converted, needs_equity, needs_price, to_base
from apps.trading.denials import Denial, DenialCode
from apps.trading.legs import Holding, Intent, NoteCode, PlanSettings
from apps.trading.signal import ExitTarget, PrevPosition, QuantityType, Signal
from apps.trading.sizing import SizedLeg, size
from tests.trading.pure.build import CLOSE_ALL, CONTRACTS, SPOT, brief, hold, order, plan_for
from tests.trading.pure.test_sizing import ticker

NOW = AmountFacts(
    price=Decimal(60000),
    equity=Decimal(12000),
    available=Decimal(6000),
    leverage=Decimal(5),
    taker=Decimal("0.001"),
)
STOP = ExitTarget(price=Decimal(59000))


def asked(action: str, prev: str, quantity: str, kind: str, **extra: object) -> Signal:
    return order(action, prev, quantity, quantity_type=QuantityType(kind), **extra)


def converted(
    signal: Signal, held: Holding | None = None, *, instrument: Instrument = CONTRACTS, facts: AmountFacts = NOW
) -> Converted:
    answer = to_base(signal, instrument=instrument, holding=held or hold(), facts=facts)
    assert isinstance(answer, Converted), answer
    return answer


def denied(
    signal: Signal, held: Holding | None = None, *, instrument: Instrument = CONTRACTS, facts: AmountFacts = NOW
) -> Denial:
    answer = to_base(signal, instrument=instrument, holding=held or hold(), facts=facts)
    assert isinstance(answer, Denial)
    return answer


def legs(
    signal: Signal,
    held: Holding | None = None,
    *,
    settings: PlanSettings | None = None,
    mode: str = "one_way",
    facts: AmountFacts = NOW,
) -> str:
    """What the amount becomes once it is planned, or the code of its denial."""
    instrument = SPOT if mode == "spot" else CONTRACTS
    answer = to_base(signal, instrument=instrument, holding=held or hold(), facts=facts)
    if isinstance(answer, Denial):
        return f"denied {answer.code}"
    plan = plan_for(
        answer.signal, held or hold(), mode=mode, instrument=instrument, settings=settings or PlanSettings()
    )
    return brief(plan)


@pytest.mark.parametrize(
    ("kind", "quantity", "base", "record"),
    [
        ("contracts", "12", "0.012", {}),
        ("quote", "1500", "0.025", {"price": "60000"}),
        # 300 of margin at 5x is a position worth 1,500.
        ("margin", "300", "0.025", {"price": "60000", "leverage": "5"}),
        ("percent_equity", "10", "0.02", {"price": "60000", "equity": "12000"}),
        # 6000 × 0.998 × 0.999 × 50 % = 2991.006
        ("percent_balance", "50", "0.0498501", {"price": "60000", "available": "6000"}),
        # 1 % of 12,000 is lost when 0.12 BTC fall by 1,000.
        ("risk_percent", "1", "0.12", {"price": "60000", "equity": "12000"}),
    ],
)
def test_an_entry_is_converted_once(kind: str, quantity: str, base: str, record: dict[str, str]) -> None:
    answer = converted(asked("buy", "flat", quantity, kind, stop_loss=STOP))

    assert (answer.signal.quantity, answer.signal.quantity_type) == (Decimal(base), QuantityType.BASE)
    residue = {"percent_balance": "0.0008501"}.get(kind, "0")
    expected = {"quantity": quantity, "quantity_type": kind, "base": base, "residue": residue, **record}
    assert answer.record == expected


def test_leverage_multiplies_margin_and_nothing_else() -> None:
    ten = replace(NOW, leverage=Decimal(10))

    for kind in ("quote", "percent_equity", "percent_balance", "risk_percent"):
        signal = (
            asked("buy", "flat", "20", kind, stop_loss=STOP) if kind != "quote" else asked("buy", "flat", "600", kind)
        )
        assert converted(signal).signal.quantity == converted(signal, facts=ten).signal.quantity
    margin = asked("sell", "flat", "600", "margin")
    assert converted(margin, facts=ten).signal.quantity == 2 * (converted(margin).signal.quantity or 0)


@pytest.mark.parametrize(
    ("action", "stop", "base"),
    [
        ("buy", ExitTarget(price=Decimal(57000)), "0.04"),
        ("sell", ExitTarget(price=Decimal(63000)), "0.04"),
        # 2 % of 60,000 is 1,200.
        ("buy", ExitTarget(percent=Decimal(2)), "0.1"),
        ("sell", ExitTarget(percent=Decimal(2)), "0.1"),
    ],
)
def test_risk_is_divided_by_the_distance_to_the_stop(action: str, stop: ExitTarget, base: str) -> None:
    answer = converted(asked(action, "flat", "1", "risk_percent", stop_loss=stop))

    assert answer.signal.quantity == Decimal(base)


def test_risk_without_a_usable_stop_is_refused() -> None:
    assert denied(asked("buy", "flat", "1", "risk_percent")).code is DenialCode.RISK_NEEDS_STOP
    above = denied(asked("buy", "flat", "1", "risk_percent", stop_loss=ExitTarget(price=Decimal(60000))))
    assert above.code is DenialCode.STOP_ON_WRONG_SIDE
    assert "the stop-loss 60000 of this long must be below the price, which is 60000" in above.sentence
    below = denied(asked("sell", "flat", "1", "risk_percent", stop_loss=STOP))
    assert below.facts == {"stop": "59000", "price": "60000", "side": "short", "where": "above"}


def test_an_amount_beyond_any_quantity_is_refused_and_keeps_nobody_in_a_position() -> None:
    near = ExitTarget(price=Decimal("59999.999999999999999999"))
    refused = denied(asked("buy", "flat", "100", "risk_percent", stop_loss=near))

    assert refused.code is DenialCode.QUANTITY_ABOVE_MAXIMUM
    assert refused.facts["asked"] == "12" + "0" * 24
    assert refused.facts["maximum"] == "1000 contracts"
    largest = asked("buy", "flat", "6e19", "quote")
    assert converted(largest).signal.quantity == 10**15
    above = denied(replace(largest, quantity=Decimal("60000000000000000001")))
    assert above.code is DenialCode.QUANTITY_ABOVE_MAXIMUM
    far = ExitTarget(price=Decimal("60000.000000000000000001"))
    reversal = asked("sell", "long", "100", "risk_percent", market_position="short", stop_loss=far)
    assert legs(reversal, hold(long="7")) == "c:sell 7 net reduce"
    assert legs(asked("sell", "long", "9e39", "quote"), hold(long="7")) == "c:sell 7 net reduce"


def test_the_whole_free_balance_can_be_bought_with() -> None:
    plan = plan_for(
        converted(asked("buy", "flat", "100", "percent_balance"), instrument=SPOT).signal, hold(), mode="spot"
    )
    sized = size(
        plan.legs[0],
        instrument=SPOT,
        ticker=ticker(),
        available_quote=NOW.available,
        fee_rates=FeeRates(NOW.taker, NOW.taker),
        leverage=None,
    )

    assert isinstance(sized, SizedLeg)
    # 5,982.012 buy 0.0997002 BTC: 0.0997 in steps, 5,982 and the fee.
    assert (sized.quantity, sized.notional) == (Decimal("0.0997"), Decimal("5987.99"))
    assert sized.notional <= NOW.available * Decimal("0.998")


def test_percent_of_the_position_adds_to_it() -> None:
    assert legs(asked("buy", "long", "50", "percent_position"), hold(long="10")) == "o:buy 5 net"
    refused = denied(asked("buy", "flat", "50", "percent_position"))
    assert refused.code is DenialCode.PERCENT_OF_NOTHING
    assert refused.facts == {"side": "long", "symbol": "BTCUSDT", "actual": "flat"}
    # What is held the other way is not what this adds to.
    assert denied(asked("buy", "flat", "50", "percent_position"), hold(short="10")).code == refused.code


@pytest.mark.parametrize(("percent", "closed"), [("25", "2"), ("50", "5"), ("99", "9"), ("100", "10"), ("250", "10")])
def test_percent_of_the_position_closes_that_part_and_never_more(percent: str, closed: str) -> None:
    signal = asked("sell", "long", percent, "percent_position")

    assert legs(signal, hold(long="10")) == f"c:sell {closed} net reduce"
    # No price and no equity were asked for: an exit waits for neither.
    assert not needs_price(signal, Market.FUTURES)
    unpriced = replace(NOW, price=None, equity=None)
    assert legs(signal, hold(long="10"), facts=unpriced) == f"c:sell {closed} net reduce"


def test_more_than_all_of_the_position_is_noted() -> None:
    notes = converted(asked("buy", "short", "250", "percent_position"), hold(short="10")).notes

    assert [(note.code, dict(note.facts)) for note in notes] == [
        ("CLAMPED_TO_HELD", {"asked": "250 %", "held": "100 % (short 10 contracts)"})
    ]


@pytest.mark.parametrize("kind", ["percent_position", "quote"])
@pytest.mark.parametrize("mismatch", Mismatch)
def test_a_relative_exit_opens_nothing_where_nothing_is_held(kind: str, mismatch: Mismatch) -> None:
    signal = asked("sell", "long", "100", kind)

    assert legs(signal, settings=PlanSettings(mismatch=mismatch)) == "denied NOTHING_TO_CLOSE"
    assert denied(signal).facts == {"claimed": "long", "actual": "flat", "symbol": "BTCUSDT"}


def test_a_value_reduces_and_never_reverses() -> None:
    assert legs(asked("sell", "long", "300", "quote"), hold(long="10")) == "c:sell 5 net reduce"
    assert legs(asked("sell", "long", "9000", "quote"), hold(long="10")) == "c:sell 10 net reduce"
    unpriced = denied(asked("sell", "long", "300", "quote"), hold(long="10"), facts=replace(NOW, price=None))
    assert (unpriced.code, unpriced.facts["wanted"]) == (DenialCode.PRICE_MISSING, "best bid")


@pytest.mark.parametrize("kind", ["margin", "percent_equity", "percent_balance", "risk_percent"])
def test_an_exit_in_money_that_does_not_say_how_much_is_refused_by_name(kind: str) -> None:
    refused = denied(asked("sell", "long", "10", kind, stop_loss=STOP), hold(long="10"))

    assert refused.code is DenialCode.EXIT_SIZE_AMBIGUOUS
    assert f"a quantity in '{kind}' does not say" in refused.sentence
    assert '"market_position": "{{strategy.market_position}}"' in refused.sentence


@pytest.mark.parametrize("kind", ["quote", "margin", "percent_equity", "percent_balance", "percent_position"])
@pytest.mark.parametrize("flat", [{"market_position": "flat"}, {"market_position_size": "0"}])
def test_an_exit_to_flat_closes_the_whole_without_a_price(kind: str, flat: dict[str, str]) -> None:
    signal = asked("sell", "long", "1", kind, **flat)

    assert not needs_price(signal, Market.FUTURES)
    assert legs(signal, hold(long="10"), facts=replace(NOW, price=None, equity=None)) == "c:sell 10 net reduce"


def test_a_stated_reversal_closes_the_whole_and_opens_the_amount() -> None:
    signal = asked("sell", "long", "10", "percent_equity", market_position="short", market_position_size="3")

    # 10 % of 12,000 at 60,000 is 20 contracts.
    assert legs(signal, hold(long="7")) == "c:sell 7 net reduce; o:sell 20 net after c"
    close_only = PlanSettings(exit_excess=ExitExcess.CLOSE_ONLY)
    assert legs(signal, hold(long="7"), settings=close_only) == "c:sell 7 net reduce"
    assert legs(replace(signal, reduce_only=True), hold(long="7")) == "c:sell 7 net reduce"
    assert legs(signal) == "nothing NOTHING_TO_CLOSE"


@pytest.mark.parametrize(
    ("kind", "facts", "code"),
    [
        ("quote", replace(NOW, price=None), "PRICE_MISSING"),
        ("percent_equity", replace(NOW, equity=None), "PERCENT_OF_NO_FUNDS"),
        ("percent_balance", replace(NOW, available=Decimal(0)), "PERCENT_OF_NO_FUNDS"),
        ("risk_percent", NOW, "STOP_ON_WRONG_SIDE"),
    ],
)
def test_a_reversal_whose_new_side_cannot_be_sized_closes_and_opens_nothing(
    kind: str, facts: AmountFacts, code: str
) -> None:
    signal = asked("sell", "long", "10", kind, market_position="short", stop_loss=STOP)

    assert legs(signal, hold(long="7"), facts=facts) == "c:sell 7 net reduce"
    note = converted(signal, hold(long="7"), facts=facts).notes[0]
    assert (note.code, note.facts) == (NoteCode.OPENING_NOT_SIZED, {"code": code})
    assert denied(signal, facts=facts).code == code


@pytest.mark.parametrize("kind", ["quote", "margin", "percent_equity", "percent_balance", "risk_percent"])
def test_a_reversal_that_must_open_nothing_closes_the_whole_without_a_price(kind: str) -> None:
    signal = replace(asked("sell", "long", "10", kind, market_position="short"), reduce_only=True)

    assert not needs_price(signal, Market.FUTURES)
    assert legs(signal, hold(long="7"), facts=replace(NOW, price=None, equity=None)) == "c:sell 7 net reduce"


def test_spot_knows_no_contracts_and_no_margin() -> None:
    for kind in ("contracts", "margin"):
        refused = denied(asked("buy", "flat", "10", kind), instrument=SPOT)
        assert refused.code is DenialCode.AMOUNT_NOT_ON_SPOT
        assert refused.facts == {"type": kind, "symbol": "BTC_USDT"}


def test_spot_sells_a_part_of_what_is_held() -> None:
    held = hold(long="0.123456")

    assert legs(asked("sell", "long", "50", "percent_position"), held, mode="spot") == "c:sell 0.06172 net"
    assert legs(asked("sell", "long", "100", "percent_position"), held, mode="spot") == "c:sell 0.12345 net"
    # 10 % of equity, short: spot sells all it has and opens nothing.
    short = asked("sell", "long", "10", "percent_equity", market_position="short")
    assert not needs_price(short, Market.SPOT)
    assert legs(short, held, mode="spot") == "c:sell 0.12345 net"


def test_spot_buys_the_new_long_of_a_reversal() -> None:
    signal = asked("buy", "short", "600", "quote", market_position="long", market_position_size="7")

    assert legs(signal, mode="spot") == "o:buy 0.01 net"
    assert legs(asked("buy", "short", "600", "quote"), mode="spot") == "denied NOTHING_TO_CLOSE"


@pytest.mark.parametrize(
    ("signal", "held", "facts"),
    [
        (
            asked("buy", "flat", "59", "quote"),
            hold(),
            {"asked": "59 USDT", "base": "0.00098333", "rounded": "0", "smallest": "60 USDT"},
        ),
        (
            asked("buy", "flat", "0.25", "percent_equity"),
            hold(),
            {"asked": "0.25 % of equity", "base": "0.0005", "rounded": "0", "smallest": "0.5 % of equity"},
        ),
        (
            asked("sell", "long", "10", "percent_position"),
            hold(long="3"),
            {
                "asked": "10 % of the position",
                "base": "0.0003",
                "rounded": "0",
                "smallest": "33.33333334 % of the position",
            },
        ),
    ],
)
def test_too_small_an_amount_says_the_smallest_in_its_own_unit(
    signal: Signal, held: Holding, facts: dict[str, str]
) -> None:
    refused = denied(signal, held)

    assert refused.code is DenialCode.AMOUNT_BELOW_MINIMUM
    assert refused.facts == {**facts, "unit": "BTC", "minimum": "0.001", "symbol": "BTCUSDT"}


def test_the_smallest_amount_that_a_refusal_names_is_accepted() -> None:
    # The smallest value of an order is 5 USDT: 0.00009 BTC at 60,000 are 5.4.
    refused = denied(asked("buy", "flat", "5.01", "quote"), instrument=SPOT)
    assert (refused.facts["rounded"], refused.facts["minimum"]) == ("0.00008", "0.00009")
    assert refused.facts["smallest"] == "5.4 USDT"

    assert legs(asked("buy", "flat", "5.4", "quote"), mode="spot") == "o:buy 0.00009 net"


def test_a_share_of_nothing_is_refused() -> None:
    for equity, found in ((None, "unknown"), (Decimal(0), "0 USDT"), (Decimal(-3), "-3 USDT")):
        refused = denied(asked("buy", "flat", "10", "percent_equity"), facts=replace(NOW, equity=equity))
        assert refused.code is DenialCode.PERCENT_OF_NO_FUNDS
        assert refused.facts == {"type": "percent_equity", "of": "equity", "found": found}
    broke = denied(asked("buy", "flat", "10", "percent_balance"), facts=replace(NOW, available=Decimal(0)))
    assert broke.facts == {"type": "percent_balance", "of": "free balance", "found": "0 USDT"}


def test_equity_is_asked_for_where_it_counts() -> None:
    wanting = [kind for kind in QuantityType if needs_equity(asked("buy", "flat", "1", kind.value), Market.SPOT)]
    assert wanting == [QuantityType.PERCENT_EQUITY, QuantityType.RISK_PERCENT]
    priced = [kind for kind in QuantityType if needs_price(asked("buy", "flat", "1", kind.value), Market.FUTURES)]
    assert priced == ["quote", "margin", "percent_equity", "percent_balance", "risk_percent"]


def test_contracts_scale_the_stated_sizes_as_well() -> None:
    signal = asked("sell", "long", "4", "contracts", market_position_size="6", prev_market_position_size="10")

    answer = converted(signal, hold(long="10"))

    assert answer.signal.market_position_size == Decimal("0.006")
    assert answer.signal.prev_market_position_size == Decimal("0.01")
    assert legs(signal, hold(long="10")) == "c:sell 4 net reduce"


def test_base_units_and_close_all_come_back_as_they_are() -> None:
    for signal in (order("buy", "flat", "1"), CLOSE_ALL):
        assert converted(signal) == Converted(signal)


MONEY = st.decimals(min_value="0.0001", max_value="100000", places=4)
SIZES = st.integers(min_value=0, max_value=5000).map(Decimal)


@settings(max_examples=400, deadline=None)
@given(
    kind=st.sampled_from(QuantityType),
    quantity=MONEY,
    action=st.sampled_from(["buy", "sell"]),
    prev=st.sampled_from(PrevPosition),
    after=st.sampled_from([None, *PrevPosition]),
    size=st.sampled_from([None, Decimal(0), Decimal("0.5")]),
    long=SIZES,
    short=SIZES,
    hedge=st.booleans(),
    reduce_only=st.booleans(),
    price=st.one_of(st.none(), MONEY),
    exit_excess=st.sampled_from(ExitExcess),
    mismatch=st.sampled_from(Mismatch),
)
def test_no_exit_closes_more_than_is_held_and_reduce_only_opens_nothing(
    *,
    kind: QuantityType,
    quantity: Decimal,
    action: str,
    prev: PrevPosition,
    after: PrevPosition | None,
    size: Decimal | None,
    long: Decimal,
    short: Decimal,
    hedge: bool,
    reduce_only: bool,
    price: Decimal | None,
    exit_excess: ExitExcess,
    mismatch: Mismatch,
) -> None:
    held = Holding(long, short if hedge or not long else Decimal(0))
    signal = replace(
        asked(action, prev.value, str(quantity), kind.value, reduce_only=reduce_only, stop_loss=STOP),
        market_position=after,
        market_position_size=size,
        hedge=hedge,
    )
    answer = to_base(signal, instrument=CONTRACTS, holding=held, facts=replace(NOW, price=price))
    if isinstance(answer, Denial):
        assert "—" not in answer.sentence
        return

    plan = plan_for(
        answer.signal,
        held,
        mode="hedge" if hedge else "one_way",
        instrument=CONTRACTS,
        settings=PlanSettings(exit_excess, mismatch),
    )

    for leg in plan.legs:
        if leg.intent is Intent.EXIT:
            assert leg.reduce_only
            assert leg.quantity <= (held.long if leg.side == "sell" else held.short)
        else:
            assert not reduce_only
