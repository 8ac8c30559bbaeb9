"""One parsed JSON object to one Signal: key by key, each refusal by name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from apps.alerts.amounts import read_amount
from apps.alerts.display import showable
from apps.alerts.json_values import Json
from apps.alerts.keys import (
    MANDATORY,
    MANDATORY_TO_CLOSE_ALL,
    MAY_BE_FALSE,
    canonical_key,
    fold_key,
    is_refused,
)
from apps.alerts.placeholders import find_placeholder
from apps.alerts.reasons import PayloadError, Reason
from apps.alerts.redaction import is_mark
from apps.alerts.repairs import Repair, RepairCode, repair
from apps.alerts.times import read_time
from apps.alerts.typography import plain_characters
from apps.connectors.exchange import Side
from apps.lib.decimals import normalize_text
from apps.trading.signal import PrevPosition, Signal, SignalKind

MAX_TICKER = 64
MAX_ID = 64
MAX_LAG_S = 86_400

_ACCEPTED = {
    "ticker": "a pair name such as BTCUSDT",
    "action": "buy or sell",
    "prev_position": "flat, long or short",
    "quantity": "a number above 0, such as 0.5",
    "pointer": "the pointer from the connector's page",
    "closeall": '"true"',
    "hedgemode": "hedge",
    "market_position": "flat, long or short",
    "prev_market_position": "flat, long or short",
    "market_position_size": "a number, 0 or above",
    "prev_market_position_size": "a number, 0 or above",
    "time": "a UTC time like 2026-01-31T15:04:05Z",
    "signal_price": "a price above 0",
    "max_lag": f"whole seconds, 1 to {MAX_LAG_S}",
    "id": f"1 to {MAX_ID} printable characters",
    "test": "true or false",
    "order_type": "market",
    "quantity_type": "base",
}
_TRUE = {"true", "1"}
_FALSE = {"false", "0"}
_SYNONYMS = {"long": Side.BUY, "short": Side.SELL}
_POSITION_PLACEHOLDERS = {
    "prev_position": "{{strategy.prev_market_position}}",
    "market_position": "{{strategy.market_position}}",
    "prev_market_position": "{{strategy.prev_market_position}}",
}
_ORDER_TYPES = {"limit", "stop", "stop_limit", "stop_market", "trailing_stop", "take_profit", "post_only"}
_DELAYED = re.compile(r"(?P<exchange>[A-Z0-9_]{1,24}_DLY?)(?::.*)?", re.ASCII | re.DOTALL)

Choice = TypeVar("Choice", bound=StrEnum)


@dataclass(slots=True)
class MessageReader:
    """Reads one message. What was understood before a refusal stays in `fields` and `repairs`."""

    message: Mapping[str, Json]
    fields: dict[str, str] = field(default_factory=dict)
    repairs: list[Repair] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    pointer: str = ""
    _values: dict[str, Json] = field(default_factory=dict)

    def read(self) -> Signal:
        """Return the signal. Raise PayloadError with the first reason against it."""
        self._sort_keys()
        closes_all = "closeall" in self._values
        self._require(MANDATORY_TO_CLOSE_ALL if closes_all else MANDATORY)
        self.pointer = self._pointer()
        ticker = self._ticker()
        return self._close_all(ticker) if closes_all else self._order(ticker)

    def _order(self, ticker: str) -> Signal:
        prev_position = self._position("prev_position")
        action = self._action()
        quantity = self._amount("quantity")
        self._only("order_type", "market", _ORDER_TYPES)
        self._only("quantity_type", "base", None)
        market_position, market_position_size = self._target()
        self._agreeing_previous(prev_position)
        return Signal(
            kind=SignalKind.ORDER,
            ticker=ticker,
            action=action,
            prev_position=prev_position,
            quantity=quantity,
            hedge=self._hedge(),
            market_position=market_position,
            market_position_size=market_position_size,
            prev_market_position_size=self._optional_amount("prev_market_position_size", zero_ok=True),
            sent_at=self._time(),
            signal_price=self._optional_amount("signal_price"),
            max_lag_s=self._max_lag(),
            external_id=self._id(),
            is_test=self._test(),
        )

    def _close_all(self, ticker: str) -> Signal:
        value, text = self._values["closeall"], self._text("closeall")
        if text.lower() not in _TRUE:
            raise PayloadError(Reason.UNKNOWN_CLOSEALL, field="closeall", found=_shown(value, text), accepted='"true"')
        self.fields["closeall"] = "true"
        used = {"closeall", "ticker", "pointer", "hedgemode", "time", "max_lag", "id", "test", "signal_price"}
        self.ignored += [key for key in self._values if key not in used]
        return Signal(
            kind=SignalKind.CLOSE_ALL,
            ticker=ticker,
            hedge=self._hedge(),
            sent_at=self._time(),
            signal_price=self._optional_amount("signal_price"),
            max_lag_s=self._max_lag(),
            external_id=self._id(),
            is_test=self._test(),
        )

    def _sort_keys(self) -> None:
        refused: list[str] = []
        for key, value in self.message.items():
            name = canonical_key(key)
            if not name:
                self._unread(key, value, refused)
                continue
            if name in self._values:
                raise PayloadError(Reason.DUPLICATE_KEY, field=name)
            if name != key:
                self.repairs.append(repair(RepairCode.KEY_FOLDED, f"'{showable(key, 40)}' as '{name}'"))
            self._values[name] = value
        if refused:
            raise PayloadError(Reason.NOT_SUPPORTED, field=showable(refused[0], 40), accepted="market orders only")

    def _unread(self, key: str, value: Json, refused: list[str]) -> None:
        folded = fold_key(key)
        if is_refused(key) and not (folded.replace("_", "") in MAY_BE_FALSE and _says_false(value)):
            refused.append(key)
            return
        self.ignored.append(showable(key, 60))
        if folded == "exchange" and isinstance(value, str):
            self._note_delay(value.strip().upper())

    def _require(self, names: tuple[str, ...]) -> None:
        missing = [name for name in names if name not in self._values]
        if missing:
            listed = ", ".join(f"'{name}'" for name in missing)
            raise PayloadError(Reason.MISSING_FIELD, field=missing[0], missing=listed, accepted=", ".join(names))

    def _text(self, name: str) -> str:
        """Return the value as plain, stripped text. Raise PayloadError when there is none to read."""
        value = self._values[name]
        if value is None:
            raise PayloadError(Reason.NULL_VALUE, field=name, found="null", accepted=_ACCEPTED[name])
        if isinstance(value, dict | list):
            found = "an object" if isinstance(value, dict) else "a list"
            raise PayloadError(Reason.BAD_VALUE, field=name, found=found, accepted=_ACCEPTED[name])
        if isinstance(value, bool):
            return str(value).lower()
        text = plain_characters(value).strip()
        if not text:
            raise PayloadError(Reason.EMPTY_VALUE, field=name, found='""', accepted=_ACCEPTED[name])
        if text != value.strip():
            self._repair(repair(RepairCode.CHARACTERS))
        placeholder = find_placeholder(text)
        if placeholder is not None:
            raise PayloadError(Reason.PLACEHOLDER, field=name, found=placeholder.written, cause=placeholder.cause)
        return text

    def _word(self, name: str) -> str:
        """Return the value in lower case, on record when that changed it."""
        text = self._text(name)
        folded = text.lower()
        if folded != text:
            self._repair(repair(RepairCode.VALUE_FOLDED, f"'{showable(text, 40)}' as '{showable(folded, 40)}'"))
        return folded

    def _pointer(self) -> str:
        text = self._text("pointer")
        if not is_mark(text):
            raise PayloadError(
                Reason.POINTER_UNREADABLE, field="pointer", found=showable(text, 12), accepted=_ACCEPTED["pointer"]
            )
        self.fields["pointer"] = text
        return text

    def _ticker(self) -> str:
        text = self._text("ticker")
        if len(text) > MAX_TICKER or not text.isprintable():
            raise PayloadError(Reason.BAD_VALUE, field="ticker", found=showable(text, 40), accepted=_ACCEPTED["ticker"])
        if ":" in text:
            self._note_delay(text.upper())
        self.fields["ticker"] = text
        return text

    def _action(self) -> Side:
        word = self._word("action")
        side = _choice(Side, word) or _SYNONYMS.get(word)
        if side is None:
            raise PayloadError(
                Reason.UNKNOWN_ACTION, field="action", found=showable(word, 60), accepted=_ACCEPTED["action"]
            )
        if word in _SYNONYMS:
            self._repair(repair(RepairCode.SYNONYM, f"action '{word}' as '{side}'"))
        self.fields["action"] = side
        return side

    def _position(self, name: str) -> PrevPosition:
        word = self._word(name)
        position = _choice(PrevPosition, word)
        if position is None:
            raise PayloadError(
                Reason.UNKNOWN_POSITION,
                field=name,
                found=showable(word, 60),
                accepted=_ACCEPTED[name],
                placeholder=_POSITION_PLACEHOLDERS[name],
            )
        self.fields[name] = position
        return position

    def _amount(self, name: str, *, zero_ok: bool = False) -> Decimal:
        amount = read_amount(name, self._text(name), accepted=_ACCEPTED[name], zero_ok=zero_ok)
        for change in amount.repairs:
            self._repair(change)
        self.fields[name] = normalize_text(amount.value)
        return amount.value

    def _optional_amount(self, name: str, *, zero_ok: bool = False) -> Decimal | None:
        return self._amount(name, zero_ok=zero_ok) if name in self._values else None

    def _target(self) -> tuple[PrevPosition | None, Decimal | None]:
        """Return side and size that the sender wants to hold afterwards; the two may not contradict each other."""
        position = self._position("market_position") if "market_position" in self._values else None
        size = self._optional_amount("market_position_size", zero_ok=True)
        if position is not None and size is not None and (position is PrevPosition.FLAT) != (size == 0):
            raise PayloadError(
                Reason.CONTRADICTION,
                field="market_position",
                found=position,
                other="market_position_size",
                other_found=normalize_text(size),
            )
        return position, size

    def _agreeing_previous(self, prev_position: PrevPosition) -> None:
        if "prev_market_position" not in self._values:
            return
        other = self._position("prev_market_position")
        if other is not prev_position:
            raise PayloadError(
                Reason.CONTRADICTION,
                field="prev_position",
                found=prev_position,
                other="prev_market_position",
                other_found=other,
            )

    def _only(self, name: str, default: str, not_yet: set[str] | None) -> None:
        """Accept an option that asks for what is done anyway; `not_yet` None means every other word is one to come."""
        if name not in self._values:
            return
        word = fold_key(self._word(name))
        if word == default:
            self.fields[name] = default
            return
        reason = Reason.NOT_SUPPORTED if not_yet is None or word in not_yet else Reason.BAD_VALUE
        raise PayloadError(reason, field=name, found=showable(word, 60), accepted=default)

    def _hedge(self) -> bool:
        if "hedgemode" not in self._values:
            return False
        word = self._word("hedgemode")
        if word != "hedge":
            raise PayloadError(
                Reason.UNKNOWN_HEDGEMODE, field="hedgemode", found=showable(word, 60), accepted=_ACCEPTED["hedgemode"]
            )
        self.fields["hedgemode"] = word
        return True

    def _time(self) -> datetime | None:
        if "time" not in self._values:
            return None
        text = self._text("time")
        sent_at = read_time(text.upper())
        if sent_at is None:
            raise PayloadError(
                Reason.UNREADABLE_TIME, field="time", found=showable(text, 60), accepted=_ACCEPTED["time"]
            )
        self.fields["time"] = f"{sent_at:%Y-%m-%dT%H:%M:%S}Z"
        return sent_at

    def _max_lag(self) -> int | None:
        seconds = self._optional_amount("max_lag")
        if seconds is None:
            return None
        if seconds != int(seconds) or seconds > MAX_LAG_S:
            raise PayloadError(
                Reason.NUMBER_OUT_OF_RANGE,
                field="max_lag",
                found=self.fields.pop("max_lag"),
                accepted=_ACCEPTED["max_lag"],
            )
        return int(seconds)

    def _id(self) -> str:
        if "id" not in self._values:
            return ""
        text = self._text("id")
        if len(text) > MAX_ID or not text.isprintable():
            raise PayloadError(Reason.BAD_VALUE, field="id", found=showable(text, 80), accepted=_ACCEPTED["id"])
        self.fields["id"] = text
        return text

    def _test(self) -> bool:
        if "test" not in self._values:
            return False
        word = self._text("test").lower()
        if word not in _TRUE | _FALSE:
            raise PayloadError(Reason.BAD_VALUE, field="test", found=showable(word, 60), accepted=_ACCEPTED["test"])
        self.fields["test"] = "true" if word in _TRUE else "false"
        return word in _TRUE

    def _note_delay(self, exchange: str) -> None:
        match = _DELAYED.fullmatch(exchange)
        if match is not None:
            self._repair(repair(RepairCode.DELAYED_DATA, match["exchange"]))

    def _repair(self, change: Repair) -> None:
        if change not in self.repairs:
            self.repairs.append(change)


def _choice(kind: type[Choice], word: str) -> Choice | None:
    return kind(word) if word in set(kind) else None


def _says_false(value: Json) -> bool:
    return value is False or (isinstance(value, str) and value.strip().lower() in _FALSE)


def _shown(value: Json, text: str) -> str:
    return text if isinstance(value, bool) else showable(text, 60)
