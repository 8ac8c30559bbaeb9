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
from apps.lib.compiled import Compiled, update
from apps.lib.statements import run
from apps.trading.incident_kinds import BLOCKING, TEXTS, IncidentKind, Severity
from apps.trading.models import Incident, Order

logger = logging.getLogger(__name__)


_CLOSE_OF_ORDER = """
UPDATE trading_incident SET resolved_at = %s, resolved_by_id = %s, resolution = %s
WHERE order_id = %s AND resolved_at IS NULL AND kind = ANY(%s)
"""


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
        found = (
            _of_symbol(connector=connector.pk, kind=kind.value, symbol=symbol)
            if order is None
            else _of_order(connector=connector.pk, kind=kind.value, order=order.pk)
        )
        for known in found:
            known.facts, known.seen_at = told, world.now()
            news = {"facts": known.facts, "seen_at": known.seen_at}
            # What was closed in this moment is over: found to be so again, it is opened anew.
            if update(Incident, news, id=known.pk, resolved_at=None):
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


def renew(connector: Connector, kind: IncidentKind, *, order: Order, facts: Mapping[str, str]) -> bool:
    """Say what is so now on the open incident about an order; False when there is none, and none is opened."""
    of = {"connector_id": connector.pk, "kind": kind.value, "order_id": order.pk, "resolved_at": None}
    return bool(update(Incident, {"facts": dict(facts), "seen_at": world.now()}, **of))


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
    of = {"symbol": symbol, "order_id": None} if order is None else {"order_id": order.pk}
    return bool(update(Incident, _closed(by, how), connector_id=connector.pk, kind=kind.value, resolved_at=None, **of))


def resolve_of_order(order: Order, *kinds: IncidentKind, by: User | None = None, how: str = "") -> int:
    """Close what is open about an order; return how many were."""
    return run(_CLOSE_OF_ORDER, (*_closed(by, how).values(), order.pk, [kind.value for kind in kinds])).count


def resolve_one(incident: Incident, *, by: User, how: str) -> bool:
    """Close one as a person; False when it was closed already, and for one that the engine closes when it is over."""
    if TEXTS[IncidentKind(incident.kind)].closes_by_itself:
        return False
    rows = Incident.objects.for_workspace(incident.workspace_id).filter(pk=incident.pk, resolved_at=None)
    return bool(rows.update(**_closed(by, how)))


def open_in(workspace: Workspace) -> QuerySet[Incident]:
    rows: QuerySet[Incident] = Incident.objects.for_workspace(workspace).filter(resolved_at=None)
    return rows.select_related("connector", "order").order_by("-opened_at", "-id")


# An open incident that keeps new positions in the symbol from being opened, if there is one.
blocking: Compiled[Incident] = Compiled(
    lambda connector, symbol: Incident.unscoped.filter(
        Q(symbol="") | Q(symbol=symbol), connector_id=connector, resolved_at=None, kind__in=BLOCKING
    ).order_by("opened_at")[:1]
)


# An order has one incident of a kind, whatever symbol it is told with.
_of_order: Compiled[Incident] = Compiled(
    lambda connector, kind, order: Incident.unscoped.filter(
        connector_id=connector, kind=kind, order_id=order, resolved_at=None
    )
)
_of_symbol: Compiled[Incident] = Compiled(
    lambda connector, kind, symbol: Incident.unscoped.filter(
        connector_id=connector, kind=kind, symbol=symbol, order=None, resolved_at=None
    )
)


def _closed(by: User | None, how: str) -> dict[str, object]:
    return {"resolved_at": world.now(), "resolved_by_id": by.pk if by else None, "resolution": how[:300]}
