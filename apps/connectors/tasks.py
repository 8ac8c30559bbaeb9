"""Wake-ups and beat work. Arguments are ids only."""

import logging
from datetime import timedelta

from celery import shared_task
from django.db.models import Q

from apps.connectors import instruments
from apps.connectors.check import check, measure_offset_ms
from apps.connectors.exchange import ExchangeError
from apps.connectors.models import CheckStatus, Connector
from apps.connectors.opening import open_public
from apps.lib import world

CHECK_CLAIM = timedelta(minutes=1)
CHECK_EVERY = timedelta(days=1)

logger = logging.getLogger(__name__)


@shared_task
def run_checks() -> int:
    """Check every connector whose check is due; returns how many. A check that dies is done again a minute later."""
    due = Connector.unscoped.filter(check_status=CheckStatus.RUNNING, check_requested_at__lte=world.now())
    done = 0
    for connector_id, requested_at in due.values_list("pk", "check_requested_at"):
        claim = Connector.unscoped.filter(pk=connector_id, check_requested_at=requested_at)
        if claim.update(check_requested_at=world.now() + CHECK_CLAIM):
            check(Connector.unscoped.get(pk=connector_id))
            done += 1
    return done


@shared_task
def check_keys_daily() -> int:
    """Ask for the check of every key that was not checked for a day: permissions change at the exchange."""
    old = Connector.unscoped.filter(deleted_at=None).exclude(sealed_access_key="")
    old = old.filter(Q(checked_at=None) | Q(checked_at__lt=world.now() - CHECK_EVERY))
    return old.exclude(check_status=CheckStatus.RUNNING).update(
        check_status=CheckStatus.RUNNING, check_requested_at=world.now()
    )


@shared_task
def sync_instruments() -> None:
    for environment, market in used_markets():
        try:
            instruments.sync(environment, market)
        except ExchangeError as error:
            logger.warning("instruments of %s %s not read: %s", environment, market, error.sentence)


@shared_task
def measure_clocks() -> None:
    """Measure each venue address once and note the offset on all its connectors."""
    for environment, market in used_markets():
        try:
            offset = measure_offset_ms(open_public(environment, market))
        except ExchangeError as error:
            logger.warning("clock of %s %s not read: %s", environment, market, error.sentence)
            continue
        connectors = Connector.unscoped.filter(~Q(sealed_access_key=""), environment=environment, market=market)
        connectors.update(clock_offset_ms=offset, clock_measured_at=world.now())


def used_markets() -> list[tuple[str, str]]:
    pairs = Connector.unscoped.filter(deleted_at=None).values_list("environment", "market").distinct()
    return sorted(pairs)
