"""One row of every model, so that no admin page is tested empty."""

from decimal import Decimal
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.utils import timezone

from apps.accounts.models import AuditEvent, PlatformState, User
from apps.connectors.models import CallCount, Outage
from apps.trading.models import (
    AccountWatch,
    Adjustment,
    Flatten,
    Lease,
    OrderEvent,
    PlanRecord,
    Protection,
    ShadowPosition,
    WorkerHeartbeat,
)
from tests import factories

TOTP_SECRET = "canary-totp-0123456789abcdef"
OURS = ("accounts", "connectors", "strategies", "trading", "alerts")


def our_models() -> list[type[Model]]:
    return [model for label in OURS for model in apps.get_app_config(label).get_models()]


def one_of_each() -> dict[type[Model], Any]:
    """Return a row of every model of ours and of those others the admin shows, all of one workspace."""
    membership = factories.MembershipFactory()
    workspace, user = membership.workspace, membership.user
    connector = factories.ConnectorFactory(workspace=workspace)
    instrument = factories.InstrumentFactory()
    alert = factories.AlertFactory(pointer=factories.PointerFactory(connector=connector))
    order = factories.OrderFactory(
        connector=connector, instrument=instrument, origin_id=alert.pk, exchange_order_id="987654321"
    )
    place = {"workspace": workspace, "connector": connector}
    fill = factories.FillFactory(order=order)
    rows: list[Model] = [
        user, workspace, membership, workspace.subscription, workspace.subscription.plan, connector, alert,
        alert.pointer, instrument, order, fill,
        factories.MarketPriceFactory(instrument=instrument),
        factories.InstrumentChangeFactory(instrument=instrument),
        factories.SymbolAliasFactory(connector=connector),
        factories.PositionFactory(connector=connector, instrument=instrument),
        factories.LedgerEntryFactory(connector=connector, fill=fill),
        factories.EquityPointFactory(connector=connector),
        factories.IncidentFactory(connector=connector, order=order),
        factories.StrategyFactory(),
        factories.PreviewFactory(connector=connector, alert=alert),
        PlatformState.objects.get_or_create(id=1)[0],
        Outage.objects.create(venue="bitmart http://venue.test", calls=12, ambiguous=7, half_open_at=timezone.now()),
        CallCount.objects.create(venue="bitmart http://venue.test", process="host:1", at=timezone.now(), counts=[]),
        AuditEvent.objects.create(workspace=workspace, actor=user, action="connector.created", object_id=connector.pk),
        OrderEvent.objects.create(workspace=workspace, order=order, to_state="planned", version=1, cause="planned"),
        Flatten.objects.create(**place),
        AccountWatch.objects.create(**place),
        Adjustment.objects.create(
            **place, symbol="BTCUSDT", cause="external", change=Decimal(-10), price=Decimal(60000)
        ),
        Protection.objects.create(
            **place, entry=order, number=0, kind="stop_loss", symbol=order.symbol, book="net", side="sell",
            guard={"kind": "stop_loss", "price": "58000", "weight": "1"}, price=Decimal(58000), client_order_id="zs0",
        ),
        ShadowPosition.objects.create(**place, symbol="BTC_USDT"),
        PlanRecord.objects.create(**place, origin_id=alert.pk, at=timezone.now(), version=1, inputs={}, outline={}),
        Lease.objects.create(connector=connector, symbol="BTCUSDT", until=timezone.now()),
        WorkerHeartbeat.objects.create(name="worker-1", kind="worker", at=timezone.now()),
        EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=False),
        Authenticator.objects.create(user=user, type="totp", data={"secret": TOTP_SECRET}),
        LogEntry.objects.create(
            user=user, content_type=ContentType.objects.get_for_model(User), object_id=str(user.pk), object_repr="x",
            action_flag=CHANGE,
        ),
        Group.objects.create(name="support"),
    ]  # fmt: skip
    return {type(row): row for row in rows}
