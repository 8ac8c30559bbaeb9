"""Reads across the rooms for the dashboard."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from allauth.account.models import EmailAddress
from allauth.mfa.utils import is_mfa_enabled
from django.urls import reverse

from apps.accounts.models import User, Workspace
from apps.alerts import queries as alerts
from apps.alerts.models import Alert
from apps.connectors.models import CheckStatus, Connector
from apps.lib import world
from apps.lib.templatetags.figures import amount
from apps.trading import incidents
from apps.trading import queries as trading
from apps.trading.models import Fill, Incident

RECENTLY = timedelta(hours=24)
LIMITS_IN = "USDT"


@dataclass(frozen=True, slots=True)
class Attention:
    """Something a person should look at now."""

    level: str
    sentence: str
    url: str
    action: str


@dataclass(frozen=True, slots=True)
class Step:
    """One step of setting up, done or not."""

    title: str
    detail: str
    is_done: bool
    url: str
    action: str


def attention(workspace: Workspace, connectors: list[Connector], *, has_doubts: bool) -> tuple[Attention, ...]:
    """Return what stands in the way, worst first. Four queries at most.

    `has_doubts`: an order of today is in doubt. One that is so for longer than five minutes is an incident.
    """
    open_incidents = list(incidents.open_in(workspace)[:5])
    told = {incident.order_id for incident in open_incidents}
    return (
        *_of_incidents(open_incidents),
        *(_of_orders(workspace, told=told) if has_doubts else ()),
        *(_of_connector(connector) for connector in connectors if connector.check_status == CheckStatus.FAILED),
        *_of_losses(workspace, connectors),
        *_of_held(workspace),
    )


def onboarding(user: User, workspace: Workspace) -> tuple[Step, ...]:
    connectors = list(Connector.objects.for_workspace(workspace).filter(deleted_at=None).order_by("created_at", "id"))
    first = reverse("connectors:detail", args=[connectors[0].pk]) if connectors else reverse("connectors:new")
    return (
        Step(
            "Confirm your e-mail address", "It is where problems are reported.",
            EmailAddress.objects.filter(user=user, verified=True).exists(), reverse("account_email"), "Confirm",
        ),
        Step(
            "Add a connector", "A paper account takes one click and no keys.",
            bool(connectors), reverse("connectors:new"), "Add connector",
        ),
        Step(
            "See the check succeed", "Key, clock and permissions, line by line.",
            any(connector.check_status == CheckStatus.OK for connector in connectors), first, "Open connector",
        ),
        Step(
            "Paste the message into a TradingView alert", "Ticks itself when the first alert arrives.",
            Alert.objects.for_workspace(workspace).exists(), first, "Copy message",
        ),
        Step(
            "See the first order filled", "Each alert has a page that says what became of it.",
            Fill.objects.for_workspace(workspace).exists(), reverse("alerts:list"), "Open alerts",
        ),
        Step(
            "Turn on two-factor login", "Needed before the first live connector.",
            is_mfa_enabled(user), reverse("mfa_index"), "Turn on",
        ),
    )  # fmt: skip


def _of_incidents(open_incidents: list[Incident]) -> tuple[Attention, ...]:
    return tuple(
        Attention(
            str(incident.severity),
            f"{incident.connector.label}: {incident.what}",
            reverse("trading:incident", args=[incident.pk]),
            "Open incident",
        )
        for incident in open_incidents
    )


def _of_orders(workspace: Workspace, *, told: set[UUID | None]) -> tuple[Attention, ...]:
    return tuple(
        Attention(
            "error",
            f"{order.connector.label}: the exchange has not said what became of {order.side} {order.symbol}. "
            "It is being asked again; the order is not sent twice.",
            reverse("trading:order", args=[order.pk]),
            "Open order",
        )
        for order in trading.orders_in_doubt(workspace)[:5]
        if order.pk not in told
    )


def _of_connector(connector: Connector) -> Attention:
    failed = next(
        (line["sentence"] for line in connector.check_lines if line.get("ok") is False), "The last check failed."
    )
    url = reverse("connectors:detail", args=[connector.pk])
    return Attention("error", f"{connector.label}: {failed}", url, "Open connector")


def _of_losses(workspace: Workspace, connectors: list[Connector]) -> tuple[Attention, ...]:
    """Say which connectors take no new position for today: so far only a refused alert would tell."""
    most = {connector.pk: connector.max_daily_loss for connector in connectors if connector.max_daily_loss is not None}
    if not most:
        return ()
    # UTC, as the guard counts: a limit has one meaning for all members.
    midnight = world.now().replace(hour=0, minute=0, second=0, microsecond=0)
    lost = trading.lost_since(workspace, midnight, currency=LIMITS_IN, connectors=most)
    return tuple(
        Attention(
            "warning",
            f"{connector.label}: {amount(lost[connector.pk], 2)} {LIMITS_IN} were lost today, the most is "
            f"{amount(most[connector.pk], 2)} {LIMITS_IN}. New positions are off until "
            f"{midnight + timedelta(days=1):%Y-%m-%d %H:%M} UTC; exits still work.",
            reverse("connectors:settings", args=[connector.pk]),
            "Change the limit",
        )
        for connector in connectors
        if connector.pk in lost and lost[connector.pk] >= most[connector.pk]
    )


def _of_held(workspace: Workspace) -> tuple[Attention, ...]:
    waiting = list(alerts.held(workspace).filter(received_at__gte=world.now() - RECENTLY)[:2])
    if not waiting:
        return ()
    if len(waiting) == 1:
        url = reverse("alerts:detail", args=[waiting[0].pk])
        return (Attention("warning", "An alert is held and waits for your decision.", url, "Decide"),)
    url = f"{reverse('alerts:list')}?status=held"
    return (Attention("warning", "Several alerts are held and wait for your decision.", url, "Decide"),)
