"""A stored delivery's first look: what does it say, for which symbol, is it one message or several."""

import hashlib
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from uuid import UUID

from django.db import IntegrityError, InterfaceError, OperationalError, transaction
from django.db.models import Q, QuerySet

from apps.alerts.failing import watched
from apps.alerts.models import Alert, AlertStatus
from apps.alerts.payload import Item, parse
from apps.alerts.reasons import Reason, Refusal
from apps.alerts.redaction import mark_of
from apps.connectors import aliases, instruments
from apps.connectors.exchange import ExchangeError, Market
from apps.connectors.symbols import UnknownSymbolError, resolve
from apps.lib import world
from apps.lib.compiled import Compiled, update
from apps.lib.statements import UNHURRIED, ending, together
from apps.trading.signal import Signal

logger = logging.getLogger(__name__)

LOT = 200
# What is said in a delivery up to this size is kept for when it is run.
REMEMBERED_BYTES = 4096
RETRY = timedelta(seconds=2)


class _NoListingError(Exception):
    """Not one symbol is known of `markets`, by environment and market."""

    def __init__(self, markets: Sequence[tuple[str, str]]) -> None:
        super().__init__(markets)
        self.markets = markets


def read_received() -> list[Alert]:
    """Read the deliveries that are due, oldest first; return them as they are on record now."""
    lot: list[UUID] = []
    try:
        return _read_together(lambda: _oldest(now=world.now()), lot)
    except (OperationalError, InterfaceError):
        raise
    except _NoListingError as error:
        _read_listings(error.markets)
    except IntegrityError:
        logger.info("an id among %d deliveries is taken already: one by one", len(lot))
    except Exception:  # one delivery that cannot be read must not keep the others from being read
        logger.exception("%d deliveries could not be read together: one by one", len(lot))
    read: list[Alert] = []
    for alert_id in lot:
        with watched(alert_id):
            read += _read_together(lambda: _one(now=world.now(), alert=alert_id), [], is_alone=True)  # noqa: B023 - called at once
    return read


def _due(now: datetime) -> QuerySet[Alert]:
    return Alert.unscoped.filter(status=AlertStatus.RECEIVED, next_at__lte=now)


def _claimable(now: datetime) -> QuerySet[Alert]:
    """What no other process is reading."""
    rows = _due(now).select_for_update(skip_locked=True, of=("self",))
    return rows.select_related("connector", "pointer", "parent").order_by("received_at", "id")


_oldest = Compiled(lambda now: _claimable(now)[:LOT])
_one = Compiled(lambda now, alert: _claimable(now).filter(pk=alert))
any_due: Compiled[UUID] = Compiled(lambda now: _due(now).order_by().values_list("pk", flat=True)[:1])


@dataclass(frozen=True, slots=True)
class _Names:
    """The symbols of each market, each connector's own names for them, and who has which of the senders' ids already,
    by connector and id."""

    listings: Mapping[tuple[str, str], Collection[str]]
    aliases: Mapping[UUID, Mapping[str, str]]
    originals: Mapping[tuple[UUID, str], Alert]

    @property
    def unlisted(self) -> list[tuple[str, str]]:
        return [market for market, symbols in self.listings.items() if not symbols]


def _names_for(alerts: Sequence[Alert], said: Sequence[Sequence[tuple[int, Item]]]) -> _Names:
    """Ask in one round trip for what the messages are read by."""
    markets = list({(alert.connector.environment, alert.connector.market) for alert in alerts})
    owners = list({(alert.connector.workspace_id, alert.connector_id) for alert in alerts})
    ids = list({key for alert, items in zip(alerts, said, strict=True) for key in _ids_in(alert, items)})
    told = together(
        *(instruments.symbols_of.asked(environment=environment, market=market) for environment, market in markets),
        *(aliases.pairs_of.asked(workspace=workspace, connector=connector) for workspace, connector in owners),
        *(_original.asked(connector=connector, name=name) for connector, name in ids),
    )
    listings, own, originals = (
        told[: len(markets)],
        told[len(markets) : -len(ids) or None],
        told[len(told) - len(ids) :],
    )
    return _Names(
        dict(zip(markets, map(tuple, listings), strict=True)),
        {connector: dict(pairs) for (_, connector), pairs in zip(owners, own, strict=True)},
        {key: found[0] for key, found in zip(ids, originals, strict=True) if found},
    )


def _ids_in(alert: Alert, items: Sequence[tuple[int, Item]]) -> list[tuple[UUID, str]]:
    """Return the sender's id of a delivery that is one message and counts by one."""
    signal = items[0][1].signal if len(items) == 1 else None
    name = _counted_id(signal) if signal is not None else ""
    return [(alert.connector_id, name)] if name else []


def _counted_id(signal: Signal) -> str:
    """Return the id that counts once for ever; that of a test stays free for what is meant."""
    return "" if signal.is_test else signal.external_id


def _read_together(claim: Callable[[], list[Alert]], lot: list[UUID], *, is_alone: bool = False) -> list[Alert]:
    """Read what `claim` gives, all or none; `lot` names what was claimed, also when it raises.

    IntegrityError when another process takes a sender's id meanwhile; an alert that `is_alone` is then a duplicate.
    _NoListingError when a market's listing has to be read first; one that `is_alone` then waits.
    """
    with transaction.atomic():
        claimed = claim()
        lot += [alert.pk for alert in claimed]
        if not claimed:
            return []
        said = [own_items(alert) for alert in claimed]
        names = _names_for(claimed, said)
        if names.unlisted and not is_alone:
            raise _NoListingError(names.unlisted)
        for alert, items in zip(claimed, said, strict=True):
            _read(alert, items, names)
        if is_alone:
            _claim_external_ids(claimed)
        else:
            _mark_known_ids(claimed, names)
        # What is read here is read again, the same, from the body that the webhook committed.
        ending(UNHURRIED, *(alert.kept() for alert in claimed))
    return claimed


def _read(alert: Alert, items: Sequence[tuple[int, Item]], names: _Names) -> None:
    """Decide what the delivery says and put it in the queue, or finish it. The caller holds the row and writes it."""
    alert.read_at = world.now()
    if len(items) > 1:
        _split(alert, items)
    elif items:
        _take(alert, items[0][1], names)
    else:
        finish(alert, AlertStatus.REJECTED, Refusal(Reason.POINTER_UNREADABLE, {"field": "pointer"}))


def own_items(alert: Alert) -> list[tuple[int, Item]]:
    """Return the numbered messages of the delivery that carry the alert's pointer; just its own one for a part."""
    delivery = alert.parent or alert
    own = mark_of(alert.pointer.last4)
    body, strict = bytes(delivery.body), alert.connector.strict_json
    items = _items(body, strict) if len(body) <= REMEMBERED_BYTES else parse(body, strict=strict).items
    if alert.parent is not None:
        return [(alert.part, items[alert.part - 1])]
    return [(number, item) for number, item in enumerate(items, start=1) if item.pointer in {"", own}]


@lru_cache(maxsize=256)
def _items(body: bytes, strict: bool) -> tuple[Item, ...]:
    """The worker that reads a delivery most often runs it too, a few milliseconds later."""
    return parse(body, strict=strict).items


def signal_of(alert: Alert) -> Signal:
    """Return the signal of a queued alert, read again from the delivery's body."""
    signal = own_items(alert)[0][1].signal
    if signal is None:
        raise ValueError(f"alert {alert.pk} holds no signal")
    return signal


def finish(alert: Alert, status: AlertStatus, refusal: Refusal | None = None) -> None:
    """Set the final status on the (unsaved) row."""
    alert.status = status
    alert.finished_at = world.now()
    alert.next_at = None
    if refusal is not None:
        set_reason(alert, refusal.code.value, refusal.sentence, dict(refusal.facts))


def set_reason(alert: Alert, code: str, sentence: str, facts: dict[str, str]) -> None:
    alert.reason_code = code
    alert.reason = sentence[:500]
    alert.facts = facts


def _read_listings(markets: Sequence[tuple[str, str]]) -> None:
    """Read a market's listing before the first alert that needs it, outside any transaction."""
    for environment, market in markets:
        try:
            instruments.sync(environment, market)
        except ExchangeError as error:
            logger.warning("listing of %s %s not read: %s", environment, market, error.sentence)


def _split(alert: Alert, items: Sequence[tuple[int, Item]]) -> None:
    """Give every message of the delivery an alert of its own; a second run makes the same ones."""
    now = world.now()
    parts = [
        Alert(
            workspace_id=alert.workspace_id,
            connector=alert.connector,
            pointer=alert.pointer,
            parent=alert,
            part=number,
            # A microsecond apart, so that the order of the messages is the order of the queue.
            received_at=alert.received_at + timedelta(microseconds=number),
            body=item.normalized.encode(),
            content_type=alert.content_type,
            source_ip=alert.source_ip,
            sender=alert.sender,
            next_at=now,
        )
        for number, item in items
    ]
    Alert.unscoped.bulk_create(parts, ignore_conflicts=True)
    alert.understood = {"messages": str(len(items))}
    finish(alert, AlertStatus.SPLIT)


def _take(alert: Alert, item: Item, names: _Names) -> None:
    alert.understood = dict(item.fields)
    alert.repairs = [{"code": change.code.value, "sentence": change.sentence} for change in item.repairs]
    alert.notes = [{"code": "IGNORED_KEY", "facts": {"key": key}} for key in item.ignored_keys]
    alert.fingerprint = hashlib.sha256(item.normalized.encode()).digest()
    if item.error is not None:
        ignored = item.error.code is Reason.NOT_A_TRADE
        finish(alert, AlertStatus.IGNORED if ignored else AlertStatus.REJECTED, item.error)
        return
    signal = item.signal
    if signal is None:
        raise ValueError("an item without signal or error")
    alert.is_exit = signal.is_exit
    if not _find_symbol(alert, signal, names):
        return
    alert.external_id = _counted_id(signal)
    alert.status = AlertStatus.QUEUED
    alert.next_at = world.now()


def _find_symbol(alert: Alert, signal: Signal, names: _Names) -> bool:
    connector = alert.connector
    listing = names.listings[connector.environment, connector.market]
    if not listing:
        # Not one symbol is known yet: wait, do not judge.
        alert.next_at = world.now() + RETRY
        return False
    try:
        market = Market(connector.market)
        found = resolve(
            signal.ticker,
            market=market,
            listing=listing,
            usd_means_usdt=connector.usd_means_usdt,
            aliases=names.aliases[connector.pk],
        )
    except UnknownSymbolError as error:
        set_reason(alert, error.code, error.sentence, error.facts)
        finish(alert, AlertStatus.REJECTED)
        return False
    alert.symbol = found.symbol
    alert.understood = {**alert.understood, "symbol": found.symbol}
    alert.notes = [*alert.notes, *({"code": "SYMBOL", "facts": {"step": step}} for step in found.steps)]
    return True


def _mark_known_ids(alerts: Sequence[Alert], names: _Names) -> None:
    """Mark as duplicates the alerts whose sender's id an earlier one has, in the lot or on record."""
    first = dict(names.originals)
    for alert in alerts:
        if not alert.external_id:
            continue
        original = first.setdefault((alert.connector_id, alert.external_id), alert)
        if original.pk != alert.pk:
            mark_duplicate(alert, original)


def _claim_external_ids(alerts: Sequence[Alert]) -> None:
    """Take the sender's own id for this connector, for ever; an alert that comes second is a duplicate."""
    for alert in alerts:
        if not alert.external_id:
            continue
        try:
            with transaction.atomic():
                update(Alert, {"external_id": alert.external_id}, id=alert.pk)
        except IntegrityError:
            mark_duplicate(alert, *_original(connector=alert.connector_id, name=alert.external_id))


# By an expression that its partial index has.
_original: Compiled[Alert] = Compiled(
    lambda connector, name: Alert.unscoped.filter(
        ~Q(external_id=""), connector_id=connector, external_id=name, duplicate_of=None
    )
)


def mark_duplicate(alert: Alert, original: Alert) -> None:
    alert.duplicate_of = original
    seconds = (alert.received_at - original.received_at).total_seconds()
    sentence = f"Same alert arrived again after {seconds:.1f} s. It counts once; this delivery was not traded."
    set_reason(alert, "DUPLICATE", sentence, {"original": str(original.pk), "after_s": f"{seconds:.3f}"})
    finish(alert, AlertStatus.DUPLICATE)
