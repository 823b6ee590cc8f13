"""From an older stored form to today's, one step at a time, each in a transaction of its own.

`STEPS[n]` leads from schema version n to n + 1. The version is SQLite's `user_version`; 0 is an empty file. A step
never imports today's shape of a document that may change later: it works on columns and JSON, or calls
`schema.add_missing` where only declarations were added.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

from gateway.errors import StoreTooNew, StoreUnavailable
from gateway.store.contract import SCHEMA_VERSION
from gateway.store.sqlite import schema

Step = Callable[[sqlite3.Connection], None]

STEPS: Mapping[int, Step] = {}


def migrate(
    connection: sqlite3.Connection, path: Path, *, target: int = SCHEMA_VERSION, steps: Mapping[int, Step] = STEPS
) -> None:
    """Create an empty store or bring an older one to `target`. Raises StoreTooNew for a newer one, and
    StoreUnavailable for a file that is another program's or has no way up from its version."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > target:
        raise StoreTooNew(
            f"{path} was written by a newer Omnigate (schema {version}, this one knows {target}): update the program"
        )
    if version == 0:
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise StoreUnavailable(f"{path} is a database of another program: give a file of its own to Omnigate")
        _in_transaction(connection, schema.create, target)
        return
    while version < target:
        step = steps.get(version)
        if step is None:
            raise StoreUnavailable(f"{path} has schema {version}, which this program cannot bring to {target}")
        version += 1
        _in_transaction(connection, step, version)


def _in_transaction(connection: sqlite3.Connection, step: Step, version: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        step(connection)
        connection.execute(f"PRAGMA user_version = {version:d}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
