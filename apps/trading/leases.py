"""One worker at a time for each (connector, symbol). A lease gives order; safety comes from the order rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import F

from apps.lib import world
from apps.lib.process import process_name
from apps.trading.models import Lease


class LeaseLostError(Exception):
    """The lease ran out and another worker has it: start nothing more."""


def length() -> timedelta:
    return timedelta(seconds=settings.LEASE_S)


class HeldLease:
    def __init__(self, row_id: int, token: int) -> None:
        self._row_id = row_id
        self._token = token

    def renew(self) -> None:
        row = Lease.objects.filter(pk=self._row_id, token=self._token)
        if not row.update(until=world.now() + length()):
            raise LeaseLostError

    def release(self) -> None:
        Lease.objects.filter(pk=self._row_id, token=self._token).update(until=world.now(), owner="")


def take(connector_id: UUID, symbol: str) -> HeldLease | None:
    """Take the lease, or return None while another worker holds it."""
    now = world.now()
    row, _ = Lease.objects.get_or_create(connector_id=connector_id, symbol=symbol, defaults={"until": now})
    free = Lease.objects.filter(pk=row.pk, token=row.token, until__lte=now)
    if not free.update(owner=process_name(), until=now + length(), token=F("token") + 1):
        return None
    return HeldLease(row.pk, row.token + 1)


@contextmanager
def held(connector_id: UUID, symbol: str) -> Iterator[HeldLease | None]:
    """Hold the lease for the block; gives None, and nothing is held, when it is taken."""
    lease = take(connector_id, symbol)
    try:
        yield lease
    finally:
        if lease is not None:
            lease.release()


def is_taken(connector_id: UUID, symbol: str) -> bool:
    return Lease.objects.filter(connector_id=connector_id, symbol=symbol, until__gt=world.now()).exists()
