"""What the stream process reads from our rows and writes to them. A push never changes an order's state or money."""

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Least

from apps.connectors import check
from apps.connectors.exchange import Credentials, Market
from apps.connectors.models import CheckStatus, Connector
from apps.connectors.opening import credentials_of
from apps.connectors.sealing import SealError
from apps.connectors.stream_pool import Account, Venue
from apps.connectors.streams import OrderPushed
from apps.lib import world
from apps.lib.compiled import Compiled, Each
from apps.trading.models import LIVE_STATES, Order, OrderState, Position

logger = logging.getLogger(__name__)

# Whose sender still works on it is not followed yet.
FOLLOWED_STATES = LIVE_STATES | {OrderState.UNKNOWN}
RECENTLY = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Push:
    """`connector_ids` are all connectors of the account that the push came to; the order belongs to one of them."""

    connector_ids: frozenset[UUID]
    order: OrderPushed


class Accounts:
    """The connectors in use with their keys, each key opened once."""

    def __init__(self) -> None:
        self._opened: dict[UUID, tuple[datetime, Credentials | None]] = {}

    def read(self) -> list[Account]:
        """Return them, those with orders at the exchange first; one whose key cannot be opened is left out."""
        rows = list(_in_use().values_list("pk", "environment", "market", "credentials_set_at", "clock_offset_ms"))
        self._open(row[0] for row in rows if self._opened.get(row[0], (None,))[0] != row[3])
        self._opened = {row[0]: self._opened[row[0]] for row in rows if row[0] in self._opened}
        accounts = []
        for connector_id, environment, market, _, offset in rows:
            _, credentials = self._opened.get(connector_id, (None, None))
            if credentials is not None:
                accounts.append(Account(connector_id, environment, Market(market), credentials, offset or 0))
        return accounts

    def _open(self, connector_ids: Iterable[UUID]) -> None:
        for connector in Connector.unscoped.filter(pk__in=list(connector_ids)):
            credentials = None
            try:
                credentials = credentials_of(connector)
            except SealError as error:
                logger.error("connector %s has no stream: %s", connector.pk, error)
            self._opened[connector.pk] = connector.credentials_set_at, credentials


def _in_use() -> QuerySet[Any]:
    live = Order.unscoped.filter(connector=OuterRef("pk"), state__in=FOLLOWED_STATES)
    rows = Connector.unscoped.filter(deleted_at=None).exclude(sealed_access_key="")
    first: QuerySet[Any] = rows.annotate(has_live=Exists(live)).order_by("-has_live", "created_at", "pk")
    return first


def wanted_symbols() -> dict[Venue, set[str]]:
    """Return the symbols that somebody holds, just held, or trades."""
    since = world.now() - RECENTLY
    positions = Position.unscoped.filter(~Q(signed_quantity=0) | Q(last_fill_at__gt=since))
    orders = Order.unscoped.filter(Q(created_at__gt=since) | Q(state__in=FOLLOWED_STATES))
    wanted: dict[Venue, set[str]] = defaultdict(set)
    for rows in (positions, orders):
        listed = rows.order_by().values_list("instrument__environment", "instrument__market", "instrument__symbol")
        for environment, market, symbol in listed.distinct():
            wanted[environment, Market(market)].add(symbol)
    return dict(wanted)


def mark_due(pushes: Sequence[Push]) -> list[Push]:
    """Make due now every order of which a push tells more than our row knows; return those pushes."""
    told: dict[str, list[Push]] = defaultdict(list)
    for push in pushes:
        for name in {push.order.client_order_id, push.order.exchange_order_id} - {""}:
            told[name].append(push)
    connectors = frozenset[UUID]().union(*(push.connector_ids for push in pushes))
    behind: dict[UUID, list[Push]] = {}
    for order in _followed(names=Each(told), connectors=Each(connectors)):
        about = [push for name in (order.client_order_id, order.exchange_order_id) for push in told.get(name, ())]
        news = [push for push in about if order.connector_id in push.connector_ids and _tells_more(push.order, order)]
        if news:
            behind[order.pk] = news
    # A push is a sign of life: absences counted before it prove nothing, also where the next look is due already.
    alive = Order.unscoped.filter(pk__in=behind, state__in=FOLLOWED_STATES)
    now = world.now()
    doubted = alive.filter(Q(next_at__gt=now) | Q(next_at=None) | Q(not_found_count__gt=0))
    doubted.update(next_at=Least("next_at", Value(now)), not_found_count=0)
    return list({id(push): push for news in behind.values() for push in news}.values())


# At its exchange and not over. Most pushes are echoes of what a worker does: this is all that they cost.
_followed = Compiled(
    lambda names, connectors: Order.unscoped.filter(
        Q(client_order_id__among=names) | Q(exchange_order_id__among=names),
        connector__pk__among=connectors,
        state__in=sorted(FOLLOWED_STATES),
    )
)


def mark_all_due(connector_ids: Collection[UUID]) -> int:
    """Make due now what these accounts have at the exchange: a stream that was away may have missed anything.

    UNKNOWN orders keep their pace: two absences a while apart prove that an order was never placed.
    """
    return _look_now(Order.unscoped.filter(connector_id__in=connector_ids, state__in=LIVE_STATES))


def request_checks(connector_ids: Collection[UUID]) -> int:
    """Have connectors checked whose key a stream login was refused for, so that their page says what is wrong."""
    fine = Connector.unscoped.filter(pk__in=connector_ids, check_status__in=[CheckStatus.NEVER, CheckStatus.OK])
    connectors = list(fine)
    for connector in connectors:
        check.request(connector)
    return len(connectors)


def _tells_more(push: OrderPushed, order: Order) -> bool:
    return push.is_final or push.filled_quantity > order.filled_quantity or order.state == OrderState.UNKNOWN


def _look_now(orders: QuerySet[Any]) -> int:
    now = world.now()
    return orders.filter(Q(next_at__gt=now) | Q(next_at=None)).update(next_at=now)
