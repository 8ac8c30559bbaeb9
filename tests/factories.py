"""One factory a model. Times default to now; money to round figures."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import factory
from django.utils import timezone

from apps.accounts.models import TRIAL_LENGTH, Membership, Plan, Role, Subscription, User, Workspace
from apps.alerts.models import Alert, Preview
from apps.connectors import pointers
from apps.connectors.models import (
    Connector,
    Environment,
    Instrument,
    InstrumentChange,
    MarketPrice,
    Pointer,
    SymbolAlias,
)
from apps.connectors.opening import seal_credentials
from apps.strategies.models import Strategy
from apps.trading.models import EquityPoint, Fill, Incident, LedgerEntry, Order, Position

CREDENTIALS = ("canary-access-key-0123456789abcdef", "canary-secret-key-0123456789abcdef", "canary-memo-0123")
PASSWORD = "correct horse battery staple"


class UserFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = User
        skip_postgeneration_save = True

    email = factory.Sequence(lambda n: f"trader{n}@example.com")
    password = factory.django.Password(PASSWORD)


class PlanFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Plan
        django_get_or_create = ("code",)

    code = "trial"
    name = "Trial"


class WorkspaceFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Workspace

    name = factory.Sequence(lambda n: f"Desk {n}")


class SubscriptionFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Subscription

    workspace = factory.SubFactory(WorkspaceFactory)
    plan = factory.SubFactory(PlanFactory)
    trial_started_at = factory.LazyFunction(timezone.now)
    trial_ends_at = factory.LazyAttribute(lambda o: o.trial_started_at + TRIAL_LENGTH)


class MembershipFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Membership

    workspace = factory.LazyFunction(lambda: SubscriptionFactory().workspace)
    user = factory.SubFactory(UserFactory)
    role = Role.OWNER


class ConnectorFactory(factory.django.DjangoModelFactory):
    """Sealed with marked credentials; pass `credentials=(access_key, secret_key, memo)` for real ones."""

    class Meta:
        model = Connector

    credentials = CREDENTIALS
    workspace = factory.LazyFunction(lambda: MembershipFactory().workspace)
    label = factory.Sequence(lambda n: f"Connector {n}")
    market = "futures"
    environment = Environment.PAPER
    # Measured, as after the check that every connector begins with: the address's allowance is for other tests.
    clock_offset_ms = 0
    clock_measured_at = factory.LazyFunction(timezone.now)

    @classmethod
    def _create(cls, model_class: type[Connector], *args: Any, **kwargs: Any) -> Connector:
        credentials = kwargs.pop("credentials")
        connector = model_class(**kwargs)
        seal_credentials(connector, *credentials)
        connector.save(force_insert=True)
        return connector


class PointerFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Pointer

    connector = factory.SubFactory(ConnectorFactory)
    source = Pointer.Source.TRADINGVIEW

    @classmethod
    def _create(cls, model_class: type[Pointer], *args: Any, **kwargs: Any) -> Pointer:
        return pointers.issue(kwargs["connector"], source=kwargs["source"])


class InstrumentFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Instrument
        django_get_or_create = ("environment", "market", "symbol")

    environment = Environment.PAPER
    market = "futures"
    symbol = "BTCUSDT"
    base = "BTC"
    quote = "USDT"
    contract_size = Decimal("0.001")
    quantity_step = Decimal(1)
    price_tick = Decimal("0.1")
    min_quantity = Decimal(1)
    max_quantity = Decimal(1000000)
    min_notional = Decimal(0)
    max_leverage = Decimal(100)


class SpotInstrumentFactory(InstrumentFactory):
    market = "spot"
    symbol = "BTC_USDT"
    contract_size = Decimal(1)
    quantity_step = Decimal("0.00001")
    price_tick = Decimal("0.01")
    min_quantity = Decimal("0.00001")
    max_quantity = Decimal(99999999)
    min_notional = Decimal(5)
    max_leverage = None


class InstrumentChangeFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = InstrumentChange

    instrument = factory.SubFactory(InstrumentFactory)
    at = factory.LazyFunction(timezone.now)
    field = "max_leverage"
    old = "100"
    new = "50"


class SymbolAliasFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = SymbolAlias

    connector = factory.SubFactory(ConnectorFactory)
    workspace = factory.SelfAttribute("connector.workspace")
    ticker = "XAUUSD"
    symbol = "XAUTUSDT"


class MarketPriceFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = MarketPrice

    instrument = factory.SubFactory(InstrumentFactory)
    last = mark = Decimal(60000)
    at = factory.LazyFunction(timezone.now)


class AlertFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Alert

    pointer = factory.SubFactory(PointerFactory)
    connector = factory.SelfAttribute("pointer.connector")
    workspace = factory.SelfAttribute("pointer.workspace")
    body = (
        '{"ticker":"BTCUSDT.P","action":"buy","prev_position":"flat","quantity":"0.01","pointer":"••••abcd"}'.encode()
    )


class PreviewFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Preview

    connector = factory.SubFactory(ConnectorFactory)
    workspace = factory.SelfAttribute("connector.workspace")
    text = "{}"
    next_at = factory.LazyFunction(timezone.now)


class OrderFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Order

    connector = factory.SubFactory(ConnectorFactory)
    workspace = factory.SelfAttribute("connector.workspace")
    instrument = factory.SubFactory(InstrumentFactory)
    origin_id = factory.Faker("uuid4", cast_to=None)
    leg = "o"
    intent = "entry"
    symbol = factory.SelfAttribute("instrument.symbol")
    side = "buy"
    quantity = Decimal(10)
    client_order_id = factory.Sequence(lambda n: f"zo0test{n:021d}")


class FillFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Fill

    order = factory.SubFactory(OrderFactory)
    connector = factory.SelfAttribute("order.connector")
    workspace = factory.SelfAttribute("order.workspace")
    trade_id = factory.Sequence(lambda n: f"{n + 1}")
    symbol = factory.SelfAttribute("order.symbol")
    side = factory.SelfAttribute("order.side")
    price = Decimal(60000)
    quantity = Decimal(10)
    fee = Decimal("0.36")
    fee_currency = "USDT"
    role = "taker"
    filled_at = factory.LazyFunction(timezone.now)


class PositionFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Position

    connector = factory.SubFactory(ConnectorFactory)
    workspace = factory.SelfAttribute("connector.workspace")
    instrument = factory.SubFactory(InstrumentFactory)
    symbol = factory.SelfAttribute("instrument.symbol")
    signed_quantity = Decimal(10)
    avg_entry_price = Decimal(60000)
    cost = factory.LazyAttribute(lambda o: abs(o.signed_quantity) * o.instrument.contract_size * o.avg_entry_price)


class LedgerEntryFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = LedgerEntry

    connector = factory.SubFactory(ConnectorFactory)
    workspace = factory.SelfAttribute("connector.workspace")
    kind = "fee"
    amount = Decimal("-0.36")
    currency = "USDT"
    at = factory.LazyFunction(timezone.now)


class EquityPointFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = EquityPoint

    connector = factory.SubFactory(ConnectorFactory)
    workspace = factory.SelfAttribute("connector.workspace")
    at = factory.LazyFunction(timezone.now)
    equity = Decimal(10000)


class IncidentFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Incident

    connector = factory.SubFactory(ConnectorFactory)
    workspace = factory.SelfAttribute("connector.workspace")
    kind = "position_differs"
    severity = "error"
    symbol = "BTCUSDT"
    facts = {"ours": "long 10", "theirs": "flat", "did": "New positions in it are off."}


class StrategyFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Strategy

    slug = factory.Sequence(lambda n: f"strategy-{n}")
    name = factory.Sequence(lambda n: f"Strategy {n}")
    summary = "Buys strength, sells weakness."
    rules = "Buys when the fast average crosses above the slow one."
    market = "futures"
    ticker = "BTCUSDT.P"
    timeframe = "4h"
    chart_url = "https://www.tradingview.com/chart/?symbol=BITMART%3ABTCUSDT.P"
    status = Strategy.Status.PUBLISHED


def ago(**parts: float) -> Any:
    return timezone.now() - timedelta(**parts)
