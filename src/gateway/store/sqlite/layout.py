"""How a declared collection lies in tables: which columns, and what of a document goes in them.

A table has `id`, `version`, one column per declared field, and `doc` with the whole document as JSON. Times are whole
milliseconds since 1970, flags 0 or 1, so that columns sort as `Store.find` promises. A `many` field has a side table
(id, value, sort), where `sort` repeats the field the collection is most listed by, so that "the newest with this tag"
is one walk along an index.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import cache
from operator import attrgetter
from types import NoneType, UnionType
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from gateway.model.document import Document
from gateway.store.collection import COLLECTIONS, Collection

D = TypeVar("D", bound=Document)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_encode = msgspec.json.Encoder().encode


def milliseconds(moment: datetime) -> int:
    """Whole milliseconds since 1970."""
    return (moment - _EPOCH) // _MILLISECOND


class Kind(Enum):
    """What a column holds."""

    TEXT = "text"
    INTEGER = "integer"
    REAL = "real"
    TIME = "time"

    @property
    def sql(self) -> str:
        """The column's SQLite type."""
        return "INTEGER" if self is Kind.TIME else self.value.upper()


_KINDS: dict[Any, Kind] = {
    str: Kind.TEXT,
    int: Kind.INTEGER,
    bool: Kind.INTEGER,
    float: Kind.REAL,
    datetime: Kind.TIME,
}


class Field:
    """One declared field, from its type: a scalar or a Literal, or None beside it. `choices`: all values it can have,
    if those are few, else None."""

    __slots__ = ("choices", "kind", "name")

    def __init__(self, name: str, declared: Any) -> None:
        self.name = name
        options = get_args(declared) if get_origin(declared) in (Union, UnionType) else (declared,)
        scalars = [option for option in options if option is not NoneType]
        if len(scalars) != 1:
            raise TypeError(f"the field {name} has a type that cannot be a column: {declared}")
        self.choices: tuple[Any, ...] | None = None
        scalar = scalars[0]
        if get_origin(scalar) is Literal:
            self.choices = (*get_args(scalar), None) if NoneType in options else get_args(scalar)
            scalar = type(get_args(scalar)[0])
        elif scalar is bool:
            self.choices = (False, True, None) if NoneType in options else (False, True)
        self.kind = _KINDS[scalar]

    def value(self, given: Any) -> Any:
        """A document's or a caller's value as it stands in the column."""
        if given is not None and self.kind is Kind.TIME:
            return milliseconds(given)
        return given


class Layout(Generic[D]):
    """A collection's tables. `columns` are quoted names, from `id` to `doc`, in the order of `row`."""

    def __init__(self, collection: Collection[D]) -> None:
        self.collection = collection
        self.name = collection.name
        self.table = f'"{collection.name}"'
        types = {field.name: field.type for field in msgspec.structs.fields(collection.type)}
        self.fields = {name: Field(name, types[name]) for name in ("id", *collection.fields)}
        self.columns = ("id", "version", *(f'"{name}"' for name in collection.fields), "doc")
        self.width = len(self.columns)
        self.sort = next((index[0] for index in collection.indexes if len(index) == 1), None)
        self.decode_list: Callable[[bytes], list[D]] = msgspec.json.Decoder(list[collection.type]).decode  # type: ignore[name-defined]
        self.row = self._row_maker()
        self._statements: dict[tuple[str, int], str] = {}

    def side(self, many: str) -> str:
        """The side table's quoted name for a `many` field."""
        return f'"{self.name}.{many}"'

    def _row_maker(self) -> Callable[[Document], tuple[Any, ...]]:
        names = ("id", "version", *self.collection.fields)
        get = attrgetter(*names)
        times = tuple(
            at for at, name in enumerate(names) if name in self.fields and self.fields[name].kind is Kind.TIME
        )

        def row(doc: Document) -> tuple[Any, ...]:
            values = [*get(doc), _encode(doc)]
            for at in times:
                moment = values[at]
                if moment is not None:
                    values[at] = milliseconds(moment)
            return tuple(values)

        return row

    def side_rows(self, many: str, docs: Sequence[Document]) -> list[tuple[Any, ...]]:
        """Rows (id, value, sort) of the side table for the documents."""
        sort = self.fields[self.sort] if self.sort else None
        return [
            (doc.id, value, sort.value(getattr(doc, sort.name)) if sort else None)
            for doc in docs
            for value in dict.fromkeys(getattr(doc, many))
        ]

    def statement(self, kind: str, count: int, make: Callable[[int], str]) -> str:
        """The SQL of a kind for `count` rows, made once, so that SQLite's statement cache finds it again."""
        key = (kind, count)
        sql = self._statements.get(key)
        if sql is None:
            sql = self._statements[key] = make(count)
        return sql


@cache
def layouts() -> dict[str, Layout[Any]]:
    """All collections' layouts by name."""
    return {collection.name: Layout(collection) for collection in COLLECTIONS}


def layout_of(collection: Collection[D]) -> Layout[D]:
    return layouts()[collection.name]
