"""The values of one message by the names of their keys: texts, words, numbers, each refusal by name."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from apps.alerts.amounts import read_amount
from apps.alerts.display import showable
from apps.alerts.json_values import Json
from apps.alerts.keys import ACCEPTED, option_of
from apps.alerts.placeholders import find_placeholder
from apps.alerts.reasons import PayloadError, Reason
from apps.alerts.redaction import redact_text
from apps.alerts.repairs import Repair, RepairCode, repair
from apps.alerts.typography import plain_characters
from apps.lib.decimals import normalize_text

TRUE = frozenset({"true", "1"})
FALSE = frozenset({"false", "0"})

Choice = TypeVar("Choice", bound=StrEnum)


@dataclass(slots=True)
class Values:
    """`fields` is what was understood, `repairs` what was changed for it, `ignored` what was left out."""

    by_name: dict[str, Json] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)
    repairs: list[Repair] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    def __contains__(self, name: str) -> bool:
        return name in self.by_name

    def text(self, name: str) -> str:
        """Return the value as plain, stripped text. Raise PayloadError when there is none to read."""
        return self.text_of(name, self.by_name[name], ACCEPTED[name])

    def text_of(self, name: str, value: Json, accepted: str) -> str:
        if value is None:
            raise PayloadError(Reason.NULL_VALUE, field=name, found="null", accepted=accepted)
        if isinstance(value, dict | list):
            found = "an object" if isinstance(value, dict) else "a list"
            raise PayloadError(Reason.BAD_VALUE, field=name, found=found, accepted=accepted)
        if isinstance(value, bool):
            return str(value).lower()
        # A pointer written with escapes shows only now.
        text = redact_text(plain_characters(value).strip())
        if not text:
            raise PayloadError(Reason.EMPTY_VALUE, field=name, found='""', accepted=accepted)
        if text != value.strip():
            self.repair(repair(RepairCode.CHARACTERS))
        placeholder = find_placeholder(text)
        if placeholder is not None:
            raise PayloadError(Reason.PLACEHOLDER, field=name, found=placeholder.written, cause=placeholder.cause)
        return text

    def word(self, name: str) -> str:
        """Return the value in lower case, on record when that changed it."""
        text = self.text(name)
        folded = text.lower()
        if folded != text:
            self.repair(repair(RepairCode.VALUE_FOLDED, f"'{showable(text, 40)}' as '{showable(folded, 40)}'"))
        return folded

    def choice(self, name: str, kind: type[Choice]) -> Choice:
        word = self.word(name)
        found = choice_of(kind, word)
        if found is None:
            raise PayloadError(Reason.BAD_VALUE, field=name, found=showable(word, 60), accepted=ACCEPTED[name])
        self.fields[name] = found
        return found

    def flag(self, name: str) -> bool:
        """Return what a key says; False when it is not there."""
        if name not in self.by_name:
            return False
        word = self.text(name).lower()
        if word not in TRUE | FALSE:
            raise PayloadError(Reason.BAD_VALUE, field=name, found=showable(word, 60), accepted=ACCEPTED[name])
        self.fields[name] = "true" if word in TRUE else "false"
        return word in TRUE

    def amount(self, name: str, *, zero_ok: bool = False) -> Decimal:
        value = self.number(name, self.text(name), ACCEPTED[name], zero_ok=zero_ok)
        self.fields[name] = normalize_text(value)
        return value

    def optional_amount(self, name: str, *, zero_ok: bool = False) -> Decimal | None:
        return self.amount(name, zero_ok=zero_ok) if name in self.by_name else None

    def whole(self, name: str, most: int) -> int | None:
        """Return a whole number from 1 to `most`; None when the key is not there."""
        value = self.optional_amount(name)
        if value is None:
            return None
        if value != int(value) or value > most:
            found = self.fields.pop(name)
            raise PayloadError(Reason.NUMBER_OUT_OF_RANGE, field=name, found=found, accepted=ACCEPTED[name])
        return int(value)

    def number(self, name: str, text: str, accepted: str, *, zero_ok: bool = False) -> Decimal:
        amount = read_amount(name, text, accepted=accepted, zero_ok=zero_ok)
        for change in amount.repairs:
            self.repair(change)
        return amount.value

    def leave_out(self, names: Iterable[str]) -> None:
        """Put keys that have no meaning in this message with the ignored ones."""
        for name in names:
            if name in self.by_name:
                self.fields.pop(name, None)
                self.fields.pop(option_of(name), None)
                self.ignored.append(name)

    def repair(self, change: Repair) -> None:
        if change not in self.repairs:
            self.repairs.append(change)


def choice_of(kind: type[Choice], word: str) -> Choice | None:
    return kind(word) if word in set(kind) else None
