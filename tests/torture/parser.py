"""The parser against whatever may arrive: damaged real messages, invented ones, bytes.

`python -m tests.torture parser --count N --seed S`; input `n` of a seed is always the same one. Every input is read
with all keys carried out, with none, strictly, and again from its canonical form.
"""

import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from decimal import Decimal
from functools import cache
from pathlib import Path
from random import Random

from apps.alerts.body_shapes import read_shape
from apps.alerts.keys import MANDATORY, OPTIONAL, option_of
from apps.alerts.payload import MAX_MESSAGES, Item, parse
from apps.alerts.reasons import Reason
from apps.alerts.redaction import find_pointers, redact
from apps.connectors.exchange import OrderType
from apps.trading.signal import ExitTarget, QuantityType, Signal, SignalKind
from tests.torture.tally import Tally

ROOT = Path(__file__).resolve().parents[2]
POINTER = "sf_" + "abcdefgh" * 4
MARK = "••••efgh"
NOTHING_REFUSED = frozenset[str]()
# As if nothing carried out any option: each must then be refused, never ignored.
ALL_REFUSED = frozenset(map(option_of, OPTIONAL[OPTIONAL.index("order_type") :]))
_ROW = re.compile(r"^\| `([A-Z_]+)` \|", re.MULTILINE)
_LARGEST = Decimal(10) ** 16

_PIECES = (
    '"', "'", "“", "”", "’", "{", "}", "[", "]", ",", ":", "\\", "\\n", "\n", "\r\n", "=", "&", "%7B", "%22", "//",
    "/*", "*/", "#", "#x#", "{{x}}", "{{strategy.order.action}}", "%bot_symbol%", "null", "NaN", "-Infinity", "True",
    "None", "1e999", "1e-05", "1,000", "0,5", "-1", "\0", "\ufeff", "\u200b", "\u00a0", "\\ud800", "\\u0000", "••••",
    "０", "10%", POINTER, POINTER.upper(), "\\u0073" + POINTER[1:], "payload=", '"test":true', '"closeall":"true"',
    '"cancel":true', "REPLACE_WITH_SIZE",
)  # fmt: skip
_NUMBERS = (
    "1", "0.1", "12.5", "100", "100.5", "60000", "70000", "0", "-1", "1e-18", "1e15", "9e99", "1,234.5", "0,5", "5%",
    "1_000", ".5", "+2.", "NaN", "Infinity", "", "null", "{{plot_0}}", "0.1 BTC", "1" * 70, "０.５",
)  # fmt: skip
_TYPICAL = {
    "ticker": ("BTCUSDT", "BINANCE:BTCUSDT.P", "^BTCUSDT", "FX_DL:EURUSD", "{{ticker}}"),
    "action": ("buy", "sell", "BUY", "long", "short", "close"),
    "prev_position": ("flat", "long", "short", "Long", "none"),
    "pointer": (MARK, MARK, MARK, POINTER, "m1K3Y"),
    "closeall": ("true", True, 1, "false"),
    "hedgemode": ("hedge", "HEDGE", "off"),
    "market_position": ("flat", "long", "short"),
    "prev_market_position": ("flat", "long", "short"),
    "time": ("2026-01-31T15:04:05Z", "2026-01-31T15:04:05", "{{timenow}}"),
    "id": ("a-1", "x" * 65, "é"),
    "test": (True, False, "true", "maybe"),
    "order_type": ("market", "limit", "LIMIT", "stop", "banana"),
    "quantity_type": (*QuantityType, "percent_of_equity", "percent"),
    "leverage": ("5", 5, "2.5", "201"),
    "margin_mode": ("cross", "isolated", "Cross", "x"),
    "reduce_only": (True, False, "true", "no"),
    "cancel": (True, False, "true", "later"),
}
_ALIASES = {
    "limit_price": ("price", "limitPrice"), "take_profit": ("tp", "takeProfit"), "stop_loss": ("sl", "Stop-Loss"),
    "quantity_type": ("quantityType", "qty_type"), "reduce_only": ("reduceOnly", "close_only"), "action": ("Action",),
    "cancel": ("cancelOrders",), "take_profit_price": ("takeProfitPrice",), "trailing_stop_percent": ("trail_percent",),
}  # fmt: skip
_OTHERS = ("comment", "exchange", "type", "stop_price", "post_only", "strategy", "price", "strategy.order.id")


@dataclass(slots=True)
class Seen:
    """What a campaign met: it is worth its name only when it met a lot."""

    signals: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    repairs: Counter[str] = field(default_factory=Counter)


# inputs


def an_input(seed: int, number: int) -> bytes:
    """Return one input, the same for the same two numbers."""
    chance = Random(f"{seed}:{number}")
    kind = chance.random()
    if kind < 0.5:
        return _damaged(chance, chance.choice(_corpus()))
    if kind < 0.6:
        return _damaged(chance, _invented(chance))
    if kind < 0.95:
        return _invented(chance)
    return chance.randbytes(chance.randrange(120))


@cache
def _corpus() -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in sorted((ROOT / "tests/fixtures").glob("tr*/*.txt")))


def _damaged(chance: Random, body: bytes) -> bytes:
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        at = chance.randrange(len(body) + 1)
        end = min(len(body), at + chance.choice((0, 0, 1, 2, 8, 40)))
        piece = chance.choice(_PIECES).encode()
        match chance.randrange(8):
            case 0 | 1 | 2:
                body = body[:at] + piece + body[end:]
            case 3:
                body = body[:at] + body[end:]
            case 4:
                body = body[:at] + body[at:end] * 2 + body[end:]
            case 5:
                body = body[:at] + chance.randbytes(1) + body[at + 1 :]
            case 6:
                other = chance.choice(_corpus())
                body = body[:at] + other[chance.randrange(len(other) + 1) :]
            case _:
                body = _wrapped(chance, body)
    return body


def _wrapped(chance: Random, body: bytes) -> bytes:
    text = body.decode("utf-8", "replace")
    match chance.randrange(7):
        case 0:
            return text.encode(chance.choice(("utf-16", "utf-16-le", "utf-8-sig")))
        case 1:
            return text.encode("cp1252", "replace")
        case 2:
            return b"payload=" + body
        case 3:
            return _written(text).encode()
        case 4:
            return ('"' + text.replace('"', '""') + '"').encode()
        case 5:
            return b"[" + body + b"," + body + b"]"
        case _:
            return body + b"\n" + body


def _invented(chance: Random) -> bytes:
    message = {name: _typical(chance, name, sane=0.97) for name in MANDATORY}
    for name in chance.sample(OPTIONAL, chance.choice((0, 1, 1, 2, 2, 3, 5))):
        key = chance.choice(_ALIASES[name]) if name in _ALIASES and chance.random() < 0.3 else name
        message[key] = _typical(chance, name, sane=0.9)
    if str(message.get("order_type", "")).lower() == "limit" and chance.random() < 0.8:
        message["limit_price"] = chance.choice(_NUMBERS[:6])
    if chance.random() < 0.2:
        message[chance.choice(_OTHERS)] = _anything(chance, 2)
    if chance.random() < 0.15:
        message.pop(chance.choice(sorted(message)))
    if "cancel" in message and chance.random() < 0.5:
        for name in ("action", "prev_position", "quantity"):
            message.pop(name, None)
    return _written(message).encode()


def _typical(chance: Random, name: str, *, sane: float) -> object:
    if chance.random() > sane:
        return _anything(chance, 2)
    if name in ("take_profit", "stop_loss", "trailing_stop"):
        return _target(chance, name)
    if name in _TYPICAL:
        # The last one is a bad one.
        return chance.choice(_TYPICAL[name][: None if chance.random() > sane else -1])
    # The first numbers are good ones.
    return chance.choice(_NUMBERS[:6] if chance.random() < sane else _NUMBERS)


def _target(chance: Random, name: str) -> object:
    if chance.random() < 0.15:
        return chance.choice(("5%", "70000", 5, None))
    target: dict[str, object] = {
        chance.choice(("price", "percent", "pct", "Price", "stopPrice")): chance.choice(_NUMBERS[:7])
    }
    if name == "trailing_stop" and chance.random() < 0.5:
        target["activation"] = chance.choice(({"price": 70000}, "3%", 5))
    if name == "take_profit" and chance.random() < 0.5:
        shares = chance.choice((("0.5", "0.5"), (60, 40), ("0.3", "0.3"), (1,)))
        return [{**target, "weight": share} for share in shares]
    return target


def _anything(chance: Random, depth: int) -> object:
    match chance.randrange(9 if depth else 7):
        case 0:
            return None
        case 1:
            return chance.random() < 0.5
        case 2:
            return chance.randrange(-3, 10**6)
        case 3:
            return chance.choice((0.1, 1e-5, 1e300, float("nan"), float("inf")))
        case 4:
            return "".join(chr(chance.choice((chance.randrange(32, 127), chance.randrange(0x3000)))) for _ in range(6))
        case 5:
            return chance.choice(_PIECES)
        case 6:
            return chance.choice(_NUMBERS)
        case 7:
            return [_anything(chance, depth - 1) for _ in range(chance.randrange(3))]
        case _:
            return {chance.choice(("price", "percent", "x", "ticker")): _anything(chance, depth - 1)}


def _written(value: object) -> str:
    return json.dumps(value)


# what must hold


def wrong_with(delivery: bytes, seen: Seen) -> Iterator[str]:
    """Yield a sentence for everything that is not as it must be; nothing when all is well."""
    try:
        read = parse(delivery, not_executed=NOTHING_REFUSED)
        again = parse(delivery, not_executed=NOTHING_REFUSED)
        strict = parse(delivery, strict=True, not_executed=NOTHING_REFUSED)
        today = parse(delivery, not_executed=ALL_REFUSED)
        redacted = redact(delivery)
    except Exception as error:  # noqa: BLE001 - that it raises is the finding
        yield f"raised {error!r}"
        return
    if read != again:
        yield "read differently the second time"
    if find_pointers(redacted) or redact(redacted) != redacted:
        yield "a redacted body holds a pointer or changes when redacted again"
    if not 1 <= len(read.items) <= MAX_MESSAGES or len({len(each.items) for each in (read, strict, today)}) > 1:
        yield "another number of messages"
        return
    for item, strictly, now in zip(read.items, strict.items, today.items, strict=True):
        yield from _wrong_item(item, seen)
        for each in (strictly, now):
            yield from _wrong_item(each)
        if now.signal is not None and now.signal != item.signal:
            yield "a key that nothing carries out changed a signal instead of refusing it"
        changed = any(not change.is_remark for change in item.repairs)
        if strictly.signal != (None if changed else item.signal):
            yield "strict mode ran a repaired message, or refused a clean one"
        if item.signal is not None:
            yield from _wrong_copy(item)


def _wrong_item(item: Item, seen: Seen | None = None) -> Iterator[str]:
    if (item.signal is None) == (item.error is None):
        yield "not exactly one of signal and error"
    texts = [item.pointer, *item.fields.values(), *item.ignored_keys, *(change.sentence for change in item.repairs)]
    if item.error is not None:
        if item.error.code not in _documented():
            yield f"{item.error.code} has no row in docs/alert-messages.md"
        texts += [item.error.sentence, *item.error.facts.values()]
    if not all(text.isprintable() for text in texts):
        yield "a text that cannot be shown"
    if find_pointers("\n".join([*texts, item.normalized, *item.fields]).encode("utf-8", "replace")):
        yield "a pointer shows"
    if "\0" in item.normalized or item.normalized.encode("utf-8", "replace").decode() != item.normalized:
        yield "a canonical form that cannot be stored"
    if item.signal is not None:
        yield from wrong_signal(item.signal)
    if seen is not None:
        seen.signals += item.signal is not None
        if item.error is not None:
            seen.reasons[item.error.code] += 1
        seen.repairs.update(change.code for change in item.repairs)


def wrong_signal(signal: Signal) -> Iterator[str]:
    """Yield what no trader could have meant."""
    for each in fields(signal):
        value = getattr(signal, each.name)
        if isinstance(value, Decimal) and not (value.is_finite() and 0 <= value < _LARGEST):
            yield f"{each.name} is {value}"
    order = (signal.action, signal.prev_position, signal.quantity)
    if signal.kind is SignalKind.ORDER:
        if None in order or not signal.quantity:
            yield "an order without side, position or size"
        if "percent" in signal.quantity_type and signal.quantity is not None and signal.quantity > 100:
            yield "more than everything"
        if signal.quantity_type is QuantityType.RISK_PERCENT and signal.stop_loss is None and not signal.is_exit:
            yield "a risk without a stop"
        if (signal.order_type is OrderType.LIMIT) != (signal.limit_price is not None) or signal.limit_price == 0:
            yield "a limit order without price, or a price without limit order"
    elif order != (None, None, None) or signal.limit_price or signal.take_profits or signal.stop_loss:
        yield "an order hidden in a message that trades no size"
    if signal.leverage is not None and not (1 <= signal.leverage <= 200 and signal.leverage == int(signal.leverage)):
        yield f"leverage {signal.leverage}"
    targets = [*signal.take_profits, *([signal.stop_loss] if signal.stop_loss else [])]
    if signal.trailing_stop is not None:
        targets += [signal.trailing_stop.activation] if signal.trailing_stop.activation else []
        if not 0 < signal.trailing_stop.percent < 100:
            yield f"trailing by {signal.trailing_stop.percent}"
    if any(_is_unclear(target) for target in targets):
        yield "a target that is not one thing"
    if signal.take_profits and sum(target.weight for target in signal.take_profits) != 1:
        yield "take profits that do not share the position"
    if not (0 < len(signal.ticker) <= 64 and signal.ticker.isprintable() and len(signal.external_id) <= 64):
        yield "a ticker or id that cannot be kept"
    if signal.sent_at is not None and (signal.sent_at.tzinfo is None or signal.sent_at.microsecond):
        yield "a time without zone, or finer than its clock"


def _is_unclear(target: ExitTarget) -> bool:
    value = target.price if target.price is not None else target.percent
    both = (target.price is None) == (target.percent is None)
    return both or value is None or not value.is_finite() or value <= 0 or not 0 < target.weight <= 1


def _wrong_copy(item: Item) -> Iterator[str]:
    copies = parse(item.normalized.encode(), not_executed=NOTHING_REFUSED).items
    if [copy.signal for copy in copies] != [item.signal] or copies[0].normalized != item.normalized:
        yield f"its canonical form reads differently: {item.normalized}"
    if read_shape(item.normalized).repairs:
        yield f"its canonical form needs repair: {item.normalized}"


@cache
def _documented() -> frozenset[str]:
    rows = set(_ROW.findall((ROOT / "docs/alert-messages.md").read_text()))
    return frozenset(rows & {reason.value for reason in Reason})


# the campaign


def campaign(count: int, seed: int, make: Callable[[int, int], bytes] = an_input) -> tuple[Tally, Seen]:
    started = time.monotonic()
    tally, seen = Tally("alert parser", seed), Seen()
    failures = 0
    for number in range(count):
        delivery = make(seed, number)
        wrong = list(wrong_with(delivery, seen))
        tally.histories += 1
        failures += bool(wrong)
        if wrong and len(tally.violations) < 8:
            tally.violations.append(f"input {number} of seed {seed}: {'; '.join(wrong)}: {delivery!r}")
    tally.faults = sum(seen.reasons.values()) + sum(seen.repairs.values())
    tally.seconds = time.monotonic() - started
    sys.stdout.write(f"parser: {count} inputs, {failures} failures, seed {seed}\n")
    return tally, seen


def main(count: int, seed: int) -> Tally:
    return campaign(count, seed)[0]
