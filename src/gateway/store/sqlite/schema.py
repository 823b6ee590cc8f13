"""The tables, made from the declarations in `gateway.store.collection`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from gateway.store.sqlite.layout import Layout, layouts

# feed: every event; `seq` has no gaps and never comes back.  lease: who may do what alone.  meta: one row per name.
_SYSTEM = (
    "CREATE TABLE IF NOT EXISTS feed (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, doc BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS lease (name TEXT PRIMARY KEY, holder TEXT, token INTEGER NOT NULL,"
    " expires_at INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    "INSERT OR IGNORE INTO meta VALUES ('trimmed', 0), ('ping', 0)",
)


def index_name(layout: Layout[Any], fields: tuple[str, ...]) -> str:
    """The quoted name of the index over the fields (and `id`, which every index ends with)."""
    return f'"ix {layout.name} {" ".join(fields)}"'


def side_index_name(layout: Layout[Any], many: str) -> str:
    return f'"ix {layout.name}.{many}"'


def _definition(layout: Layout[Any]) -> str:
    fields = "".join(f', "{name}" {layout.fields[name].kind.sql}' for name in layout.collection.fields)
    return (
        f"CREATE TABLE IF NOT EXISTS {layout.table}"
        f" (id TEXT PRIMARY KEY NOT NULL, version INTEGER NOT NULL{fields}, doc BLOB NOT NULL)"
    )


def _indexes(layout: Layout[Any]) -> Iterator[str]:
    for key in layout.collection.unique:
        columns = ", ".join(f'"{field}"' for field in key.fields)
        present = " AND ".join(f'"{field}" IS NOT NULL' for field in key.fields)
        yield (
            f'CREATE UNIQUE INDEX IF NOT EXISTS "ux {layout.name} {key.name}"'
            f" ON {layout.table} ({columns}) WHERE {present}"
        )
    for fields in layout.collection.indexes:
        columns = ", ".join(f'"{field}"' for field in fields)
        yield f"CREATE INDEX IF NOT EXISTS {index_name(layout, fields)} ON {layout.table} ({columns}, id)"
    for many in layout.collection.many:
        yield (f"CREATE INDEX IF NOT EXISTS {side_index_name(layout, many)} ON {layout.side(many)} (value, sort, id)")


def _tables(layout: Layout[Any]) -> Iterator[str]:
    yield _definition(layout)
    for many in layout.collection.many:
        yield (
            f"CREATE TABLE IF NOT EXISTS {layout.side(many)}"
            " (id TEXT NOT NULL, value TEXT NOT NULL, sort, PRIMARY KEY (id, value)) WITHOUT ROWID"
        )


def create(connection: sqlite3.Connection) -> None:
    """Make what is missing; what is there stays as it is. Runs inside the caller's transaction."""
    for sql in _SYSTEM:
        connection.execute(sql)
    for layout in layouts().values():
        for sql in (*_tables(layout), *_indexes(layout)):
            connection.execute(sql)


def add_missing(connection: sqlite3.Connection) -> None:
    """Bring an older store to the declarations of today: new collections, fields (filled from the documents), side
    tables and indexes. What a migration step calls when only declarations were added. Inside the caller's transaction.
    """
    for layout in layouts().values():
        known = {str(row[1]) for row in connection.execute(f"PRAGMA table_info({layout.table})")}
        if not known:
            continue
        added = [name for name in layout.collection.fields if name not in known]
        for name in added:
            kind = layout.fields[name].kind.sql
            connection.execute(f'ALTER TABLE {layout.table} ADD COLUMN "{name}" {kind}')
        tables = {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        sides = [many for many in layout.collection.many if layout.side(many).strip('"') not in tables]
        for sql in _tables(layout):
            connection.execute(sql)
        if added or sides:
            _fill(connection, layout, added, sides)
    create(connection)


def _fill(connection: sqlite3.Connection, layout: Layout[Any], fields: list[str], sides: list[str]) -> None:
    """Set the new columns and side tables from the documents, a thousand at a time."""
    after = ""
    setters = ", ".join(f'"{name}" = ?' for name in fields)
    while True:
        rows = connection.execute(
            f"SELECT id, doc FROM {layout.table} WHERE id > ? ORDER BY id LIMIT 1000",  # noqa: S608 - declared names
            (after,),
        ).fetchall()
        if not rows:
            return
        docs = layout.decode_list(b"[" + b",".join(row[1] for row in rows) + b"]")
        if fields:
            connection.executemany(
                f"UPDATE {layout.table} SET {setters} WHERE id = ?",  # noqa: S608 - declared names
                [(*(layout.fields[name].value(getattr(doc, name)) for name in fields), doc.id) for doc in docs],
            )
        for many in sides:
            connection.executemany(
                f"INSERT INTO {layout.side(many)} VALUES (?, ?, ?)",  # noqa: S608 - declared names
                layout.side_rows(many, docs),
            )
        after = rows[-1][0]
