"""One worker at a time for each (connector, symbol). A lease gives order; safety comes from the order rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.db.models import Exists, OuterRef

from apps.lib import world
from apps.lib.compiled import update_asked
from apps.lib.process import process_name
from apps.lib.statements import UNHURRIED, UNHURRIED_SQL, Asked, committed, run
from apps.trading.models import Lease

# Free whatever our clock is turned back to.
FREE = datetime(1970, 1, 1, tzinfo=UTC)
# The row is locked before its `until` is looked at: of two who take it at once one gets nothing. Taking and giving back
# wait for no disk: a database server that dies may lose both, and the row's id with them. Whoever had the lease then
# must not take the next one's for its own, so a token is drawn, never counted.
_TAKE = """
INSERT INTO trading_lease AS kept (connector_id, symbol, owner, until, token)
SELECT %s::uuid, %s, %s, %s::timestamptz, %s::bigint WHERE {unhurried}
ON CONFLICT (connector_id, symbol) DO UPDATE
SET owner = excluded.owner, until = excluded.until, token = excluded.token WHERE kept.until <= %s
RETURNING id, token
"""
_GIVE_BACK = "UPDATE trading_lease SET until = %s, owner = '' WHERE id = %s AND token = %s AND {unhurried}"
_TOKENS = 2**63


class LeaseLostError(Exception):
    """The lease ran out and another worker has it: start nothing more."""


def length() -> timedelta:
    return timedelta(seconds=settings.LEASE_S)


class HeldLease:
    def __init__(self, row_id: int, token: int) -> None:
        self._row_id = row_id
        self._token = token

    def renew(self, *beside: Asked) -> list[Any]:
        """Hold it for its whole length again; return the answers to `beside`, of then. LeaseLostError."""
        until = update_asked(Lease, {"until": world.now() + length()}, id=self._row_id, token=self._token)
        _, is_ours, *answers = committed(UNHURRIED, until, *beside)
        if not is_ours:
            raise LeaseLostError
        return answers

    def release(self) -> None:
        """Give it back, over a new connection where the database dropped this one: else the symbol waits it out."""
        try:
            self._give_back()
        except (InterfaceError, OperationalError):
            if connection.in_atomic_block:
                raise
            connection.close()
            self._give_back()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _give_back(self) -> None:
        run(_unhurried(_GIVE_BACK), (FREE, self._row_id, self._token))


def take(connector_id: UUID, symbol: str) -> HeldLease | None:
    """Take the lease, or return None while another worker holds it."""
    taking = _taking(connector_id, symbol)
    return taking.read(run(taking.sql, taking.parameters))  # type: ignore[no-any-return]


def take_and_ask(connector_id: UUID, symbol: str, *beside: Asked) -> tuple[HeldLease | None, list[Any]]:
    """Take the lease, and return the answers to `beside` with it, all in one round trip.

    They hold all that whoever had the lease before did under it. An answer that cannot be read gives it back.
    """
    taken: list[HeldLease | None] = []
    taking = _taking(connector_id, symbol)
    try:
        _, *answers = committed(replace(taking, read=lambda found: taken.append(taking.read(found))), *beside)
    except BaseException:
        if taken and taken[0] is not None:
            taken[0].release()
        raise
    return taken[0], answers


def _taking(connector_id: UUID, symbol: str) -> Asked:
    now = world.now()
    token = world.new_id().int % _TOKENS
    values = (connector_id, symbol, process_name(), now + length(), token, now)
    return Asked(_unhurried(_TAKE), values, lambda found: HeldLease(*found.rows[0]) if found.rows else None)


@contextmanager
def held(connector_id: UUID, symbol: str) -> Iterator[HeldLease | None]:
    """Hold the lease for the block; gives None, and nothing is held, when it is taken."""
    lease = take(connector_id, symbol)
    try:
        yield lease
    finally:
        if lease is not None:
            lease.release()


def _unhurried(statement: str) -> str:
    # As a part of a larger transaction it has no say in how that one ends.
    return statement.format(unhurried="true" if connection.in_atomic_block else f"{UNHURRIED_SQL} = 'off'")


def is_taken(connector_id: UUID, symbol: str) -> bool:
    return Lease.objects.filter(connector_id=connector_id, symbol=symbol, until__gt=world.now()).exists()


def taken_for_row(now: datetime) -> Exists:
    """The same as a condition on rows that have `connector_id` and `symbol`."""
    kept = Lease.objects.filter(connector_id=OuterRef("connector_id"), symbol=OuterRef("symbol"))
    return Exists(kept.filter(until__gt=now))
