"""The breaker of a venue: while half of its calls have no certain answer, nobody opens a position there.

    closed       of at least ten calls in the last minute, all processes together, half are ambiguous → open
    open         30 s without entries; exits, cancels and queries go on as always
    half open    three calls whose half is not ambiguous prove that it answers. Then one entry at a time may try: a
                 certain answer closes it. Without an entry it closes 30 s later. Ambiguous answers open it again

Each process counts in memory (`outcomes`) and tells the others through a row, at once while half of its calls are
ambiguous, else every ten seconds. Where half of all calls are ambiguous, half of some process's are, so none opens
late; what the others did in the last ten seconds may be missing. PostgreSQL holds what is open: one row a venue.

`lookup` and `settle` are called where a piece of work begins or ends, outside of transactions, never in between.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F, Q, QuerySet

from apps.accounts.models import User
from apps.connectors.exchange import (
    CredentialsError,
    ExchangeError,
    NotSentError,
    NotSupportedError,
    RateLimitError,
    UnreachableError,
)
from apps.connectors.models import MARKETS, CallCount, Connector, Environment, Outage
from apps.connectors.opening import open_public, venue_of
from apps.connectors.outcomes import WINDOW_S, Count, Trouble, outcomes_of, total, venues_called
from apps.lib import world
from apps.lib.compiled import Compiled
from apps.lib.process import this_process
from apps.lib.statements import run

logger = logging.getLogger(__name__)

CALLS_AT_LEAST = 10
PAUSE = timedelta(seconds=30)
PROBES = 3
QUIET = timedelta(seconds=30)
# An entry that was let through to try and is not heard of again keeps others back no longer.
TRIAL_AT_MOST = timedelta(seconds=30)
# What was read of a venue's breaker holds so long in this process.
HOLDS_S = 2.0
FORGOTTEN_AFTER = timedelta(hours=1)

_TELL = """
INSERT INTO connectors_callcount (venue, process, at, counts) VALUES (%s, %s, %s, %s::jsonb)
ON CONFLICT (venue, process) DO UPDATE SET at = excluded.at, counts = excluded.counts
"""

_known: dict[str, tuple[float, Outage | None]] = {}


@dataclass(frozen=True, slots=True)
class Trial:
    """One entry that is let through to find out whether the venue takes orders."""

    outage: Outage


class EntriesOffError(Exception):
    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.venue)
        self.trouble = trouble


def lookup(connector: Connector) -> Trouble | None:
    """Say why no entry of the connector may be planned now; None when one may."""
    venue = venue_of(connector.environment, connector.market)
    _settle(venue)
    outage = _outage(venue)
    if outage is None or _may_try(outage):
        return None
    outage = _outage_anew(venue)
    return None if outage is None or _may_try(outage) else trouble_of(outage)


def admit(connector: Connector) -> Trial | None:
    """Let an entry pass that is about to be sent; EntriesOffError when it may not.

    A trial is to be `finished`.
    """
    venue = venue_of(connector.environment, connector.market)
    outage = _outage(venue)
    if outage is None:
        return None
    outage = _outage_anew(venue)
    if outage is None:
        return None
    if _may_try(outage) and _claim_trial(outage):
        _known.pop(venue, None)
        return Trial(outage)
    raise EntriesOffError(trouble_of(outage))


def finish(trial: Trial | None, error: ExchangeError | None) -> None:
    """Note how the exchange answered the entry that tried: with `error`, or it took it."""
    if trial is None:
        return
    outage, now = trial.outage, world.now()
    if isinstance(error, UnreachableError):
        _open_again(outage, outage.calls, outage.ambiguous)
    elif isinstance(error, NotSentError) or (
        isinstance(error, RateLimitError | CredentialsError | NotSupportedError) and not error.code
    ):
        # Nothing was learned: it never left, or a gateway turned it away.
        _still_open(outage).update(trial_at=None)
    else:
        _close(outage, now, "An entry got a certain answer.")
    _known.pop(outage.venue, None)


def settle() -> None:
    """Tell others what this process has counted where that is due, and act on it."""
    for venue in venues_called():
        _settle(venue)


def tend() -> None:
    """Bring back what nobody's call brings back: ask each venue that was left alone long enough. For the sweeper."""
    settle()
    tended = _all_open()
    for outage in tended:
        if world.now() < outage.half_open_at:
            continue
        where = _place_of(outage.venue)
        if where is None:
            _close(outage, world.now(), "No connector is at this address any more.")
            continue
        _judge(outage.venue)
        left = Outage.objects.filter(pk=outage.pk, closed_at=None, probed_at=None, half_open_at__lte=world.now())
        if left.exists():
            try:
                open_public(*where).server_time_ms()
            except ExchangeError as error:
                logger.warning("probe of %s: %s", outage.venue, error.sentence)
            _judge(outage.venue)
    if tended:
        # Processes that are gone leave a row each, which nobody reads; this is where it is cheap to tidy up.
        CallCount.objects.filter(at__lt=world.now() - FORGOTTEN_AFTER).delete()


def close_by_hand(outage: Outage, by: User) -> bool:
    """Switch entries on again; False when they were on. What was counted before counts no more."""
    now = world.now()
    _known.pop(outage.venue, None)
    return bool(
        _still_open(outage).update(closed_at=now, half_open_at=now, closed_by=by, closed_how="Closed by staff.")
    )


def open_now() -> "QuerySet[Outage]":
    return Outage.objects.filter(closed_at=None).order_by("opened_at")


def trouble_of(outage: Outage) -> Trouble:
    return Trouble(label_of(outage.venue), outage.opened_at, outage.calls, outage.ambiguous)


def label_of(venue: str) -> str:
    """Name a venue for people."""
    where = _place_of(venue)
    if where is None:
        return venue
    environment, market = where
    return "the paper exchange" if environment == Environment.PAPER else dict(MARKETS)[market]


def forget() -> None:
    """For a test: what was read is not of now."""
    _known.clear()


_all_open: Compiled[Outage] = Compiled(lambda: Outage.objects.filter(closed_at=None))
_open_at: Compiled[Outage] = Compiled(lambda venue: Outage.objects.filter(venue=venue, closed_at=None))
_newest_at: Compiled[Outage] = Compiled(
    lambda venue: Outage.objects.filter(venue=venue).order_by("-opened_at", "-id")[:1]
)
_others: Compiled[tuple[datetime, list[list[float]]]] = Compiled(
    lambda venue, since, process: (
        CallCount.objects.filter(venue=venue, at__gt=since).filter(~Q(process=process)).values_list("at", "counts")
    )
)


def _outage(venue: str) -> Outage | None:
    """Return the venue's open breaker, as it was up to two seconds ago."""
    now = world.monotonic()
    known = _known.get(venue)
    if known is not None and 0 <= now - known[0] < HOLDS_S:
        return known[1]
    found = _open_at(venue=venue)
    outage = found[0] if found else None
    _known[venue] = (now, outage)
    return outage


def _outage_anew(venue: str) -> Outage | None:
    _known.pop(venue, None)
    return _outage(venue)


def _may_try(outage: Outage) -> bool:
    if outage.probed_at is None or world.now() < outage.half_open_at:
        return False
    return outage.trial_at is None or world.now() - outage.trial_at > TRIAL_AT_MOST


def _claim_trial(outage: Outage) -> bool:
    now = world.now()
    rows = _still_open(outage).filter(probed_at=outage.probed_at, half_open_at__lte=now)
    free = Q(trial_at=None) | Q(trial_at__lt=now - TRIAL_AT_MOST)
    return bool(rows.filter(free).update(trial_at=now))


def _settle(venue: str) -> None:
    known = _known.get(venue)
    if outcomes_of(venue).is_due(is_watched=known is not None and known[1] is not None):
        _judge(venue)


def _judge(venue: str) -> None:
    """Open, close or open again by what all processes have counted."""
    now, process = world.now(), this_process()[:120]
    own = outcomes_of(venue).tell()
    run(_TELL, (venue, process, now, _as_json(own)))
    newest = _newest_at(venue=venue)
    outage = newest[0] if newest else None
    counts = own + _told(venue, process, now)
    # What was before its end is the old trouble's.
    within_s = WINDOW_S if outage is None else min(WINDOW_S, (now - outage.half_open_at).total_seconds())
    calls, ambiguous = total(counts, within_s=within_s)
    if outage is not None and outage.closed_at is None:
        if now >= outage.half_open_at:
            _decide(outage, now, calls, ambiguous)
    elif calls >= CALLS_AT_LEAST and 2 * ambiguous >= calls:
        _open(venue, now, calls, ambiguous)
    else:
        _known[venue] = (world.monotonic(), None)
        return
    _outage_anew(venue)


def _told(venue: str, process: str, now: datetime) -> list[Count]:
    """Return what other processes have counted, as old as it is now."""
    told = _others(venue=venue, since=now - timedelta(seconds=WINDOW_S), process=process)
    return [
        Count(age_s + (now - at).total_seconds(), int(calls), int(ambiguous))
        for at, counts in told
        for age_s, calls, ambiguous in counts
    ]


def _open(venue: str, now: datetime, calls: int, ambiguous: int) -> None:
    opened = Outage(venue=venue, opened_at=now, half_open_at=now + PAUSE, calls=calls, ambiguous=ambiguous)
    # Another process may have opened it in this moment.
    Outage.objects.bulk_create([opened], ignore_conflicts=True)
    logger.error("entries off at %s: %s of %s calls ambiguous", venue, ambiguous, calls)


def _decide(outage: Outage, now: datetime, calls: int, ambiguous: int) -> None:
    if ambiguous and 2 * ambiguous >= calls:
        _open_again(outage, calls, ambiguous)
    elif calls < PROBES:
        return
    elif outage.probed_at is None:
        _still_open(outage).filter(half_open_at=outage.half_open_at).update(probed_at=now)
    elif now - outage.probed_at >= QUIET:
        _close(outage, now, "It answers again.")


def _open_again(outage: Outage, calls: int, ambiguous: int) -> None:
    again = _still_open(outage).filter(half_open_at=outage.half_open_at)
    if again.update(
        half_open_at=world.now() + PAUSE,
        probed_at=None,
        trial_at=None,
        calls=calls,
        ambiguous=ambiguous,
        reopened=F("reopened") + 1,
    ):
        logger.error("entries stay off at %s", outage.venue)


def _close(outage: Outage, now: datetime, how: str) -> None:
    if _still_open(outage).filter(half_open_at=outage.half_open_at).update(closed_at=now, closed_how=how):
        logger.warning("entries on again at %s: %s", outage.venue, how)


def _still_open(outage: Outage) -> "QuerySet[Outage]":
    return Outage.objects.filter(pk=outage.pk, closed_at=None)


def _place_of(venue: str) -> tuple[str, str] | None:
    places = ((environment, market) for environment in Environment.values for market, _ in MARKETS)
    return next((place for place in places if venue_of(*place) == venue), None)


def _as_json(counts: list[Count]) -> str:
    return "[" + ",".join(f"[{count.age_s:.3f},{count.calls},{count.ambiguous}]" for count in counts) + "]"
