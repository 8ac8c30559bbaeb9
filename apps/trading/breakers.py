"""What switches entries off by itself: a key that is refused, a key that can withdraw. An open incident is the switch.

It closes by itself once the reason is gone; exits are tried all the while.

A key may read and not trade: what orders were refused for is counted apart, and only an order that the exchange takes
clears it. Since a switch that is on lets no entry through, a check of the key that succeeded after the last refusal
opens it half: the next order tells, and a refused one closes it at once.
"""

import logging
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce

from apps.connectors.exchange import CredentialsError
from apps.connectors.models import CheckStatus, Connector
from apps.lib import world
from apps.lib.compiled import Compiled
from apps.lib.statements import run, together
from apps.trading import incidents
from apps.trading.incident_kinds import IncidentKind
from apps.trading.models import AccountWatch, Incident, Order

logger = logging.getLogger(__name__)

REFUSED_AT_LEAST = 3
REFUSED_FOR = timedelta(seconds=60)

_READ_NOW = "UPDATE trading_accountwatch SET next_at = %s WHERE connector_id = %s AND next_at > %s"
_COUNT_REFUSAL = "UPDATE trading_accountwatch SET refused_count = refused_count + 1, refused_since = %s WHERE id = %s"
_WITHDRAWS = [{"what": "Withdrawal", "ok": False}]


def suspect(connector_id: UUID) -> None:
    """A call of ours was refused for its key: have the account read now, which tells whether that stands."""
    now = world.now()
    run(_READ_NOW, (now, connector_id, now))


def refused(connector: Connector, watch: AccountWatch, error: CredentialsError) -> None:
    """Count a refusal of the key; after three over more than a minute entries are off."""
    now = world.now()
    since = watch.refused_since or now
    run(_COUNT_REFUSAL, (since, watch.pk))
    if watch.refused_count + 1 < REFUSED_AT_LEAST or now - since <= REFUSED_FOR:
        return
    why = f"{error.sentence} ({error.reason})"
    incidents.open_incident(connector, IncidentKind.KEY_REFUSED, facts={"why": why})


def order_refused(connector: Connector, error: CredentialsError) -> None:
    """Count an order that was refused for the key; after three in a row over more than a minute entries are off."""
    suspect(connector.pk)
    now = world.now()
    watch, _ = AccountWatch.unscoped.get_or_create(
        connector_id=connector.pk, defaults={"workspace_id": connector.workspace_id}
    )
    rows = AccountWatch.unscoped.filter(pk=watch.pk)
    if _took_an_order(watch):
        rows.update(orders_refused_count=0, orders_refused_since=None)
    rows.update(
        orders_refused_count=F("orders_refused_count") + 1,
        orders_refused_since=Coalesce("orders_refused_since", now),
        orders_refused_at=now,
    )
    watch.refresh_from_db()
    if _refuses_orders(watch):
        why = f"Orders are refused. {error.sentence} ({error.reason})"
        incidents.open_incident(connector, IncidentKind.KEY_REFUSED, facts={"why": why})


def accepted(connector: Connector, watch: AccountWatch) -> None:
    """The key was accepted for reading: what reads were refused for is over, and orders where one was taken since."""
    if not watch.refused_count and not watch.orders_refused_count:
        return
    # Whoever dies on the way leaves the counts: without them nobody would look at the incident again.
    with transaction.atomic():
        _clear(connector, watch)


def _clear(connector: Connector, watch: AccountWatch) -> None:
    how = "The exchange accepts the key again."
    AccountWatch.unscoped.filter(pk=watch.pk).update(refused_count=0, refused_since=None)
    if _took_an_order(watch):
        same = AccountWatch.unscoped.filter(pk=watch.pk, orders_refused_at=watch.orders_refused_at)
        if not same.update(orders_refused_count=0, orders_refused_since=None):
            return
    elif _refuses_orders(watch):
        if not _checked_since(connector, watch):
            return
        how = "The key was checked anew: the next order tells whether it may trade."
    incidents.resolve(connector, IncidentKind.KEY_REFUSED, how=how)


def _refuses_orders(watch: AccountWatch) -> bool:
    since, newest = watch.orders_refused_since, watch.orders_refused_at
    if since is None or newest is None:
        return False
    return watch.orders_refused_count >= REFUSED_AT_LEAST and newest - since > REFUSED_FOR


def _took_an_order(watch: AccountWatch) -> bool:
    """True when the exchange has acknowledged an order that we sent after it had refused the last one."""
    if not watch.orders_refused_count:
        return False
    sent = Order.unscoped.filter(connector_id=watch.connector_id, attempt__gt=0)
    return sent.filter(acknowledged_at__gt=watch.orders_refused_at).exists()


def _checked_since(connector: Connector, watch: AccountWatch) -> bool:
    at, newest = connector.checked_at, watch.orders_refused_at
    return connector.check_status == CheckStatus.OK and at is not None and newest is not None and at > newest


def review_keys() -> None:
    """Act on what the newest checks found about the permission to withdraw."""
    may_withdraw, no_longer = together(_may_withdraw.asked(), _no_longer.asked())
    for connector in may_withdraw:
        incidents.open_incident(connector, IncidentKind.WITHDRAWAL_ALLOWED)
    for incident in no_longer:
        incidents.resolve(
            incident.connector, IncidentKind.WITHDRAWAL_ALLOWED, how="The newest check found no such permission."
        )


def _told() -> "QuerySet[Incident]":
    return Incident.unscoped.filter(kind=IncidentKind.WITHDRAWAL_ALLOWED, resolved_at=None)


_may_withdraw: Compiled[Connector] = Compiled(
    lambda: Connector.unscoped.filter(deleted_at=None, check_lines__contains=_WITHDRAWS).exclude(
        pk__in=_told().values("connector_id")
    )
)
_no_longer: Compiled[Incident] = Compiled(
    lambda: (
        _told()
        .filter(connector__check_status=CheckStatus.OK)
        .exclude(connector__check_lines__contains=_WITHDRAWS)
        .select_related("connector")
    )
)
