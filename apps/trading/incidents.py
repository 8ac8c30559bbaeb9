"""What needs a person: opened once for what it is about, mailed once, closed by a person or by the engine itself.

    incidents.open_incident(connector, IncidentKind.ORPHAN_ORDER, symbol=…, order=…, facts={…})
    incidents.resolve(connector, IncidentKind.ORPHAN_ORDER, symbol=…, order=…, how="the order was cancelled")

Both may be called as often as one likes. `facts` are plain texts without secrets: they are shown and mailed.
"""

import logging
from collections.abc import Mapping

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from apps.accounts.models import User, Workspace
from apps.connectors.models import Connector
from apps.lib import world
from apps.lib.compiled import Compiled
from apps.trading.incident_kinds import BLOCKING, TEXTS, IncidentKind, Severity
from apps.trading.models import Incident, Order

logger = logging.getLogger(__name__)


def open_incident(
    connector: Connector,
    kind: IncidentKind,
    *,
    symbol: str = "",
    order: Order | None = None,
    facts: Mapping[str, str] | None = None,
    severity: Severity | None = None,
) -> Incident:
    """Return the open incident about (connector, kind, symbol, order), made now unless it is there already.

    One that is there keeps when it was opened; its facts and `seen_at` become those of now.
    """
    told = dict(facts or {})
    if symbol:
        told.setdefault("symbol", symbol)
    for _ in range(3):
        known = _open(connector, kind, symbol, order).first()
        if known is not None:
            known.facts, known.seen_at = told, world.now()
            known.save(update_fields=["facts", "seen_at"])
            return known
        try:
            with transaction.atomic():
                incident: Incident = Incident.objects.create(
                    workspace_id=connector.workspace_id,
                    connector=connector,
                    kind=kind,
                    severity=severity or TEXTS[kind].severity,
                    symbol=symbol,
                    order=order,
                    facts=told,
                )
        except IntegrityError:
            # Another process opened it in this moment.
            continue
        logger.warning("incident %s opened: %s on connector %s %s", incident.pk, kind, connector.pk, symbol)
        return incident
    raise RuntimeError(f"the incident {kind} of connector {connector.pk} is opened and closed all the time")


def resolve(
    connector: Connector,
    kind: IncidentKind,
    *,
    symbol: str = "",
    order: Order | None = None,
    by: User | None = None,
    how: str = "",
) -> bool:
    """Close the open incident about exactly this; True when there was one."""
    return bool(_open(connector, kind, symbol, order).update(**_closed(by, how)))


def resolve_of_order(order: Order, *kinds: IncidentKind, by: User | None = None, how: str = "") -> int:
    """Close what is open about an order; return how many were."""
    rows = Incident.unscoped.filter(order_id=order.pk, resolved_at=None, kind__in=kinds)
    return int(rows.update(**_closed(by, how)))


def resolve_one(incident: Incident, *, by: User, how: str) -> bool:
    """Close one as a person; False when it was closed already, and for one that the engine closes when it is over."""
    if TEXTS[IncidentKind(incident.kind)].closes_by_itself:
        return False
    rows = Incident.objects.for_workspace(incident.workspace_id).filter(pk=incident.pk, resolved_at=None)
    return bool(rows.update(**_closed(by, how)))


def open_in(workspace: Workspace) -> QuerySet[Incident]:
    rows: QuerySet[Incident] = Incident.objects.for_workspace(workspace).filter(resolved_at=None)
    return rows.select_related("connector", "order").order_by("-opened_at", "-id")


def blocking(connector: Connector, symbol: str) -> Incident | None:
    """Return an open incident that keeps new positions in the symbol from being opened, or None."""
    found = blocking_in(connector=connector.pk, symbol=symbol)
    return found[0] if found else None


blocking_in: Compiled[Incident] = Compiled(
    lambda connector, symbol: Incident.unscoped.filter(
        Q(symbol="") | Q(symbol=symbol), connector_id=connector, resolved_at=None, kind__in=BLOCKING
    ).order_by("opened_at")[:1]
)


def _open(connector: Connector, kind: IncidentKind, symbol: str, order: Order | None) -> QuerySet[Incident]:
    rows: QuerySet[Incident] = Incident.unscoped.filter(connector_id=connector.pk, kind=kind, resolved_at=None)
    # An order has one incident of a kind, whatever symbol it is told with.
    return rows.filter(symbol=symbol, order=None) if order is None else rows.filter(order_id=order.pk)


def _closed(by: User | None, how: str) -> dict[str, object]:
    return {"resolved_at": world.now(), "resolved_by": by, "resolution": how[:300]}
