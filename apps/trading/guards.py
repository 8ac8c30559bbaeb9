"""What may withdraw the right to trade. Pure checks in one order; the first that objects answers.

    1 halted          site, staff, workspace, connector   exits too: only cancels and queries are left
    2 too old         exit without a position to close; entry that waited; alert older than its max lag
    3 reduce only     site, staff, workspace, connector, the exchange fails, an incident: from here on entries only,
                      exits are allowed
    4 deleted, paused, trial ended
    5 symbol          not trading, leaving the exchange, not on the connector's list; direction
    6 rate            orders in the last minute
    7 money           price against the alert's, notional of the order, notional open with it
    8 positions       adds to an open one, positions open at once, lost today

The test flag is no guard: a test alert never gets an order to guard.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from apps.accounts.trading_state import TradingState
from apps.connectors.exchange import Side
from apps.connectors.outcomes import Trouble
from apps.connectors.policies import Adds, Direction
from apps.lib.decimals import floor_to_step, normalize_text
from apps.trading.denials import Denial, DenialCode
from apps.trading.legs import Intent
from apps.trading.signal import PrevPosition

_SHOWN_PCT = Decimal("0.01")
_SHOWN_SYMBOLS = 10


@dataclass(frozen=True, slots=True)
class GuardLimits:
    """What the trader or the plan allows; None switches a limit off. Notionals in quote currency.

    `max_price_deviation_rate` is a fraction of the alert's own price (0.01 = 1 %). `allowed_symbols` empty = all.
    `max_adds` counts with Adds.UP_TO only. `max_daily_loss` is of one UTC day.
    """

    max_order_notional: Decimal | None = Decimal(1000)
    max_open_notional: Decimal | None = Decimal(5000)
    max_orders_per_minute: int | None = 60
    max_price_deviation_rate: Decimal | None = None
    allowed_symbols: tuple[str, ...] = ()
    direction: Direction = Direction.BOTH
    adds: Adds = Adds.ALLOW
    max_adds: int = 0
    max_open_positions: int | None = None
    max_daily_loss: Decimal | None = None
    max_lag_s: int = 300
    entry_wait_s: int = 120
    exit_match_s: int = 900
    delisting_notice: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class GuardFacts:
    """One leg and the world around it. `sent_at`, `signal_max_lag_s`, `signal_price` are the alert's; None = unsaid.

    `has_matching_position`: a position that this exit can close is open and was opened before the alert was sent;
    `closes` is its side.
    `staff` is what the operators have set on this workspace or connector. `incident` names the open incident that keeps
    new positions in the symbol from being opened, "" = none. `trouble` is why the exchange gets no entry from anybody.
    `open_notional` leaves this order out and counts orders in doubt in. `order_notional` None = no price was found.
    `orders_last_minute` leaves this order out.

    `opens` is the side that an entry opens or adds to; `held` says in words what it adds to, "" when it opens. Of an
    add, `adds_made` were made before it. `open_elsewhere` counts the other symbols with a position or an entry under
    way. `lost_today` is what was realised, paid in fees and funding since midnight UTC, positive for a loss.
    """

    intent: Intent
    now: datetime
    received_at: datetime
    symbol: str
    quote: str
    connector_label: str
    site: TradingState = TradingState.ACTIVE
    workspace: TradingState = TradingState.ACTIVE
    connector: TradingState = TradingState.ACTIVE
    staff: TradingState = TradingState.ACTIVE
    staff_reason: str = ""
    incident: str = ""
    trouble: Trouble | None = None
    deleted_label: str = ""
    paused_label: str = ""
    trial_ended_at: datetime | None = None
    sent_at: datetime | None = None
    signal_max_lag_s: int | None = None
    signal_price: Decimal | None = None
    market_price: Decimal | None = None
    is_trading: bool = True
    delist_at: datetime | None = None
    has_matching_position: bool = True
    closes: PrevPosition | None = None
    order_notional: Decimal | None = None
    open_notional: Decimal = Decimal(0)
    orders_last_minute: int = 0
    opens: PrevPosition | None = None
    held: str = ""
    adds_made: int = 0
    open_elsewhere: int = 0
    lost_today: Decimal = Decimal(0)


def check(facts: GuardFacts, limits: GuardLimits) -> Denial | None:
    """Return the first objection in the order of the table above, or None."""
    checks = _EXIT_CHECKS if facts.intent is Intent.EXIT else _ENTRY_CHECKS
    for guard in checks:
        denial = guard(facts, limits)
        if denial is not None:
            return denial
    return None


def closed_by(side: Side) -> PrevPosition:
    """Return what an exit of that side closes."""
    return PrevPosition.LONG if side is Side.SELL else PrevPosition.SHORT


def check_halted(facts: GuardFacts, limits: GuardLimits) -> Denial | None:
    if facts.site is TradingState.HALTED:
        return Denial(DenialCode.SITE_HALTED)
    if facts.staff is TradingState.HALTED:
        return Denial(DenialCode.STAFF_HALTED, {"reason": facts.staff_reason or "no reason given"})
    if facts.workspace is TradingState.HALTED:
        return Denial(DenialCode.WORKSPACE_HALTED)
    if facts.connector is TradingState.HALTED:
        return Denial(DenialCode.CONNECTOR_HALTED, {"connector": facts.connector_label})
    return None


def check_exit_age(facts: GuardFacts, limits: GuardLimits) -> Denial | None:
    """An exit does not expire while there is something it was meant to close."""
    age = _age_s(facts)
    if age <= limits.exit_match_s or facts.has_matching_position:
        return None
    what = {"closes": facts.closes or "", "symbol": facts.symbol}
    return Denial(DenialCode.EXIT_TOO_OLD, {"age": _seconds(age), "limit": str(limits.exit_match_s), **what})


def check_entry_age(facts: GuardFacts, limits: GuardLimits) -> Denial | None:
    """The message's own `max_lag` replaces both the wait after receipt and the connector's max lag."""
    waited = (facts.now - facts.received_at).total_seconds()
    wait_limit = limits.entry_wait_s if facts.signal_max_lag_s is None else facts.signal_max_lag_s
    if waited > wait_limit:
        return Denial(DenialCode.ENTRY_EXPIRED, {"age": _seconds(waited), "limit": str(wait_limit)})
    lag_limit = limits.max_lag_s if facts.signal_max_lag_s is None else facts.signal_max_lag_s
    age = _age_s(facts)
    if age > lag_limit and facts.sent_at is not None:
        return Denial(DenialCode.ALERT_TOO_OLD, {"age": _seconds(age), "limit": str(lag_limit)})
    return None


def check_reduce_only(facts: GuardFacts, limits: GuardLimits) -> Denial | None:
    if facts.site is TradingState.REDUCE_ONLY:
        return Denial(DenialCode.SITE_REDUCE_ONLY)
    if facts.staff is TradingState.REDUCE_ONLY:
        return Denial(DenialCode.STAFF_REDUCE_ONLY, {"reason": facts.staff_reason or "no reason given"})
    if facts.workspace is TradingState.REDUCE_ONLY:
        return Denial(DenialCode.WORKSPACE_REDUCE_ONLY)
    if facts.connector is TradingState.REDUCE_ONLY:
        return Denial(DenialCode.CONNECTOR_REDUCE_ONLY, {"connector": facts.connector_label})
    return None


def check_trouble(facts: GuardFacts, limits: GuardLimits) -> Denial | None:
    return None if facts.trouble is None else entries_off(facts.trouble)


def entries_off(trouble: Trouble) -> Denial:
    return Denial(
        DenialCode.EXCHANGE_FAILING,
        {
            "venue": trouble.venue,
            "calls": str(trouble.calls),
            "ambiguous": str(trouble.ambiguous),
            "since": f"{trouble.since:%Y-%m-%d %H:%M:%S} UTC",
        },
    )


def check_incident(facts: GuardFacts, limits: GuardLimits) -> Denial | None:
    return Denial(DenialCode.INCIDENT_OPEN, {"incident": facts.incident}) if facts.incident else None


def check_deleted(facts: GuardFacts, limits: GuardLimits) -> Denial | None:
    return deleted(facts.deleted_label) if facts.deleted_label else None


def deleted(label: str) -> Denial:
    return Denial(DenialCode.CONNECTOR_DELETED, {"connector": label})


def check_paused(facts: GuardFacts, limits: GuardLimits) -> Denial | None:
    return Denial(DenialCode.PAUSED, {"paused": facts.paused_label}) if facts.paused_label else None


def check_trial(facts: GuardFacts, limits: GuardLimits) -> Denial | None:
    if facts.trial_ended_at is None or facts.now < facts.trial_ended_at:
        return None
    return Denial(DenialCode.TRIAL_ENDED, {"ended": facts.trial_ended_at.date().isoformat()})


def check_symbol(facts: GuardFacts, limits: GuardLimits) -> Denial | None:
    if not facts.is_trading:
        return Denial(DenialCode.SYMBOL_NOT_TRADING, {"symbol": facts.symbol})
    if facts.delist_at is not None and facts.now >= facts.delist_at - limits.delisting_notice:
        at = facts.delist_at.isoformat(timespec="minutes")
        return Denial(DenialCode.SYMBOL_DELISTING, {"symbol": facts.symbol, "delist_at": at})
    return None


def check_rate(facts: GuardFacts, limits: GuardLimits) -> Denial | None:
    if limits.max_orders_per_minute is None or facts.orders_last_minute < limits.max_orders_per_minute:
        return None
    return Denial(
        DenialCode.ORDER_RATE,
        {"count": str(facts.orders_last_minute), "limit": str(limits.max_orders_per_minute)},
    )


def check_price(facts: GuardFacts, limits: GuardLimits) -> Denial | None:
    limit = limits.max_price_deviation_rate
    if limit is None or facts.signal_price is None:
        return None
    if facts.market_price is None:
        return Denial(DenialCode.PRICE_MISSING, {"wanted": "price", "symbol": facts.symbol})
    deviation = abs(facts.market_price - facts.signal_price) / facts.signal_price
    if deviation <= limit:
        return None
    return Denial(
        DenialCode.PRICE_DEVIATION,
        {
            "price": normalize_text(facts.market_price),
            "signal_price": normalize_text(facts.signal_price),
            "deviation": normalize_text(floor_to_step(deviation * 100, _SHOWN_PCT)),
            "limit": normalize_text(limit * 100),
        },
    )


def check_order_notional(facts: GuardFacts, limits: GuardLimits) -> Denial | None:
    if limits.max_order_notional is None:
        return None
    if facts.order_notional is None:
        return Denial(DenialCode.PRICE_MISSING, {"wanted": "price", "symbol": facts.symbol})
    if facts.order_notional <= limits.max_order_notional:
        return None
    return Denial(
        DenialCode.MAX_ORDER_NOTIONAL,
        {
            "notional": normalize_text(facts.order_notional),
            "limit": normalize_text(limits.max_order_notional),
            "quote": facts.quote,
        },
    )


def check_open_notional(facts: GuardFacts, limits: GuardLimits) -> Denial | None:
    if limits.max_open_notional is None:
        return None
    if facts.order_notional is None:
        return Denial(DenialCode.PRICE_MISSING, {"wanted": "price", "symbol": facts.symbol})
    total = facts.open_notional + facts.order_notional
    if total <= limits.max_open_notional:
        return None
    return Denial(
        DenialCode.MAX_OPEN_NOTIONAL,
        {
            "total": normalize_text(total),
            "open": normalize_text(facts.open_notional),
            "limit": normalize_text(limits.max_open_notional),
            "quote": facts.quote,
        },
    )


def check_allowed_symbol(facts: GuardFacts, limits: GuardLimits) -> Denial | None:
    if not limits.allowed_symbols or facts.symbol in limits.allowed_symbols:
        return None
    rest = len(limits.allowed_symbols) - _SHOWN_SYMBOLS
    allowed = ", ".join(limits.allowed_symbols[:_SHOWN_SYMBOLS]) + (f" and {rest} more" if rest > 0 else "")
    return Denial(DenialCode.SYMBOL_NOT_ALLOWED, {"symbol": facts.symbol, "allowed": allowed})


def check_direction(facts: GuardFacts, limits: GuardLimits) -> Denial | None:
    if facts.opens is None or limits.direction is Direction.BOTH or facts.opens.value == limits.direction.value:
        return None
    shown = {"side": facts.opens.value, "allowed": limits.direction.value, "symbol": facts.symbol}
    return Denial(DenialCode.DIRECTION_NOT_ALLOWED, shown)


def check_adds(facts: GuardFacts, limits: GuardLimits) -> Denial | None:
    if not facts.held or limits.adds is Adds.ALLOW:
        return None
    shown = {"held": facts.held, "symbol": facts.symbol}
    if limits.adds is Adds.BLOCK:
        return Denial(DenialCode.ADDS_BLOCKED, shown)
    if facts.adds_made < limits.max_adds:
        return None
    return Denial(DenialCode.ADDS_USED_UP, {**shown, "made": str(facts.adds_made), "limit": str(limits.max_adds)})


def add_rule(limits: GuardLimits) -> str:
    """Return the connector's rule about adds, in words for the alert."""
    return f"up to {limits.max_adds}" if limits.adds is Adds.UP_TO else limits.adds.label


def check_open_positions(facts: GuardFacts, limits: GuardLimits) -> Denial | None:
    """An add opens no position, so it is no matter of this limit."""
    if limits.max_open_positions is None or facts.held or facts.open_elsewhere < limits.max_open_positions:
        return None
    number = facts.open_elsewhere
    others = "1 other position is" if number == 1 else f"{number} other positions are"
    return Denial(
        DenialCode.MAX_OPEN_POSITIONS,
        {"others": others, "limit": str(limits.max_open_positions), "symbol": facts.symbol},
    )


def check_daily_loss(facts: GuardFacts, limits: GuardLimits) -> Denial | None:
    if limits.max_daily_loss is None or facts.lost_today < limits.max_daily_loss:
        return None
    midnight = (facts.now + timedelta(days=1)).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return Denial(
        DenialCode.MAX_DAILY_LOSS,
        {
            "lost": normalize_text(facts.lost_today),
            "limit": normalize_text(limits.max_daily_loss),
            "quote": facts.quote,
            "until": f"{midnight:%Y-%m-%d %H:%M} UTC",
        },
    )


_Check = Callable[[GuardFacts, GuardLimits], Denial | None]

_EXIT_CHECKS: tuple[_Check, ...] = (check_halted, check_exit_age)
_ENTRY_CHECKS: tuple[_Check, ...] = (
    check_halted,
    check_entry_age,
    check_reduce_only,
    check_trouble,
    check_incident,
    check_deleted,
    check_paused,
    check_trial,
    check_symbol,
    check_allowed_symbol,
    check_direction,
    check_rate,
    check_price,
    check_order_notional,
    check_open_notional,
    check_adds,
    check_open_positions,
    check_daily_loss,
)


def _age_s(facts: GuardFacts) -> float:
    """Seconds since the sender's clock said so, or since receipt when that is longer ago or nothing was said."""
    return max((facts.now - (at or facts.received_at)).total_seconds() for at in (facts.sent_at, facts.received_at))


def _seconds(value: float) -> str:
    return str(int(value))
