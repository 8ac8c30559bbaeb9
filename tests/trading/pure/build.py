"""Instruments and signals that the pure trading tests share."""

from decimal import Decimal

from apps.connectors.exchange import Instrument, Market, PositionMode, Side
from apps.trading.planner import Holding, Plan, PlanSettings, ShadowPosition, plan
from apps.trading.signal import PrevPosition, Signal, SignalKind

# One contract is 1 BTC here, so that quantities read the same in messages and at the exchange.
COIN = Instrument(
    market=Market.FUTURES,
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    contract_size=Decimal(1),
    quantity_step=Decimal("0.001"),
    price_tick=Decimal("0.1"),
    min_quantity=Decimal("0.001"),
    max_quantity=Decimal(1000),
    min_notional=Decimal(0),
    max_leverage=Decimal(50),
    is_trading=True,
)
CONTRACTS = Instrument(
    market=Market.FUTURES,
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    contract_size=Decimal("0.001"),
    quantity_step=Decimal(1),
    price_tick=Decimal("0.1"),
    min_quantity=Decimal(1),
    max_quantity=Decimal(1000),
    min_notional=Decimal(0),
    max_leverage=Decimal(50),
    is_trading=True,
)
SPOT = Instrument(
    market=Market.SPOT,
    symbol="BTC_USDT",
    base="BTC",
    quote="USDT",
    contract_size=Decimal(1),
    quantity_step=Decimal("0.00001"),
    price_tick=Decimal("0.01"),
    min_quantity=Decimal("0.00001"),
    max_quantity=None,
    min_notional=Decimal(5),
    max_leverage=None,
    is_trading=True,
)

DEFAULTS = PlanSettings()


def order(action: str, prev: str, quantity: str | Decimal, **extra: object) -> Signal:
    """A signal as the parser makes it; sizes in `extra` may be texts."""
    sizes = {key: Decimal(value) for key, value in extra.items() if isinstance(value, str) and key.endswith("_size")}
    extra |= sizes
    if "market_position" in extra:
        extra["market_position"] = PrevPosition(str(extra["market_position"]))
    return Signal(
        kind=SignalKind.ORDER,
        ticker="BTCUSDT",
        action=Side(action),
        prev_position=PrevPosition(prev),
        quantity=Decimal(quantity),
        **extra,  # type: ignore[arg-type]
    )


CLOSE_ALL = Signal(kind=SignalKind.CLOSE_ALL, ticker="BTCUSDT")


def hold(long: str = "0", short: str = "0") -> Holding:
    return Holding(long=Decimal(long), short=Decimal(short))


def plan_for(
    signal: Signal,
    holding: Holding,
    *,
    mode: str = "one_way",
    settings: PlanSettings = DEFAULTS,
    instrument: Instrument | None = None,
    shadow: ShadowPosition | None = None,
) -> Plan:
    """Plan on the account kind `mode`: one_way, hedge or spot."""
    market = SPOT if mode == "spot" else COIN
    position_mode = PositionMode.HEDGE if mode == "hedge" else PositionMode.ONE_WAY
    return plan(
        signal,
        instrument=instrument or market,
        holding=holding,
        settings=settings,
        position_mode=position_mode,
        shadow=shadow,
    )


def brief(result: Plan) -> str:
    """`c:sell 5 net reduce; o:sell 5 net after c`, or the code that stands in the place of legs."""
    if result.denial:
        return f"denied {result.denial.code}"
    if result.outcome:
        return f"nothing {result.outcome.code}"
    words = []
    for leg in result.legs:
        flags = [" reduce"] if leg.reduce_only else []
        flags += [f" after {leg.after}"] if leg.after else []
        quantity = f"{leg.quantity.normalize():f}"
        words.append(f"{leg.code}:{leg.side} {quantity} {leg.book}{''.join(flags)}")
    return "; ".join(words)


def fill_all(result: Plan, holding: Holding, *, has_books: bool = False) -> Holding:
    """What is held once every leg was filled, as the venue nets it."""
    long, short = holding.long, holding.short
    for leg in result.legs:
        change = leg.quantity if leg.side is Side.BUY else -leg.quantity
        if leg.book == "long" or (has_books and leg.book == "net"):
            long += change
        elif leg.book == "short":
            short -= change
        else:
            net = long - short + change
            long, short = max(net, Decimal(0)), max(-net, Decimal(0))
    return Holding(long=long, short=short)
