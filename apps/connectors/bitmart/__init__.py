"""BitMart behind the Exchange protocol."""

from collections.abc import Callable

from apps.connectors.bitmart.client import Client, system_clock_ms
from apps.connectors.bitmart.futures import AtOnce, FuturesExchange, in_turn
from apps.connectors.bitmart.spot import SpotExchange
from apps.connectors.budget import Budget
from apps.connectors.exchange import Credentials, Exchange, Market, RequestTrace

__all__ = ["open_exchange"]


def open_exchange(
    *,
    market: Market,
    base_url: str,
    credentials: Credentials | None,
    user_agent: str,
    on_trace: Callable[[RequestTrace], None] | None = None,
    clock_ms: Callable[[], int] = system_clock_ms,
    clock_offset_ms: int = 0,
    budget: Budget | None = None,
    outgoing_address: str = "",
    at_once: AtOnce = in_turn,
    on_outcome: Callable[[bool], None] | None = None,
) -> Exchange:
    """Return one account at one market; without credentials only public calls work. Opens no connection yet.

    `clock_ms` and `clock_offset_ms` (venue clock minus ours) date signed queries; the returned object's
    `clock_offset_ms` may be set again. `on_trace` is called after each answer and must not raise. Without `budget`
    requests leave as they come; `outgoing_address` names the address that the venue's limits by address are counted
    for. `at_once` makes the calls beside each other that one answer of ours is made of. `on_outcome` is told of each
    try that left, True when its outcome is unknown, and must not raise.
    """
    client = Client(
        base_url=base_url,
        credentials=credentials,
        user_agent=user_agent,
        on_trace=on_trace,
        clock_ms=clock_ms,
        clock_offset_ms=clock_offset_ms,
        budget=budget,
        outgoing_address=outgoing_address,
        on_outcome=on_outcome,
    )
    return SpotExchange(client) if market is Market.SPOT else FuturesExchange(client, at_once=at_once)
