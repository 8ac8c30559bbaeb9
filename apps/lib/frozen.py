"""Dataclasses ↔ JSON without loss: decimals as text, times as ISO 8601, members of enums by value.

Nothing is left out when it is frozen, defaults included: a default that a later release changes must not change what
an old row says. What a row lacks because a later release added it takes that release's default.
"""

import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints
from uuid import UUID

T = TypeVar("T")

_MICROSECOND = timedelta(microseconds=1)


class ThawError(ValueError):
    """The data is not of the type, or was written by a release that this one does not understand."""


def freeze(value: Any) -> Any:
    """Return what `json.dumps` takes. TypeError for a type that would not come back as it was, such as a float."""
    kind: Any = type(value)
    return _writer(kind)(value)


@cache
def _writer(kind: Any) -> Callable[[Any], Any]:
    if issubclass(kind, Enum):
        return lambda value: value.value
    if issubclass(kind, types.NoneType | str | int):
        return lambda value: value
    if issubclass(kind, Decimal | UUID):
        return str
    if issubclass(kind, datetime):
        return lambda value: value.isoformat()
    if issubclass(kind, timedelta):
        return lambda value: value // _MICROSECOND
    if issubclass(kind, tuple):
        return lambda value: [freeze(item) for item in value]
    if issubclass(kind, Mapping):
        return lambda value: {str(key): freeze(item) for key, item in value.items()}
    if is_dataclass(kind):
        names = [field.name for field in fields(kind)]
        return lambda value: {name: freeze(getattr(value, name)) for name in names}
    raise TypeError(f"cannot freeze {kind.__name__}")


def thaw(kind: type[T], data: Any) -> T:
    """Return the `kind` that was frozen to `data`."""
    try:
        return _reader(kind)(data)  # type: ignore[no-any-return, arg-type]
    except ThawError:
        raise
    except (TypeError, ValueError, ArithmeticError, KeyError, AttributeError) as error:
        raise ThawError(f"{kind.__name__}: {error}") from error


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in {Union, types.UnionType}:
        [inner] = [_reader(argument) for argument in arguments if argument is not type(None)]
        return lambda data: None if data is None else inner(data)
    if origin is tuple:
        item = _reader(arguments[0])
        return lambda data: tuple(item(entry) for entry in data)
    if origin is not None and issubclass(origin, Mapping):
        entry = _reader(arguments[1])
        return lambda data: {key: entry(value) for key, value in data.items()}
    if is_dataclass(kind):
        return _dataclass_reader(kind)
    if issubclass(kind, Enum | UUID):
        return kind  # type: ignore[no-any-return]
    if kind is Decimal:
        return lambda data: Decimal(_checked(str, data))
    if kind is datetime:
        return lambda data: datetime.fromisoformat(data)
    if kind is timedelta:
        return lambda data: _MICROSECOND * _checked(int, data)
    return lambda data: _checked(kind, data)


def _dataclass_reader(kind: Any) -> Callable[[Any], Any]:
    hints = get_type_hints(kind)
    readers = {field.name: _reader(hints[field.name]) for field in fields(kind)}
    needed = {field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING}

    def read(data: Any) -> Any:
        if missing := needed - data.keys():
            raise ThawError(f"{kind.__name__} without {', '.join(sorted(missing))}")
        return kind(**{name: reader(data[name]) for name, reader in readers.items() if name in data})

    return read


def _checked(kind: type[T], data: Any) -> T:
    if not isinstance(data, kind) or (isinstance(data, bool) and kind is not bool):
        raise ThawError(f"{type(data).__name__} in place of {kind.__name__}")
    return data
