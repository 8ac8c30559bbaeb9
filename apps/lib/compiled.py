"""Queries of the hot path: written with the ORM, turned into SQL once a process, asked again with other values.

For a query that runs several times an alert, Django spends more on writing its SQL than the database on answering it.
`Compiled` keeps that SQL, `insert` and `update` write rows without `Model.save`. What they leave out: signals, checks
of `save()`, database functions as values. The SQL text stays the same, so the server keeps its plan too.
"""

import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import (
    BooleanField,
    CharField,
    DateTimeField,
    DecimalField,
    Field,
    ForeignKey,
    Lookup,
    Model,
    QuerySet,
    TextField,
    UUIDField,
)
from django.db.models.base import ModelState
from django.db.models.query import (
    FlatValuesListIterable,
    ModelIterable,
    ValuesListIterable,
    get_related_populators,
)
from django.db.models.signals import post_init, pre_init
from django.db.transaction import TransactionManagementError, atomic

from apps.lib.fields import MoneyField
from apps.lib.statements import Asked, Result, ask, together

Row = TypeVar("Row")

_PLACE = re.compile("%s|%%")
# So many rows go in one statement: each number is a statement of its own, which every connection keeps.
_AT_ONCE = (32, 16, 8, 4, 3, 2, 1)


_PLAIN: dict[type, type] = {
    UUIDField: UUID, CharField: str, TextField: str, BooleanField: bool, DateTimeField: datetime,
    DecimalField: Decimal, MoneyField: Decimal,
}  # fmt: skip


class Each(list[Any]):
    """Values for `<field>__among=`: any number of them, in one statement whose text stays the same."""

    def __str__(self) -> str:
        return f"each of {super().__str__()}"


@Field.register_lookup
class _Among(Lookup):
    """As `in`, which writes one place for each value."""

    lookup_name = "among"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        left, parameters = self.process_lhs(compiler, connection)
        return f"{left} = ANY(%s)", [*parameters, self.rhs]


# Values that no query of ours holds; where one stands in the parameters, the argument's value goes.
_EPOCH = datetime(2900, 1, 1, tzinfo=UTC)
_MARKERS: dict[type, Callable[[int], Any]] = {
    UUID: lambda number: UUID(int=(0xC0FFEE << 100) + number),
    datetime: lambda number: _EPOCH + timedelta(microseconds=number),
    str: lambda number: f"\x1amarker {number}\x1a",
    int: lambda number: 1_900_000_000 + number,
    Decimal: lambda number: Decimal(f"1900000000.{number:03}7"),
    bytes: lambda number: b"\x1amarker %d\x1a" % number,
    Each: lambda number: Each([f"\x1amarker {number}\x1a"]),
}


class Column(NamedTuple):
    """`kind`: values of this type go to PostgreSQL's driver as they are; None: the field has a say in each."""

    field: "Field[Any, Any]"
    kind: type | None


@dataclass(frozen=True, slots=True)
class _Statement:
    sql: str
    names: tuple[str, ...]
    converters: Any
    rows: Callable[[Iterable[Sequence[Any]]], list[Any]]
    compiler: Any
    locks: bool

    def asked(self, arguments: Mapping[str, Any]) -> Asked:
        if self.locks and not connections[DEFAULT_DB_ALIAS].in_atomic_block:
            raise TransactionManagementError("select_for_update cannot be used outside of a transaction.")
        return Asked(self.sql, [arguments[name] for name in self.names], self.read)

    def read(self, found: Result) -> list[Any]:
        if not found.rows:
            return []
        if not self.converters:
            return self.rows(found.rows)
        return self.rows(_converted(found.rows, self.converters, connections[DEFAULT_DB_ALIAS]))


class Compiled(Generic[Row]):
    """`Compiled(lambda connector, now: <a query set>)`; call it with the same names to get the rows.

    A query set of model rows (`select_related` and `select_for_update` too) or of `values_list`. Values of type UUID,
    datetime, str, int, Decimal, bytes and Each change from call to call; for any other value (None, bool, a list) the
    SQL is written anew and kept beside.
    """

    def __init__(self, build: Callable[..., QuerySet[Any, Row]]) -> None:
        self._build = build
        self._lock = threading.Lock()
        self._statements: dict[tuple[Any, ...], _Statement] = {}

    def __call__(self, **arguments: Any) -> list[Row]:
        return ask(self.asked(**arguments))  # type: ignore[no-any-return]

    def asked(self, **arguments: Any) -> Asked:
        """Return the question for `statements.together`, which answers it with the rows."""
        key = tuple((name, _kind(value)) for name, value in arguments.items())
        statement = self._statements.get(key)
        if statement is None:
            with self._lock:
                statement = self._statements[key] = self._compile(arguments)
        return statement.asked(arguments)

    def _compile(self, arguments: Mapping[str, Any]) -> _Statement:
        marks = {name: _marker(value, number) for number, (name, value) in enumerate(arguments.items())}
        connections[DEFAULT_DB_ALIAS].ensure_connection()
        queryset = self._build(**marks)
        compiler = queryset.query.get_compiler(using=DEFAULT_DB_ALIAS)
        sql, parameters = compiler.as_sql()
        slots = {_comparable(mark): name for name, mark in marks.items() if type(mark) in _MARKERS}
        places = [slots.get(_comparable(value)) for value in parameters]
        lost = [name for name in slots.values() if name not in places]
        if lost:
            raise TypeError(f"not a parameter of the SQL as it stands: {', '.join(lost)}")
        # A constant stands in the text: only so can the plan rest on it, and use a partial index.
        texts = iter("%s" if name else _literal(value) for name, value in zip(places, parameters, strict=True))
        fields = [column[0] for column in compiler.select[: compiler.col_count]]
        return _Statement(
            sql=_PLACE.sub(lambda found: found[0] if found[0] == "%%" else next(texts), sql),
            names=tuple(name for name in places if name),
            converters=compiler.get_converters(fields),
            rows=_reader(queryset, compiler),
            compiler=compiler,
            locks=queryset.query.select_for_update,
        )


def insert(*rows: Model) -> None:
    """Insert new rows of one model, whose ids are set, all or none. IntegrityError as from `save`."""
    asked = inserting(*rows)
    if len(asked) == 1:
        ask(asked[0])
    else:
        with atomic(savepoint=False):
            together(*asked)


def inserting(*rows: Model) -> list[Asked]:
    """Return the statements of `insert`; without rows there are none."""
    left, found = list(rows), []
    while left:
        number = next(number for number in _AT_ONCE if number <= len(left))
        found.append(_inserting(left[:number]))
        del left[:number]
    return found


def _inserting(rows: Sequence[Model]) -> Asked:
    model, connection = type(rows[0]), connections[DEFAULT_DB_ALIAS]
    columns = _columns(model)
    values = [
        _written(field, kind, field.pre_save(row, add=True), connection) for row in rows for field, kind in columns
    ]

    def is_there(_: Result) -> None:
        for row in rows:
            row._state.adding = False
            row._state.db = DEFAULT_DB_ALIAS

    return Asked(_insertion(model, len(rows)), values, is_there)


def update(model: type[Model], columns: Mapping[str, Any], **where: Any) -> int:
    """Set columns of the rows that equal `where` (None: is null); return how many. Both by attribute name."""
    return int(ask(update_asked(model, columns, **where)))


def update_asked(model: type[Model], columns: Mapping[str, Any], **where: Any) -> Asked:
    """Return the statement of `update`."""
    connection = connections[DEFAULT_DB_ALIAS]
    values = prepared(model, columns, connection)
    values += prepared(model, {name: value for name, value in where.items() if value is not None}, connection)
    empty = tuple(name for name, value in where.items() if value is None)
    return Asked(updating(model, tuple(columns), tuple(where), empty), values, _count)


def _count(found: Result) -> int:
    return found.count


def prepared(model: type[Model], columns: Mapping[str, Any], connection: BaseDatabaseWrapper) -> list[Any]:
    """Return the values as the database takes them; `columns` by attribute name."""
    column = column_of(model)
    return [_written(*column[name], value, connection) for name, value in columns.items()]


def _written(field: "Field[Any, Any]", kind: type | None, value: Any, connection: BaseDatabaseWrapper) -> Any:
    if value is None:
        return None
    is_known = type(value) is kind
    # A number that is none, and an instant without a zone, are for the field to refuse.
    if is_known and (kind is not Decimal or value.is_finite()) and (kind is not datetime or value.tzinfo):
        return value
    return field.get_db_prep_save(value, connection)


def _taken_as_it_is(field: "Field[Any, Any]") -> type | None:
    if isinstance(field, ForeignKey):
        kind = _taken_as_it_is(field.target_field)
        return None if kind is str else kind  # a key's empty text stands for none
    return _PLAIN.get(type(field))


@lru_cache(maxsize=64)
def column_of(model: type[Model]) -> Mapping[str, Column]:
    """Return the model's columns by attribute name (`connector_id`) and by field name (`connector`)."""
    found = {}
    for column in _columns(model):
        found[column.field.attname] = found[column.field.name] = column
    return found


@lru_cache(maxsize=64)
def _columns(model: type[Model]) -> tuple[Column, ...]:
    fields = [field for field in model._meta.local_concrete_fields if not field.generated]
    return tuple(Column(field, _taken_as_it_is(field)) for field in fields)


@lru_cache(maxsize=256)
def _insertion(model: type[Model], number: int) -> str:
    names = ", ".join(f'"{field.column}"' for field, _ in _columns(model))
    row = "(" + ", ".join(["%s"] * len(_columns(model))) + ")"
    return f'INSERT INTO "{model._meta.db_table}" ({names}) VALUES {", ".join([row] * number)}'  # noqa: S608 - names of ours


@lru_cache(maxsize=1024)
def updating(model: type[Model], columns: tuple[str, ...], where: tuple[str, ...], empty: tuple[str, ...] = ()) -> str:
    """Return the text of `update`; `empty` are those of `where` that have to be null."""
    column = column_of(model)
    changes = ", ".join(f'"{column[name].field.column}" = %s' for name in columns)
    tests = " AND ".join(f'"{column[name].field.column}" {"IS NULL" if name in empty else "= %s"}' for name in where)
    return f'UPDATE "{model._meta.db_table}" SET {changes} WHERE {tests}'  # noqa: S608 - names of ours


def _kind(value: Any) -> Any:
    """Values of one kind share one SQL; of others, which stand in the text, those that are written the same."""
    if type(value) in _MARKERS:
        return type(value)
    for known in _MARKERS:
        if isinstance(value, known) and not isinstance(value, bool):
            return known
    # True and 1.0 are equal and hash alike.
    return type(value), tuple(map(_comparable, value)) if isinstance(value, list | tuple) else value


def _marker(value: Any, number: int) -> Any:
    kind = _kind(value)
    return _MARKERS[kind](number) if isinstance(kind, type) and kind in _MARKERS else value


def _literal(value: Any) -> str:
    """Return a constant as SQL text, ready to stand among `%s` places."""
    raw = connections[DEFAULT_DB_ALIAS].connection
    return psycopg.sql.Literal(value).as_string(raw).replace("%", "%%")


def _comparable(value: Any) -> tuple[type, str]:
    """1 and Decimal(1) are equal and hash alike; a list does not hash at all."""
    if isinstance(value, psycopg.Binary):
        value = value.obj
    return type(value), str(value)


def _converted(
    rows: Iterable[Sequence[Any]], converters: Any, connection: BaseDatabaseWrapper
) -> Iterable[Sequence[Any]]:
    changed = []
    for row in rows:
        values = list(row)
        for place, (functions, expression) in converters.items():
            value = values[place]
            for function in functions:
                value = function(value, expression, connection)
            values[place] = value
        changed.append(values)
    return changed


def _reader(queryset: QuerySet[Any, Any], compiler: Any) -> Callable[[Iterable[Sequence[Any]]], list[Any]]:
    kind = queryset._iterable_class
    if queryset.query.annotation_select and kind is not ModelIterable:
        raise TypeError("annotations beside values are not supported")
    if compiler.has_extra_select:
        raise TypeError("order of distinct rows by what is not among their values is not supported")
    if queryset._prefetch_related_lookups:  # type: ignore[attr-defined]
        raise TypeError("prefetch_related is not supported")
    if kind is FlatValuesListIterable:
        return lambda rows: [row[0] for row in rows]
    if kind is ValuesListIterable:
        return lambda rows: [tuple(row) for row in rows]
    if kind is not ModelIterable:
        raise TypeError(f"{kind.__name__} is not supported")
    return _model_reader(compiler)


def _model_reader(compiler: Any) -> Callable[[Iterable[Sequence[Any]]], list[Any]]:
    """As ModelIterable reads its rows."""
    info, annotations = compiler.klass_info, compiler.annotation_col_map
    model, chosen = info["model"], info["select_fields"]
    first, last = chosen[0], chosen[-1] + 1
    make = _maker(model, [column[0].target.attname for column in compiler.select[first:last]])
    populators = get_related_populators(info, compiler.select, DEFAULT_DB_ALIAS)  # type: ignore[call-arg]
    related = [_related_reader(populator) for populator in populators]

    def read(rows: Iterable[Sequence[Any]]) -> list[Any]:
        found = []
        for row in rows:
            instance = make(row[first:last])
            for populate in related:
                populate(row, instance)
            for name, place in annotations.items():
                setattr(instance, name, row[place])
            found.append(instance)
        return found

    return read


def _related_reader(populator: Any) -> Callable[[Sequence[Any], Model], None]:
    """As RelatedPopulator puts in place what `select_related` names."""
    if populator.reorder_for_init:
        return populator.populate  # type: ignore[no-any-return]
    make = _maker(populator.model_cls, populator.init_list)
    first, last, key = populator.cols_start, populator.cols_end, populator.cols_start + populator.pk_idx
    related = [_related_reader(inner) for inner in populator.related_populators]

    def populate(row: Sequence[Any], owner: Model) -> None:
        found = None if row[key] is None else make(row[first:last])
        populator.local_setter(owner, found)
        if found is None:
            return
        for inner in related:
            inner(row, found)
        populator.remote_setter(found, owner)

    return populate


def _maker(model: type[Model], names: Sequence[str]) -> Callable[[Sequence[Any]], Any]:
    """Return what makes a row of these columns' values, as `from_db` does, which asks each field by itself.

    A model that has a say in that, or that somebody listens to, is made by `from_db`.
    """
    is_plain = model.__init__ is Model.__init__ and model.from_db.__func__ is Model.from_db.__func__  # type: ignore[attr-defined]
    if not is_plain or pre_init.has_listeners(model) or post_init.has_listeners(model):
        return lambda values: model.from_db(DEFAULT_DB_ALIAS, names, values)

    def make(values: Sequence[Any]) -> Model:
        row, state = model.__new__(model), ModelState()
        state.adding, state.db = False, DEFAULT_DB_ALIAS
        vars(row).update(zip(names, values, strict=True), _state=state)
        return row

    return make
