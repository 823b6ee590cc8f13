"""Leases: rows (name, holder, token, expires_at in ms), changed in the writer's transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import timedelta

from gateway.model.document import Clock
from gateway.store.batch import Lease
from gateway.store.sqlite.layout import milliseconds


def expire_all(connection: sqlite3.Connection) -> None:
    """The process that held them is gone (the store is locked for one): nobody need wait. Tokens are kept, and the
    next holder gets a higher one, even under the same name."""
    connection.execute("UPDATE lease SET holder = NULL, expires_at = 0 WHERE holder IS NOT NULL")


def acquire(
    connection: sqlite3.Connection, clock: Clock, names: Sequence[str], holder: str, ttl: float
) -> dict[str, Lease]:
    """Take those that are free, expired or already the holder's. The time is taken here, in the transaction."""
    moment = clock.now()
    now = milliseconds(moment)
    until = moment + timedelta(milliseconds=round(ttl * 1000))
    leases: dict[str, Lease] = {}
    for name in dict.fromkeys(names):
        row = connection.execute("SELECT holder, token, expires_at FROM lease WHERE name = ?", (name,)).fetchone()
        token = 1
        if row is not None:
            owner, token, expires_at = row
            if owner != holder:
                if owner is not None and expires_at > now:
                    continue
                token += 1
        connection.execute(
            "INSERT INTO lease VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE"
            " SET holder = excluded.holder, token = excluded.token, expires_at = excluded.expires_at",
            (name, holder, token, milliseconds(until)),
        )
        leases[name] = Lease(name, holder, token, until)
    return leases


def release(connection: sqlite3.Connection, leases: Sequence[Lease]) -> None:
    connection.executemany(
        "UPDATE lease SET holder = NULL, expires_at = 0 WHERE name = ? AND token = ? AND holder = ?",
        [(lease.name, lease.token, lease.holder) for lease in leases],
    )
