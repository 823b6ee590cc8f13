"""Finding documents: from a `Where` and an order to SQL that walks an index.

A listing must not sort what it does not show. An index whose last field is the order's serves a query that fixes all
fields before it. Where a field may be one of several values (the queues an agent serves), or is not asked for but can
only have a few (a status), the index is walked once for each combination, and SQLite merges the walks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeVar

from gateway.model.document import Document
from gateway.store.contract import Not, OneOf, Page, Range, Where
from gateway.store.sqlite import cursor
from gateway.store.sqlite.layout import Field, Layout
from gateway.store.sqlite.schema import index_name

D = TypeVar("D", bound=Document)
Sql = tuple[str, list[Any]]

_MOST_WALKS = 128
"""Combinations for which an index is walked; with more, one walk along the order's index meets a hit soon."""


def find(
    connection: sqlite3.Connection, layout: Layout[D], where: Where, *, order: str, after: str | None, limit: int
) -> Page[D]:
    """A page (see `Store.find`)."""
    falling = order.startswith("-")
    field = _field(layout, order.removeprefix("-"))
    start = None if after is None else cursor.decode(field, order, after)
    blobs: list[bytes] = []
    for segment in _segments(field, falling, start):
        sql, values = _page_sql(layout, where, field, falling=falling, segment=segment, limit=limit + 1 - len(blobs))
        blobs.extend(row[0] for row in connection.execute(sql, values))
        if len(blobs) > limit:
            break
    items = decode_all(layout, blobs[:limit])
    if len(blobs) <= limit:
        return Page(items, None)
    last = items[-1]
    return Page(items, cursor.encode(order, field.value(getattr(last, field.name)), last.id))


def count(connection: sqlite3.Connection, layout: Layout[Any], where: Where, limit: int) -> int:
    sql, values = _conditions(layout, where)
    query = f"SELECT count(*) FROM (SELECT 1 FROM {layout.table} AS t WHERE {sql} LIMIT ?)"  # noqa: S608
    return int(connection.execute(query, [*values, limit]).fetchone()[0])


def get_many(connection: sqlite3.Connection, layout: Layout[D], ids: Sequence[str]) -> dict[str, D]:
    found: dict[str, D] = {}
    for at in range(0, len(ids), 500):
        # One row with all documents: a step of a statement costs more than joining texts (see `apply`).
        part = ids[at : at + 500]
        sql = _all_docs(f"SELECT doc FROM {layout.table} WHERE id IN ({', '.join('?' * len(part))})")  # noqa: S608
        found.update((doc.id, doc) for doc in _decode_one(layout, connection.execute(sql, list(part))))
    return found


def find_keys(
    connection: sqlite3.Connection, layout: Layout[D], key: str, values: Sequence[tuple[Any, ...]]
) -> dict[tuple[Any, ...], D]:
    names = next((unique.fields for unique in layout.collection.unique if unique.name == key), None)
    if names is None:
        raise ValueError(f"{layout.name} has no unique key {key}")
    fields = [layout.fields[name] for name in names]
    wanted = [value for value in dict.fromkeys(values) if None not in value]
    found: dict[tuple[Any, ...], D] = {}
    for at in range(0, len(wanted), 500):
        part = wanted[at : at + 500]
        places = ", ".join([f"({', '.join('?' * len(fields))})"] * len(part))
        on = " AND ".join(f't."{field.name}" = v.column{number}' for number, field in enumerate(fields, start=1))
        sql = _all_docs(f"SELECT t.doc FROM (VALUES {places}) AS v CROSS JOIN {layout.table} AS t ON {on}")  # noqa: S608
        given = [field.value(value) for row in part for field, value in zip(fields, row, strict=True)]
        for doc in _decode_one(layout, connection.execute(sql, given)):
            found[tuple(getattr(doc, name) for name in names)] = doc
    return found


def decode_all(layout: Layout[D], blobs: Sequence[bytes]) -> list[D]:
    return layout.decode_list(b"[" + b",".join(blobs) + b"]")


def _all_docs(sql: str) -> str:
    return f"SELECT CAST(group_concat(doc) AS BLOB) FROM ({sql})"  # noqa: S608 - made here


def _decode_one(layout: Layout[D], rows: sqlite3.Cursor) -> list[D]:
    joined = rows.fetchone()[0]
    return [] if joined is None else layout.decode_list(b"[" + joined + b"]")


def _field(layout: Layout[Any], name: str) -> Field:
    field = layout.fields.get(name)
    if field is None:
        raise ValueError(f"{layout.name} cannot be found by {name}: it is not among its declared fields")
    return field


# what must hold


def _condition(field: Field, wanted: Any) -> Sql:
    """One field's condition on the row `t`."""
    column = f't."{field.name}"'
    match wanted:
        case OneOf(values):
            present = [field.value(value) for value in dict.fromkeys(values) if value is not None]
            sql = f"{column} IN ({', '.join('?' * len(present))})" if present else "0"
            return (f"({sql} OR {column} IS NULL)" if None in values else sql), present
        case Not(value):
            return f"{column} IS NOT ?", [field.value(value)]
        case Range(start, end):
            ends = [(">=", start), ("<", end)]
            given = [(sign, field.value(value)) for sign, value in ends if value is not None]
            if not given:
                return f"{column} IS NOT NULL", []
            return " AND ".join(f"{column} {sign} ?" for sign, _ in given), [value for _, value in given]
        case None:
            return f"{column} IS NULL", []
        case value:
            return f"{column} = ?", [field.value(value)]


def _conditions(layout: Layout[Any], where: Where) -> Sql:
    """All conditions, joined by AND; `1` if there are none."""
    parts: list[str] = []
    values: list[Any] = []
    for name, wanted in where.items():
        if name in layout.collection.many:
            parts.append(f"t.id IN (SELECT id FROM {layout.side(name)} WHERE value = ?)")  # noqa: S608
            values.append(wanted)
        else:
            sql, given = _condition(_field(layout, name), wanted)
            parts.append(sql)
            values.extend(given)
    return " AND ".join(parts) or "1", values


def _segments(field: Field, falling: bool, start: tuple[Any, str] | None) -> Iterator[Sql]:
    """The rest of the list behind `start`, as pieces that each lie together in an index: {key} and {id} stand for the
    order's column and the id. (Absent values lie before all others.)"""
    if start is None:
        yield "", []
        return
    value, id = start
    sign = "<" if falling else ">"
    if field.name == "id":
        yield f" AND {{id}} {sign} ?", [id]
    elif value is None:
        yield f" AND {{key}} IS NULL AND {{id}} {sign} ?", [id]
        if not falling:
            yield " AND {key} IS NOT NULL", []
    else:
        yield f" AND ({{key}}, {{id}}) {sign} (?, ?)", [value, id]
        if falling:
            yield " AND {key} IS NULL", []


# which way to walk


@dataclass(frozen=True, slots=True)
class _Walk:
    """An index to walk, once for each of the `combinations` of values of its first `fields`."""

    index: str
    fields: tuple[str, ...]
    combinations: list[tuple[Any, ...]]


def _page_sql(layout: Layout[Any], where: Where, field: Field, *, falling: bool, segment: Sql, limit: int) -> Sql:
    """SELECT one page's documents in order."""
    direction = "DESC" if falling else "ASC"
    many = next((name for name in layout.collection.many if name in where), None)
    if many is not None and field.name == layout.sort:
        rest = {name: wanted for name, wanted in where.items() if name != many}
        sql, values = _conditions(layout, rest)
        behind, position = segment[0].format(key="s.sort", id="s.id"), segment[1]
        return (
            f"SELECT t.doc FROM {layout.side(many)} AS s CROSS JOIN {layout.table} AS t ON t.id = s.id"  # noqa: S608
            f" WHERE s.value = ?{behind} AND {sql} ORDER BY s.sort {direction}, s.id {direction} LIMIT ?",
            [where[many], *position, *values, limit],
        )
    key = f't."{field.name}"'
    behind, position = segment[0].format(key=key, id="t.id"), segment[1]
    order = "t.id " + direction if field.name == "id" else f"{key} {direction}, t.id {direction}"
    walk = None if many else _choose(layout, where, field.name)
    if walk is None:
        sql, values = _conditions(layout, where)
        return (
            f"SELECT t.doc FROM {layout.table} AS t WHERE {sql}{behind} ORDER BY {order} LIMIT ?",  # noqa: S608
            [*values, *position, limit],
        )
    rest = {name: wanted for name, wanted in where.items() if name not in walk.fields}
    sql, given = _conditions(layout, rest)
    fixed = "".join(f't."{name}" IS ? AND ' for name in walk.fields)
    source = f"FROM {layout.table} AS t INDEXED BY {walk.index} WHERE {fixed}{sql}{behind}"
    columns = [layout.fields[name] for name in walk.fields]
    values = []
    for combination in walk.combinations:
        values.extend(column.value(value) for column, value in zip(columns, combination, strict=True))
        values.extend((*given, *position))
    if len(walk.combinations) == 1:
        return f"SELECT t.doc {source} ORDER BY {order} LIMIT ?", [*values, limit]
    arm = f"SELECT {key} AS key, t.id AS id, t.rowid AS at {source}"
    merged = " UNION ALL ".join([arm] * len(walk.combinations))
    last = f"key {direction}, id {direction}"
    return (
        f"SELECT t.doc FROM ({merged} ORDER BY {last} LIMIT ?) AS m"  # noqa: S608 - made of declared names
        f" CROSS JOIN {layout.table} AS t ON t.rowid = m.at ORDER BY m.key {direction}, m.id {direction}",
        [*values, limit],
    )


def _choose(layout: Layout[Any], where: Where, order: str) -> _Walk | None:
    """The index to walk, or None to leave it to SQLite (which then looks up and sorts)."""
    best: tuple[tuple[int, int, int], _Walk] | None = None
    for index in layout.collection.indexes:
        if order == "id":
            fields = index
        elif index[-1] == order:
            fields = index[:-1]
        else:
            continue
        choices = [_choices(layout, where, name) for name in fields]
        walks = 1
        for values in choices:
            walks *= len(values) if values is not None else _MOST_WALKS + 1
        if not 0 < walks <= _MOST_WALKS:
            continue
        weight = sum(_weight(layout, where, name) for name in fields)
        rank = (weight, sum(name in where for name in fields), -walks)
        if weight + (order != "id") > 0 and (best is None or rank > best[0]):
            combinations = list(product(*(values for values in choices if values is not None)))
            best = rank, _Walk(index_name(layout, index), fields, combinations)
    if best is None or (best[0][0] < _weight_of_lookup(layout, where, best[1].fields)):
        return None
    return best[1]


def _choices(layout: Layout[Any], where: Where, name: str) -> list[Any] | None:
    """The values the field can have in a hit; None if they cannot be named."""
    field = layout.fields[name]
    if name not in where:
        return None if field.choices is None else list(field.choices)
    match where[name]:
        case OneOf(values):
            return list(dict.fromkeys(values))
        case Not(value):
            return None if field.choices is None else [choice for choice in field.choices if choice != value]
        case Range():
            return None
        case value:
            return [value]


def _weight(layout: Layout[Any], where: Where, name: str) -> int:
    """How much fixing the field narrows a search: 3 for a value, 2 for one of several, 1 for absent or for a field
    that only has a few values, 0 for anything else."""
    if name not in where or isinstance(where[name], Not | Range):
        return 0
    if where[name] is None or layout.fields[name].choices is not None:
        return 1
    return 2 if isinstance(where[name], OneOf) else 3


def _weight_of_lookup(layout: Layout[Any], where: Where, walked: Sequence[str]) -> int:
    """The best that looking up and sorting could do: 3 if some index or unique key begins with a field that is given
    one value of many and that the walk does not use."""
    keys = [*layout.collection.indexes, *(unique.fields for unique in layout.collection.unique)]
    for name in {fields[0] for fields in keys}:
        if name not in walked and _weight(layout, where, name) == 3:
            return 3
    return 0
