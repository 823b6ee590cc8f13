"""Writing a batch's documents and events, inside a transaction that the writer has begun.

Rows of one collection and operation go in one statement, up to 64 at a time: sqlite3 gives up the interpreter's lock
around every step of a statement, and under load getting it back costs more than the row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from gateway import faults
from gateway.errors import Conflict, Duplicate, Fenced
from gateway.model.document import Document
from gateway.store.batch import Batch, Lease
from gateway.store.sqlite.layout import Layout, layouts, milliseconds

Row = tuple[Any, ...]

_CHUNKS = (64, 32, 16, 8, 4, 2, 1)
_encode = msgspec.json.Encoder().encode


class Mismatch(Exception):
    """Some document is not at the version it was expected at; `expected`: those it may be, with their versions."""

    def __init__(self, layout: Layout[Any], expected: list[tuple[str, int]]) -> None:
        super().__init__(layout.name)
        self.layout = layout
        self.expected = expected


class Rows:
    """What is to be done with one collection's documents, as rows."""

    __slots__ = ("absent", "at", "delete", "docs", "insert", "load", "put")

    def __init__(self) -> None:
        self.insert: list[Row] = []
        self.put: list[Row] = []
        """A row with the expected version in front."""
        self.load: list[Row] = []
        self.delete: list[tuple[str, int]] = []
        self.at: list[tuple[str, int]] = []
        """Checked to be at a version."""
        self.absent: list[tuple[str, int]] = []
        """Checked not to be there (version 0)."""
        self.docs: list[Document] = []
        """Those written, where the collection has side tables."""


class Prepared:
    """One or several batches as rows, encoded, before any transaction. `keys`: the documents they touch."""

    __slots__ = ("events", "fences", "keys", "rows")

    def __init__(self, batch: Batch) -> None:
        self.rows: dict[str, Rows] = {}
        self.keys = batch.writes.keys()
        self.fences: list[Lease] = list(batch.fences)
        self.events: list[tuple[int, bytes]] = [(milliseconds(event.at), _encode(event)) for event in batch.events]
        for write in batch.writes.values():
            layout = layouts()[write.collection.name]
            rows = self.rows.get(layout.name)
            if rows is None:
                rows = self.rows[layout.name] = Rows()
            if write.doc is not None:
                row = layout.row(write.doc)
                if write.op == "insert":
                    rows.insert.append(row)
                elif write.op == "put":
                    rows.put.append((write.expect, *row))
                else:
                    rows.load.append(row)
                if layout.collection.many:
                    rows.docs.append(write.doc)
            elif write.op == "delete":
                rows.delete.append((write.id, write.expect))
            elif write.expect:
                rows.at.append((write.id, write.expect))
            else:
                rows.absent.append((write.id, 0))

    @staticmethod
    def merged(parts: Sequence[Prepared]) -> Prepared:
        """All parts as one; no two may touch the same document."""
        if len(parts) == 1:
            return parts[0]
        whole = Prepared(Batch())
        for part in parts:
            whole.events += part.events
            whole.fences += part.fences
            for name, rows in part.rows.items():
                into = whole.rows.setdefault(name, Rows())
                for slot in Rows.__slots__:
                    getattr(into, slot).extend(getattr(rows, slot))
        return whole


def apply(connection: sqlite3.Connection, prepared: Prepared, seq: int) -> int:
    """Write all of it; `seq` is the last event's number so far, and the last one's after it is returned.

    Deletions come first, so that a key they free can be given again in the same batch. Raises Fenced, Duplicate or
    Mismatch with the transaction half done: the caller rolls back.
    """
    for fence in prepared.fences:
        held = connection.execute("SELECT 1 FROM lease WHERE name = ? AND token = ?", (fence.name, fence.token))
        if held.fetchone() is None:
            raise Fenced(fence.name)
    try:
        for name, rows in prepared.rows.items():
            layout = layouts()[name]
            _check(connection, layout, rows)
            if rows.delete:
                _delete(connection, layout, rows.delete)
        for name, rows in prepared.rows.items():
            layout = layouts()[name]
            if rows.put:
                _put(connection, layout, rows.put)
            if rows.insert:
                _many_rows(connection, layout, "insert", rows.insert, _insert_sql)
            if rows.load:
                _many_rows(connection, layout, "load", rows.load, _load_sql)
            if layout.collection.many:
                _sides(connection, layout, rows)
    except sqlite3.IntegrityError as error:
        raise _duplicate(error) from error
    faults.reach("store.commit.middle")
    numbered = [(seq + at, *event) for at, event in enumerate(prepared.events, start=1)]
    for chunk in chunks(numbered):
        sql = f"INSERT INTO feed VALUES {_places(len(chunk), 3)}"  # noqa: S608 - numbers and marks
        connection.execute(sql, [value for row in chunk for value in row])
    return seq + len(numbered)


def culprit(connection: sqlite3.Connection, mismatch: Mismatch) -> Conflict:
    """Which document it was; asked after the roll-back."""
    for id, version in mismatch.expected:
        sql = f"SELECT version FROM {mismatch.layout.table} WHERE id = ?"  # noqa: S608 - a declared name
        found = connection.execute(sql, (id,)).fetchone()
        if (0 if found is None else found[0]) != version:
            return Conflict(mismatch.layout.name, id)
    return Conflict(mismatch.layout.name, mismatch.expected[0][0])  # pragma: no cover - nobody else writes


def chunks(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """The rows in pieces of a few fixed sizes, so that few statements serve all."""
    at = 0
    left = len(rows)
    for size in _CHUNKS:
        while left >= size:
            yield rows[at : at + size]
            at += size
            left -= size


def _places(count: int, width: int) -> str:
    return ", ".join([f"({', '.join('?' * width)})"] * count)


def _many_rows(
    connection: sqlite3.Connection,
    layout: Layout[Any],
    kind: str,
    rows: Sequence[Row],
    make: Callable[[Layout[Any], int], str],
) -> int:
    """Run the kind's statement over all rows; returns how many rows it changed."""
    changed = 0
    for chunk in chunks(rows):
        sql = layout.statement(kind, len(chunk), lambda count: make(layout, count))
        changed += connection.execute(sql, [value for row in chunk for value in row]).rowcount
    return changed


def _insert_sql(layout: Layout[Any], count: int) -> str:
    # Columns are named: a migration adds new ones at the table's end.
    return f"INSERT INTO {layout.table} ({', '.join(layout.columns)}) VALUES {_places(count, layout.width)}"  # noqa: S608


def _load_sql(layout: Layout[Any], count: int) -> str:
    setters = ", ".join(f"{column} = excluded.{column}" for column in layout.columns[1:])
    return f"{_insert_sql(layout, count)} ON CONFLICT (id) DO UPDATE SET {setters}"


def _put_sql(layout: Layout[Any], count: int) -> str:
    # v.column1 is the expected version, v.column2 the id, and so on in the layout's order.
    setters = ", ".join(f"{column} = v.column{at}" for at, column in enumerate(layout.columns[1:], start=3))
    return (
        f"UPDATE {layout.table} AS t SET {setters} FROM (VALUES {_places(count, layout.width + 1)}) AS v"  # noqa: S608
        " WHERE t.id = v.column2 AND t.version = v.column1"
    )


def _at_sql(layout: Layout[Any], count: int) -> str:
    return (
        f"SELECT count(*) FROM (VALUES {_places(count, 2)}) AS v"  # noqa: S608 - declared names
        f" CROSS JOIN {layout.table} AS t ON t.id = v.column1 AND t.version = v.column2"
    )


def _absent_sql(layout: Layout[Any], count: int) -> str:
    return (
        f"SELECT count(*) FROM (VALUES {_places(count, 2)}) AS v"  # noqa: S608 - declared names
        f" CROSS JOIN {layout.table} AS t ON t.id = v.column1"
    )


def _count(
    connection: sqlite3.Connection,
    layout: Layout[Any],
    kind: str,
    expected: list[tuple[str, int]],
    make: Callable[[Layout[Any], int], str],
) -> int:
    found = 0
    for chunk in chunks(expected):
        sql = layout.statement(kind, len(chunk), lambda count: make(layout, count))
        found += connection.execute(sql, [value for row in chunk for value in row]).fetchone()[0]
    return found


def _check(connection: sqlite3.Connection, layout: Layout[Any], rows: Rows) -> None:
    if rows.at and _count(connection, layout, "at", rows.at, _at_sql) != len(rows.at):
        raise Mismatch(layout, rows.at)
    if rows.absent and _count(connection, layout, "absent", rows.absent, _absent_sql):
        raise Mismatch(layout, rows.absent)


def _delete(connection: sqlite3.Connection, layout: Layout[Any], expected: list[tuple[str, int]]) -> None:
    sql = f"DELETE FROM {layout.table} WHERE id = ? AND version = ?"  # noqa: S608 - a declared name
    if connection.executemany(sql, expected).rowcount != len(expected):
        raise Mismatch(layout, expected)


def _put(connection: sqlite3.Connection, layout: Layout[Any], rows: list[Row]) -> None:
    if _many_rows(connection, layout, "put", rows, _put_sql) != len(rows):
        raise Mismatch(layout, [(row[1], row[0]) for row in rows])


def _sides(connection: sqlite3.Connection, layout: Layout[Any], rows: Rows) -> None:
    gone = [(row[1],) for row in rows.put] + [(row[0],) for row in rows.load] + [(id,) for id, _ in rows.delete]
    for many in layout.collection.many:
        for chunk in chunks(gone):
            sql = f"DELETE FROM {layout.side(many)} WHERE id IN (VALUES {_places(len(chunk), 1)})"  # noqa: S608
            connection.execute(sql, [id for (id,) in chunk])
        for chunk in chunks(layout.side_rows(many, rows.docs)):
            sql = f"INSERT INTO {layout.side(many)} VALUES {_places(len(chunk), 3)}"  # noqa: S608 - declared names
            connection.execute(sql, [value for row in chunk for value in row])


def _duplicate(error: sqlite3.IntegrityError) -> Exception:
    """`UNIQUE constraint failed: queues.name` (SQLite's words: table.column, …) as the key it stands for."""
    _, _, names = str(error).partition("UNIQUE constraint failed: ")
    columns = [name.rpartition(".") for name in names.split(", ")]
    layout = layouts().get(columns[0][0])
    if layout is None:  # pragma: no cover - only declared tables have constraints that a batch can break
        return error
    fields = tuple(column for _, _, column in columns)
    key = next((key.name for key in layout.collection.unique if key.fields == fields), "id")
    return Duplicate(layout.name, key)
