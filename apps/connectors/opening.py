"""From a connector's row to an open exchange account, and back to sealed credentials."""

import threading
from collections import OrderedDict
from datetime import datetime
from uuid import UUID

from django.conf import settings

from apps.connectors.bitmart import open_exchange
from apps.connectors.budget import Budget
from apps.connectors.budget_redis import RedisWindows
from apps.connectors.budget_windows import LocalWindows
from apps.connectors.exchange import Credentials, Exchange, Market
from apps.connectors.models import Connector, Environment
from apps.connectors.outcomes import outcomes_of
from apps.connectors.sealing import Place, fingerprint, seal, unseal
from apps.lib import world
from apps.lib.pool import at_once

_MOST_OPEN = 500
_open: OrderedDict[UUID, tuple[datetime, Exchange]] = OrderedDict()
_public: dict[tuple[str, str], Exchange] = {}
_budgets: dict[str, Budget] = {}
_lock = threading.Lock()


def open_connector(connector: Connector) -> Exchange:
    """Return the account's exchange, kept open with its warm connections until its credentials change.

    SealError when this process may not open credentials.
    """
    with _lock:
        kept = _open.get(connector.pk)
        if kept is not None and kept[0] == connector.credentials_set_at:
            _open.move_to_end(connector.pk)
            exchange = kept[1]
        else:
            exchange = open_exchange(
                market=Market(connector.market),
                base_url=base_url(connector.environment, connector.market),
                credentials=credentials_of(connector),
                user_agent=settings.USER_AGENT,
                budget=_budget(),
                outgoing_address=_outgoing_address(),
                at_once=at_once,
                on_outcome=outcomes_of(venue_of(connector.environment, connector.market)).count,
            )
            _open[connector.pk] = (connector.credentials_set_at, exchange)
            if len(_open) > _MOST_OPEN:
                _open.popitem(last=False)
    exchange.clock_offset_ms = connector.clock_offset_ms or 0
    return exchange


def open_public(environment: str, market: str) -> Exchange:
    """Return an exchange for public calls only, one for all tenants."""
    with _lock:
        if (environment, market) not in _public:
            _public[environment, market] = open_exchange(
                market=Market(market),
                base_url=base_url(environment, market),
                credentials=None,
                user_agent=settings.USER_AGENT,
                budget=_budget(),
                outgoing_address=_outgoing_address(),
                at_once=at_once,
                on_outcome=outcomes_of(venue_of(environment, market)).count,
            )
        return _public[environment, market]


def _budget() -> Budget:
    """Return the request budget of this process, shared with all others through Redis. The caller holds the lock."""
    url = settings.REDIS_URL
    if url not in _budgets:
        _budgets[url] = Budget(LocalWindows(), RedisWindows(url))
    return _budgets[url]


def _outgoing_address() -> str:
    # Unset, all workers count as behind one address: too careful at worst.
    return settings.OUTGOING_ADDRESS  # type: ignore[no-any-return]


def base_url(environment: str, market: str) -> str:
    if environment == Environment.PAPER:
        return settings.PAPER_URL  # type: ignore[no-any-return]
    return settings.BITMART_SPOT_URL if market == Market.SPOT else settings.BITMART_FUTURES_URL  # type: ignore[no-any-return]


def venue_of(environment: str, market: str) -> str:
    """Name what answers or fails as one: an exchange at one base address."""
    return f"bitmart {base_url(environment, market)}"


def seal_credentials(connector: Connector, access_key: str, secret_key: str, memo: str) -> None:
    """Put new sealed credentials on the (unsaved) row."""
    for name, value in (("access_key", access_key), ("secret_key", secret_key), ("memo", memo)):
        setattr(connector, f"sealed_{name}", seal(value, _place(connector, name)))
    connector.access_key_hint = f"{access_key[:4]}…{access_key[-4:]}"
    connector.key_fingerprint = fingerprint(access_key)
    connector.credentials_set_at = world.now()


def credentials_of(connector: Connector) -> Credentials:
    opened = {
        name: unseal(getattr(connector, f"sealed_{name}"), _place(connector, name)).reveal()
        for name in ("access_key", "secret_key", "memo")
    }
    return Credentials(**opened)


def forget_credentials(connector: Connector) -> None:
    """Erase the sealed credentials of a deleted connector. No process goes on with a copy that it holds open."""
    connector.sealed_access_key = connector.sealed_secret_key = connector.sealed_memo = ""
    connector.key_fingerprint = ""
    connector.credentials_set_at = world.now()


def close_all() -> None:
    """Drop every open connection; a forked child starts with none of its parent's."""
    with _lock:
        _open.clear()
        _public.clear()
        _budgets.clear()


def _place(connector: Connector, field: str) -> Place:
    return Place(workspace_id=connector.workspace_id, row_id=connector.pk, field=field)
