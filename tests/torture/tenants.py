"""The people of a simulated world: one workspace and one connector for each history, made once, used again."""

import random
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from apps.accounts.models import Membership, PlatformState, Subscription, Workspace
from apps.accounts.trading_state import TradingState
from apps.connectors import outages, outcomes, pointers
from apps.connectors.models import CallCount, Connector, MarketPrice, Outage
from apps.connectors.policies import ExitExcess, Mismatch, SuspectedDuplicate
from apps.lib import world
from apps.lib.compiled import update
from apps.trading import market
from tests.factories import (
    ConnectorFactory,
    InstrumentFactory,
    PointerFactory,
    SpotInstrumentFactory,
    SubscriptionFactory,
)
from tests.torture import database, person
from tests.torture.clock import VirtualWorld

SYMBOLS = {"futures": "BTCUSDT", "spot": "BTC_USDT"}


@dataclass(slots=True)
class Tenant:
    connector: Connector
    credentials: tuple[str, str, str]
    pointer: str

    @property
    def market(self) -> str:
        return str(self.connector.market)

    @property
    def symbol(self) -> str:
        return SYMBOLS[self.market]


def found(count: int) -> list[Tenant]:
    """Make workspaces, connectors and pointers, named alike by every process; every fourth trades on spot."""
    # What is read in the order of their ids comes in the same order for the same seed then.
    with world.replaced(VirtualWorld(count)):
        InstrumentFactory()
        SpotInstrumentFactory()
        person.introduce()
        return [_tenant(number) for number in range(count)]


def _tenant(number: int) -> Tenant:
    credentials = (f"simkey{number:034d}", f"simsecret{number:055d}", f"memo{number}")
    connector = ConnectorFactory(
        workspace=SubscriptionFactory(trial_started_at=world.now()).workspace,
        market="spot" if number % 4 == 3 else "futures",
        credentials=credentials,
    )
    # Before every history, whatever its clocks say: no order of it was sent with another key.
    connector.credentials_set_at -= timedelta(days=1)
    connector.save(update_fields=["credentials_set_at"])
    return Tenant(connector, credentials, pointers.reveal(PointerFactory(connector=connector)))


def begin_anew(tenants: list[Tenant], dice: random.Random, now: object) -> None:
    """Forget what earlier histories left, and let each tenant choose its settings."""
    database.empty(*(model._meta.db_table for model in (CallCount, Outage)))
    MarketPrice.objects.all().delete()
    PlatformState.objects.update(trading_state=TradingState.ACTIVE)
    assert not Membership.objects.exists()
    market._modes._values.clear()
    market._fees._values.clear()
    outcomes.forget()
    outages.forget()
    Workspace.objects.update(trading_state=TradingState.ACTIVE)
    for tenant in tenants:
        row = tenant.connector
        chosen = {
            "trading_state": TradingState.ACTIVE,
            "paused_at": None,
            "deleted_at": None,
            "exit_excess": dice.choice(ExitExcess.values),
            "mismatch": dice.choice([Mismatch.CLOSE_ONLY, Mismatch.CLOSE_ONLY, *Mismatch.values]),
            "suspected_duplicate": dice.choice(SuspectedDuplicate.values),
            "leverage": Decimal(dice.choice([1, 3, 10, 20])),
            # Nothing is looked for from before it.
            "created_at": now,
            "clock_offset_ms": 0,
            "clock_measured_at": now,
        }
        for name, value in chosen.items():
            setattr(row, name, value)
        update(Connector, chosen, id=row.pk)
    Subscription.objects.update(status="trial", trial_ends_at=now + timedelta(days=14))  # type: ignore[operator]
