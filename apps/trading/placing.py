"""Signal → orders ready to be committed. Reads the account and the market, has `deciding` decide, sends nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings

from apps.accounts.models import PlatformState, Subscription
from apps.accounts.trading_state import TradingState, strictest
from apps.connectors import clock, instruments, outages
from apps.connectors.budget import Priority, priority
from apps.connectors.exchange import MarginMode, Market, OrderType, Side, Ticker
from apps.connectors.looking import AccountReader
from apps.connectors.models import Connector, Instrument
from apps.connectors.policies import Adds, Direction, ExitExcess, LowBalance, Mismatch
from apps.lib import world
from apps.lib.compiled import Compiled
from apps.lib.decimals import normalize_text
from apps.lib.statements import Asked, together
from apps.trading import deciding, guards, incidents, sizing
from apps.trading.amounts import needs_equity
from apps.trading.cancelling import any_open
from apps.trading.deciding import Planned, PlannedLeg
from apps.trading.denials import Denial, DenialCode, Verdict
from apps.trading.exposure import (
    LEFT_OUT,
    asked_counts,
    counts_from,
    lost_today,
    on_the_way,
    open_elsewhere,
    open_notional,
    orders_last_minute,
    ours_from,
    reserved_by,
)
from apps.trading.guards import GuardFacts, GuardLimits
from apps.trading.inputs import Account, Counts, Inputs, Origin, Standing, Terms
from apps.trading.legs import Holding, Intent, Leg, PlanSettings, ShadowPosition
from apps.trading.market import asked_price, fee_rates, fresher, read_account, read_ticker
from apps.trading.models import Incident, Order, OrderState
from apps.trading.models import ShadowPosition as ShadowRow
from apps.trading.signal import PrevPosition, Signal

# A fact of an order that expires: how long after its alert was received.
WAITS_S = "expires_after_s"
# A fact of a leg that waits for another one: the price that its alert names.
SIGNAL_PRICE = "signal_price"


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was decided from `inputs`, and its unsaved orders in the order they are to be sent, the first one the root.

    A leg that a guard refused is an order in state DENIED. `has_open`: an order of ours in the symbol may still trade.
    """

    inputs: Inputs
    planned: Planned
    orders: tuple[Order, ...]
    has_open: bool = False


def prepare(
    inputs: Inputs,
    *,
    connector: Connector,
    symbol: str,
    open_account: Callable[[], AccountReader],
    rows: "Rows | None" = None,
    urgency: Priority | None = None,
    unplaced: Callable[[Inputs], Holding] | None = None,
) -> Prepared:
    """Plan, size and guard one signal against the account as it is now. ExchangeError when it could not be read.

    `inputs` come from `read_standing`; the account is opened only if they do not refuse by themselves. `rows` where the
    caller has read them, and done nothing since. `urgency` None: that of an exit or an entry. `unplaced` tells what the
    strategy has by entries that never became an order; it is asked only for an exit that would open the other side.
    """
    denial = deciding.precheck(inputs)
    if denial is not None:
        return Prepared(inputs, Planned(denial=denial), ())
    is_exit = inputs.signal.is_exit
    urgency = urgency if urgency is not None else Priority.EXIT if is_exit else Priority.ENTRY
    rows = rows or Rows(connector, symbol)
    # What stands under way is read before the balance: see `reserved`.
    rows.refresh()
    with priority(urgency):
        inputs = _read(inputs, connector, rows, open_account(), unplaced)
    planned = deciding.decide(inputs)
    orders = orders_of(planned, inputs, connector=connector, instrument=rows.instrument)
    return Prepared(inputs, planned, orders, rows.has_open)


def _read(
    inputs: Inputs,
    connector: Connector,
    rows: "Rows",
    exchange: AccountReader,
    unplaced: Callable[[Inputs], Holding] | None,
) -> Inputs:
    """Read all that the decision depends on, and nothing that it does not."""
    words = instruments.in_words(rows.instrument)
    with_equity = needs_equity(inputs.signal, words.market)
    inputs = replace(
        inputs,
        reserved=rows.reserved(),
        instrument=words,
        account=read_account(connector, exchange, words, with_equity=with_equity),
        shadow=rows.shadow() if words.market is Market.SPOT else None,
    )
    if deciding.needs_price(inputs):
        inputs = _with_prices(inputs, rows, exchange)
    legs = deciding.plan_of(inputs).legs
    if not legs:
        return replace(inputs, now=world.now())
    has_entry = any(leg.intent is Intent.ENTRY for leg in legs)
    if inputs.ticker is None:
        inputs = _with_prices(inputs, rows, exchange)
    fault = clock.fresh_reading(connector, or_raise=True).fault(world.now()) if has_entry else ""
    # What may stop the legs is judged as it is now, not as it was before the account: a position that opened meanwhile
    # is younger than an old exit, and orders of the same moment in other symbols count.
    rows.read_now()
    inputs = replace(inputs, counts=_with_closed_elsewhere(rows, inputs.account))
    states_size = inputs.signal.prev_market_position_size is not None
    if unplaced is not None and not states_size and any(leg.after for leg in legs):
        unheard = inputs.counts.unheard + unplaced(inputs)
        inputs = replace(inputs, counts=replace(inputs.counts, unheard=unheard))
    return replace(
        inputs,
        reserved=max(inputs.reserved, rows.reserved()),
        clock_fault=fault,
        standing=rows.standing(),
        now=world.now(),
    )


def _with_closed_elsewhere(rows: "Rows", account: Account | None) -> Counts:
    """Add to what is unheard of how much less the exchange holds than our fills add up to.

    A guard has fired and its fill is not on record yet, or somebody else has closed it and that is not taken over.
    """
    counts = rows.counts()
    if account is None or rows.instrument.market == Market.SPOT:
        return counts
    ours, there = rows.ours(), account.holding
    gone = Holding(max(ours.long - there.long, Decimal(0)), max(ours.short - there.short, Decimal(0)))
    return replace(counts, unheard=counts.unheard + gone)


class Rows:
    """What our own tables say of a connector and a symbol: before the account is read, and after it what is of now,
    each in one round trip. DoesNotExist when the symbol is not listed."""

    HOLDS_S = 0.05

    def __init__(self, connector: Connector, symbol: str) -> None:
        self.connector = connector
        self.symbol = symbol
        self._at: float | None = None
        self._now_at: float | None = None

    def asked(self) -> list[Asked]:
        """Return the questions whose answers `take` takes."""
        self._at = world.monotonic()
        connector, symbol = self.connector, self.symbol
        return [
            instruments.asked(connector.environment, connector.market, symbol),
            _shadow_of.asked(connector=connector.pk, symbol=symbol),
            on_the_way.asked(connector=connector.pk),
            *asked_standing(connector),
        ]

    def take(self, told: Sequence[Any]) -> None:
        self._listed, self._shadow, self._entries, *self.standing_of_all = told

    def refresh(self) -> None:
        """Ask again what is older than HOLDS_S."""
        if self._at is None or world.monotonic() - self._at > self.HOLDS_S:
            self.take(together(*self.asked()))

    def read_now(self) -> None:
        """Ask what may stop the legs, unless that was done within HOLDS_S, after the account was read."""
        if self._now_at is not None and world.monotonic() - self._now_at <= self.HOLDS_S:
            return
        self._now_at = world.monotonic()
        connector, symbol = self.connector, self.symbol
        self.prices, self._open, self._entries, *told = together(
            asked_price(connector, symbol),
            any_open.asked(connector=connector.pk, symbol=symbol),
            on_the_way.asked(connector=connector.pk),
            *asked_counts(connector),
            *asked_standing(connector, symbol),
        )
        self._counted, self._standing = told[:4], told[4:]

    @property
    def has_open(self) -> bool:
        """Whether an order of ours in the symbol may still trade; False where none was asked for: there is no leg."""
        return self._now_at is not None and bool(self._open)

    @property
    def instrument(self) -> Instrument:
        return instruments.the_one(self._listed, self.symbol)

    def reserved(self) -> Decimal:
        return reserved_by(self._entries, self.instrument.quote)

    def shadow(self) -> ShadowPosition | None:
        return ShadowPosition(short=-self._shadow[0]) if self._shadow else None

    def counts(self) -> Counts:
        return counts_from(self.connector, self.instrument, self._counted)

    def ours(self) -> Holding:
        """Return what our fills in the symbol add up to."""
        return ours_from(self.symbol, self._counted)

    def standing(self) -> Standing:
        return Standing(**_standing_from(self.connector, *self._standing))  # type: ignore[arg-type]

    def ticker(self) -> Ticker | None:
        return read_ticker(self.instrument, self.prices)


_shadow_of = Compiled(
    lambda connector, symbol: ShadowRow.unscoped.filter(connector_id=connector, symbol=symbol).values_list(
        "signed_quantity", flat=True
    )
)


def _with_prices(inputs: Inputs, rows: Rows, exchange: AccountReader) -> Inputs:
    rates = fee_rates(inputs.connector_id, exchange, rows.symbol)
    rows.read_now()
    ticker = rows.ticker()
    if ticker is not None and deciding.counts_from_price(inputs):
        ticker = fresher(rows.instrument, ticker)
    return replace(inputs, ticker=ticker, fee_rates=rates)


def read_standing(signal: Signal, *, origin: Origin, connector: Connector, rows: Rows | None = None) -> Inputs:
    """Return the inputs as far as they need no news from the exchange, from `rows` where the caller has read them."""
    told = rows.standing_of_all if rows is not None else together(*asked_standing(connector))
    subscription = told[1][0]
    stands = _standing_from(connector, *told)
    terms = Terms(
        plan=PlanSettings(ExitExcess(connector.exit_excess), Mismatch(connector.mismatch)),
        limits=limits_of(connector, subscription),
        leverage=connector.leverage,
        margin_mode=MarginMode(connector.margin_mode),
        most_leverage=connector.most_leverage,
        low_balance=LowBalance(connector.low_balance),
    )
    return Inputs(
        signal=signal,
        origin=origin,
        connector_id=connector.pk,
        # Not before how it stands was told: what has ended by then ends no later.
        now=world.now(),
        terms=terms,
        standing=Standing(**stands),  # type: ignore[arg-type]
    )


def orders_of(planned: Planned, inputs: Inputs, *, connector: Connector, instrument: Instrument) -> tuple[Order, ...]:
    """Return the planned legs as unsaved orders; all but the first hang from it."""
    orders = tuple(
        _row(leg, inputs, number, asked=planned.asked, connector=connector, instrument=instrument)
        for number, leg in enumerate(planned.legs)
    )
    for order in orders[1:]:
        order.parent = orders[0]
    return orders


def limits_of(connector: Connector, subscription: Subscription | None = None) -> GuardLimits:
    """Return the connector's own limits, the plan's where it sets none."""
    if subscription is None:
        subscription = _subscription_of(connector)
    terms = subscription.plan
    deviation = connector.max_price_deviation_pct
    return GuardLimits(
        max_order_notional=connector.max_order_notional
        if connector.max_order_notional is not None
        else terms.max_order_notional,
        max_open_notional=connector.max_open_notional
        if connector.max_open_notional is not None
        else terms.max_open_notional,
        max_orders_per_minute=connector.max_orders_per_minute or terms.max_orders_per_minute,
        max_price_deviation_rate=None if deviation is None else deviation / 100,
        allowed_symbols=tuple(connector.allowed_symbols),
        direction=Direction(connector.direction),
        adds=Adds(connector.adds),
        max_adds=connector.max_adds,
        max_open_positions=connector.max_open_positions,
        max_daily_loss=connector.max_daily_loss,
        max_lag_s=connector.max_lag_s,
        entry_wait_s=settings.ENTRY_MAX_AGE_S,
    )


def standing(connector: Connector, symbol: str) -> dict[str, object]:
    """Return the guard facts that do not depend on the leg (the fields of Standing).

    `symbol` "" leaves out the incidents of single symbols.
    """
    return _standing_from(connector, *together(*asked_standing(connector, symbol)))


def asked_standing(connector: Connector, symbol: str = "") -> list[Asked]:
    """Return the questions of `standing`."""
    return [
        _stops.asked(connector=connector.pk),
        _subscriptions.asked(workspace=connector.workspace_id),
        incidents.blocking.asked(connector=connector.pk, symbol=symbol),
        _site.asked(),
    ]


def _standing_from(
    connector: Connector,
    stops: Sequence[tuple[Any, ...]],
    subscriptions: Sequence[Subscription],
    blocking: Sequence[Incident],
    sites: Sequence[str],
) -> dict[str, object]:
    # Not as `connector` has them: a stop may have been pressed since it was read.
    own, deleted_at, paused_at, own_staff, own_reason, workspace, staff, reason = stops[0]
    subscription, incident = subscriptions[0], blocking[0] if blocking else None
    site = sites[0] if sites else TradingState.ACTIVE
    return {
        "site": TradingState(site),
        "staff": strictest(staff, own_staff),
        "staff_reason": reason or own_reason,
        "incident": str(incident) if incident else "",
        "trouble": outages.lookup(connector),
        "workspace": TradingState(workspace),
        "connector": TradingState(own),
        "connector_label": connector.label,
        "deleted_label": connector.label if deleted_at else "",
        "paused_label": connector.label if paused_at else "",
        "trial_ended_at": None if subscription.allows_entries else min(subscription.trial_ends_at, world.now()),
    }


def asked_deleted(connector: Connector) -> Asked:
    """Ask, as a part of the transaction that makes its orders, whether a connector was deleted.

    A deletion that is under way is waited for, and none begins before they are made.
    """
    return Asked(_DELETED, [connector.pk], lambda found: found.rows[0][0])


_DELETED = "SELECT deleted_at IS NOT NULL FROM connectors_connector WHERE id = %s FOR KEY SHARE"


def _subscription_of(connector: Connector) -> Subscription:
    return _subscriptions(workspace=connector.workspace_id)[0]


_stops: Compiled[tuple[Any, ...]] = Compiled(
    lambda connector: Connector.unscoped.filter(pk=connector).values_list(
        *("trading_state", "deleted_at", "paused_at", "staff_state", "staff_reason"),
        *("workspace__trading_state", "workspace__staff_state", "workspace__staff_reason"),
    )
)
_subscriptions: Compiled[Subscription] = Compiled(
    lambda workspace: Subscription.objects.select_related("plan").filter(workspace_id=workspace)
)
_site = Compiled(lambda: PlatformState.objects.filter(pk=1).values_list("trading_state", flat=True))


def refuse(order: Order, denial: Denial) -> None:
    """Make an unsaved order a denied one."""
    order.state = OrderState.EXPIRED if denial.verdict is Verdict.TOO_OLD else OrderState.DENIED
    order.reason_code = denial.code.value
    order.reason = denial.reason(is_opening_leg=order.waits_for_parent)
    order.facts = {**order.facts, "denial": dict(denial.facts)}
    order.next_at = None
    order.finished_at = world.now()


def guard_again(order: Order, sized: sizing.SizedLeg, *, market_price: Decimal | None) -> Denial | None:
    """Check a leg that waited for another one against the guards as they are now."""
    stands = standing(order.connector, order.symbol)
    facts = GuardFacts(
        intent=Intent(order.intent),
        # Not before how it stands was read: what has ended by then ends no later.
        now=world.now(),
        received_at=order.created_at,
        symbol=order.symbol,
        quote=order.instrument.quote,
        is_trading=order.instrument.is_trading,
        delist_at=order.instrument.delist_at,
        signal_price=Decimal(order.facts[SIGNAL_PRICE]) if SIGNAL_PRICE in order.facts else None,
        market_price=market_price,
        order_notional=sized.estimate.notional if sized.estimate else None,
        open_notional=open_notional(order.connector, without=order.pk),
        orders_last_minute=orders_last_minute(order.connector),
        opens=PrevPosition.LONG if order.side == Side.BUY else PrevPosition.SHORT,
        open_elsewhere=open_elsewhere(order.connector, order.symbol),
        lost_today=lost_today(order.connector, order.instrument.quote),
        **stands,  # type: ignore[arg-type]
    )
    return guards.check(facts, limits_of(order.connector)) or _clock_denial(order.connector, Intent(order.intent))


def _row(
    planned: PlannedLeg,
    inputs: Inputs,
    number: int,
    *,
    asked: Mapping[str, str],
    connector: Connector,
    instrument: Instrument,
) -> Order:
    leg = planned.leg
    account = inputs.account.as_facts() if inputs.account else {}
    order = Order(
        id=planned.id,
        workspace_id=connector.workspace_id,
        connector=connector,
        instrument=instrument,
        origin_id=inputs.origin.id,
        leg=leg.code,
        waits_for_parent=leg.after is not None,
        intent=leg.intent.value,
        symbol=instrument.symbol,
        side=leg.side.value,
        order_type=(OrderType.MARKET if leg.price is None else OrderType.LIMIT).value,
        price=leg.price,
        book=leg.book.value,
        quantity=planned.quantity,
        notional=planned.notional,
        reduce_only=leg.reduce_only,
        leverage=planned.leverage,
        margin_mode=planned.margin_mode.value if planned.margin_mode else "",
        client_order_id=planned.client_order_id,
        # A microsecond apart, so that lists show them in the order in which they were planned.
        created_at=inputs.now + timedelta(microseconds=number),
        expires_at=planned.expires_at,
        next_at=planned.next_at,
        facts={
            "account": account,
            "sentence": leg.sentence,
            **({"asked": dict(asked)} if asked else {}),
            **_estimate_facts(planned.sized),
            **({"guards": [guard.as_facts() for guard in planned.guards]} if planned.guards else {}),
            **_told_price(leg, inputs),
            **_left_out(planned),
            **({WAITS_S: _seconds_until(planned.expires_at, inputs)} if planned.expires_at else {}),
        },
    )
    if planned.denial is not None:
        refuse(order, planned.denial)
    return order


def _left_out(planned: PlannedLeg) -> dict[str, str]:
    if planned.sized is None or not planned.sized.cut:
        return {}
    return {LEFT_OUT: normalize_text(planned.leg.quantity - planned.sized.quantity)}


def _told_price(leg: Leg, inputs: Inputs) -> dict[str, str]:
    """A leg that waits is held against the alert's price once more when it is sent."""
    price = inputs.signal.signal_price
    return {} if leg.after is None or price is None else {SIGNAL_PRICE: normalize_text(price)}


def _seconds_until(moment: datetime, inputs: Inputs) -> str:
    return str(round((moment - inputs.origin.received_at).total_seconds()))


def _estimate_facts(sized: sizing.SizedLeg | None) -> dict[str, dict[str, str]]:
    if sized is None or sized.estimate is None:
        return {}
    estimate = sized.estimate
    figures = {"price": estimate.price, "notional": estimate.notional, "fee": estimate.fee, "margin": estimate.margin}
    return {"estimate": {name: normalize_text(value) for name, value in figures.items() if value is not None}}


def _clock_denial(connector: Connector, intent: Intent) -> Denial | None:
    """An entry needs a clock that is known: its signed time is the fence behind which it cannot turn up any more."""
    if intent is not Intent.ENTRY:
        return None
    found = clock.fresh_reading(connector).fault(world.now())
    return Denial(DenialCode.CLOCK_UNTRUSTED, {"found": found}) if found else None
