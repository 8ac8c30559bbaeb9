"""Signal → orders ready to be committed. Reads the account and the market, decides, sends nothing."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.db.models import Q, Sum

from apps.accounts.models import PlatformState, Subscription
from apps.accounts.trading_state import TradingState
from apps.connectors import clock, instruments
from apps.connectors.budget import Priority, priority
from apps.connectors.exchange import Exchange, FeeRates, Market, Ticker
from apps.connectors.models import Connector, Instrument
from apps.connectors.policies import ExitExcess, Mismatch
from apps.lib import world
from apps.trading import guards, sizing
from apps.trading.denials import Denial, DenialCode, Verdict
from apps.trading.guards import GuardFacts, GuardLimits
from apps.trading.ids import client_order_id, order_id
from apps.trading.legs import Intent, Leg, Plan, PlanSettings, ShadowPosition
from apps.trading.market import Account, fee_rates, read_account, read_ticker
from apps.trading.models import DOUBTFUL_STATES, Order, OrderState, Position
from apps.trading.planner import plan
from apps.trading.signal import Signal, SignalKind

# A planned order that nobody sent by then is sent by whoever finds it.
UNSENT_AFTER = timedelta(seconds=5)
# The closing order of a reversal has this long before its opening order is given up.
OPEN_LEG_WAIT = timedelta(seconds=60)
# Stands for the balance where a leg is sized again once the leg before it is filled.
_ENOUGH = Decimal(10) ** 30


@dataclass(frozen=True, slots=True)
class Prepared:
    """Unsaved orders in the order they are to be sent, the first one the root; or the denial that left none.

    A leg that a guard refused is an order in state DENIED.
    """

    plan: Plan
    account: Account
    ticker: Ticker | None
    orders: tuple[Order, ...]
    denial: Denial | None


@dataclass(frozen=True, slots=True)
class Origin:
    """What asked: the id orders derive from, and when it reached us."""

    id: UUID
    received_at: datetime


def prepare(
    signal: Signal,
    *,
    origin: Origin,
    connector: Connector,
    instrument: Instrument,
    exchange: Exchange,
    shadow: ShadowPosition | None,
) -> Prepared:
    """Plan, size and guard one signal against the account as it is now. ExchangeError when it could not be read."""
    with priority(Priority.EXIT if signal.is_exit else Priority.ENTRY):
        return _prepare(signal, origin, connector, instrument, exchange, shadow)


def _prepare(
    signal: Signal,
    origin: Origin,
    connector: Connector,
    instrument: Instrument,
    exchange: Exchange,
    shadow: ShadowPosition | None,
) -> Prepared:
    words = instruments.in_words(instrument)
    account = read_account(connector, exchange, words)
    planned = plan(
        signal,
        instrument=words,
        holding=account.holding,
        settings=PlanSettings(ExitExcess(connector.exit_excess), Mismatch(connector.mismatch)),
        position_mode=account.position_mode,
        shadow=shadow,
    )
    refused = planned.denial or planned.outcome
    if refused is not None:
        early = _exit_age_denial(signal, origin, connector, words.quote) if signal.is_exit else None
        return Prepared(planned, account, None, (), early or refused)
    ticker = read_ticker(instrument)
    desk = _Desk(
        signal, origin, connector, instrument, account, ticker, fee_rates(connector.pk, exchange, instrument.symbol)
    )
    orders = tuple(desk.order(leg) for leg in planned.legs)
    root = orders[0]
    for order in orders[1:]:
        order.parent = root
    denial = desk.denials.get(planned.legs[0].code) if root.state == OrderState.DENIED else None
    return Prepared(planned, account, ticker, orders, denial)


def limits_of(connector: Connector) -> GuardLimits:
    """Return the connector's own limits, the plan's where it sets none."""
    terms = Subscription.objects.select_related("plan").get(workspace_id=connector.workspace_id).plan
    return GuardLimits(
        max_order_notional=connector.max_order_notional
        if connector.max_order_notional is not None
        else terms.max_order_notional,
        max_open_notional=connector.max_open_notional
        if connector.max_open_notional is not None
        else terms.max_open_notional,
        max_orders_per_minute=connector.max_orders_per_minute or terms.max_orders_per_minute,
        max_lag_s=connector.max_lag_s,
        entry_wait_s=settings.ENTRY_MAX_AGE_S,
    )


def standing(connector: Connector) -> dict[str, object]:
    """Return the guard facts that do not depend on the leg: breakers, pause and trial."""
    subscription = Subscription.objects.get(workspace_id=connector.workspace_id)
    site = PlatformState.objects.filter(pk=1).values_list("trading_state", flat=True).first() or TradingState.ACTIVE
    return {
        "site": TradingState(site),
        "workspace": TradingState(connector.workspace.trading_state),
        "connector": TradingState(connector.trading_state),
        "connector_label": connector.label,
        "paused_label": connector.label if connector.paused_at else "",
        "trial_ended_at": None if subscription.allows_entries else min(subscription.trial_ends_at, world.now()),
    }


def open_notional(connector: Connector, *, closing: str = "", without: UUID | None = None) -> Decimal:
    """Return what is open on the connector in quote currency: positions at cost, and entries sent or in doubt.

    Positions in the symbol `closing` are on their way out and are left out, as is the order `without`.
    """
    positions = Position.unscoped.filter(connector=connector).exclude(signed_quantity=0).exclude(symbol=closing)
    cost = positions.aggregate(total=Sum("cost"))["total"] or Decimal(0)
    pending = Order.unscoped.filter(
        Q(state__in=[*DOUBTFUL_STATES, OrderState.ACCEPTED, OrderState.PARTIAL]),
        connector=connector,
        intent=Intent.ENTRY,
    )
    if without is not None:
        pending = pending.exclude(pk=without)
    for facts in pending.values_list("facts", flat=True):
        cost += Decimal(facts.get("estimate", {}).get("notional", "0"))
    return cost


def precheck(signal: Signal, *, origin: Origin, connector: Connector) -> Denial | None:
    """Check what needs no news from the exchange; an exit is stopped by a halt only."""
    facts = GuardFacts(
        intent=Intent.EXIT if signal.is_exit else Intent.ENTRY,
        now=world.now(),
        received_at=origin.received_at,
        symbol=signal.ticker,
        quote="",
        sent_at=signal.sent_at,
        signal_max_lag_s=signal.max_lag_s,
        **standing(connector),  # type: ignore[arg-type]
    )
    limits = limits_of(connector)
    checks = [guards.check_halted]
    if not signal.is_exit:
        checks += [guards.check_entry_age, guards.check_reduce_only, guards.check_paused, guards.check_trial]
    return next((denial for check in checks if (denial := check(facts, limits)) is not None), None)


def orders_last_minute(connector: Connector) -> int:
    recent = Order.unscoped.filter(connector=connector, signed_at__gt=world.now() - timedelta(minutes=1))
    return recent.count()


class _Desk:
    """One signal's legs made into orders."""

    def __init__(
        self,
        signal: Signal,
        origin: Origin,
        connector: Connector,
        instrument: Instrument,
        account: Account,
        ticker: Ticker | None,
        rates: FeeRates,
    ) -> None:
        self.signal = signal
        self.origin = origin
        self.connector = connector
        self.instrument = instrument
        self.account = account
        self.ticker = ticker
        self.rates = rates
        self.limits = limits_of(connector)
        self.standing = standing(connector)
        self.denials: dict[str, Denial] = {}

    def order(self, leg: Leg) -> Order:
        is_entry = leg.intent is Intent.ENTRY
        is_futures = self.instrument.market == Market.FUTURES
        # An open position's leverage cannot be changed by the way: keep it.
        leverage = (self.account.leverage or self.connector.leverage) if is_futures and is_entry else None
        margin_mode = (self.account.margin_mode or self.connector.margin_mode) if is_futures and is_entry else ""
        sized = sizing.size(
            leg,
            instrument=instruments.in_words(self.instrument),
            ticker=self.ticker,
            available_quote=_ENOUGH if leg.after else self.account.available_quote,
            fee_rates=self.rates,
            leverage=leverage,
        )
        denial = sized if isinstance(sized, Denial) else None
        denial = self._guard(leg) or denial
        order = self._row(leg, sized if isinstance(sized, sizing.SizedLeg) else None)
        order.leverage, order.margin_mode = leverage, str(margin_mode)
        if denial is not None:
            self.denials[leg.code] = denial
            refuse(order, denial)
        return order

    def _guard(self, leg: Leg) -> Denial | None:
        facts = GuardFacts(
            intent=leg.intent,
            now=world.now(),
            received_at=self.origin.received_at,
            symbol=self.instrument.symbol,
            quote=self.instrument.quote,
            sent_at=self.signal.sent_at,
            signal_max_lag_s=self.signal.max_lag_s,
            signal_price=self.signal.signal_price,
            market_price=self.ticker.last if self.ticker else None,
            is_trading=self.instrument.is_trading,
            delist_at=self.instrument.delist_at,
            has_matching_position=self._has_matching_position(),
            order_notional=sizing.notional_of(
                leg, instrument=instruments.in_words(self.instrument), ticker=self.ticker
            ),
            open_notional=open_notional(self.connector, closing=self.instrument.symbol if leg.after else ""),
            orders_last_minute=orders_last_minute(self.connector),
            **self.standing,  # type: ignore[arg-type]
        )
        return guards.check(facts, self.limits) or _clock_denial(self.connector, leg.intent)

    def _has_matching_position(self) -> bool:
        """False when every open position is younger than the alert: an old exit must not close a new one."""
        told_at = self.signal.sent_at or self.origin.received_at
        positions = Position.unscoped.filter(connector=self.connector, symbol=self.instrument.symbol)
        opened = [
            at for at in positions.exclude(signed_quantity=0).values_list("opened_at", flat=True) if at is not None
        ]
        return not opened or any(at <= told_at for at in opened)

    def _row(self, leg: Leg, sized: sizing.SizedLeg | None) -> Order:
        name = order_id(self.origin.id, connector_id=self.connector.pk, leg=leg.code)
        now = world.now()
        is_entry = leg.intent is Intent.ENTRY
        wait = timedelta(seconds=self.signal.max_lag_s or settings.ENTRY_MAX_AGE_S)
        return Order(
            id=name,
            workspace_id=self.connector.workspace_id,
            connector=self.connector,
            instrument=self.instrument,
            origin_id=self.origin.id,
            leg=leg.code,
            waits_for_parent=leg.after is not None,
            intent=leg.intent.value,
            symbol=self.instrument.symbol,
            side=leg.side.value,
            book=leg.book.value,
            quantity=sized.quantity if sized else leg.quantity,
            notional=sized.notional if sized else None,
            reduce_only=leg.reduce_only,
            client_order_id=client_order_id(name, leg=leg.code),
            created_at=now,
            expires_at=now + OPEN_LEG_WAIT if leg.after else self.origin.received_at + wait if is_entry else None,
            next_at=None if leg.after else now + UNSENT_AFTER,
            facts={"account": self.account.as_facts(), "sentence": leg.sentence, **_estimate_facts(sized)},
        )


def refuse(order: Order, denial: Denial) -> None:
    """Make an unsaved order a denied one."""
    order.state = OrderState.EXPIRED if denial.verdict is Verdict.TOO_OLD else OrderState.DENIED
    order.reason_code = denial.code.value
    order.reason = denial.sentence[:500]
    order.facts = {**order.facts, "denial": dict(denial.facts)}
    order.next_at = None
    order.finished_at = world.now()


def _estimate_facts(sized: sizing.SizedLeg | None) -> dict[str, dict[str, str]]:
    if sized is None or sized.estimate is None:
        return {}
    estimate = sized.estimate
    figures = {"price": estimate.price, "notional": estimate.notional, "fee": estimate.fee, "margin": estimate.margin}
    return {"estimate": {name: f"{value:f}" for name, value in figures.items() if value is not None}}


def _exit_age_denial(signal: Signal, origin: Origin, connector: Connector, quote: str) -> Denial | None:
    """An old exit that finds nothing to close is told that it is old."""
    if signal.kind is not SignalKind.ORDER:
        return None
    facts = GuardFacts(
        intent=Intent.EXIT,
        now=world.now(),
        received_at=origin.received_at,
        symbol=signal.ticker,
        quote=quote,
        connector_label=connector.label,
        sent_at=signal.sent_at,
        has_matching_position=False,
    )
    return guards.check_exit_age(facts, limits_of(connector))


def guard_again(order: Order, sized: sizing.SizedLeg) -> Denial | None:
    """Check a leg that waited for another one against the guards as they are now."""
    facts = GuardFacts(
        intent=Intent(order.intent),
        now=world.now(),
        received_at=order.created_at,
        symbol=order.symbol,
        quote=order.instrument.quote,
        is_trading=order.instrument.is_trading,
        delist_at=order.instrument.delist_at,
        market_price=sized.estimate.price if sized.estimate else None,
        order_notional=sized.estimate.notional if sized.estimate else None,
        open_notional=open_notional(order.connector, without=order.pk),
        orders_last_minute=orders_last_minute(order.connector),
        **standing(order.connector),  # type: ignore[arg-type]
    )
    return guards.check(facts, limits_of(order.connector)) or _clock_denial(order.connector, Intent(order.intent))


def _clock_denial(connector: Connector, intent: Intent) -> Denial | None:
    """An entry needs a clock that is known: its signed time is the fence behind which it cannot turn up any more."""
    if intent is not Intent.ENTRY:
        return None
    found = clock.fresh_reading(connector).fault(world.now())
    return Denial(DenialCode.CLOCK_UNTRUSTED, {"found": found}) if found else None
