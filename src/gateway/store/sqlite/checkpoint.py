"""Moving the log into the database, beside the writer.

A checkpoint writes thousands of pages and syncs the database file; done by the writer, as SQLite does by itself, it
would hold up every commit behind it for tens of milliseconds. Here it runs on a connection of its own (PASSIVE: it
waits for nobody and nobody waits for it). A second pass follows at once for what was committed during the first: when
that one reaches the end of the log, the next commit starts the log from its beginning. If commits leave no such moment,
the log grows to LOG_PAGES; then the writer finishes the little that is left itself.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading

LOG_PAGES = 16_000
"""64 MB: the writer's own `wal_autocheckpoint`."""

_EVERY_SECONDS = 0.5


class Checkpointer:
    """A thread that is idle while nothing is written."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._changed = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="store-checkpointer", daemon=True)
        self._thread.start()

    def changed(self) -> None:
        """Something was committed. From any thread."""
        self._changed.set()

    def close(self) -> None:
        """Blocks for a checkpoint that is under way."""
        self._closing.set()
        self._changed.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._changed.wait()
            if self._closing.wait(_EVERY_SECONDS):
                break
            self._changed.clear()
            # A full disk is the writer's to report: its next commit meets it.
            with contextlib.suppress(sqlite3.Error):
                for _ in range(2):
                    self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        self._connection.close()
