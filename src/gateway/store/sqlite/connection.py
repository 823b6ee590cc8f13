"""Opening SQLite files, and what its errors mean to the rest of the program."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path

from gateway.errors import StoreUnavailable

BUSY_SECONDS = 10.0


def connect(path: Path, *, write: bool, cache_kib: int, log_pages: int = 4_000) -> sqlite3.Connection:
    """A connection that any one thread at a time may use, in autocommit: transactions are begun by name. A writing one
    moves the log into the database when it has `log_pages`.

    Every commit is synced (synchronous=FULL in WAL: one fsync of the log per commit). Raises StoreUnavailable.
    """
    try:
        if write:  # for nobody else's eyes; SQLite gives the log the same mode
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=512
        )
        if write:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {log_pages:d}")
        else:
            connection.execute("PRAGMA query_only = ON")
        connection.execute(f"PRAGMA cache_size = -{cache_kib:d}")
        connection.execute("PRAGMA temp_store = MEMORY")
    except (sqlite3.Error, OSError) as error:
        raise StoreUnavailable(f"{path} cannot be opened: {error}") from error
    return connection


def unavailable(error: Exception) -> StoreUnavailable:
    """The engine's own failure (disk full, I/O, closed) as the contract names it."""
    if isinstance(error, sqlite3.Error) and error.__class__ is not sqlite3.ProgrammingError:
        return StoreUnavailable(f"the store cannot be used: {error}")
    return StoreUnavailable("the store is closed")


class FileLock:
    """Holds a store's files for this process, by a lock on a file beside them, which ends with the process."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".lock")
        self._store = path
        self._handle = -1

    def take(self) -> None:
        """Raises StoreUnavailable if another process has it."""
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnavailable(f"{self._path} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            raise StoreUnavailable(
                f"{self._store} is in use by another process: stop it first, or use a MongoDB store for several"
            ) from error
        self._handle = handle

    def give_back(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
