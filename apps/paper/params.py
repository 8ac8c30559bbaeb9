import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import NoReturn

from apps.paper.amounts import plain
from apps.paper.refusals import Refusal

# Wide enough for any real figure, narrow enough that no sum leaves the decimal context's 40 digits.
_NUMBER = re.compile(r"-?(\d{1,13}(\.\d{0,18})?|\.\d{1,18})", re.ASCII)
_WHOLE = re.compile(r"-?\d{1,18}", re.ASCII)
_LONGEST_NUMBER = 40
CLIENT_ID = re.compile(r"[A-Za-z0-9]+", re.ASCII)


def parse_body(body: bytes) -> dict[str, object] | None:
    """Return the JSON object, {} for an empty body, None when it is not one."""
    if not body:
        return {}
    try:
        value = json.loads(body.decode("utf-8"), parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, ArithmeticError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


@dataclass(frozen=True, slots=True)
class Codes:
    """The refusal codes of a family of routes."""

    missing: int
    invalid: int


SPOT = Codes(missing=50000, invalid=50021)
FUTURES = Codes(missing=40011, invalid=40011)
ACCOUNT = Codes(missing=60000, invalid=60000)
QUOTES = Codes(missing=70001, invalid=71001)


@dataclass(frozen=True, slots=True)
class Params:
    """The fields of a query string or body, exact case, others ignored. Numbers may come as text and back."""

    values: Mapping[str, object]
    codes: Codes

    def text(self, name: str, *, code: int | None = None) -> str | None:
        value = self.values.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, str):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        # An exponent of a billion would be a gigabyte of zeros.
        if isinstance(value, Decimal) and abs(value.adjusted()) < _LONGEST_NUMBER:
            return plain(value)
        raise self.invalid(name, code)

    def need(self, name: str, code: int | None = None) -> str:
        value = self.text(name, code=code)
        if value is None:
            raise self.missing(name, code)
        return value

    def choice(self, name: str, allowed: tuple[str, ...], *, code: int, default: str | None = None) -> str:
        value = self.text(name, code=code)
        if value is None and default is not None:
            return default
        if value is None or value not in allowed:
            raise Refusal(code)
        return value

    def whole(self, name: str, *, code: int | None = None) -> int | None:
        value = self.text(name, code=code)
        if value is None:
            return None
        if not _WHOLE.fullmatch(value):
            raise self.invalid(name, code)
        return int(value)

    def whole_between(self, name: str, low: int, high: int, *, default: int, code: int | None = None) -> int:
        value = self.whole(name, code=code)
        if value is None:
            return default
        if not low <= value <= high:
            raise self.invalid(name, code)
        return value

    def number(self, name: str, *, code: int | None = None) -> Decimal | None:
        value = self.text(name, code=code)
        if value is None:
            return None
        if not _NUMBER.fullmatch(value):
            raise self.invalid(name, code)
        return Decimal(value)

    def need_number(self, name: str, code: int | None = None, *, missing: int | None = None) -> Decimal:
        value = self.number(name, code=code)
        if value is None:
            raise self.missing(name, missing if missing is not None else code)
        return value

    def identifier(self, name: str, *, code: int | None = None) -> int | None:
        """Return an order id, -1 for text that cannot be one of ours, None when absent."""
        value = self.text(name, code=code)
        if value is None:
            return None
        return int(value) if _WHOLE.fullmatch(value) else -1

    def items(self, name: str) -> list[object] | None:
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, list):
            raise self.invalid(name)
        return value

    def missing(self, name: str, code: int | None = None) -> Refusal:
        return Refusal(self.codes.missing if code is None else code, f"Bad Request [{name} is empty]")

    def invalid(self, name: str, code: int | None = None) -> Refusal:
        return Refusal(self.codes.invalid if code is None else code, f"Invalid {name}")
