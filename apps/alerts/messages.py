"""One parsed JSON object to one Signal: key by key, each refusal by name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from apps.alerts.display import showable
from apps.alerts.json_values import Json
from apps.alerts.keys import (
    ACCEPTED,
    MANDATORY,
    MANDATORY_FOR_THE_SYMBOL,
    MAX_ID,
    MAX_LAG_S,
    MAY_BE_FALSE,
    NEUTRAL,
    NOT_EXECUTED,
    canonical_key,
    fold_key,
    is_refused,
    letters_of,
    option_of,
)
from apps.alerts.options import OPENING, OTHER_ORDER_TYPES, read_opening, read_order_type, read_sizing
from apps.alerts.reasons import PayloadError, Reason
from apps.alerts.redaction import is_mark
from apps.alerts.repairs import RepairCode, repair
from apps.alerts.times import read_time
from apps.alerts.values import FALSE, TRUE, Values, choice_of
from apps.connectors.exchange import OrderType, Side
from apps.lib.decimals import normalize_text
from apps.trading.signal import PrevPosition, QuantityType, Signal, SignalKind

MAX_TICKER = 64

_SYNONYMS = {"long": Side.BUY, "short": Side.SELL}
_POSITION_PLACEHOLDERS = {
    "prev_position": "{{strategy.prev_market_position}}",
    "market_position": "{{strategy.market_position}}",
    "prev_market_position": "{{strategy.prev_market_position}}",
}
# The keys that have a meaning in a message that trades no quantity of its own.
_USED_WITHOUT_ORDER = {"ticker", "pointer", "hedgemode", "time", "max_lag", "id", "test", "signal_price", "cancel"}
_DELAYED = re.compile(r"(?P<exchange>[A-Z0-9_]{1,24}_DLY?)(?::.*)?", re.ASCII | re.DOTALL)


@dataclass(slots=True)
class MessageReader:
    """Reads one message. What was understood before a refusal stays in `values`."""

    message: Mapping[str, Json]
    not_executed: frozenset[str] = NOT_EXECUTED
    values: Values = field(default_factory=Values)
    pointer: str = ""

    def read(self) -> Signal:
        """Return the signal. Raise PayloadError with the first reason against it."""
        self._sort_keys()
        closes_all = "closeall" in self.values
        cancels = self.values.flag("cancel")
        only_cancels = cancels and not {"action", "prev_position", "quantity"} & self.values.by_name.keys()
        self._require(MANDATORY_FOR_THE_SYMBOL if closes_all or only_cancels else MANDATORY)
        self.pointer = self._pointer()
        ticker = self._ticker()
        if closes_all:
            return self._close_all(ticker, cancels=cancels)
        return self._cancel(ticker) if only_cancels else self._order(ticker, cancels=cancels)

    def _order(self, ticker: str, *, cancels: bool) -> Signal:
        prev_position = self._position("prev_position")
        action = self._action()
        sizing = read_sizing(self.values)
        market_position, market_position_size = self._target()
        self._agreeing_previous(prev_position)
        signal = Signal(
            kind=SignalKind.ORDER,
            ticker=ticker,
            action=action,
            prev_position=prev_position,
            quantity=sizing.quantity,
            hedge=self._hedge(),
            market_position=market_position,
            market_position_size=market_position_size,
            prev_market_position_size=self.values.optional_amount("prev_market_position_size", zero_ok=True),
            sent_at=self._time(),
            signal_price=self.values.optional_amount("signal_price"),
            max_lag_s=self.values.whole("max_lag", MAX_LAG_S),
            external_id=self._id(),
            is_test=self.values.flag("test"),
            order_type=sizing.order_type,
            limit_price=sizing.limit_price,
            quantity_type=sizing.quantity_type,
            cancel_first=cancels,
        )
        return self._with_opening(signal)

    def _with_opening(self, signal: Signal) -> Signal:
        """Add what is said about the position to open. An exit runs without it where it cannot be read."""
        against = signal.is_exit
        if against and signal.quantity_type is QuantityType.RISK_PERCENT and signal.market_position is None:
            raise PayloadError(
                Reason.RISK_ON_EXIT, field="quantity_type", found="risk_percent", accepted="percent_position"
            )
        if self.values.flag("reduce_only"):
            if not against:
                raise PayloadError(
                    Reason.CONTRADICTION,
                    field="reduce_only",
                    found="true",
                    other="prev_position",
                    other_found=self.values.fields["prev_position"],
                )
            self.values.leave_out(OPENING)
            return replace(signal, reduce_only=True)
        try:
            return read_opening(self.values, signal)
        except PayloadError as error:
            if not against or "reduce_only" in self.not_executed:
                raise
            # A script has no stop for a position it leaves; that must not keep anybody in one.
            what = f"'{error.refusal.facts['field']}' cannot be used ({error.refusal.code})"
            self.values.leave_out(OPENING)
            self.values.repair(repair(RepairCode.ONLY_CLOSES, what))
            return replace(signal, reduce_only=True)

    def _close_all(self, ticker: str, *, cancels: bool) -> Signal:
        value, text = self.values.by_name["closeall"], self.values.text("closeall")
        if text.lower() not in TRUE:
            raise PayloadError(Reason.UNKNOWN_CLOSEALL, field="closeall", found=_shown(value, text), accepted='"true"')
        self.values.fields["closeall"] = "true"
        if "limit_price" in self.values or read_order_type(self.values) is OrderType.LIMIT:
            raise PayloadError(
                Reason.CONTRADICTION, field="closeall", found="true", other="order_type", other_found="limit"
            )
        return self._without_order(SignalKind.CLOSE_ALL, ticker, cancel_first=cancels)

    def _cancel(self, ticker: str) -> Signal:
        return self._without_order(SignalKind.CANCEL, ticker)

    def _without_order(self, kind: SignalKind, ticker: str, *, cancel_first: bool = False) -> Signal:
        used = _USED_WITHOUT_ORDER | {"closeall", "order_type"}
        self.values.leave_out([name for name in self.values.by_name if name not in used])
        return Signal(
            kind=kind,
            ticker=ticker,
            hedge=self._hedge(),
            sent_at=self._time(),
            signal_price=self.values.optional_amount("signal_price"),
            max_lag_s=self.values.whole("max_lag", MAX_LAG_S),
            external_id=self._id(),
            is_test=self.values.flag("test"),
            cancel_first=cancel_first,
        )

    def _sort_keys(self) -> None:
        refused: list[tuple[str, str]] = []
        values = self.values
        for key, value in self.message.items():
            name = canonical_key(key)
            if not name:
                self._unread(key, value, refused)
                continue
            if name in values:
                raise PayloadError(Reason.DUPLICATE_KEY, field=name)
            if name != key:
                values.repair(repair(RepairCode.KEY_FOLDED, f"'{showable(key, 40)}' as '{name}'"))
            values.by_name[name] = value
            if option_of(name) in self.not_executed and not _says(value, NEUTRAL.get(name, frozenset())):
                refused.append((key, name))
        if refused:
            key, name = refused[0]
            accepted = " or ".join(sorted(NEUTRAL.get(name, ()))) or "a message without it"
            raise PayloadError(Reason.NOT_SUPPORTED, field=showable(key, 40), accepted=accepted)

    def _unread(self, key: str, value: Json, refused: list[tuple[str, str]]) -> None:
        letters = letters_of(key)
        if is_refused(key) and not (letters in MAY_BE_FALSE and _says(value, FALSE)):
            refused.append((key, ""))
            return
        if letters == "type" and isinstance(value, str) and fold_key(value) in {OrderType.LIMIT, *OTHER_ORDER_TYPES}:
            refused.append((key, ""))
            return
        self.values.ignored.append(showable(key, 60))
        if letters == "exchange" and isinstance(value, str):
            self._note_delay(value.strip().upper())

    def _require(self, names: tuple[str, ...]) -> None:
        missing = [name for name in names if name not in self.values]
        if missing:
            listed = ", ".join(f"'{name}'" for name in missing)
            raise PayloadError(Reason.MISSING_FIELD, field=missing[0], missing=listed, accepted=", ".join(names))

    def _pointer(self) -> str:
        text = self.values.text("pointer")
        if not is_mark(text):
            raise PayloadError(
                Reason.POINTER_UNREADABLE, field="pointer", found=showable(text, 12), accepted=ACCEPTED["pointer"]
            )
        self.values.fields["pointer"] = text
        return text

    def _ticker(self) -> str:
        text = self.values.text("ticker")
        if len(text) > MAX_TICKER or not text.isprintable():
            raise PayloadError(Reason.BAD_VALUE, field="ticker", found=showable(text, 40), accepted=ACCEPTED["ticker"])
        if ":" in text:
            self._note_delay(text.upper())
        self.values.fields["ticker"] = text
        return text

    def _action(self) -> Side:
        word = self.values.word("action")
        side = choice_of(Side, word) or _SYNONYMS.get(word)
        if side is None:
            raise PayloadError(
                Reason.UNKNOWN_ACTION, field="action", found=showable(word, 60), accepted=ACCEPTED["action"]
            )
        if word in _SYNONYMS:
            self.values.repair(repair(RepairCode.SYNONYM, f"action '{word}' as '{side}'"))
        self.values.fields["action"] = side
        return side

    def _position(self, name: str) -> PrevPosition:
        word = self.values.word(name)
        position = choice_of(PrevPosition, word)
        if position is None:
            raise PayloadError(
                Reason.UNKNOWN_POSITION,
                field=name,
                found=showable(word, 60),
                accepted=ACCEPTED[name],
                placeholder=_POSITION_PLACEHOLDERS[name],
            )
        self.values.fields[name] = position
        return position

    def _target(self) -> tuple[PrevPosition | None, Decimal | None]:
        """Return side and size that the sender wants to hold afterwards; the two may not contradict each other."""
        position = self._position("market_position") if "market_position" in self.values else None
        size = self.values.optional_amount("market_position_size", zero_ok=True)
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
        if "prev_market_position" not in self.values:
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

    def _hedge(self) -> bool:
        if "hedgemode" not in self.values:
            return False
        word = self.values.word("hedgemode")
        if word != "hedge":
            raise PayloadError(
                Reason.UNKNOWN_HEDGEMODE, field="hedgemode", found=showable(word, 60), accepted=ACCEPTED["hedgemode"]
            )
        self.values.fields["hedgemode"] = word
        return True

    def _time(self) -> datetime | None:
        if "time" not in self.values:
            return None
        text = self.values.text("time")
        sent_at = read_time(text.upper())
        if sent_at is None:
            raise PayloadError(
                Reason.UNREADABLE_TIME, field="time", found=showable(text, 60), accepted=ACCEPTED["time"]
            )
        self.values.fields["time"] = f"{sent_at:%Y-%m-%dT%H:%M:%S}Z"
        return sent_at

    def _id(self) -> str:
        if "id" not in self.values:
            return ""
        text = self.values.text("id")
        if len(text) > MAX_ID or not text.isprintable():
            raise PayloadError(Reason.BAD_VALUE, field="id", found=showable(text, 80), accepted=ACCEPTED["id"])
        self.values.fields["id"] = text
        return text

    def _note_delay(self, exchange: str) -> None:
        match = _DELAYED.fullmatch(exchange)
        if match is not None:
            self.values.repair(repair(RepairCode.DELAYED_DATA, match["exchange"]))


def _says(value: Json, words: frozenset[str]) -> bool:
    """Tell whether a JSON value, quoted or bare, is one of the words."""
    if isinstance(value, bool):
        return str(value).lower() in words
    return isinstance(value, str) and value.strip().lower() in words


def _shown(value: Json, text: str) -> str:
    return text if isinstance(value, bool) else showable(text, 60)
