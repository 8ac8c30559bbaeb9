"""What a message would do now: read, planned, sized and guarded as if it had just arrived, and nothing is sent.

The web process cannot open exchange keys, so a preview is a row that a worker fills and the page looks for. The
account is opened with `looking`, which has no way to trade; what would be sent comes out of the very function that
decides for real alerts.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import F

from apps.alerts import clearing
from apps.alerts.encoding import decode
from apps.alerts.models import Alert, Preview
from apps.alerts.payload import Item, parse
from apps.alerts.redaction import redact_text
from apps.alerts.unplaced import unplaced
from apps.connectors import aliases, instruments
from apps.connectors.budget import Priority
from apps.connectors.exchange import CredentialsError, ExchangeError, Market
from apps.connectors.looking import look_at
from apps.connectors.models import Connector
from apps.connectors.opening import open_public
from apps.connectors.sealing import SealError
from apps.connectors.symbols import UnknownSymbolError, resolve
from apps.lib import wakeups, world
from apps.lib.frozen import ThawError, freeze, thaw
from apps.trading import liquidation
from apps.trading.inputs import Inputs, Origin
from apps.trading.legs import Intent
from apps.trading.liquidation import Liquidation
from apps.trading.outline import Outline, outline_of
from apps.trading.placing import Prepared, prepare, read_standing
from apps.trading.signal import Signal

logger = logging.getLogger(__name__)

TASK = "apps.alerts.tasks.answer_previews"
MOST_A_MINUTE = 10
MOST_CHARACTERS = 16_000
CLAIM = timedelta(minutes=1)
MOST_TRIES = 3
KEPT_FOR = timedelta(days=30)
VERSION = 1


class PreviewLimitError(Exception):
    """Too many previews of one connector within a minute: each asks the exchange."""


@dataclass(frozen=True, slots=True)
class MessageAnswer:
    """One message of the text. `code` and `sentence` say why it could not be planned, "" when it was.

    `liquidation` is None on spot, for cross margin, for exits, and where the exchange did not tell its brackets.
    """

    number: int
    understood: Mapping[str, str]
    repairs: tuple[str, ...] = ()
    ignored_keys: tuple[str, ...] = ()
    code: str = ""
    sentence: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[str, ...] = ()
    inputs: Inputs | None = None
    outline: Outline | None = None
    liquidation: Liquidation | None = None
    taken_back: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    messages: tuple[MessageAnswer, ...]


def request(connector: Connector, text: str, *, alert: Alert | None = None) -> Preview:
    """Ask a trading process what `text` would do; whole pointers in it are cut before it is stored."""
    now = world.now()
    recent = Preview.objects.for_workspace(connector.workspace_id).filter(connector=connector)
    if recent.filter(requested_at__gt=now - timedelta(minutes=1)).count() >= MOST_A_MINUTE:
        raise PreviewLimitError
    preview: Preview = Preview.objects.create(
        workspace_id=connector.workspace_id,
        connector=connector,
        alert=alert,
        text=redact_text(text.replace("\0", ""))[:MOST_CHARACTERS],
        requested_at=now,
        next_at=now,
    )
    transaction.on_commit(lambda: wakeups.publish(TASK))
    return preview


def request_test(alert: Alert) -> Preview | None:
    """Ask what the alert's own message would do now; None when too many were asked within a minute."""
    try:
        return request(alert.connector, decode(bytes(alert.body)).text, alert=alert)
    except PreviewLimitError:
        return None


def example_message(connector: Connector, last4: str) -> str:
    """Return a message to start from: what the connector's last alert traded, and its pointer as shown in alerts."""
    rows = Alert.objects.for_workspace(connector.workspace_id).filter(connector=connector).exclude(symbol="")
    symbol = rows.order_by("-received_at").values_list("symbol", flat=True).first() or "BTCUSDT"
    message = {"ticker": symbol, "action": "buy", "prev_position": "flat", "quantity": "0.01"}
    return json.dumps(message | {"pointer": f"••••{last4.lower()}"}, indent=2, ensure_ascii=False)


def forget_old() -> int:
    """Delete questions that were asked too long ago; return how many. What belongs to a test alert stays with it."""
    old = Preview.unscoped.filter(alert=None, requested_at__lt=world.now() - KEPT_FOR)
    return int(old.delete()[0])


def answer_due() -> int:
    """Answer every preview that waits; return how many. One that dies is tried again a minute later, a few times."""
    due = Preview.unscoped.filter(next_at__lte=world.now()).order_by("requested_at").values_list("pk", "next_at")
    done = 0
    for preview_id, next_at in due[:50]:
        claim = Preview.unscoped.filter(pk=preview_id, next_at=next_at)
        # Counted before it is tried: a try that our own code or the process did not survive is one too.
        if claim.update(next_at=world.now() + CLAIM, tries=F("tries") + 1):
            _answer(Preview.unscoped.select_related("connector", "connector__workspace").get(pk=preview_id))
            done += 1
    return done


def answer_in(preview: Preview) -> Answer | None:
    """Return what a worker found; None while there is nothing, or another release wrote it."""
    if not preview.answer or preview.version != VERSION:
        return None
    try:
        return thaw(Answer, preview.answer)
    except ThawError:
        return None


def prepare_preview(signal: Signal, *, origin_id: UUID, connector: Connector, symbol: str) -> Prepared:
    """Decide as for an alert that arrives now. Sends nothing: the orders are not stored."""
    origin = Origin(origin_id, world.now())
    return prepare(
        read_standing(signal, origin=origin, connector=connector),
        connector=connector,
        symbol=symbol,
        open_account=lambda: look_at(connector),
        urgency=Priority.RECONCILE,
        unplaced=lambda inputs: unplaced(connector, symbol, inputs),
    )


def _taken_back(prepared: Prepared, connector: Connector, symbol: str) -> tuple[str, ...]:
    """Return our own open orders that a real alert would take back before or beside what it sends."""
    if prepared.inputs.account is None:
        return ()
    key = (connector.pk, symbol)
    found = clearing.in_the_way(prepared.inputs.signal, key) | clearing.in_the_way_of(prepared, key)
    orders = {order.pk: order for order in (*found, *clearing.left_behind(prepared, key))}
    return tuple(str(order) for order in sorted(orders.values(), key=lambda order: order.created_at))


def _answer(preview: Preview) -> None:
    if preview.tries > MOST_TRIES:
        logger.error("preview %s put aside after %d tries", preview.pk, MOST_TRIES)
        _fail(preview, "INTERNAL_ERROR", "Something went wrong on our side. Please tell support.")
        return
    try:
        items = parse(preview.text.encode(), strict=preview.connector.strict_json).items
        answer = Answer(tuple(_message(preview, number, item) for number, item in enumerate(items, start=1)))
    except SealError:
        _fail(preview, "KEY_UNREADABLE", "The stored exchange key cannot be opened: enter the key again.")
    except CredentialsError as error:
        _fail(preview, error.reason_code, error.sentence)
    except ExchangeError as error:
        if preview.tries < MOST_TRIES:
            # Unless the claim ran out and another worker has it, or has answered it, by now.
            own = Preview.unscoped.filter(pk=preview.pk, next_at=preview.next_at)
            own.update(next_at=world.now() + timedelta(seconds=preview.tries))
            return
        _fail(preview, "EXCHANGE_UNREACHABLE", f"{error.sentence} Try again in a minute.")
    else:
        preview.answer, preview.version = freeze(answer), VERSION
        _finish(preview)


def _message(preview: Preview, number: int, item: Item) -> MessageAnswer:
    repairs = tuple(change.sentence for change in item.repairs)
    if item.error is not None or item.signal is None:
        code, sentence, facts = "", "", {}
        if item.error is not None:
            code, sentence, facts = item.error.code.value, item.error.sentence, dict(item.error.facts)
        return MessageAnswer(number, item.fields, repairs, item.ignored_keys, code, sentence, facts)
    connector = preview.connector
    try:
        found = resolve(
            item.signal.ticker,
            market=Market(connector.market),
            listing=_listing(connector),
            usd_means_usdt=connector.usd_means_usdt,
            aliases=aliases.of(connector),
        )
    except UnknownSymbolError as error:
        return MessageAnswer(number, item.fields, repairs, item.ignored_keys, error.code, error.sentence, error.facts)
    # The messages of one text are told apart, as their alerts would be.
    name = preview.pk if number == 1 else UUID(int=preview.pk.int ^ number)
    prepared = prepare_preview(item.signal, origin_id=name, connector=connector, symbol=found.symbol)
    return MessageAnswer(
        number=number,
        understood={**item.fields, "symbol": found.symbol},
        repairs=repairs,
        ignored_keys=item.ignored_keys,
        steps=tuple(found.steps),
        inputs=prepared.inputs,
        outline=outline_of(prepared.planned),
        liquidation=_liquidation(prepared),
        taken_back=_taken_back(prepared, connector, found.symbol),
    )


def _listing(connector: Connector) -> tuple[str, ...]:
    if not instruments.is_synced(connector.environment, connector.market):
        instruments.sync(connector.environment, connector.market)
    return tuple(instruments.listing(connector.environment, connector.market))


def _liquidation(prepared: Prepared) -> Liquidation | None:
    opening = next((leg for leg in prepared.planned.legs if leg.leg.intent is Intent.ENTRY), None)
    if opening is None or opening.margin_mode != "isolated" or opening.sized is None:
        return None
    cost, order = opening.sized.estimate, prepared.orders[0]
    if cost is None:
        return None
    try:
        brackets = open_public(order.connector.environment, order.connector.market).leverage_brackets(order.symbol)
    except ExchangeError as error:
        logger.info("brackets of %s not read: %s", order.symbol, error.sentence)
        return None
    return liquidation.estimate(
        opening.leg.side,
        price=cost.price,
        notional=cost.notional,
        leverage=opening.leverage or Decimal(1),
        brackets=brackets,
    )


def _fail(preview: Preview, code: str, sentence: str) -> None:
    preview.reason_code, preview.reason = code, f"{sentence} Nothing was sent."[:500]
    _finish(preview)


def _finish(preview: Preview) -> None:
    preview.next_at, preview.answered_at = None, world.now()
    preview.save(update_fields=["answer", "version", "reason_code", "reason", "next_at", "answered_at"])
